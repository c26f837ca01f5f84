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

/// `text` in an ANSI colour or style, where standard error has colour.
pub fn painted(text: &str, colour: &str) -> String {
    paint(text, colour, use_colour())
}

/// As [`painted`], for standard output.
pub fn painted_out(text: &str, colour: &str) -> String {
    static ON: OnceLock<bool> = OnceLock::new();
    paint(
        text,
        colour,
        *ON.get_or_init(|| coloured(&std::io::stdout())),
    )
}

fn paint(text: &str, colour: &str, on: bool) -> String {
    match on {
        true => format!("\x1b[{colour}m{text}\x1b[0m"),
        false => text.to_owned(),
    }
}

pub fn use_colour() -> bool {
    static ON: OnceLock<bool> = OnceLock::new();
    *ON.get_or_init(|| coloured(&std::io::stderr()))
}

/// Colour only for people, and not for those who said no (no-color.org).
fn coloured(out: &impl IsTerminal) -> bool {
    out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// A line on standard output. That nobody reads it is no fault.
macro_rules! out {
    ($($argument:tt)*) => {
        $crate::terminal::stdout(format!("{}\n", format_args!($($argument)*)).as_bytes())
    };
}
pub(crate) use out;
