//! The generic webhook, as Standard Webhooks has it (docs/webhook.md).

use super::{Request, SECRET, secret_url};
use crate::notice::Notice;
use crate::settings::Reader;
use crate::signature::sign;
use crate::target::Url;
use crate::time::UnixMs;

#[derive(Clone)]
pub struct Webhook {
    url: Url,
    /// Without one messages are sent unsigned.
    secret: Option<Vec<u8>>,
}

pub fn read(r: &mut Reader<'_>) -> Option<Webhook> {
    let url = secret_url(r, "webhook_url");
    let secret = r.text("webhook_secret").and_then(|text| {
        let secret = decode(&text);
        if secret.is_none() {
            let want = "whsec_ and base64 of 24 to 64 bytes";
            r.mistake("webhook_secret", SECRET, want);
        }
        secret
    });
    Some(Webhook { url: url?, secret })
}

fn decode(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    let engine = base64::engine::GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        base64::engine::GeneralPurposeConfig::new()
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
    );
    let bytes = engine.decode(text.strip_prefix("whsec_")?).ok()?;
    (24..=64).contains(&bytes.len()).then_some(bytes)
}

impl Webhook {
    pub fn request(&self, notice: &Notice, now: UnixMs) -> Request {
        let request = Request::json(self.url.clone(), &notice.payload());
        let at_unix_s = now.unix_s();
        let signature = self
            .secret
            .as_ref()
            .map(|secret| sign(secret, &notice.id, at_unix_s, &request.body));
        let request = request
            .with("webhook-id", &notice.id)
            .with("webhook-timestamp", at_unix_s.to_string());
        match signature {
            Some(signature) => request.with("webhook-signature", signature),
            None => request,
        }
    }
}
