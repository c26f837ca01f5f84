//! Telegram, a bot's `sendMessage` (core.telegram.org/bots/api#sendmessage).

use serde_json::json;

use super::{Request, SECRET, both, secret_url, text};
use crate::notice::Notice;
use crate::settings::Reader;
use crate::target::Url;

const URL: &str = "https://api.telegram.org";
const TITLE_CHARS_MAX: usize = 300;
const BODY_CHARS_MAX: usize = 3_500;

#[derive(Clone)]
pub struct Telegram {
    /// With the bot's token in its path.
    url: Url,
    chat_id: String,
}

pub fn read(r: &mut Reader<'_>) -> Option<Telegram> {
    let token = r.text("telegram_token").and_then(|token| {
        let fits = token.split_once(':').is_some_and(|(id, key)| {
            !id.is_empty()
                && id.bytes().all(|b| b.is_ascii_digit())
                && !key.is_empty()
                && key
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        });
        if !fits {
            r.mistake(
                "telegram_token",
                SECRET,
                "a bot's token, <number>:<letters>",
            );
        }
        fits.then_some(token)
    });
    let chat_id = r.text("telegram_chat_id");
    let server = secret_url(r, "telegram_url").or_else(|| Url::parse(URL))?;
    let (token, chat_id) = both(r, ("telegram_token", token), ("telegram_chat_id", chat_id))?;
    let path = format!(
        "{}/bot{token}/sendMessage",
        server.path.trim_end_matches('/')
    );
    let url = Url { path, ..server };
    Some(Telegram { url, chat_id })
}

impl Telegram {
    /// Plain text: no parse mode, so nothing in it is markup.
    pub fn request(&self, notice: &Notice) -> Request {
        let title = text::title(notice, TITLE_CHARS_MAX);
        let body = text::body(notice, BODY_CHARS_MAX);
        let text = if body.is_empty() {
            title
        } else {
            format!("{title}\n\n{body}")
        };
        let body = json!({
            "chat_id": self.chat_id,
            "text": text,
            "link_preview_options": { "is_disabled": true },
        });
        Request::json(self.url.clone(), &body)
    }
}
