//! Servers for one connection, over real sockets.
#![allow(dead_code, clippy::unwrap_used)]

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rcgen::{KeyPair, SignatureAlgorithm};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring as server_crypto;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};
use watchbell_core::outcome::Outcome;
use watchbell_core::settings::{Host, Threshold, parse_host};
use watchbell_core::time::UnixMs;
use watchbell_tls::{Failure, Negotiated, Roots, handshake, outcome};

use super::{Authority, Leaf, NOW};

/// Far above what a handshake on loopback takes; only a silent peer uses it up.
pub const TIMEOUT: Duration = Duration::from_secs(10);

pub fn name(text: &str) -> Host {
    parse_host(text).unwrap()
}

/// Plays a server for one connection.
pub fn serve(play: impl FnOnce(TcpStream) + Send + 'static) -> (TcpStream, JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || play(listener.accept().unwrap().0));
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(TIMEOUT)).unwrap();
    (client, server)
}

/// The failure of a handshake with a server that plays `play`.
pub fn fails(play: impl FnOnce(TcpStream) + Send + 'static) -> Failure {
    let (client, server) = serve(play);
    let failure = handshake(client, &name("lab.test"), &[]).err().unwrap();
    server.join().unwrap();
    failure
}

/// A TLS server of one certificate.
pub struct Lab {
    pub root: Authority,
    pub config: ServerConfig,
}

impl Lab {
    pub fn new() -> Self {
        Self::with(
            server_crypto::default_provider(),
            &[&rustls::version::TLS13, &rustls::version::TLS12],
            &rcgen::PKCS_ECDSA_P256_SHA256,
        )
    }

    pub fn with(
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
        algorithm: &'static SignatureAlgorithm,
    ) -> Self {
        let root = Authority::root("Root");
        let key = KeyPair::generate_for(algorithm).unwrap();
        let leaf = root.sign(&Leaf::new(["lab.test"]), &key);
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = config(provider, versions, vec![leaf], key.into());
        Self { root, config }
    }

    pub fn roots(&self) -> Roots {
        Roots::only(&self.root.pem()).unwrap()
    }

    /// Shakes hands with this server.
    pub fn shake(self, alpn: &[&[u8]]) -> Result<Negotiated, Failure> {
        let (client, server) = serve(|stream| answer(self.config, stream));
        let shaken = handshake(client, &name("lab.test"), alpn).map(|mut stream| {
            let mut said = [0; 5];
            stream.write_all(b"hello").unwrap();
            stream.read_exact(&mut said).unwrap();
            assert_eq!(&said, b"olleh");
            let negotiated = stream.negotiated().clone();
            stream.close();
            negotiated
        });
        server.join().unwrap();
        shaken
    }
}

pub fn config(
    provider: CryptoProvider,
    versions: &[&'static SupportedProtocolVersion],
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> ServerConfig {
    ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

/// Answers five bytes with the same backwards. What fails here, the client tells.
pub fn answer(config: ServerConfig, stream: TcpStream) {
    let connection = ServerConnection::new(Arc::new(config)).unwrap();
    let mut tls = rustls::StreamOwned::new(connection, stream);
    let mut said = [0; 5];
    if tls.read_exact(&mut said).is_ok() {
        said.reverse();
        let _ = tls.write_all(&said);
        let _ = tls.read(&mut said);
    }
}

/// As the component judges, thirty days being the widest threshold.
pub fn judged(shaken: &Result<Negotiated, Failure>, host: &str, roots: &Roots) -> Outcome {
    let now = UnixMs(u64::try_from(NOW).unwrap() * 1000);
    outcome(
        shaken.as_ref(),
        &name(host),
        roots,
        &[Threshold::Days(30)],
        now,
    )
}

pub fn drain(mut stream: TcpStream) {
    let _ = stream.set_read_timeout(Some(TIMEOUT));
    let _ = io::copy(&mut stream, &mut io::sink());
}
