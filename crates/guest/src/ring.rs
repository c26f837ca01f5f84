//! The doorbell: a POST to the alert component that carries nothing.
//!
//! What happened is already in key-value, so a ring may be lost, repeated or forged;
//! the alert component's own sweep finds what a lost one meant.

use std::time::Duration;

use watchbell_core::target::Url;

use crate::{Deadline, log, outgoing, variables};

/// The alert component answers before it works; more than this is a host in trouble.
const TIMEOUT: Duration = Duration::from_secs(2);
const ROUTE: &str = "/alert";

/// Rings, when `alert_url` is set.
pub fn ring() {
    let Some(text) = variables::get("alert_url").filter(|t| !t.trim().is_empty()) else {
        return;
    };
    let Some(mut url) = Url::parse(text.trim()) else {
        log::line(
            "ringing: variable \"alert_url\" is no http or https URL; the sweep will find the alert",
        );
        return;
    };
    if url.path == "/" {
        ROUTE.clone_into(&mut url.path);
    }
    // Wanted only where the entry lies in public, and sent nowhere else.
    let token = variables::get("ring_token").unwrap_or_default();
    let bearer = (
        "authorization".to_owned(),
        format!("Bearer {}", token.trim()),
    );
    let request = outgoing::Request {
        method: "POST",
        url: &url,
        headers: match token.trim() {
            "" => &[],
            _ => std::slice::from_ref(&bearer),
        },
        body: &[],
    };
    match outgoing::post(&request, Deadline::after(TIMEOUT)) {
        Ok(answer) if (200..300).contains(&answer.status) => {}
        Ok(answer) => log::line(&format!(
            "ringing {:?}: status {}, want 2xx; the sweep will find the alert",
            url.to_string(),
            answer.status
        )),
        Err(outcome) => log::line(&format!(
            "ringing: {}; the sweep will find the alert",
            outcome.detail
        )),
    }
}
