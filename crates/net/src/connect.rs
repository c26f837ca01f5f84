//! Connects to the first address that answers, or to one of each family.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use wasi::io::poll::Pollable;
use wasi::sockets::instance_network::instance_network;
use wasi::sockets::network::{ErrorCode, Network};
use wasi::sockets::tcp::TcpSocket;
use wasi::sockets::tcp_create_socket::create_tcp_socket;
use watchbell_core::outcome::{Kind, Outcome};
use watchbell_core::settings::Family;
use watchbell_guest::Deadline;

use crate::address;
use crate::stream::TcpStream;

/// The next address is tried beside a silent one after this (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses tried; a name with more has the rest left out.
const ADDRESSES_MAX: usize = 16;

/// A connection, and what became of every address that was tried.
pub struct Connected {
    pub stream: TcpStream,
    pub peer: SocketAddr,
    pub attempts: Vec<Attempt>,
}

/// One address that was tried and has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub address: SocketAddr,
    pub elapsed: Duration,
    /// `None` when it connected.
    pub failure: Option<(Kind, &'static str)>,
}

/// Connects as `family` asks. With [`Family::Both`] each family must answer; the
/// stream is then that of IPv6. The error names every address and is of the most
/// telling kind: refused before unreachable before silent.
pub fn connect(
    addresses: &[IpAddr],
    port: u16,
    family: Family,
    deadline: Deadline,
) -> Result<Connected, Outcome> {
    let of =
        |wanted: fn(&IpAddr) -> bool| addresses.iter().copied().filter(wanted).collect::<Vec<_>>();
    if family != Family::Both {
        let list = interleave(&of(IpAddr::is_ipv6), &of(IpAddr::is_ipv4));
        return race(&list, port, deadline).map_err(|attempts| all_failed(&attempts));
    }
    let half = deadline.within(deadline.remaining() / 2);
    let v4 = race(&of(IpAddr::is_ipv4), port, half);
    let v6 = race(&of(IpAddr::is_ipv6), port, deadline);
    match (v4, v6) {
        (Ok(v4), Ok(mut v6)) => {
            v6.attempts.extend(v4.attempts);
            Ok(v6)
        }
        (Err(attempts), Ok(_)) => Err(all_failed(&attempts).and("IPv6 connects")),
        (Ok(_), Err(attempts)) => Err(all_failed(&attempts).and("IPv4 connects")),
        (Err(mut a), Err(b)) => {
            a.extend(b);
            Err(all_failed(&a))
        }
    }
}

/// IPv6 first, then in turn (RFC 8305, section 4).
fn interleave(v6: &[IpAddr], v4: &[IpAddr]) -> Vec<IpAddr> {
    let mut list = Vec::with_capacity(v6.len() + v4.len());
    for i in 0..v6.len().max(v4.len()) {
        list.extend(v6.get(i));
        list.extend(v4.get(i));
    }
    list.truncate(ADDRESSES_MAX);
    list
}

struct Running {
    // The pollable is a child of the socket and goes first.
    pollable: Pollable,
    socket: TcpSocket,
    address: SocketAddr,
    left_at_start: Duration,
}

/// Starts one after the other, each a stagger after the last or at once when it has
/// failed; the first that connects wins.
fn race(addresses: &[IpAddr], port: u16, deadline: Deadline) -> Result<Connected, Vec<Attempt>> {
    let network = instance_network();
    let mut waiting = addresses.iter().map(|ip| SocketAddr::new(*ip, port));
    let mut running: Vec<Running> = Vec::new();
    let mut ended: Vec<Attempt> = Vec::new();
    loop {
        if let Some(address) = waiting.next() {
            match start(&network, address, deadline) {
                Ok(attempt) => running.push(attempt),
                Err(code) => {
                    let failure = Some(address::meaning(code));
                    ended.push(Attempt {
                        address,
                        elapsed: Duration::ZERO,
                        failure,
                    });
                    continue;
                }
            }
        } else if running.is_empty() {
            return Err(ended);
        }
        // With nobody left to start, the whole deadline; else the stagger.
        let until = if waiting.len() > 0 {
            deadline.within(STAGGER)
        } else {
            deadline
        };
        loop {
            let pollables: Vec<&Pollable> = running.iter().map(|r| &r.pollable).collect();
            let Ok(index) = until.wait_any(&pollables) else {
                break;
            };
            let elapsed = running[index]
                .left_at_start
                .saturating_sub(deadline.remaining());
            match running[index].socket.finish_connect() {
                Err(ErrorCode::WouldBlock) => {}
                Ok((input, output)) => {
                    let Running {
                        socket,
                        address,
                        pollable,
                        ..
                    } = running.swap_remove(index);
                    drop(pollable);
                    ended.push(Attempt {
                        address,
                        elapsed,
                        failure: None,
                    });
                    let stream = TcpStream::new(socket, input, output, deadline);
                    return Ok(Connected {
                        stream,
                        peer: address,
                        attempts: ended,
                    });
                }
                Err(code) => {
                    let failure = Some(address::meaning(code));
                    let address = running.swap_remove(index).address;
                    ended.push(Attempt {
                        address,
                        elapsed,
                        failure,
                    });
                    break;
                }
            }
        }
        if deadline.remaining().is_zero() {
            ended.extend(running.drain(..).map(|r| Attempt {
                address: r.address,
                elapsed: r.left_at_start,
                failure: Some(address::meaning(ErrorCode::Timeout)),
            }));
            return Err(ended);
        }
    }
}

fn start(network: &Network, address: SocketAddr, deadline: Deadline) -> Result<Running, ErrorCode> {
    let socket = create_tcp_socket(address::family(address.ip()))?;
    socket.start_connect(network, address::to_host(address))?;
    Ok(Running {
        pollable: socket.subscribe(),
        socket,
        address,
        left_at_start: deadline.remaining(),
    })
}

fn all_failed(attempts: &[Attempt]) -> Outcome {
    let rank = |kind: Kind| match kind {
        Kind::ConnectRefused => 0,
        Kind::Unreachable => 1,
        Kind::ConnectTimeout => 2,
        Kind::Denied => 3,
        _ => 4,
    };
    let failures = || {
        attempts
            .iter()
            .filter_map(|a| a.failure.map(|(kind, words)| (a.address, kind, words)))
    };
    let Some(kind) = failures().map(|(_, kind, _)| kind).min_by_key(|k| rank(*k)) else {
        return Outcome::failed(Kind::Dns, "resolving: no address of the wanted family")
            .reason("no-address");
    };
    let words: Vec<String> = failures()
        .map(|(address, _, words)| format!("connecting to {:?}: {words}", address.to_string()))
        .collect();
    Outcome::failed(kind, words.join("; "))
}
