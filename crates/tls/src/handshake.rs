//! The handshake: completed whatever certificate is shown, with proof that the
//! server holds its key.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, DnsName, ServerName};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Error, PeerIncompatible, ProtocolVersion,
};
use watchbell_core::outcome::{Kind, one_line};
use watchbell_core::settings::Host;

use crate::reasons::Cause;
use crate::witness::Witness;
use crate::{alert, plain};

/// A handshake takes a few KiB, with a chain of the largest size that is allowed
/// 64 KiB; a peer that sends more is not shaking hands.
const BYTES_MAX: usize = 256 * 1024;
/// What is kept of the first bytes: enough to recognise another protocol.
const OPENING_BYTES: usize = 64;

/// What was agreed on and shown. Known in part even when the handshake fails.
#[derive(Clone, Debug, Default)]
pub struct Negotiated {
    /// As served, the leaf first; empty when the handshake did not get that far.
    pub chain: Vec<CertificateDer<'static>>,
    /// `TLS 1.3`, `TLS 1.2`.
    pub version: Option<&'static str>,
    /// The cipher suite's registered name.
    pub cipher: Option<&'static str>,
    /// The application protocol (ALPN).
    pub protocol: Option<Vec<u8>>,
}

/// Why there is no TLS, with what was seen up to then.
#[derive(Clone, Debug)]
pub struct Failure {
    pub kind: Kind,
    /// The word of a [`Cause`], or none where the kind says all.
    pub reason: Option<&'static str>,
    pub detail: String,
    /// Boxed: the rare case must not make every result large.
    pub negotiated: Box<Negotiated>,
}

/// Why [`Handshake::run`] stopped before the end.
#[derive(Debug)]
pub enum Stop {
    /// The stream's deadline passed (`TimedOut` or `WouldBlock`); it can be run again.
    TimedOut,
    Failed(Failure),
}

/// A handshake under way.
pub struct Handshake<S> {
    connection: ClientConnection,
    stream: S,
    witness: Arc<Witness>,
    opening: Vec<u8>,
    bytes: usize,
}

/// An agreed connection. Whether its certificate is good, [`crate::judge()`] says.
pub struct TlsStream<S: Read + Write> {
    inner: rustls::StreamOwned<ClientConnection, S>,
    negotiated: Negotiated,
}

/// Shakes hands over `stream`, whose own deadline bounds the time.
pub fn handshake<S: Read + Write>(
    stream: S,
    server_name: &Host,
    alpn: &[&[u8]],
) -> Result<TlsStream<S>, Failure> {
    let mut handshake = Handshake::new(stream, server_name, alpn)?;
    match handshake.run() {
        Ok(()) => handshake.finish(),
        Err(Stop::Failed(failure)) => Err(failure),
        Err(Stop::TimedOut) => Err(handshake.timed_out()),
    }
}

impl<S: Read + Write> Handshake<S> {
    /// `server_name` is sent as SNI unless it is an address; an empty `alpn` offers none.
    pub fn new(stream: S, server_name: &Host, alpn: &[&[u8]]) -> Result<Self, Failure> {
        let name = match server_name {
            Host::Ip(ip) => ServerName::IpAddress((*ip).into()),
            Host::Name(name) => ServerName::DnsName(
                DnsName::try_from(name.clone())
                    .map_err(|_| internal(&format!("sending {name:?} as SNI: not a DNS name")))?,
            ),
        };
        let provider = crate::provider();
        let witness = Arc::new(Witness::new(provider.signature_verification_algorithms));
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .map_err(|_| internal("starting the handshake: the provider's parts do not fit"))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
        // A resumed session shows no certificate.
        config.resumption = rustls::client::Resumption::disabled();
        let connection = ClientConnection::new(Arc::new(config), name)
            .map_err(|_| internal("starting the handshake: no randomness"))?;
        Ok(Self {
            connection,
            stream,
            witness,
            opening: Vec::new(),
            bytes: 0,
        })
    }

    /// Goes on until the end, a failure, or the stream's deadline.
    ///
    /// The client's last word of TLS 1.3 stays unsent: it travels with what is written next.
    /// Alone it would hold that back until the peer has acknowledged it, which takes most
    /// of them 40 ms (Nagle's algorithm; `wasi:sockets` cannot switch it off).
    pub fn run(&mut self) -> Result<(), Stop> {
        while self.connection.is_handshaking() {
            let written = self.write();
            // A server that refuses says why and closes: after a failed write there
            // may still be an alert to read.
            match (self.read(), written) {
                (Ok(()), _) => {}
                (Err(Stop::Failed(failure)), _) if failure.kind == Kind::Tls => {
                    return Err(Stop::Failed(failure));
                }
                (Err(_), Err(e)) => return Err(self.broken(&e)),
                (Err(stop), Ok(())) => return Err(stop),
            }
        }
        Ok(())
    }

    /// Whether the peer has said anything yet.
    pub fn heard(&self) -> bool {
        self.bytes > 0
    }

    /// The other half of the stream's owner: to set its deadline.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The failure of a handshake whose time is up.
    pub fn timed_out(&self) -> Failure {
        let detail = if self.heard() {
            "the TLS handshake stalled"
        } else {
            "connected, and no answer to the TLS handshake"
        };
        self.failure(Kind::Timeout, None, detail)
    }

    /// The failure of a handshake whose peer speaks plain HTTP, as [`plain::answers`] found.
    pub fn plain_http(&self) -> Failure {
        let detail = "the port speaks plain HTTP, want TLS";
        self.failed(Cause::PlainHttp, detail)
    }

    /// The connection, once [`run`](Self::run) has returned `Ok`.
    pub fn finish(self) -> Result<TlsStream<S>, Failure> {
        if let Some(what) = self.witness.unverified() {
            let detail =
                format!("the server proves its identity with {what}, which is not supported here");
            return Err(self.failed(Cause::Unsupported, &detail));
        }
        let negotiated = self.negotiated();
        Ok(TlsStream {
            inner: rustls::StreamOwned::new(self.connection, self.stream),
            negotiated,
        })
    }

    /// What is known so far.
    pub fn negotiated(&self) -> Negotiated {
        let version = match self.connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => Some("TLS 1.3"),
            Some(ProtocolVersion::TLSv1_2) => Some("TLS 1.2"),
            _ => None,
        };
        let suite = self.connection.negotiated_cipher_suite();
        Negotiated {
            chain: self.witness.chain(),
            version,
            cipher: suite.map(|s| crate::provider::registered_name(s.suite())),
            protocol: self.connection.alpn_protocol().map(<[u8]>::to_vec),
        }
    }

    fn write(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.stream)?;
        }
        self.stream.flush()
    }

    fn read(&mut self) -> Result<(), Stop> {
        let mut tap = Tap {
            stream: &mut self.stream,
            opening: &mut self.opening,
        };
        let n = match self.connection.read_tls(&mut tap) {
            Ok(n) => n,
            Err(e) => return Err(self.broken(&e)),
        };
        if n == 0 {
            return Err(Stop::Failed(self.closed()));
        }
        self.bytes += n;
        if let Err(error) = self.connection.process_new_packets() {
            // Our alert to the peer. The failure is known; whether the alert arrives changes nothing.
            let _ = self.write();
            return Err(Stop::Failed(self.explain(&error)));
        }
        if self.bytes > BYTES_MAX {
            let detail = format!(
                "the peer sent {} bytes and no end of the handshake",
                self.bytes
            );
            return Err(Stop::Failed(self.failed(Cause::Endless, &detail)));
        }
        Ok(())
    }

    fn broken(&self, error: &io::Error) -> Stop {
        use io::ErrorKind as E;
        Stop::Failed(match error.kind() {
            E::TimedOut | E::WouldBlock => return Stop::TimedOut,
            E::ConnectionReset | E::ConnectionAborted | E::BrokenPipe | E::NotConnected => {
                let detail = "the peer reset the connection during the TLS handshake";
                self.failed(Cause::Reset, detail)
            }
            E::UnexpectedEof => self.closed(),
            _ => {
                let detail = format!("the TLS handshake broke off: {error}");
                self.failure(Kind::Protocol, None, &detail)
            }
        })
    }

    fn closed(&self) -> Failure {
        if let Some(failure) = self.other_protocol() {
            return failure;
        }
        let detail = if self.heard() {
            "the peer closed the connection amid the TLS handshake"
        } else {
            "the peer closed the connection without an answer to the TLS handshake"
        };
        self.failed(Cause::Closed, detail)
    }

    /// A peer that speaks, and not TLS.
    fn other_protocol(&self) -> Option<Failure> {
        // A TLS record starts with its type, 20 to 24, and major version 3.
        let first = *self.opening.first()?;
        if (20..=24).contains(&first) && self.opening.get(1).is_none_or(|major| *major == 3) {
            return None;
        }
        let said = one_line(&String::from_utf8_lossy(&self.opening), 40);
        Some(if plain::is_http(&self.opening) {
            let detail = format!("the port speaks plain HTTP, want TLS: got {said:?}");
            self.failed(Cause::PlainHttp, &detail)
        } else {
            let detail = format!("the port speaks another protocol, want TLS: got {said:?}");
            self.failed(Cause::NotTls, &detail)
        })
    }

    fn explain(&self, error: &Error) -> Failure {
        if let Some(failure) = self.other_protocol() {
            return failure;
        }
        match error {
            Error::AlertReceived(description) => {
                let name = alert::name(*description);
                let detail = match alert::hint(*description) {
                    Some(hint) => format!("the server's alert is {name:?}: {hint}"),
                    None => format!("the server's alert is {name:?}"),
                };
                self.failed(Cause::Alert, &detail)
            }
            Error::PeerIncompatible(what) => self.failed(Cause::Unsupported, lacking(what)),
            Error::InvalidCertificate(CertificateError::BadSignature) => self.failed(
                Cause::BadSignature,
                "the server cannot prove that it holds the key of its certificate",
            ),
            Error::InvalidCertificate(_) => self.failed(
                Cause::BadSignature,
                "the server's proof that it holds its certificate's key cannot be checked with this certificate",
            ),
            Error::NoCertificatesPresented => {
                self.failed(Cause::NoCertificate, "the server sent no certificate")
            }
            Error::DecryptError => {
                self.failed(Cause::Decrypt, "a record of the server cannot be decrypted")
            }
            other => self.failed(Cause::Malformed, broken_rule(other)),
        }
    }

    fn failed(&self, cause: Cause, detail: &str) -> Failure {
        self.failure(cause.kind(), Some(cause.as_str()), detail)
    }

    fn failure(&self, kind: Kind, reason: Option<&'static str>, detail: &str) -> Failure {
        Failure {
            kind,
            reason,
            detail: detail.to_owned(),
            negotiated: Box::new(self.negotiated()),
        }
    }
}

impl<S: Read + Write> TlsStream<S> {
    pub fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// For its deadline.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner.sock
    }

    /// Says good-bye. A peer that is gone already does not need it.
    pub fn close(mut self) -> S {
        self.inner.conn.send_close_notify();
        while self.inner.conn.wants_write() {
            if self.inner.conn.write_tls(&mut self.inner.sock).is_err() {
                break;
            }
        }
        let _ = self.inner.sock.flush();
        self.inner.sock
    }
}

impl<S: Read + Write> Read for TlsStream<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }
}

impl<S: Read + Write> Write for TlsStream<S> {
    /// Whatever waits to be sent goes in one write with it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.conn.writer().write(bytes)?;
        while self.inner.conn.wants_write() {
            self.inner.conn.write_tls(&mut self.inner.sock)?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// What the server asks for and this client has not. Texts of our own: rustls' would
/// bring the names of everything it knows into the wasm.
fn lacking(what: &PeerIncompatible) -> &'static str {
    use PeerIncompatible as P;
    match what {
        P::ServerDoesNotSupportTls12Or13 | P::ServerTlsVersionIsDisabledByOurConfig => {
            "the server speaks neither TLS 1.2 nor TLS 1.3, and nothing older is supported here"
        }
        P::NoCipherSuitesInCommon => "the server chose a cipher that is not supported here",
        P::NoKxGroupsInCommon | P::NamedGroupsExtensionRequired => {
            "the server chose a key exchange group that is not supported here"
        }
        P::NoSignatureSchemesInCommon => {
            "the server signs with an algorithm that is not supported here"
        }
        P::NoEcPointFormatsInCommon | P::UncompressedEcPointsRequired => {
            "the server wants a form of elliptic curve points that is not supported here"
        }
        P::ServerSentHelloRetryRequestWithUnknownExtension => {
            "the server asks for an extension that is not supported here"
        }
        _ => "the server asks for a part of TLS that is not supported here",
    }
}

fn broken_rule(error: &Error) -> &'static str {
    match error {
        Error::InvalidMessage(_) => "the peer sent a TLS message that cannot be read",
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "the peer sent a TLS message out of turn"
        }
        Error::PeerSentOversizedRecord => "the peer sent a TLS record above the allowed size",
        Error::PeerMisbehaved(_) => "the peer breaks a rule of TLS",
        _ => "the TLS handshake failed",
    }
}

fn internal(detail: &str) -> Failure {
    Failure {
        kind: Kind::Internal,
        reason: None,
        detail: detail.to_owned(),
        negotiated: Box::default(),
    }
}

/// Keeps the first bytes that pass.
struct Tap<'a, S> {
    stream: &'a mut S,
    opening: &'a mut Vec<u8>,
}

impl<S: Read> Read for Tap<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.read(buffer)?;
        let room = OPENING_BYTES.saturating_sub(self.opening.len());
        let passed = buffer.get(..n.min(room)).unwrap_or_default();
        self.opening.extend_from_slice(passed);
        Ok(n)
    }
}
