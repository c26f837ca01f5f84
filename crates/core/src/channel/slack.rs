//! Slack, an incoming webhook with blocks (docs.slack.dev/messaging/sending-messages-using-incoming-webhooks).

use serde_json::json;

use super::{Request, text};
use crate::notice::Notice;
use crate::target::Url;

/// Of a header block, of a section, and of the text that notifications show.
const HEADER_CHARS_MAX: usize = 150;
const SECTION_CHARS_MAX: usize = 3_000;

/// All of it plain text: nothing in it can become a mention or a link.
pub fn request(url: &Url, notice: &Notice) -> Request {
    let title = text::title(notice, HEADER_CHARS_MAX);
    let plain = |text: &str| json!({ "type": "plain_text", "text": text, "emoji": false });
    let mut blocks = vec![json!({ "type": "header", "text": plain(&title) })];
    let body = text::body(notice, SECTION_CHARS_MAX);
    if !body.is_empty() {
        blocks.push(json!({ "type": "section", "text": plain(&body) }));
    }
    let context = format!(
        "{} · {} · {}",
        notice.severity.as_str(),
        notice.service,
        notice.at.rfc3339()
    );
    blocks.push(json!({ "type": "context", "elements": [plain(&context)] }));
    Request::json(
        url.clone(),
        &json!({ "text": escape(&title), "blocks": blocks }),
    )
}

/// The fallback text is markup (docs.slack.dev/messaging/formatting-message-text).
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
