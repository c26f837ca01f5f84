//! STUN's binding request and answer (RFC 8489), as Tailscale's relays want it: they are
//! silent to a request without their SOFTWARE and a FINGERPRINT.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::fault::Fault;
use crate::random;

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
const COOKIE: u32 = 0x2112_a442;
const SOFTWARE: u16 = 0x8022;
const SOFTWARE_TEXT: [u8; 8] = *b"tailnode";
const FINGERPRINT: u16 = 0x8028;
const FINGERPRINT_XOR: u32 = 0x5354_554e;
const MAPPED_ADDRESS: u16 = 0x0001;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
/// Its number before it was registered, which old servers send.
const XOR_MAPPED_ADDRESS_OLD: u16 = 0x8020;
const HEADER_BYTES: usize = 20;
const IPV4: u8 = 1;
const IPV6: u8 = 2;

/// Names one request; the answer bears it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction([u8; 12]);

/// What a datagram is to a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Where the server saw the request come from, IPv4 as IPv4.
    Mapped(SocketAddr),
    /// The server refuses, with this code.
    Refused(u16),
    /// It answers the request, and breaks the rules.
    Malformed(&'static str),
    /// Not an answer to this request.
    Stranger,
}

impl Transaction {
    pub fn new() -> Result<Self, Fault> {
        random::bytes().map(Self)
    }

    /// The request's datagram.
    pub fn request(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(BINDING_REQUEST.to_be_bytes());
        // The attributes: SOFTWARE with 8 bytes, FINGERPRINT with 4.
        out.extend(20_u16.to_be_bytes());
        out.extend(COOKIE.to_be_bytes());
        out.extend(self.0);
        attribute(&mut out, SOFTWARE, &SOFTWARE_TEXT);
        let print = fingerprint(&out);
        attribute(&mut out, FINGERPRINT, &print.to_be_bytes());
        out
    }

    /// Reads a datagram as the answer to this request.
    pub fn read(&self, datagram: &[u8]) -> Answer {
        let Some((head, attributes)) = datagram.split_at_checked(HEADER_BYTES) else {
            return Answer::Stranger;
        };
        let word = |at: usize| Some(u16::from_be_bytes([*head.get(at)?, *head.get(at + 1)?]));
        let (kind, length) = (word(0).unwrap_or(0), word(2).unwrap_or(0));
        if head.get(4..8) != Some(&COOKIE.to_be_bytes()) || head.get(8..) != Some(&self.0) {
            return Answer::Stranger;
        }
        if usize::from(length) != attributes.len() {
            return Answer::Malformed("its length is not the datagram's");
        }
        match kind {
            BINDING_SUCCESS => self.success(datagram, attributes),
            BINDING_ERROR => Answer::Refused(error_code(attributes)),
            // Our own request, reflected.
            _ => Answer::Stranger,
        }
    }

    fn success(&self, datagram: &[u8], attributes: &[u8]) -> Answer {
        let mut plain = None;
        let mut mapped = None;
        for attribute in Attributes::of(attributes) {
            let Some((kind, value, at)) = attribute else {
                return Answer::Malformed("an attribute reaches beyond its end");
            };
            match kind {
                XOR_MAPPED_ADDRESS | XOR_MAPPED_ADDRESS_OLD if mapped.is_none() => {
                    match address(value, Some(&self.0)) {
                        Some(address) => mapped = Some(address),
                        None => return Answer::Malformed("its XOR-MAPPED-ADDRESS is no address"),
                    }
                }
                MAPPED_ADDRESS => plain = address(value, None),
                FINGERPRINT => {
                    let covered = datagram.get(..HEADER_BYTES + at).unwrap_or_default();
                    if value != fingerprint(covered).to_be_bytes() {
                        return Answer::Malformed("its FINGERPRINT is wrong");
                    }
                }
                _ => {}
            }
        }
        match mapped.or(plain) {
            Some(address) => Answer::Mapped(address),
            None => Answer::Malformed("it holds no mapped address"),
        }
    }
}

fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend(kind.to_be_bytes());
    // At most 8 bytes here: the cast is exact.
    out.extend((value.len() as u16).to_be_bytes());
    out.extend(value);
}

fn fingerprint(covered: &[u8]) -> u32 {
    crc32fast::hash(covered) ^ FINGERPRINT_XOR
}

/// Type, value and offset of each; `None` for one that is cut, which ends them.
struct Attributes<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Attributes<'a> {
    fn of(all: &'a [u8]) -> Self {
        Self { all, at: 0 }
    }

    /// With the length that it takes.
    fn one(bytes: &'a [u8]) -> Option<(u16, &'a [u8], usize)> {
        let (head, rest) = bytes.split_at_checked(4)?;
        let [a, b, c, d] = head.try_into().ok()?;
        let length = usize::from(u16::from_be_bytes([c, d]));
        let value = rest.get(..length)?;
        // Padded to four bytes; at the end some leave the padding out.
        let padded = length.next_multiple_of(4).min(rest.len());
        Some((u16::from_be_bytes([a, b]), value, 4 + padded))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Option<(u16, &'a [u8], usize)>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.all.get(self.at..).filter(|r| !r.is_empty())?;
        let Some((kind, value, length)) = Self::one(rest) else {
            self.at = self.all.len();
            return Some(None);
        };
        let at = self.at;
        self.at += length;
        Some(Some((kind, value, at)))
    }
}

/// An address; with `transaction` as XOR-MAPPED-ADDRESS has it.
fn address(value: &[u8], transaction: Option<&[u8; 12]>) -> Option<SocketAddr> {
    let mut mask = [0; 16];
    if let Some(transaction) = transaction {
        let (cookie, rest) = mask.split_at_mut(4);
        cookie.copy_from_slice(&COOKIE.to_be_bytes());
        rest.copy_from_slice(transaction);
    }
    let (head, bytes) = value.split_at_checked(4)?;
    let [_, family, high, low] = head.try_into().ok()?;
    let port = u16::from_be_bytes([high ^ mask[0], low ^ mask[1]]);
    let plain: Vec<u8> = bytes.iter().zip(mask).map(|(b, m)| b ^ m).collect();
    let ip: IpAddr = match (family, bytes.len()) {
        (IPV4, 4) => Ipv4Addr::from(<[u8; 4]>::try_from(plain).ok()?).into(),
        // Headscale's relay on a socket for both families gives IPv4 inside IPv6.
        (IPV6, 16) => Ipv6Addr::from(<[u8; 16]>::try_from(plain).ok()?).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn error_code(attributes: &[u8]) -> u16 {
    const ERROR_CODE: u16 = 0x0009;
    let mut all = Attributes::of(attributes).flatten();
    let value = all.find(|(kind, ..)| *kind == ERROR_CODE);
    match value.map(|(_, v, _)| v) {
        Some([_, _, class, number, ..]) => u16::from(class & 7) * 100 + u16::from(*number),
        _ => 0,
    }
}

/// The relay's side, for the lab.
#[cfg(any(test, feature = "server"))]
pub mod server {
    use super::*;

    /// The answer to a request that Tailscale's relays answer: to every other, nothing.
    pub fn respond(datagram: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
        let transaction = Transaction(datagram.get(8..HEADER_BYTES)?.try_into().ok()?);
        if datagram != transaction.request() {
            return None;
        }
        Some(success(&transaction, from))
    }

    /// The answer to that transaction.
    pub fn success(transaction: &Transaction, from: SocketAddr) -> Vec<u8> {
        let mut mask = COOKIE.to_be_bytes().to_vec();
        mask.extend(transaction.0);
        let (family, ip) = match from.ip() {
            IpAddr::V4(ip) => (IPV4, ip.octets().to_vec()),
            IpAddr::V6(ip) => (IPV6, ip.octets().to_vec()),
        };
        let xor =
            |bytes: &[u8]| -> Vec<u8> { bytes.iter().zip(&mask).map(|(b, m)| b ^ m).collect() };
        let mut value = vec![0, family];
        value.extend(xor(&from.port().to_be_bytes()));
        value.extend(xor(&ip));
        let mut out = Vec::new();
        out.extend(BINDING_SUCCESS.to_be_bytes());
        out.extend((value.len() as u16 + 4).to_be_bytes());
        out.extend(COOKIE.to_be_bytes());
        out.extend(transaction.0);
        attribute(&mut out, XOR_MAPPED_ADDRESS, &value);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSACTION: Transaction = Transaction(*b"abcdefghijkl");

    /// A request that a real derper answered, byte for byte.
    #[test]
    fn a_request_is_what_relays_answer() {
        let request = TRANSACTION.request();
        assert_eq!(request.len(), 40);
        assert_eq!(request[..8], [0, 1, 0, 20, 0x21, 0x12, 0xa4, 0x42]);
        assert_eq!(request[20..32], *b"\x80\x22\0\x08tailnode");
        assert_eq!(request[32..36], [0x80, 0x28, 0, 4]);
        let print = crc32fast::hash(&request[..32]) ^ 0x5354_554e;
        assert_eq!(request[36..], print.to_be_bytes());
        let from = "192.0.2.1:4711".parse().unwrap();
        assert!(server::respond(&request, from).is_some());
        for i in 0..request.len() {
            let mut other = request.clone();
            other[i] ^= 1;
            assert!(server::respond(&other, from).is_none(), "byte {i}");
        }
    }

    #[test]
    fn an_address_is_read_and_ipv4_inside_ipv6_is_ipv4() {
        for (from, want) in [
            ("192.0.2.1:4711", "192.0.2.1:4711"),
            ("[2001:db8::7]:80", "[2001:db8::7]:80"),
            ("[::ffff:192.0.2.9]:1", "192.0.2.9:1"),
        ] {
            let answer = server::success(&TRANSACTION, from.parse().unwrap());
            let want = Answer::Mapped(want.parse().unwrap());
            assert_eq!(TRANSACTION.read(&answer), want);
        }
    }

    #[test]
    fn what_answers_another_request_is_no_answer() {
        let from = "192.0.2.1:1".parse().unwrap();
        let other = server::success(&Transaction([1; 12]), from);
        for datagram in [&b""[..], &[0; 19], &other, &TRANSACTION.request()] {
            assert_eq!(TRANSACTION.read(datagram), Answer::Stranger);
        }
    }

    /// An answer with these attributes.
    fn with(kind: u16, attributes: &[u8]) -> Answer {
        let mut datagram = kind.to_be_bytes().to_vec();
        datagram.extend((attributes.len() as u16).to_be_bytes());
        datagram.extend(COOKIE.to_be_bytes());
        datagram.extend(TRANSACTION.0);
        datagram.extend(attributes);
        TRANSACTION.read(&datagram)
    }

    #[test]
    fn an_answer_that_breaks_the_rules_is_told() {
        let old = [0, 1, 0, 8, 0, 1, 0x12, 0x67, 192, 0, 2, 1];
        assert_eq!(
            with(BINDING_SUCCESS, &old),
            Answer::Mapped("192.0.2.1:4711".parse().unwrap())
        );
        assert_eq!(
            with(BINDING_ERROR, &[0, 9, 0, 4, 0, 0, 4, 1]),
            Answer::Refused(401)
        );
        for attributes in [
            &[][..],
            &[0, 0x20, 0, 8, 0, 1],
            &[0, 0x20, 0, 5, 0, 3, 0, 0, 1],
            &[0x80, 0x28, 0, 4, 1, 2, 3, 4],
            &[0xff],
        ] {
            let got = with(BINDING_SUCCESS, attributes);
            assert!(
                matches!(got, Answer::Malformed(_)),
                "{attributes:?}: {got:?}"
            );
        }
        let mut long = server::success(&TRANSACTION, "192.0.2.1:1".parse().unwrap());
        long.push(0);
        assert!(matches!(TRANSACTION.read(&long), Answer::Malformed(_)));
    }
}
