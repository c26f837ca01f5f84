//! One message to people: what it says, whatever channel carries it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::diagnosis;
use crate::incident::{Affected, Incident, Telling};
use crate::monitor::{Event, Transition};
use crate::operator::{Acknowledgement, Hold};
use crate::outcome::Kind;
use crate::settings::Severity;
use crate::time::{UnixMs, for_people};

/// Self-contained: what is sent later is told as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Constant over retries and channels.
    pub id: String,
    /// When what it tells happened.
    pub at: UnixMs,
    pub service: String,
    pub severity: Severity,
    /// What filters go by: who was told of an incident is told of its end.
    pub peak: Severity,
    /// Asked for by an operator, to see whether it arrives.
    pub test: bool,
    pub about: About,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    Incident {
        telling: Telling,
        incident: Incident,
        acknowledgement: Option<Acknowledgement>,
    },
    /// A certificate came inside a threshold, or has been replaced since.
    Certificate(Transition),
    /// What happened while alerts were held back, and is over.
    Summary {
        hold: Hold,
        incidents: Vec<Incident>,
        /// Others before them, which were too many to keep.
        #[serde(default)]
        more: u32,
    },
    /// Watchbell itself has something to say.
    Started { checks: usize },
}

/// What a receiver does with it: some keep a state per incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Trigger,
    Acknowledge,
    Resolve,
    /// For information.
    Note,
}

impl Notice {
    /// The webhook's `type`.
    pub fn type_name(&self) -> &'static str {
        match &self.about {
            About::Incident { telling, .. } => match telling {
                Telling::Triggered => "alert.triggered",
                Telling::Updated => "alert.updated",
                Telling::Reminder => "alert.reminder",
                Telling::Acknowledged => "alert.acknowledged",
                Telling::Resolved => "alert.resolved",
            },
            About::Certificate(t) => match t.event {
                Event::CertificateRenewed { .. } => "certificate.renewed",
                _ => "certificate.expiring",
            },
            About::Summary { .. } => "alert.summary",
            About::Started { .. } => "watchbell.started",
        }
    }

    pub fn action(&self) -> Action {
        match &self.about {
            About::Incident { telling, .. } => match telling {
                Telling::Triggered | Telling::Updated | Telling::Reminder => Action::Trigger,
                Telling::Acknowledged => Action::Acknowledge,
                Telling::Resolved => Action::Resolve,
            },
            About::Certificate(t) if matches!(t.event, Event::CertificateRenewed { .. }) => {
                Action::Resolve
            }
            About::Certificate(_) | About::Summary { .. } | About::Started { .. } => Action::Note,
        }
    }

    /// The first that is said of an incident.
    pub fn begins(&self) -> bool {
        let About::Incident { telling, .. } = &self.about else {
            return false;
        };
        *telling == Telling::Triggered
    }

    /// What receivers put together: the incident, or the certificate at that check (another
    /// check may still see it).
    pub fn dedup_key(&self) -> Cow<'_, str> {
        match &self.about {
            About::Incident { incident, .. } => Cow::Borrowed(&incident.id),
            About::Certificate(transition) => match &transition.event {
                Event::CertificateExpiring { sha256, .. }
                | Event::CertificateRenewed { sha256, .. } => {
                    Cow::Owned(format!("{sha256}@{}", transition.definition.check))
                }
                _ => Cow::Borrowed(&self.id),
            },
            About::Summary { .. } | About::Started { .. } => Cow::Borrowed(&self.id),
        }
    }

    /// One line without a full stop: `headscale is down: connections are refused …`.
    pub fn title(&self) -> String {
        let title = match &self.about {
            About::Incident {
                telling, incident, ..
            } => incident_title(*telling, incident, self.at),
            About::Certificate(transition) => {
                let detail = match &transition.event {
                    Event::CertificateExpiring { detail, .. }
                    | Event::CertificateRenewed { detail, .. } => detail.as_str(),
                    _ => "",
                };
                format!("{}: the certificate {detail}", transition.definition.label)
            }
            About::Summary {
                hold,
                incidents,
                more,
            } => {
                let count = incidents.len() + *more as usize;
                let incidents = if count == 1 { "incident" } else { "incidents" };
                format!(
                    "{}: {count} {incidents} during {}, over by now",
                    self.service,
                    match hold {
                        Hold::Silence => "a silence",
                        Hold::Maintenance => "maintenance",
                        Hold::Uplink => "a fault of this node's network",
                    }
                )
            }
            About::Started { checks } => format!("Watchbell has started, with {checks} checks"),
        };
        if self.test {
            format!("[test] {title}")
        } else {
            title
        }
    }

    /// What it rests on, a line each.
    pub fn evidence(&self) -> Vec<String> {
        match &self.about {
            About::Incident { incident, .. } => incident.checks.values().map(line).collect(),
            About::Certificate(transition) => {
                vec![format!("target {}", transition.definition.target)]
            }
            About::Summary {
                incidents, more, ..
            } => {
                let mut lines: Vec<String> = incidents.iter().map(span).collect();
                if *more > 0 {
                    lines.push(format!("and {more} before them"));
                }
                lines
            }
            About::Started { .. } => Vec::new(),
        }
    }

    /// What to do, and where to read more; empty where there is nothing to do.
    pub fn runbook(&self) -> (String, String) {
        let of = |a: &crate::monitor::Definition| (a.runbook.clone(), a.runbook_url.clone());
        match &self.about {
            About::Incident { incident, .. } => incident.runbook(),
            About::Certificate(transition) => of(&transition.definition),
            About::Summary { .. } | About::Started { .. } => (String::new(), String::new()),
        }
    }

    /// One line for logs and terminals.
    pub fn summary(&self) -> String {
        let mut text = self.title();
        for line in self.evidence() {
            text.push_str("; ");
            text.push_str(&line);
        }
        let (action, _) = self.runbook();
        if self.action() == Action::Trigger && !action.is_empty() {
            text.push_str("; ");
            text.push_str(&action);
        }
        text
    }

    /// The body of the webhook, version 1 (docs/webhook.md).
    pub fn payload(&self) -> Value {
        let (action, runbook_url) = self.runbook();
        let mut data = json!({
            "version": 1,
            "service": self.service,
            "severity": self.severity.as_str(),
            "summary": self.title(),
            "failing_since": null,
            "duration_s": null,
            "action": action,
            "runbook_url": runbook_url,
            "checks": [],
            "test": self.test,
        });
        match &self.about {
            About::Incident {
                incident,
                acknowledgement,
                ..
            } => {
                let cause = incident.cause.as_deref().and_then(diagnosis::cause);
                data["incident"] = incident.id.as_str().into();
                data["cause"] = incident.cause.as_deref().into();
                data["cause_text"] = cause.map(|c| c.sentence).into();
                data["evidence"] = self.evidence().into();
                data["opened_at"] = incident.opened_at.rfc3339().into();
                data["resolved_at"] = incident.resolved_at.map(UnixMs::rfc3339).into();
                data["failing_since"] = incident.failing_since.rfc3339().into();
                // Of the two times as they are shown, in whole seconds.
                let duration_s = self.at.unix_s() - incident.failing_since.unix_s();
                data["duration_s"] = duration_s.max(0).into();
                data["checks"] = incident.checks.values().map(affected).collect();
                if let Some(a) = acknowledgement {
                    data["acknowledged"] =
                        json!({ "at": a.at.rfc3339(), "by": a.by, "comment": a.comment });
                }
            }
            About::Certificate(transition) => certificate(transition, &mut data),
            About::Summary {
                hold,
                incidents,
                more,
            } => {
                data["held_by"] = hold.as_str().into();
                data["incidents_more"] = (*more).into();
                data["evidence"] = self.evidence().into();
                data["incidents"] = incidents
                    .iter()
                    .map(|i| {
                        json!({
                            "incident": i.id,
                            "cause": i.cause,
                            "failing_since": i.failing_since.rfc3339(),
                            "resolved_at": i.resolved_at.map(UnixMs::rfc3339),
                            "checks": i.checks.values().map(affected).collect::<Vec<_>>(),
                        })
                    })
                    .collect();
            }
            About::Started { .. } => {}
        }
        json!({ "type": self.type_name(), "timestamp": self.at.rfc3339(), "data": data })
    }
}

impl Incident {
    /// The cause in words, or what fails where no rule fits.
    pub fn because(&self) -> String {
        if let Some(cause) = self.cause.as_deref().and_then(diagnosis::cause) {
            return cause.sentence.to_owned();
        }
        let failing = self.checks.values().filter(|a| a.recovered_at.is_none());
        let mut labels: Vec<&str> = failing.map(|a| a.definition.label.as_str()).collect();
        if labels.is_empty() {
            labels = self
                .checks
                .values()
                .map(|a| a.definition.label.as_str())
                .collect();
        }
        match &labels[..] {
            [one] => format!("{one} fails"),
            many => format!("{} fail", many.join(", ")),
        }
    }

    /// A check that fails alone knows best what is to be done; of several together the cause
    /// says it, and without one the gravest of them.
    pub fn runbook(&self) -> (String, String) {
        let gravest = self
            .checks
            .values()
            .max_by_key(|a| (a.recovered_at.is_none(), a.definition.severity))
            .map(|a| &a.definition);
        let url = gravest.map_or("", |d| &d.runbook_url).to_owned();
        let own = gravest.map_or("", |d| &d.runbook);
        let cause = self.cause.as_deref().and_then(diagnosis::cause);
        let action = match cause {
            Some(cause) if self.checks.len() > 1 || own.is_empty() => cause.action,
            _ => own,
        };
        (action.to_owned(), url)
    }

    fn lasted(&self, at: UnixMs) -> String {
        for_people(at.since(self.failing_since))
    }
}

fn incident_title(telling: Telling, incident: &Incident, at: UnixMs) -> String {
    let Incident { service, .. } = incident;
    let because = incident.because();
    let flaps = incident.checks.values().any(|a| a.flapping);
    let state = if flaps { "is flapping" } else { "is down" };
    match telling {
        Telling::Triggered => format!("{service} {state}: {because}"),
        Telling::Updated => format!("{service} {state}, and it has changed: {because}"),
        Telling::Reminder => {
            let lasted = incident.lasted(at);
            format!("{service} {state} for {lasted}: {because}")
        }
        Telling::Acknowledged => {
            format!("{service} {state}, and somebody looks after it: {because}")
        }
        Telling::Resolved => {
            let lasted = incident.lasted(at);
            format!("{service} is up again after {lasted} ({because})")
        }
    }
}

/// `Headscale API (https://hs.example.com/health): status 500, want 200`.
pub fn line(a: &Affected) -> String {
    let state = match (a.flapping, a.recovered_at) {
        (true, _) => " flaps",
        (_, Some(_)) => " has recovered; it was",
        (_, None) => "",
    };
    let detail = said(a.kind.map(Kind::as_str), None, &a.detail);
    format!(
        "{} ({}){state}: {detail}",
        a.definition.label, a.definition.target
    )
}

/// Kind (and reason) of a failure and its detail as one, without saying a thing twice: the
/// detail `status 502, want 200` tells its kind. `connect-refused: 192.0.2.1:443`.
pub fn said(kind: Option<&str>, reason: Option<&str>, detail: &str) -> String {
    let before = [kind, reason].into_iter().flatten();
    let before = before.filter(|t| !detail.starts_with(t));
    let parts = before.chain([detail]).filter(|t| !t.is_empty());
    parts.collect::<Vec<_>>().join(": ")
}

fn span(incident: &Incident) -> String {
    let end = incident.resolved_at.unwrap_or(incident.failing_since);
    format!(
        "{} from {}, for {}: {}",
        incident.service,
        incident.failing_since.rfc3339(),
        for_people(end.since(incident.failing_since)),
        incident.because()
    )
}

fn affected(a: &Affected) -> Value {
    json!({
        "check": a.definition.check,
        "label": a.definition.label,
        "kind": a.kind.map(Kind::as_str),
        "reason": a.reason,
        "detail": a.detail,
        "target": a.definition.target,
        "severity": a.definition.severity.as_str(),
        "failing_since": a.failing_since.rfc3339(),
        "recovered_at": a.recovered_at.map(UnixMs::rfc3339),
        "flapping": a.flapping,
    })
}

fn certificate(transition: &Transition, data: &mut Value) {
    let (sha256, not_after_unix_s, threshold, detail) = match &transition.event {
        Event::CertificateExpiring {
            sha256,
            not_after_unix_s,
            threshold,
            detail,
        } => (sha256, not_after_unix_s, Some(threshold), detail),
        Event::CertificateRenewed {
            sha256,
            not_after_unix_s,
            detail,
        } => (sha256, not_after_unix_s, None, detail),
        _ => return,
    };
    let d = &transition.definition;
    data["checks"] = json!([{
        "check": d.check,
        "label": d.label,
        "kind": "certificate",
        "reason": "other",
        "detail": detail,
        "target": d.target,
    }]);
    data["certificate"] = json!({ "sha256": sha256, "not_after_unix_s": not_after_unix_s });
    if let Some(threshold) = threshold {
        data["certificate"]["threshold"] = threshold.as_str().into();
    }
}
