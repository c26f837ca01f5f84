//! All of it at a glance: every service, its gravest state, one sentence.

use std::collections::BTreeMap;

use watchbell_core::store;
use watchbell_core::time::UnixMs;

use super::check::{check, unreadable};
use super::{Check, Incident, Service, Sight, State, Status, delivery, incidents};
use crate::records::Records;

/// All of it, but for histories.
pub fn status(records: &Records, sight: Sight) -> Status {
    let services = services(records, sight);
    let incidents = incidents(records, sight);
    Status {
        version: 1,
        at: newest(records).into(),
        state: services
            .iter()
            .map(|s| s.state)
            .max()
            .unwrap_or(State::Unknown),
        summary: summary(records, &services, &incidents),
        services,
        incidents,
        delivery: (sight == Sight::Full).then(|| delivery(records)),
    }
}

/// Not the time of asking: what has not changed reads the same.
pub fn newest(records: &Records) -> UnixMs {
    let runs = records.monitors.iter().filter_map(|m| m.last.as_ref());
    let seen = records.ledger.awake.map(|a| a.seen);
    let all = runs.map(|l| l.at).chain(seen);
    all.filter(|at| *at <= records.now)
        .max()
        .unwrap_or(records.now)
}

/// By name, and in each the checks by id.
fn services(records: &Records, sight: Sight) -> Vec<Service> {
    let mut services: BTreeMap<String, Vec<Check>> = BTreeMap::new();
    let readable = records
        .monitors
        .iter()
        .map(|m| check(m, records.now, sight));
    let lost = records
        .unreadable
        .iter()
        .map(|id| unreadable(id, records.now));
    for check in readable.chain(lost) {
        services
            .entry(check.service.clone())
            .or_default()
            .push(check);
    }
    let of = |(service, mut checks): (String, Vec<Check>)| {
        checks.sort_by(|a, b| a.check.cmp(&b.check));
        let states = checks.iter().filter(|c| !c.off).map(|c| c.state);
        Service {
            service,
            state: states.max().unwrap_or(State::Unknown),
            checks,
        }
    };
    services.into_iter().map(of).collect()
}

/// `all 8 checks are up`, or what is open, or what is not up.
fn summary(records: &Records, services: &[Service], open: &[Incident]) -> String {
    if records.loses(store::LEDGER) {
        return "what the alert component keeps cannot be read".to_owned();
    }
    let unknown = |s: &Service| s.checks.iter().all(|c| c.off || c.state == State::Unknown);
    if !records.monitors.is_empty() && services.iter().all(unknown) && !all_off(services) {
        return format!("nothing has run since {}", newest(records).rfc3339());
    }
    if let [first, rest @ ..] = open {
        return match rest.len() {
            0 => first.summary.clone(),
            1 => format!("{}, and 1 more incident is open", first.summary),
            more => format!("{}, and {more} more incidents are open", first.summary),
        };
    }
    // Of what is switched off nothing is said.
    let checks = || services.iter().flat_map(|s| &s.checks).filter(|c| !c.off);
    let all = checks().count();
    if all == 0 && !records.monitors.is_empty() {
        return "every check that has run is switched off".to_owned();
    }
    if all == 0 {
        return "no check has run yet".to_owned();
    }
    let count = |state| checks().filter(|c| c.state == state).count();
    let parts: Vec<String> = [State::Down, State::Pending, State::Degraded, State::Unknown]
        .into_iter()
        .map(|state| (count(state), state))
        .filter(|(count, _)| *count > 0)
        .map(|(count, state)| format!("{count} {}", state.as_str()))
        .collect();
    match (&parts[..], all) {
        ([], 1) => "the one check is up".to_owned(),
        ([], all) => format!("all {all} checks are up"),
        (parts, all) => format!("of {all} checks {}", parts.join(", ")),
    }
}

fn all_off(services: &[Service]) -> bool {
    services.iter().all(|s| s.checks.iter().all(|c| c.off))
}
