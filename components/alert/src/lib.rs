//! `alert`: takes over what monitors have pending, and delivers it.
//!
//! Rung by a POST from a check, swept by its own trigger. The only component that
//! reads a channel's secret or may reach a channel.

mod deliver;

use wasi::http::types::{IncomingRequest, ResponseOutparam};
use watchbell_guest::{entry, log};

/// Answers first, works after: a check that rings has no time to wait for a webhook.
/// A ring carries nothing and is harmless, so anybody may.
fn ring(_request: &IncomingRequest, out: ResponseOutparam) {
    entry::answer(out, 202, r#"{"rung":true}"#);
    if let Err(why) = deliver::run() {
        log::line(&why);
    }
}

watchbell_guest::export!(
    cron = || entry::logged(deliver::run()),
    http = |request, out| ring(&request, out)
);
