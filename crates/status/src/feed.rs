//! Incidents as an Atom feed (RFC 4287).

use std::collections::BTreeSet;

use maud::{Markup, PreEscaped, html};
use sha2::{Digest, Sha256};
use watchbell_core::outcome::one_line;

use crate::view::{Incident, Time};
use crate::xml::clean;

/// A reader keeps what it has seen; whoever comes anew need not get it all.
const ENTRIES_MAX: usize = 50;
/// Of one text: a label or a runbook may be of any length.
const CHARS_MAX: usize = 1_000;
const ATOM: &str = "http://www.w3.org/2005/Atom";
const XHTML: &str = "http://www.w3.org/1999/xhtml";

/// One entry an incident, open or over: what is open first, then as `past` has it, the newest
/// first. `at` is now.
///
/// An entry is *updated* when the incident opens and when it is over, and never between: a
/// reader shows it anew then, and an outage is news twice. Were it the time of the request while
/// it is open, every request would show it anew; so would whatever grows with the outage, so no
/// duration stands in an open one.
pub fn feed(title: &str, open: &[Incident], past: &[Incident], at: Time) -> String {
    // What ended while the records were read may be in both: it is over, and an id that stands
    // there twice is no feed.
    let over: BTreeSet<&str> = past.iter().map(|i| i.incident.as_str()).collect();
    let open = open.iter().filter(|i| !over.contains(i.incident.as_str()));
    let entries: Vec<&Incident> = open.chain(past).take(ENTRIES_MAX).collect();
    // Without any, nothing says when it changed.
    let updated_at = entries.iter().map(|i| updated(i)).max().unwrap_or(at);
    let feed = html! {
        feed xmlns=(ATOM) {
            // Of the title alone: a feed stays the same one wherever it moves to.
            id { (uuid(&format!("feed {title}"))) }
            title { (line(title)) }
            updated { (updated_at) }
            author { name { "Watchbell" } }
            link rel="self" type="application/atom+xml" href="/incidents.atom" {}
            link rel="alternate" type="text/html" href="/" {}
            @for incident in entries { (entry(incident)) }
        }
    };
    let PreEscaped(feed) = feed;
    format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n{feed}\n")
}

fn entry(incident: &Incident) -> Markup {
    let id = &incident.incident;
    // An id is `inc_` and hex digits; whatever else a record holds leads nowhere else.
    let page: String = id
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect();
    html! {
        entry {
            id { (uuid(id)) }
            title { (line(&incident.summary)) }
            published { (incident.opened_at) }
            updated { (updated(incident)) }
            link rel="alternate" type="text/html" href=(format!("/incident/{page}")) {}
            category term=(line(&incident.severity)) label=(line(&incident.severity)) {}
            content type="xhtml" { div xmlns=(XHTML) { (told(incident)) } }
        }
    }
}

/// When it last became news.
fn updated(incident: &Incident) -> Time {
    incident.resolved_at.unwrap_or(incident.opened_at)
}

fn told(incident: &Incident) -> Markup {
    let lines = |lines: &[String]| {
        html! { ul { @for text in lines { li { (line(text)) } } } }
    };
    let checks: Vec<String> = incident.checks.iter().map(|c| c.label.clone()).collect();
    html! {
        p {
            "Failing since " (incident.failing_since)
            @if let Some(at) = incident.resolved_at { ", over since " (at) }
            ". Severity: " (line(&incident.severity)) "."
        }
        // Most titles say it already.
        @if let Some(cause) = incident.cause_text.as_deref().filter(|c| !incident.summary.contains(c)) {
            p { "Cause: " (line(cause)) }
        }
        // With the token; otherwise what fails, by name alone.
        @match &incident.evidence {
            Some(evidence) => { (lines(evidence)) }
            None => { (lines(&checks)) }
        }
        @if let Some(action) = &incident.action {
            @if !action.is_empty() { p { "What to do: " (line(action)) } }
        }
        @if let Some(url) = incident.runbook_url.as_deref().filter(|u| http(u)) {
            p { a href=(line(url)) { (line(url)) } }
        }
    }
}

fn line(text: &str) -> String {
    one_line(&clean(text), CHARS_MAX)
}

/// A configuration may hold any text: a link to a script must not reach a reader.
fn http(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

/// The 32 hex digits of an id as the name of a UUID, of the version that is for digits of one's
/// own (RFC 9562, section 5.8); of an id that has others, those of its digest.
fn uuid(id: &str) -> String {
    let digits = id.strip_prefix("inc_").unwrap_or(id);
    let hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let digits = match digits.len() == 32 && hex(digits) {
        true => digits.to_owned(),
        false => {
            let hash = Sha256::digest(id.as_bytes());
            hash[..16].iter().map(|b| format!("{b:02x}")).collect()
        }
    };
    // The version, and the variant's two bits.
    format!(
        "urn:uuid:{}-{}-8{}-a{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[13..16],
        &digits[17..20],
        &digits[20..]
    )
}
