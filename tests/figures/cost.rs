//! What one HTTP check costs: CPU time of `watchbell up`, beside the floor (hyper, rustls
//! and one SQLite commit a check on one thread), in the same run and at the same pace.
//!
//!     cargo build --release -p watchbell && cargo run --release -p watchbell-lab --example cost
//!
//! N checks every 10 s, spread over the seconds, a new connection each, status and body
//! asserted. CPU is user and system time of the one process, from `/proc`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cpu;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cpu::cpu_s;

const PERIOD_S: u64 = 10;
const WINDOW: Duration = Duration::from_secs(30);
const WARM_UP: Duration = Duration::from_secs(15);
const BODY: &str = r#"{"status":"pass"}"#;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", dir, scheme] => serve(Path::new(dir), scheme == "https"),
        ["floor", dir, url, n] => floor(Path::new(dir), url, n.parse().expect("a number")),
        _ => compare(),
    }
}

fn compare() {
    let me = std::env::current_exe().expect("own path");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let watchbell = std::env::var_os("WATCHBELL_BIN")
        .map_or_else(|| root.join("target/release/watchbell"), PathBuf::from);
    println!("scheme      n   floor ms   watchbell ms   ratio   floor MiB   watchbell MiB");
    for scheme in ["http", "https"] {
        for n in [5_u64, 100, 1000] {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let mut server = piped(Command::new(&me).args(["serve", &text(dir.path()), scheme]));
            let url = first_line(&mut server);
            let mut floor =
                piped(Command::new(&me).args(["floor", &text(dir.path()), &url, &n.to_string()]));
            let floor_cost = measure(&floor, dir.path());
            end(&mut floor);
            manifest(&root, dir.path(), &url, n);
            let mut up = piped(
                Command::new(&watchbell)
                    .args(["up", "--quiet", "--listen", "127.0.0.1:0", "-f"])
                    .args([
                        dir.path().join("spin.toml"),
                        "--runtime-config-file".into(),
                        dir.path().join("runtime.toml"),
                        "--state-dir".into(),
                        dir.path().join("state"),
                    ]),
            );
            let cost = measure(&up, dir.path());
            end(&mut up);
            end(&mut server);
            let (f, w) = (floor_cost.ms, cost.ms);
            println!(
                "{scheme:6} {n:6}   {f:8.3}   {w:12.3}   {:5.2}   {:9.1}   {:13.1}",
                w / f,
                floor_cost.rss_mib,
                cost.rss_mib
            );
        }
    }
}

struct Cost {
    ms: f64,
    rss_mib: f64,
}

/// CPU milliseconds a request over the window.
fn measure(process: &Child, dir: &Path) -> Cost {
    std::thread::sleep(WARM_UP);
    let (cpu, requests, start) = (cpu_s(process.id()), count(dir), Instant::now());
    std::thread::sleep(WINDOW.saturating_sub(start.elapsed()));
    let (cpu, requests) = (cpu_s(process.id()) - cpu, count(dir) - requests);
    assert!(requests > 0, "no request arrived in {WINDOW:?}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("/proc");
    let rss_kib: f64 = status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .and_then(|l| l.split_whitespace().next()?.parse().ok())
        .expect("VmRSS");
    Cost {
        ms: cpu * 1000.0 / requests as f64,
        rss_mib: rss_kib / 1024.0,
    }
}

/// Requests served so far: the server keeps the number in a file.
fn count(dir: &Path) -> u64 {
    let text = std::fs::read_to_string(dir.join("count")).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

fn serve(dir: &Path, tls: bool) {
    let certified =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])
            .expect("a certificate");
    std::fs::write(dir.join("ca.pem"), certified.cert.pem()).expect("writing the certificate");
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der())
        .expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .expect("versions")
    .with_no_client_auth()
    .with_single_cert(vec![certified.cert.der().clone()], key)
    .expect("a server");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr: SocketAddr = listener.local_addr().expect("an address");
    println!(
        "{}://127.0.0.1:{}",
        if tls { "https" } else { "http" },
        addr.port()
    );
    let served = Arc::new(AtomicU64::new(0));
    let (counter, file) = (served.clone(), dir.join("count"));
    std::thread::spawn(move || {
        loop {
            // A folder that is gone means that the measurement has ended.
            if std::fs::write(&file, counter.load(Ordering::Relaxed).to_string()).is_err() {
                std::process::exit(0);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    for stream in listener.incoming().flatten() {
        let (config, served) = (config.clone(), served.clone());
        std::thread::spawn(move || {
            let answered = if tls {
                let connection = rustls::ServerConnection::new(config).expect("a connection");
                answer(rustls::StreamOwned::new(connection, stream))
            } else {
                answer(stream)
            };
            served.fetch_add(u64::from(answered), Ordering::Relaxed);
        });
    }
}

fn answer(mut stream: impl Read + Write) -> bool {
    let mut request = Vec::new();
    let mut chunk = [0; 2048];
    while !request.windows(4).any(|w| w == b"\r\n\r\n") {
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => request.extend_from_slice(&chunk[..n]),
            _ => return false,
        }
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{BODY}",
        BODY.len()
    );
    let written = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.flush())
        .is_ok();
    let _ = stream.read(&mut chunk);
    written
}

/// One thread, one connection a check, one commit a check.
fn floor(dir: &Path, url: &str, n: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let db = rusqlite::Connection::open(dir.join("floor.db")).expect("a database");
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
             CREATE TABLE t (store TEXT, key TEXT, value BLOB, PRIMARY KEY (store, key));",
        )
        .expect("a table");
        let mut roots = rustls::RootCertStore::empty();
        let pem = std::fs::read(dir.join("ca.pem")).expect("the certificate");
        for der in certificates(&pem) {
            roots.add(der).expect("a root");
        }
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
        let tls = tokio_rustls::TlsConnector::from(Arc::new(tls));
        let https = url.starts_with("https");
        let addr: SocketAddr = url
            .split_once("://")
            .expect("a URL")
            .1
            .parse()
            .expect("an address");
        // The same pace as cron has: what falls to a second begins with it.
        for second in 0_u64.. {
            let next = tokio::time::Instant::now() + Duration::from_secs(1);
            for check in (0..n).filter(|c| c % PERIOD_S == second % PERIOD_S) {
                let stream = tokio::net::TcpStream::connect(addr)
                    .await
                    .expect("connected");
                let body = if https {
                    let name =
                        rustls::pki_types::ServerName::try_from("127.0.0.1").expect("a name");
                    ask(tls.connect(name, stream).await.expect("TLS"), addr).await
                } else {
                    ask(stream, addr).await
                };
                assert_eq!(body, BODY);
                db.prepare("INSERT OR REPLACE INTO t VALUES ('default', ?1, ?2)")
                    .and_then(|mut s| s.execute((format!("monitor/{check}"), body.as_bytes())))
                    .expect("committed");
            }
            tokio::time::sleep_until(next).await;
        }
    });
}

async fn ask(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    addr: SocketAddr,
) -> String {
    use http_body_util::{BodyExt, Empty};
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io)
        .await
        .expect("HTTP");
    tokio::spawn(connection);
    let request = hyper::Request::get("/health")
        .header("host", addr.to_string())
        .body(Empty::<hyper::body::Bytes>::new())
        .expect("a request");
    let response = sender.send_request(request).await.expect("a response");
    assert_eq!(response.status(), 200);
    let body = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    String::from_utf8(body.to_vec()).expect("text")
}

fn certificates(pem: &[u8]) -> Vec<rustls::pki_types::CertificateDer<'static>> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .expect("PEM")
}

fn manifest(root: &Path, dir: &Path, url: &str, n: u64) {
    let wasm = root.join("target/wasm32-wasip2/guest/http_check.wasm");
    let mut toml = String::from(
        "spin_manifest_version = 2\n[application]\nname = \"cost\"\nversion = \"0.1.0\"\n",
    );
    for i in 0..n {
        let offset = i % PERIOD_S;
        let seconds: Vec<String> = (0..6)
            .map(|k| (offset + k * PERIOD_S).to_string())
            .collect();
        toml.push_str(&format!(
            r#"
[[trigger.cron]]
component = "c{i}"
cron_expression = "{seconds} * * * * *"
[component.c{i}]
source = {wasm:?}
allowed_outbound_hosts = ["{url}"]
key_value_stores = ["default"]
[component.c{i}.variables]
check = "c{i}"
interval = "10s"
retry_interval = "10s"
firing_interval = "10s"
timeout = "4s"
url = "{url}/health"
expect_status = "200"
expect_json = '/status = "pass"'
"#,
            seconds = seconds.join(","),
        ));
    }
    std::fs::write(dir.join("spin.toml"), toml).expect("the manifest");
    let runtime = format!(
        "[outbound_http]\nconnection_pooling = false\n[[client_tls]]\ncomponent_ids = [{}]\nhosts = [\"127.0.0.1\"]\nca_roots_file = {:?}\nca_use_webpki_roots = false\n",
        (0..n)
            .map(|i| format!("\"c{i}\""))
            .collect::<Vec<_>>()
            .join(","),
        dir.join("ca.pem"),
    );
    std::fs::write(dir.join("runtime.toml"), runtime).expect("the runtime config");
}

fn piped(command: &mut Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("started")
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("its output"))
        .read_line(&mut line)
        .expect("a line");
    let url = line.trim().to_owned();
    let addr = url.split_once("://").expect("a URL").1;
    TcpStream::connect(addr).expect("the server listens");
    url
}

fn end(child: &mut Child) {
    child.kill().expect("ended");
    child.wait().expect("reaped");
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}
