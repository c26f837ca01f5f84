//! What an operator says to an application that runs: over HTTP, as any client may.

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::ask::{Application, ask};
use crate::say::{self, out};

/// Which application.
#[derive(Args)]
pub struct Target {
    #[command(flatten)]
    application: Application,
    /// Its operator_token; better in the environment than on the command line
    #[arg(
        long,
        value_name = "TOKEN",
        env = "WATCHBELL_OPERATOR_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
}

#[derive(Args)]
pub struct Span {
    /// How long, such as 30m or 2h
    #[arg(value_name = "DURATION")]
    lasts: String,
    /// Of this service alone
    #[arg(long, default_value = "")]
    service: String,
    /// Begin so much later
    #[arg(long, value_name = "DURATION", default_value = "")]
    after: String,
    /// Who says so; shown in messages
    #[arg(long, default_value_t = user())]
    by: String,
    #[arg(long, default_value = "")]
    comment: String,
}

/// The wishes, as `watchbell_core::control::Command` has them.
#[derive(Subcommand)]
pub enum Wish {
    /// Show what is open, held back and undelivered in a running application
    Incidents {
        #[command(flatten)]
        target: Target,
    },
    /// Acknowledge an incident: no more reminders of it
    Ack {
        /// Its id, or enough of its beginning
        incident: String,
        #[arg(long, default_value_t = user())]
        by: String,
        #[arg(long, default_value = "")]
        comment: String,
        #[command(flatten)]
        target: Target,
    },
    /// Hold alerts back for a while, and have them summed up at its end
    Silence {
        #[command(flatten)]
        span: Span,
        #[command(flatten)]
        target: Target,
    },
    /// Hold alerts back for a while; what comes and goes inside was expected
    Maintenance {
        #[command(flatten)]
        span: Span,
        #[command(flatten)]
        target: Target,
    },
    /// End a silence or a maintenance
    End {
        id: String,
        #[command(flatten)]
        target: Target,
    },
    /// Forget a check that was removed from the manifest
    Forget {
        check: String,
        #[command(flatten)]
        target: Target,
    },
    /// Send dead letters again
    Resend {
        #[command(flatten)]
        target: Target,
    },
    /// Send a triggered and a resolved message, marked as a test, and print what each channel answered
    TestAlert {
        /// This channel alone
        #[arg(default_value = "")]
        channel: String,
        #[command(flatten)]
        target: Target,
    },
}

fn user() -> String {
    std::env::var("USER").unwrap_or_default()
}

pub fn main(wish: &Wish) -> anyhow::Result<ExitCode> {
    let span = |s: &Span| {
        json!({
            "for": s.lasts,
            "service": s.service,
            "after": s.after,
            "by": s.by,
            "comment": s.comment,
        })
    };
    let (name, target, body) = match wish {
        Wish::Incidents { target } => ("incidents", target, json!({})),
        Wish::Ack {
            incident,
            by,
            comment,
            target,
        } => (
            "acknowledge",
            target,
            json!({ "incident": incident, "by": by, "comment": comment }),
        ),
        Wish::Silence { span: s, target } => ("silence", target, span(s)),
        Wish::Maintenance { span: s, target } => ("maintenance", target, span(s)),
        Wish::End { id, target } => ("end", target, json!({ "id": id })),
        Wish::Forget { check, target } => ("forget", target, json!({ "check": check })),
        Wish::Resend { target } => ("resend", target, json!({})),
        Wish::TestAlert { channel, target } => ("test", target, json!({ "channel": channel })),
    };
    let answer = say_to(target, name, &body)?;
    if target.application.json {
        out!("{answer}");
    } else {
        show(name, &answer);
    }
    Ok(match taken(&answer) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Whether every channel took its test; nothing else can fail and still be answered.
fn taken(answer: &Value) -> bool {
    let results = answer["results"].as_array().into_iter().flatten();
    results.into_iter().all(|r| r["taken"] == true)
}

fn say_to(target: &Target, name: &str, body: &Value) -> anyhow::Result<Value> {
    let Some(token) = target.token.as_deref().filter(|t| !t.is_empty()) else {
        bail!(
            "got no token, want --token or WATCHBELL_OPERATOR_TOKEN: the application's operator_token"
        );
    };
    let url = target.application.at(&format!("operator/{name}"));
    ask(&url, Some(token), Some(body))
}

fn show(name: &str, answer: &Value) {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    let list = |key: &str| answer[key].as_array().cloned().unwrap_or_default();
    match name {
        "incidents" => {
            let incidents = list("incidents");
            if incidents.is_empty() {
                out!("no incident is open");
            }
            for i in &incidents {
                let acknowledged = match (&i["acknowledged"], i["acknowledged_by"].as_str()) {
                    (Value::Bool(true), None | Some("")) => ", acknowledged".to_owned(),
                    (Value::Bool(true), Some(by)) => format!(", acknowledged by {by}"),
                    _ => String::new(),
                };
                out!(
                    "{} {} ({}{acknowledged}) since {}: {}",
                    text(&i["incident"]),
                    text(&i["service"]),
                    text(&i["severity"]),
                    text(&i["failing_since"]),
                    text(&i["summary"]),
                );
            }
            for w in list("windows") {
                let service = match text(&w["service"]) {
                    all if all.is_empty() => "every service".to_owned(),
                    one => one,
                };
                let comment = match text(&w["comment"]) {
                    none if none.is_empty() => none,
                    one => format!(": {one}"),
                };
                out!(
                    "{} {} of {service} from {} until {}{comment}",
                    text(&w["id"]),
                    text(&w["hold"]),
                    text(&w["from"]),
                    text(&w["until"]),
                );
            }
            for c in list("channels") {
                let error = match &c["last_error"] {
                    Value::Null => String::new(),
                    error => format!("; last: {}", text(error)),
                };
                out!(
                    "channel {}: {} delivered, {} attempts failed, {} dead letters{error}",
                    text(&c["channel"]),
                    text(&c["delivered"]),
                    text(&c["failed"]),
                    text(&c["dead"]),
                );
            }
            match answer["waiting"].as_u64() {
                None | Some(0) => {}
                Some(1) => out!("1 message waits to be taken"),
                Some(many) => out!("{many} messages wait to be taken"),
            }
            for mistake in list("mistakes") {
                say::error(&text(&mistake));
            }
            for d in list("dead_letters") {
                out!(
                    "dead letter {} to {}: {}: {}",
                    text(&d["id"]),
                    text(&d["channel"]),
                    text(&d["error"]),
                    text(&d["summary"])
                );
            }
        }
        "test" => {
            for r in list("results") {
                let channel = text(&r["channel"]);
                let kind = r["type"].as_str().unwrap_or("its test");
                match &r["error"] {
                    Value::Null => out!("{channel} took {kind}"),
                    error => say::error(&format!("{channel} did not take {kind}: {}", text(error))),
                }
            }
        }
        _ => {
            let fields = answer.as_object().into_iter().flatten();
            let words: Vec<String> = fields.map(|(k, v)| format!("{k} {}", text(v))).collect();
            out!("{}", words.join(", "));
        }
    }
}
