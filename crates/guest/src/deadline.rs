//! One deadline over everything that a run does.
//!
//! The host's own timeouts default to 600 s and cover phases, not the whole; a
//! guest that waits for anything waits for it *and* for this.

use std::time::Duration;

use wasi::clocks::monotonic_clock;
use wasi::io::poll::{Pollable, poll};

/// A point on the monotonic clock after which nothing is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    at_ns: u64,
}

/// The deadline passed before the awaited thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired;

impl Deadline {
    /// `timeout` from now.
    pub fn after(timeout: Duration) -> Self {
        let timeout_ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        Self {
            at_ns: monotonic_clock::now().saturating_add(timeout_ns),
        }
    }

    /// The earlier of this one and `timeout` from now: a bound for one phase.
    pub fn within(self, timeout: Duration) -> Self {
        Self {
            at_ns: self.at_ns.min(Self::after(timeout).at_ns),
        }
    }

    /// Zero once passed.
    pub fn remaining(self) -> Duration {
        Duration::from_nanos(self.at_ns.saturating_sub(monotonic_clock::now()))
    }

    /// Waits until `pollable` is ready, or the deadline.
    pub fn wait(self, pollable: &Pollable) -> Result<(), Expired> {
        self.wait_any(&[pollable]).map(drop)
    }

    /// Waits until one of them is ready and gives its index, or the deadline.
    /// What is ready at the deadline counts as ready.
    pub fn wait_any(self, pollables: &[&Pollable]) -> Result<usize, Expired> {
        let timer = monotonic_clock::subscribe_instant(self.at_ns);
        let mut all = pollables.to_vec();
        all.push(&timer);
        let ready = poll(&all);
        let first = ready.into_iter().min().map_or(usize::MAX, |i| i as usize);
        if first < pollables.len() {
            Ok(first)
        } else {
            Err(Expired)
        }
    }
}
