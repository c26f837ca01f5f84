//! The last 90 days, a bar each, and their shares.

use maud::{Markup, html};
use watchbell_core::history::{Span, gap_s_max};

use super::chart::{interval_ms, look};
use super::words::{UNKNOWN_S_MIN, count, date, lasting, percent};
use crate::records::History;
use crate::view::{Detail, State, Time, Uptime};

pub const DAYS: u64 = 90;

/// A day's place, three quarters of which are its bar (style.css has the lines' widths).
const STEP: u64 = 8;
const MIDDLE: u64 = 3;
/// The top of a bar that was up all day. A day with failures stands out above it.
const TOP: u64 = 5;
const BOTTOM: u64 = 25;

/// UTC days, oldest first, today last; of one that is not told, a span that is unknown.
pub fn days(detail: &Detail, history: &History, now_s: u64) -> Vec<Span> {
    history.days(DAYS, now_s, gap_s_max(interval_ms(detail)))
}

pub fn bars(days: &[Span]) -> Markup {
    let known = days.iter().filter(|d| look(d) != State::Unknown).count();
    let bad: Vec<&Span> = days.iter().filter(|d| d.down_s > 0).collect();
    let words = match &bad[..] {
        _ if known == 0 => "No day is known yet".to_owned(),
        [] => format!("No failure on {}", count(known, "known day")),
        [.., last] => format!(
            "Failures on {} of {}, last on {} ({})",
            bad.len(),
            count(known, "known day"),
            date(Time::from_unix_s(last.start_s as i64)),
            lasting(last.down_s.into())
        ),
    };
    html! {
        figure.bars {
            svg viewBox={ "0 0 " (STEP * DAYS) " " (BOTTOM) } preserveAspectRatio="none" role="img"
                aria-label="90 days, a bar each" {
                @for (class, d) in paths(days) {
                    @if !d.is_empty() { path class=(class) d=(d) {} }
                }
            }
            div.axis aria-hidden="true" { span { "90 days ago" } span { "today" } }
            figcaption { (words) }
        }
    }
}

/// Days that are alike all through are one dashed line, whose dashes are the bars: it keeps
/// 90 quiet days in a dozen bytes.
fn paths(days: &[Span]) -> [(&'static str, String); 5] {
    let (mut up, mut unknown) = (String::new(), String::new());
    let (mut failed, mut degraded, mut rest) = (String::new(), String::new(), String::new());
    let mut x = 0;
    for run in days.chunk_by(|a, b| look(a) == look(b)) {
        let width = STEP * run.len() as u64;
        let state = run.first().map_or(State::Unknown, look);
        match state {
            State::Up => up += &format!("M{x} {}h{width}", (TOP + BOTTOM) / 2),
            State::Down | State::Degraded => {
                for (x, day) in (x..).step_by(STEP as usize).zip(run) {
                    let (from, to) = troubled(day);
                    let bad = if state == State::Down {
                        &mut failed
                    } else {
                        &mut degraded
                    };
                    let x = x + MIDDLE;
                    *bad += &format!("M{x} {from}V{to}");
                    if to + 1 < BOTTOM {
                        rest += &format!("M{x} {}V{BOTTOM}", to + 1);
                    }
                }
            }
            State::Unknown | State::Pending => {
                unknown += &format!("M{x} {}h{width}", BOTTOM - 2);
            }
        }
        x += width;
    }
    [
        ("up-days", up),
        ("unknown-days", unknown),
        ("rest", rest),
        ("degraded", degraded),
        ("failed", failed),
    ]
}

/// The part of a bar, from above, for what of the known time was not well. It is never so
/// small that it could be overlooked.
fn troubled(day: &Span) -> (u64, u64) {
    let known_s = u64::from(day.known_s()).max(1);
    let (from, s) = match day.down_s {
        0 => (TOP, day.degraded_s),
        down_s => (0, down_s),
    };
    let height = (BOTTOM - from) * u64::from(s) / known_s;
    (from, from + height.clamp(TOP + 3, BOTTOM - from))
}

/// For 24 hours, 7, 30 and 90 days.
pub fn shares(detail: &Detail) -> Markup {
    let of = &detail.uptime;
    let all = [
        ("24 h", of.day),
        ("7 d", of.week),
        ("30 d", of.month),
        ("90 d", of.quarter),
    ];
    html! {
        dl.shares {
            @for (name, uptime) in all { (share(name, &uptime)) }
        }
    }
}

fn share(name: &str, uptime: &Uptime) -> Markup {
    html! {
        div {
            dt { (name) }
            dd {
                (percent(uptime))
                @if uptime.percent.is_some() && uptime.unknown_s >= UNKNOWN_S_MIN {
                    small { (lasting(uptime.unknown_s)) " unknown" }
                }
            }
        }
    }
}
