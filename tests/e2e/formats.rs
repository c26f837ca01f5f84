//! What is sent, held against descriptions that others publish (PagerDuty's and
//! Alertmanager's) and against our own of the webhook: the core's golden files, and what
//! comes through the shipped wasm.
//!
//! The published files are not ours to distribute: they are read from `WATCHBELL_SCHEMAS`,
//! or from a `shared/schemas` beside the repository or above it.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};
use watchbell_lab::chain::Chain;
use watchbell_lab::command::operator;
use watchbell_lab::headscale::{Speaks, State};
use watchbell_lab::manifest::Changes;
use watchbell_lab::receivers::Receivers;
use watchbell_lab::scenario::{Lab, Setup, on_each_host};
use watchbell_lab::skip::skip_in_part;
use watchbell_lab::wait;
use watchbell_lab::wasm::REPOSITORY;

/// A description, made strict: a field that it does not know is a mistake of ours.
struct Format {
    channel: &'static str,
    validator: Validator,
}

impl Format {
    fn new(channel: &'static str, draft: Draft, schema: &Value) -> Self {
        let validator = jsonschema::options()
            .with_draft(draft)
            .should_validate_formats(true)
            .with_format("url", |text: &str| text.starts_with("http"))
            .build(schema)
            .unwrap_or_else(|e| panic!("reading the format of {channel}: {e}"));
        Self { channel, validator }
    }

    fn webhook() -> Self {
        let file = REPOSITORY.join("docs/webhook.schema.json");
        let mut schema = serde_json::from_str(&read(&file)).unwrap();
        close(&mut schema);
        Self::new("webhook", Draft::Draft202012, &schema)
    }

    /// Events API v2. What its text asks for and its schema does not is added.
    fn pagerduty() -> Result<Self, String> {
        let file = published("pagerduty-events-v2.openapi.json")?;
        let mut all: Value = serde_json::from_str(&read(&file)).unwrap();
        close(&mut all["components"]);
        let mut body = all["paths"]["/enqueue"]["post"]["requestBody"]["content"]
            ["application/json"]["schema"]
            .take();
        close(&mut body);
        let asked = json!({
            "oneOf": [
                {
                    "properties": { "event_action": { "enum": ["trigger"] } },
                    "required": ["payload"],
                },
                {
                    "properties": { "event_action": { "enum": ["acknowledge", "resolve"] } },
                    "required": ["dedup_key"],
                },
            ],
        });
        let schema = json!({ "allOf": [body, asked], "components": all["components"] });
        Ok(Self::new("pagerduty", Draft::Draft4, &schema))
    }

    /// API v2, `POST /alerts`.
    fn alertmanager() -> Result<Self, String> {
        let file = published("alertmanager-v2.openapi.yaml")?;
        let all: Value = serde_saphyr::from_str(&read(&file)).unwrap();
        let mut definitions = all["definitions"].clone();
        // Made of two parts, neither of which knows the other's fields.
        let known = [
            "startsAt",
            "endsAt",
            "annotations",
            "labels",
            "generatorURL",
        ];
        let known: Value = known
            .map(|k| (k.to_owned(), json!({})))
            .into_iter()
            .collect();
        let strict = json!({ "properties": known, "additionalProperties": false });
        let parts = definitions["postableAlert"]["allOf"].as_array_mut();
        parts.unwrap().push(strict);
        let schema = json!({
            "allOf": [{ "$ref": "#/definitions/postableAlerts" }],
            "definitions": definitions,
        });
        Ok(Self::new("alertmanager", Draft::Draft4, &schema))
    }

    /// What is wrong with a body, a line each.
    fn mistakes(&self, body: &Value) -> Vec<String> {
        let errors = self.validator.iter_errors(body);
        errors
            .map(|e| format!("{} at {:?}", e, e.instance_path().to_string()))
            .collect()
    }

    fn accepts(&self, what: &str, body: &Value) {
        let mistakes = self.mistakes(body);
        let channel = self.channel;
        assert!(
            mistakes.is_empty(),
            "{channel}, {what}: {mistakes:#?} in {body:#}"
        );
    }
}

/// Ours, and of the published ones those that are there: the others are not compared with.
fn formats(test: &str) -> Vec<Format> {
    let mut formats = vec![Format::webhook()];
    for published in [Format::pagerduty(), Format::alertmanager()] {
        match published {
            Ok(format) => formats.push(format),
            Err(why) => skip_in_part(test, &why),
        }
    }
    formats
}

fn published(name: &str) -> Result<PathBuf, String> {
    let given = std::env::var_os("WATCHBELL_SCHEMAS").map(PathBuf::from);
    let beside = REPOSITORY.ancestors().skip(1);
    let beside = beside.map(|dir| dir.join("shared/schemas"));
    let mut files = given.into_iter().chain(beside).map(|dir| dir.join(name));
    files
        .find(|file| file.is_file())
        .ok_or(format!("no {name} (WATCHBELL_SCHEMAS)"))
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|e| panic!("reading {file:?}: {e}"))
}

/// Where fields are named, no others are.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.values_mut().for_each(close);
            if map
                .get("properties")
                .is_some_and(|p| p.get("type").is_none_or(Value::is_object))
            {
                map.entry("additionalProperties").or_insert(false.into());
            }
        }
        Value::Array(all) => all.iter_mut().for_each(close),
        _ => {}
    }
}

/// What the core's golden files have as the body of each message of the channel.
fn golden(channel: &str) -> Vec<(String, Value)> {
    let dir = REPOSITORY.join("crates/core/tests/golden").join(channel);
    let files = std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("reading {dir:?}: {e}"));
    let mut bodies = Vec::new();
    for file in files {
        let file = file.unwrap().path();
        let text = read(&file);
        let Some((head, body)) = text.split_once("\n\n") else {
            // What the channel has no form for.
            assert_eq!(text.trim(), "nothing is sent", "{file:?}");
            continue;
        };
        assert!(head.starts_with("POST "), "{file:?}: {head}");
        let body = serde_json::from_str(body).unwrap_or_else(|e| panic!("reading {file:?}: {e}"));
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        bodies.push((name, body));
    }
    bodies.sort_by(|(a, _), (b, _)| a.cmp(b));
    bodies
}

#[test]
fn golden_files_are_as_published() {
    for format in &formats("golden_files_are_as_published") {
        let bodies = golden(format.channel);
        // Triggered, resolved and their like; what is no event there is none.
        assert!(bodies.len() >= 5, "{}: {}", format.channel, bodies.len());
        for (name, body) in &bodies {
            format.accepts(name, body);
        }
    }
}

/// The comparison itself: a message with one thing broken is refused.
#[test]
fn what_is_broken_is_refused() {
    let formats = formats("what_is_broken_is_refused");
    type Break = fn(&mut Value);
    let broken: [(&str, &str, &str, Break); 13] = [
        ("webhook", "triggered", "a type nobody knows", |b| {
            b["type"] = "alert.opened".into();
        }),
        ("webhook", "triggered", "no service", |b| {
            b["data"].as_object_mut().unwrap().remove("service");
        }),
        ("webhook", "triggered", "a time in seconds", |b| {
            b["timestamp"] = 1_795_000_100.into();
        }),
        ("webhook", "resolved", "a date that is none", |b| {
            b["data"]["resolved_at"] = "yesterday".into();
        }),
        ("webhook", "triggered", "a check without its target", |b| {
            b["data"]["checks"][0]
                .as_object_mut()
                .unwrap()
                .remove("target");
        }),
        (
            "webhook",
            "triggered",
            "a field that is not documented",
            |b| {
                b["data"]["because"] = "of it".into();
            },
        ),
        (
            "pagerduty",
            "triggered",
            "a severity of another scale",
            |b| {
                b["payload"]["severity"] = "fatal".into();
            },
        ),
        ("pagerduty", "triggered", "no source", |b| {
            b["payload"].as_object_mut().unwrap().remove("source");
        }),
        ("pagerduty", "triggered", "no payload", |b| {
            b.as_object_mut().unwrap().remove("payload");
        }),
        ("pagerduty", "resolved", "nothing that it resolves", |b| {
            b.as_object_mut().unwrap().remove("dedup_key");
        }),
        ("pagerduty", "triggered", "a link that is a text", |b| {
            b["links"] = json!(["https://example.com"]);
        }),
        (
            "alertmanager",
            "triggered",
            "a label that is a number",
            |b| {
                b[0]["labels"]["severity"] = 2.into();
            },
        ),
        ("alertmanager", "resolved", "an end that is no date", |b| {
            b[0]["endsAt"] = "now".into();
        }),
    ];
    for (channel, name, what, breaks) in broken {
        let Some(format) = formats.iter().find(|f| f.channel == channel) else {
            continue;
        };
        let bodies = golden(format.channel);
        let (_, body) = bodies.iter().find(|(n, _)| n == name).unwrap();
        let mut body = body.clone();
        breaks(&mut body);
        let mistakes = format.mistakes(&body);
        assert!(!mistakes.is_empty(), "{}: accepted {what}", format.channel);
    }
}

const TOKEN: &str = "an-operator-may";

/// Everything that can be provoked in a minute, as it goes over the wire.
#[test]
fn what_the_shipped_wasm_sends_is_as_published() {
    const TEST: &str = "what_the_shipped_wasm_sends_is_as_published";
    let formats = formats(TEST);
    on_each_host(TEST, |host| {
        let receivers = Receivers::start();
        let changes = Changes {
            variables: vec![
                ("alert", "startup_message", "on".to_owned()),
                ("alert", "pagerduty_url", receivers.url("/pagerduty")),
            ],
            ..Changes::default()
        };
        let setup = Setup {
            changes,
            variables: vec![
                ("operator_token", TOKEN.to_owned()),
                ("alertmanager_url", receivers.url("/alertmanager")),
                ("pagerduty_routing_key", "0123456789abcdef".repeat(2)),
            ],
            ..Setup::default()
        };
        let mut lab = Lab::open(host, setup);
        let say = |lab: &Lab, arguments: &[&str]| {
            let answer = operator(&lab.runtime.url(), TOKEN, arguments);
            assert_eq!(answer.exit, 0, "{arguments:?}: {}", answer.said);
            answer.text
        };
        lab.wait_for_status("up");
        lab.webhook.wait_for(1);
        lab.headscale.state(State::DatabaseDown);
        let told = lab.webhook.wait_for(2);
        let incident = told[1].data("incident").as_str().unwrap();
        say(&lab, &["ack", incident, "--by", "ada"]);
        lab.webhook.wait_for(3);
        lab.headscale.state(State::Healthy);
        lab.webhook.wait_for(4);
        lab.headscale.speaks(Speaks::Https(Chain::DaysLeft(10)));
        lab.webhook.wait_for(5);
        lab.headscale.speaks(Speaks::Https(Chain::Valid));
        lab.webhook.wait_for(6);
        let silence = say(&lab, &["silence", "1h", "--json"]);
        let silence: Value = serde_json::from_str(&silence).unwrap();
        lab.headscale.state(State::DatabaseDown);
        lab.wait_for_status_of("health", "failed");
        lab.wait_for_probes(2);
        lab.headscale.state(State::Healthy);
        lab.wait_for_status_of("health", "up");
        lab.wait_for_probes(2);
        say(&lab, &["end", silence["id"].as_str().unwrap()]);
        lab.webhook.wait_for(7);
        say(&lab, &["test-alert"]);
        let told = lab.webhook.wait_for(9);

        let kinds: Vec<&str> = told.iter().map(|d| d.kind.as_str()).collect();
        let want = [
            "watchbell.started",
            "alert.triggered",
            "alert.acknowledged",
            "alert.resolved",
            "certificate.expiring",
            "certificate.renewed",
            "alert.summary",
            "alert.triggered",
            "alert.resolved",
        ];
        assert_eq!(kinds, want);
        for format in &formats {
            // An outage's two or three, a certificate's two, a test's two.
            let want = match format.channel {
                "pagerduty" => 7,
                "alertmanager" => 6,
                _ => {
                    told.iter()
                        .for_each(|one| format.accepts(&one.kind, &one.body));
                    continue;
                }
            };
            let all = wait::until("the requests", || {
                let all = receivers.of(format.channel);
                (all.len() >= want).then_some(all)
            });
            for (_, request) in &all {
                let body = serde_json::from_slice(&request.body).unwrap();
                format.accepts(&request.path, &body);
                let kind = request.header("content-type");
                assert_eq!(kind, Some("application/json"), "{request:?}");
            }
        }
    });
}
