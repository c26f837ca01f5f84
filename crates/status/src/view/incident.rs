//! Incidents, open and over.

use watchbell_core::diagnosis;
use watchbell_core::incident;
use watchbell_core::notice;
use watchbell_core::outcome::{Kind, one_line};
use watchbell_core::past::{Over, Part};
use watchbell_core::time::for_people;

use super::{Affected, Incident, LABEL_CHARS_MAX, Sight, Time};
use crate::records::Records;

/// What is open, the longest first.
pub fn incidents(records: &Records, sight: Sight) -> Vec<Incident> {
    let mut open: Vec<Incident> = { records.ledger.open() }
        .map(|i| incident(i, records, sight))
        .collect();
    open.sort_by_key(|i| i.failing_since);
    open
}

/// The one with that id, open or over.
pub fn one(records: &Records, id: &str, sight: Sight) -> Option<Incident> {
    let open = records.ledger.incident(id);
    let open = open.map(|i| incident(i, records, sight));
    let past = || records.past.incidents.iter().find(|i| i.id == id);
    open.or_else(|| past().map(|i| over(i, sight)))
}

/// One that is open.
fn incident(i: &incident::Incident, records: &Records, sight: Sight) -> Incident {
    let full = sight == Sight::Full;
    let by = records.operator.acknowledgements.get(&i.id);
    let told = i.said.as_ref().is_some_and(|s| s.acknowledged);
    let held = records.operator.hold(&i.service, records.now).map(|h| h.by);
    let held = held.or(i.held.as_ref().map(|h| h.by));
    let cause = i.cause.as_deref().and_then(diagnosis::cause);
    let (action, runbook_url) = i.runbook();
    let flaps = i.checks.values().any(|a| a.flapping);
    let state = if flaps { "is flapping" } else { "is down" };
    let lasts = records.now.since(i.failing_since);
    let summary = match full {
        true => format!("{} {state}: {}", i.service, i.because()),
        false => format!("{} {state}", i.service),
    };
    Incident {
        incident: i.id.clone(),
        service: i.service.clone(),
        severity: i.peak.as_str().to_owned(),
        summary,
        opened_at: i.opened_at.into(),
        failing_since: i.failing_since.into(),
        resolved_at: None,
        duration_s: lasts.as_secs(),
        checks: { i.checks.iter() }
            .map(|(id, a)| Affected {
                check: id.clone(),
                label: one_line(&a.definition.label, LABEL_CHARS_MAX),
                failing_since: a.failing_since.into(),
                recovered_at: a.recovered_at.map(Time),
                kind: a.kind.filter(|_| full).map(|k| k.as_str().to_owned()),
                reason: a.reason.clone().filter(|_| full),
                detail: full.then(|| a.detail.clone()),
            })
            .collect(),
        acknowledged: told || by.is_some(),
        acknowledged_by: by.map(|a| a.by.clone()).filter(|_| full),
        cause: i.cause.clone().filter(|_| full),
        cause_text: cause.map(|c| c.sentence.to_owned()).filter(|_| full),
        evidence: full.then(|| i.checks.values().map(notice::line).collect()),
        action: full.then_some(action),
        runbook_url: full.then_some(runbook_url),
        held_by: held.map(|h| h.as_str().to_owned()).filter(|_| full),
    }
}

/// What is over, the newest first.
pub fn past(records: &Records, sight: Sight) -> Vec<Incident> {
    let newest = records.past.incidents.iter().rev();
    newest.map(|i| over(i, sight)).collect()
}

fn over(i: &Over, sight: Sight) -> Incident {
    let full = sight == Sight::Full;
    let cause = i.cause.as_deref().and_then(diagnosis::cause);
    let lasted = i.resolved_at.since(i.failing_since);
    let because = match cause {
        Some(cause) => cause.sentence.to_owned(),
        None => {
            let labels: Vec<&str> = i.checks.values().map(|p| p.label.as_str()).collect();
            match &labels[..] {
                [one] => format!("{one} failed"),
                many => format!("{} failed", many.join(", ")),
            }
        }
    };
    let summary = match full {
        true => format!(
            "{} was down for {} ({because})",
            i.service,
            for_people(lasted)
        ),
        false => format!("{} was down for {}", i.service, for_people(lasted)),
    };
    let evidence = |p: &Part| {
        format!(
            "{}: {}",
            p.label,
            notice::said(p.kind.map(Kind::as_str), None, &p.detail)
        )
    };
    Incident {
        incident: i.id.clone(),
        service: i.service.clone(),
        severity: i.severity.as_str().to_owned(),
        summary,
        opened_at: i.opened_at.into(),
        failing_since: i.failing_since.into(),
        resolved_at: Some(i.resolved_at.into()),
        duration_s: lasted.as_secs(),
        checks: { i.checks.iter() }
            .map(|(id, p)| Affected {
                check: id.clone(),
                label: one_line(&p.label, LABEL_CHARS_MAX),
                failing_since: p.failing_since.into(),
                recovered_at: p.recovered_at.map(Time),
                kind: p.kind.filter(|_| full).map(|k| k.as_str().to_owned()),
                reason: p.reason.clone().filter(|_| full),
                detail: full.then(|| p.detail.clone()),
            })
            .collect(),
        acknowledged: false,
        acknowledged_by: None,
        cause: i.cause.clone().filter(|_| full),
        cause_text: cause.map(|c| c.sentence.to_owned()).filter(|_| full),
        evidence: full.then(|| i.checks.values().map(evidence).collect()),
        action: cause.map(|c| c.action.to_owned()).filter(|_| full),
        runbook_url: None,
        held_by: i.held.map(|h| h.as_str().to_owned()).filter(|_| full),
    }
}
