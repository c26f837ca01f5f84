//! PagerDuty, Events API v2 (developer.pagerduty.com/docs/send-alert-event).

use serde_json::json;

use super::{Request, SECRET, secret_url, text};
use crate::notice::{About, Action, Notice};
use crate::settings::Reader;
use crate::target::Url;

const URL: &str = "https://events.pagerduty.com/v2/enqueue";
const SUMMARY_CHARS_MAX: usize = 1_024;
/// Of an integration's key.
const ROUTING_KEY_CHARS: usize = 32;

#[derive(Clone)]
pub struct PagerDuty {
    url: Url,
    routing_key: String,
}

pub fn read(r: &mut Reader<'_>) -> Option<PagerDuty> {
    let url = secret_url(r, "pagerduty_url").or_else(|| Url::parse(URL));
    let routing_key = r.text("pagerduty_routing_key")?;
    let fits = routing_key.len() == ROUTING_KEY_CHARS
        && routing_key.bytes().all(|b| b.is_ascii_alphanumeric());
    if !fits {
        r.mistake("pagerduty_routing_key", SECRET, "32 letters and digits");
        return None;
    }
    Some(PagerDuty {
        url: url?,
        routing_key,
    })
}

impl PagerDuty {
    /// Incidents, and certificates as alerts of their own; the rest is no event there.
    pub fn request(&self, notice: &Notice) -> Option<Request> {
        let action = match (&notice.about, notice.action()) {
            (About::Summary { .. } | About::Started { .. }, _) => return None,
            (_, Action::Trigger | Action::Note) => "trigger",
            (_, Action::Acknowledge) => "acknowledge",
            (_, Action::Resolve) => "resolve",
        };
        let mut body = json!({
            "routing_key": self.routing_key,
            "event_action": action,
            "dedup_key": notice.dedup_key(),
        });
        if action == "trigger" {
            let (component, class) = match &notice.about {
                About::Incident { incident, .. } => (
                    incident
                        .checks
                        .keys()
                        .cloned()
                        .collect::<Vec<_>>()
                        .join(", "),
                    incident.cause.clone().unwrap_or_default(),
                ),
                About::Certificate(t) => (t.definition.check.clone(), "certificate".to_owned()),
                _ => Default::default(),
            };
            body["payload"] = json!({
                "summary": text::title(notice, SUMMARY_CHARS_MAX),
                "source": notice.service,
                "severity": notice.severity.as_str(),
                "timestamp": notice.at.rfc3339(),
                "component": component,
                "group": notice.service,
                "class": class,
                "custom_details": notice.payload()["data"],
            });
            body["client"] = "Watchbell".into();
            if let Some(link) = text::link(notice) {
                body["links"] = json!([{ "href": link, "text": "What to do" }]);
            }
        }
        Some(Request {
            body_secret: Some(self.routing_key.clone()),
            ..Request::json(self.url.clone(), &body)
        })
    }
}
