//! How states, times, shares and foreign text are written.

use maud::{Markup, html};
use watchbell_core::history::DAY_S;
use watchbell_core::outcome::one_line;

use crate::view::{Check, Outcome, State, Time, Uptime};

/// No incident's, certificate's or server's text is longer on a page.
pub const TEXT_CHARS_MAX: usize = 400;
/// Less is the time since the last probe, and not worth a word.
pub const UNKNOWN_S_MIN: u64 = 300;
/// Names: of checks, services, channels.
pub const NAME_CHARS_MAX: usize = 100;

/// Text that others have written, as one line, and by itself: what is written from right to
/// left does not turn what stands around it.
pub fn foreign(text: &str, chars_max: usize) -> Markup {
    html! { bdi { (one_line(text, chars_max)) } }
}

/// The same where no element can stand: in attributes and titles.
pub fn plain(text: &str, chars_max: usize) -> String {
    one_line(text, chars_max)
}

pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}

/// The symbol of a state; its word stands beside it.
pub fn mark(state: State) -> Markup {
    html! {
        svg class={ "i " (state.as_str()) } aria-hidden="true" {
            use href={ "#" (state.as_str()) } {}
        }
    }
}

/// What a check is, in a word.
pub fn state(check: &Check) -> &'static str {
    match check.off {
        true => "off",
        false => check.state.as_str(),
    }
}

/// What it looks like: of what is switched off nothing is known.
pub fn look(check: &Check) -> State {
    match check.off {
        true => State::Unknown,
        false => check.state,
    }
}

/// What is to be known beside the state.
pub fn notes(check: &Check) -> Vec<&'static str> {
    let notes = [
        (check.off, "switched off"),
        (check.flapping, "flapping"),
        (check.unreadable, "its record cannot be read"),
    ];
    { notes.into_iter() }
        .filter_map(|(holds, note)| holds.then_some(note))
        .collect()
}

/// `2026-11-28 14:03 UTC`; the script adds how long ago.
pub fn time(at: Time) -> Markup {
    let rfc3339 = at.to_string();
    let minute: String = rfc3339.chars().take(16).collect();
    html! {
        time datetime=(rfc3339) { (minute.replace('T', " ")) " UTC" }
    }
}

/// `2026-11-28`.
pub fn date(at: Time) -> String {
    at.to_string().chars().take(10).collect()
}

/// `12d 4h`, `3m 20s`: the two largest units.
pub fn lasting(s: u64) -> String {
    let units = [(DAY_S, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let first = units
        .iter()
        .position(|(unit_s, _)| s >= *unit_s)
        .unwrap_or(3);
    let mut left_s = s;
    let mut parts = Vec::new();
    for (unit_s, name) in units.iter().skip(first).take(2) {
        let count = left_s / unit_s;
        left_s %= unit_s;
        if count > 0 || parts.is_empty() {
            parts.push(format!("{count}{name}"));
        }
    }
    parts.join(" ")
}

/// `99.98 %`, or a dash where nothing is known.
pub fn percent(uptime: &Uptime) -> String {
    let Some(percent) = uptime.percent else {
        return "–".to_owned();
    };
    let number = format!("{percent:.3}");
    let number = number.trim_end_matches('0').trim_end_matches('.');
    format!("{number}\u{a0}%")
}

/// `1 check`, `3 checks`.
pub fn count(count: usize, of: &str) -> String {
    match count {
        1 => format!("1 {of}"),
        many => format!("{many} {of}s"),
    }
}

/// What a probe found: `up in 23 ms`, `failed after 30 ms`.
pub fn verdict(outcome: &Outcome) -> String {
    let ms = outcome.duration_ms;
    match outcome.status.as_str() {
        "failed" => format!("failed after {ms} ms"),
        status => format!("{} in {ms} ms", plain(status, 20)),
    }
}

/// A name as a part of an address or an element's id.
pub fn encoded(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                out.push(char::from(byte));
            }
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

/// What to do. A link is one only where it leads to a web page: `javascript:` runs here.
pub fn what_to_do(action: Option<&str>, runbook_url: Option<&str>) -> Option<Markup> {
    let action = action.filter(|a| !a.is_empty());
    let url = runbook_url.filter(|url| {
        let scheme = url
            .split_once("://")
            .map(|(scheme, _)| scheme.to_ascii_lowercase());
        matches!(scheme.as_deref(), Some("http" | "https"))
    });
    (action.is_some() || url.is_some()).then(|| {
        html! {
            @if let Some(action) = action { (foreign(action, 2 * TEXT_CHARS_MAX)) " " }
            @if let Some(url) = url {
                a href=(url) rel="noreferrer" { "Runbook" }
            }
        }
    })
}

/// A row of facts, in a `dl`.
pub fn fact(name: &str, value: Markup) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}
