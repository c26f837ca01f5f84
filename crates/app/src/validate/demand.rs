//! What an application asks of the place that it runs at, hour by hour, as its stanzas say.

use std::time::Duration;

use serde::Serialize;
use watchbell_core::settings::{HttpSettings, Pace, Reader};
use watchbell_core::target::Url;

use super::Kind;
use super::resolve::Resolved;
use crate::manifest::Manifest;
use crate::target::Target;

/// To be held against a target's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Demand {
    /// Outbound requests an hour when all is well: probes by HTTP, and the deadman's. What a
    /// component of others asks is not known.
    pub requests_per_hour: u64,
    /// The same while every check waits to be confirmed, each redirect followed. Rings and
    /// deliveries come on top.
    pub requests_per_hour_worst: u64,
    /// Whether a ring is an outbound request: `alert_url` is no `*.spin.internal`.
    pub rings_are_requests: bool,
    pub routes: usize,
    /// Keys that the checks and the alert component keep. What operators say comes on top.
    pub keys: usize,
    /// Writes to key-value an hour when all is well.
    pub writes_per_hour: u64,
    /// The most of them in one moment, when everything is called at once.
    pub writes_at_once: u64,
}

/// `monitor/<id>`, three of `history/<id>/…`, `lease/<id>`.
const KEYS_PER_CHECK: usize = 5;
/// `alert/ledger`, `alert/past`, `alert/rung`, `alert/suspect`, `operator/resend`.
const KEYS_OF_ALERT: usize = 5;
/// `index`, of what operators said, where keys cannot be listed.
const KEYS_OF_INDEX: usize = 1;
/// Of one probe: the check's lease, and its record.
const WRITES_PER_PROBE: u64 = 2;
/// Of an hour's history: samples, the hour and, once a day, the day.
const WRITES_PER_HOUR_OF_HISTORY: u64 = 3;
/// Of those, with one probe.
const WRITES_AT_ONCE_OF_HISTORY: u64 = 1;
/// The alert component notes once a minute, or more rarely where it runs more rarely, that it
/// is awake: its ledger under the lease, and the lease given back. Then it tells the deadman.
const NOTES_PER_HOUR: u64 = 60;
const WRITES_PER_NOTE: u64 = 2;

impl Demand {
    pub(super) fn of(manifest: &Manifest, resolved: &[Resolved<'_>], target: Target) -> Self {
        let mut demand = Self {
            routes: manifest.http.len(),
            ..Self::default()
        };
        for component in resolved {
            match component.kind {
                Some(Kind::Alert) => demand.add_alert(component, target),
                Some(kind) if kind.is_check() => demand.add_check(component, kind),
                _ => {}
            }
        }
        demand
    }

    fn add_check(&mut self, component: &Resolved<'_>, kind: Kind) {
        let get = |key: &str| component.variables.get(key).cloned();
        let pace = Pace::read(&mut Reader::new(&get));
        let probes = per_hour(pace.interval);
        if kind == Kind::HttpCheck && !is_off(component) {
            self.requests_per_hour += probes;
            // A check without its required variables has no redirects that could be read.
            let redirects = HttpSettings::read(&get).map_or(0, |s| s.redirects_max);
            self.requests_per_hour_worst +=
                per_hour(pace.retry_interval) * u64::from(1 + redirects);
        }
        self.rings_are_requests |= component.text("alert_url").is_some_and(leaves);
        self.keys += KEYS_PER_CHECK;
        self.writes_per_hour += probes * WRITES_PER_PROBE + WRITES_PER_HOUR_OF_HISTORY;
        self.writes_at_once += WRITES_PER_PROBE + WRITES_AT_ONCE_OF_HISTORY;
    }

    fn add_alert(&mut self, component: &Resolved<'_>, target: Target) {
        if component.text("deadman_url").is_some() {
            self.requests_per_hour += NOTES_PER_HOUR;
            self.requests_per_hour_worst += NOTES_PER_HOUR;
        }
        self.keys += KEYS_OF_ALERT;
        if !target.limits().lists_keys {
            self.keys += KEYS_OF_INDEX;
        }
        self.writes_per_hour += NOTES_PER_HOUR * WRITES_PER_NOTE;
        self.writes_at_once += WRITES_PER_NOTE;
    }
}

/// Rounded up: a limit is held by what may come.
fn per_hour(interval: Duration) -> u64 {
    let hour_ms = 3_600_000_u64;
    hour_ms.div_ceil(
        u64::try_from(interval.as_millis())
            .unwrap_or(u64::MAX)
            .max(1),
    )
}

fn is_off(component: &Resolved<'_>) -> bool {
    component.text("presence") == Some("off")
}

fn leaves(alert_url: &str) -> bool {
    Url::parse(alert_url).is_none_or(|url| !url.authority().ends_with(".spin.internal"))
}
