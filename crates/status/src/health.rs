//! Watchbell's own health: `application/health+json` (draft-inadarei-api-health-check-06).

use std::time::Duration;

use serde_json::{Value, json};
use watchbell_core::ledger::{asleep_after, silent};
use watchbell_core::store;
use watchbell_core::time::UnixMs;

use crate::records::Records;

pub const HEALTH_JSON: &str = "application/health+json";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Pass,
    Warn,
    Fail,
}

impl Verdict {
    fn of(fails: bool, otherwise: Verdict) -> Self {
        if fails { otherwise } else { Verdict::Pass }
    }

    fn as_str(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        }
    }
}

/// The HTTP status and the body. Counts and times alone: anybody may ask.
pub fn health(records: &Records, sweep_interval: Duration) -> (u16, Value) {
    let now = records.now;
    let asleep_after = asleep_after(sweep_interval);
    let seen = records.ledger.awake.map(|a| a.seen);
    let alert = match seen {
        _ if records.loses(store::LEDGER) => Verdict::Fail,
        // Not yet, on a fresh node.
        None => {
            let born = records.monitors.iter().map(|m| m.born_at).min();
            match born.is_some_and(|born| now.since(born) > asleep_after) {
                true => Verdict::Fail,
                false => Verdict::Warn,
            }
        }
        Some(seen) => Verdict::of(now.since(seen) > asleep_after, Verdict::Fail),
    };
    let silent = records
        .monitors
        .iter()
        .filter(|m| silent(m, UnixMs(0), now));
    let silent = silent.count();
    let checks = match (silent, records.monitors.len()) {
        (0, 1..) => Verdict::Pass,
        (silent, all) if silent == all && all > 0 => Verdict::Fail,
        _ => Verdict::Warn,
    };
    let unreadable = records.unreadable.len() + records.lost.len();
    let records_are = Verdict::of(unreadable > 0, Verdict::Warn);
    let dead = records.ledger.outbox.dead.len();
    let delivery = Verdict::of(dead > 0, Verdict::Warn);
    let status = alert.max(checks).max(records_are).max(delivery);
    let one = |kind: &str, unit: &str, value: Value, verdict: Verdict| {
        json!([{
            "componentType": kind,
            "observedValue": value,
            "observedUnit": unit,
            "status": verdict.as_str(),
            "time": now.rfc3339(),
        }])
    };
    let age = seen.map(|seen| now.since(seen).as_secs());
    let body = json!({
        "status": status.as_str(),
        "version": "1",
        "releaseId": env!("CARGO_PKG_VERSION"),
        "serviceId": "watchbell",
        "description": "Watchbell itself, not what it watches",
        "checks": {
            "alert:lastRunAge": one("component", "s", age.into(), alert),
            "checks:silent": one("component", "checks", silent.into(), checks),
            "records:unreadable": one("datastore", "records", unreadable.into(), records_are),
            "delivery:deadLetters": one("component", "messages", dead.into(), delivery),
        },
    });
    let code = if status == Verdict::Fail { 503 } else { 200 };
    (code, body)
}

/// Where nothing can be read.
pub fn broken(why: &str) -> Value {
    json!({ "status": Verdict::Fail.as_str(), "version": "1", "output": why })
}
