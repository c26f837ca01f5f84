//! DNS messages (RFC 1035): a question, and what an answer says to it. Pure.

use std::borrow::Cow;
use std::net::IpAddr;

use domain::base::iana::{Opcode, Rcode, Rtype};
use domain::base::{Message, Name, ParsedName, ToName};
use domain::rdata::{A, Aaaa, Cname};

/// Aliases followed within one answer, and further questions asked because an answer
/// held an alias alone. Real chains have three or four.
pub const ALIASES_MAX: usize = 8;
/// Addresses taken from one answer, and so tried, of each family.
const ADDRESSES_MAX: usize = 32;
/// A header is 12 bytes (RFC 1035, section 4.1.1).
const HEADER_BYTES: usize = 12;
/// The flag word of a question: recursion desired, nothing else.
const RECURSION_DESIRED: [u8; 2] = [0x01, 0x00];
/// Class IN.
const INTERNET: [u8; 2] = [0, 1];

/// A domain name in wire form: labels are compared, so a dot inside a label fools nobody.
pub type DomainName = Name<Vec<u8>>;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    A,
    Aaaa,
}

/// What a valid answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// At least one.
    Addresses(Vec<IpAddr>),
    /// The name is another one's alias, whose address the answer does not tell.
    Alias(DomainName),
    /// The name exists and has no such record.
    NoAddress,
    NoSuchName,
    /// SERVFAIL, REFUSED, another code or a loop of aliases, in words: another server
    /// may know better.
    ServerFailed(Cow<'static, str>),
    /// Cut: ask again over TCP.
    Truncated,
    /// An answer to this question, whose records cannot be read.
    Unreadable,
}

/// One question, and its bytes.
#[derive(Clone, Debug)]
pub struct Question {
    name: DomainName,
    record: Record,
    bytes: Vec<u8>,
}

impl Question {
    pub fn new(id: u16, name: DomainName, record: Record) -> Self {
        let rtype = match record {
            Record::A => Rtype::A,
            Record::Aaaa => Rtype::AAAA,
        };
        let mut bytes = Vec::with_capacity(HEADER_BYTES + name.len() + 4);
        bytes.extend(id.to_be_bytes());
        bytes.extend(RECURSION_DESIRED);
        bytes.extend([0, 1, 0, 0, 0, 0, 0, 0]);
        bytes.extend(name.as_slice());
        bytes.extend(rtype.to_int().to_be_bytes());
        bytes.extend(INTERNET);
        Self {
            name,
            record,
            bytes,
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn record(&self) -> Record {
        self.record
    }

    /// Reads `message` as the answer. `None` for what is no answer to this question:
    /// another id, opcode or question, no response, or not DNS. Such a message is to be
    /// ignored, not believed, and the true answer may still come.
    pub fn read(&self, message: &[u8]) -> Option<Answer> {
        let answer = Message::from_slice(message).ok()?;
        let header = answer.header();
        let ours = message.get(..2) == self.bytes.get(..2)
            && header.qr()
            && header.opcode() == Opcode::QUERY;
        if !ours {
            return None;
        }
        // A server that could not read the question, or will not, need not repeat it.
        let bare = message.len() == HEADER_BYTES && answer.header_counts().qdcount() == 0;
        if bare && !matches!(header.rcode(), Rcode::NOERROR | Rcode::NXDOMAIN) {
            return Some(Answer::ServerFailed(words(header.rcode())));
        }
        let asked = self.bytes.get(HEADER_BYTES..)?;
        let repeated = message.get(HEADER_BYTES..self.bytes.len())?;
        // Byte for byte but for the case of letters, which a server may change.
        if answer.header_counts().qdcount() != 1 || !repeated.eq_ignore_ascii_case(asked) {
            return None;
        }
        // Before the rest: what is cut may be cut in the middle of a record.
        if header.tc() {
            return Some(Answer::Truncated);
        }
        match header.rcode() {
            Rcode::NOERROR => Some(self.follow(answer).unwrap_or(Answer::Unreadable)),
            Rcode::NXDOMAIN => Some(Answer::NoSuchName),
            other => Some(Answer::ServerFailed(words(other))),
        }
    }

    /// From the name over aliases to addresses; records of any other owner are left
    /// aside. `None` when the answer section cannot be read to its end.
    fn follow(&self, message: &Message<[u8]>) -> Option<Answer> {
        let mut owner = self.name.clone();
        // One more than aliases: the last one's target is looked for too.
        for _ in 0..=ALIASES_MAX {
            let addresses = self.addresses(message, &owner)?;
            if !addresses.is_empty() {
                return Some(Answer::Addresses(addresses));
            }
            match alias(message, &owner)? {
                Some(target) => owner = target,
                None if owner.name_eq(&self.name) => return Some(Answer::NoAddress),
                None => return Some(Answer::Alias(owner)),
            }
        }
        Some(Answer::ServerFailed("a loop of aliases".into()))
    }

    fn addresses(&self, message: &Message<[u8]>, owner: &DomainName) -> Option<Vec<IpAddr>> {
        let section = message.answer().ok()?;
        let mut list: Vec<IpAddr> = Vec::new();
        let mut add = |of: &ParsedName<&[u8]>, ip: IpAddr| {
            if list.len() < ADDRESSES_MAX && owner.name_eq(of) && !list.contains(&ip) {
                list.push(ip);
            }
        };
        match self.record {
            Record::A => {
                for record in section.limit_to_in::<A>() {
                    let record = record.ok()?;
                    add(record.owner(), record.data().addr().into());
                }
            }
            Record::Aaaa => {
                for record in section.limit_to_in::<Aaaa>() {
                    let record = record.ok()?;
                    add(record.owner(), record.data().addr().into());
                }
            }
        }
        Some(list)
    }
}

/// The target of the alias `owner`, if it is one; the outer `None` as in [`Question::follow`].
fn alias(message: &Message<[u8]>, owner: &DomainName) -> Option<Option<DomainName>> {
    for record in message
        .answer()
        .ok()?
        .limit_to_in::<Cname<ParsedName<&[u8]>>>()
    {
        let record = record.ok()?;
        if owner.name_eq(record.owner()) {
            return Some(Some(record.data().cname().to_vec()));
        }
    }
    Some(None)
}

fn words(rcode: Rcode) -> Cow<'static, str> {
    match rcode {
        Rcode::SERVFAIL => "SERVFAIL".into(),
        Rcode::REFUSED => "REFUSED".into(),
        Rcode::FORMERR => "FORMERR".into(),
        Rcode::NOTIMP => "NOTIMP".into(),
        other => format!("RCODE {}", other.to_int()).into(),
    }
}

#[cfg(test)]
mod tests;
