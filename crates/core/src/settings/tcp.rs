//! What `tcp-check` reads, and the target that every socket check shares.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{Mistake, Reader, common::Common};

/// Which address families must answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// One good address of either family is enough.
    Any,
    Ipv4,
    Ipv6,
    /// One good address of each.
    Both,
}

/// A target's host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    Ip(IpAddr),
    /// A DNS name, lower case, ASCII (IDNA's A-labels), no final dot.
    Name(String),
}

impl Host {
    /// A name that every node answers itself (RFC 6761, section 6.3).
    pub fn is_localhost(&self) -> bool {
        matches!(self, Host::Name(n) if n == "localhost" || n.ends_with(".localhost"))
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Host::Ip(ip) => write!(f, "{ip}"),
            Host::Name(name) => f.write_str(name),
        }
    }
}

/// One DNS server to ask, over UDP and, when the answer is cut, TCP.
pub type Resolver = SocketAddr;

/// More servers than this would not fit into one probe's deadline.
const RESOLVERS_MAX: usize = 8;
/// What may be sent after connecting, or expected back.
const PAYLOAD_BYTES_MAX: usize = 4096;

/// The variables of a TCP check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpSettings {
    pub common: Common,
    /// `host`: a name, an IPv4 or IPv6 address, with or without brackets.
    pub host: Host,
    /// `port`: 1–65535.
    pub port: u16,
    /// `dns_resolver`: tried in order; needed only when `host` is a name.
    pub resolvers: Vec<Resolver>,
    /// `family`: `any` (default), `ipv4`, `ipv6`, `both`.
    pub family: Family,
    /// `send`: written after connecting; `\r`, `\n`, `\t`, `\\` and `\xNN` are understood.
    pub send: Vec<u8>,
    /// `expect`: bytes that must appear in what comes back; the same escapes.
    pub expect: Vec<u8>,
}

impl TcpSettings {
    pub fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<Mistake>> {
        let mut r = Reader::new(get);
        let common = Common::read(&mut r);
        let (host, port, resolvers, family) = read_target(&mut r);
        let settings = Self {
            common,
            host,
            port,
            resolvers,
            family,
            send: payload(&mut r, "send"),
            expect: payload(&mut r, "expect"),
        };
        r.finish(settings)
    }
}

/// `host`, `port`, `dns_resolver`, `family`: the same words in every socket check.
pub(super) fn read_target(r: &mut Reader<'_>) -> (Host, u16, Vec<Resolver>, Family) {
    let host_text = r.required("host", HOST_WANT);
    let host = parse_host(&host_text).unwrap_or_else(|| {
        if !host_text.is_empty() {
            r.mistake("host", &format!("{host_text:?}"), HOST_WANT);
        }
        Host::Name(String::new())
    });
    let port_text = r.required("port", PORT_WANT);
    let port = port_text
        .parse::<u16>()
        .ok()
        .filter(|p| *p > 0)
        .unwrap_or_else(|| {
            if !port_text.is_empty() {
                r.mistake("port", &format!("{port_text:?}"), PORT_WANT);
            }
            0
        });
    let resolvers = r.parsed("dns_resolver", Vec::new(), RESOLVER_WANT, parse_resolvers);
    let asks_dns = matches!(&host, Host::Name(n) if !n.is_empty() && !host.is_localhost());
    if resolvers.is_empty() && asks_dns && r.text("dns_resolver").is_none() {
        r.mistake("dns_resolver", "nothing", RESOLVER_WANT);
    }
    let family = r.parsed(
        "family",
        Family::Any,
        "any, ipv4, ipv6 or both",
        |t| match t {
            "any" => Some(Family::Any),
            "ipv4" => Some(Family::Ipv4),
            "ipv6" => Some(Family::Ipv6),
            "both" => Some(Family::Both),
            _ => None,
        },
    );
    match (&host, family) {
        (Host::Ip(ip), Family::Both) => r.mistake(
            "family",
            "\"both\"",
            &format!("any for the single address {ip}"),
        ),
        (Host::Ip(IpAddr::V4(_)), Family::Ipv6) | (Host::Ip(IpAddr::V6(_)), Family::Ipv4) => r
            .mistake(
                "family",
                &format!("{family:?}").to_lowercase(),
                "the family of the address in host, or any",
            ),
        _ => {}
    }
    (host, port, resolvers, family)
}

const HOST_WANT: &str = "a DNS name (an international one as xn--…), an IPv4 address or an IPv6 address, with or without brackets";
const PORT_WANT: &str = "a port from 1 to 65535";
const RESOLVER_WANT: &str =
    "one to eight addresses of DNS servers, comma-separated, such as 9.9.9.9, [2620:fe::fe]:53";

/// A name, an IPv4 address, or an IPv6 address with or without brackets.
pub fn parse_host(text: &str) -> Option<Host> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    if let Some(inner) = bare {
        return inner.parse::<Ipv6Addr>().ok().map(|ip| Host::Ip(ip.into()));
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(Host::Ip(ip));
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label_fits = |l: &str| {
        (1..=63).contains(&l.len())
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    // A last label of digits only is a mistyped IPv4 address (WHATWG URL, "ends in a number").
    let last_is_number = name
        .rsplit('.')
        .next()
        .is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
    (name.len() <= 253 && name.split('.').all(label_fits) && !last_is_number)
        .then_some(Host::Name(name))
}

/// `9.9.9.9, 127.0.0.1:5353, ::1, [::1]:53`: comma- or space-separated, the port 53 unless given.
pub fn parse_resolvers(text: &str) -> Option<Vec<Resolver>> {
    let list: Vec<Resolver> = text
        .split([',', ' ', '\n'])
        .filter(|t| !t.is_empty())
        .map(|t| {
            t.parse::<SocketAddr>()
                .ok()
                .filter(|at| at.port() > 0)
                .or_else(|| match parse_host(t)? {
                    Host::Ip(ip) => Some(SocketAddr::new(ip, 53)),
                    Host::Name(_) => None,
                })
        })
        .collect::<Option<_>>()?;
    (1..=RESOLVERS_MAX).contains(&list.len()).then_some(list)
}

fn payload(r: &mut Reader<'_>, key: &str) -> Vec<u8> {
    let want = "at most 4096 bytes, with the escapes \\r \\n \\t \\\\ and \\xNN";
    r.parsed(key, Vec::new(), want, |t| {
        unescape(t).filter(|b| b.len() <= PAYLOAD_BYTES_MAX)
    })
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        if b != b'\\' {
            out.push(b);
            continue;
        }
        out.push(match rest.next()? {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'\\' => b'\\',
            b'x' => {
                let hex = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?
            }
            _ => return None,
        });
    }
    Some(out)
}
