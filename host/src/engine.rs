//! The one wasmtime engine of the process, and the clock that interrupts guests.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    StoreLimits, StoreLimitsBuilder, UpdateDeadline,
};

/// A guest's linear memory, unless the runtime config says otherwise. Our checks use
/// 1–3 MiB; Akamai Functions allows 128.
pub const MEMORY_BYTES_MAX: usize = 64 << 20;
/// More than this 32-bit guests cannot address.
const MEMORY_BYTES_ADDRESSABLE: usize = 4 << 30;
/// Table elements of one guest: function pointers, of which a large Rust guest has a few thousand.
const TABLE_ELEMENTS_MAX: usize = 20_000;
/// Core modules inside one component: the guest, its adapter and their shims are 3–5.
const CORE_INSTANCES_PER_COMPONENT_MAX: u32 = 8;
/// A guest's own stack; deeper recursion traps.
const WASM_STACK_BYTES_MAX: usize = 512 << 10;
/// The fiber that a guest runs on: its stack and that of the host functions it calls.
const FIBER_STACK_BYTES: usize = 1 << 20;
/// Memory that a freed slot keeps, so that the next guest in it takes no page faults for what every guest touches.
const SLOT_KEEP_RESIDENT_BYTES: usize = 128 << 10;
/// HTTP events that may run at once beside the cron triggers' own slots. More requests wait.
pub const HTTP_EVENTS_MAX: usize = 32;
/// From the start of an event to its end, cron or HTTP: longer than any check's deadline (the clouds cut at 30 s).
pub const EVENT_DURATION_MAX: Duration = Duration::from_secs(60);
/// How long a guest that is known to compute keeps the thread from the other events.
const COMPUTING_TICK: Duration = Duration::from_millis(5);
/// How soon a guest that computes is noticed; most of them only wait.
const RUNNING_TICK: Duration = Duration::from_millis(100);

/// A guest was interrupted since the last tick: it computes, and others may be waiting.
static COMPUTING: AtomicBool = AtomicBool::new(false);

/// When an event that begins now has to end.
#[derive(Clone, Copy)]
pub struct Deadline {
    pub at: Instant,
    max: Duration,
}

impl Deadline {
    pub fn after(max: Duration) -> Self {
        Self {
            at: Instant::now() + max,
            max,
        }
    }

    pub fn has_passed(self) -> bool {
        Instant::now() >= self.at
    }

    pub fn time_up(self) -> TimeUp {
        TimeUp(self.max)
    }
}

/// Why an event was ended by us: what it had.
#[derive(Debug)]
pub struct TimeUp(Duration);

impl std::fmt::Display for TimeUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the event ran longer than {} s", self.0.as_secs())
    }
}

impl std::error::Error for TimeUp {}

/// An engine whose pool has a slot for each of [`HTTP_EVENTS_MAX`] requests and of so many
/// `other_events` (cron's and chained ones), each with room for a guest's memory as
/// [`memory_bytes_max`] has it. Less than the default is for [`limits`] alone: a guest that
/// does not fit then says so itself.
pub fn engine(other_events: usize, memory_bytes_max: usize) -> anyhow::Result<Engine> {
    let events = u32::try_from(other_events.saturating_add(HTTP_EVENTS_MAX))?;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(events)
        .total_core_instances(events.saturating_mul(CORE_INSTANCES_PER_COMPONENT_MAX))
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT_MAX)
        .total_memories(events)
        .max_memories_per_component(1)
        .total_tables(events.saturating_mul(4))
        .max_tables_per_component(4)
        .table_elements(TABLE_ELEMENTS_MAX)
        .total_stacks(events)
        .max_memory_size(memory_bytes_max.max(MEMORY_BYTES_MAX))
        .linear_memory_keep_resident(SLOT_KEEP_RESIDENT_BYTES)
        // Where Linux can say which pages a guest wrote (6.7 and later), only those are restored.
        .pagemap_scan(Enabled::Auto)
        .table_keep_resident(SLOT_KEEP_RESIDENT_BYTES);
    let mut config = base_config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Ok(Engine::new(&config)?)
}

/// An engine that compiles for [`engine`] and runs nothing.
pub fn compiler() -> anyhow::Result<Engine> {
    Ok(Engine::new(&base_config())?)
}

/// Everything that decides what compiled code looks like; the allocator does not.
fn base_config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK_BYTES_MAX)
        .async_stack_size(FIBER_STACK_BYTES);
    config
}

/// A guest's linear memory, by the runtime config's `max_instance_memory` and by what an
/// imitated target gives.
pub fn memory_bytes_max(configured: Option<u64>, given: Option<u64>) -> usize {
    match configured.into_iter().chain(given).min() {
        None => MEMORY_BYTES_MAX,
        Some(bytes) => usize::try_from(bytes)
            .unwrap_or(usize::MAX)
            .min(MEMORY_BYTES_ADDRESSABLE),
    }
}

/// What one guest may allocate.
pub fn limits(memory_bytes_max: usize) -> StoreLimits {
    StoreLimitsBuilder::new()
        .memory_size(memory_bytes_max)
        .table_elements(TABLE_ELEMENTS_MAX)
        .build()
}

/// Ends a guest that computes past its deadline, and lets others run meanwhile.
///
/// What waits in a host call is ended by the caller's own timer: only wasm code sees epochs.
pub fn bound<T: Send>(store: &mut Store<T>, deadline: Deadline) {
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_| {
        COMPUTING.store(true, Ordering::Relaxed);
        if deadline.has_passed() {
            return Err(wasmtime::Error::new(deadline.time_up()));
        }
        Ok(UpdateDeadline::Yield(1))
    });
}

/// Events that run now. The ticker ticks while there are any, and shutting down waits for them.
#[derive(Clone, Default)]
pub struct Running(Arc<Events>);

#[derive(Default)]
struct Events {
    count: AtomicUsize,
    /// None is left.
    ended: Notify,
    /// The ticker sleeps until an event wakes it. One flag, so that nothing but a first
    /// event after a rest pays for waking a thread.
    resting: AtomicBool,
    ticker: OnceLock<Thread>,
}

/// One running event, until dropped.
pub struct RunningGuard(Arc<Events>);

impl Running {
    pub fn enter(&self) -> RunningGuard {
        let events = &self.0;
        // SeqCst, here and in `rest`: each side writes one and then reads the other, and
        // one of them must see what the other wrote.
        events.count.fetch_add(1, Ordering::SeqCst);
        if events.resting.load(Ordering::SeqCst) {
            events.resting.store(false, Ordering::SeqCst);
            if let Some(ticker) = events.ticker.get() {
                ticker.unpark();
            }
        }
        RunningGuard(events.clone())
    }

    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::SeqCst)
    }

    /// Waits until nothing runs.
    pub async fn none(&self) {
        loop {
            // Before the look: an end in between is not missed.
            let ended = self.0.ended.notified();
            if self.count() == 0 {
                return;
            }
            ended.await;
        }
    }

    /// Sleeps until something runs. For the ticker's thread.
    fn rest(&self) {
        while self.count() == 0 {
            self.0.resting.store(true, Ordering::SeqCst);
            if self.count() == 0 {
                std::thread::park();
            }
        }
        self.0.resting.store(false, Ordering::SeqCst);
    }
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.ended.notify_waiters();
        }
    }
}

/// Advances the engine's epoch while something runs, from a thread of its own:
/// a guest that computes may hold every thread that serves events.
pub fn start_ticker(engine: &Engine, running: &Running) -> anyhow::Result<()> {
    let engine = engine.weak();
    let events = running.clone();
    let thread = std::thread::Builder::new()
        .name("epoch".to_owned())
        .spawn(move || {
            loop {
                events.rest();
                std::thread::sleep(match COMPUTING.swap(false, Ordering::Relaxed) {
                    true => COMPUTING_TICK,
                    false => RUNNING_TICK,
                });
                let Some(engine) = engine.upgrade() else {
                    return;
                };
                engine.increment_epoch();
            }
        })?;
    running.0.ticker.get_or_init(|| thread.thread().clone());
    // It may have begun to rest before an event could know whom to wake.
    thread.thread().unpark();
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use wasmtime::{Instance, Module};

    use super::*;

    /// `(module (memory 1600))`: 100 MiB.
    const LARGE: &[u8] = b"\0asm\x01\0\0\0\x05\x04\x01\0\xc0\x0c";
    /// `(module (func (loop br 0)) (start 0))`: never ends by itself.
    const ENDLESS: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x08\x01\0\x0a\x09\x01\x07\0\x03\x40\x0c\0\x0b\x0b";
    /// Far beyond a tick; only a test that fails takes so long.
    const PATIENCE: Duration = Duration::from_secs(20);

    fn memory_of(configured: Option<u64>) -> bool {
        let bytes = memory_bytes_max(configured, None);
        let engine = engine(0, bytes).expect("an engine");
        let Ok(module) = Module::new(&engine, LARGE) else {
            return false;
        };
        let mut store = Store::new(&engine, limits(bytes));
        store.limiter(|limits| limits);
        store.set_epoch_deadline(1);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        runtime
            .block_on(Instance::new_async(&mut store, &module, &[]))
            .is_ok()
    }

    #[test]
    fn a_guest_gets_the_memory_that_the_runtime_config_grants() {
        assert!(!memory_of(None));
        assert!(!memory_of(Some(99 << 20)));
        assert!(memory_of(Some(100 << 20)));
        assert!(memory_of(Some(u64::MAX)));
    }

    #[test]
    fn a_target_gives_the_memory_that_the_operator_leaves() {
        for (configured, given, want) in [
            (None, None, MEMORY_BYTES_MAX),
            (None, Some(128 << 20), 128 << 20),
            (Some(32 << 20), Some(128 << 20), 32 << 20),
            (Some(256 << 20), Some(128 << 20), 128 << 20),
        ] {
            let got = memory_bytes_max(configured, given);
            assert_eq!(got, want, "{configured:?} of {given:?}");
        }
    }

    #[test]
    fn a_guest_that_computes_is_noticed_also_after_a_rest() {
        let engine = engine(0, MEMORY_BYTES_MAX).expect("an engine");
        let running = Running::default();
        start_ticker(&engine, &running).expect("starts");
        while !running.0.resting.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let (ended, wait) = mpsc::channel();
        std::thread::spawn(move || {
            let _running = running.enter();
            let module = Module::new(&engine, ENDLESS).expect("a module");
            let mut store = Store::new(&engine, ());
            // With no callback, a tick is a trap.
            store.set_epoch_deadline(1);
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("a runtime");
            let run = runtime.block_on(Instance::new_async(&mut store, &module, &[]));
            ended.send(run.is_err())
        });
        assert_eq!(wait.recv_timeout(PATIENCE), Ok(true));
    }

    #[tokio::test]
    async fn what_waits_for_the_last_event_goes_on_when_it_ends() {
        let running = Running::default();
        running.none().await;
        let (first, second) = (running.enter(), running.enter());
        let none = tokio::spawn(async move { running.none().await });
        tokio::task::yield_now().await;
        drop(first);
        tokio::task::yield_now().await;
        assert!(!none.is_finished());
        drop(second);
        none.await.expect("ends");
    }
}
