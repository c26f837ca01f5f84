//! What XML cannot hold.

/// `text` without the characters that XML 1.0 (section 2.2) has no way to write, escaped or
/// not: one of them, and a reader refuses the whole document.
pub fn clean(text: &str) -> String {
    let allowed = |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().filter(allowed).collect()
}
