//! Why a check is in its state, and what would change it.

use std::time::Duration;

use watchbell_core::monitor::{Health, Monitor};
use watchbell_core::notice::said;
use watchbell_core::outcome::{Kind, Status};
use watchbell_core::time::{UnixMs, for_people};

use crate::view::{Sight, State, state};

/// Sentences without a full stop, the most important first.
pub fn explain(monitor: &Monitor, now: UnixMs, sight: Sight) -> Vec<String> {
    let mut lines = vec![why(monitor, now)];
    lines.extend(found(monitor, sight));
    lines.extend(what_would_change_it(monitor, now));
    if monitor.flaps.now {
        lines.push(
            "it flaps: it has turned too often within its last 20 probes, and is told again once it has settled"
                .to_owned(),
        );
    }
    lines
}

fn why(monitor: &Monitor, now: UnixMs) -> String {
    let lasts = |since: UnixMs| {
        let lasts = for_people(now.since(since));
        format!("for {lasts}, since {}", since.rfc3339())
    };
    let interval = for_people(Duration::from_millis(monitor.definition.interval_ms));
    let Some(last) = &monitor.last else {
        return "it is unknown: it has not been probed yet".to_owned();
    };
    match state(monitor, now) {
        State::Unknown => format!(
            "it is unknown: it last ran {} ago, and should every {interval}",
            for_people(now.since(last.at))
        ),
        State::Up if last.off => "it is switched off: nothing is asked".to_owned(),
        State::Up => format!("it is up {}", lasts(monitor.since)),
        State::Degraded => format!("it is degraded {}", lasts(monitor.since)),
        State::Down => {
            let since = monitor.failing_since.unwrap_or(monitor.since);
            format!("it is down {}", lasts(since))
        }
        State::Pending => format!(
            "it fails since {}, and that is not confirmed yet: {} of {} failures",
            monitor.failing_since.unwrap_or(last.at).rfc3339(),
            monitor.consecutive_failures,
            monitor.plan.failure_threshold,
        ),
    }
}

/// What the last probe found, for who may know.
fn found(monitor: &Monitor, sight: Sight) -> Option<String> {
    let last = monitor.last.as_ref().filter(|_| sight == Sight::Full)?;
    let verdict = match last.status {
        Status::Up => "found it up",
        Status::Degraded => "found it degraded",
        Status::Failed => "failed",
    };
    let kind = last.kind.map(Kind::as_str);
    let said = said(kind, last.reason.as_deref(), &last.detail);
    let mut line = format!("the last probe, at {}, {verdict}", last.at.rfc3339());
    if !said.is_empty() {
        line.push_str(": ");
        line.push_str(&said);
    }
    Some(line)
}

fn what_would_change_it(monitor: &Monitor, now: UnixMs) -> Option<String> {
    let last = monitor.last.as_ref().filter(|last| !last.off)?;
    let plan = &monitor.plan;
    let next = |wait_ms: u64| {
        let at = UnixMs(last.at.0.saturating_add(wait_ms));
        match at <= now {
            true => "at the next firing".to_owned(),
            false => format!("at {}", at.rfc3339()),
        }
    };
    let failed = last.status == Status::Failed;
    let left = |threshold: u32, count: u32| threshold.saturating_sub(count).max(1);
    Some(match (monitor.health, failed) {
        (Health::Down, true) => format!(
            "{} to be up again; the next probe is due {}",
            successes(plan.success_threshold.max(1)),
            next(monitor.definition.interval_ms),
        ),
        (Health::Down, false) => format!(
            "{} of {} successes; {} to be up again, the next probe is due {}",
            monitor.consecutive_successes,
            plan.success_threshold,
            successes(left(plan.success_threshold, monitor.consecutive_successes)),
            next(plan.retry_interval_ms),
        ),
        (_, true) => match left(plan.failure_threshold, monitor.consecutive_failures) {
            1 => format!(
                "{} of {} failures; the next alerts, and is due {}",
                monitor.consecutive_failures,
                plan.failure_threshold,
                next(plan.retry_interval_ms),
            ),
            more => format!(
                "{} of {} failures; {more} more alert, the next is due {}",
                monitor.consecutive_failures,
                plan.failure_threshold,
                next(plan.retry_interval_ms),
            ),
        },
        (_, false) => {
            let failures = match plan.failure_threshold.max(1) {
                1 => "1 failure alerts".to_owned(),
                many => format!("{many} failures in a row alert"),
            };
            format!(
                "{failures}; the next probe is due {}",
                next(monitor.definition.interval_ms)
            )
        }
    })
}

fn successes(count: u32) -> String {
    match count {
        1 => "it needs 1 success".to_owned(),
        many => format!("it needs {many} successes in a row"),
    }
}
