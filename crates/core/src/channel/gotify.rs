//! Gotify, `POST /message` (gotify.net/api-docs).

use serde_json::json;

use super::{Request, both, secret_url, text, token};
use crate::notice::{Action, Notice};
use crate::settings::{Reader, Severity};
use crate::target::Url;

const TITLE_CHARS_MAX: usize = 200;
const MESSAGE_CHARS_MAX: usize = 4_000;

#[derive(Clone)]
pub struct Gotify {
    url: Url,
    /// An application's.
    token: String,
}

pub fn read(r: &mut Reader<'_>) -> Option<Gotify> {
    let token = token(r, "gotify_token");
    let server = secret_url(r, "gotify_url");
    let (server, token) = both(r, ("gotify_url", server), ("gotify_token", token))?;
    let path = format!("{}/message", server.path.trim_end_matches('/'));
    let url = Url { path, ..server };
    Some(Gotify { url, token })
}

impl Gotify {
    pub fn request(&self, notice: &Notice) -> Request {
        let priority = match (notice.action(), notice.severity) {
            (Action::Resolve | Action::Acknowledge | Action::Note, _) => 4,
            (_, Severity::Critical) => 8,
            (_, Severity::Warning) => 6,
            (_, Severity::Info) => 4,
        };
        let title = text::title(notice, TITLE_CHARS_MAX);
        let mut message = text::body(notice, MESSAGE_CHARS_MAX);
        if message.is_empty() {
            message.clone_from(&title);
        }
        let mut body = json!({ "title": title, "message": message, "priority": priority });
        if let Some(link) = text::link(notice) {
            body["extras"] = json!({ "client::notification": { "click": { "url": link } } });
        }
        Request::json(self.url.clone(), &body).with("x-gotify-key", &self.token)
    }
}
