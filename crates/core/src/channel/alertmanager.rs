//! Prometheus Alertmanager, API v2 (its own OpenAPI description).

use std::time::Duration;

use serde_json::{Value, json};

use super::{Request, secret_url, text};
use crate::incident::Telling;
use crate::notice::{About, Action, Notice};
use crate::settings::{Reader, Severity};
use crate::target::Url;
use crate::time::UnixMs;

const PATH: &str = "/api/v2/alerts";
const TEXT_CHARS_MAX: usize = 2_000;
/// Without an end Alertmanager lets an alert end by itself after five minutes. Ours ends
/// when it is told to; this is for one whose end was never heard.
const FIRES_FOR: Duration = Duration::from_secs(31 * 86_400);

/// The server's URL, to which the path of the API is added.
pub fn read(r: &mut Reader<'_>) -> Option<Url> {
    let url = secret_url(r, "alertmanager_url")?;
    if url.path.contains('?') {
        r.mistake("alertmanager_url", super::SECRET, "a URL without a query");
        return None;
    }
    let base = url.path.trim_end_matches('/').to_owned();
    let path = if base.ends_with(PATH) {
        base
    } else {
        base + PATH
    };
    Some(Url { path, ..url })
}

pub fn request(url: &Url, notice: &Notice) -> Option<Request> {
    let alerts = match &notice.about {
        About::Incident {
            telling, incident, ..
        } => {
            let ends_at = incident.resolved_at;
            let mut alerts = vec![alert(
                notice,
                incident.peak,
                incident.failing_since,
                ends_at,
            )];
            if matches!(telling, Telling::Updated | Telling::Resolved) {
                // Labels are what an alert is: with a higher severity it is another one.
                let lower = [Severity::Info, Severity::Warning];
                let lower = lower.into_iter().filter(|s| *s < incident.peak);
                alerts.extend(
                    lower.map(|s| alert(notice, s, incident.failing_since, Some(notice.at))),
                );
            }
            alerts
        }
        About::Certificate(_) => {
            let ends_at = (notice.action() == Action::Resolve).then_some(notice.at);
            vec![alert(notice, notice.severity, notice.at, ends_at)]
        }
        About::Summary { .. } | About::Started { .. } => return None,
    };
    if notice.action() == Action::Acknowledge {
        // It has silences of its own.
        return None;
    }
    Some(Request::json(url.clone(), &Value::Array(alerts)))
}

fn alert(notice: &Notice, severity: Severity, starts_at: UnixMs, ends_at: Option<UnixMs>) -> Value {
    let (action, runbook_url) = notice.runbook();
    let (name, cause) = match &notice.about {
        About::Certificate(_) => ("WatchbellCertificateExpiring", None),
        About::Incident { incident, .. } => ("WatchbellIncident", incident.cause.as_deref()),
        _ => ("Watchbell", None),
    };
    json!({
        "labels": {
            "alertname": name,
            "service": notice.service,
            "severity": severity.as_str(),
            "incident": notice.dedup_key(),
        },
        "annotations": {
            "summary": text::title(notice, TEXT_CHARS_MAX),
            "description": text::body(notice, TEXT_CHARS_MAX),
            "cause": cause.unwrap_or_default(),
            "action": action,
            "runbook_url": runbook_url,
        },
        "startsAt": starts_at.rfc3339(),
        // A clock that went back must not let it end before it began: that is refused.
        "endsAt": ends_at.unwrap_or(notice.at.plus(FIRES_FOR)).max(starts_at).rfc3339(),
    })
}
