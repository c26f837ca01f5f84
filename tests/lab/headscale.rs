//! A stand-in for Headscale v0.29 that answers as the real one was seen to, and for
//! what can stand in front of it. Its state is switched while it runs.

mod answers;
mod upgraded;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use self::answers::Reply;
use crate::chain::{AUTHORITY, Chain};
use crate::server::{Gate, Server};
use crate::wire::{Stream, read_request};

/// The public key of the stand-in, until it is lost.
pub const KEY: &str = "mkey:9177b23278cbf0f3d17c36f2acc9b55e9c85f87b220a5386ec370d663e20e337";
/// The key of the Headscale that came after it.
pub const OTHER_KEY: &str = "mkey:5590e18b13045370235f1719ab8448c3c0a39a269bfc86ded297b1fa1bf4ac30";

/// The private keys to them.
const PRIVATE: [u8; 32] = [0x48; 32];
const OTHER_PRIVATE: [u8; 32] = [0x4f; 32];

/// What Headscale, or what stands before it, does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Healthy,
    /// `/health` 500, everything else as healthy.
    DatabaseDown,
    /// `/derp` and all below it 404: the embedded relay is switched off.
    DerpDisabled,
    /// `/derp` and all below it 200 with a blank page, as v0.28 answers, or a proxy's own page.
    DerpBlank,
    /// Accepts, and does nothing more: no handshake, no answer.
    Hung,
    /// Agrees on TLS, takes the request, and never answers.
    Stalled,
    /// The proxy's page: 502 behind nginx and Caddy, 503 behind HAProxy, 504 when hung.
    Proxy(u16),
    /// The same, after so many milliseconds: HAProxy queues before it gives up.
    SlowProxy(u16, u64),
    /// A proxy speaks plain HTTP to a Headscale with TLS: 400 for every path.
    HttpToHttps,
    /// Caddy without a matching route: 200 and nothing, for every path.
    EmptyEverything,
    /// The relay takes packets and hands none over.
    DerpMute,
    /// A proxy takes `Upgrade` away.
    UpgradeStripped,
    /// nginx that forces `Upgrade: websocket`: `/ts2021` 405, `/derp` upgraded as ever, and
    /// never answered where no upgrade was asked for.
    ForcedWebsocket,
    /// `/ts2021` is served by another Headscale than `/key`.
    SplitBackends,
    /// Clients as old as the check's are closed upon.
    WantsNewer,
    /// `/key` answered by somebody else.
    KeyMisrouted(Misroute),
    /// The private key was lost and made anew.
    OtherKey,
    /// A key of zeros.
    ZeroKey,
    /// v0.28: 200 and a blank page for every path.
    BlankEverything,
    /// 500 for every path: an upgrade whose migration failed.
    FailingEverything,
    /// `/health` as v0.6 to v0.16 answered.
    OldHealth,
    /// Bytes that are no HTTP.
    Garbage,
    /// A true answer, one byte a second.
    Trickle,
    /// `/health` with a body that never ends.
    EndlessBody,
    /// Headers that never end.
    EndlessHeaders,
    /// To a login page.
    Redirect,
    /// Closes without an answer.
    Closes,
}

/// What `/key` meets behind a proxy that routes it elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misroute {
    NotFound,
    BadGateway,
    Page,
}

/// What the port speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    Http,
    Https(Chain),
    /// TLS 1.3 is refused.
    Https12(Chain),
}

pub struct Headscale {
    server: Server,
    shared: Arc<Shared>,
}

struct Shared {
    now: Mutex<Now>,
    relay: upgraded::Relay,
}

struct Now {
    state: State,
    /// `path` answers so for so many requests, whatever the state is.
    exception: Option<(&'static str, State, usize)>,
    tls: Option<Arc<ServerConfig>>,
    requests: HashMap<String, usize>,
    asked_at: HashMap<String, Instant>,
}

impl Headscale {
    pub fn start(speaks: Speaks) -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST.into(), speaks)
    }

    /// As [`start`](Self::start), on another address of this machine.
    pub fn start_on(ip: IpAddr, speaks: Speaks) -> Self {
        let shared = Arc::new(Shared {
            now: Mutex::new(Now {
                state: State::Healthy,
                exception: None,
                tls: tls(speaks),
                requests: HashMap::new(),
                asked_at: HashMap::new(),
            }),
            relay: upgraded::Relay::default(),
        });
        let theirs = shared.clone();
        Self {
            server: Server::start_at((ip, 0).into(), move |stream| theirs.serve(stream)),
            shared,
        }
    }

    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Switches what is answered, from the next connection on.
    pub fn state(&self, state: State) {
        self.shared.now.lock().unwrap().state = state;
    }

    /// Lets `path` answer as in `state` for exactly so many requests.
    pub fn except(&self, path: &'static str, state: State, requests: usize) {
        self.shared.now.lock().unwrap().exception = Some((path, state, requests));
    }

    /// Switches the certificate, or TLS itself.
    pub fn speaks(&self, speaks: Speaks) {
        self.shared.now.lock().unwrap().tls = tls(speaks);
    }

    /// Opens, refuses or drops.
    pub fn gate(&self, gate: Gate) {
        self.server.gate(gate);
    }

    /// Requests for `path` so far, its query apart.
    pub fn requests(&self, path: &str) -> usize {
        let now = self.shared.now.lock().unwrap();
        now.requests.get(path).copied().unwrap_or_default()
    }

    /// When `path` was last asked for: where the time to an alert begins.
    pub fn asked_at(&self, path: &str) -> Option<Instant> {
        self.shared.now.lock().unwrap().asked_at.get(path).copied()
    }
}

fn tls(speaks: Speaks) -> Option<Arc<ServerConfig>> {
    match speaks {
        Speaks::Http => None,
        Speaks::Https(chain) => Some(AUTHORITY.server(chain, false)),
        Speaks::Https12(chain) => Some(AUTHORITY.server(chain, true)),
    }
}

impl Shared {
    fn serve(&self, tcp: TcpStream) {
        let (state, tls) = {
            let now = self.now.lock().unwrap();
            (now.state, now.tls.clone())
        };
        if state == State::Hung {
            return drain(&tcp);
        }
        let Some(config) = tls else {
            let mut stream = &tcp;
            self.answer(&mut stream, &tcp);
            let _ = tcp.shutdown(Shutdown::Write);
            return drain(&tcp);
        };
        let mut first = [0];
        // 0x16 begins a TLS record: anything else is plain HTTP, and is told so.
        if matches!(tcp.peek(&mut first), Ok(1) if first[0] != 0x16) {
            let _ = (&tcp).write_all(answers::HTTP_TO_HTTPS);
            let _ = tcp.shutdown(Shutdown::Write);
            return drain(&tcp);
        }
        let Ok(connection) = ServerConnection::new(config) else {
            return;
        };
        let Ok(handle) = tcp.try_clone() else {
            return;
        };
        let mut stream = StreamOwned::new(connection, tcp);
        self.answer(&mut stream, &handle);
        stream.conn.send_close_notify();
        let _ = stream.flush();
        let _ = stream.sock.shutdown(Shutdown::Write);
        drain(&stream.sock);
    }

    fn answer(&self, stream: &mut dyn Stream, tcp: &TcpStream) {
        // A client that only connects, or breaks off, needs no answer.
        let Ok(request) = read_request(stream) else {
            return;
        };
        let path = request.path.split('?').next().unwrap_or("/").to_owned();
        let state = self.now.lock().unwrap().take(&path);
        // The client may hang up at any time; that is its right.
        let _ = match answers::answer(state, &request, &path) {
            Reply::Control(private, version_min) => {
                upgraded::enter(stream, &request, private, version_min)
            }
            Reply::Relay(manner) => self.relay.serve(stream, tcp, manner),
            Reply::Response(response) => answers::write(stream, state, &response, &path),
        };
    }
}

impl Now {
    fn take(&mut self, path: &str) -> State {
        *self.requests.entry(path.to_owned()).or_default() += 1;
        self.asked_at.insert(path.to_owned(), Instant::now());
        match &mut self.exception {
            Some((its_path, state, left)) if *its_path == path && *left > 0 => {
                *left -= 1;
                *state
            }
            _ => self.state,
        }
    }
}

/// Reads until the client closes: closing with unread bytes would reset the
/// connection, and the client could lose an answer that was sent.
fn drain(mut tcp: &TcpStream) {
    let mut sink = [0; 4096];
    while matches!(tcp.read(&mut sink), Ok(n) if n > 0) {}
}
