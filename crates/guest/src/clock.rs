//! The host's wall clock.

use watchbell_core::time::UnixMs;

/// The present moment.
pub fn now() -> UnixMs {
    let now = wasi::clocks::wall_clock::now();
    UnixMs(
        now.seconds
            .saturating_mul(1000)
            .saturating_add(u64::from(now.nanoseconds / 1_000_000)),
    )
}
