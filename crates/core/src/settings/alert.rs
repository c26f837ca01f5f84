//! What the alert component reads.

use std::time::Duration;

use super::common::{duration, show};
use super::{Mistake, Reader};
use crate::ledger::RETRY_MAX;
use crate::target::Url;

/// The variables of the alert component. The only place where channel secrets are read.
#[derive(Clone)]
pub struct AlertSettings {
    /// `webhook_url`: where alerts go; without one they are logged.
    pub webhook_url: Option<Url>,
    /// `webhook_secret`: `whsec_` and base64 of 24 to 64 bytes (Standard Webhooks);
    /// without one messages are sent unsigned. Decoded here.
    pub webhook_secret: Option<Vec<u8>>,
    /// `webhook_timeout`: for one attempt; default 10 s.
    pub webhook_timeout: Duration,
    /// `webhook_retry_interval`: the first pause after a failed attempt; doubles; default 10 s.
    pub webhook_retry_interval: Duration,
}

impl AlertSettings {
    pub const TIMEOUT: Duration = Duration::from_secs(10);
    /// A run of the alert component lasts no longer than the clouds let it.
    pub const TIMEOUT_MAX: Duration = Duration::from_secs(20);
    pub const RETRY_INTERVAL: Duration = Duration::from_secs(10);

    pub fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<Mistake>> {
        let mut r = Reader::new(get);
        let webhook_url = r.text("webhook_url").and_then(|text| {
            let url = Url::parse(&text);
            if url.is_none() {
                // A webhook's URL is a secret itself.
                r.mistake(
                    "webhook_url",
                    "a text that is not shown",
                    "an http or https URL without user name",
                );
            }
            url
        });
        let webhook_secret = r.text("webhook_secret").and_then(|text| {
            let secret = decode_secret(&text);
            if secret.is_none() {
                r.mistake(
                    "webhook_secret",
                    "a text that is not shown",
                    "whsec_ and base64 of 24 to 64 bytes",
                );
            }
            secret
        });
        let settings = Self {
            webhook_url,
            webhook_secret,
            webhook_timeout: bounded(&mut r, "webhook_timeout", Self::TIMEOUT, Self::TIMEOUT_MAX),
            webhook_retry_interval: bounded(
                &mut r,
                "webhook_retry_interval",
                Self::RETRY_INTERVAL,
                RETRY_MAX,
            ),
        };
        r.finish(settings)
    }
}

fn bounded(r: &mut Reader<'_>, key: &str, default: Duration, max: Duration) -> Duration {
    let value = duration(r, key, default);
    if value > max {
        r.mistake(key, &show(value), &format!("at most {}", show(max)));
    }
    value.min(max)
}

fn decode_secret(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    let engine = base64::engine::GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        base64::engine::GeneralPurposeConfig::new()
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
    );
    let bytes = engine.decode(text.strip_prefix("whsec_")?).ok()?;
    (24..=64).contains(&bytes.len()).then_some(bytes)
}
