//! Waiting for something that a foreign process does.

use std::time::{Duration, Instant};

/// Far above what anything here takes, so that only a true fault runs into it, even
/// on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often to look at what cannot be waited for: a file, another process.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until `look` gives a value.
///
/// # Panics
/// After [`PATIENCE`], saying what was waited for.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, look)
        .unwrap_or_else(|| panic!("waiting for {what}: nothing after {PATIENCE:?}"))
}

/// Looks until `look` gives a value or the time is over.
pub fn within<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = look() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
