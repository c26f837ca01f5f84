//! One run of a check: read, decide whether it is due, probe, count, save, ring.

use serde_json::{Value, json};
use watchbell_core::counting::{Probed, begin, count, load, rests, suspected};
use watchbell_core::diagnosis::Role;
use watchbell_core::measured::Measured;
use watchbell_core::monitor::{Definition, Last, Memory, Monitor, Policy};
use watchbell_core::outcome::{Kind, Outcome};
use watchbell_core::settings::{Common, Mistake, Pace, Reader, Threshold};
use watchbell_core::store::{self, Found, monitor_key};
use watchbell_core::time::UnixMs;

use crate::store::Records;
use crate::{Deadline, Failed, clock, log, ring, variables};

/// What a kind of check brings; the rest is the same for all.
pub trait Check {
    type Settings;
    /// `http`, `tcp`, `certificate`: how the check is named in records.
    const KIND: &'static str;
    /// What such a check shows where its stanza does not say.
    const ROLE: Role;

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

/// Who wants an outcome, and which.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A firing: not due costs two reads (its record, and whether it is waited for) and
    /// nothing else.
    WhenDue,
    /// A caller who waits for the answer: where none is due, the last one.
    Last,
    /// One that is made now, due or not, and counts nothing: `watchbell check` tries.
    Trial,
}

/// The outcome as JSON, unless nothing was due and nothing wanted, or the first run is still
/// under way.
pub fn run<C: Check>(wanted: Wanted) -> Result<Option<Value>, Failed> {
    let records = Records::open()?;
    let now = clock::now();
    let check = variables::get("check").unwrap_or_default();
    let check = check.trim();
    if check.is_empty() {
        return Err("reading variable \"check\": got nothing, want the component's id".into());
    }
    let found = store::read(&records, &monitor_key(check))?;
    if wanted == Wanted::WhenDue && resting(&records, &found, now) {
        return Ok(None);
    }

    let settings = settings::<C>();
    let (common, target, thresholds) = match &settings {
        Ok(s) => (
            C::common(s).clone(),
            C::target(s),
            C::thresholds(s).to_vec(),
        ),
        // Enough to count and to alert: a check that cannot run must not be silent.
        Err(_) => {
            let (common, _) = variables::read(|get| Common::read(&mut Reader::new(get)));
            (common, String::new(), Vec::new())
        }
    };
    let policy = Policy::new(&common, &thresholds);
    let definition = define::<C>(&common, target);
    let monitor = load(found, &definition, now);
    let since = suspected(&records);
    let awaited = monitor.awaited(since, &policy.pace, now);
    let due = awaited || monitor.due(&policy.pace, now);
    let probes = match wanted {
        Wanted::WhenDue => due,
        Wanted::Last => due && begin(&records, &monitor, common.timeout, now)?,
        Wanted::Trial => true,
    };
    if !probes {
        let last = monitor.last.filter(|_| wanted == Wanted::Last);
        let Measured { duration_ms, .. } = monitor.measured;
        let facts = monitor.measured.facts();
        return Ok(last.map(|last| told(check, &last, duration_ms, facts, false)));
    }

    let deadline = Deadline::after(common.timeout);
    let report = match (&settings, &common.not_offered) {
        (Ok(_), Some(why)) => Report {
            outcome: Outcome::not_offered(why),
            facts: json!({}),
        },
        (Ok(settings), None) => C::probe(settings, &monitor.memory, deadline),
        (Err(mistakes), _) => misconfigured(mistakes),
    };
    let duration_ms = clock::now().since(now).as_millis();
    let duration_ms = u64::try_from(duration_ms).unwrap_or(u64::MAX);
    let Report { outcome, facts } = report;
    let facts = with_status(facts, &outcome);
    let last = Last::new(&outcome, now);
    if wanted != Wanted::Trial {
        let measured = Measured::new(duration_ms, &facts);
        let probed = Probed { outcome, measured };
        let rings = count(&records, monitor, &policy, &probed, awaited, now)?;
        // Or somebody began to wait for this outcome while it was made.
        if rings || suspected(&records) != since {
            ring::ring();
        }
    }
    Ok(Some(told(check, &last, duration_ms, facts, true)))
}

/// An outcome as it is answered; `ran` when it is this run's. Of an earlier one's facts those
/// that are kept.
fn told(check: &str, last: &Last, duration_ms: u64, facts: Value, ran: bool) -> Value {
    json!({
        "check": check,
        "status": last.status.as_str(),
        "kind": last.kind.map(Kind::as_str),
        "reason": last.reason,
        "detail": last.detail,
        "duration_ms": duration_ms,
        "facts": facts,
        "at": last.at.rfc3339(),
        "ran": ran,
    })
}

/// With the status of an answer where another was wanted, whatever the kind of check.
fn with_status(mut facts: Value, outcome: &Outcome) -> Value {
    if let (Some(status), Some(map)) = (outcome.http_status, facts.as_object_mut()) {
        map.insert("http_status".to_owned(), status.into());
    }
    facts
}

/// The stanza's settings, or every mistake in them; a provider that fails is one too.
fn settings<C: Check>() -> Result<C::Settings, Vec<Mistake>> {
    let (settings, failed) = variables::read(|get| C::read(get));
    match failed {
        Some(mistake) => Err(vec![mistake]),
        None => settings,
    }
}

/// Whether nothing is due yet. Of the variables only those are read that say so: most
/// firings end here.
fn resting(records: &Records, found: &Found<Monitor>, now: UnixMs) -> bool {
    let (pace, failed) = variables::read(|get| Pace::read(&mut Reader::new(get)));
    failed.is_none() && rests(records, found, &pace, now)
}

fn define<C: Check>(common: &Common, target: String) -> Definition {
    Definition {
        check: common.check.clone(),
        label: common.label.clone(),
        service: common.service.clone(),
        severity: common.severity,
        role: common.role.unwrap_or(C::ROLE),
        probe: C::KIND.to_owned(),
        target,
        runbook: common.runbook.clone(),
        runbook_url: common.runbook_url.clone(),
        interval_ms: u64::try_from(common.pace.interval.as_millis()).unwrap_or(u64::MAX),
    }
}

/// What the log says of a value, an alert does not: the guest cannot know which of its
/// variables are secret.
fn misconfigured(mistakes: &[Mistake]) -> Report {
    for mistake in mistakes {
        log::line(&mistake.to_string());
    }
    let mut detail = String::new();
    if let Some(Mistake { key, want, .. }) = mistakes.first() {
        detail = format!("reading variable {key:?}: want {want}; see the log");
    }
    if mistakes.len() > 1 {
        detail = format!("{detail} (and for {} more)", mistakes.len() - 1);
    }
    Report {
        outcome: Outcome::failed(Kind::Internal, detail).reason("configuration"),
        facts: json!({}),
    }
}
