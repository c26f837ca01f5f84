use domain::base::{MessageBuilder, Ttl};
use proptest::prelude::*;

use super::*;

const NAME: &str = "hs.example.com";
const ID: u16 = 7;

fn name(text: &str) -> DomainName {
    Name::vec_from_str(text).unwrap()
}

fn question() -> Question {
    Question::new(ID, name(NAME), Record::A)
}

fn ask(message: &[u8]) -> Option<Answer> {
    question().read(message)
}

enum Data {
    A(u8),
    Aaaa(u16),
    Cname(&'static str),
}

fn reply(id: u16, asked: &str, rcode: Rcode, records: &[(&str, Data)]) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    builder.header_mut().set_qr(true);
    builder.header_mut().set_rcode(rcode);
    let mut questions = builder.question();
    questions.push((name(asked), Rtype::A)).unwrap();
    let mut answers = questions.answer();
    for (owner, data) in records {
        let (owner, ttl) = (name(owner), Ttl::from_secs(60));
        match data {
            Data::A(last) => answers.push((owner, ttl, A::from_octets(192, 0, 2, *last))),
            Data::Aaaa(last) => answers.push((owner, ttl, Aaaa::new(ip6(*last)))),
            Data::Cname(target) => answers.push((owner, ttl, Cname::new(name(target)))),
        }
        .unwrap();
    }
    answers.finish()
}

fn ip6(last: u16) -> std::net::Ipv6Addr {
    std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last)
}

fn found(last: &[u8]) -> Option<Answer> {
    let ips = last.iter().map(|l| IpAddr::from([192, 0, 2, *l]));
    Some(Answer::Addresses(ips.collect()))
}

/// Aliases `0.a` → `1.a` → … of this length, starting at the name, then an address.
fn chain(aliases: usize) -> Vec<u8> {
    let targets: Vec<&'static str> = vec![
        "0.a", "1.a", "2.a", "3.a", "4.a", "5.a", "6.a", "7.a", "8.a", "9.a",
    ];
    let mut records = vec![];
    let mut owner = NAME;
    for target in &targets[..aliases] {
        records.push((owner, Data::Cname(target)));
        owner = target;
    }
    records.push((owner, Data::A(1)));
    reply(ID, NAME, Rcode::NOERROR, &records)
}

#[test]
fn an_answer_says_exactly_one_thing() {
    let ok = Rcode::NOERROR;
    let failed = |what: &'static str| Some(Answer::ServerFailed(what.into()));
    let alias = || (NAME, Data::Cname("b.example"));
    for (what, message, want) in [
        (
            "an address",
            reply(ID, NAME, ok, &[(NAME, Data::A(1))]),
            found(&[1]),
        ),
        (
            "two, one of them twice",
            reply(
                ID,
                NAME,
                ok,
                &[(NAME, Data::A(2)), (NAME, Data::A(1)), (NAME, Data::A(2))],
            ),
            found(&[2, 1]),
        ),
        (
            "in capitals",
            reply(ID, "HS.Example.com", ok, &[("HS.EXAMPLE.COM", Data::A(1))]),
            found(&[1]),
        ),
        (
            "no record",
            reply(ID, NAME, ok, &[]),
            Some(Answer::NoAddress),
        ),
        (
            "the other family's",
            reply(ID, NAME, ok, &[(NAME, Data::Aaaa(1))]),
            Some(Answer::NoAddress),
        ),
        (
            "another owner's",
            reply(ID, NAME, ok, &[("evil.example", Data::A(6))]),
            Some(Answer::NoAddress),
        ),
        (
            "an owner with a dot inside its label",
            reply(ID, NAME, ok, &[("hs\\.example.com", Data::A(6))]),
            Some(Answer::NoAddress),
        ),
        (
            "an alias with its address",
            reply(ID, NAME, ok, &[alias(), ("b.example", Data::A(2))]),
            found(&[2]),
        ),
        (
            "in another order",
            reply(ID, NAME, ok, &[("b.example", Data::A(2)), alias()]),
            found(&[2]),
        ),
        (
            "an alias alone",
            reply(ID, NAME, ok, &[alias()]),
            Some(Answer::Alias(name("b.example"))),
        ),
        (
            "an alias, and a stranger's address",
            reply(ID, NAME, ok, &[alias(), ("evil.example", Data::A(6))]),
            Some(Answer::Alias(name("b.example"))),
        ),
        (
            "an alias of itself",
            reply(ID, NAME, ok, &[(NAME, Data::Cname(NAME))]),
            failed("a loop of aliases"),
        ),
        (
            "a loop over two",
            reply(ID, NAME, ok, &[alias(), ("b.example", Data::Cname(NAME))]),
            failed("a loop of aliases"),
        ),
        (
            "as many aliases as allowed",
            chain(ALIASES_MAX),
            found(&[1]),
        ),
        (
            "one more",
            chain(ALIASES_MAX + 1),
            failed("a loop of aliases"),
        ),
        (
            "NXDOMAIN",
            reply(ID, NAME, Rcode::NXDOMAIN, &[]),
            Some(Answer::NoSuchName),
        ),
        (
            "an alias of a name that does not exist (RFC 6604)",
            reply(ID, NAME, Rcode::NXDOMAIN, &[alias()]),
            Some(Answer::NoSuchName),
        ),
        (
            "SERVFAIL",
            reply(ID, NAME, Rcode::SERVFAIL, &[]),
            failed("SERVFAIL"),
        ),
        (
            "REFUSED",
            reply(ID, NAME, Rcode::REFUSED, &[]),
            failed("REFUSED"),
        ),
        (
            "NOTAUTH",
            reply(ID, NAME, Rcode::NOTAUTH, &[]),
            failed("RCODE 9"),
        ),
        ("nothing", Vec::new(), None),
        ("the question itself", question().bytes().to_vec(), None),
        (
            "another id",
            reply(ID + 1, NAME, ok, &[(NAME, Data::A(6))]),
            None,
        ),
        (
            "another question",
            reply(ID, "evil.example", ok, &[(NAME, Data::A(6))]),
            None,
        ),
        (
            "a longer question",
            reply(ID, "hs.example.com.evil", ok, &[(NAME, Data::A(6))]),
            None,
        ),
    ] {
        assert_eq!(ask(&message), want, "{what}");
    }
}

#[test]
fn a_changed_header_is_no_answer() {
    let good = reply(ID, NAME, Rcode::NOERROR, &[(NAME, Data::A(1))]);
    assert_eq!(ask(&good), found(&[1]));
    for (what, at, byte) in [
        ("a question, not a response", 2, 0x01),
        ("a status response (opcode 2)", 2, 0x90),
        ("no question", 5, 0),
        ("two questions", 5, 2),
    ] {
        let mut message = good.clone();
        message[at] = byte;
        assert_eq!(ask(&message), None, "{what}");
    }
    let mut message = good.clone();
    message[7] = 2;
    let more = "more answers than there are";
    assert_eq!(ask(&message), Some(Answer::Unreadable), "{more}");
    // The type and the class of the question, which are its last four bytes.
    let end = question().bytes().len();
    for at in [end - 3, end - 1] {
        let mut message = good.clone();
        message[at] = 28;
        assert_eq!(ask(&message), None, "byte {at} of the question changed");
    }
}

#[test]
fn a_cut_answer_is_cut_wherever_it_is_cut() {
    let mut whole = reply(
        ID,
        NAME,
        Rcode::NOERROR,
        &[(NAME, Data::A(1)), (NAME, Data::A(2))],
    );
    whole[2] |= 0x02;
    let question_end = question().bytes().len();
    for end in question_end..=whole.len() {
        assert_eq!(ask(&whole[..end]), Some(Answer::Truncated), "cut at {end}");
    }
    assert_eq!(ask(&whole[..question_end - 1]), None);
}

#[test]
fn a_message_that_ends_early_without_saying_so_cannot_be_read() {
    let whole = reply(ID, NAME, Rcode::NOERROR, &[(NAME, Data::A(1))]);
    let question_end = question().bytes().len();
    for end in 0..whole.len() {
        let want = (end >= question_end).then_some(Answer::Unreadable);
        assert_eq!(ask(&whole[..end]), want, "ends at {end}");
    }
}

#[test]
fn a_compression_pointer_to_itself_or_forward_cannot_be_read() {
    let empty = reply(ID, NAME, Rcode::NOERROR, &[]);
    let at = u8::try_from(empty.len()).unwrap();
    for pointer in [at, at + 2, 0xff] {
        let mut message = empty.clone();
        message[7] = 1; // one answer
        message.extend([0xc0, pointer, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
        let unreadable = Some(Answer::Unreadable);
        assert_eq!(ask(&message), unreadable, "pointer to {pointer}");
    }
    let mut message = empty;
    message[7] = 1;
    message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
    assert_eq!(ask(&message), found(&[1]), "pointer to the question");
}

#[test]
fn an_address_of_another_length_cannot_be_read() {
    let mut message = reply(ID, NAME, Rcode::NOERROR, &[]);
    message[7] = 1;
    message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 5, 192, 0, 2, 1, 0]);
    assert_eq!(ask(&message), Some(Answer::Unreadable));
}

/// Servers answer so what they cannot read, or whom they do not serve.
#[test]
fn an_error_need_not_repeat_the_question() {
    let mut header = question().bytes()[..HEADER_BYTES].to_vec();
    for (rcode, words) in [
        (1, "FORMERR"),
        (2, "SERVFAIL"),
        (4, "NOTIMP"),
        (5, "REFUSED"),
    ] {
        header[2..6].copy_from_slice(&[0x80, rcode, 0, 0]);
        assert_eq!(ask(&header), Some(Answer::ServerFailed(words.into())));
    }
    header[1] ^= 1;
    assert_eq!(ask(&header), None, "another id");
    header[1] ^= 1;
    // Of which name, it does not say.
    for rcode in [0, 3] {
        header[3] = rcode;
        assert_eq!(ask(&header), None, "RCODE {rcode}");
    }
}

#[test]
fn a_record_of_no_concern_spoils_nothing() {
    let mut message = reply(ID, NAME, Rcode::NOERROR, &[(NAME, Data::A(1))]);
    message[7] = 2;
    // A TXT record whose text is longer than the record: nobody asked for it.
    message.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0, 1, 200]);
    assert_eq!(ask(&message), found(&[1]));
}

#[test]
fn a_question_is_what_rfc_1035_says() {
    let q = Question::new(0x1234, name("a.bc"), Record::Aaaa);
    let want = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x02bc\x00\x00\x1c\x00\x01";
    assert_eq!(q.bytes(), want);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        flags in any::<[u8; 2]>(),
        counts in any::<[u8; 6]>(),
        tail in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut message = question().bytes().to_vec();
        message[2..4].copy_from_slice(&[flags[0] | 0x80, flags[1]]);
        message[6..12].copy_from_slice(&counts);
        message.extend(tail);
        let _ = ask(&message);
    }

    /// Pointers, types and lengths that look like records reach deeper than noise.
    #[test]
    fn no_records_make_it_panic(
        records in prop::collection::vec((0u8..80, prop::sample::select(vec![1u8, 5, 28, 41]), 0u8..20, prop::collection::vec(0xb8u8..0xff, 0..20)), 0..8),
    ) {
        let mut message = reply(ID, NAME, Rcode::NOERROR, &[]);
        message[7] = records.len() as u8;
        for (pointer, rtype, length, data) in records {
            message.extend([0xc0, pointer, 0, rtype, 0, 1, 0, 0, 0, 60, 0, length]);
            message.extend(data);
        }
        let _ = ask(&message);
    }

    #[test]
    fn an_answer_to_another_id_is_never_read(id in any::<u16>()) {
        let message = reply(id, NAME, Rcode::NOERROR, &[(NAME, Data::A(1))]);
        prop_assert_eq!(ask(&message).is_some(), id == ID);
    }
}
