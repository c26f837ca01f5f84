//! The handshake with honest servers over real sockets.

mod lab;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use lab::server::{Lab, TIMEOUT, answer, config, judged, name, serve};
use lab::{Authority, Leaf, NOW, fixture};
use rcgen::KeyPair;
use rustls::crypto::ring as server_crypto;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{CipherSuite, NamedGroup, ServerConfig, ServerConnection};
use watchbell_core::outcome::{Kind, Status};
use watchbell_tls::{Negotiated, Roots, handshake};

#[test]
fn every_version_suite_and_group_is_spoken() {
    use rustls::version::{TLS12, TLS13};
    let suites = [
        (
            CipherSuite::TLS13_AES_128_GCM_SHA256,
            &TLS13,
            "TLS_AES_128_GCM_SHA256",
        ),
        (
            CipherSuite::TLS13_AES_256_GCM_SHA384,
            &TLS13,
            "TLS_AES_256_GCM_SHA384",
        ),
        (
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
            &TLS13,
            "TLS_CHACHA20_POLY1305_SHA256",
        ),
        (
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            &TLS12,
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        ),
        (
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            &TLS12,
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        ),
        (
            CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            &TLS12,
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        ),
    ];
    let groups = [
        NamedGroup::X25519,
        NamedGroup::secp256r1,
        NamedGroup::secp384r1,
    ];
    for (suite, version, want) in suites {
        for group in groups {
            let mut provider = server_crypto::default_provider();
            provider.cipher_suites.retain(|s| s.suite() == suite);
            provider.kx_groups.retain(|g| g.name() == group);
            let lab = Lab::with(provider, &[version], &rcgen::PKCS_ECDSA_P256_SHA256);
            let got = lab.shake(&[]).unwrap();
            assert_eq!(got.cipher, Some(want), "{group:?}");
            let spoken = if want.contains("ECDHE") {
                "TLS 1.2"
            } else {
                "TLS 1.3"
            };
            assert_eq!(got.version, Some(spoken));
            assert_eq!(got.chain.len(), 1);
        }
    }
}

#[test]
fn every_key_proves_itself_in_both_versions() {
    use rustls::version::{TLS12, TLS13};
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
    ] {
        for version in [&TLS12, &TLS13] {
            let provider = server_crypto::default_provider();
            let lab = Lab::with(provider, &[version], algorithm);
            let roots = lab.roots();
            let shaken = lab.shake(&[]);
            let got = judged(&shaken, "lab.test", &roots);
            assert_eq!(got.status, Status::Up, "{algorithm:?} {version:?}: {got:?}");
        }
    }
}

#[test]
fn rsa_proves_itself_with_both_paddings() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let key = std::fs::read_to_string(fixture("rsa-2048.key")).unwrap();
        let key = KeyPair::from_pem(&key).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let chain = vec![lab::pem("rsa-2048")];
        let provider = server_crypto::default_provider();
        let config = config(provider, &[version], chain, key.into());
        let (client, server) = serve(|stream| answer(config, stream));
        let stream = handshake(client, &name("lab.test"), &[]).map(|s| s.close());
        assert!(stream.is_ok(), "{version:?}: {:?}", stream.err());
        drop(stream);
        server.join().unwrap();
    }
}

#[test]
fn alpn_is_negotiated_when_offered() {
    let mut lab = Lab::new();
    lab.config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let got = lab.shake(&[b"http/1.1"]).unwrap();
    assert_eq!(got.protocol.as_deref(), Some(&b"http/1.1"[..]));
    let mut lab = Lab::new();
    lab.config.alpn_protocols = vec![b"h2".to_vec()];
    let failure = lab.shake(&[b"http/1.1"]).unwrap_err();
    assert_eq!((failure.kind, failure.reason), (Kind::Tls, Some("alert")));
    assert!(
        failure.detail.contains("no_application_protocol"),
        "{}",
        failure.detail
    );
}

#[test]
fn a_bad_certificate_is_told_with_its_facts() {
    let roots = Roots::only("").unwrap();
    let shaken = Lab::new().shake(&[]);
    let got = judged(&shaken, "lab.test", &roots);
    assert_eq!(
        (got.status, got.kind),
        (Status::Failed, Some(Kind::Certificate))
    );
    assert_eq!(got.reason.as_deref(), Some("untrusted-root"));
    assert!(got.certificate.is_some());
    assert_eq!(
        watchbell_tls::facts(&shaken.unwrap(), NOW)["tls_version"],
        "TLS 1.3"
    );
}

#[test]
fn inside_the_widest_threshold_is_degraded() {
    let root = Authority::root("Root");
    let roots = Roots::only(&root.pem()).unwrap();
    for (left, want) in [
        (31, Status::Up),
        (30, Status::Degraded),
        (0, Status::Degraded),
        (-1, Status::Failed),
    ] {
        let chain = vec![root.leaf(&Leaf::new(["lab.test"]).valid(-60, left))];
        let shaken = Ok(Negotiated {
            chain,
            ..Default::default()
        });
        let got = judged(&shaken, "lab.test", &roots);
        assert_eq!(got.status, want, "{left} days: {got:?}");
        if want == Status::Degraded {
            assert_eq!(got.reason.as_deref(), Some("other"));
            assert!(got.detail.starts_with("expires in"), "{}", got.detail);
        }
    }
}

#[test]
fn a_server_without_the_key_is_caught() {
    // The certificate is one's, the key another's.
    let root = Authority::root("Root");
    let (chain, _) = root.leaf_and_key(&Leaf::new(["lab.test"]));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let thief = KeyPair::generate().unwrap();
        let key: PrivateKeyDer<'_> = PrivatePkcs8KeyDer::from(thief.serialize_der()).into();
        let provider = server_crypto::default_provider();
        let signer = provider.key_provider.load_private_key(key).unwrap();
        let stolen = rustls::sign::CertifiedKey::new(vec![chain.clone()], signer);
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Stolen(Arc::new(stolen))));
        let (client, server) = serve(|stream| answer(config, stream));
        let got = handshake(client, &name("lab.test"), &[]).err().unwrap();
        server.join().unwrap();
        assert_eq!(
            (got.kind, got.reason),
            (Kind::Tls, Some("bad-signature")),
            "{got:?}"
        );
        assert_eq!(got.negotiated.chain.len(), 1);
        let roots = Roots::only(&root.pem()).unwrap();
        let told = judged(&Err(got), "lab.test", &roots);
        assert_eq!(told.kind, Some(Kind::Tls));
    }
}

#[derive(Debug)]
struct Stolen(Arc<rustls::sign::CertifiedKey>);

impl rustls::server::ResolvesServerCert for Stolen {
    fn resolve(
        &self,
        _: rustls::server::ClientHello<'_>,
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

#[test]
fn sni_is_the_name_and_not_the_address() {
    for (given, want) in [("lab.test", Some("lab.test")), ("127.0.0.1", None)] {
        let config = Lab::new().config;
        let (client, server) = serve(move |stream| {
            let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
            let mut stream = stream;
            while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
            assert_eq!(connection.server_name(), want);
        });
        handshake(client, &name(given), &[]).unwrap().close();
        server.join().unwrap();
    }
}

#[test]
fn a_byte_at_a_time_is_as_good() {
    let lab = Lab::new();
    let (client, server) = serve(|stream| answer(lab.config, stream));
    let stream = handshake(Drip(client), &name("lab.test"), &[]).unwrap();
    assert_eq!(stream.negotiated().version, Some("TLS 1.3"));
    drop(stream.close());
    server.join().unwrap();
}

struct Drip(TcpStream);

impl Read for Drip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let one = buffer.len().min(1);
        self.0.read(&mut buffer[..one])
    }
}

impl Write for Drip {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&bytes[..bytes.len().min(1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[test]
fn silence_is_a_timeout_that_can_go_on() {
    let lab = Lab::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    let mut shaking = watchbell_tls::Handshake::new(client, &name("lab.test"), &[]).unwrap();
    assert!(matches!(shaking.run(), Err(watchbell_tls::Stop::TimedOut)));
    assert!(!shaking.heard());
    assert_eq!(shaking.timed_out().kind, Kind::Timeout);
    // The same handshake completes once the server comes to life.
    shaking
        .stream_mut()
        .set_read_timeout(Some(TIMEOUT))
        .unwrap();
    let server = std::thread::spawn(move || answer(lab.config, listener.accept().unwrap().0));
    shaking.run().unwrap();
    drop(shaking.finish().unwrap().close());
    server.join().unwrap();
}
