//! A test that needs an absent program says so, and counts as passed only where
//! nobody insists: with `WATCHBELL_REQUIRE=1` (CI) a skip is a failure.

use std::sync::atomic::{AtomicBool, Ordering};

/// Says that `test` does not run, and why.
///
/// # Panics
/// With `WATCHBELL_REQUIRE=1` in the environment.
pub fn skip(test: &str, why: &str) {
    assert!(
        std::env::var("WATCHBELL_REQUIRE").as_deref() != Ok("1"),
        "skipped: {test}: {why} (WATCHBELL_REQUIRE=1 makes this a failure)"
    );
    say(&format!("skipped: {test}: {why}"));
}

/// Says that a part of `test` does not run for want of what is not ours to distribute, and
/// what CI has no way to install.
pub fn skip_in_part(test: &str, why: &str) {
    say(&format!("skipped in part: {test}: {why}"));
}

/// Past the capture of the test harness, so that a skip is seen in a green run too.
fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// As [`skip`], but said only for the first test of a process.
pub fn skip_once(said: &AtomicBool, test: &str, why: &str) {
    let required = std::env::var("WATCHBELL_REQUIRE").as_deref() == Ok("1");
    if required || !said.swap(true, Ordering::Relaxed) {
        skip(test, why);
    }
}

/// The first of the programs that exists: a path, or a name looked up on PATH.
pub fn program(names: &[&str]) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    names.iter().find_map(|name| {
        if name.contains('/') {
            return Some(name.into()).filter(|p: &std::path::PathBuf| p.is_file());
        }
        std::env::split_paths(&path)
            .map(|dir| dir.join(name))
            .find(|p| p.is_file())
    })
}
