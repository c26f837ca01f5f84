//! DNS messages (RFC 1035): a question, and what an answer says to it. Pure.

use std::net::IpAddr;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

/// Aliases followed, within an answer and over further questions together.
pub const ALIASES_MAX: usize = 8;
/// A header is 12 bytes (RFC 1035, section 4.1.1).
const HEADER_BYTES: usize = 12;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    A,
    Aaaa,
}

/// What a valid answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Addresses(Vec<IpAddr>),
    /// The name is another one's alias, whose address the answer does not tell.
    Alias(String),
    /// The name exists and has no such record.
    NoAddress,
    NoSuchName,
    /// SERVFAIL, REFUSED or another code: ask another server.
    ServerFailed(&'static str),
    /// Cut: ask again over TCP.
    Truncated,
}

/// The bytes of a question, recursion desired. `None` for a name that DNS cannot hold.
pub fn query(id: u16, name: &str, record: Record) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let record = match record {
        Record::A => TYPE::A,
        Record::Aaaa => TYPE::AAAA,
    };
    packet.questions.push(Question::new(
        Name::new(name).ok()?,
        QTYPE::TYPE(record),
        QCLASS::CLASS(CLASS::IN),
        false,
    ));
    packet.build_bytes_vec().ok()
}

/// Reads `answer` to `query`. `None` for what is no answer to it: another id or
/// question, no response, or not DNS. Such a message is to be ignored, not believed.
pub fn read(query: &[u8], answer: &[u8], name: &str, record: Record) -> Option<Answer> {
    if !answers(query, answer) {
        return None;
    }
    // Before parsing: what is cut may be cut in the middle of a record.
    let truncated = answer[2] & 0x02 != 0;
    if truncated {
        return Some(Answer::Truncated);
    }
    let packet = Packet::parse(answer).ok()?;
    match packet.rcode() {
        RCODE::NoError => Some(follow(&packet, name, record)),
        RCODE::NameError => Some(Answer::NoSuchName),
        RCODE::ServerFailure => Some(Answer::ServerFailed("SERVFAIL")),
        RCODE::Refused => Some(Answer::ServerFailed("REFUSED")),
        RCODE::FormatError => Some(Answer::ServerFailed("FORMERR")),
        RCODE::NotImplemented => Some(Answer::ServerFailed("NOTIMP")),
        _ => Some(Answer::ServerFailed("another error code")),
    }
}

/// The same id, a response, one question, and that question byte for byte (but for
/// the case of letters).
fn answers(query: &[u8], answer: &[u8]) -> bool {
    if answer.len() < query.len() || query.len() < HEADER_BYTES {
        return false;
    }
    let same_id = answer[..2] == query[..2];
    let response = answer[2] & 0x80 != 0;
    let one_question = answer[4..6] == [0, 1];
    same_id
        && response
        && one_question
        && answer[HEADER_BYTES..query.len()].eq_ignore_ascii_case(&query[HEADER_BYTES..])
}

/// From `name` over aliases to addresses; records of any other owner are left aside.
fn follow(packet: &Packet<'_>, name: &str, record: Record) -> Answer {
    let mut owner = name.to_ascii_lowercase();
    for hop in 0..=ALIASES_MAX {
        let mut of_owner = packet
            .answers
            .iter()
            .filter(|r| r.class == CLASS::IN && r.name.to_string().eq_ignore_ascii_case(&owner))
            .map(|r| &r.rdata)
            .peekable();
        if of_owner.peek().is_none() {
            return if hop == 0 {
                Answer::NoAddress
            } else {
                Answer::Alias(owner)
            };
        }
        let mut alias = None;
        let mut addresses = Vec::new();
        for data in of_owner {
            match (data, record) {
                (RData::A(a), Record::A) => addresses.push(IpAddr::from(a.address.to_be_bytes())),
                (RData::AAAA(aaaa), Record::Aaaa) => {
                    addresses.push(IpAddr::from(aaaa.address.to_be_bytes()))
                }
                (RData::CNAME(target), _) => {
                    alias = Some(target.0.to_string().to_ascii_lowercase())
                }
                _ => {}
            }
        }
        match alias {
            _ if !addresses.is_empty() => return Answer::Addresses(addresses),
            Some(target) => owner = target,
            None => return Answer::NoAddress,
        }
    }
    Answer::ServerFailed("a loop of aliases")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::{A, CNAME};

    const NAME: &str = "hs.example.com";

    fn reply(id: u16, name: &str, rcode: RCODE, records: &[(&str, RData<'_>)]) -> Vec<u8> {
        let mut packet = Packet::new_reply(id);
        *packet.rcode_mut() = rcode;
        let question = Question::new(
            Name::new(name).unwrap(),
            QTYPE::TYPE(TYPE::A),
            QCLASS::CLASS(CLASS::IN),
            false,
        );
        packet.questions.push(question);
        for (owner, data) in records {
            let owner = Name::new(owner).unwrap().into_owned();
            packet
                .answers
                .push(ResourceRecord::new(owner, CLASS::IN, 60, data.clone()));
        }
        packet.build_bytes_vec().unwrap()
    }

    fn a(last: u8) -> RData<'static> {
        RData::A(A {
            address: u32::from_be_bytes([192, 0, 2, last]),
        })
    }

    fn cname(target: &'static str) -> RData<'static> {
        RData::CNAME(CNAME(Name::new(target).unwrap()))
    }

    fn ask(answer: &[u8]) -> Option<Answer> {
        read(&query(7, NAME, Record::A).unwrap(), answer, NAME, Record::A)
    }

    #[test]
    fn an_answer_says_exactly_one_thing() {
        let ip = |last| IpAddr::from([192, 0, 2, last]);
        let ok = RCODE::NoError;
        for (what, answer, want) in [
            (
                "an address",
                reply(7, NAME, ok, &[(NAME, a(1))]),
                Some(Answer::Addresses(vec![ip(1)])),
            ),
            (
                "in capitals",
                reply(7, "HS.Example.com", ok, &[("HS.EXAMPLE.COM", a(1))]),
                Some(Answer::Addresses(vec![ip(1)])),
            ),
            (
                "no record",
                reply(7, NAME, ok, &[]),
                Some(Answer::NoAddress),
            ),
            (
                "another owner's",
                reply(7, NAME, ok, &[("evil.example", a(6))]),
                Some(Answer::NoAddress),
            ),
            (
                "an alias with its address",
                reply(
                    7,
                    NAME,
                    ok,
                    &[(NAME, cname("b.example")), ("b.example", a(2))],
                ),
                Some(Answer::Addresses(vec![ip(2)])),
            ),
            (
                "in another order",
                reply(
                    7,
                    NAME,
                    ok,
                    &[("b.example", a(2)), (NAME, cname("b.example"))],
                ),
                Some(Answer::Addresses(vec![ip(2)])),
            ),
            (
                "an alias alone",
                reply(7, NAME, ok, &[(NAME, cname("b.example"))]),
                Some(Answer::Alias("b.example".into())),
            ),
            (
                "an alias of itself",
                reply(7, NAME, ok, &[(NAME, cname(NAME))]),
                Some(Answer::ServerFailed("a loop of aliases")),
            ),
            (
                "NXDOMAIN",
                reply(7, NAME, RCODE::NameError, &[]),
                Some(Answer::NoSuchName),
            ),
            (
                "SERVFAIL",
                reply(7, NAME, RCODE::ServerFailure, &[]),
                Some(Answer::ServerFailed("SERVFAIL")),
            ),
            (
                "REFUSED",
                reply(7, NAME, RCODE::Refused, &[]),
                Some(Answer::ServerFailed("REFUSED")),
            ),
            ("another id", reply(8, NAME, ok, &[(NAME, a(6))]), None),
            (
                "another question",
                reply(7, "evil.example", ok, &[(NAME, a(6))]),
                None,
            ),
            (
                "the question itself",
                query(7, NAME, Record::A).unwrap(),
                None,
            ),
            ("nothing", Vec::new(), None),
        ] {
            assert_eq!(ask(&answer), want, "{what}");
        }
    }

    #[test]
    fn a_cut_answer_is_cut_wherever_it_is_cut() {
        let mut whole = reply(7, NAME, RCODE::NoError, &[(NAME, a(1)), (NAME, a(2))]);
        whole[2] |= 0x02;
        let question_end = query(7, NAME, Record::A).unwrap().len();
        for end in question_end..=whole.len() {
            assert_eq!(ask(&whole[..end]), Some(Answer::Truncated), "cut at {end}");
        }
        assert_eq!(ask(&whole[..question_end - 1]), None);
    }

    #[test]
    fn a_compression_pointer_to_itself_is_no_answer() {
        let mut answer = reply(7, NAME, RCODE::NoError, &[]);
        answer[7] = 1; // one answer
        let at = u8::try_from(answer.len()).unwrap();
        answer.extend([0xc0, at, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
        assert_eq!(ask(&answer), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(tail in prop::collection::vec(any::<u8>(), 0..300), flags in any::<u8>(), counts in any::<[u8; 4]>()) {
            let mut answer = query(7, NAME, Record::A).unwrap();
            answer[2] = flags | 0x80;
            answer[6..10].copy_from_slice(&counts);
            answer.extend(tail);
            let _ = ask(&answer);
        }
    }
}
