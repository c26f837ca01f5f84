//! Key exchange: X25519, P-256, P-384.

use getrandom::SysRng;
use p256::elliptic_curve::Generate;
use rustls::crypto::{ActiveKeyExchange, GetRandomFailed, SharedSecret, SupportedKxGroup};
use rustls::{Error, NamedGroup, PeerMisbehaved};

#[derive(Debug)]
pub struct X25519;

impl SupportedKxGroup for X25519 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|_| GetRandomFailed)?;
        let secret = x25519_dalek::StaticSecret::from(seed);
        let public = x25519_dalek::PublicKey::from(&secret);
        Ok(Box::new(ActiveX25519 { secret, public }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

struct ActiveX25519 {
    secret: x25519_dalek::StaticSecret,
    public: x25519_dalek::PublicKey,
}

impl ActiveKeyExchange for ActiveX25519 {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let peer: [u8; 32] = peer.try_into().map_err(|_| bad_share())?;
        let shared = self.secret.diffie_hellman(&peer.into());
        // RFC 8446, section 7.4.2: an all-zero result means a share of low order.
        if !shared.was_contributory() {
            return Err(bad_share());
        }
        Ok(SharedSecret::from(&shared.as_bytes()[..]))
    }

    fn pub_key(&self) -> &[u8] {
        self.public.as_bytes()
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

macro_rules! nist {
    ($group:ident, $active:ident, $curve:ident, $name:expr) => {
        #[derive(Debug)]
        pub struct $group;

        impl SupportedKxGroup for $group {
            fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
                let secret = $curve::ecdh::EphemeralSecret::try_generate_from_rng(&mut SysRng)
                    .map_err(|_| GetRandomFailed)?;
                let public = $curve::Sec1Point::from(secret.public_key());
                Ok(Box::new($active { secret, public }))
            }

            fn name(&self) -> NamedGroup {
                $name
            }
        }

        struct $active {
            secret: $curve::ecdh::EphemeralSecret,
            public: $curve::Sec1Point,
        }

        impl ActiveKeyExchange for $active {
            fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
                // TLS 1.3 knows only the uncompressed form (RFC 8446, section 4.2.8.2).
                if peer.first() != Some(&4) {
                    return Err(bad_share());
                }
                let peer = $curve::PublicKey::from_sec1_bytes(peer).map_err(|_| bad_share())?;
                let shared = self.secret.diffie_hellman(&peer);
                Ok(SharedSecret::from(&shared.raw_secret_bytes()[..]))
            }

            fn pub_key(&self) -> &[u8] {
                self.public.as_bytes()
            }

            fn group(&self) -> NamedGroup {
                $name
            }
        }
    };
}

nist!(P256, ActiveP256, p256, NamedGroup::secp256r1);
nist!(P384, ActiveP384, p384, NamedGroup::secp384r1);

fn bad_share() -> Error {
    PeerMisbehaved::InvalidKeyShare.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuses(group: &dyn SupportedKxGroup, share: &[u8]) -> bool {
        group.start().unwrap().complete(share).is_err()
    }

    #[test]
    fn a_share_that_proves_nothing_is_refused() {
        let p256 = P256.start().unwrap();
        let mut compressed = p256.pub_key()[..33].to_vec();
        compressed[0] = 2 | (p256.pub_key()[64] & 1);
        assert!(refuses(&X25519, &[0; 32]), "low order");
        assert!(refuses(&X25519, &[9; 31]), "short");
        assert!(refuses(&P256, &compressed), "compressed");
        assert!(refuses(&P256, &[0]), "infinity");
        assert!(refuses(&P256, &[4; 65]), "off the curve");
        assert!(refuses(&P384, &[4; 97]), "off the curve");
    }

    #[test]
    fn both_sides_agree() {
        for group in [&X25519 as &dyn SupportedKxGroup, &P256, &P384] {
            let ours = group.start().unwrap();
            let theirs = group.start_and_complete(ours.pub_key()).unwrap();
            let shared = ours.complete(&theirs.pub_key).unwrap();
            assert_eq!(shared.secret_bytes(), theirs.secret.secret_bytes());
        }
    }
}
