//! What of a history has not moved to its own keys yet, and what moves next.

use serde::{Deserialize, Serialize};

use super::{DAY_S, HOUR_S, Sample, Samples};

/// So many samples, or an hour's end, move them on: one write more in so many runs.
const SAMPLES_RIPE: usize = 60;
/// Then they go before anything else.
const SAMPLES_URGENT: usize = 2 * SAMPLES_RIPE;
/// While they cannot: the record must stay small.
const SAMPLES_MAX: usize = 4 * SAMPLES_RIPE;
/// A clock that is behind for so long was ahead before.
const BEHIND_S_MAX: u64 = DAY_S;

/// A part of the check's own record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// Of the last sample; 1 is the first of this record's life.
    pub number: u64,
    pub samples: Samples,
    /// When the last of those that have moved began; Unix seconds.
    pub moved_s: u64,
    /// The first hour since the epoch that has no span yet.
    pub hours_from: u64,
    /// The first day since the epoch that has no span yet.
    pub days_from: u64,
    /// The clock is behind what is known.
    pub behind: Option<Behind>,
}

/// Probes that one clock dates without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behind {
    pub since_s: u64,
    pub last_s: u64,
}

/// One write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Samples,
    Hours { from: u64, to: u64 },
    Days { from: u64, to: u64 },
}

impl Tail {
    /// Adds a sample. One from before what is known is left out, until it must be what is
    /// known that is wrong.
    pub fn push(&mut self, sample: Sample, gap_s_max: u64) {
        let latest_s = self.samples.last().map_or(self.moved_s, |s| s.at_s);
        if sample.at_s < latest_s {
            // Two wrong clocks say no more than one.
            let goes_on = |b: &Behind| {
                let after_s = sample.at_s.checked_sub(b.last_s);
                after_s.is_some_and(|s| s <= gap_s_max)
            };
            let behind = self.behind.filter(goes_on);
            let since_s = behind.map_or(sample.at_s, |b| b.since_s);
            self.behind = Some(Behind {
                since_s,
                last_s: sample.at_s,
            });
            if sample.at_s - since_s < BEHIND_S_MAX {
                return;
            }
            self.samples.truncate_after(sample.at_s);
            self.moved_s = self.moved_s.min(sample.at_s);
            self.hours_from = self.hours_from.min(sample.at_s / HOUR_S);
            self.days_from = self.days_from.min(sample.at_s / DAY_S);
        }
        self.behind = None;
        if self.hours_from == 0 {
            self.hours_from = sample.at_s / HOUR_S;
            self.days_from = sample.at_s / DAY_S;
        }
        self.samples.push(sample);
        self.samples.keep_from(0, SAMPLES_MAX);
        self.number += 1;
    }

    /// What is ripe.
    pub fn next(&self) -> Option<Step> {
        let (first, last) = (self.samples.first()?, self.samples.last()?);
        if self.samples.len() >= SAMPLES_URGENT {
            return Some(Step::Samples);
        }
        let (hour, day) = (self.moved_s / HOUR_S, self.moved_s / DAY_S);
        if hour > self.hours_from {
            let from = self.hours_from;
            return Some(Step::Hours { from, to: hour });
        }
        if day > self.days_from {
            let from = self.days_from;
            return Some(Step::Days { from, to: day });
        }
        let since_s = match self.moved_s {
            0 => first.at_s,
            moved_s => moved_s,
        };
        let turned = last.at_s / HOUR_S > since_s / HOUR_S;
        (turned || self.samples.len() >= SAMPLES_RIPE).then_some(Step::Samples)
    }

    pub fn samples_moved(&mut self) {
        self.moved_s = self.samples.last().map_or(self.moved_s, |s| s.at_s);
        self.samples.clear();
    }
}
