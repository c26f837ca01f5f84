//! From a name to addresses: UDP to each resolver in turn, TCP where an answer is cut.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use wasi::random::random::get_random_u64;
use wasi::sockets::instance_network::instance_network;
use wasi::sockets::network::ErrorCode;
use wasi::sockets::udp::{
    IncomingDatagramStream, OutgoingDatagram, OutgoingDatagramStream, UdpSocket,
};
use wasi::sockets::udp_create_socket::create_udp_socket;
use watchbell_core::outcome::{Kind, Outcome};
use watchbell_core::settings::{Family, Host, Resolver};
use watchbell_guest::{Deadline, Expired};

use crate::address;
use crate::connect::connect;
use crate::dns::{ALIASES_MAX, Answer, Record, query, read};

/// A lost datagram is sent again after this.
const RETRANSMIT: Duration = Duration::from_millis(800);
/// With one family's addresses in hand, the other's answer is waited for no longer
/// than this (RFC 8305, section 3, waits 50 ms; resolvers far away need more).
const OTHER_FAMILY: Duration = Duration::from_millis(250);
/// Datagrams that are no answer to us, before the resolver counts as silent: a flood
/// must not keep the guest busy until its deadline.
const STRANGERS_MAX: usize = 1_000;

/// The addresses of `host`, IPv6 and IPv4 as `family` asks. An address is its own
/// answer, and `localhost` needs no server (RFC 6761, section 6.3).
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
    let wants = |ip: &IpAddr| match family {
        Family::Any | Family::Both => true,
        Family::Ipv4 => ip.is_ipv4(),
        Family::Ipv6 => ip.is_ipv6(),
    };
    if name == "localhost" || name.ends_with(".localhost") {
        let both = [
            IpAddr::V6(Ipv6Addr::LOCALHOST),
            IpAddr::V4(Ipv4Addr::LOCALHOST),
        ];
        return Ok(both.into_iter().filter(wants).collect());
    }
    let records: &[Record] = match family {
        Family::Any | Family::Both => &[Record::Aaaa, Record::A],
        Family::Ipv4 => &[Record::A],
        Family::Ipv6 => &[Record::Aaaa],
    };
    let mut failure = Outcome::failed(
        Kind::Dns,
        format!("resolving {name:?}: no DNS server is configured"),
    )
    .reason("no-answer");
    for (tried, resolver) in resolvers.iter().enumerate() {
        let left = u32::try_from(resolvers.len() - tried).unwrap_or(1);
        let share = deadline.within(deadline.remaining() / left);
        match ask(name, records, *resolver, share) {
            Ok(addresses) => return Ok(addresses),
            Err(Refusal::Final(outcome)) => return Err(outcome),
            Err(Refusal::Next(outcome)) => failure = outcome,
        }
    }
    Err(failure)
}

/// Whether the next server may know better.
enum Refusal {
    Final(Outcome),
    Next(Outcome),
}

/// One record type's way through aliases to an answer.
struct Ask {
    record: Record,
    name: String,
    query: Vec<u8>,
    aliases: usize,
    answer: Option<Answer>,
}

impl Ask {
    fn new(record: Record, name: &str, aliases: usize) -> Option<Self> {
        // The id and the port are what a forger off the path must guess (RFC 5452).
        let id = (get_random_u64() & 0xffff) as u16;
        Some(Self {
            record,
            name: name.to_owned(),
            query: query(id, name, record)?,
            aliases,
            answer: None,
        })
    }

    fn open(&self) -> bool {
        self.answer.is_none()
    }

    fn found(&self) -> bool {
        matches!(self.answer, Some(Answer::Addresses(_)))
    }
}

fn ask(
    name: &str,
    records: &[Record],
    resolver: Resolver,
    deadline: Deadline,
) -> Result<Vec<IpAddr>, Refusal> {
    let asks: Option<Vec<Ask>> = records.iter().map(|r| Ask::new(*r, name, 0)).collect();
    let mut asks = asks.ok_or_else(|| {
        Refusal::Final(
            Outcome::failed(Kind::Dns, format!("resolving {name:?}: not a DNS name"))
                .reason("nxdomain"),
        )
    })?;
    let refuse = |code: ErrorCode| next(name, resolver, code);
    let socket = Datagrams::open(resolver).map_err(refuse)?;
    exchange(&socket, &mut asks, resolver, deadline).map_err(refuse)?;
    conclude(name, resolver, &asks)
}

/// Sends and receives until every question has its answer, or time is up.
fn exchange(
    socket: &Datagrams,
    asks: &mut Vec<Ask>,
    resolver: Resolver,
    deadline: Deadline,
) -> Result<(), ErrorCode> {
    let mut strangers = 0;
    let mut until = deadline;
    'send: loop {
        for ask in asks.iter().filter(|a| a.open()) {
            socket.send(&ask.query, deadline)?;
        }
        let again = until.within(RETRANSMIT);
        loop {
            let datagrams = match socket.receive(again)? {
                Some(list) => list,
                None if until.remaining().is_zero() => return Ok(()),
                None => continue 'send,
            };
            let mut sent_more = false;
            for datagram in datagrams {
                let mut matched = false;
                for i in 0..asks.len() {
                    let Some(answer) = asks
                        .get(i)
                        .filter(|a| a.open())
                        .and_then(|a| read(&a.query, &datagram, &a.name, a.record))
                    else {
                        continue;
                    };
                    matched = true;
                    sent_more |= take(&mut asks[i], answer, resolver, deadline)?;
                }
                strangers += usize::from(!matched);
            }
            if strangers > STRANGERS_MAX || asks.iter().all(|a| !a.open()) {
                return Ok(());
            }
            if asks.iter().any(Ask::found) {
                until = until.within(OTHER_FAMILY);
            }
            if sent_more {
                continue 'send;
            }
        }
    }
}

/// Puts the answer in its place; true when it leads to a further question.
fn take(
    ask: &mut Ask,
    answer: Answer,
    resolver: Resolver,
    deadline: Deadline,
) -> Result<bool, ErrorCode> {
    let answer = match answer {
        Answer::Truncated => over_tcp(ask, resolver, deadline)?,
        other => other,
    };
    if let Answer::Alias(target) = &answer {
        let further = (ask.aliases < ALIASES_MAX)
            .then(|| Ask::new(ask.record, target, ask.aliases + 1))
            .flatten();
        return Ok(match further {
            Some(next) => {
                *ask = next;
                true
            }
            None => {
                ask.answer = Some(Answer::ServerFailed("too many aliases"));
                false
            }
        });
    }
    ask.answer = Some(answer);
    Ok(false)
}

/// The same question over TCP, length first (RFC 1035, section 4.2.2).
fn over_tcp(ask: &Ask, resolver: Resolver, deadline: Deadline) -> Result<Answer, ErrorCode> {
    let family = if resolver.is_ipv4() {
        Family::Ipv4
    } else {
        Family::Ipv6
    };
    let connected =
        connect(&[resolver.ip()], resolver.port(), family, deadline).map_err(|o| match o.kind {
            Some(Kind::Denied) => ErrorCode::AccessDenied,
            Some(Kind::ConnectRefused) => ErrorCode::ConnectionRefused,
            _ => ErrorCode::Timeout,
        })?;
    let mut stream = connected.stream;
    let mut talk = || -> std::io::Result<Vec<u8>> {
        let length = u16::try_from(ask.query.len())
            .unwrap_or(u16::MAX)
            .to_be_bytes();
        stream.write_all(&[&length[..], &ask.query].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    };
    let answer = talk().map_err(|_| ErrorCode::Timeout)?;
    Ok(match read(&ask.query, &answer, &ask.name, ask.record) {
        None | Some(Answer::Truncated) => Answer::ServerFailed("no valid answer over TCP"),
        Some(answer) => answer,
    })
}

/// All answers of one server, as one result. An address of any kind is enough here;
/// whether both families are there is the connection's business.
fn conclude(name: &str, resolver: Resolver, asks: &[Ask]) -> Result<Vec<IpAddr>, Refusal> {
    let mut addresses = Vec::new();
    for ask in asks {
        if let Some(Answer::Addresses(list)) = &ask.answer {
            addresses.extend(list);
        }
    }
    if !addresses.is_empty() {
        return Ok(addresses);
    }
    let by = format!("resolving {name:?} by {:?}", resolver.to_string());
    let failed = |what: &str, reason: &'static str| {
        Outcome::failed(Kind::Dns, format!("{by}: {what}")).reason(reason)
    };
    if asks.iter().any(|a| a.answer == Some(Answer::NoSuchName)) {
        return Err(Refusal::Final(failed(
            "the name does not exist (NXDOMAIN)",
            "nxdomain",
        )));
    }
    for ask in asks {
        if let Some(Answer::ServerFailed(what)) = &ask.answer {
            return Err(Refusal::Next(failed(what, "servfail")));
        }
    }
    if asks.iter().any(Ask::open) {
        return Err(Refusal::Next(failed("no answer", "no-answer")));
    }
    Err(Refusal::Final(failed(
        "the name has no address",
        "no-address",
    )))
}

fn next(name: &str, resolver: Resolver, code: ErrorCode) -> Refusal {
    let by = format!("resolving {name:?} by {:?}", resolver.to_string());
    let (kind, words) = address::meaning(code);
    if kind == Kind::Denied {
        // Another server is another address: it may be permitted.
        return Refusal::Next(Outcome::failed(Kind::Denied, format!("{by}: {words}")));
    }
    let words = if kind == Kind::ConnectTimeout {
        "no answer"
    } else {
        words
    };
    Refusal::Next(Outcome::failed(Kind::Dns, format!("{by}: {words}")).reason("no-answer"))
}

/// A UDP socket connected to one peer: the host drops what comes from any other
/// address or port (`stream` in wasi:sockets/udp).
struct Datagrams {
    // Dropped before the socket that they belong to.
    incoming: IncomingDatagramStream,
    outgoing: OutgoingDatagramStream,
    _socket: UdpSocket,
}

impl Datagrams {
    fn open(peer: SocketAddr) -> Result<Self, ErrorCode> {
        let family = address::family(peer.ip());
        let socket = create_udp_socket(family)?;
        socket.start_bind(&instance_network(), address::any(family))?;
        // The host binds at once, or says why not.
        while let Err(code) = socket.finish_bind() {
            if code != ErrorCode::WouldBlock {
                return Err(code);
            }
            socket.subscribe().block();
        }
        let (incoming, outgoing) = socket.stream(Some(address::to_host(peer)))?;
        Ok(Self {
            incoming,
            outgoing,
            _socket: socket,
        })
    }

    fn send(&self, bytes: &[u8], deadline: Deadline) -> Result<(), ErrorCode> {
        while self.outgoing.check_send()? == 0 {
            deadline
                .wait(&self.outgoing.subscribe())
                .map_err(|Expired| ErrorCode::Timeout)?;
        }
        self.outgoing
            .send(&[OutgoingDatagram {
                data: bytes.to_vec(),
                remote_address: None,
            }])
            .map(drop)
    }

    /// What came from the peer by then; `None` when nothing did.
    fn receive(&self, deadline: Deadline) -> Result<Option<Vec<Vec<u8>>>, ErrorCode> {
        loop {
            let list = self.incoming.receive(RECEIVE_MAX)?;
            if !list.is_empty() {
                return Ok(Some(list.into_iter().map(|d| d.data).collect()));
            }
            if deadline.wait(&self.incoming.subscribe()).is_err() {
                return Ok(None);
            }
        }
    }
}

/// Datagrams taken from the host at once.
const RECEIVE_MAX: u64 = 16;
