//! A certificate: how long it lasts yet, and when it is warned of.

use maud::{Markup, html};

use super::words::{NAME_CHARS_MAX, TEXT_CHARS_MAX, count, date, fact, foreign};
use crate::view::{Certificate, Mark, Time};

const WIDTH: u64 = 300;

/// One line and the scale, for a check's card.
pub fn short(certificate: &Certificate, now_s: u64) -> Markup {
    html! {
        div.certificate {
            p {
                "Certificate: " strong { (left(certificate)) } ", until "
                (date(certificate.not_after))
                @if let Some(names) = &certificate.names {
                    ", for " (self::names(names, certificate.names_more, 3))
                }
                @if let Some(issuer) = &certificate.issuer {
                    ", from " (foreign(issuer, NAME_CHARS_MAX))
                }
            }
            (scale(certificate, now_s))
        }
    }
}

/// All of it, for a check's page.
pub fn long(certificate: &Certificate, now_s: u64) -> Markup {
    html! {
        p { strong { (left(certificate)) } }
        (scale(certificate, now_s))
        dl.facts {
            (fact("Valid", html! {
                (super::words::time(certificate.not_before)) " to "
                (super::words::time(certificate.not_after))
            }))
            @if let Some(names) = &certificate.names {
                (fact("Names", self::names(names, certificate.names_more, names.len())))
            }
            @if let Some(subject) = &certificate.subject {
                (fact("Subject", foreign(subject, TEXT_CHARS_MAX)))
            }
            @if let Some(issuer) = &certificate.issuer {
                (fact("Issuer", foreign(issuer, TEXT_CHARS_MAX)))
            }
            @if let Some(sha256) = &certificate.sha256 {
                (fact("SHA-256", html! { code { (foreign(sha256, NAME_CHARS_MAX)) } }))
            }
        }
    }
}

fn left(certificate: &Certificate) -> String {
    match certificate.days_left {
        left @ 0.. => format!("{} left", count(left as usize, "day")),
        ended => format!("ended {} ago", count(ended.unsigned_abs() as usize, "day")),
    }
}

fn names(names: &[String], more: Option<usize>, max: usize) -> Markup {
    let more = more.unwrap_or(0) + names.len().saturating_sub(max);
    html! {
        @for (n, name) in names.iter().take(max).enumerate() {
            @if n > 0 { ", " }
            (foreign(name, NAME_CHARS_MAX))
        }
        @if more > 0 { " and " (more) " more" }
    }
}

/// Its life from left to right: what has passed, now, and when it is warned of.
fn scale(certificate: &Certificate, now_s: u64) -> Markup {
    let unix_s = |at: Time| u64::try_from(at.0.unix_s()).unwrap_or(0);
    let from_s = unix_s(certificate.not_before);
    let life_s = unix_s(certificate.not_after).saturating_sub(from_s).max(1);
    let x = |at_s: u64| {
        let passed_s = at_s.saturating_sub(from_s).min(life_s);
        (u128::from(passed_s) * u128::from(WIDTH) / u128::from(life_s)) as u64
    };
    let now = x(now_s);
    let marks: String = { certificate.thresholds.iter() }
        .map(|m| format!("M{} 2v10", x(unix_s(m.at))))
        .collect();
    let words: Vec<String> = certificate.thresholds.iter().map(threshold).collect();
    html! {
        svg.scale viewBox={ "-2 0 " (WIDTH + 4) " 14" } preserveAspectRatio="none"
            aria-hidden="true" {
            path.life d={ "M0 4h" (WIDTH) "v6H0z" } {}
            path.passed d={ "M0 4h" (now) "v6H0z" } {}
            path.marks d=(marks) {}
            path.now d={ "M" (now) " 0v14" } {}
        }
        @if !words.is_empty() {
            p.small { "Warned of at " (words.join(", ")) }
        }
    }
}

fn threshold(mark: &Mark) -> String {
    let passed = if mark.crossed { ", passed" } else { "" };
    let threshold = foreign_threshold(&mark.threshold);
    format!("{threshold} ({}{passed})", date(mark.at))
}

fn foreign_threshold(threshold: &str) -> String {
    super::words::plain(threshold, 40)
}
