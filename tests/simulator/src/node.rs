//! The runs of a story: a check's firing, the alert component's ring and sweep.

use std::time::Duration;

use watchbell_core::alerting::{self, Called};
use watchbell_core::counting::{Probed, count, load, rests, suspected};
use watchbell_core::measured::Measured;
use watchbell_core::monitor::{Definition, Monitor, Policy};
use watchbell_core::outcome::Outcome;
use watchbell_core::settings::{AlertSettings, Pace, Threshold};
use watchbell_core::store::{Failed, Store, monitor_key, read};

use crate::plan::{Check, MINUTE, Plan, SECOND};
use crate::world::Process;

pub fn pace(check: &Check) -> Pace {
    Pace {
        interval: Duration::from_millis(check.interval_ms),
        retry_interval: Duration::from_secs(20),
        firing_interval: Duration::from_secs(20),
    }
}

/// A cron firing, as the guest's shell does it. `asked` becomes what a probe found, counted
/// or not. True when it rings.
pub fn fire(
    process: &Process<'_>,
    check: &Check,
    cut_off: bool,
    asked: &mut Option<Outcome>,
) -> Result<bool, Failed> {
    let now = process.now();
    let pace = pace(check);
    let found = read::<Monitor>(process, &monitor_key(&check.id))?;
    if rests(process, &found, &pace, now) {
        return Ok(false);
    }
    let definition = Definition {
        check: check.id.clone(),
        label: check.id.clone(),
        service: check.service.clone(),
        severity: check.severity,
        role: check.role,
        probe: check.probe.into(),
        target: check.id.clone(),
        runbook: String::new(),
        runbook_url: String::new(),
        interval_ms: check.interval_ms,
    };
    let monitor = load(found, &definition, now);
    let awaited = monitor.awaited(suspected(process), &pace, now);
    if !awaited && !monitor.due(&pace, now) {
        return Ok(false);
    }
    let policy = Policy {
        pace,
        failure_threshold: check.failure_threshold,
        success_threshold: check.success_threshold,
        thresholds: [30, 14, 7, 3, 1].map(Threshold::Days).to_vec(),
        flapping: true,
    };
    let outcome = check.outcome(now.0, cut_off);
    *asked = Some(outcome.clone());
    let measured = Measured {
        duration_ms: 20,
        ..Measured::default()
    };
    let probed = Probed { outcome, measured };
    count(process, monitor, &policy, &probed, awaited, now)
}

/// The variables of the alert component, as the plan has them.
pub fn settings(plan: &Plan) -> AlertSettings {
    let mut variables = vec![("maintenance".to_owned(), plan.maintenance.clone())];
    for channel in &plan.channels {
        let name = channel.name;
        let url = format!("https://{name}.example.com/x");
        variables.push((format!("{name}_url"), url));
        let severity = channel.severity_min.as_str().to_owned();
        variables.push((format!("{name}_severity"), severity));
        if name == "pagerduty" {
            variables.push((format!("{name}_routing_key"), "0".repeat(32)));
        }
    }
    AlertSettings::read(&|key| {
        let found = variables.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.clone())
    })
}

/// A run of the alert component.
pub fn alert(process: &Process<'_>, settings: &AlertSettings, called: Called, number: u64) {
    // What fails here is found by the next run.
    let _ = alerting::run(process, settings, called, number);
}

/// Sweeps come so often when there is something to do, and so often when not.
pub const SWEEP_BUSY: u64 = 10 * SECOND;
pub const SWEEP_IDLE: u64 = 150 * SECOND;
/// So often a check's trigger fires while something is up, and at least so often when not:
/// what would rest is left out.
pub const FIRING: u64 = 20 * SECOND;
pub const FIRING_IDLE: u64 = 5 * MINUTE;
