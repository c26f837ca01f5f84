//! A DNS server on loopback, UDP and TCP on one port, that answers as it is told,
//! or lies in one of the ways that a resolver must see through.

mod message;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::server::Server;
use message::{Question, Reply};

const MESSAGE_BYTES_MAX: usize = 65_535;
/// UDP and TCP must get the same number; another process may hold one of them.
const BIND_ATTEMPTS_MAX: usize = 32;

/// The true answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The addresses of the family asked for; none of it is NODATA.
    Addresses(Vec<IpAddr>),
    NxDomain,
    /// The name exists, an address does not.
    NoData,
    ServFail,
    /// Nothing at all.
    Silent,
    /// Nothing over UDP, whole over TCP.
    OverTcp(Vec<IpAddr>),
    /// Cut over UDP, whole over TCP.
    Truncated(Vec<IpAddr>),
    /// So many aliases, then the addresses.
    Aliases(usize, Vec<IpAddr>),
    /// An alias of itself.
    AliasLoop,
    /// A name whose compression points at itself.
    CompressionLoop,
    Garbage,
}

/// A false answer that comes before the true one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoy {
    WrongId,
    WrongQuestion,
    /// The right question, and an answer about another name.
    WrongOwner,
    /// Right in everything, from another port.
    OtherPort,
}

/// Where decoys point: nothing listens there.
pub const DECOY_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 66, 66, 66));

pub struct Dns {
    addr: SocketAddr,
    shared: Arc<Shared>,
    udp: Option<JoinHandle<()>>,
    _tcp: Server,
}

struct Shared {
    now: Mutex<Now>,
}

struct Now {
    answer: Answer,
    decoy: Option<Decoy>,
    queries_udp: usize,
    queries_tcp: usize,
    stop: bool,
}

impl Dns {
    /// On 127.0.0.1, at any port.
    pub fn start(answer: Answer) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), answer)
    }

    /// As [`start`](Self::start), at that address; port 0 for any.
    pub fn start_at(at: SocketAddr, answer: Answer) -> Self {
        let shared = Arc::new(Shared {
            now: Mutex::new(Now {
                answer,
                decoy: None,
                queries_udp: 0,
                queries_tcp: 0,
                stop: false,
            }),
        });
        let (tcp, socket) = (0..BIND_ATTEMPTS_MAX)
            .find_map(|_| {
                let theirs = shared.clone();
                let tcp = Server::start_at(at, move |stream| theirs.serve_tcp(stream));
                let udp = UdpSocket::bind(tcp.addr()).ok()?;
                Some((tcp, udp))
            })
            .unwrap();
        let theirs = shared.clone();
        Self {
            addr: tcp.addr(),
            shared,
            udp: Some(std::thread::spawn(move || theirs.serve_udp(&socket))),
            _tcp: tcp,
        }
    }

    /// As `dns_resolver` has it.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn answer(&self, answer: Answer) {
        self.shared.now.lock().unwrap().answer = answer;
    }

    /// Sends a false answer first, from now on.
    pub fn decoy(&self, decoy: Option<Decoy>) {
        self.shared.now.lock().unwrap().decoy = decoy;
    }

    /// Queries so far, over UDP and over TCP.
    pub fn queries(&self) -> (usize, usize) {
        let now = self.shared.now.lock().unwrap();
        (now.queries_udp, now.queries_tcp)
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.shared.now.lock().unwrap().stop = true;
        // Wakes the thread, which then sees that it is to stop.
        if let Ok(waker) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) {
            let _ = waker.send_to(&[], self.addr);
        }
        if let Some(udp) = self.udp.take() {
            udp.join().unwrap();
        }
    }
}

impl Shared {
    fn serve_udp(&self, socket: &UdpSocket) {
        let elsewhere = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        while let Ok((n, client)) = socket.recv_from(&mut buffer) {
            let (answer, decoy) = {
                let mut now = self.now.lock().unwrap();
                if now.stop {
                    return;
                }
                now.queries_udp += 1;
                (now.answer.clone(), now.decoy)
            };
            let Some(question) = Question::read(&buffer[..n]) else {
                continue;
            };
            // The client may be gone; a server does not care.
            if let Some(decoy) = decoy {
                let from = if decoy == Decoy::OtherPort {
                    &elsewhere
                } else {
                    socket
                };
                let _ = from.send_to(&question.decoy(decoy), client);
            }
            if let Reply::Bytes(bytes) = question.reply(&answer, true) {
                let _ = socket.send_to(&bytes, client);
            }
        }
    }

    fn serve_tcp(&self, mut stream: TcpStream) {
        let mut length = [0; 2];
        while stream.read_exact(&mut length).is_ok() {
            let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
            if stream.read_exact(&mut query).is_err() {
                return;
            }
            let answer = {
                let mut now = self.now.lock().unwrap();
                now.queries_tcp += 1;
                now.answer.clone()
            };
            let Some(question) = Question::read(&query) else {
                return;
            };
            let Reply::Bytes(bytes) = question.reply(&answer, false) else {
                continue;
            };
            let Ok(length) = u16::try_from(bytes.len()) else {
                return;
            };
            if stream.write_all(&length.to_be_bytes()).is_err() || stream.write_all(&bytes).is_err()
            {
                return;
            }
        }
    }
}
