//! One question to an application that runs, over HTTP as any client may ask it.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;

/// Which application, and in what form it is answered.
#[derive(Args)]
pub struct Application {
    /// Its HTTP trigger
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:3000",
        env = "WATCHBELL_URL"
    )]
    url: String,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
}

impl Application {
    /// An address of its.
    pub fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.url.trim_end_matches('/'))
    }
}

/// Longer than a test of every channel takes.
const TIMEOUT: Duration = Duration::from_secs(60);
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Posts a body, or without one gets. The answer of a 200.
///
/// # Errors
/// When nothing answers, or something else; with the reason that was given.
pub fn ask(url: &str, token: Option<&str>, body: Option<&Value>) -> anyhow::Result<Value> {
    if !url.starts_with("http://") && !url.starts_with("https://") {
        bail!("got the address {url:?}, want one that begins with http:// or https://");
    }
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .build()
        .into();
    let bearer = token.map(|token| format!("Bearer {token}"));
    let asked = match body {
        Some(body) => {
            let mut request = agent.post(url).header("content-type", "application/json");
            if let Some(bearer) = &bearer {
                request = request.header("authorization", bearer);
            }
            request.send(body.to_string())
        }
        None => {
            let mut request = agent.get(url);
            if let Some(bearer) = &bearer {
                request = request.header("authorization", bearer);
            }
            request.call()
        }
    };
    let mut response = asked.with_context(|| format!("asking {url:?}"))?;
    let status = response.status().as_u16();
    let text = response
        .body_mut()
        .with_config()
        .limit(ANSWER_BYTES_MAX)
        .read_to_string()
        .with_context(|| format!("reading the answer of {url:?}"))?;
    let answer: Value = serde_json::from_str(&text)
        .with_context(|| format!("asking {url:?}: status {status}, want a JSON object"))?;
    if status != 200 {
        let why = answer["error"].as_str().unwrap_or("no reason given");
        bail!("asking {url:?}: status {status}: {why}");
    }
    Ok(answer)
}
