//! What must hold of a story, by the documentation alone. It sees what was probed and what
//! was delivered, and shares no rule with what made the one of the other.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use watchbell_core::diagnosis::Role;

use crate::plan::{MINUTE, Plan, Span};
use crate::world::Delivery;

/// One firing that probed: what it found, or nothing certain (it died, the store failed).
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    pub check: usize,
    pub at: u64,
    pub failed: Option<bool>,
}

/// A rule that was broken.
#[derive(Debug)]
pub struct Violation(String);

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// An incident as the messages tell it.
#[derive(Debug, Default)]
struct Told {
    service: String,
    ids: BTreeMap<String, BTreeSet<String>>,
    opened_at: u64,
    resolved_at: Option<u64>,
    /// Check, failing since, recovered at.
    checks: Vec<(String, u64, u64)>,
}

pub fn incidents(taken: &[Delivery]) -> u64 {
    let all: BTreeSet<&str> = taken
        .iter()
        .filter_map(|d| d.body["data"]["incident"].as_str())
        .collect();
    all.len() as u64
}

pub fn check(
    plan: &Plan,
    probes: &[Probe],
    taken: &[Delivery],
    keys: &BTreeMap<String, Vec<u8>>,
) -> Vec<Violation> {
    let mut found = Vec::new();
    let told = read(taken, &mut found);
    nothing_twice(&told, &mut found);
    one_at_a_time(&told, &mut found);
    nothing_untold(plan, probes, &told, &mut found);
    settled(keys, &mut found);
    found
}

fn time(text: &Value) -> Option<u64> {
    // RFC 3339 in UTC, whole seconds, as docs/webhook.md says.
    let text = text.as_str()?;
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (y, m, d) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hh, mm, ss) = (number(11..13)?, number(14..16)?, number(17..19)?);
    // Days since 1970 (Howard Hinnant, "chrono-compatible low-level date algorithms").
    let y = if m <= 2 { y - 1 } else { y };
    let era = y.div_euclid(400);
    let year_of_era = y - era * 400;
    let day_of_year = (153 * (m + if m > 2 { -3 } else { 9 }) + 2) / 5 + d - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    u64::try_from((days * 86_400 + hh * 3_600 + mm * 60 + ss) * 1_000).ok()
}

fn read(taken: &[Delivery], found: &mut Vec<Violation>) -> BTreeMap<String, Told> {
    let mut types: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    let mut all: BTreeMap<String, Told> = BTreeMap::new();
    for delivery in taken {
        let kind = delivery.body["type"].as_str().unwrap_or_default();
        let data = &delivery.body["data"];
        let incident = data["incident"].as_str().unwrap_or_default();
        let known = types.entry(&delivery.id).or_insert((kind, incident));
        if *known != (kind, incident) {
            found.push(Violation(format!(
                "{}: one id for {known:?} and {:?}",
                delivery.id,
                (kind, incident)
            )));
        }
        for summed in data["incidents"].as_array().into_iter().flatten() {
            let id = summed["incident"].as_str().unwrap_or_default();
            add(
                all.entry(id.to_owned()).or_default(),
                "summary",
                &delivery.id,
                data,
                summed,
            );
        }
        if !incident.is_empty() {
            add(
                all.entry(incident.to_owned()).or_default(),
                kind,
                &delivery.id,
                data,
                data,
            );
        }
    }
    all
}

fn add(told: &mut Told, kind: &str, id: &str, data: &Value, incident: &Value) {
    told.service = data["service"].as_str().unwrap_or_default().to_owned();
    told.ids
        .entry(kind.to_owned())
        .or_default()
        .insert(id.to_owned());
    told.opened_at = time(&incident["opened_at"])
        .or(time(&incident["failing_since"]))
        .unwrap_or_default();
    if let Some(resolved_at) = time(&incident["resolved_at"]) {
        told.resolved_at = Some(resolved_at);
    }
    for check in incident["checks"].as_array().into_iter().flatten() {
        let id = check["check"].as_str().unwrap_or_default().to_owned();
        let since = time(&check["failing_since"]).unwrap_or_default();
        let recovered = time(&check["recovered_at"]).unwrap_or(since);
        told.checks.push((id, since, recovered));
    }
}

/// An incident is opened once and resolved once, or summed up once; an id that came twice is
/// one message.
fn nothing_twice(told: &BTreeMap<String, Told>, found: &mut Vec<Violation>) {
    for (incident, told) in told {
        for (kind, ids) in &told.ids {
            let once = matches!(
                kind.as_str(),
                "alert.triggered" | "alert.resolved" | "summary"
            );
            if once && ids.len() > 1 {
                found.push(Violation(format!(
                    "{incident}: {kind} under {} ids",
                    ids.len()
                )));
            }
        }
        let ends = ["alert.resolved", "summary"].map(|k| told.ids.contains_key(k));
        if ends == [true, true] {
            found.push(Violation(format!(
                "{incident}: resolved, and summed up as well"
            )));
        }
        if ends == [false, false] {
            found.push(Violation(format!(
                "{incident} of {}: never told to be over",
                told.service
            )));
        }
    }
}

/// Of one service one incident is open at a time.
fn one_at_a_time(told: &BTreeMap<String, Told>, found: &mut Vec<Violation>) {
    let mut by_service: BTreeMap<&str, Vec<(u64, u64, &str)>> = BTreeMap::new();
    for (id, told) in told {
        let end = told.resolved_at.unwrap_or(u64::MAX);
        by_service
            .entry(&told.service)
            .or_default()
            .push((told.opened_at, end, id));
    }
    for (service, mut spans) in by_service {
        spans.sort_unstable();
        for pair in spans.windows(2) {
            // Whole seconds: one may end in the second in which the next begins.
            if pair[1].0 + 1_000 < pair[0].1 {
                found.push(Violation(format!(
                    "{service}: {} and {} are open at once",
                    pair[0].2, pair[1].2
                )));
            }
        }
    }
}

/// Longer than a check's clock, a restart and a lost write can blur.
const SLACK: u64 = 2 * MINUTE;

/// A check that has failed more than often enough is told to have failed then, unless that
/// was under maintenance.
fn nothing_untold(
    plan: &Plan,
    probes: &[Probe],
    told: &BTreeMap<String, Told>,
    found: &mut Vec<Violation>,
) {
    for (n, check) in plan.checks.iter().enumerate() {
        if check.role == Role::Witness {
            continue;
        }
        let enough = 2 * check.failure_threshold + 2;
        let mut streak: Option<(u64, u32)> = None;
        let mut outages: Vec<Span> = Vec::new();
        for probe in probes.iter().filter(|p| p.check == n) {
            match (probe.failed, streak) {
                (Some(true), None) => streak = Some((probe.at, 1)),
                (Some(true), Some((from, count))) => {
                    streak = Some((from, count + 1));
                    if count + 1 == enough {
                        outages.push(Span { from, to: probe.at });
                    }
                }
                _ => streak = None,
            }
        }
        for outage in outages {
            let covered = told.values().any(|t| {
                t.checks.iter().any(|(id, since, recovered)| {
                    *id == check.id
                        && *since <= outage.to + SLACK
                        && outage.from <= recovered.max(&t.resolved_at.unwrap_or(u64::MAX)) + SLACK
                })
            });
            let expected = plan.windows.iter().any(|(service, maintenance, span)| {
                let ours = service.is_empty() || *service == check.service;
                let after = Span {
                    from: outage.from,
                    to: outage.to + 24 * 60 * MINUTE,
                };
                *maintenance && ours && span.meets(after)
            });
            if !covered && !expected {
                found.push(Violation(format!(
                    "{}: failed from {} to {} and that was never told",
                    check.id, outage.from, outage.to
                )));
            }
        }
    }
}

/// After the faults nothing is under way any more.
fn settled(keys: &BTreeMap<String, Vec<u8>>, found: &mut Vec<Violation>) {
    for (key, bytes) in keys {
        let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
            found.push(Violation(format!("{key}: no JSON")));
            continue;
        };
        let record = &value["record"];
        let empty = |value: &Value| value.as_array().is_none_or(Vec::is_empty);
        if key.starts_with("monitor/") && !empty(&record["pending"]) {
            found.push(Violation(format!("{key}: transitions are still pending")));
        }
        if key == "alert/ledger" {
            for list in ["messages", "dead"] {
                if !empty(&record["outbox"][list]) {
                    let count = record["outbox"][list].as_array().map_or(0, Vec::len);
                    found.push(Violation(format!("{count} {list} are left in the outbox")));
                }
            }
            let accounts = record["services"].as_object().into_iter().flatten();
            for (service, account) in accounts {
                if !account["service"]["open"].is_null() || !empty(&account["service"]["ended"]) {
                    found.push(Violation(format!("{service}: an incident is left")));
                }
            }
        }
        if key.starts_with("unreadable/") {
            found.push(Violation(format!("{key}: a record became unreadable")));
        }
    }
}
