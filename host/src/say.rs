//! What the runtime itself tells the operator: one line an event, on standard error.

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

/// Debug lines are for whoever looks for a fault: `WATCHBELL_LOG=debug`.
pub const LOG_VARIABLE: &str = "WATCHBELL_LOG";

pub fn debug(text: &str) {
    static ON: OnceLock<bool> = OnceLock::new();
    if *ON.get_or_init(|| std::env::var_os(LOG_VARIABLE).is_some_and(|v| v == "debug")) {
        line("debug", "2", text);
    }
}

pub fn info(text: &str) {
    // Standard error gone is no reason to stop watching.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

pub fn warn(text: &str) {
    line("warning", "33", text);
}

pub fn error(text: &str) {
    line("error", "31", text);
}

fn line(level: &str, colour: &str, text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = if use_colour() {
        writeln!(stderr, "\x1b[{colour}m{level}:\x1b[0m {text}")
    } else {
        writeln!(stderr, "{level}: {text}")
    };
}

/// Colour only for people, and not for those who said no (no-color.org).
pub fn use_colour() -> bool {
    static ON: OnceLock<bool> = OnceLock::new();
    *ON.get_or_init(|| {
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
    })
}
