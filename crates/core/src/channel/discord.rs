//! Discord, a webhook with one embed (discord.com/developers/docs/resources/webhook).

use serde_json::json;

use super::{Request, text};
use crate::notice::{Action, Notice};
use crate::settings::Severity;
use crate::target::Url;

const TITLE_CHARS_MAX: usize = 256;
/// Half of what is allowed: escaping may double it.
const DESCRIPTION_CHARS_MAX: usize = 2_000;

pub fn request(url: &Url, notice: &Notice) -> Request {
    let mut embed = json!({
        "title": escape(&text::title(notice, TITLE_CHARS_MAX / 2)),
        "description": escape(&text::body(notice, DESCRIPTION_CHARS_MAX)),
        "color": color(notice),
        "timestamp": notice.at.rfc3339(),
        "footer": { "text": format!("{} · {}", notice.severity.as_str(), notice.service) },
    });
    if let Some(link) = text::link(notice) {
        embed["url"] = link.into();
    }
    let body = json!({
        "username": "Watchbell",
        "embeds": [embed],
        // A server's answer must not call everyone.
        "allowed_mentions": { "parse": [] },
    });
    Request::json(url.clone(), &body)
}

fn color(notice: &Notice) -> u32 {
    match (notice.action(), notice.severity) {
        (Action::Resolve, _) => 0x002e_a043,
        (_, Severity::Critical) => 0x00d1_242f,
        (_, Severity::Warning) => 0x00bf_8700,
        (_, Severity::Info) => 0x0009_69da,
    }
}

/// Of Discord's Markdown nothing is meant.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(
            c,
            '\\' | '*' | '_' | '~' | '`' | '|' | '>' | '#' | '[' | ']' | '<' | '-' | '@'
        ) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
