//! Connects to the first address that answers, or to one of each family.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use wasi::io::poll::Pollable;
use wasi::io::streams::{InputStream, OutputStream};
use wasi::sockets::instance_network::instance_network;
use wasi::sockets::network::{ErrorCode, Network};
use wasi::sockets::tcp::TcpSocket;
use wasi::sockets::tcp_create_socket::create_tcp_socket;
use watchbell_core::outcome::{Kind, Outcome};
use watchbell_core::settings::Family;
use watchbell_guest::Deadline;

use crate::address;
use crate::stream::TcpStream;

/// The next address is tried beside a silent one after this (RFC 8305, section 5), or
/// sooner where the time would not do for all of them.
const STAGGER: Duration = Duration::from_millis(250);

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

/// No connection, or not one of each family where both are asked for.
#[derive(Debug)]
pub struct Unconnected {
    pub outcome: Outcome,
    pub attempts: Vec<Attempt>,
}

impl From<Box<Unconnected>> for Outcome {
    fn from(unconnected: Box<Unconnected>) -> Self {
        unconnected.outcome
    }
}

/// Connects as `family` asks. With [`Family::Both`] each family must answer; the
/// stream is then that of IPv6. The outcome of a failure names every address, and its
/// kind is the most telling one: refused, then silent, unreachable, denied.
pub fn connect(
    addresses: &[IpAddr],
    port: u16,
    family: Family,
    deadline: Deadline,
) -> Result<Connected, Box<Unconnected>> {
    let (v6, v4) = split(addresses);
    let fail = |outcome, attempts| Err(Box::new(Unconnected { outcome, attempts }));
    let list = match family {
        Family::Any => interleave(&v6, &v4),
        Family::Ipv6 => v6,
        Family::Ipv4 => v4,
        Family::Both => {
            // Half of the time for each: what is silent must not hide the other.
            let first = race(&v4, port, deadline.within(deadline.remaining() / 2));
            let second = race(&v6, port, deadline);
            return match (first, second) {
                (Ok(v4), Ok(mut v6)) => {
                    v6.attempts.extend(v4.attempts);
                    Ok(v6)
                }
                (Err(failed), Ok(v6)) => {
                    let outcome = all_failed(&failed, "IPv4").and("IPv6 connects");
                    fail(outcome, [failed, v6.attempts].concat())
                }
                (Ok(v4), Err(failed)) => {
                    let outcome = all_failed(&failed, "IPv6").and("IPv4 connects");
                    fail(outcome, [failed, v4.attempts].concat())
                }
                (Err(v4), Err(v6)) => {
                    let attempts = [v6, v4].concat();
                    fail(all_failed(&attempts, "either"), attempts)
                }
            };
        }
    };
    race(&list, port, deadline).or_else(|attempts| fail(all_failed(&attempts, "wanted"), attempts))
}

fn split(addresses: &[IpAddr]) -> (Vec<IpAddr>, Vec<IpAddr>) {
    addresses.iter().copied().partition(IpAddr::is_ipv6)
}

/// IPv6 first, then in turn (RFC 8305, section 4).
fn interleave(v6: &[IpAddr], v4: &[IpAddr]) -> Vec<IpAddr> {
    let mut list = Vec::with_capacity(v6.len() + v4.len());
    for i in 0..v6.len().max(v4.len()) {
        list.extend(v6.get(i));
        list.extend(v4.get(i));
    }
    list
}

struct Running {
    // The pollable is a child of the socket and goes first.
    pollable: Pollable,
    socket: TcpSocket,
    address: SocketAddr,
    left_at_start: Duration,
}

impl Running {
    fn end(
        self,
        failure: Option<(Kind, &'static str)>,
        deadline: Deadline,
    ) -> (TcpSocket, Attempt) {
        let attempt = Attempt {
            address: self.address,
            elapsed: self.left_at_start.saturating_sub(deadline.remaining()),
            failure,
        };
        (self.socket, attempt)
    }
}

/// Starts one after the other, each a stagger after the last or at once when one has
/// failed; the first that connects wins.
fn race(addresses: &[IpAddr], port: u16, deadline: Deadline) -> Result<Connected, Vec<Attempt>> {
    let network = instance_network();
    let mut waiting = addresses.iter().map(|ip| SocketAddr::new(*ip, port));
    // A DNS answer holds a bounded number of addresses: the cast is exact.
    let stagger = STAGGER.min(deadline.remaining() / (addresses.len() as u32 + 1));
    let mut running: Vec<Running> = Vec::new();
    let mut ended: Vec<Attempt> = Vec::new();
    loop {
        match waiting.next() {
            Some(address) => match start(&network, address, deadline) {
                Ok(attempt) => running.push(attempt),
                Err(code) => {
                    ended.push(Attempt {
                        address,
                        elapsed: Duration::ZERO,
                        failure: Some(address::meaning(code)),
                    });
                    continue;
                }
            },
            None if running.is_empty() => return Err(ended),
            None => {}
        }
        // With nobody left to start, the whole deadline.
        let until = match waiting.len() {
            0 => deadline,
            _ => deadline.within(stagger),
        };
        if let Some((ender, result)) = next_ended(&mut running, until) {
            match result {
                Ok((input, output)) => {
                    let (socket, attempt) = ender.end(None, deadline);
                    let peer = attempt.address;
                    ended.push(attempt);
                    return Ok(Connected {
                        stream: TcpStream::new(socket, input, output, deadline),
                        peer,
                        attempts: ended,
                    });
                }
                Err(code) => ended.push(ender.end(Some(address::meaning(code)), deadline).1),
            }
        }
        if deadline.remaining().is_zero() {
            let silent = Some(address::meaning(ErrorCode::Timeout));
            ended.extend(running.into_iter().map(|r| r.end(silent, deadline).1));
            return Err(ended);
        }
    }
}

type Ended = Result<(InputStream, OutputStream), ErrorCode>;

/// The first that connects or fails by then.
fn next_ended(running: &mut Vec<Running>, until: Deadline) -> Option<(Running, Ended)> {
    loop {
        let pollables: Vec<&Pollable> = running.iter().map(|r| &r.pollable).collect();
        let index = until.wait_any(&pollables).ok()?;
        match running.get(index)?.socket.finish_connect() {
            // Woken for nothing; a host that goes on so must not keep us.
            Err(ErrorCode::WouldBlock) if until.remaining().is_zero() => return None,
            Err(ErrorCode::WouldBlock) => {}
            // The host's own denial comes from `start_connect`. This one is the network's:
            // ICMPv6 "administratively prohibited" is EACCES on Linux.
            Err(ErrorCode::AccessDenied) => {
                return Some((
                    running.swap_remove(index),
                    Err(ErrorCode::RemoteUnreachable),
                ));
            }
            result => return Some((running.swap_remove(index), result)),
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

/// Of several failures the one that says most about the target gives the kind. A
/// refusal comes from the target. Silence comes before unreachable, because a node
/// without IPv6 finds every IPv6 address unreachable, whatever ails the target; and a
/// denied address has not been tried at all. `family` is said where there is no address.
fn all_failed(attempts: &[Attempt], family: &str) -> Outcome {
    let failures = || {
        attempts
            .iter()
            .filter_map(|a| a.failure.map(|(kind, words)| (a.address, kind, words)))
    };
    let Some(kind) = failures()
        .map(|(_, kind, _)| kind)
        .min_by_key(|k| telling(*k))
    else {
        let detail = format!("connecting: no address of the {family} family");
        return Outcome::failed(Kind::Dns, detail).reason("no-address");
    };
    let words: Vec<String> = failures()
        .map(|(address, _, words)| format!("connecting to {:?}: {words}", address.to_string()))
        .collect();
    Outcome::failed(kind, words.join("; "))
}

/// How much a failure tells of the target, the most telling first.
pub fn telling(kind: Kind) -> u8 {
    match kind {
        Kind::ConnectRefused => 0,
        Kind::ConnectTimeout | Kind::Timeout => 1,
        Kind::Unreachable => 2,
        Kind::Denied => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(text: &str) -> Vec<IpAddr> {
        text.split_whitespace()
            .map(|t| t.parse().unwrap())
            .collect()
    }

    #[test]
    fn addresses_take_turns_ipv6_first() {
        for (given, want) in [
            ("", ""),
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1 ::1", "::1 192.0.2.1"),
            ("192.0.2.1 192.0.2.2 ::1", "::1 192.0.2.1 192.0.2.2"),
            ("::1 ::2 ::3 192.0.2.1", "::1 192.0.2.1 ::2 ::3"),
        ] {
            let (v6, v4) = split(&ips(given));
            assert_eq!(interleave(&v6, &v4), ips(want), "{given:?}");
        }
    }

    #[test]
    fn the_most_telling_failure_gives_the_kind() {
        let [refused, silent, unreachable, denied, internal] = [
            ErrorCode::ConnectionRefused,
            ErrorCode::Timeout,
            ErrorCode::RemoteUnreachable,
            ErrorCode::AccessDenied,
            ErrorCode::OutOfMemory,
        ];
        for (codes, want) in [
            (&[refused][..], Kind::ConnectRefused),
            (&[silent], Kind::ConnectTimeout),
            (&[unreachable], Kind::Unreachable),
            (&[denied], Kind::Denied),
            (&[internal], Kind::Internal),
            (&[unreachable, refused], Kind::ConnectRefused),
            (&[silent, refused], Kind::ConnectRefused),
            (&[unreachable, silent], Kind::ConnectTimeout),
            (&[silent, unreachable], Kind::ConnectTimeout),
            (&[denied, unreachable], Kind::Unreachable),
            (&[denied, silent], Kind::ConnectTimeout),
            (&[internal, denied], Kind::Denied),
        ] {
            let attempts: Vec<Attempt> = codes
                .iter()
                .map(|code| Attempt {
                    address: "[::1]:443".parse().unwrap(),
                    elapsed: Duration::ZERO,
                    failure: Some(address::meaning(*code)),
                })
                .collect();
            let outcome = all_failed(&attempts, "wanted");
            assert_eq!(outcome.kind, Some(want), "{codes:?}");
        }
    }

    #[test]
    fn the_detail_names_every_address_that_failed() {
        let attempt = |address: &str, code| Attempt {
            address: address.parse().unwrap(),
            elapsed: Duration::ZERO,
            failure: Some(address::meaning(code)),
        };
        let outcome = all_failed(
            &[
                attempt("[::1]:443", ErrorCode::RemoteUnreachable),
                attempt("127.0.0.1:443", ErrorCode::ConnectionRefused),
            ],
            "wanted",
        );
        assert_eq!(
            outcome.detail,
            "connecting to \"[::1]:443\": unreachable; \
             connecting to \"127.0.0.1:443\": connection refused"
        );
    }

    #[test]
    fn no_address_is_a_fault_of_the_name() {
        let outcome = all_failed(&[], "IPv6");
        assert_eq!(outcome.kind, Some(Kind::Dns));
        assert_eq!(outcome.reason.as_deref(), Some("no-address"));
    }
}
