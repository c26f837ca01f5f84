//! What the target of a deployment would refuse, refused here: [`Limits`] says what, and each
//! kind of refusal is told to the operator once.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wasmtime::{ResourceLimiter, StoreLimits};
use watchbell_app::{Limits, Target};

use crate::component::Component;
use crate::engine::{self, EVENT_DURATION_MAX};
use crate::say;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// One target, and what the application has used of what it allows.
pub struct Imitation {
    target: Target,
    pub limits: Limits,
    /// Held from the count to the write: what is full for one is not filled by another.
    writes: tokio::sync::Mutex<Window>,
    requests: Mutex<Window>,
    told: [AtomicBool; Refusal::KINDS],
}

/// A kind of refusal at run time. What is refused at the start is a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Listing,
    KeyBytes,
    ValueBytes,
    Keys,
    WritesPerSecond,
    Sockets,
    RequestsPerHour,
    Chaining,
    Duration,
    Memory,
}

impl Refusal {
    const KINDS: usize = Self::Memory as usize + 1;
}

/// Leave to write, until dropped; where nothing limits writes, nobody waits for it.
pub type Turn<'a> = Option<tokio::sync::MutexGuard<'a, Window>>;

impl Imitation {
    pub fn of(target: Target) -> Self {
        let limits = target.limits();
        Self {
            target,
            limits,
            writes: tokio::sync::Mutex::new(Window::new(limits.writes_per_second_max, SECOND)),
            requests: Mutex::new(Window::new(limits.outbound_requests_per_hour_max, HOUR)),
            told: Default::default(),
        }
    }

    /// Tells the operator, the first time; gives what the guest may read.
    pub fn refuse(&self, component: &str, refusal: Refusal) -> String {
        let why = format!("{} {}", self.target.title(), self.rule(refusal));
        if !self.told[refusal as usize].swap(true, Ordering::Relaxed) {
            say::warn(&format!(
                "component {component:?}: refused, as it will be there: {why} (told once)"
            ));
        }
        why
    }

    /// What it says after the target's name.
    fn rule(&self, refusal: Refusal) -> String {
        let limits = &self.limits;
        match refusal {
            Refusal::Listing => "offers get and set of key-value, and nothing else of it".into(),
            Refusal::KeyBytes => {
                format!("takes keys of {} bytes at most", of(limits.key_bytes_max))
            }
            Refusal::ValueBytes => {
                format!(
                    "takes values of {} bytes at most",
                    of(limits.value_bytes_max)
                )
            }
            Refusal::Keys => format!("takes {} keys at most", of(limits.keys_max)),
            Refusal::WritesPerSecond => format!(
                "takes {} key-value writes a second at most",
                of(limits.writes_per_second_max)
            ),
            Refusal::Sockets => "promises no sockets".into(),
            Refusal::RequestsPerHour => format!(
                "lets {} requests an hour out at most",
                of(limits.outbound_requests_per_hour_max)
            ),
            Refusal::Chaining => "has no service chaining".into(),
            Refusal::Duration => {
                format!(
                    "cuts what runs longer than {} s",
                    self.event_max().as_secs()
                )
            }
            Refusal::Memory => {
                format!(
                    "gives {} bytes of memory at most",
                    of(limits.memory_bytes_max)
                )
            }
        }
    }

    /// From the start of an event to its end.
    pub fn event_max(&self) -> Duration {
        let max = self.limits.request_max.unwrap_or(EVENT_DURATION_MAX);
        max.min(EVENT_DURATION_MAX)
    }

    pub fn key(&self, key: &str) -> Result<(), Refusal> {
        within(key.len(), self.limits.key_bytes_max, Refusal::KeyBytes)
    }

    pub fn value(&self, value: &[u8]) -> Result<(), Refusal> {
        within(
            value.len(),
            self.limits.value_bytes_max,
            Refusal::ValueBytes,
        )
    }

    /// Whether one more key has a place beside so many.
    pub fn another_key(&self, keys: usize) -> Result<(), Refusal> {
        within(keys + 1, self.limits.keys_max, Refusal::Keys)
    }

    /// Anything beside get and set.
    pub fn listing(&self) -> Result<(), Refusal> {
        match self.limits.lists_keys {
            true => Ok(()),
            false => Err(Refusal::Listing),
        }
    }

    /// Counts a write.
    pub async fn write(&self) -> Result<Turn<'_>, Refusal> {
        if self.limits.writes_per_second_max.is_none() && self.limits.keys_max.is_none() {
            return Ok(None);
        }
        let mut writes = self.writes.lock().await;
        match writes.admits(Instant::now()) {
            true => Ok(Some(writes)),
            false => Err(Refusal::WritesPerSecond),
        }
    }

    /// Counts a request that leaves the application.
    pub fn request(&self) -> Result<(), Refusal> {
        match self.requests().admits(Instant::now()) {
            true => Ok(()),
            false => Err(Refusal::RequestsPerHour),
        }
    }

    fn requests(&self) -> MutexGuard<'_, Window> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one guest may take of memory.
pub struct Memory {
    limits: StoreLimits,
    component: Arc<Component>,
}

impl Memory {
    pub fn new(component: &Arc<Component>) -> Self {
        Self {
            limits: engine::limits(component.memory_bytes_max),
            component: component.clone(),
        }
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let Component { id, imitation, .. } = &*self.component;
        let given = imitation.limits.memory_bytes_max;
        if given.is_some_and(|max| u64::try_from(desired).is_ok_and(|d| d > max)) {
            // The guest sees that it gets none, without words.
            imitation.refuse(id, Refusal::Memory);
        }
        self.limits.memory_growing(current, desired, maximum)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.limits.table_growing(current, desired, maximum)
    }

    fn instances(&self) -> usize {
        self.limits.instances()
    }

    fn tables(&self) -> usize {
        self.limits.tables()
    }

    fn memories(&self) -> usize {
        self.limits.memories()
    }
}

fn within(got: usize, max: Option<usize>, refusal: Refusal) -> Result<(), Refusal> {
    match max {
        Some(max) if got > max => Err(refusal),
        _ => Ok(()),
    }
}

/// A number in a sentence that is only said where there is one.
fn of<T: ToString>(limit: Option<T>) -> String {
    limit.map(|n| n.to_string()).unwrap_or_default()
}

/// So many within any span of that length: where a platform counts fixed spans, it admits
/// no less.
pub struct Window {
    /// `None` admits everything, and remembers nothing.
    max: Option<usize>,
    span: Duration,
    /// When the last ones were admitted, the oldest first; never more than `max`.
    admitted: VecDeque<Instant>,
}

impl Window {
    fn new(max: Option<u32>, span: Duration) -> Self {
        Self {
            max: max.and_then(|max| usize::try_from(max).ok()),
            span,
            admitted: VecDeque::new(),
        }
    }

    fn admits(&mut self, now: Instant) -> bool {
        let Some(max) = self.max else {
            return true;
        };
        while let Some(oldest) = self.admitted.front()
            && now.saturating_duration_since(*oldest) >= self.span
        {
            self.admitted.pop_front();
        }
        let admits = self.admitted.len() < max;
        if admits {
            self.admitted.push_back(now);
        }
        admits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_span_admits_more_than_its_number() {
        let began = Instant::now();
        let mut window = Window::new(Some(2), SECOND);
        for (after_ms, want) in [
            (0, true),
            (400, true),
            (401, false),
            (999, false),
            // The first has left the span, the second has not.
            (1_000, true),
            (1_001, false),
            (1_400, true),
        ] {
            let now = began + Duration::from_millis(after_ms);
            assert_eq!(window.admits(now), want, "after {after_ms} ms");
        }
        assert_eq!(window.admitted.len(), 2);
    }

    #[test]
    fn what_a_target_limits_is_limited_at_its_boundary() {
        let cloud = Imitation::of(Target::FermyonCloud);
        assert_eq!(cloud.key(&"k".repeat(255)), Ok(()));
        assert_eq!(cloud.key(&"k".repeat(256)), Err(Refusal::KeyBytes));
        assert_eq!(cloud.value(&vec![0; 1_000_000]), Ok(()));
        assert_eq!(cloud.value(&vec![0; 1_000_001]), Err(Refusal::ValueBytes));
        assert_eq!(cloud.another_key(1_023), Ok(()));
        assert_eq!(cloud.another_key(1_024), Err(Refusal::Keys));
        assert_eq!(cloud.listing(), Err(Refusal::Listing));
        let requests = (0..501).filter(|_| cloud.request().is_ok()).count();
        assert_eq!(requests, 500);
        assert_eq!(cloud.event_max(), Duration::from_secs(30));
    }

    #[tokio::test]
    async fn spin_limits_nothing_but_the_event() {
        let spin = Imitation::of(Target::Spin);
        assert_eq!(spin.key(&"k".repeat(1 << 20)), Ok(()));
        assert_eq!(spin.value(&vec![0; 1 << 20]), Ok(()));
        assert_eq!(spin.another_key(usize::MAX - 1), Ok(()));
        assert_eq!(spin.listing(), Ok(()));
        assert!((0..1_000).all(|_| spin.request().is_ok()));
        for _ in 0..100 {
            assert!(spin.write().await.is_ok());
        }
        assert_eq!(spin.event_max(), EVENT_DURATION_MAX);
    }

    #[test]
    fn a_refusal_names_the_target_and_its_limit() {
        let cloud = Imitation::of(Target::FermyonCloud);
        let akamai = Imitation::of(Target::Akamai);
        for (imitation, refusal, want) in [
            (
                &cloud,
                Refusal::Keys,
                "Fermyon Cloud takes 1024 keys at most",
            ),
            (
                &cloud,
                Refusal::Duration,
                "Fermyon Cloud cuts what runs longer than 30 s",
            ),
            (
                &akamai,
                Refusal::WritesPerSecond,
                "Akamai Functions takes 50 key-value writes a second at most",
            ),
            (
                &akamai,
                Refusal::Memory,
                "Akamai Functions gives 134217728 bytes of memory at most",
            ),
        ] {
            assert_eq!(imitation.refuse("c", refusal), want);
        }
    }
}
