//! The feed: what RFC 4287 requires, and when an entry is news.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use roxmltree::{Document, Node};
use support::*;
use watchbell_status::feed::feed;
use watchbell_status::view::{self, Incident, Sight, Time};

const ATOM: &str = "http://www.w3.org/2005/Atom";

fn of(sight: Sight) -> String {
    let records = records();
    let (open, past) = (
        view::incidents(&records, sight),
        view::past(&records, sight),
    );
    feed("Watchbell", &open, &past, Time(NOW))
}

fn children<'a>(node: Node<'a, 'a>, name: &str) -> Vec<Node<'a, 'a>> {
    node.children()
        .filter(|n| n.has_tag_name((ATOM, name)))
        .collect()
}

fn text(node: Node, name: &str) -> String {
    let [one] = children(node, name)[..] else {
        panic!("not one {name} in {node:?}");
    };
    one.text().unwrap_or_default().to_owned()
}

fn assert_uuid(id: &str) {
    let digits = id
        .strip_prefix("urn:uuid:")
        .unwrap_or_else(|| panic!("{id}"));
    let groups: Vec<usize> = digits.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12], "{id}");
    assert!(
        digits
            .chars()
            .all(|c| matches!(c, '0'..='9' | 'a'..='f' | '-')),
        "{id}"
    );
    // RFC 9562: version 8, and the variant.
    assert_eq!((&digits[14..15], &digits[19..20]), ("8", "a"), "{id}");
}

#[test]
fn a_feed_is_what_it_was() {
    golden("feed/public.atom", &of(Sight::Public));
    golden("feed/full.atom", &of(Sight::Full));
}

/// RFC 4287, sections 4.1.1 and 4.1.2.
#[test]
fn a_feed_and_its_entries_have_what_they_must() {
    for sight in [Sight::Public, Sight::Full] {
        let feed = of(sight);
        let document = Document::parse(&feed).unwrap_or_else(|e| panic!("{e}: {feed}"));
        let root = document.root_element();
        assert!(root.has_tag_name((ATOM, "feed")));
        assert_uuid(&text(root, "id"));
        assert_eq!(text(root, "title"), "Watchbell");
        assert_eq!(text(children(root, "author")[0], "name"), "Watchbell");
        let entries = children(root, "entry");
        assert_eq!(entries.len(), 3);
        let mut ids = BTreeSet::new();
        let mut latest = String::new();
        for entry in entries {
            let id = text(entry, "id");
            assert_uuid(&id);
            assert!(ids.insert(id), "an id stands there once");
            assert!(!text(entry, "title").is_empty());
            for date in ["updated", "published"] {
                humantime::parse_rfc3339(&text(entry, date)).unwrap();
            }
            latest = latest.max(text(entry, "updated"));
            let link = children(entry, "link")[0];
            assert_eq!(link.attribute("rel"), Some("alternate"));
            assert!(
                link.attribute("href")
                    .unwrap()
                    .starts_with("/incident/inc_")
            );
            let term = children(entry, "category")[0].attribute("term").unwrap();
            assert!(["critical", "warning", "info"].contains(&term));
            // 4.1.3.3: of `xhtml` the one child is a div.
            let content = children(entry, "content")[0];
            assert_eq!(content.attribute("type"), Some("xhtml"));
            let elements: Vec<Node> = content.children().filter(Node::is_element).collect();
            assert_eq!(elements.len(), 1);
            assert!(elements[0].has_tag_name(("http://www.w3.org/1999/xhtml", "div")));
        }
        assert_eq!(
            text(root, "updated"),
            latest,
            "the feed is as new as its newest entry"
        );
    }
}

#[test]
fn an_entry_is_news_twice_whenever_it_is_asked_for() {
    let mut records = records();
    let at = |records: &watchbell_status::records::Records| {
        let open = view::incidents(records, Sight::Full);
        feed(
            "Watchbell",
            &open,
            &view::past(records, Sight::Full),
            Time(records.now),
        )
    };
    let before = at(&records);
    records.now.0 += 3_600_000;
    assert_eq!(at(&records), before, "an hour later nothing has happened");

    let updated = |feed: &str, page: &str| {
        let document = Document::parse(feed).unwrap();
        let links = document
            .descendants()
            .filter(|n| n.has_tag_name((ATOM, "link")));
        let mut links = links.filter(|n| n.attribute("href").unwrap().ends_with(page));
        text(links.next().unwrap().parent().unwrap(), "updated")
    };
    let (open, over) = (ago(592).rfc3339(), ago(7_000).rfc3339());
    assert_eq!(updated(&before, OPEN), open, "when it opened");
    assert_eq!(updated(&before, OVER), over, "when it was over");
}

#[test]
fn an_incident_keeps_its_id_and_is_there_once() {
    let records = records();
    let open = view::incidents(&records, Sight::Full);
    let mut over: Incident = open[0].clone();
    over.resolved_at = Some(Time(NOW));
    let id = "urn:uuid:01234567-89ab-8def-a123-456789abcdef";
    for (open, past, updated) in [
        (&open[..], &[][..], ago(592)),
        (&[], std::slice::from_ref(&over), NOW),
        // It ended while the records were read.
        (&open[..], std::slice::from_ref(&over), NOW),
    ] {
        let feed = feed("Watchbell", open, past, Time(NOW));
        let document = Document::parse(&feed).unwrap();
        let entries = children(document.root_element(), "entry");
        assert_eq!(entries.len(), 1);
        assert_eq!(text(entries[0], "id"), id);
        assert_eq!(text(entries[0], "updated"), updated.rfc3339());
    }
}

#[test]
fn what_was_found_and_what_to_do_is_for_who_bears_the_token() {
    let (public, full) = (of(Sight::Public), of(Sight::Full));
    for secret in [
        SECRET,
        "protocol",
        "What to do",
        "a proxy does not pass",
        "502",
    ] {
        assert!(!public.contains(secret), "{secret} in {public}");
        assert!(full.contains(secret), "no {secret} in {full}");
    }
    assert!(
        public.contains("Headscale control"),
        "what fails is named: {public}"
    );
}

#[test]
fn every_text_makes_a_well_formed_feed() {
    let records = records();
    let mut incident = view::incidents(&records, Sight::Full).remove(0);
    incident.incident = HOSTILE.into();
    incident.summary = HOSTILE.into();
    incident.severity = HOSTILE.into();
    incident.cause_text = Some(HOSTILE.into());
    incident.evidence = Some(vec![HOSTILE.into(), "]]>".into()]);
    incident.action = Some(HOSTILE.into());
    for (url, linked) in [
        (format!("https://x/{HOSTILE}"), true),
        ("javascript:alert(1)".to_owned(), false),
    ] {
        incident.runbook_url = Some(url);
        let feed = feed(HOSTILE, std::slice::from_ref(&incident), &[], Time(NOW));
        let document = Document::parse(&feed).unwrap_or_else(|e| panic!("{e}: {feed}"));
        let named = |name| {
            document
                .descendants()
                .filter(move |n| n.tag_name().name() == name)
        };
        assert_eq!(named("script").count(), 0, "{feed}");
        assert_eq!(named("a").count(), usize::from(linked), "{feed}");
        let entry = children(document.root_element(), "entry")[0];
        assert_uuid(&text(entry, "id"));
        let href = children(entry, "link")[0].attribute("href").unwrap();
        assert_eq!(href, "/incident/abctextscriptd");
    }
}

#[test]
fn a_feed_is_bounded_and_may_be_empty() {
    let records = records();
    let one = view::past(&records, Sight::Full).remove(0);
    let many: Vec<Incident> = (0..200)
        .map(|n| Incident {
            incident: format!("inc_{n:032x}"),
            ..one.clone()
        })
        .collect();
    for (past, entries) in [
        (&many[..], 50),
        (&many[..50], 50),
        (&many[..1], 1),
        (&[], 0),
    ] {
        let feed = feed("Watchbell", &[], past, Time(NOW));
        let document = Document::parse(&feed).unwrap();
        let root = document.root_element();
        assert_eq!(children(root, "entry").len(), entries);
        if entries == 0 {
            assert_eq!(text(root, "updated"), NOW.rfc3339());
        }
    }
}
