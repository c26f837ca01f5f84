//! One check: as a card of the overview, as a line of it, and as a page.

use maud::{Markup, html};
use watchbell_core::history::{DAY_S, HOUR_S, Span, gap_s_max};
use watchbell_core::notice::said;

use super::chart::{chart, interval_ms};
use super::words::{
    NAME_CHARS_MAX, TEXT_CHARS_MAX, capital, count, date, encoded, fact, foreign, lasting, look,
    mark, notes, percent, state, time, verdict, what_to_do,
};
use super::{Site, bars, certificate};
use crate::records::History;
use crate::view::{Check, Detail, Outcome, State, Time, Uptime};

/// On the overview.
pub fn card(detail: &Detail, history: &History, now_s: u64) -> Markup {
    let check = &detail.check;
    html! {
        article.card.check.(look(check).as_str()) id={ "check-" (encoded(&check.check)) } data-part {
            (heading(check))
            p.facts { (since(check)) (last(check)) }
            div.charts {
                (chart(detail, &history.samples, now_s))
                div { (bars::bars(&bars::days(detail, history, now_s))) (bars::shares(detail)) }
            }
            @if let Some(certificate) = &check.certificate {
                (certificate::short(certificate, now_s))
            }
        }
    }
}

/// On the overview, of one that is not drawn.
pub fn line(check: &Check) -> Markup {
    html! {
        li {
            (mark(look(check))) (state(check)) " " (link(check)) " "
            span.small { "since " (time(check.since)) @for note in notes(check) { ", " (note) } }
        }
    }
}

/// A check whose record cannot be read has no page.
fn link(check: &Check) -> Markup {
    let label = foreign(&check.label, NAME_CHARS_MAX);
    html! {
        @if check.unreadable { (label) } @else {
            a href={ "/check/" (encoded(&check.check)) } { (label) }
        }
    }
}

fn heading(check: &Check) -> Markup {
    html! {
        h3 { (mark(look(check))) span.word { (state(check)) } " " (link(check)) }
        p.tags { (tags(check)) }
    }
}

fn tags(check: &Check) -> Markup {
    html! {
        (foreign(&check.probe, 20)) " · " (foreign(&check.severity, 20))
        @for note in notes(check) { " · " strong { (note) } }
    }
}

fn since(check: &Check) -> Markup {
    html! {
        span {
            (capital(state(check))) " since " (time(check.since))
            (counting(check))
        }
    }
}

/// Where something is being confirmed.
fn counting(check: &Check) -> Markup {
    html! {
        @if check.state == State::Pending {
            ", " (check.consecutive_failures) " of "
            (count(check.failure_threshold as usize, "failure"))
        } @else if check.state == State::Down && check.consecutive_successes > 0 {
            ", " (check.consecutive_successes) " of " (check.success_threshold) " successes"
        }
    }
}

fn last(check: &Check) -> Markup {
    html! {
        @match &check.last {
            None => span { "Not probed yet" },
            Some(_) if check.off => span { "Nothing is asked" },
            Some(last) => {
                span {
                    "Last probe " (time(last.at)) ": " (verdict(last))
                    @if let Some(said) = said_by(last) {
                        ": " (foreign(&said, TEXT_CHARS_MAX))
                    }
                }
            }
        }
        @if let Some(next_at) = check.next_at { span { "Next " (time(next_at)) } }
    }
}

fn said_by(last: &Outcome) -> Option<String> {
    let detail = last.detail.as_deref().unwrap_or_default();
    let said = said(last.kind.as_deref(), last.reason.as_deref(), detail);
    Some(said).filter(|said| !said.is_empty())
}

/// `/check/<id>`.
pub fn body(site: &Site<'_>, detail: &Detail, history: &History, hours: &[Span]) -> Markup {
    let check = &detail.check;
    let now_s = site.now.unix_s().unsigned_abs();
    let days = bars::days(detail, history, now_s);
    html! {
        section #state.banner.(look(check).as_str()) data-part {
            h1 {
                (mark(look(check))) span.word { (state(check)) } " "
                (foreign(&check.label, NAME_CHARS_MAX))
            }
            p { "Check of " (foreign(&check.service, NAME_CHARS_MAX)) " · " (tags(check)) }
        }
        section #why.card data-part {
            h2 { "Why" }
            ul {
                @for line in &detail.explanation {
                    li { (foreign(line, 2 * TEXT_CHARS_MAX)) }
                }
            }
            @let url = detail.runbook_url.as_deref();
            @if let Some(what_to_do) = what_to_do(detail.action.as_deref(), url) {
                h3 { "What to do" }
                p { (what_to_do) }
            }
        }
        section #latency.card.large data-part {
            h2 { "Last 24 hours" }
            (chart(detail, &history.samples, now_s))
            (hourly(detail, history, hours, now_s))
        }
        section #uptime.card.large data-part {
            h2 { "Uptime" }
            (bars::bars(&days))
            (uptimes(detail))
            (bad_days(&days))
        }
        @if let Some(certificate) = &check.certificate {
            section #certificate.card data-part {
                h2 { "Certificate" }
                (certificate::long(certificate, now_s))
            }
        }
        section #facts.card data-part { h2 { "Facts" } (facts(check)) }
    }
}

fn facts(check: &Check) -> Markup {
    let asked_every = lasting((check.interval_s.ceil() as u64).max(1));
    html! {
        dl.facts {
            (fact("Id", html! { code { (foreign(&check.check, NAME_CHARS_MAX)) } }))
            @if let Some(target) = &check.target {
                (fact("Target", html! { code { (foreign(target, TEXT_CHARS_MAX)) } }))
            }
            @if !check.unreadable {
                (fact("Runs", html! { "every " (asked_every) }))
                (fact("Confirmed", html! {
                    "down after " (count(check.failure_threshold as usize, "failure"))
                    " in a row, up after " (check.success_threshold) " in a row without"
                }))
            }
            (fact("Since", time(check.since)))
            @if let Some(at) = check.failing_since { (fact("Failing since", time(at))) }
            @if let Some(last) = &check.last { (last_facts(last)) }
            @if let Some(at) = check.next_at { (fact("Next probe", time(at))) }
        }
    }
}

fn last_facts(last: &Outcome) -> Markup {
    html! {
        (fact("Last probe", html! { (time(last.at)) ": " (verdict(last)) }))
        @if let Some(said) = said_by(last) { (fact("It said", foreign(&said, TEXT_CHARS_MAX))) }
        @if let Some(status) = last.http_status { (fact("HTTP status", html! { (status) })) }
        @if let Some(version) = &last.tls_version { (fact("TLS", foreign(version, 20))) }
        @if !last.phases_ms.is_empty() {
            (fact("Its phases", html! {
                @for (n, (phase, ms)) in last.phases_ms.iter().enumerate() {
                    @if n > 0 { ", " }
                    (foreign(phase, 20)) " " (ms) " ms"
                }
            }))
        }
    }
}

fn uptimes(detail: &Detail) -> Markup {
    let of = &detail.uptime;
    let rows = [
        ("24 hours", of.day),
        ("7 days", of.week),
        ("30 days", of.month),
        ("90 days", of.quarter),
        ("365 days", of.year),
    ];
    html! {
        table.figures {
            thead {
                tr {
                    th scope="col" { "Last" } th scope="col" { "Up" }
                    th scope="col" { "Degraded" } th scope="col" { "Down" }
                    th scope="col" { "Unknown" }
                }
            }
            tbody { @for (name, uptime) in rows { (uptime_row(name, &uptime)) } }
        }
    }
}

fn uptime_row(name: &str, uptime: &Uptime) -> Markup {
    html! {
        tr {
            th scope="row" { (name) }
            td { (percent(uptime)) }
            td { (lasting_or_dash(uptime.degraded_s)) }
            td { (lasting_or_dash(uptime.down_s)) }
            td { (lasting_or_dash(uptime.unknown_s)) }
        }
    }
}

fn lasting_or_dash(s: u64) -> String {
    match s {
        0 => "–".to_owned(),
        s => lasting(s),
    }
}

fn bad_days(days: &[Span]) -> Markup {
    let bad = || days.iter().rev().filter(|d| d.down_s > 0);
    html! {
        @if bad().next().is_some() {
            details #bad-days {
                summary { "Days with failures" }
                ul.columns {
                    @for day in bad() {
                        li {
                            (date(Time::from_unix_s(day.start_s as i64))) ": down for "
                            (lasting(day.down_s.into()))
                        }
                    }
                }
            }
        }
    }
}

/// The newest first; an hour that is not told yet comes from the samples.
fn hourly(detail: &Detail, history: &History, hours: &[Span], now_s: u64) -> Markup {
    let gap_s_max = gap_s_max(interval_ms(detail));
    let this = now_s / HOUR_S;
    let hour = |hour: u64| {
        let start_s = hour * HOUR_S;
        match hours.iter().find(|h| h.start_s == start_s) {
            Some(told) => *told,
            None => {
                let end_s = (start_s + HOUR_S).min(now_s.max(start_s));
                Span::of(&history.samples, start_s, end_s, gap_s_max)
            }
        }
    };
    let first = this.saturating_sub(DAY_S / HOUR_S - 1);
    html! {
        details #hours {
            summary { "Hour by hour" }
            table.figures {
                thead {
                    tr {
                        th scope="col" { "From" } th scope="col" { "Probes" }
                        th scope="col" { "Down" } th scope="col" { "Median" }
                        th scope="col" { "95 %" }
                    }
                }
                tbody { @for hour in (first..=this).rev().map(hour) { (hour_row(&hour)) } }
            }
        }
    }
}

fn hour_row(hour: &Span) -> Markup {
    let ms = |ms: Option<u32>| ms.map_or("–".to_owned(), |ms| format!("{ms} ms"));
    let from: String = Time::from_unix_s(hour.start_s as i64).to_string();
    html! {
        tr {
            th scope="row" { (from.chars().skip(11).take(5).collect::<String>()) }
            td { (hour.count) }
            td {
                @if hour.known_s() == 0 { "unknown" } @else { (lasting_or_dash(hour.down_s.into())) }
            }
            td { (ms(hour.latency.map(|l| l.median_ms))) }
            td { (ms(hour.latency.map(|l| l.p95_ms))) }
        }
    }
}
