//! What the runtime itself tells the operator: one line an event, on standard error.

use std::io::IsTerminal;
use std::sync::OnceLock;

use crate::terminal;

/// Debug lines are for whoever looks for a fault: `WATCHBELL_LOG=debug`.
pub const LOG_VARIABLE: &str = "WATCHBELL_LOG";

pub fn debug(text: &str) {
    static ON: OnceLock<bool> = OnceLock::new();
    if *ON.get_or_init(|| std::env::var_os(LOG_VARIABLE).is_some_and(|v| v == "debug")) {
        line("debug", "2", text);
    }
}

pub fn info(text: &str) {
    terminal::stderr(format!("{text}\n").as_bytes());
}

pub fn warn(text: &str) {
    line("warning", "33", text);
}

pub fn error(text: &str) {
    line("error", "31", text);
}

fn line(level: &str, colour: &str, text: &str) {
    let level = painted(&format!("{level}:"), colour);
    terminal::stderr(format!("{level} {text}\n").as_bytes());
}

/// `text` in an ANSI colour or style, where there is colour.
pub fn painted(text: &str, colour: &str) -> String {
    if use_colour() {
        format!("\x1b[{colour}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// Colour only for people, and not for those who said no (no-color.org).
pub fn use_colour() -> bool {
    static ON: OnceLock<bool> = OnceLock::new();
    *ON.get_or_init(|| {
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
    })
}
