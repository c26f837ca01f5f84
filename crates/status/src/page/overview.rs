//! `/`: what is open, then every service, then what is over.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::words::{NAME_CHARS_MAX, TEXT_CHARS_MAX, count, foreign, look, mark, state, time};
use super::{Site, check, incident};
use crate::records::History;
use crate::view::{Check, Delivery, Detail, Incident, Service, State, Status};

/// Of a service with more checks that are not drawn only those that are not up are listed,
/// and the others counted.
const QUIET_MAX: usize = 20;
/// Checks that are listed on the page, the gravest first: with a thousand checks down it must
/// still be a page.
const LINES_MAX: usize = 40;
/// Open incidents with all that is known of them; of more, a line.
const CARDS_MAX: usize = 5;
const OPEN_MAX: usize = 20;
const PAST_MAX: usize = 10;
const CHANNELS_MAX: usize = 20;
const DEAD_LETTERS_MAX: usize = 5;

type Drawn = BTreeMap<String, (Detail, History)>;

pub fn body(site: &Site<'_>, status: &Status, drawn: &Drawn, past: &[Incident]) -> Markup {
    let now_s = site.now.unix_s().unsigned_abs();
    let listed = listed(status, drawn);
    let shows = |service: &&Service| {
        let shown = |c: &Check| drawn.contains_key(&c.check) || listed.contains(c.check.as_str());
        service.checks.iter().any(shown)
    };
    let (shown, counted): (Vec<&Service>, Vec<&Service>) = status.services.iter().partition(shows);
    html! {
        section #state.banner.(status.state.as_str()) data-part {
            h1 {
                (mark(status.state)) span.word { (status.state.as_str()) } " "
                (foreign(&status.summary, TEXT_CHARS_MAX))
            }
            p { "As of " (time(status.at)) }
        }
        @if !status.incidents.is_empty() { (open(status)) }
        @for (number, service) in shown.iter().enumerate() {
            (self::service(number, service, drawn, &listed, now_s))
        }
        @if !counted.is_empty() {
            p #services-more.more data-part {
                @let checks = counted.iter().flat_map(|s| &s.checks);
                "And " (count(counted.len(), "more service")) ": " (in_words(checks))
            }
        }
        (over(past))
        @if let Some(delivery) = &status.delivery { (self::delivery(delivery)) }
    }
}

fn open(status: &Status) -> Markup {
    let more = status.incidents.len().saturating_sub(OPEN_MAX);
    html! {
        section aria-labelledby="incidents" {
            h2 #incidents { "Open incidents" }
            @for incident in status.incidents.iter().take(CARDS_MAX) {
                (incident::card(incident, &status.summary))
            }
            @if status.incidents.len() > CARDS_MAX {
                ul #incidents-more.lines.card data-part {
                    @for incident in status.incidents.iter().take(OPEN_MAX).skip(CARDS_MAX) {
                        (incident::line(incident))
                    }
                    @if more > 0 { li { "and " (more) " more" } }
                }
            }
        }
    }
}

/// The checks that get a line of their own.
fn listed<'a>(status: &'a Status, drawn: &Drawn) -> BTreeSet<&'a str> {
    let mut listed: Vec<&Check> = Vec::new();
    for service in &status.services {
        let rest: Vec<&Check> = rest(service, drawn).collect();
        let all = rest.len() <= QUIET_MAX;
        listed.extend(rest.iter().filter(|c| all || c.state != State::Up));
    }
    listed.sort_by_key(|c| std::cmp::Reverse(c.state));
    listed.truncate(LINES_MAX);
    listed.iter().map(|c| c.check.as_str()).collect()
}

/// What of it is not drawn.
fn rest<'a>(service: &'a Service, drawn: &Drawn) -> impl Iterator<Item = &'a Check> {
    let checks = service.checks.iter();
    checks.filter(|c| !drawn.contains_key(&c.check))
}

/// Its number on the page tells the parts apart: its name may be long.
fn service(
    number: usize,
    service: &Service,
    drawn: &Drawn,
    listed: &BTreeSet<&str>,
    now_s: u64,
) -> Markup {
    let (lines, counted): (Vec<&Check>, Vec<&Check>) =
        rest(service, drawn).partition(|c| listed.contains(c.check.as_str()));
    html! {
        section.service aria-labelledby={ "service-" (number) } {
            h2 id={ "service-" (number) } data-part {
                (mark(service.state)) (foreign(&service.service, NAME_CHARS_MAX)) " "
                span.word.(service.state.as_str()) { (service.state.as_str()) }
            }
            @for (detail, history) in service.checks.iter().filter_map(|c| drawn.get(&c.check)) {
                (check::card(detail, history, now_s))
            }
            @if !lines.is_empty() || !counted.is_empty() {
                div.card id={ "rest-" (number) } data-part {
                    @if !lines.is_empty() {
                        ul.lines.checks { @for check in &lines { (check::line(check)) } }
                    }
                    @if !counted.is_empty() {
                        p.small {
                            @if lines.is_empty() { (count(counted.len(), "check")) }
                            @else { "And " (count(counted.len(), "more check")) }
                            ": " (in_words(counted.into_iter()))
                        }
                    }
                }
            }
        }
    }
}

/// `all up`, `12 down, 988 up`, the gravest first.
fn in_words<'a>(checks: impl Iterator<Item = &'a Check>) -> String {
    let mut counts: BTreeMap<(State, &str), usize> = BTreeMap::new();
    for check in checks {
        *counts.entry((look(check), state(check))).or_default() += 1;
    }
    if let (1, Some(((_, word), count))) = (counts.len(), counts.first_key_value()) {
        return match count {
            1 => (*word).to_owned(),
            _ => format!("all {word}"),
        };
    }
    let gravest_first = counts.iter().rev();
    let parts: Vec<String> = gravest_first
        .map(|((_, word), count)| format!("{count} {word}"))
        .collect();
    parts.join(", ")
}

fn over(past: &[Incident]) -> Markup {
    let more = past.len().saturating_sub(PAST_MAX);
    html! {
        section aria-labelledby="past" {
            h2 #past { "Past incidents" }
            div #past-list.card data-part {
                @if past.is_empty() { p { "None is known" } } @else {
                    ul.lines {
                        @for incident in past.iter().take(PAST_MAX) { (incident::line(incident)) }
                    }
                    @if more > 0 { p.small { "And " (more) " older" } }
                }
            }
        }
    }
}

fn delivery(delivery: &Delivery) -> Markup {
    let more = delivery.channels.len().saturating_sub(CHANNELS_MAX);
    html! {
        section aria-labelledby="delivery" {
            h2 #delivery { "Delivery" }
            div #delivery-list.card data-part {
                p {
                    @match delivery.waiting {
                        0 => "No message is waiting",
                        waiting => { (count(waiting, "message")) " waiting" },
                    }
                }
                @if !delivery.channels.is_empty() {
                    table {
                        thead {
                            tr {
                                th scope="col" { "Channel" } th scope="col" { "Delivered" }
                                th scope="col" { "Failed" } th scope="col" { "Dead" }
                                th scope="col" { "Waiting" }
                            }
                        }
                        tbody {
                            @for channel in delivery.channels.iter().take(CHANNELS_MAX) {
                                tr {
                                    th scope="row" { (foreign(&channel.channel, NAME_CHARS_MAX)) }
                                    td { (channel.delivered) } td { (channel.failed) }
                                    td { (channel.dead) } td { (channel.waiting) }
                                }
                            }
                        }
                    }
                }
                @if more > 0 { p.small { "And " (count(more, "channel")) " more" } }
                ul.lines {
                    @for channel in delivery.channels.iter().take(CHANNELS_MAX) {
                        @if let Some(error) = &channel.last_error {
                            li {
                                (mark(State::Degraded)) (foreign(&channel.channel, NAME_CHARS_MAX))
                                ": last attempt failed: " (foreign(error, TEXT_CHARS_MAX))
                            }
                        }
                    }
                }
                (dead_letters(delivery))
            }
        }
    }
}

fn dead_letters(delivery: &Delivery) -> Markup {
    let more = delivery.dead_letters.len().saturating_sub(DEAD_LETTERS_MAX);
    html! {
        @if !delivery.dead_letters.is_empty() {
            h3 { "Dead letters" }
            ul.lines {
                @for letter in delivery.dead_letters.iter().take(DEAD_LETTERS_MAX) {
                    li {
                        (time(letter.at)) " " (foreign(&letter.channel, NAME_CHARS_MAX)) ": "
                        (foreign(&letter.summary, TEXT_CHARS_MAX))
                        div.small { (foreign(&letter.error, TEXT_CHARS_MAX)) }
                    }
                }
                @if more > 0 { li { "and " (more) " more" } }
            }
        }
    }
}
