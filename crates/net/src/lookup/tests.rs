use std::cell::Cell;

use super::*;

const V4: [u8; 4] = [192, 0, 2, 1];

fn name() -> DomainName {
    DomainName::vec_from_str("hs.example").unwrap()
}

/// Ids count up, so that no two questions share one.
fn ids() -> impl Fn() -> u16 {
    let next = Cell::new(0);
    move || {
        next.set(next.get() + 1);
        next.get()
    }
}

/// What a server says to one question.
#[derive(Clone, Copy, Debug)]
enum Says {
    Found,
    Nothing,
    NxDomain,
    ServFail,
    Cut,
    /// An address of five bytes.
    Mangled,
    /// An alias of another name each time.
    Alias,
    Silent,
}
use Says::*;

fn reply(question: &Question, says: Says) -> Option<Vec<u8>> {
    let (flags, rdata): (u16, Option<(u16, Vec<u8>)>) = match (says, question.record()) {
        (Silent, _) => return None,
        (Found, Record::A) => (0x8180, Some((1, V4.to_vec()))),
        (Found, Record::Aaaa) => (0x8180, Some((28, [V4; 4].concat()))),
        (Nothing, _) => (0x8180, None),
        (NxDomain, _) => (0x8183, None),
        (ServFail, _) => (0x8182, None),
        (Cut, _) => (0x8380, None),
        (Mangled, record) => {
            let rtype = if record == Record::A { 1 } else { 28 };
            (0x8180, Some((rtype, vec![0; 5])))
        }
        (Alias, _) => {
            // `x.` before the name asked for: a new name each time.
            (0x8180, Some((5, vec![1, b'x', 0xc0, 12])))
        }
    };
    let mut message = question.bytes().to_vec();
    message[2..4].copy_from_slice(&flags.to_be_bytes());
    if let Some((rtype, data)) = rdata {
        message[7] = 1;
        message.extend([0xc0, 12]);
        message.extend(rtype.to_be_bytes());
        message.extend([0, 1, 0, 0, 0, 60, 0, data.len() as u8]);
        message.extend(data);
    }
    Some(message)
}

fn silence() -> Trouble {
    Trouble {
        kind: Kind::Timeout,
        words: "no answer".into(),
    }
}

/// Plays a server that answers AAAA and A so, over UDP and over TCP.
fn play(family: Family, udp: [Says; 2], tcp: Says) -> (Lookup, usize) {
    let id = ids();
    let mut lookup = Lookup::new(&name(), family, &id);
    let says = |q: &Question| udp[usize::from(q.record() == Record::A)];
    let mut questions = 0;
    loop {
        let open: Vec<Question> = lookup.open().cloned().collect();
        let mut answered = 0;
        for question in open {
            questions += 1;
            if let Some(message) = reply(&question, says(&question)) {
                assert_ne!(lookup.take(&message, &id), Taken::Stranger);
                answered += 1;
            }
        }
        if answered == 0 {
            lookup.give_up(&silence());
        }
        let first = lookup.streams().next().cloned();
        if let Some(cut) = first {
            questions += 1;
            let silence = || Trouble::over_tcp(Kind::Timeout, "no answer");
            lookup.take_tcp(reply(&cut, tcp).ok_or_else(silence), &id);
        }
        let awaited = lookup.open().next().is_some() || lookup.streams().next().is_some();
        if !awaited {
            return (lookup, questions);
        }
    }
}

#[test]
fn all_answers_come_to_one_result() {
    const NX: Result<usize, (&str, bool)> = Err(("nxdomain", true));
    const NONE: Result<usize, (&str, bool)> = Err(("no-address", true));
    const FAIL: Result<usize, (&str, bool)> = Err(("servfail", false));
    const MUTE: Result<usize, (&str, bool)> = Err(("no-answer", false));
    use Family::{Any, Both, Ipv4, Ipv6};
    for (family, aaaa, a, want) in [
        (Any, Found, Found, Ok(2)),
        // One family is enough, whatever becomes of the other.
        (Any, Nothing, Found, Ok(1)),
        (Any, ServFail, Found, Ok(1)),
        (Any, NxDomain, Found, Ok(1)),
        (Any, Silent, Found, Ok(1)),
        (Any, Alias, Found, Ok(1)),
        (Any, Found, Silent, Ok(1)),
        (Any, Found, ServFail, Ok(1)),
        // The most certain cause is told.
        (Any, Nothing, Nothing, NONE),
        (Any, NxDomain, NxDomain, NX),
        (Any, Silent, NxDomain, NX),
        (Any, ServFail, NxDomain, NX),
        (Any, Nothing, ServFail, FAIL),
        (Any, Silent, ServFail, FAIL),
        (Any, Nothing, Silent, MUTE),
        (Any, Silent, Silent, MUTE),
        (Any, Alias, Alias, FAIL),
        // Both are asked for.
        (Both, Found, Found, Ok(2)),
        (Both, Nothing, Found, NONE),
        (Both, Found, Nothing, NONE),
        (Both, ServFail, Found, FAIL),
        (Both, Silent, Found, MUTE),
        (Both, NxDomain, NxDomain, NX),
        // The other family is not asked for.
        (Ipv4, ServFail, Found, Ok(1)),
        (Ipv4, Found, Nothing, NONE),
        (Ipv4, Found, Silent, MUTE),
        (Ipv6, Found, ServFail, Ok(1)),
        (Ipv6, NxDomain, Found, NX),
        // Cut, and nothing over TCP.
        (Any, Cut, Found, Ok(1)),
        (Any, Cut, Nothing, MUTE),
        (Both, Cut, Found, MUTE),
    ] {
        let (lookup, _) = play(family, [aaaa, a], Silent);
        let got = lookup
            .conclude()
            .map(|list| list.len())
            .map_err(|r| (r.reason.unwrap_or("denied"), r.last_word));
        assert_eq!(got, want, "{family:?}: AAAA {aaaa:?}, A {a:?}");
    }
}

#[test]
fn what_is_cut_is_asked_again_over_tcp() {
    for (over_tcp, want) in [
        (Found, Ok(2)),
        (Nothing, Err("no-address")),
        (NxDomain, Err("nxdomain")),
        (ServFail, Err("servfail")),
        (Silent, Err("no-answer")),
        // Nothing beyond TCP could hold more.
        (Cut, Err("no-answer")),
        (Mangled, Err("no-answer")),
    ] {
        let (lookup, questions) = play(Family::Any, [Cut, Cut], over_tcp);
        let got = lookup.conclude().map(|list| list.len());
        assert_eq!(got.map_err(|r| r.reason.unwrap()), want, "{over_tcp:?}");
        assert_eq!(questions, 4, "each once over UDP and once over TCP");
    }
}

#[test]
fn what_udp_does_not_answer_is_asked_over_tcp() {
    for (udp, tcp, want, words) in [
        (Silent, Found, Ok(2), ""),
        (Mangled, Found, Ok(2), ""),
        (
            Silent,
            Nothing,
            Err("no-address"),
            "the name has no address",
        ),
        (
            Silent,
            NxDomain,
            Err("nxdomain"),
            "the name does not exist (NXDOMAIN)",
        ),
        (
            Silent,
            Silent,
            Err("no-answer"),
            "no answer; over TCP: no answer",
        ),
        (
            Mangled,
            Mangled,
            Err("no-answer"),
            "an answer that cannot be read; over TCP: an answer that cannot be read",
        ),
    ] {
        let (lookup, _) = play(Family::Any, [udp, udp], tcp);
        let got = lookup.conclude();
        let told = got.as_ref().err().map(|r| r.words.clone());
        assert_eq!(
            got.map(|list| list.len()).map_err(|r| r.reason.unwrap()),
            want
        );
        assert_eq!(told.unwrap_or_default(), words, "{udp:?}, {tcp:?}");
    }
}

#[test]
fn with_an_address_in_hand_a_silent_question_is_not_asked_over_tcp() {
    // Twice over UDP each but for the one that answers at once; where both are needed, once
    // over TCP and over UDP again.
    for (family, asked) in [(Family::Any, 3), (Family::Both, 5)] {
        let (_, questions) = play(family, [Silent, Found], Silent);
        assert_eq!(questions, asked, "{family:?}");
    }
}

/// An answer that comes while TCP is tried, and TCP not permitted, is an answer all the same.
#[test]
fn udp_is_heard_after_tcp_too() {
    let id = ids();
    let denied = || Trouble::over_tcp(Kind::Denied, "the permission is denied");
    let mut lookup = Lookup::new(&name(), Family::Ipv4, &id);
    let question = lookup.open().next().unwrap().clone();
    lookup.give_up(&silence());
    lookup.take_tcp(Err(denied()), &id);
    let late = reply(&question, Found).unwrap();
    assert_eq!(lookup.take(&late, &id), Taken::Answer);
    assert_eq!(lookup.conclude().unwrap(), [IpAddr::from(V4)]);

    let mut lookup = Lookup::new(&name(), Family::Ipv4, &id);
    lookup.give_up(&silence());
    lookup.take_tcp(Err(denied()), &id);
    lookup.give_up(&silence());
    let refusal = lookup.conclude().unwrap_err();
    assert_eq!(
        (refusal.kind, refusal.reason),
        (Kind::Dns, Some("no-answer"))
    );
    assert_eq!(
        refusal.words,
        "no answer; over TCP: the permission is denied"
    );
}

#[test]
fn an_alias_stays_where_answers_come() {
    let id = ids();
    let mut lookup = Lookup::new(&name(), Family::Ipv4, &id);
    lookup.give_up(&silence());
    let question = lookup.streams().next().unwrap().clone();
    lookup.take_tcp(Ok(reply(&question, Alias).unwrap()), &id);
    let next = lookup.streams().next().expect("over TCP").clone();
    assert_ne!(next.bytes()[..2], question.bytes()[..2]);
    assert!(lookup.open().next().is_none());
}

#[test]
fn aliases_without_end_are_followed_to_a_bound() {
    for tcp in [Found, Alias] {
        let (_, questions) = play(Family::Ipv4, [Alias, Alias], tcp);
        assert_eq!(questions, 1 + ALIASES_MAX);
    }
    let (_, questions) = play(Family::Ipv4, [Cut, Cut], Alias);
    assert_eq!(questions, 2 * (1 + ALIASES_MAX), "UDP and TCP in turn");
}

#[test]
fn a_further_question_is_about_the_target_and_has_its_own_id() {
    let id = ids();
    let mut lookup = Lookup::new(&name(), Family::Ipv4, &id);
    let first = lookup.open().next().unwrap().clone();
    let alias = reply(&first, Alias).unwrap();
    assert_eq!(lookup.take(&alias, &id), Taken::Further);
    let second = lookup.open().next().unwrap().clone();
    assert_ne!(second.bytes()[..2], first.bytes()[..2]);
    assert!(second.bytes().windows(4).any(|w| w == b"\x01x\x02h"));
    // The first answer again, and an answer to the first question: no longer asked.
    assert_eq!(lookup.take(&alias, &id), Taken::Stranger);
    assert_eq!(
        lookup.take(&reply(&first, Found).unwrap(), &id),
        Taken::Stranger
    );
    assert_eq!(
        lookup.take(&reply(&second, Found).unwrap(), &id),
        Taken::Answer
    );
    assert_eq!(lookup.conclude().unwrap(), [IpAddr::from(V4)]);
}

#[test]
fn the_other_family_is_waited_for_only_as_far_as_it_matters() {
    for (family, says, want) in [
        (Family::Any, Found, Progress::Enough),
        (Family::Any, Cut, Progress::Enough),
        (Family::Any, Nothing, Progress::Waiting),
        (Family::Any, ServFail, Progress::Waiting),
        (Family::Any, NxDomain, Progress::Waiting),
        (Family::Any, Alias, Progress::Waiting),
        (Family::Both, Found, Progress::Waiting),
        (Family::Ipv4, Found, Progress::Over),
    ] {
        let id = ids();
        let mut lookup = Lookup::new(&name(), family, &id);
        let a = lookup.open().find(|q| q.record() == Record::A).cloned();
        lookup.take(&reply(&a.unwrap(), says).unwrap(), &id);
        assert_eq!(lookup.progress(), want, "{family:?}: A {says:?}");
    }
}

#[test]
fn what_may_not_be_asked_is_denied() {
    let id = ids();
    let mut lookup = Lookup::new(&name(), Family::Any, &id);
    lookup.give_up(&Trouble {
        kind: Kind::Denied,
        words: "the permission is denied".into(),
    });
    let refusal = lookup.conclude().unwrap_err();
    assert_eq!((refusal.kind, refusal.reason), (Kind::Denied, None));
    assert!(!refusal.last_word, "another server may be permitted");
}

#[test]
fn a_missing_family_is_named() {
    for (family, aaaa, a, want) in [
        (Family::Any, Nothing, Nothing, "the name has no address"),
        (Family::Both, Nothing, Nothing, "the name has no address"),
        (Family::Both, Nothing, Found, "the name has no IPv6 address"),
        (Family::Both, Found, Nothing, "the name has no IPv4 address"),
        (Family::Ipv4, Found, Nothing, "the name has no IPv4 address"),
        (Family::Ipv6, Nothing, Found, "the name has no IPv6 address"),
    ] {
        let (lookup, _) = play(family, [aaaa, a], Silent);
        assert_eq!(lookup.conclude().unwrap_err().words, want, "{family:?}");
    }
}

#[test]
fn what_suffices_is_told_from_what_is_still_needed() {
    for (family, aaaa, a, suffices, cut) in [
        (Family::Any, Cut, Found, true, 1),
        (Family::Any, Cut, Nothing, false, 1),
        (Family::Any, Cut, Cut, false, 2),
        (Family::Both, Cut, Found, false, 1),
        (Family::Ipv4, Cut, Cut, false, 1),
    ] {
        let id = ids();
        let mut lookup = Lookup::new(&name(), family, &id);
        let open: Vec<Question> = lookup.open().cloned().collect();
        for question in open {
            let says = [aaaa, a][usize::from(question.record() == Record::A)];
            lookup.take(&reply(&question, says).unwrap(), &id);
        }
        let got = (lookup.suffices(), lookup.streams().count());
        assert_eq!(got, (suffices, cut), "{family:?}: AAAA {aaaa:?}, A {a:?}");
    }
}
