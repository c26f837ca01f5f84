//! Signatures: RSA (PKCS #1 and PSS), ECDSA over P-256 and P-384, Ed25519.
//!
//! Each entry is one pair of algorithm identifiers as they stand in certificates.

use p256::ecdsa::signature::hazmat::PrehashVerifier;
use rsa::{BigUint, Pkcs1v15Sign, Pss, RsaPublicKey};
use rustls::SignatureScheme;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The longest RSA key that is verified: a hostile server chooses the key, and the
/// work grows with the cube of its length.
pub const RSA_BITS_MAX: usize = 8_192;

/// What signs a TLS handshake: no SHA-1.
pub const HANDSHAKE_ALGORITHMS: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: MODERN,
    mapping: &[
        (
            SignatureScheme::ECDSA_NISTP256_SHA256,
            &[P256_SHA256, P384_SHA256],
        ),
        (
            SignatureScheme::ECDSA_NISTP384_SHA384,
            &[P384_SHA384, P256_SHA384],
        ),
        (SignatureScheme::ED25519, &[ED25519]),
        (SignatureScheme::RSA_PSS_SHA256, &[PSS_SHA256]),
        (SignatureScheme::RSA_PSS_SHA384, &[PSS_SHA384]),
        (SignatureScheme::RSA_PSS_SHA512, &[PSS_SHA512]),
        (SignatureScheme::RSA_PKCS1_SHA256, &[PKCS1_SHA256]),
        (SignatureScheme::RSA_PKCS1_SHA384, &[PKCS1_SHA384]),
        (SignatureScheme::RSA_PKCS1_SHA512, &[PKCS1_SHA512]),
    ],
};

/// What signs a certificate: SHA-1 too, because a weak signature is a warning
/// and not an unknown one.
pub const CERTIFICATE_ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    P256_SHA256,
    P384_SHA384,
    PKCS1_SHA256,
    PKCS1_SHA384,
    PKCS1_SHA512,
    P384_SHA256,
    P256_SHA384,
    P256_SHA512,
    P384_SHA512,
    ED25519,
    PSS_SHA256,
    PSS_SHA384,
    PSS_SHA512,
    PKCS1_SHA256_NO_NULL,
    PKCS1_SHA384_NO_NULL,
    PKCS1_SHA512_NO_NULL,
    PKCS1_SHA1,
    P256_SHA1,
    P384_SHA1,
];

const MODERN: &[&dyn SignatureVerificationAlgorithm] = &[
    P256_SHA256,
    P384_SHA384,
    P384_SHA256,
    P256_SHA384,
    ED25519,
    PSS_SHA256,
    PSS_SHA384,
    PSS_SHA512,
    PKCS1_SHA256,
    PKCS1_SHA384,
    PKCS1_SHA512,
];

type Entry = &'static dyn SignatureVerificationAlgorithm;

const P256_SHA256: Entry = &ecdsa(Curve::P256, Hash::Sha256, alg_id::ECDSA_SHA256);
const P256_SHA384: Entry = &ecdsa(Curve::P256, Hash::Sha384, alg_id::ECDSA_SHA384);
const P256_SHA512: Entry = &ecdsa(Curve::P256, Hash::Sha512, alg_id::ECDSA_SHA512);
const P384_SHA256: Entry = &ecdsa(Curve::P384, Hash::Sha256, alg_id::ECDSA_SHA256);
const P384_SHA384: Entry = &ecdsa(Curve::P384, Hash::Sha384, alg_id::ECDSA_SHA384);
const P384_SHA512: Entry = &ecdsa(Curve::P384, Hash::Sha512, alg_id::ECDSA_SHA512);
const P256_SHA1: Entry = &ecdsa(Curve::P256, Hash::Sha1, ECDSA_SHA1_ID);
const P384_SHA1: Entry = &ecdsa(Curve::P384, Hash::Sha1, ECDSA_SHA1_ID);
const PKCS1_SHA256: Entry = &rsa(Padding::Pkcs1, Hash::Sha256, alg_id::RSA_PKCS1_SHA256);
const PKCS1_SHA384: Entry = &rsa(Padding::Pkcs1, Hash::Sha384, alg_id::RSA_PKCS1_SHA384);
const PKCS1_SHA512: Entry = &rsa(Padding::Pkcs1, Hash::Sha512, alg_id::RSA_PKCS1_SHA512);
const PKCS1_SHA256_NO_NULL: Entry = &rsa(Padding::Pkcs1, Hash::Sha256, id(&SHA256_RSA));
const PKCS1_SHA384_NO_NULL: Entry = &rsa(Padding::Pkcs1, Hash::Sha384, id(&SHA384_RSA));
const PKCS1_SHA512_NO_NULL: Entry = &rsa(Padding::Pkcs1, Hash::Sha512, id(&SHA512_RSA));
const PKCS1_SHA1: Entry = &rsa(Padding::Pkcs1, Hash::Sha1, RSA_SHA1_ID);
const PSS_SHA256: Entry = &rsa(Padding::Pss, Hash::Sha256, alg_id::RSA_PSS_SHA256);
const PSS_SHA384: Entry = &rsa(Padding::Pss, Hash::Sha384, alg_id::RSA_PSS_SHA384);
const PSS_SHA512: Entry = &rsa(Padding::Pss, Hash::Sha512, alg_id::RSA_PSS_SHA512);
const ED25519: Entry = &Ed25519;

/// RFC 4055: the identifiers of `shaXXXWithRSAEncryption` whose NULL was left out,
/// which RFC 5280 forbids and issuers do all the same.
const SHA256_RSA: [u8; 11] = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 0x0b];
const SHA384_RSA: [u8; 11] = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 0x0c];
const SHA512_RSA: [u8; 11] = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 0x0d];
/// RFC 3279, sections 2.2.1 and 2.2.3.
const RSA_SHA1_ID: AlgorithmIdentifier =
    id(&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5, 5, 0]);
const ECDSA_SHA1_ID: AlgorithmIdentifier = id(&[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1]);

const fn id(bytes: &'static [u8]) -> AlgorithmIdentifier {
    AlgorithmIdentifier::from_slice(bytes)
}

#[derive(Clone, Copy, Debug)]
enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn of(self, message: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha1 => Sha1::digest(message).to_vec(),
            Hash::Sha256 => Sha256::digest(message).to_vec(),
            Hash::Sha384 => Sha384::digest(message).to_vec(),
            Hash::Sha512 => Sha512::digest(message).to_vec(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Curve {
    P256,
    P384,
}

#[derive(Debug)]
struct Ecdsa {
    curve: Curve,
    hash: Hash,
    id: AlgorithmIdentifier,
}

const fn ecdsa(curve: Curve, hash: Hash, id: AlgorithmIdentifier) -> Ecdsa {
    Ecdsa { curve, hash, id }
}

impl SignatureVerificationAlgorithm for Ecdsa {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        match self.curve {
            Curve::P256 => alg_id::ECDSA_P256,
            Curve::P384 => alg_id::ECDSA_P384,
        }
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.id
    }

    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let mut digest = self.hash.of(message);
        if matches!((self.curve, self.hash), (Curve::P384, Hash::Sha1)) {
            // The ecdsa crate refuses a digest below half of the field's 48 bytes. Zeros
            // before a number do not change it (FIPS 186-5, section 6.4.2).
            digest.splice(..0, [0; 4]);
        }
        let verified = match self.curve {
            Curve::P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(public_key).and_then(|key| {
                key.verify_prehash(&digest, &p256::ecdsa::Signature::from_der(signature)?)
            }),
            Curve::P384 => p384::ecdsa::VerifyingKey::from_sec1_bytes(public_key).and_then(|key| {
                key.verify_prehash(&digest, &p384::ecdsa::Signature::from_der(signature)?)
            }),
        };
        verified.map_err(|_| InvalidSignature)
    }
}

#[derive(Clone, Copy, Debug)]
enum Padding {
    Pkcs1,
    /// The salt as long as the hash: what TLS asks for and what certificates carry.
    Pss,
}

#[derive(Debug)]
struct Rsa {
    padding: Padding,
    hash: Hash,
    id: AlgorithmIdentifier,
}

const fn rsa(padding: Padding, hash: Hash, id: AlgorithmIdentifier) -> Rsa {
    Rsa { padding, hash, id }
}

impl SignatureVerificationAlgorithm for Rsa {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.id
    }

    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let key = rsa_key(public_key).ok_or(InvalidSignature)?;
        let digest = self.hash.of(message);
        let verified = match (self.padding, self.hash) {
            (Padding::Pkcs1, Hash::Sha1) => {
                key.verify(Pkcs1v15Sign::new::<Sha1>(), &digest, signature)
            }
            (Padding::Pkcs1, Hash::Sha256) => {
                key.verify(Pkcs1v15Sign::new::<Sha256>(), &digest, signature)
            }
            (Padding::Pkcs1, Hash::Sha384) => {
                key.verify(Pkcs1v15Sign::new::<Sha384>(), &digest, signature)
            }
            (Padding::Pkcs1, Hash::Sha512) => {
                key.verify(Pkcs1v15Sign::new::<Sha512>(), &digest, signature)
            }
            (Padding::Pss, Hash::Sha256) => {
                key.verify(Pss::new_with_salt::<Sha256>(32), &digest, signature)
            }
            (Padding::Pss, Hash::Sha384) => {
                key.verify(Pss::new_with_salt::<Sha384>(48), &digest, signature)
            }
            (Padding::Pss, Hash::Sha512) => {
                key.verify(Pss::new_with_salt::<Sha512>(64), &digest, signature)
            }
            (Padding::Pss, Hash::Sha1) => return Err(InvalidSignature),
        };
        verified.map_err(|_| InvalidSignature)
    }
}

/// RFC 8017, appendix A.1.1.
fn rsa_key(der: &[u8]) -> Option<RsaPublicKey> {
    let key = rsa::pkcs1::RsaPublicKey::try_from(der).ok()?;
    let modulus = BigUint::from_bytes_be(key.modulus.as_bytes());
    let exponent = BigUint::from_bytes_be(key.public_exponent.as_bytes());
    RsaPublicKey::new_with_max_size(modulus, exponent, RSA_BITS_MAX).ok()
}

#[derive(Debug)]
struct Ed25519;

impl SignatureVerificationAlgorithm for Ed25519 {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ED25519
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ED25519
    }

    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let key: &[u8; 32] = public_key.try_into().map_err(|_| InvalidSignature)?;
        let signature =
            ed25519_dalek::Signature::from_slice(signature).map_err(|_| InvalidSignature)?;
        ed25519_dalek::VerifyingKey::from_bytes(key)
            .and_then(|key| key.verify_strict(message, &signature))
            .map_err(|_| InvalidSignature)
    }
}
