//! Microsoft Teams, a workflow's webhook with an adaptive card
//! (learn.microsoft.com, "Create incoming webhooks with Workflows").

use serde_json::json;

use super::{Request, text};
use crate::notice::{Action, Notice};
use crate::settings::Severity;
use crate::target::Url;

const TITLE_CHARS_MAX: usize = 300;
/// A message has 28 KB at most.
const BODY_CHARS_MAX: usize = 4_000;

/// Text runs are plain: in a text block, Markdown would be read.
pub fn request(url: &Url, notice: &Notice) -> Request {
    let color = match (notice.action(), notice.severity) {
        (Action::Resolve, _) => "good",
        (_, Severity::Critical) => "attention",
        (_, Severity::Warning) => "warning",
        (_, Severity::Info) => "accent",
    };
    let mut body = vec![json!({
        "type": "RichTextBlock",
        "inlines": [{
            "type": "TextRun",
            "text": text::title(notice, TITLE_CHARS_MAX),
            "size": "large",
            "weight": "bolder",
            "color": color,
        }],
    })];
    for line in text::body(notice, BODY_CHARS_MAX).lines() {
        body.push(json!({
            "type": "RichTextBlock",
            "inlines": [{ "type": "TextRun", "text": line }],
        }));
    }
    let footer = format!(
        "{} · {} · {}",
        notice.severity.as_str(),
        notice.service,
        notice.at.rfc3339()
    );
    body.push(json!({
        "type": "RichTextBlock",
        "inlines": [{ "type": "TextRun", "text": footer, "isSubtle": true, "size": "small" }],
    }));
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    });
    if let Some(link) = text::link(notice) {
        card["actions"] = json!([{ "type": "Action.OpenUrl", "title": "What to do", "url": link }]);
    }
    let message = json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    });
    Request::json(url.clone(), &message)
}
