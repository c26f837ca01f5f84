//! An hour or a day of a check: how long it was what, and how quick.

use serde::{Deserialize, Serialize};

use super::{Sample, State};

/// Times in seconds; together they are as long as the span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Unix seconds.
    pub start_s: u64,
    /// Probes that began in it.
    pub count: u32,
    pub up_s: u32,
    pub degraded_s: u32,
    pub down_s: u32,
    pub unknown_s: u32,
    /// Of probes that found the target well; `None` without any.
    pub latency: Option<Latency>,
}

/// In whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    pub min_ms: u32,
    pub median_ms: u32,
    pub p95_ms: u32,
    pub max_ms: u32,
}

/// How much of a time something was up. What is unknown counts for neither side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uptime {
    /// Degraded is up.
    pub up_s: u64,
    pub degraded_s: u64,
    pub down_s: u64,
    pub unknown_s: u64,
}

impl Span {
    /// From samples, oldest first: the time after a probe is what it found, until the next
    /// one, and unknown after `gap_s_max`.
    pub fn of(samples: &[Sample], from_s: u64, to_s: u64, gap_s_max: u64) -> Self {
        let mut span = Self {
            start_s: from_s,
            ..Self::default()
        };
        // One before it may reach into it.
        let first = samples
            .partition_point(|s| s.at_s < from_s)
            .saturating_sub(1);
        for (n, sample) in samples.iter().enumerate().skip(first) {
            if sample.at_s >= to_s {
                break;
            }
            let next_s = samples.get(n + 1).map_or(u64::MAX, |s| s.at_s);
            let end_s = next_s.min(sample.at_s.saturating_add(gap_s_max)).min(to_s);
            let lasted_s = end_s.saturating_sub(sample.at_s.max(from_s));
            let lasted_s = u32::try_from(lasted_s).unwrap_or(u32::MAX);
            match sample.state {
                State::Unknown => {}
                State::Up => span.up_s += lasted_s,
                State::Degraded => span.degraded_s += lasted_s,
                State::Down => span.down_s += lasted_s,
            }
            span.count += u32::from(sample.at_s >= from_s);
        }
        let all_s = u32::try_from(to_s.saturating_sub(from_s)).unwrap_or(u32::MAX);
        span.unknown_s = all_s.saturating_sub(span.known_s());
        span.latency = Latency::of(samples, from_s, to_s);
        span
    }

    pub fn known_s(&self) -> u32 {
        let up_s = self.up_s.saturating_add(self.degraded_s);
        up_s.saturating_add(self.down_s)
    }

    pub fn uptime(&self) -> Uptime {
        Uptime {
            up_s: u64::from(self.up_s) + u64::from(self.degraded_s),
            degraded_s: self.degraded_s.into(),
            down_s: self.down_s.into(),
            unknown_s: self.unknown_s.into(),
        }
    }
}

/// Shorter spans as one. Its median and percentile are no more than the largest of theirs.
pub fn sum<'a>(from_s: u64, to_s: u64, parts: impl Iterator<Item = &'a Span>) -> Span {
    let mut all = Span {
        start_s: from_s,
        ..Span::default()
    };
    for part in parts {
        all.count = all.count.saturating_add(part.count);
        all.up_s = all.up_s.saturating_add(part.up_s);
        all.degraded_s = all.degraded_s.saturating_add(part.degraded_s);
        all.down_s = all.down_s.saturating_add(part.down_s);
        all.latency = match (all.latency, part.latency) {
            (Some(a), Some(b)) => Some(Latency {
                min_ms: a.min_ms.min(b.min_ms),
                median_ms: a.median_ms.max(b.median_ms),
                p95_ms: a.p95_ms.max(b.p95_ms),
                max_ms: a.max_ms.max(b.max_ms),
            }),
            (a, b) => a.or(b),
        };
    }
    let all_s = u32::try_from(to_s.saturating_sub(from_s)).unwrap_or(u32::MAX);
    all.unknown_s = all_s.saturating_sub(all.known_s());
    all
}

impl Latency {
    /// Of the samples in that time; percentiles by nearest rank.
    pub fn of(samples: &[Sample], from_s: u64, to_s: u64) -> Option<Self> {
        let first = samples.partition_point(|s| s.at_s < from_s);
        let within = samples.iter().skip(first).take_while(|s| s.at_s < to_s);
        let mut all: Vec<u32> = within.filter_map(|s| s.latency_ms).collect();
        all.sort_unstable();
        let rank = |percent: usize| {
            let rank = (all.len() * percent).div_ceil(100).max(1);
            all.get(rank - 1).copied()
        };
        Some(Self {
            min_ms: *all.first()?,
            median_ms: rank(50)?,
            p95_ms: rank(95)?,
            max_ms: *all.last()?,
        })
    }
}

impl std::ops::AddAssign for Uptime {
    fn add_assign(&mut self, more: Self) {
        self.up_s += more.up_s;
        self.degraded_s += more.degraded_s;
        self.down_s += more.down_s;
        self.unknown_s += more.unknown_s;
    }
}
