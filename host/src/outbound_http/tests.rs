//! Every outcome of spin.md's table, against servers on port 0.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Empty;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use watchbell_app::{AllowedHosts, BlockedNetworks, ClientTlsEntry};

use super::*;
use crate::imitation::Imitation;

const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(20);

fn outbound(allowed: &[&str], client_tls: ClientTls) -> Arc<OutboundHttp> {
    let allowed: Vec<String> = allowed.iter().map(|&a| a.to_owned()).collect();
    let hosts = AllowedHosts::parse(&allowed, |name| Err(name.to_owned()));
    let blocked = Arc::new(BlockedNetworks::default());
    let imitation = Arc::new(Imitation::of(watchbell_app::Target::Spin));
    let permissions = Arc::new(Permissions::new("c", &hosts, blocked, imitation));
    let origin = Some("http://127.0.0.1:1".to_owned());
    Arc::new(OutboundHttp::new(permissions, &client_tls, origin, None).expect("good configuration"))
}

fn options(
    connect: Duration,
    first_byte: Duration,
    between_bytes: Duration,
) -> Option<RequestOptions> {
    Some(RequestOptions {
        connect_timeout: Some(connect),
        first_byte_timeout: Some(first_byte),
        between_bytes_timeout: Some(between_bytes),
    })
}

/// The status and body, or the error's name.
async fn outcome(
    outbound: &Arc<OutboundHttp>,
    uri: &str,
    options: Option<RequestOptions>,
) -> String {
    let body = Empty::<Bytes>::new()
        .map_err(|never| match never {})
        .boxed_unsync();
    let request = Request::get(uri).body(body).expect("a request");
    let mut hooks = Hooks::new(outbound.clone(), Origin::Cron);
    let sent = hooks.send_request(request, options, Box::new(std::future::ready(Ok(()))));
    match Pin::from(sent).await {
        Err(error) => name(&error),
        Ok((response, driver)) => {
            let driver = tokio::spawn(Pin::from(driver));
            let status = response.status().as_u16();
            let version = response.version();
            let body = response.into_body().collect().await;
            driver.abort();
            match body {
                Ok(body) => format!(
                    "{status} {version:?} {}",
                    String::from_utf8_lossy(&body.to_bytes())
                ),
                Err(error) => format!("{status} then {}", name(&error)),
            }
        }
    }
}

fn name(error: &Error) -> String {
    let text = format!("{error:?}");
    text.split([' ', '(', '{'])
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// A server that reads one request's headers and does `then`.
async fn server<F, Fut>(then: F) -> SocketAddr
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            read_headers(&mut stream).await;
            tokio::spawn(then(stream));
        }
    });
    address
}

async fn read_headers(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => read.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&read).into_owned()
}

/// Answers `text` and closes.
async fn answering(text: &'static str) -> SocketAddr {
    server(move |mut stream| async move {
        let _ = stream.write_all(text.as_bytes()).await;
    })
    .await
}

/// Talks first, whatever the client wants.
async fn greeting(text: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.write_all(text.as_bytes()).await;
                std::future::pending::<()>().await;
            });
        }
    });
    address
}

/// Answers `text` and keeps the connection open.
async fn stalling(text: &'static str) -> SocketAddr {
    server(move |mut stream| async move {
        let _ = stream.write_all(text.as_bytes()).await;
        std::future::pending::<()>().await;
    })
    .await
}

struct Tls {
    address: SocketAddr,
    entry: ClientTlsEntry,
}

/// A TLS server with a self-signed certificate, and the entry that trusts it.
async fn tls_server(alpn: &[&[u8]]) -> Tls {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a certificate with its key");
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    let service = hyper::service::service_fn(|_| async {
                        Ok::<_, std::convert::Infallible>(Response::new(http_body_util::Full::new(
                            Bytes::from("two"),
                        )))
                    });
                    let _ = hyper::server::conn::http2::Builder::new(
                        hyper_util::rt::TokioExecutor::new(),
                    )
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
                    .await;
                    return;
                }
                read_headers(&mut stream).await;
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none")
                    .await;
                let _ = stream.shutdown().await;
            });
        }
    });
    let entry = ClientTlsEntry {
        component_ids: vec!["c".to_owned()],
        hosts: vec!["127.0.0.1".to_owned()],
        ca_roots: vec![cert.der().clone()],
        use_webpki_roots: false,
        client_certificate: None,
    };
    Tls { address, entry }
}

#[tokio::test]
async fn each_way_to_fail_has_spins_name() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        listener.local_addr().expect("an address")
    };
    let good = answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
    let self_signed = tls_server(&[]).await.address;
    let redirect = answering(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let empty = answering("").await;
    let garbage = greeting("SSH-2.0-OpenSSH_9.7\r\n").await;
    let short = answering("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhi").await;
    let all = outbound(&["*://*:*"], ClientTls::default());
    for (what, uri, want) in [
        ("well", format!("http://{good}/"), "200 HTTP/1.1 hi"),
        ("refused", format!("http://{closed}/"), "ConnectionRefused"),
        (
            "a redirect is returned",
            format!("http://{redirect}/"),
            "302 HTTP/1.1 ",
        ),
        (
            "no such name",
            "http://no-such-name.invalid/".to_owned(),
            "DnsError",
        ),
        (
            "closed early",
            format!("http://{empty}/"),
            "HttpProtocolError",
        ),
        (
            "not HTTP",
            format!("http://{garbage}/"),
            "HttpProtocolError",
        ),
        (
            "body cut short",
            format!("http://{short}/"),
            "200 then HttpProtocolError",
        ),
        (
            "self-signed",
            format!("https://{self_signed}/"),
            "TlsProtocolError",
        ),
        ("not TLS", format!("https://{garbage}/"), "TlsProtocolError"),
        (
            "HTTP to a TLS port",
            format!("http://{self_signed}/"),
            "HttpProtocolError",
        ),
    ] {
        assert_eq!(
            outcome(&all, &uri, options(LONG, LONG, LONG)).await,
            want,
            "{what}"
        );
    }
}

#[tokio::test]
async fn permission_is_asked_first_and_refused_by_the_future() {
    let some = outbound(
        &["http://127.0.0.1:1234", "https://*.example.org"],
        ClientTls::default(),
    );
    for uri in [
        "http://127.0.0.1:1235/",
        "https://127.0.0.1:1234/",
        "http://no-such-name.invalid/",
        "http://self.alt/x",
    ] {
        assert_eq!(
            outcome(&some, uri, None).await,
            "HttpRequestDenied",
            "{uri}"
        );
    }
    // A cron event has no origin, whatever is permitted.
    let own = outbound(&["http://self"], ClientTls::default());
    assert_eq!(
        outcome(&own, "http://self.alt/x", None).await,
        "HttpRequestUriInvalid"
    );
}

#[tokio::test]
async fn blocked_networks_are_prohibited_though_permitted() {
    let permitted = AllowedHosts::parse(&["*://*:*".to_owned()], |name| Err(name.to_owned()));
    let manifest = tempfile::tempdir().expect("a directory");
    std::fs::write(
        manifest.path().join("spin.toml"),
        "spin_manifest_version = 2\n[application]\nname = \"x\"\nversion = \"1.0.0\"\n\
         [[trigger.http]]\nroute = \"/\"\ncomponent = \"c\"\n[component.c]\nsource = \"c.wasm\"\n",
    )
    .expect("written");
    std::fs::write(manifest.path().join("c.wasm"), "").expect("written");
    let runtime_config = manifest.path().join("rc.toml");
    std::fs::write(
        &runtime_config,
        "[outbound_networking]\nblock_networks = [\"127.0.0.0/8\"]\n",
    )
    .expect("written");
    let app = watchbell_app::App::load(&watchbell_app::LoadOptions {
        manifest: manifest.path().join("spin.toml"),
        runtime_config_file: Some(runtime_config),
        cwd: manifest.path().to_owned(),
        env: BTreeMap::new(),
        ..Default::default()
    })
    .expect("a good application");
    let permissions = Arc::new(Permissions::new(
        "c",
        &permitted,
        Arc::new(app.blocked_networks),
        Arc::new(Imitation::of(watchbell_app::Target::Spin)),
    ));
    let outbound = OutboundHttp::new(permissions, &ClientTls::default(), None, None)
        .expect("good configuration");
    let outcome = outcome(&Arc::new(outbound), "http://127.0.0.1:9/", None).await;
    assert_eq!(outcome, "DestinationIpProhibited");
}

#[tokio::test]
async fn each_time_limit_covers_what_spins_covers() {
    let silent = stalling("").await;
    let headers_only = stalling("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhi").await;
    // Accepts and never shakes hands: TLS is under the first byte's limit, not the connect's.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let no_handshake = listener.local_addr().expect("an address");
    let all = outbound(&["*://*:*"], ClientTls::default());
    for (what, uri, limits, want) in [
        (
            "no headers",
            format!("http://{silent}/"),
            options(LONG, SHORT, LONG),
            "ConnectionReadTimeout",
        ),
        (
            "no handshake",
            format!("https://{no_handshake}/"),
            options(SHORT / 10, SHORT, LONG),
            "ConnectionReadTimeout",
        ),
        (
            "no more body",
            format!("http://{headers_only}/"),
            options(LONG, LONG, SHORT),
            "200 then ConnectionReadTimeout",
        ),
    ] {
        assert_eq!(outcome(&all, &uri, limits).await, want, "{what}");
    }
}

#[tokio::test]
async fn a_body_may_take_long_if_no_chunk_does() {
    let gap = SHORT / 4;
    let slow = server(move |mut stream| async move {
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n")
            .await;
        for _ in 0..12 {
            tokio::time::sleep(gap).await;
            let _ = stream.write_all(b"x").await;
        }
    })
    .await;
    let all = outbound(&["*://*:*"], ClientTls::default());
    // Twelve gaps are three times the limit on one; the limit is far above one gap.
    let limits = options(LONG, LONG, SHORT * 4);
    assert_eq!(
        outcome(&all, &format!("http://{slow}/"), limits).await,
        "200 HTTP/1.1 xxxxxxxxxxxx"
    );
}

#[tokio::test]
async fn a_private_ca_is_trusted_for_its_host_and_component_only() {
    let server = tls_server(&[]).await;
    let uri = format!("https://{}/", server.address);
    let entry = |components: &str, host: &str| ClientTls {
        entries: vec![ClientTlsEntry {
            component_ids: vec![components.to_owned()],
            hosts: vec![host.to_owned()],
            ..server.entry.clone()
        }],
    };
    for (client_tls, want) in [
        (entry("c", "127.0.0.1"), "200 HTTP/1.1 one"),
        (entry("c", "127.0.0.2"), "TlsProtocolError"),
        (entry("other", "127.0.0.1"), "TlsProtocolError"),
    ] {
        assert_eq!(
            outcome(&outbound(&["*://*:*"], client_tls), &uri, None).await,
            want
        );
    }
}

#[tokio::test]
async fn the_server_chooses_the_protocol() {
    for (alpn, want) in [
        (&[b"h2".as_slice(), b"http/1.1"][..], "200 HTTP/2.0 two"),
        (&[b"http/1.1".as_slice()][..], "200 HTTP/1.1 one"),
        (&[][..], "200 HTTP/1.1 one"),
    ] {
        let server = tls_server(alpn).await;
        let trusting = outbound(
            &["*://*:*"],
            ClientTls {
                entries: vec![server.entry.clone()],
            },
        );
        assert_eq!(
            outcome(&trusting, &format!("https://{}/", server.address), None).await,
            want
        );
    }
}

#[test]
fn host_leaves_the_schemes_own_port_out() {
    for (authority, tls, want) in [
        ("example.org", false, "example.org"),
        ("example.org:80", false, "example.org"),
        ("example.org:443", false, "example.org:443"),
        ("example.org:443", true, "example.org"),
        ("[::1]:8443", true, "[::1]:8443"),
        ("user@example.org:81", false, "example.org:81"),
    ] {
        let target = Target {
            authority: authority.parse().expect(authority),
            path_and_query: PathAndQuery::from_static("/"),
            tls,
        };
        assert_eq!(host_header(&target), want);
    }
}

/// What the host would refuse when the check runs, its settings refuse before.
#[test]
fn a_header_that_the_host_forbids_is_a_mistake_in_the_settings() {
    for name in wasmtime_wasi_http::DEFAULT_FORBIDDEN_HEADERS {
        let get = |key: &str| match key {
            "check" => Some("health".to_owned()),
            "url" => Some("https://hs.example.com/".to_owned()),
            "headers" => Some(format!("{name}: x")),
            _ => None,
        };
        let mistakes = watchbell_core::settings::HttpSettings::read(&get).err();
        let keys: Vec<String> = mistakes
            .unwrap_or_default()
            .into_iter()
            .map(|m| m.key)
            .collect();
        assert_eq!(keys, ["headers"], "{name}");
    }
}
