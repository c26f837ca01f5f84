//! Incidents that are over, for whoever looks back: one value, written by the alert component.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::incident::Incident;
use crate::operator::Hold;
use crate::outcome::Kind;
use crate::settings::Severity;
use crate::time::UnixMs;

/// Kept; at some 600 bytes each. The oldest go first.
pub const INCIDENTS_MAX: usize = 200;
/// And no more of them than this, as JSON: a page reads it all.
const BYTES_MAX: usize = 200 * 1024;
/// Checks named of one incident.
const CHECKS_MAX: usize = 50;
/// Services whose incidents are counted.
const SERVICES_MAX: usize = 200;

/// The newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    pub incidents: Vec<Over>,
    /// Of each service, those that are no longer kept as well.
    pub count: BTreeMap<String, u64>,
}

/// An incident that is over, without what only messages need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Over {
    pub id: String,
    pub service: String,
    pub opened_at: UnixMs,
    pub failing_since: UnixMs,
    pub resolved_at: UnixMs,
    pub severity: Severity,
    pub cause: Option<String>,
    /// What held its alerts back.
    pub held: Option<Hold>,
    /// By check id.
    pub checks: BTreeMap<String, Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub label: String,
    pub kind: Option<Kind>,
    pub reason: Option<String>,
    pub detail: String,
    pub failing_since: UnixMs,
    pub recovered_at: Option<UnixMs>,
}

impl Past {
    /// Adds them, each in the place of one with the same id: a run that was lost redoes it.
    pub fn add(&mut self, incidents: &[Incident]) {
        for over in incidents.iter().map(Over::new) {
            match self.incidents.iter_mut().find(|i| i.id == over.id) {
                Some(known) => *known = over,
                None => {
                    let known = self.count.contains_key(&over.service);
                    if known || self.count.len() < SERVICES_MAX {
                        *self.count.entry(over.service.clone()).or_default() += 1;
                    }
                    self.incidents.push(over);
                }
            }
        }
        self.incidents.sort_by_key(|i| i.resolved_at);
        let many = self.incidents.len().saturating_sub(INCIDENTS_MAX);
        self.incidents.drain(..many);
        let bytes = |i: &Over| serde_json::to_vec(i).map_or(0, |b| b.len());
        let sizes: Vec<usize> = self.incidents.iter().map(bytes).collect();
        let mut all: usize = sizes.iter().sum();
        let large = sizes.iter().take_while(|size| {
            let too_large = all > BYTES_MAX;
            all -= **size;
            too_large
        });
        let large = large.count().min(self.incidents.len().saturating_sub(1));
        self.incidents.drain(..large);
    }
}

impl Over {
    fn new(incident: &Incident) -> Self {
        let part = |affected: &crate::incident::Affected| Part {
            label: affected.definition.label.clone(),
            kind: affected.kind,
            reason: affected.reason.clone(),
            detail: affected.detail.clone(),
            failing_since: affected.failing_since,
            recovered_at: affected.recovered_at,
        };
        let checks = incident.checks.iter().take(CHECKS_MAX);
        Self {
            id: incident.id.clone(),
            service: incident.service.clone(),
            opened_at: incident.opened_at,
            failing_since: incident.failing_since,
            resolved_at: incident.resolved_at.unwrap_or(incident.opened_at),
            severity: incident.peak,
            cause: incident.cause.clone(),
            held: incident.held.as_ref().map(|h| h.by),
            checks: checks.map(|(id, a)| (id.clone(), part(a))).collect(),
        }
    }
}
