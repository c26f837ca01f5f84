//! The verifier that trusts nobody and remembers everything.

use std::sync::{Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use crate::certificate::Certificate;

/// Accepts every certificate and keeps it; lets no server through that does not hold the key.
#[derive(Debug)]
pub struct Witness {
    algorithms: WebPkiSupportedAlgorithms,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    chain: Vec<CertificateDer<'static>>,
    unverified: Option<String>,
}

impl Witness {
    pub fn new(algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self {
            algorithms,
            seen: Mutex::default(),
        }
    }

    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.with(|seen| seen.chain.clone())
    }

    pub fn unverified(&self) -> Option<String> {
        self.with(|seen| seen.unverified.clone())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes a key that cannot be verified with, so that the handshake goes on to
    /// its end and everything else about the server is learnt. The handshake's end
    /// then refuses the connection.
    fn waives(&self, certificate: &CertificateDer<'_>) -> bool {
        let lacking = Certificate::read(certificate)
            .ok()
            .and_then(|c| c.key.unsupported());
        let waived = lacking.is_some();
        if waived {
            self.with(|seen| seen.unverified = lacking);
        }
        waived
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let all = std::iter::once(end_entity).chain(intermediates);
        let chain = all.map(|c| c.clone().into_owned()).collect();
        self.with(|seen| seen.chain = chain);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.waives(certificate) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.waives(certificate) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    /// With what is only recognised at the end: a server that has nothing else shows
    /// its certificate instead of breaking off.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.algorithms.supported_schemes();
        schemes.extend([
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::ED448,
        ]);
        schemes
    }
}
