//! One run of a check: read, decide whether it is due, probe, count, save, ring.

use serde_json::{Value, json};
use watchbell_core::ledger::TakenOver;
use watchbell_core::monitor::{Definition, Memory, Monitor, Policy, step};
use watchbell_core::outcome::{Kind, Outcome, Status};
use watchbell_core::settings::{Common, Mistake, Reader, Threshold};

use crate::store::{Records, ledger_key, monitor_key};
use crate::{Deadline, Failed, clock, log, ring, variables};

/// What a kind of check brings; the rest is the same for all.
pub trait Check {
    type Settings;
    /// `http`, `tcp`, `certificate`: how the check is named in records.
    const KIND: &'static str;

    /// Reads the stanza's variables.
    fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Self::Settings, Vec<Mistake>>;
    fn common(settings: &Self::Settings) -> &Common;
    /// What is checked, as alerts show it; never a secret.
    fn target(settings: &Self::Settings) -> String;
    /// The expiry thresholds, for checks that see certificates.
    fn thresholds(_settings: &Self::Settings) -> &[Threshold] {
        &[]
    }
    /// Executes the check once. Must return by the deadline.
    fn probe(settings: &Self::Settings, memory: &Memory, deadline: Deadline) -> Report;
}

/// What a probe found.
pub struct Report {
    pub outcome: Outcome,
    /// A JSON object; what it holds depends on the kind.
    pub facts: Value,
}

/// Whether an outcome is wanted even when none is due.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A firing: not due costs one read and nothing else.
    WhenDue,
    /// A caller who waits for the answer. Counted only when due.
    Now,
}

/// The outcome as JSON, unless nothing was due and nothing wanted.
pub fn run<C: Check>(wanted: Wanted) -> Result<Option<Value>, Failed> {
    let settings = variables::reading(|get| C::read(get))?;
    let (common, target, thresholds) = match &settings {
        Ok(s) => (
            C::common(s).clone(),
            C::target(s),
            C::thresholds(s).to_vec(),
        ),
        // Enough to count and to alert: a check that cannot run must not be silent.
        Err(_) => (
            variables::reading(|get| Common::read(&mut Reader::new(get)))?,
            String::new(),
            Vec::new(),
        ),
    };
    if common.check.is_empty() {
        return Err("reading variable \"check\": got nothing, want the component's id".into());
    }
    let policy = Policy::new(&common, &thresholds);
    let definition = define::<C>(&common, target);
    let records = Records::open()?;
    let key = monitor_key(&common.check);
    let now = clock::now();
    let known: Option<Monitor> = records.read(&key)?;
    let fresh = known.is_none();
    let mut monitor = known.unwrap_or_else(|| Monitor::new(definition.clone(), now));
    monitor.redefine(definition);
    if wanted == Wanted::WhenDue && !monitor.due(&policy, now) {
        return Ok(None);
    }

    let deadline = Deadline::after(common.timeout);
    let report = match &settings {
        Ok(settings) => C::probe(settings, &monitor.memory, deadline),
        Err(mistakes) => misconfigured(mistakes),
    };
    let duration_ms = clock::now().since(now).as_millis();

    let mut told = None;
    if fresh || !monitor.quiet() || report.outcome.status != Status::Up {
        let ledger: Option<TakenOver> = records.read(&ledger_key(&common.service))?;
        told = ledger.and_then(|mut l| l.monitors.remove(&common.check));
        monitor.confirm(told.as_ref(), now);
    }
    let monitor = step(monitor, &policy, &report.outcome, now);
    records.write(&key, &monitor)?;
    if monitor.untold(told.as_ref()) {
        ring::ring();
    }
    Ok(Some(json!({
        "check": common.check,
        "status": report.outcome.status.as_str(),
        "kind": report.outcome.kind.map(Kind::as_str),
        "reason": report.outcome.reason,
        "detail": report.outcome.detail,
        "duration_ms": u64::try_from(duration_ms).unwrap_or(u64::MAX),
        "facts": report.facts,
    })))
}

fn define<C: Check>(common: &Common, target: String) -> Definition {
    Definition {
        check: common.check.clone(),
        label: common.label.clone(),
        service: common.service.clone(),
        severity: common.severity,
        probe: C::KIND.to_owned(),
        target,
        runbook: common.runbook.clone(),
        runbook_url: common.runbook_url.clone(),
        interval_ms: u64::try_from(common.interval.as_millis()).unwrap_or(u64::MAX),
    }
}

fn misconfigured(mistakes: &[Mistake]) -> Report {
    for mistake in mistakes {
        log::line(&mistake.to_string());
    }
    let first = mistakes
        .first()
        .map(ToString::to_string)
        .unwrap_or_default();
    let detail = match mistakes.len() {
        0 | 1 => first,
        n => format!("{first} (and {} more; see the log)", n - 1),
    };
    Report {
        outcome: Outcome::failed(Kind::Internal, detail).reason("configuration"),
        facts: json!({}),
    }
}
