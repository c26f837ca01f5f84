//! One line a fact on standard error, which every host keeps apart by component.

/// For what an operator should see; control characters never reach the terminal.
pub fn line(text: &str) {
    eprintln!(
        "{}",
        watchbell_core::outcome::one_line(text, LINE_CHARS_MAX)
    );
}

/// A server's words may stand in a line: bounded.
const LINE_CHARS_MAX: usize = 1_000;
