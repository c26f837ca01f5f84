//! A notice as plain text, within a receiver's bounds.

use crate::notice::{Action, Notice};
use crate::outcome::one_line;

/// The title, on one line.
pub fn title(notice: &Notice, chars_max: usize) -> String {
    one_line(&notice.title(), chars_max)
}

/// What it rests on and what to do, a line each; cut between lines where it can be.
pub fn body(notice: &Notice, chars_max: usize) -> String {
    let mut lines: Vec<String> = notice.evidence();
    let (action, url) = notice.runbook();
    if notice.action() == Action::Trigger || notice.type_name() == "certificate.expiring" {
        if !action.is_empty() {
            lines.push(format!("What to do: {action}"));
        }
        if !url.is_empty() {
            lines.push(url);
        }
    }
    let mut text = String::new();
    let mut left = chars_max;
    for line in lines {
        let line = one_line(&line, left.saturating_sub(1));
        let chars = line.chars().count() + 1;
        if line.is_empty() || chars > left {
            break;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line);
        left -= chars;
    }
    text
}

/// The runbook's URL, where it is one that a receiver can open.
pub fn link(notice: &Notice) -> Option<String> {
    let (_, url) = notice.runbook();
    let opens = url.starts_with("https://") || url.starts_with("http://");
    (opens && url.chars().all(|c| c.is_ascii_graphic())).then_some(url)
}
