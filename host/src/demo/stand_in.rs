//! A server that answers as a healthy Headscale does, and can be broken.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use watchbell_protocol::noise::server as noise;
use watchbell_protocol::{Buffered, control, derp};

/// Of its control server and of its relay.
const PRIVATE_KEY: [u8; 32] = [0x48; 32];

/// Serves until the process ends.
pub struct StandIn {
    state: Arc<State>,
    address: SocketAddr,
}

#[derive(Default)]
struct State {
    database_down: AtomicBool,
    crashed: AtomicBool,
    requests: Mutex<usize>,
    more_requests: Condvar,
    /// Which listener is the present one: an older thread ends.
    generation: AtomicUsize,
}

impl StandIn {
    pub fn start() -> anyhow::Result<Self> {
        let state = Arc::new(State::default());
        let address = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &state)?;
        Ok(Self { state, address })
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn database(&self, up: bool) {
        self.state.database_down.store(!up, Ordering::Relaxed);
    }

    /// Closes the listener, so that connections are refused.
    pub fn crash(&self) -> anyhow::Result<()> {
        self.state.crashed.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for a connection; it then ends.
        TcpStream::connect(self.address)
            .map(drop)
            .context("stopping the stand-in")
    }

    pub fn restart(&self) -> anyhow::Result<()> {
        self.state.crashed.store(false, Ordering::Relaxed);
        self.state.generation.fetch_add(1, Ordering::Relaxed);
        listen(self.address, &self.state).map(drop)
    }

    /// Whether so many requests have come within the time.
    pub fn wait_for_requests(&self, enough: usize, time: Duration) -> bool {
        let Ok(requests) = self.state.requests.lock() else {
            return false;
        };
        let waited = self
            .state
            .more_requests
            .wait_timeout_while(requests, time, |n| *n < enough);
        waited.is_ok_and(|(_, result)| !result.timed_out())
    }
}

impl State {
    fn count(&self) {
        if let Ok(mut requests) = self.requests.lock() {
            *requests += 1;
            self.more_requests.notify_all();
        }
    }
}

fn listen(address: SocketAddr, state: &Arc<State>) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address).context("starting the stand-in")?;
    let address = listener.local_addr().context("starting the stand-in")?;
    let state = state.clone();
    let generation = state.generation.load(Ordering::Relaxed);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let stale = state.generation.load(Ordering::Relaxed) != generation;
            if stale || state.crashed.load(Ordering::Relaxed) {
                return;
            }
            // A client that goes away early is no concern of a stand-in.
            let _ = answer(stream, &state);
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream, state: &State) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut request = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    // The port check connects and says nothing.
    if reader.read_line(&mut request)? == 0 {
        return Ok(());
    }
    let mut header = String::new();
    let mut handshake = None;
    let mut upgrades = false;
    while reader.read_line(&mut header)? > 2 {
        let (name, value) = header.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "upgrade" => upgrades = true,
            "x-tailscale-handshake" => handshake = STANDARD.decode(value.trim()).ok(),
            _ => {}
        }
        header.clear();
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    state.count();
    match (path, handshake) {
        ("/ts2021", Some(initiation)) => return enter(stream, &initiation),
        (derp::PATH, _) if upgrades => return relay(stream),
        _ => {}
    }
    let key = control::ServerKey(noise::public(&PRIVATE_KEY));
    let key = format!(
        r#"{{"legacyPublicKey":"mkey:{}","publicKey":"{key}"}}"#,
        "0".repeat(64)
    );
    let database_down = state.database_down.load(Ordering::Relaxed);
    let (status, kind, body) = match path {
        "/health" if database_down => (
            "500 Internal Server Error",
            "application/health+json",
            r#"{"status":"fail"}"#,
        ),
        "/health" => ("200 OK", "application/health+json", r#"{"status":"pass"}"#),
        "/derp" => (
            "426 Upgrade Required",
            "text/plain",
            "DERP requires connection upgrade",
        ),
        derp::PROBE_PATH => ("200 OK", "text/plain", ""),
        _ if path.starts_with("/key?v=") => ("200 OK", "application/json", key.as_str()),
        _ => ("404 Not Found", "text/plain", ""),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\naccess-control-allow-origin: *\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The control protocol up to the server's first word.
fn enter(mut stream: TcpStream, initiation: &[u8]) -> std::io::Result<()> {
    let Some((answer, mut transport)) = noise::respond(&PRIVATE_KEY, initiation) else {
        return Ok(());
    };
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: {}\r\nconnection: upgrade\r\n\r\n",
        control::PROTOCOL
    )?;
    let mut stream = Buffered::new(stream);
    stream.send(&answer)?;
    let said = transport.write(&mut stream, &control::early());
    said.map_err(|fault| std::io::Error::other(fault.detail))
}

/// A relay that verifies its clients: it shows its key, and closes on who is not one.
fn relay(mut stream: TcpStream) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: DERP\r\nconnection: upgrade\r\n\r\n"
    )?;
    stream.write_all(&derp::server::greeting(&PRIVATE_KEY))?;
    let mut introduction = [0; 256];
    stream.read(&mut introduction).map(drop)
}
