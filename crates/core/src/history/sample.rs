//! One probe of the past, and many of them in little room.

use serde::{Deserialize, Serialize};

use crate::outcome::{Kind, Outcome, Status};

/// What the target was, as far as a probe tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not asked (the check is switched off), or asked in vain for a reason of ours.
    Unknown,
    Up,
    Degraded,
    Down,
}

/// What one probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it began; Unix seconds.
    pub at_s: u64,
    pub state: State,
    /// From its beginning to its verdict; of probes that found the target well.
    pub latency_ms: Option<u32>,
}

impl State {
    /// A failure of ours says nothing of the target.
    pub fn of(outcome: &Outcome) -> Self {
        match (outcome.status, outcome.kind) {
            _ if outcome.off => State::Unknown,
            (Status::Up, _) => State::Up,
            (Status::Degraded, _) => State::Degraded,
            (Status::Failed, Some(Kind::Internal | Kind::Denied)) => State::Unknown,
            (Status::Failed, _) => State::Down,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            State::Unknown => "unknown",
            State::Up => "up",
            State::Degraded => "degraded",
            State::Down => "down",
        }
    }
}

impl Sample {
    pub fn new(outcome: &Outcome, at_s: u64, duration_ms: u64) -> Self {
        let state = State::of(outcome);
        let well = matches!(state, State::Up | State::Degraded);
        Self {
            at_s,
            state,
            latency_ms: well.then(|| u32::try_from(duration_ms).unwrap_or(u32::MAX)),
        }
    }
}

/// Oldest first. Stored as (seconds after the one before, state, latency): some four bytes each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<Stored>", try_from = "Vec<Stored>")]
pub struct Samples(Vec<Sample>);

/// Seconds after the one before; the state, plus [`TIMED`] where a latency follows; latency.
type Stored = (u64, u8, u32);
const TIMED: u8 = 4;

impl From<Samples> for Vec<Stored> {
    fn from(samples: Samples) -> Self {
        let mut before_s = 0;
        let pack = |sample: &Sample| {
            let after_s = sample.at_s.saturating_sub(before_s);
            before_s = sample.at_s;
            let timed = if sample.latency_ms.is_some() {
                TIMED
            } else {
                0
            };
            let code = sample.state as u8 + timed;
            (after_s, code, sample.latency_ms.unwrap_or(0))
        };
        samples.0.iter().map(pack).collect()
    }
}

impl TryFrom<Vec<Stored>> for Samples {
    type Error = String;

    fn try_from(stored: Vec<Stored>) -> Result<Self, String> {
        let mut at_s: u64 = 0;
        let unpack = |(after_s, code, latency): Stored| {
            at_s = at_s
                .checked_add(after_s)
                .ok_or("a sample later than any time")?;
            let state = match code % TIMED {
                0 => State::Unknown,
                1 => State::Up,
                2 => State::Degraded,
                _ => State::Down,
            };
            let latency_ms = match code / TIMED {
                0 => None,
                1 => Some(latency),
                _ => return Err(format!("a sample of state {code}")),
            };
            Ok(Sample {
                at_s,
                state,
                latency_ms,
            })
        };
        stored
            .into_iter()
            .map(unpack)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl std::ops::Deref for Samples {
    type Target = [Sample];

    fn deref(&self) -> &[Sample] {
        &self.0
    }
}

impl Samples {
    pub fn push(&mut self, sample: Sample) {
        self.0.push(sample);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn extend(&mut self, samples: impl IntoIterator<Item = Sample>) {
        self.0.extend(samples);
    }

    /// Drops what is later than that.
    pub fn truncate_after(&mut self, at_s: u64) {
        let later = self.0.partition_point(|s| s.at_s <= at_s);
        self.0.truncate(later);
    }

    /// Drops the newest so many.
    pub fn drop_last(&mut self, count: usize) {
        self.0.truncate(self.0.len().saturating_sub(count));
    }

    /// Drops what is older than that, but for the last, which reaches into the time after it;
    /// and then all but the newest so many.
    pub fn keep_from(&mut self, at_s: u64, count_max: usize) {
        let older = self.0.partition_point(|s| s.at_s < at_s).saturating_sub(1);
        let many = self.0.len().saturating_sub(count_max);
        self.0.drain(..older.max(many));
    }
}

impl FromIterator<Sample> for Samples {
    fn from_iter<I: IntoIterator<Item = Sample>>(samples: I) -> Self {
        Self(samples.into_iter().collect())
    }
}
