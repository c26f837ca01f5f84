//! `alert`: makes incidents of what checks have told, and delivers what is said of them.
//!
//! Rung by a POST from a check, swept by its own trigger, asked by operators. The only
//! component that reads a channel's secret or may reach a channel.

mod world;

use serde_json::{Value, json};
use wasi::http::types::{IncomingRequest, ResponseOutparam};
use watchbell_core::alerting::{self, Called};
use watchbell_core::control::{Command, Refusal, obey};
use watchbell_core::settings::AlertSettings;
use watchbell_guest::{Failed, entry, log, variables};
use world::Here;

/// What an operator's request begins with; anything else rings.
const OPERATOR: &str = "/operator/";
/// An operator's wish is a few fields.
const BODY_BYTES_MAX: usize = 16 << 10;

fn run(called: Called) -> Result<(), Failed> {
    let number = wasi::random::random::get_random_u64();
    alerting::run(&Here::open()?, &settings()?, called, number)
}

/// A provider that fails ends the run: the next one may read what this cannot.
fn settings() -> Result<AlertSettings, Failed> {
    let (settings, failed) = variables::read(|get| AlertSettings::read(get));
    match failed {
        Some(mistake) => Err(mistake.to_string()),
        None => Ok(settings),
    }
}

fn serve(request: &IncomingRequest, out: ResponseOutparam) {
    let path = request.path_with_query().unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    match path.split_once(OPERATOR) {
        Some(("", name)) => operate(request, name, out),
        _ => ring(request, out),
    }
}

/// Answers first, works after: a check that rings has no time to wait for a webhook.
/// A ring carries nothing and is harmless, so anybody may; where the entry lies in public,
/// and each ring costs, only who bears `ring_token`, or the scheduler.
fn ring(request: &IncomingRequest, out: ResponseOutparam) {
    if !entry::scheduled(request)
        && variables::get("ring_token").is_some_and(|token| !token.trim().is_empty())
        && let Err((status, why)) = entry::authorise(request, "ring_token")
    {
        return entry::answer(out, status, &entry::error(&why));
    }
    entry::answer(out, 202, r#"{"rung":true}"#);
    if let Err(why) = run(Called::Rung) {
        log::line(&why);
    }
}

/// What an operator asks, and then what follows from it.
fn operate(request: &IncomingRequest, name: &str, out: ResponseOutparam) {
    let (status, answer) = match answer(request, name) {
        Ok(answer) => (200, answer),
        Err(Refusal(status, why)) => (status, json!({ "error": why })),
    };
    entry::answer(out, status, &watchbell_core::json::text(&answer));
    if status == 200
        && let Err(why) = run(Called::Rung)
    {
        log::line(&why);
    }
}

fn answer(request: &IncomingRequest, name: &str) -> Result<Value, Refusal> {
    entry::authorise(request, "operator_token").map_err(|(status, why)| Refusal(status, why))?;
    let body = entry::body(request, BODY_BYTES_MAX).map_err(|why| Refusal(400, why))?;
    let command = Command::read(name, &body)?;
    if !command.looks() && !entry::is_post(request) {
        return Err(Refusal(405, "want POST".to_owned()));
    }
    obey(&Here::open()?, &settings()?, command)
}

watchbell_guest::export!(
    cron = || entry::logged(run(Called::Swept)),
    http = |request, out| serve(&request, out)
);
