//! A webhook whose body the operator writes, as a MiniJinja template over the generic
//! webhook's body. In a JSON body every value is escaped as JSON, whatever it holds.

use minijinja::{AutoEscape, Environment};
use serde_json::json;

use super::{Request, SECRET, both, secret_url};
use crate::notice::Notice;
use crate::settings::Reader;
use crate::target::Url;

/// Instructions of one rendering: a loop that does not end is a mistake, not a hang.
const FUEL: u64 = 50_000;
const JSON: &str = "application/json";
const NAME: &str = "template_body";

#[derive(Clone)]
pub struct Template {
    url: Url,
    body: String,
    content_type: String,
    authorization: Option<String>,
}

pub fn read(r: &mut Reader<'_>) -> Option<Template> {
    let url = secret_url(r, "template_url");
    let body = r.text(NAME);
    let content_type = r.parsed(
        "template_content_type",
        JSON.to_owned(),
        "a media type such as application/json",
        |t| {
            (t.contains('/') && t.chars().all(|c| c.is_ascii_graphic() || c == ' '))
                .then(|| t.to_owned())
        },
    );
    let authorization = r.text("template_authorization");
    let (url, body) = both(r, ("template_url", url), (NAME, body))?;
    let template = Template {
        url,
        body,
        content_type,
        authorization,
    };
    // A mistake is told when it is made, and not first when an alert is due.
    if let Err(why) = template.render(&sample()) {
        r.mistake(NAME, &why, "a MiniJinja template over the webhook's body; in JSON, {{ value }} brings its own quotes");
        return None;
    }
    if template
        .authorization
        .as_ref()
        .is_some_and(|a| a.chars().any(char::is_control))
    {
        r.mistake("template_authorization", SECRET, "one line");
        return None;
    }
    Some(template)
}

impl Template {
    pub fn request(&self, notice: &Notice) -> Request {
        let payload = notice.payload();
        // What a sample passed and this did not: the body itself, so that nothing is lost.
        let body = self
            .render(&payload)
            .unwrap_or_else(|_| crate::json::text(&payload));
        let request = Request {
            body_is_private: true,
            ..Request::of(&self.content_type, self.url.clone(), body)
        }
        .with("webhook-id", &notice.id);
        match &self.authorization {
            Some(value) => request.with("authorization", value),
            None => request,
        }
    }

    fn json(&self) -> bool {
        self.content_type
            .split(';')
            .next()
            .is_some_and(|t| t.trim() == JSON || t.trim().ends_with("+json"))
    }

    fn render(&self, payload: &serde_json::Value) -> Result<String, String> {
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        let escape = if self.json() {
            AutoEscape::Json
        } else {
            AutoEscape::None
        };
        environment.set_auto_escape_callback(move |_| escape);
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Chainable);
        environment
            .add_template(NAME, &self.body)
            .map_err(|e| e.to_string())?;
        let text = environment
            .get_template(NAME)
            .and_then(|t| t.render(payload))
            .map_err(|e| e.to_string())?;
        if self.json() {
            serde_json::from_str::<serde::de::IgnoredAny>(&text)
                .map_err(|e| format!("a body that is not JSON: {e}"))?;
        }
        Ok(text)
    }
}

/// The shape of what templates are given, with texts that only escaping keeps harmless.
fn sample() -> serde_json::Value {
    let text = "a \"quoted\"\ntext \\ </script>";
    json!({
        "type": "alert.triggered",
        "timestamp": "2026-11-25T10:00:00Z",
        "data": {
            "version": 1,
            "incident": "inc_0",
            "service": text,
            "severity": "critical",
            "summary": text,
            "cause": text,
            "cause_text": text,
            "evidence": [text],
            "opened_at": text,
            "resolved_at": null,
            "failing_since": text,
            "duration_s": 1,
            "action": text,
            "runbook_url": text,
            "checks": [{
                "check": text, "label": text, "kind": text, "reason": null, "detail": text,
                "target": text, "severity": text, "failing_since": text, "recovered_at": null,
                "flapping": false,
            }],
            "test": false,
        },
    })
}
