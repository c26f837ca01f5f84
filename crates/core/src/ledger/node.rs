//! This node's own failures: checks that do not run, and a network that is down.

use std::cell::LazyCell;
use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Ledger, Look};
use crate::diagnosis::{Role, SILENT, Seen, UPLINK, uplink};
use crate::digest;
use crate::incident::Affected;
use crate::monitor::Monitor;
use crate::notice::{About, Notice};
use crate::outcome::Kind;
use crate::settings::Severity;
use crate::time::UnixMs;

/// The service that this node is, to itself.
pub const NODE: &str = "watchbell";

/// The alert component's own running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awake {
    pub since: UnixMs,
    pub seen: UnixMs,
}

/// Between two notes that the alert component runs: a write each.
const NOTE_EVERY: Duration = Duration::from_secs(60);
/// Without a sweep for so many intervals the node was off, or asleep: of that time no check is
/// asked to have run.
const ASLEEP_INTERVALS: u32 = 3;
/// A check that has not run for this many intervals is silent.
const SILENT_INTERVALS: u64 = 3;
/// And a firing's jitter.
const SILENT_MARGIN: Duration = Duration::from_secs(60);

/// How long the alert component can be quiet before it does not run.
pub fn asleep_after(sweep_interval: Duration) -> Duration {
    sweep_interval * ASLEEP_INTERVALS
}

/// Whether a check has not run for three intervals, the node's own sleep left out.
pub fn silent(monitor: &Monitor, awake_since: UnixMs, now: UnixMs) -> bool {
    let ran_at = monitor.last.as_ref().map_or(monitor.born_at, |l| l.at);
    let interval_ms = monitor.definition.interval_ms;
    let bound = Duration::from_millis(interval_ms.saturating_mul(SILENT_INTERVALS)) + SILENT_MARGIN;
    now.since(ran_at.max(awake_since)) > bound
}

impl Ledger {
    /// `awake_since` is when the alert component began to run without a gap, `known` whether
    /// that was known before this look.
    pub(super) fn look_at_node(&mut self, look: &Look<'_>, awake_since: UnixMs, known: bool) {
        if look.rules.announces && !known {
            self.outbox.push(started(look));
        }
        for monitor in look.monitors {
            // What is silent stays so until it runs, however the node slept meanwhile.
            let asked_since = match self.known(monitor, SILENT.id) {
                true => UnixMs(0),
                false => awake_since,
            };
            let is_silent = silent(monitor, asked_since, look.now);
            let ran_at = monitor.last.as_ref().map_or(monitor.born_at, |l| l.at);
            self.judge(monitor, SILENT.id, is_silent, ran_at, look.now);
        }
        let cut_off = self.cut_off(look);
        for monitor in look.monitors {
            let seen = monitor.seen(look.now);
            let part = cut_off && seen.is_some_and(|s| s.cut_off());
            let since = monitor.failing_since.unwrap_or(look.now);
            self.judge(monitor, UPLINK.id, part, since, look.now);
        }
        self.node.forget(look);
        let service = &mut self.node.service;
        if let Some(over_at) = service.open.as_ref().and_then(|i| i.over_at()) {
            service.end(over_at);
            self.node_incidents += 1;
        }
        let because = if self.node_cut_off() {
            UPLINK.id
        } else {
            SILENT.id
        };
        if let Some(incident) = &mut self.node.service.open {
            incident.cause = Some(because.to_owned());
        }
    }

    /// Since when the alert component has run without a gap.
    pub(super) fn wake(&mut self, now: UnixMs, sweep_interval: Duration) -> UnixMs {
        let awake = self.awake.get_or_insert(Awake {
            since: now,
            seen: now,
        });
        if now < awake.seen || now.since(awake.seen) > asleep_after(sweep_interval) {
            *awake = Awake {
                since: now,
                seen: now,
            };
        } else if now.since(awake.seen) >= NOTE_EVERY {
            awake.seen = now;
        }
        awake.since
    }

    /// Whether the node's own network is at fault: some service's outage is ripe to be told,
    /// and it and every target that has nothing to do with it fail as if there were no
    /// network. Once it was, until one of them no longer does.
    fn cut_off(&self, look: &Look<'_>) -> bool {
        let targets = LazyCell::new(|| targets(look));
        self.services.iter().any(|(name, account)| {
            let ripe = account.service.open.is_some() && (self.node_cut_off() || account.settled());
            let own = look.seen(name);
            ripe && may_be_cut_off(&own) && uplink(&others(name, &targets))
        })
    }

    /// Whether the node is known to be cut off.
    pub(super) fn node_cut_off(&self) -> bool {
        let open = self.node.service.open.as_ref();
        open.is_some_and(|i| i.checks.values().any(|a| is(a, UPLINK.id)))
    }

    /// Whether a check is part of the node's incident for that reason.
    fn known(&self, monitor: &Monitor, reason: &str) -> bool {
        let open = self.node.service.open.as_ref();
        let known = open.and_then(|i| i.checks.get(&monitor.definition.check));
        known.is_some_and(|affected| is(affected, reason))
    }

    /// Adds a check to the node's incident, or lets it recover there.
    fn judge(&mut self, monitor: &Monitor, reason: &str, fails: bool, since: UnixMs, now: UnixMs) {
        let check = &monitor.definition.check;
        let open = self.node.service.open.as_mut();
        let known = open.and_then(|i| i.checks.get_mut(check));
        match (known, fails) {
            (Some(known), true) if is(known, reason) => {}
            (Some(known), false) if is(known, reason) => {
                known.recovered_at = Some(now);
            }
            (_, true) => {
                let mut definition = monitor.definition.clone();
                definition.service = NODE.to_owned();
                let detail = match reason {
                    r if r == SILENT.id => "has not run for three intervals".to_owned(),
                    _ => monitor
                        .last
                        .as_ref()
                        .map_or_else(String::new, |l| l.detail.clone()),
                };
                let affected = Affected {
                    definition,
                    failing_since: since,
                    kind: Some(Kind::Internal),
                    reason: Some(reason.to_owned()),
                    detail,
                    recovered_at: None,
                    flapping: false,
                };
                let number = self.node_incidents.to_string();
                let opener = [check.as_str(), reason, &since.0.to_string(), &number];
                self.node.service.join(affected, now, &opener);
            }
            (_, false) => {}
        }
    }
}

/// Whether what fails of a service fails as if there were no network.
pub(super) fn may_be_cut_off(own: &[Seen]) -> bool {
    let mut failing = own.iter().filter(|s| s.failing.is_some()).peekable();
    failing.peek().is_some() && own.iter().any(Seen::surely_cut_off) && failing.all(Seen::cut_off)
}

/// What fails or works as one.
struct Target<'a> {
    /// The hosts that it is reached at, and the services that it belongs to.
    ties: BTreeSet<(&'static str, &'a str)>,
    /// Of each of its checks that says anything now: whether it fails as if there were no
    /// network.
    cut_off: Vec<bool>,
}

/// What shares a host is one target, and so is a service on several. A witness belongs to
/// none.
fn targets<'a>(look: &Look<'a>) -> Vec<Target<'a>> {
    let mut targets: Vec<Target<'a>> = Vec::new();
    for monitor in look.monitors {
        let definition = &monitor.definition;
        let mut joined = Target {
            ties: [("host", host(&definition.target))].into(),
            cut_off: monitor.seen(look.now).iter().map(Seen::cut_off).collect(),
        };
        if definition.role != Role::Witness {
            joined.ties.insert(("service", &definition.service));
        }
        targets.retain(|known| {
            let apart = known.ties.is_disjoint(&joined.ties);
            if !apart {
                joined.ties.extend(&known.ties);
                joined.cut_off.extend(&known.cut_off);
            }
            apart
        });
        targets.push(joined);
    }
    targets
}

/// Of each target that has nothing to do with the service and says anything, whether all that
/// is asked of it fails as if there were no network.
fn others(name: &str, targets: &[Target<'_>]) -> Vec<bool> {
    let foreign = |t: &&Target<'_>| !t.ties.contains(&("service", name)) && !t.cut_off.is_empty();
    let others = targets.iter().filter(foreign);
    others.map(|t| t.cut_off.iter().all(|c| *c)).collect()
}

/// The host of a target: a URL, or `host:port`.
fn host(target: &str) -> &str {
    let rest = target.split_once("://").map_or(target, |(_, rest)| rest);
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let authority = &rest[..end];
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

fn started(look: &Look<'_>) -> Notice {
    Notice {
        id: digest::id("msg_", &["started", &look.now.0.to_string()]),
        at: look.now,
        service: NODE.to_owned(),
        severity: Severity::Info,
        peak: Severity::Info,
        test: false,
        about: About::Started {
            checks: look.monitors.len(),
        },
    }
}

fn is(affected: &Affected, reason: &str) -> bool {
    affected.recovered_at.is_none() && affected.reason.as_deref() == Some(reason)
}
