//! ntfy, a topic's URL and headers (docs.ntfy.sh/publish).

use super::{Request, secret_url, text, token};
use crate::notice::{Action, Notice};
use crate::settings::{Reader, Severity};
use crate::target::Url;

const TITLE_CHARS_MAX: usize = 200;
/// In bytes at most 4,096.
const MESSAGE_CHARS_MAX: usize = 1_000;

#[derive(Clone)]
pub struct Ntfy {
    /// The topic's; where topics are open, its name is the secret.
    url: Url,
    token: Option<String>,
}

pub fn read(r: &mut Reader<'_>) -> Option<Ntfy> {
    let token = token(r, "ntfy_token");
    let url = secret_url(r, "ntfy_url");
    if token.is_some() && r.text("ntfy_url").is_none() {
        r.mistake("ntfy_url", "nothing", "a value beside ntfy_token");
    }
    Some(Ntfy { url: url?, token })
}

impl Ntfy {
    pub fn request(&self, notice: &Notice) -> Request {
        let (priority, tags) = match (notice.action(), notice.severity) {
            (Action::Resolve, _) => ("3", "white_check_mark"),
            (Action::Note | Action::Acknowledge, Severity::Critical | Severity::Info) => {
                ("3", "information_source")
            }
            (_, Severity::Critical) => ("5", "rotating_light"),
            (_, Severity::Warning) => ("4", "warning"),
            (_, Severity::Info) => ("3", "information_source"),
        };
        let mut message = text::body(notice, MESSAGE_CHARS_MAX);
        if message.is_empty() {
            // Or ntfy puts one of its own.
            message = text::title(notice, MESSAGE_CHARS_MAX);
        }
        let mut request = Request {
            url: self.url.clone(),
            headers: vec![("content-type".into(), "text/plain; charset=utf-8".into())],
            body: message.into_bytes(),
            body_secret: None,
            body_is_private: false,
        }
        .with("title", encoded(&text::title(notice, TITLE_CHARS_MAX)))
        .with("priority", priority)
        .with("tags", tags);
        if let Some(link) = text::link(notice) {
            request = request.with("click", link);
        }
        match &self.token {
            Some(token) => request.with("authorization", format!("Bearer {token}")),
            None => request,
        }
    }
}

/// A header's text beyond ASCII (RFC 2047), which ntfy reads.
fn encoded(text: &str) -> String {
    use base64::Engine as _;
    if text.is_ascii() {
        return text.to_owned();
    }
    let base64 = base64::engine::general_purpose::STANDARD.encode(text);
    format!("=?UTF-8?B?{base64}?=")
}
