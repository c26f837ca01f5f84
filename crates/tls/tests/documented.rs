//! `docs/webhook.md` against the reasons that there are.

// Helpers too may panic.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use watchbell_core::outcome::Kind;
use watchbell_protocol::Reason as Protocol;
use watchbell_tls::{Cause, Reason};

/// The reasons in the document's row of a kind.
fn documented(kind: &str) -> BTreeSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/webhook.md");
    let text = std::fs::read_to_string(path).unwrap();
    let start = format!("| `{kind}` |");
    let row = text.lines().find(|line| line.starts_with(&start)).unwrap();
    let reasons = row.split('|').nth(3).unwrap();
    // What stands between backticks is every second part; reasons are words and hyphens.
    let words = reasons.split('`').skip(1).step_by(2);
    let reason = |w: &&str| w.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    words.filter(reason).map(str::to_owned).collect()
}

fn causes(kind: Kind) -> BTreeSet<String> {
    let all = Cause::ALL.iter().filter(|c| c.kind() == kind);
    all.map(|c| c.as_str().to_owned()).collect()
}

#[test]
fn every_reason_is_documented_and_no_other() {
    let classes = Reason::ALL.iter().map(|r| r.as_str().to_owned()).collect();
    assert_eq!(documented("certificate"), classes);
    assert_eq!(documented("tls"), causes(Kind::Tls));
    let words = |all: &[Protocol]| -> BTreeSet<String> {
        all.iter().map(|r| r.as_str().to_owned()).collect()
    };
    let answers = words(&[Protocol::NoKey, Protocol::WrongAnswer]);
    assert_eq!(documented("status"), answers);
    assert_eq!(documented("body"), answers);
    let mut protocol = causes(Kind::Protocol);
    protocol.extend(words(Protocol::ALL));
    protocol.retain(|reason| !answers.contains(reason));
    // That of a value that is remembered.
    protocol.insert("key-changed".to_owned());
    assert_eq!(documented("protocol"), protocol);
}
