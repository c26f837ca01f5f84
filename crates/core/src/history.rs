//! What a check found over time: each probe for a day, hours for 90 days, days for two years.
//!
//! A probe writes its check's record anyhow, so what is new lies there, as its [`Tail`]. Now
//! and then it moves on to keys of the check's own, one of them in one run, so that no run
//! writes more than twice:
//!
//! | key | holds |
//! |---|---|
//! | `history/<check>/samples` | each probe of the last 24 hours |
//! | `history/<check>/hours` | a [`Span`] an hour |
//! | `history/<check>/days` | a [`Span`] a day (UTC) |
//!
//! Packed ([`crate::record::pack`]), and written by that check alone. A run that dies between
//! its two writes moves the same samples again, under the same numbers.

mod sample;
mod span;
mod tail;

use serde::{Deserialize, Serialize};

use crate::monitor::Monitor;
use crate::store::{self, Failed, Found, Store};
use crate::time::UnixMs;

pub use sample::{Sample, Samples, State};
pub use span::{Latency, Span, Uptime, sum};
use tail::Step;
pub use tail::Tail;

pub const HOUR_S: u64 = 3_600;
pub const DAY_S: u64 = 24 * HOUR_S;
/// 90 days.
pub const HOURS_MAX: u64 = 90 * 24;
/// Two years, one of them a leap year.
pub const DAYS_MAX: u64 = 731;
/// A probe every three seconds for a day. Of more often only the newest are kept, at about four
/// bytes each; hours and days count them all.
pub const SAMPLES_MAX: usize = 30_000;

/// `history/<check>/samples`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    /// Of the record that they come from: another life counts anew.
    pub born_at: UnixMs,
    /// The number of the last.
    pub number: u64,
    pub samples: Samples,
}

/// `history/<check>/hours` and `/days`: oldest first, none twice; what is missing is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spans {
    pub spans: Vec<Span>,
}

pub fn samples_key(check: &str) -> String {
    format!("{HISTORY}{check}/samples")
}

pub fn hours_key(check: &str) -> String {
    format!("{HISTORY}{check}/hours")
}

pub fn days_key(check: &str) -> String {
    format!("{HISTORY}{check}/days")
}

/// Every key of a check's history.
pub fn keys(check: &str) -> [String; 3] {
    [samples_key(check), hours_key(check), days_key(check)]
}

const HISTORY: &str = "history/";

/// After so long without a probe nothing is known: three intervals.
pub fn gap_s_max(interval_ms: u64) -> u64 {
    (interval_ms.saturating_mul(3) / 1_000).max(1)
}

/// Adds what a probe found, and moves what is ripe. A history that cannot be kept is logged,
/// and costs no probe.
pub fn keep(store: &impl Store, monitor: &mut Monitor, sample: Sample) {
    let gap_s_max = gap_s_max(monitor.definition.interval_ms);
    monitor.history.push(sample, gap_s_max);
    if let Err(why) = move_on(store, monitor) {
        store.log(&why);
    }
}

fn move_on(store: &impl Store, monitor: &mut Monitor) -> Result<(), Failed> {
    let check = monitor.definition.check.clone();
    let gap_s_max = gap_s_max(monitor.definition.interval_ms);
    let tail = &mut monitor.history;
    match tail.next() {
        None => {}
        Some(Step::Samples) => {
            let mut recent: Recent = owned(store, &samples_key(&check))?;
            recent.take(monitor.born_at, tail);
            store::write_packed(store, &samples_key(&check), &recent)?;
            tail.samples_moved();
        }
        Some(Step::Hours { from, to }) => {
            let recent: Recent = theirs(store, &samples_key(&check))?;
            let mut hours: Spans = owned(store, &hours_key(&check))?;
            hours.add_hours(&recent.samples, from, to, gap_s_max);
            store::write_packed(store, &hours_key(&check), &hours)?;
            tail.hours_from = to;
        }
        Some(Step::Days { from, to }) => {
            let recent: Recent = theirs(store, &samples_key(&check))?;
            let hours: Spans = theirs(store, &hours_key(&check))?;
            let mut days: Spans = owned(store, &days_key(&check))?;
            days.add_days(&hours, &recent.samples, from, to);
            store::write_packed(store, &days_key(&check), &days)?;
            tail.days_from = to;
        }
    }
    Ok(())
}

fn owned<T: Default + serde::de::DeserializeOwned>(
    store: &impl Store,
    key: &str,
) -> Result<T, Failed> {
    Ok(match store::read_packed(store, key)? {
        Found::Record(record) => record,
        Found::Nothing | Found::Broken(_) => T::default(),
    })
}

fn theirs<T: Default + serde::de::DeserializeOwned>(
    store: &impl Store,
    key: &str,
) -> Result<T, Failed> {
    Ok(store::peek_packed(store, key)?.unwrap_or_default())
}

/// Each probe of the last 24 hours, the newest from the check's own record.
///
/// # Errors
/// When the store fails.
pub fn samples(store: &impl Store, monitor: &Monitor) -> Result<Samples, Failed> {
    let mut recent: Recent = theirs(store, &samples_key(&monitor.definition.check))?;
    recent.take(monitor.born_at, &monitor.history);
    Ok(recent.samples)
}

/// # Errors
/// When the store fails.
pub fn hours(store: &impl Store, check: &str) -> Result<Vec<Span>, Failed> {
    Ok(theirs::<Spans>(store, &hours_key(check))?.spans)
}

/// # Errors
/// When the store fails.
pub fn days(store: &impl Store, check: &str) -> Result<Vec<Span>, Failed> {
    Ok(theirs::<Spans>(store, &days_key(check))?.spans)
}

impl Recent {
    /// Adds what of the tail is not here yet, and drops what is too old.
    fn take(&mut self, born_at: UnixMs, tail: &Tail) {
        if self.born_at != born_at {
            self.born_at = born_at;
            self.number = 0;
        }
        let Some(first) = tail.samples.first() else {
            return;
        };
        // What a run that died moved here is in the record too, or something else is in its
        // place: the record has it right.
        let before = tail.number.saturating_sub(tail.samples.len() as u64);
        let again = usize::try_from(self.number.saturating_sub(before)).unwrap_or(usize::MAX);
        self.samples.drop_last(again);
        // A clock that was ahead: what it foretold has not happened.
        self.samples.truncate_after(first.at_s);
        self.samples.extend(tail.samples.iter().copied());
        self.number = tail.number;
        let last_s = self.samples.last().map_or(0, |s| s.at_s);
        let wanted_s = last_s
            .saturating_sub(DAY_S)
            .min(tail.days_from.saturating_mul(DAY_S));
        self.samples.keep_from(wanted_s, SAMPLES_MAX);
    }
}

impl Spans {
    /// The hours from `from` up to `to`, anew.
    fn add_hours(&mut self, samples: &[Sample], from: u64, to: u64, gap_s_max: u64) {
        let from = from.max(to.saturating_sub(HOURS_MAX));
        self.spans
            .retain(|s| s.start_s < from.saturating_mul(HOUR_S));
        for hour in from..to {
            let (from_s, to_s) = (
                hour.saturating_mul(HOUR_S),
                (hour + 1).saturating_mul(HOUR_S),
            );
            let span = Span::of(samples, from_s, to_s, gap_s_max);
            if span.known_s() > 0 || span.count > 0 {
                self.spans.push(span);
            }
        }
        self.keep(HOURS_MAX);
    }

    /// The days from `from` up to `to`, anew: time and count from the hours, so that all
    /// probes count; median and percentile from the samples that are still there.
    fn add_days(&mut self, hours: &Spans, samples: &[Sample], from: u64, to: u64) {
        let from = from.max(to.saturating_sub(DAYS_MAX));
        self.spans
            .retain(|s| s.start_s < from.saturating_mul(DAY_S));
        for day in from..to {
            let (from_s, to_s) = (day.saturating_mul(DAY_S), (day + 1).saturating_mul(DAY_S));
            let hours = hours.spans.iter();
            let hours = hours.filter(|h| (from_s..to_s).contains(&h.start_s));
            let mut span = sum(from_s, to_s, hours);
            if span.count == 0 && span.known_s() == 0 {
                continue;
            }
            if let (Some(all), Some(kept)) = (&mut span.latency, Latency::of(samples, from_s, to_s))
            {
                all.median_ms = kept.median_ms;
                all.p95_ms = kept.p95_ms;
            }
            self.spans.push(span);
        }
        self.keep(DAYS_MAX);
    }

    /// The newest so many: by number, or one wrong clock would cost all.
    fn keep(&mut self, count_max: u64) {
        let count_max = usize::try_from(count_max).unwrap_or(usize::MAX);
        let many = self.spans.len().saturating_sub(count_max);
        self.spans.drain(..many);
    }
}
