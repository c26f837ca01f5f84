//! From a name to addresses: each resolver in turn, over UDP, and over TCP where an answer
//! is cut or none comes.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use wasi::random::random::get_random_u64;
use watchbell_core::outcome::{Kind, Outcome};
use watchbell_core::settings::{Family, Host, Resolver};
use watchbell_guest::Deadline;

use crate::connect::connect;
use crate::datagrams::Datagrams;
use crate::dns::{DomainName, Question};
use crate::lookup::{Lookup, Progress, Refusal, Taken, Trouble};

/// A lost datagram is sent again after this, then after twice this, and so on: four
/// times within ten seconds.
const RETRANSMIT: Duration = Duration::from_millis(600);
/// With one family's addresses in hand, the other's answer is waited for no longer
/// than this. RFC 8305, section 3, waits 50 ms; a check is in less of a hurry than a
/// person, and a lost datagram is to be sent again once.
const OTHER_FAMILY: Duration = Duration::from_millis(1200);
/// Datagrams that are no answer to us, before the resolver counts as silent: a flood
/// must not keep the guest busy until its deadline.
const STRANGERS_MAX: usize = 1_000;

/// The addresses of `host`, IPv6 and IPv4 as `family` asks. An address is its own
/// answer, and `localhost` needs no server (RFC 6761, section 6.3).
///
/// DNS has three quarters of the time, for what it is asked for is a connection, and each
/// resolver an equal share of that. The next one is asked when one is
/// silent, fails or may not be asked, and never when the name does not exist or has no
/// address: that is the DNS's word, not the server's.
pub fn resolve(
    host: &Host,
    family: Family,
    resolvers: &[Resolver],
    deadline: Deadline,
) -> Result<Vec<IpAddr>, Outcome> {
    let name = match host {
        Host::Ip(ip) => return Ok(vec![*ip]),
        Host::Name(name) => name,
    };
    if host.is_localhost() {
        return Ok(loopback(family));
    }
    let Ok(wire_name) = DomainName::vec_from_str(name) else {
        let detail = format!("resolving {name:?}: not a name that DNS can hold");
        return Err(Outcome::failed(Kind::Dns, detail).reason("nxdomain"));
    };
    let deadline = deadline.within(deadline.remaining() * 3 / 4);
    let mut refusals: Vec<(Resolver, Refusal)> = Vec::new();
    for (tried, resolver) in resolvers.iter().enumerate() {
        let left = u32::try_from(resolvers.len() - tried).unwrap_or(u32::MAX);
        let share = deadline.within(deadline.remaining() / left);
        match ask(&wire_name, family, *resolver, share) {
            Ok(addresses) => return Ok(addresses),
            Err(refusal) if refusal.last_word => {
                return Err(failed(name, &[(*resolver, refusal)]));
            }
            Err(refusal) => refusals.push((*resolver, refusal)),
        }
    }
    Err(failed(name, &refusals))
}

fn loopback(family: Family) -> Vec<IpAddr> {
    let (v6, v4) = (Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into());
    match family {
        Family::Any | Family::Both => vec![v6, v4],
        Family::Ipv4 => vec![v4],
        Family::Ipv6 => vec![v6],
    }
}

/// The kind is that of the most certain refusal, the detail names them all.
fn failed(name: &str, refusals: &[(Resolver, Refusal)]) -> Outcome {
    let Some((_, worst)) = refusals.iter().min_by_key(|(_, r)| r.rank()) else {
        let detail = format!("resolving {name:?}: no DNS server is configured");
        return Outcome::failed(Kind::Dns, detail).reason("no-answer");
    };
    let by: Vec<String> = refusals
        .iter()
        .map(|(resolver, r)| format!("by {:?}: {}", resolver.to_string(), r.words))
        .collect();
    let outcome = Outcome::failed(worst.kind, format!("resolving {name:?} {}", by.join("; ")));
    match worst.reason {
        Some(reason) => outcome.reason(reason),
        None => outcome,
    }
}

/// Asks one resolver until it has said all, or time is up. What UDP does not answer in half
/// of the time is asked over TCP, and then awaited over UDP as long as there is time.
fn ask(
    name: &DomainName,
    family: Family,
    resolver: Resolver,
    deadline: Deadline,
) -> Result<Vec<IpAddr>, Refusal> {
    let mut lookup = Lookup::new(name, family, &new_id);
    let mut over_udp = OverUdp::new(resolver);
    let mut until = deadline.within(deadline.remaining() / 2);
    // Every turn ends a question, asks it over TCP or follows one of a bounded number of
    // aliases.
    loop {
        let Some(question) = lookup.streams().next() else {
            if lookup.progress() == Progress::Over {
                return lookup.conclude();
            }
            let ended = over_udp.ask(&mut lookup, until);
            lookup.give_up(&ended.unwrap_or_else(|trouble| trouble));
            continue;
        };
        // A server that is mute over TCP must leave time for the other question, for UDP and,
        // with addresses in hand, for the connection that they are for.
        let share = if lookup.suffices() {
            deadline.within(OTHER_FAMILY)
        } else {
            // At most one for each record type: the cast is exact.
            let streams = lookup.streams().count().max(1) as u32;
            deadline.within(deadline.remaining() / (2 * streams))
        };
        let message = over_tcp(question, resolver, share);
        lookup.take_tcp(message, &new_id);
        until = deadline;
    }
}

/// The datagrams of one lookup. The socket stays open: an answer that is late is one.
struct OverUdp {
    resolver: Resolver,
    socket: Option<Datagrams>,
    strangers: usize,
}

impl OverUdp {
    fn new(resolver: Resolver) -> Self {
        Self {
            resolver,
            socket: None,
            strangers: 0,
        }
    }

    /// Sends and receives until no question is open, or nothing more is worth the wait.
    /// What is then still open has met the trouble that is given.
    fn ask(&mut self, lookup: &mut Lookup, deadline: Deadline) -> Result<Trouble, Trouble> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => none.insert(Datagrams::open(self.resolver)?),
        };
        let mut until = deadline;
        let mut patience = RETRANSMIT;
        'send: loop {
            for question in lookup.open() {
                socket.send(question.bytes(), until)?;
            }
            let again = until.within(patience);
            patience *= 2;
            loop {
                let datagrams = socket.receive(again)?;
                if datagrams.is_empty() {
                    if until.remaining().is_zero() {
                        return Ok(silence(self.strangers));
                    }
                    continue 'send;
                }
                let mut further = false;
                for datagram in datagrams {
                    match lookup.take(&datagram, &new_id) {
                        Taken::Answer => {}
                        Taken::Further => further = true,
                        Taken::Stranger => self.strangers += 1,
                    }
                }
                match lookup.progress() {
                    Progress::Over => return Ok(silence(self.strangers)),
                    _ if self.strangers > STRANGERS_MAX => return Ok(silence(self.strangers)),
                    // The earliest such moment stands: `within` never moves it back.
                    Progress::Enough => until = until.within(OTHER_FAMILY),
                    Progress::Waiting => {}
                }
                if further {
                    patience = RETRANSMIT;
                    continue 'send;
                }
            }
        }
    }
}

/// The same question over TCP, length first (RFC 1035, section 4.2.2), until an answer to
/// it comes.
fn over_tcp(
    question: &Question,
    resolver: Resolver,
    deadline: Deadline,
) -> Result<Vec<u8>, Trouble> {
    let connected = connect(&[resolver.ip()], resolver.port(), Family::Any, deadline);
    let mut stream = match connected {
        Ok(connected) => connected.stream,
        Err(unconnected) => {
            let why = unconnected.attempts.iter().find_map(|a| a.failure);
            let (kind, words) = why.unwrap_or((Kind::Timeout, "no answer"));
            return Err(Trouble::over_tcp(kind, words));
        }
    };
    let mut strangers = 0;
    let mut talk = || -> std::io::Result<Vec<u8>> {
        let bytes = question.bytes();
        // A question has at most 271 bytes.
        let length = (bytes.len() as u16).to_be_bytes();
        stream.write_all(&[&length[..], bytes].concat())?;
        loop {
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut message)?;
            if question.read(&message).is_some() {
                return Ok(message);
            }
            strangers += 1;
            if strangers > STRANGERS_MAX {
                return Err(ErrorKind::TimedOut.into());
            }
        }
    };
    talk().map_err(|e| match e.kind() {
        ErrorKind::TimedOut => Trouble::over_tcp(Kind::Timeout, silence(strangers).words.as_str()),
        _ => Trouble::over_tcp(Kind::Protocol, "the connection was closed"),
    })
}

/// Nothing came, or so many messages that were no answer.
fn silence(strangers: usize) -> Trouble {
    let words = match strangers {
        0 => "no answer",
        _ => "nothing that answers the question",
    };
    Trouble {
        kind: Kind::Timeout,
        words: words.to_owned(),
    }
}

fn new_id() -> u16 {
    (get_random_u64() & 0xffff) as u16
}
