//! Every channel, every thing that can be said: the request, word for word.
//!
//! `tests/golden/<channel>/<what>.txt` holds the request line, the headers and the body;
//! `UPDATE_EXPECT=1` writes them anew.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::*;
use watchbell_core::channel::{self, Channel, Request};
use watchbell_core::control::test_notice;
use watchbell_core::diagnosis::Role;
use watchbell_core::incident::{Affected, Incident, Telling};
use watchbell_core::monitor::{Event, Transition};
use watchbell_core::notice::{About, Notice};
use watchbell_core::operator::{Acknowledgement, Hold};
use watchbell_core::outcome::Kind;
use watchbell_core::settings::{AlertSettings, Severity};

/// A configuration of every channel there is.
fn get(key: &str) -> Option<String> {
    let text = match key {
        "webhook_url" => "https://hooks.example.com/x?y=1",
        "webhook_secret" => "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "slack_url" => "https://hooks.slack.example/services/T/B/x",
        "discord_url" => "https://discord.example/api/webhooks/1/x",
        "ntfy_url" => "https://ntfy.example/alerts",
        "ntfy_token" => "tk_secret",
        "pagerduty_routing_key" => "0123456789abcdef0123456789abcdef",
        "alertmanager_url" => "http://alertmanager.example:9093",
        "telegram_token" => "123456:ABC-def",
        "telegram_chat_id" => "-100123",
        "teams_url" => "https://teams.example/workflows/x",
        "gotify_url" => "https://gotify.example",
        "gotify_token" => "Asecret",
        "template_url" => "https://chat.example/hook",
        "template_body" => "{\"text\": {{ data.summary }}, \"lines\": {{ data.evidence }}}",
        "template_authorization" => "Bearer t",
        _ => return None,
    };
    Some(text.to_owned())
}

fn channels() -> Vec<Channel> {
    AlertSettings::read(&get).channels
}

/// Text that means something to every format that it passes through.
const HOSTILE: &str = "<!everyone> @everyone *b* `c` \"q\" \\ <a href='x'> {{ 7*7 }} \u{e9}";

fn affected(check: &str, role: Role, kind: Kind, detail: &str, over: bool) -> Affected {
    let mut definition = definition();
    definition.check = check.into();
    definition.label = format!("Headscale {check}");
    definition.role = role;
    definition.target = format!("https://hs.example.com/{check}");
    Affected {
        definition,
        failing_since: at(0),
        kind: Some(kind),
        reason: None,
        detail: detail.into(),
        recovered_at: over.then(|| at(80)),
        flapping: false,
    }
}

fn incident(telling: Telling) -> Notice {
    let over = telling == Telling::Resolved;
    let checks = [
        affected(
            "health",
            Role::Health,
            Kind::Status,
            "status 502, want 200",
            over,
        ),
        affected("key", Role::Key, Kind::Status, HOSTILE, over),
    ];
    let incident = Incident {
        id: "inc_0123456789abcdef0123456789abcdef".into(),
        service: "headscale".into(),
        opened_at: at(20),
        failing_since: at(0),
        checks: checks.map(|a| (a.definition.check.clone(), a)).into(),
        evidence: Default::default(),
        cause: Some("backend-down".into()),
        peak: Severity::Critical,
        resolved_at: over.then(|| at(80)),
        said: None,
        held: None,
    };
    let acknowledgement = Acknowledgement {
        at: at(60),
        by: "ada".into(),
        comment: "on it".into(),
    };
    Notice {
        id: format!("msg_{telling:?}").to_lowercase(),
        at: at(80),
        service: "headscale".into(),
        severity: Severity::Critical,
        peak: Severity::Critical,
        test: false,
        about: About::Incident {
            telling,
            incident,
            acknowledgement: (telling == Telling::Acknowledged).then_some(acknowledgement),
        },
    }
}

fn notices() -> Vec<(&'static str, Notice)> {
    let About::Incident { incident: over, .. } = incident(Telling::Resolved).about else {
        panic!("want an incident")
    };
    let summary = Notice {
        about: About::Summary {
            hold: Hold::Silence,
            incidents: vec![over],
            more: 0,
        },
        ..incident(Telling::Triggered)
    };
    let certificate = Notice {
        severity: Severity::Warning,
        peak: Severity::Warning,
        about: About::Certificate(Transition {
            sequence: 1,
            at: at(0),
            definition: definition(),
            event: Event::CertificateExpiring {
                sha256: "aa".repeat(32),
                not_after_unix_s: 1_796_000_000,
                threshold: "14 days".into(),
                detail: "expires in 6 days, on 2026-11-29T09:31:00Z".into(),
            },
        }),
        ..incident(Telling::Triggered)
    };
    let renewed = Notice {
        about: About::Certificate(Transition {
            sequence: 2,
            at: at(0),
            definition: definition(),
            event: Event::CertificateRenewed {
                sha256: "aa".repeat(32),
                not_after_unix_s: 1_796_000_000,
                detail: "that ends on 2026-11-29T09:31:00Z is served no longer; the one in its \
                         place expires in 89 days, on 2027-02-20T09:31:00Z"
                    .into(),
            },
        }),
        ..certificate.clone()
    };
    let started = Notice {
        severity: Severity::Info,
        peak: Severity::Info,
        about: About::Started { checks: 5 },
        ..incident(Telling::Triggered)
    };
    vec![
        ("triggered", incident(Telling::Triggered)),
        ("updated", incident(Telling::Updated)),
        ("reminder", incident(Telling::Reminder)),
        ("acknowledged", incident(Telling::Acknowledged)),
        ("resolved", incident(Telling::Resolved)),
        ("certificate", certificate),
        ("renewed", renewed),
        ("summary", summary),
        ("started", started),
        ("test", test_notice(Telling::Triggered, at(80))),
    ]
}

fn shown(request: Option<Request>) -> String {
    let Some(request) = request else {
        return "nothing is sent\n".to_owned();
    };
    let mut text = format!("POST {}\n", request.url);
    for (name, value) in &request.headers {
        text.push_str(&format!("{name}: {value}\n"));
    }
    let body = String::from_utf8(request.body).unwrap();
    match serde_json::from_str::<serde_json::Value>(&body) {
        Ok(json) => text.push_str(&format!("\n{json:#}\n")),
        Err(_) => text.push_str(&format!("\n{body}\n")),
    }
    text
}

fn golden(channel: &str, what: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    root.join(channel).join(format!("{what}.txt"))
}

#[test]
fn each_channel_says_each_thing_so() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let channels = channels();
    let names: Vec<&str> = channels.iter().map(|c| c.terms.channel).collect();
    assert_eq!(
        names,
        channel::names().collect::<Vec<_>>(),
        "every channel is here"
    );
    let mut wrong = Vec::new();
    for channel in &channels {
        for (what, notice) in notices() {
            let got = shown(channel.request(&notice, at(100)));
            let file = golden(channel.terms.channel, what);
            if update {
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(&file, &got).unwrap();
            } else if fs::read_to_string(&file).unwrap_or_default() != got {
                wrong.push(format!("{}:\n{got}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What each receiver refuses or cuts.
#[test]
fn no_message_is_longer_than_its_receiver_takes() {
    let mut notice = incident(Telling::Triggered);
    let About::Incident { incident, .. } = &mut notice.about else {
        panic!("want an incident")
    };
    incident.cause = None;
    for n in 0..60 {
        let mut one = affected("x", Role::Other, Kind::Body, &"long ".repeat(60), false);
        one.definition.label = format!("A check with a long label, number {n}");
        incident.checks.insert(format!("check-{n}"), one);
    }
    let body = |channel: &Channel| {
        let request = channel.request(&notice, at(100)).unwrap();
        serde_json::from_slice::<serde_json::Value>(&request.body).unwrap_or_default()
    };
    let chars = |value: &serde_json::Value| value.as_str().unwrap().chars().count();
    for channel in channels() {
        match channel.terms.channel {
            "slack" => {
                let body = body(&channel);
                assert!(chars(&body["blocks"][0]["text"]["text"]) <= 150);
                assert!(chars(&body["blocks"][1]["text"]["text"]) <= 3_000);
            }
            "discord" => {
                let embed = body(&channel)["embeds"][0].clone();
                assert!(chars(&embed["title"]) <= 256);
                assert!(chars(&embed["description"]) <= 4_096);
            }
            "pagerduty" => assert!(chars(&body(&channel)["payload"]["summary"]) <= 1_024),
            "telegram" => assert!(chars(&body(&channel)["text"]) <= 4_096),
            "ntfy" => {
                let request = channel.request(&notice, at(100)).unwrap();
                assert!(request.body.len() <= 4_096);
            }
            "teams" => {
                let request = channel.request(&notice, at(100)).unwrap();
                assert!(request.body.len() <= 28_000);
            }
            _ => {}
        }
    }
}

#[test]
fn a_channel_without_configuration_is_off_and_half_of_one_is_a_mistake() {
    assert!(AlertSettings::read(&|_| None).channels.is_empty());
    for (given, missing) in [
        ("ntfy_token", "ntfy_url"),
        ("gotify_url", "gotify_token"),
        ("telegram_token", "telegram_chat_id"),
        ("template_url", "template_body"),
    ] {
        let one = |key: &str| (key == given).then(|| get(key)).flatten();
        let mistakes = AlertSettings::read(&one).mistakes;
        let keys: Vec<&str> = mistakes.iter().map(|m| m.key.as_str()).collect();
        assert_eq!(keys, [missing], "{given} alone");
    }
}

/// A mistake in one channel costs that one: what is for it waits, the others work.
#[test]
fn a_mistaken_channel_costs_no_other() {
    let one = |key: &str| match key {
        "ntfy_token" => Some("with a blank".to_owned()),
        "maintenance" => Some("sometimes".to_owned()),
        _ => get(key),
    };
    let settings = AlertSettings::read(&one);
    let keys: Vec<&str> = settings.mistakes.iter().map(|m| m.key.as_str()).collect();
    assert_eq!(keys, ["ntfy_token", "maintenance"]);
    let all = settings.channels.iter().map(|c| c.terms.channel);
    assert_eq!(all.count(), channels().len());
    for channel in &settings.channels {
        let name = channel.terms.channel;
        assert_eq!(channel.terms.works, name != "ntfy", "{name}");
    }
}

/// Where the operator wrote the body, a secret may stand anywhere in it.
#[test]
fn a_templates_body_is_not_shown_to_be_repeated() {
    let channels = channels();
    let body_of = |name: &str| {
        let channel = channels.iter().find(|c| c.terms.channel == name).unwrap();
        channel
            .request(&incident(Telling::Triggered), at(0))
            .unwrap()
    };
    let template = body_of("template");
    let echo = String::from_utf8_lossy(&template.body).into_owned();
    assert!(template.is_repeated_by(&format!("bad request: {echo}")));
    assert!(!template.is_repeated_by("bad request: no such field"));
    let slack = body_of("slack");
    let echo = String::from_utf8_lossy(&slack.body).into_owned();
    assert!(!slack.is_repeated_by(&echo), "the message is no secret");
}

#[test]
fn a_mistake_shows_no_secret() {
    const SECRET: &str = "hunter2 hunter2";
    let all = |key: &str| {
        let filter =
            key.ends_with("_severity") || key.ends_with("_max") || key.contains("settling");
        let other = [
            "retry",
            "timeout",
            "reminder",
            "sweep",
            "services",
            "content_type",
            "startup",
            "maintenance",
        ]
        .iter()
        .any(|w| key.contains(w));
        (!filter && !other).then(|| format!("{SECRET} {{{{"))
    };
    let mistakes = AlertSettings::read(&all).mistakes;
    assert!(mistakes.len() >= 9, "{mistakes:#?}");
    for mistake in &mistakes {
        assert!(!mistake.to_string().contains("hunter2"), "{mistake}");
    }
}

/// A template's value brings its own quotes, whatever it holds.
#[test]
fn a_template_cannot_be_broken_out_of() {
    let channels = channels();
    let template = channels
        .iter()
        .find(|c| c.terms.channel == "template")
        .unwrap();
    let request = template
        .request(&incident(Telling::Triggered), at(0))
        .unwrap();
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 2, "{body:#}");
    let lines = body["lines"].as_array().unwrap();
    assert!(
        lines[1].as_str().unwrap().contains("{{ 7*7 }}"),
        "{lines:?}"
    );
}

/// Servers like to repeat what they were asked; what is secret of it is not logged.
#[test]
fn an_answer_that_repeats_a_secret_is_known_by_it() {
    let notice = incident(Telling::Triggered);
    for channel in &channels() {
        let Some(request) = channel.request(&notice, at(100)) else {
            continue;
        };
        let name = channel.terms.channel;
        assert!(!request.is_repeated_by("400: no such thing"), "{name}");
        for secret in [
            "/x?y=1",
            "/services/T/B/x",
            "/api/webhooks/1/x",
            "tk_secret",
            "0123456789abcdef0123456789abcdef",
            "/bot123456:ABC-def/sendMessage",
            "/workflows/x",
            "Asecret",
        ] {
            let held = request.url.path.contains(secret)
                || request.headers.iter().any(|(_, v)| v.contains(secret))
                || (name == "pagerduty" && String::from_utf8_lossy(&request.body).contains(secret));
            let short = secret.len() < 8 && request.url.path.contains(secret);
            if held && !short {
                let answer = format!("Cannot POST: {secret}, sorry");
                assert!(request.is_repeated_by(&answer), "{name}: {secret}");
            }
        }
    }
}
