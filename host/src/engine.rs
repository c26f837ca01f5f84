//! The one wasmtime engine of the process, and the clock that interrupts guests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    StoreLimits, StoreLimitsBuilder, UpdateDeadline,
};

/// A guest's linear memory. Our checks use 1–3 MiB; Akamai Functions allows 128.
pub const MEMORY_BYTES_MAX: usize = 64 << 20;
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
/// How soon a guest that computes is noticed while events run; most of them only wait.
const RUNNING_TICK: Duration = Duration::from_millis(100);
/// The same while nothing runs. Each tick wakes a thread, and an idle process should sleep.
const IDLE_TICK: Duration = Duration::from_secs(2);

/// A guest was interrupted since the last tick: it computes, and others may be waiting.
static COMPUTING: AtomicBool = AtomicBool::new(false);

/// Why an event was ended by us.
#[derive(Debug)]
pub struct TimeUp;

impl std::fmt::Display for TimeUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the event ran longer than {} s",
            EVENT_DURATION_MAX.as_secs()
        )
    }
}

impl std::error::Error for TimeUp {}

/// An engine whose pool has a slot for every cron trigger and for [`HTTP_EVENTS_MAX`] requests.
pub fn engine(cron_triggers: usize) -> anyhow::Result<Engine> {
    let events = u32::try_from(cron_triggers.saturating_add(HTTP_EVENTS_MAX))?;
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
        .max_memory_size(MEMORY_BYTES_MAX)
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

/// What one guest may allocate.
pub fn limits(memory_bytes_max: usize) -> StoreLimits {
    StoreLimitsBuilder::new()
        .memory_size(memory_bytes_max.min(MEMORY_BYTES_MAX))
        .table_elements(TABLE_ELEMENTS_MAX)
        .build()
}

/// Ends a guest that computes past `until`, and lets others run meanwhile.
///
/// What waits in a host call is ended by the caller's own timer: only wasm code sees epochs.
pub fn bound<T: Send>(store: &mut Store<T>, until: Instant) {
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_| {
        COMPUTING.store(true, Ordering::Relaxed);
        if Instant::now() >= until {
            return Err(wasmtime::Error::new(TimeUp));
        }
        Ok(UpdateDeadline::Yield(1))
    });
}

/// Events that run now. The ticker looks at it, and shutting down waits for it.
#[derive(Clone, Default)]
pub struct Running(Arc<AtomicUsize>);

/// One running event, until dropped.
pub struct RunningGuard(Arc<AtomicUsize>);

impl Running {
    pub fn enter(&self) -> RunningGuard {
        self.0.fetch_add(1, Ordering::Relaxed);
        RunningGuard(self.0.clone())
    }

    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Advances the engine's epoch while something runs, from a thread of its own:
/// a guest that computes may hold every thread that serves events.
pub fn start_ticker(engine: &Engine, running: Running) -> anyhow::Result<()> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("epoch".to_owned())
        .spawn(move || {
            loop {
                let runs = running.count() > 0;
                std::thread::sleep(match COMPUTING.swap(false, Ordering::Relaxed) {
                    true => COMPUTING_TICK,
                    false if runs => RUNNING_TICK,
                    false => IDLE_TICK,
                });
                let Some(engine) = engine.upgrade() else {
                    return;
                };
                if runs {
                    engine.increment_epoch();
                }
            }
        })?;
    Ok(())
}
