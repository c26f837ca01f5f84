//! DNS messages (RFC 1035, section 4), written by hand: most of them are to be wrong.

use std::net::IpAddr;

use super::{Answer, DECOY_ADDRESS, Decoy};

const HEADER_BYTES: usize = 12;
const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_AAAA: u16 = 28;
const CLASS_IN: u16 = 1;
const TTL_S: u32 = 1;
const RCODE_SERVFAIL: u8 = 2;
const RCODE_NXDOMAIN: u8 = 3;
/// A pointer to the question's name, which follows the header.
const TO_QUESTION: [u8; 2] = [0xc0, HEADER_BYTES as u8];

/// What a server does with a query.
pub enum Reply {
    Bytes(Vec<u8>),
    Nothing,
}

/// The one question of a query.
pub struct Question {
    id: u16,
    /// In wire form, the final zero included.
    name: Vec<u8>,
    kind: u16,
}

impl Question {
    pub fn read(query: &[u8]) -> Option<Self> {
        let id = u16::from_be_bytes(query.get(..2)?.try_into().ok()?);
        let mut at = HEADER_BYTES;
        while *query.get(at)? != 0 {
            at += 1 + usize::from(query[at]);
        }
        let kind = u16::from_be_bytes(query.get(at + 1..at + 3)?.try_into().ok()?);
        Some(Self {
            id,
            name: query[HEADER_BYTES..=at].to_vec(),
            kind,
        })
    }

    pub fn reply(&self, answer: &Answer, udp: bool) -> Reply {
        let plain = |rcode| self.message(self.id, &self.name, rcode, false, &[]);
        Reply::Bytes(match answer {
            Answer::Silent => return Reply::Nothing,
            Answer::OverTcp(_) if udp => return Reply::Nothing,
            Answer::NxDomain => plain(RCODE_NXDOMAIN),
            Answer::NoData => plain(0),
            Answer::ServFail => plain(RCODE_SERVFAIL),
            Answer::Garbage => vec![0xff; 7],
            Answer::Truncated(_) if udp => self.message(self.id, &self.name, 0, true, &[]),
            Answer::OverTcp(ips) | Answer::Truncated(ips) | Answer::Addresses(ips) => {
                self.found(&TO_QUESTION, ips, &[])
            }
            Answer::Aliases(count, ips) => self.aliases(*count, ips),
            Answer::AliasLoop => {
                let itself = record(&TO_QUESTION, TYPE_CNAME, &TO_QUESTION);
                self.message(self.id, &self.name, 0, false, &[itself])
            }
            Answer::CompressionLoop => {
                // The owner's name is a pointer to where that pointer stands.
                let at = HEADER_BYTES + self.name.len() + 4;
                let to_itself = [0xc0 | (at >> 8) as u8, at as u8];
                let looped = record(&to_itself, self.kind, &[127, 0, 0, 1]);
                self.message(self.id, &self.name, 0, false, &[looped])
            }
        })
    }

    /// A false answer: as wrong as `decoy` says, right otherwise.
    pub fn decoy(&self, decoy: Decoy) -> Vec<u8> {
        let answer = |owner: &[u8]| self.addresses(owner, &[DECOY_ADDRESS]);
        let other = b"\x05other\x03lab\x04test\x00";
        match decoy {
            Decoy::WrongId => {
                let id = self.id.wrapping_add(1);
                self.message(id, &self.name, 0, false, &answer(&TO_QUESTION))
            }
            Decoy::WrongQuestion => self.message(self.id, other, 0, false, &answer(&TO_QUESTION)),
            Decoy::WrongOwner => self.message(self.id, &self.name, 0, false, &answer(other)),
            Decoy::OtherPort => self.message(self.id, &self.name, 0, false, &answer(&TO_QUESTION)),
        }
    }

    fn found(&self, owner: &[u8], ips: &[IpAddr], before: &[Vec<u8>]) -> Vec<u8> {
        let mut records = before.to_vec();
        records.extend(self.addresses(owner, ips));
        self.message(self.id, &self.name, 0, false, &records)
    }

    fn addresses(&self, owner: &[u8], ips: &[IpAddr]) -> Vec<Vec<u8>> {
        ips.iter()
            .filter_map(|ip| match (ip, self.kind) {
                (IpAddr::V4(ip), TYPE_A) => Some(record(owner, TYPE_A, &ip.octets())),
                (IpAddr::V6(ip), TYPE_AAAA) => Some(record(owner, TYPE_AAAA, &ip.octets())),
                _ => None,
            })
            .collect()
    }

    fn aliases(&self, count: usize, ips: &[IpAddr]) -> Vec<u8> {
        let name = |i: usize| {
            let label = format!("alias{i}");
            let mut wire = vec![label.len() as u8];
            wire.extend_from_slice(label.as_bytes());
            wire.extend_from_slice(b"\x03lab\x04test\x00");
            wire
        };
        let mut owner = TO_QUESTION.to_vec();
        let mut records = Vec::new();
        for i in 0..count {
            records.push(record(&owner, TYPE_CNAME, &name(i)));
            owner = name(i);
        }
        self.found(&owner, ips, &records)
    }

    fn message(
        &self,
        id: u16,
        name: &[u8],
        rcode: u8,
        truncated: bool,
        records: &[Vec<u8>],
    ) -> Vec<u8> {
        let mut out = id.to_be_bytes().to_vec();
        // Response, recursion desired and available.
        out.push(0x81 | if truncated { 0x02 } else { 0 });
        out.push(0x80 | rcode);
        for count in [1, records.len() as u16, 0, 0] {
            out.extend_from_slice(&count.to_be_bytes());
        }
        out.extend_from_slice(name);
        out.extend_from_slice(&self.kind.to_be_bytes());
        out.extend_from_slice(&CLASS_IN.to_be_bytes());
        out.extend(records.iter().flatten());
        out
    }
}

fn record(owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let mut out = owner.to_vec();
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&CLASS_IN.to_be_bytes());
    out.extend_from_slice(&TTL_S.to_be_bytes());
    out.extend_from_slice(&(data.len() as u16).to_be_bytes());
    out.extend_from_slice(data);
    out
}
