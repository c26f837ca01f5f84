//! What the law tests share: a policy as the shipped stanzas have it, and a driver.
#![allow(dead_code)]

use std::time::Duration;

use watchbell_core::diagnosis::Role;
use watchbell_core::monitor::{Definition, Event, Monitor, Policy, step};
use watchbell_core::outcome::{Identity, Kind, Outcome};
use watchbell_core::settings::{Pace, Severity, Threshold};
use watchbell_core::time::UnixMs;

/// 60 s, retried after 20 s, fired every 20 s, two failures, one success.
pub fn policy() -> Policy {
    Policy {
        pace: Pace {
            interval: Duration::from_secs(60),
            retry_interval: Duration::from_secs(20),
            firing_interval: Duration::from_secs(20),
        },
        failure_threshold: 2,
        success_threshold: 1,
        thresholds: [30, 14, 7, 3, 1].map(Threshold::Days).to_vec(),
        flapping: false,
    }
}

pub fn definition() -> Definition {
    Definition {
        check: "health".into(),
        label: "Headscale API".into(),
        service: "headscale".into(),
        severity: Severity::Critical,
        role: Role::Health,
        probe: "http".into(),
        target: "https://hs.example.com/health".into(),
        runbook: "check the service's status and logs".into(),
        runbook_url: "https://example.com/runbook".into(),
        interval_ms: 60_000,
    }
}

/// A moment long enough after the epoch that a clock may go back.
pub const START: UnixMs = UnixMs(1_795_000_000_000);

pub fn at(seconds: u64) -> UnixMs {
    UnixMs(START.0 + seconds * 1000)
}

pub fn fresh() -> Monitor {
    Monitor::new(definition(), START)
}

pub fn identity(value: &str) -> Identity {
    Identity {
        pointer: "/publicKey".into(),
        value: value.into(),
    }
}

pub fn up() -> Outcome {
    Outcome::up("status 200")
}

pub fn down() -> Outcome {
    Outcome::failed(Kind::Status, "status 500, want 200")
}

/// Applies `(second, outcome)` in turn.
pub fn drive(policy: &Policy, mut monitor: Monitor, runs: &[(u64, Outcome)]) -> Monitor {
    for (second, outcome) in runs {
        monitor = step(monitor, policy, outcome, at(*second));
    }
    monitor
}

/// The events pending, as words.
pub fn told(monitor: &Monitor) -> Vec<&'static str> {
    monitor.pending.iter().map(|t| word(&t.event)).collect()
}

pub fn word(event: &Event) -> &'static str {
    match event {
        Event::Triggered { .. } => "triggered",
        Event::Resolved { .. } => "resolved",
        Event::CertificateExpiring { .. } => "expiring",
        Event::CertificateRenewed { .. } => "renewed",
        Event::Flapping { .. } => "flapping",
        Event::Settled { .. } => "settled",
    }
}
