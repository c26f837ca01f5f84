//! How quick a check was in the last 24 hours, and when it was not well.

use maud::{Markup, html};
use watchbell_core::history::{DAY_S, HOUR_S, Latency, Sample, Span, gap_s_max};

use super::words::{UNKNOWN_S_MIN, lasting};
use crate::view::{Detail, State};

/// A quarter of an hour.
const BUCKET_S: u64 = HOUR_S / 4;
const BUCKETS: u64 = DAY_S / BUCKET_S;

/// The drawing: so wide is a bucket, here is the line of 0 ms, and so high is all of it; below
/// the line stands what was not well. Whole numbers and wide lines (style.css has the widths)
/// keep it short.
const STEP: u64 = 4;
const BASE: u64 = 90;
const HEIGHT: u64 = 106;
/// The middles of the lines that tell a failure, above and below 0 ms, what was degraded, and
/// what is unknown.
const WASH: u64 = 47;
const FAILED: u64 = 100;
const DEGRADED: u64 = 103;
const GAP: u64 = 105;

struct Bucket {
    state: State,
    latency: Option<Latency>,
}

/// With what it says in words beneath.
pub fn chart(detail: &Detail, samples: &[Sample], now_s: u64) -> Markup {
    let buckets = buckets(samples, now_s, interval_ms(detail));
    let of = |state| buckets.iter().filter(|b| b.state == state).count();
    if of(State::Unknown) == buckets.len() {
        return html! { p.chart.none { "No probe in the last 24 hours" } };
    }
    let slowest = buckets.iter().filter_map(|b| b.latency);
    let top_ms = round_up(slowest.map(|l| l.p95_ms).max().unwrap_or(0));
    let width = STEP * BUCKETS;
    let failing = of(State::Down);
    let unknown = of(State::Unknown);
    let label = format!(
        "Latency over 24 hours, up to {top_ms} ms: of {BUCKETS} quarters of an hour {failing} with failures, {unknown} unknown"
    );
    html! {
        figure.chart {
            svg viewBox={ "0 0 " (width) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                aria-label=(label) {
                path.grid d={ "M0 0h" (width) "m0 " (BASE / 2) "H0m0 " (BASE / 2) "h" (width) } {}
                @for (class, d) in paths(&buckets, top_ms) {
                    @if !d.is_empty() { path class=(class) d=(d) {} }
                }
            }
            div.axis aria-hidden="true" {
                span { "24 h ago" }
                span { "scale 0–" (top_ms) " ms" }
                span { "now" }
            }
            figcaption { (in_words(detail)) }
        }
    }
}

/// What the drawing shows, in figures.
fn in_words(detail: &Detail) -> Markup {
    let day = &detail.uptime.day;
    html! {
        @if let Some(latency) = detail.latency {
            "Median " (latency.median_ms) " ms, 95 % within " (latency.p95_ms) " ms, at most "
            (latency.max_ms) " ms"
        } @else {
            "Never well in 24 hours"
        }
        @if day.down_s > 0 {
            "; " strong.down-word { "down" } " for " (lasting(day.down_s))
        }
        @if day.degraded_s > 0 { "; degraded for " (lasting(day.degraded_s)) }
        @if day.unknown_s >= UNKNOWN_S_MIN { "; unknown for " (lasting(day.unknown_s)) }
    }
}

pub fn interval_ms(detail: &Detail) -> u64 {
    (detail.check.interval_s * 1_000.0) as u64
}

/// They end with the quarter that is now, so that the drawing stands still within it.
fn buckets(samples: &[Sample], now_s: u64, interval_ms: u64) -> Vec<Bucket> {
    let gap_s_max = gap_s_max(interval_ms);
    let end_s = (now_s / BUCKET_S + 1) * BUCKET_S;
    let bucket = |n: u64| {
        let from_s = end_s.saturating_sub((BUCKETS - n) * BUCKET_S);
        let span = Span::of(samples, from_s, from_s + BUCKET_S, gap_s_max);
        Bucket {
            state: look(&span),
            latency: span.latency,
        }
    };
    (0..BUCKETS).map(bucket).collect()
}

/// The gravest that a time has seen.
pub fn look(span: &Span) -> State {
    match span {
        _ if span.down_s > 0 => State::Down,
        _ if span.degraded_s > 0 => State::Degraded,
        _ if span.up_s > 0 => State::Up,
        _ => State::Unknown,
    }
}

/// By class, one path for all buckets that look alike. A failure is a block through the whole
/// height and the strip, what is degraded half the strip, what is unknown a line in it.
fn paths(buckets: &[Bucket], top_ms: u32) -> [(&'static str, String); 6] {
    let line = |state, y: u64| {
        let lines = runs(buckets, state).map(|(n, many)| {
            let (x, width) = (n * STEP, many * STEP);
            format!("M{x} {y}h{width}")
        });
        lines.collect::<String>()
    };
    let (spread, median) = lines(buckets, top_ms);
    [
        ("wash", line(State::Down, WASH)),
        ("failed", line(State::Down, FAILED)),
        ("degraded", line(State::Degraded, DEGRADED)),
        ("gap", line(State::Unknown, GAP)),
        ("spread", spread),
        ("median", median),
    ]
}

/// Where neighbours are alike: the first, and how many.
fn runs(buckets: &[Bucket], state: State) -> impl Iterator<Item = (u64, u64)> {
    let mut n = 0;
    buckets
        .chunk_by(|a, b| a.state == b.state)
        .filter_map(move |run| {
            let (first, many) = (n, run.len() as u64);
            n += many;
            run.first()
                .is_some_and(|b| b.state == state)
                .then_some((first, many))
        })
}

/// From the quickest to the 95th percentile, and the line of medians. The line breaks where a
/// bucket failed or is unknown, and not where a check merely probes less than once a quarter.
fn lines(buckets: &[Bucket], top_ms: u32) -> (String, String) {
    let y = |ms: u32| {
        let up = u64::from(ms.min(top_ms)) * BASE / u64::from(top_ms.max(1));
        i64::try_from(BASE - up).unwrap_or(0)
    };
    let (mut spread, mut median) = (String::new(), String::new());
    let mut before: Option<(i64, i64)> = None;
    for (x, bucket) in (2..).step_by(STEP as usize).zip(buckets) {
        if let Some(latency) = bucket.latency {
            let (high, low) = (y(latency.p95_ms), y(latency.min_ms));
            if high < low {
                spread += &format!("M{x} {high}V{low}");
            }
            let at = y(latency.median_ms);
            median += &match before {
                Some((before_x, before_y)) => format!("l{} {}", x - before_x, at - before_y),
                // A point of its own is a line of no length, with round ends.
                None => format!("M{x} {at}h0"),
            };
            before = Some((x, at));
        }
        if matches!(bucket.state, State::Down | State::Unknown) {
            before = None;
        }
    }
    (spread, median)
}

/// To 1, 2 or 5 times a power of ten, so that the scale changes seldom.
fn round_up(ms: u32) -> u32 {
    let mut unit: u32 = 1;
    loop {
        for times in [1, 2, 5] {
            match unit.checked_mul(times) {
                Some(round) if round >= ms.max(10) => return round,
                Some(_) => {}
                None => return u32::MAX,
            }
        }
        unit = unit.saturating_mul(10);
    }
}
