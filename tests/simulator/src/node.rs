//! The runs of a story: a check's firing, the alert component's ring and sweep.

use std::time::Duration;

use watchbell_core::alerting::{self, Called};
use watchbell_core::counting::{count, load, rests, suspected};
use watchbell_core::monitor::{Definition, Monitor, Policy};
use watchbell_core::settings::{AlertSettings, Mistake, Pace, Severity, Threshold};
use watchbell_core::store::{Failed, Store, monitor_key, read};

use crate::plan::{Check, SECOND};
use crate::world::Process;

/// What a firing did.
pub struct Fired {
    /// It probed, and what it found is counted.
    pub counted: Option<bool>,
    pub rings: bool,
}

pub fn pace(check: &Check) -> Pace {
    Pace {
        interval: Duration::from_millis(check.interval_ms),
        retry_interval: Duration::from_secs(20),
        firing_interval: Duration::from_secs(20),
    }
}

/// A cron firing, as the guest's shell does it.
pub fn fire(process: &Process<'_>, check: &Check, cut_off: bool) -> Result<Fired, Failed> {
    let now = process.now();
    let pace = pace(check);
    let nothing = Fired {
        counted: None,
        rings: false,
    };
    let found = read::<Monitor>(process, &monitor_key(&check.id))?;
    if rests(process, &found, &pace, now) {
        return Ok(nothing);
    }
    let definition = Definition {
        check: check.id.clone(),
        label: check.id.clone(),
        service: check.service.clone(),
        severity: Severity::Critical,
        role: check.role,
        probe: "http".into(),
        target: check.id.clone(),
        runbook: String::new(),
        runbook_url: String::new(),
        interval_ms: check.interval_ms,
    };
    let monitor = load(found, &definition, now);
    let awaited = monitor.awaited(suspected(process), &pace, now);
    if !awaited && !monitor.due(&pace, now) {
        return Ok(nothing);
    }
    let policy = Policy {
        pace,
        failure_threshold: check.failure_threshold,
        success_threshold: check.success_threshold,
        thresholds: [30, 14, 7, 3, 1].map(Threshold::Days).to_vec(),
        flapping: true,
    };
    let outcome = check.outcome(now.0, cut_off);
    let rings = count(process, monitor, &policy, &outcome, awaited, now)?;
    Ok(Fired {
        counted: Some(outcome.status == watchbell_core::outcome::Status::Failed),
        rings,
    })
}

pub fn settings() -> Result<AlertSettings, Vec<Mistake>> {
    AlertSettings::read(&|key| {
        (key == "webhook_url").then(|| "https://hooks.example.com/x".to_owned())
    })
}

/// A run of the alert component.
pub fn alert(
    process: &Process<'_>,
    settings: &Result<AlertSettings, Vec<Mistake>>,
    called: Called,
    number: u64,
) {
    // What fails here is found by the next run.
    let _ = alerting::run(process, settings, called, number);
}

/// Sweeps come so often when there is something to do, and so often when not.
pub const SWEEP_BUSY: u64 = 10 * SECOND;
pub const SWEEP_IDLE: u64 = 150 * SECOND;
