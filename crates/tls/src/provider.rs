//! The crypto provider of the guest's TLS client: rustls' seams filled with
//! RustCrypto's primitives, client side only.
//!
//! `rustls-rustcrypto` would be the ready-made choice. It was measured and left:
//! it drags signing, PEM and PKCS #8 into the wasm, pins a webpki with open
//! advisories, and refuses RSA keys above 4,096 bits as if their signatures were wrong.

mod aead;
mod digest;
mod exchange;
mod signature;

use std::sync::Arc;

use rustls::crypto::tls12::PrfUsingHmac;
use rustls::crypto::tls13::HkdfUsingHmac;
use rustls::crypto::{
    CipherSuiteCommon, CryptoProvider, GetRandomFailed, KeyExchangeAlgorithm, KeyProvider,
    SecureRandom,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;
use rustls::{
    CipherSuite, Error, SignatureScheme, SupportedCipherSuite, Tls12CipherSuite, Tls13CipherSuite,
};

pub use signature::{CERTIFICATE_ALGORITHMS, RSA_BITS_MAX};

/// TLS 1.2 (ECDHE) and TLS 1.3; AES-GCM and ChaCha20-Poly1305; X25519, P-256, P-384.
pub fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            SupportedCipherSuite::Tls13(&TLS13_AES_128),
            SupportedCipherSuite::Tls13(&TLS13_AES_256),
            SupportedCipherSuite::Tls13(&TLS13_CHACHA20),
            SupportedCipherSuite::Tls12(&ECDSA_AES_128),
            SupportedCipherSuite::Tls12(&ECDSA_AES_256),
            SupportedCipherSuite::Tls12(&ECDSA_CHACHA20),
            SupportedCipherSuite::Tls12(&RSA_AES_128),
            SupportedCipherSuite::Tls12(&RSA_AES_256),
            SupportedCipherSuite::Tls12(&RSA_CHACHA20),
        ],
        kx_groups: vec![&exchange::X25519, &exchange::P256, &exchange::P384],
        signature_verification_algorithms: signature::HANDSHAKE_ALGORITHMS,
        secure_random: &Guest,
        key_provider: &Guest,
    }
}

/// The name in IANA's registry.
pub fn registered_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => {
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
        }
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => {
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
        }
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => {
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
        }
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => {
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
        }
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => {
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
        }
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => {
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"
        }
        _ => "unknown",
    }
}

#[derive(Debug)]
struct Guest;

impl SecureRandom for Guest {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        getrandom::fill(bytes).map_err(|_| GetRandomFailed)
    }
}

impl KeyProvider for Guest {
    /// A check never shows a certificate of its own.
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        Err(Error::General("client certificates are not offered".into()))
    }
}

static TLS13_AES_128: Tls13CipherSuite = Tls13CipherSuite {
    common: common(CipherSuite::TLS13_AES_128_GCM_SHA256, &digest::Sha256),
    hkdf_provider: &HkdfUsingHmac(&digest::HmacSha256),
    aead_alg: &aead::AES_128_GCM,
    quic: None,
};
static TLS13_AES_256: Tls13CipherSuite = Tls13CipherSuite {
    common: common(CipherSuite::TLS13_AES_256_GCM_SHA384, &digest::Sha384),
    hkdf_provider: &HkdfUsingHmac(&digest::HmacSha384),
    aead_alg: &aead::AES_256_GCM,
    quic: None,
};
static TLS13_CHACHA20: Tls13CipherSuite = Tls13CipherSuite {
    common: common(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256, &digest::Sha256),
    hkdf_provider: &HkdfUsingHmac(&digest::HmacSha256),
    aead_alg: &aead::CHACHA20_POLY1305,
    quic: None,
};

static ECDSA_AES_128: Tls12CipherSuite = Tls12CipherSuite {
    common: common(
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        &digest::Sha256,
    ),
    kx: KeyExchangeAlgorithm::ECDHE,
    sign: ECDSA_SCHEMES,
    prf_provider: &PrfUsingHmac(&digest::HmacSha256),
    aead_alg: &aead::AES_128_GCM,
};
static ECDSA_AES_256: Tls12CipherSuite = Tls12CipherSuite {
    common: common(
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        &digest::Sha384,
    ),
    kx: KeyExchangeAlgorithm::ECDHE,
    sign: ECDSA_SCHEMES,
    prf_provider: &PrfUsingHmac(&digest::HmacSha384),
    aead_alg: &aead::AES_256_GCM,
};
static ECDSA_CHACHA20: Tls12CipherSuite = Tls12CipherSuite {
    common: common(
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        &digest::Sha256,
    ),
    kx: KeyExchangeAlgorithm::ECDHE,
    sign: ECDSA_SCHEMES,
    prf_provider: &PrfUsingHmac(&digest::HmacSha256),
    aead_alg: &aead::CHACHA20_POLY1305,
};
static RSA_AES_128: Tls12CipherSuite = Tls12CipherSuite {
    common: common(
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        &digest::Sha256,
    ),
    kx: KeyExchangeAlgorithm::ECDHE,
    sign: RSA_SCHEMES,
    prf_provider: &PrfUsingHmac(&digest::HmacSha256),
    aead_alg: &aead::AES_128_GCM,
};
static RSA_AES_256: Tls12CipherSuite = Tls12CipherSuite {
    common: common(
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        &digest::Sha384,
    ),
    kx: KeyExchangeAlgorithm::ECDHE,
    sign: RSA_SCHEMES,
    prf_provider: &PrfUsingHmac(&digest::HmacSha384),
    aead_alg: &aead::AES_256_GCM,
};
static RSA_CHACHA20: Tls12CipherSuite = Tls12CipherSuite {
    common: common(
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        &digest::Sha256,
    ),
    kx: KeyExchangeAlgorithm::ECDHE,
    sign: RSA_SCHEMES,
    prf_provider: &PrfUsingHmac(&digest::HmacSha256),
    aead_alg: &aead::CHACHA20_POLY1305,
};

/// One check sends a handful of records: no limit of confidentiality is ever near.
const fn common(
    suite: CipherSuite,
    hash_provider: &'static dyn rustls::crypto::hash::Hash,
) -> CipherSuiteCommon {
    CipherSuiteCommon {
        suite,
        hash_provider,
        confidentiality_limit: u64::MAX,
    }
}

const ECDSA_SCHEMES: &[SignatureScheme] = &[
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ED25519,
    SignatureScheme::ED448,
];

const RSA_SCHEMES: &[SignatureScheme] = &[
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA512,
];
