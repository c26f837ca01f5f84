//! What is secret stays with the alert component: whatever a receiver says back, no secret
//! is kept, logged or shown; and no check reaches a channel.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use watchbell_lab::command::operator;
use watchbell_lab::headscale::State;
use watchbell_lab::manifest::Changes;
use watchbell_lab::runtime::CHECK_TOKEN;
use watchbell_lab::scenario::{Lab, Setup, alert, expect_opened, on_each_host};
use watchbell_lab::server::Server;
use watchbell_lab::wait;
use watchbell_lab::wire::{Request, Response, read_request};

const OPERATOR_TOKEN: &str = "plant.operator+token/1=";
/// `webhook_secret` without its prefix: base64, as it has to be.
const WEBHOOK_KEY: &str = "cGxhbnQtdGhlLXdlYmhvb2tzLXNlY3JldC1rZXktMDA=";
const ROUTING_KEY: &str = "plantpagerdutyroutingkey00000000";
const TELEGRAM_TOKEN: &str = "4242:plant_telegram-token";
const CHAT_ID: &str = "-1004242424242";
const NTFY_TOKEN: &str = "plant.ntfy+token/2=";
const GOTIFY_TOKEN: &str = "plant.gotify+token/3=";
const AUTHORIZATION: &str = "Bearer plant.template+token/4=";

/// What may be found nowhere.
const PLANTED: [&str; 19] = [
    OPERATOR_TOKEN,
    CHECK_TOKEN,
    WEBHOOK_KEY,
    ROUTING_KEY,
    TELEGRAM_TOKEN,
    CHAT_ID,
    NTFY_TOKEN,
    GOTIFY_TOKEN,
    "plant.template+token/4=",
    "plant-webhook-path",
    "plant-webhook-query",
    "plant-slack-path",
    "plant-discord-path",
    "plant-ntfy-topic",
    "plant-alertmanager-path",
    "plant-teams-signature",
    "plant-gotify-path",
    "plant-template-path",
    "plant-deadman-path",
];

const CHANNELS: [&str; 10] = [
    "webhook",
    "slack",
    "discord",
    "ntfy",
    "pagerduty",
    "alertmanager",
    "telegram",
    "teams",
    "gotify",
    "template",
];

/// Refuses everything, and says back what it got: each time in another order, so that
/// whatever is kept of an answer's beginning begins with each part once.
struct Echo {
    server: Server,
    asked: Arc<AtomicUsize>,
}

impl Echo {
    fn start() -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let server = Server::start(move |mut stream| {
            let Ok(request) = read_request(&mut stream) else {
                return;
            };
            let nth = count.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(&echo(&request, nth).to_bytes());
        });
        Self { server, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.addr())
    }
}

fn echo(request: &Request, nth: usize) -> Response {
    let headers: Vec<String> = request
        .headers
        .iter()
        // The secret ones first.
        .filter(|(name, _)| !["host", "user-agent", "content-length"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let mut parts = [
        request.path.clone(),
        headers.join("; "),
        String::from_utf8_lossy(&request.body).into_owned(),
    ];
    // Independent of the status, so that each comes with each.
    parts.rotate_left(nth / 3 % 3);
    let status = [400, 404, 500][nth % 3];
    let said = format!("no: {}", parts.join(" "));
    Response::new(status, "text/plain", said).with("x-echo", &request.path)
}

/// Every channel, pointed there.
fn planted(to: impl Fn(&str) -> String) -> Setup {
    let mut of_alert = vec![
        ("alert", "pagerduty_url", to("/pagerduty")),
        ("alert", "telegram_url", to("/telegram")),
    ];
    const ATTEMPTS: [&str; 10] = [
        "webhook_attempts_max",
        "slack_attempts_max",
        "discord_attempts_max",
        "ntfy_attempts_max",
        "pagerduty_attempts_max",
        "alertmanager_attempts_max",
        "telegram_attempts_max",
        "teams_attempts_max",
        "gotify_attempts_max",
        "template_attempts_max",
    ];
    // Soon dead letters, whose errors are kept as well.
    of_alert.extend(ATTEMPTS.map(|name| ("alert", name, "2".to_owned())));
    Setup {
        changes: Changes {
            variables: of_alert,
            ..Changes::default()
        },
        variables: vec![
            ("operator_token", OPERATOR_TOKEN.into()),
            (
                "webhook_url",
                to("/webhook/plant-webhook-path?key=plant-webhook-query"),
            ),
            ("webhook_secret", format!("whsec_{WEBHOOK_KEY}")),
            ("slack_url", to("/slack/T/B/plant-slack-path")),
            ("discord_url", to("/discord/1/plant-discord-path")),
            ("ntfy_url", to("/ntfy/plant-ntfy-topic")),
            ("ntfy_token", NTFY_TOKEN.into()),
            ("pagerduty_routing_key", ROUTING_KEY.into()),
            (
                "alertmanager_url",
                to("/alertmanager/plant-alertmanager-path"),
            ),
            ("telegram_token", TELEGRAM_TOKEN.into()),
            ("telegram_chat_id", CHAT_ID.into()),
            ("teams_url", to("/teams?sig=plant-teams-signature")),
            ("gotify_url", to("/gotify/plant-gotify-path")),
            ("gotify_token", GOTIFY_TOKEN.into()),
            ("template_url", to("/template/plant-template-path")),
            ("template_body", "{\"text\": {{ data.summary }}}".into()),
            ("template_authorization", AUTHORIZATION.into()),
            ("deadman_url", to("/deadman/plant-deadman-path")),
        ],
        ..Setup::default()
    }
}

#[test]
fn no_secret_is_kept_logged_or_shown() {
    on_each_host("no_secret_is_kept_logged_or_shown", |host| {
        let echo = Echo::start();
        let mut lab = Lab::well(host, planted(|path| echo.url(path)));
        lab.headscale.state(State::DatabaseDown);
        let letters: BTreeSet<String> = wait::until("a dead letter of every channel", || {
            let ledger = lab.runtime.state().ledger()?;
            let dead = ledger["outbox"]["dead"].as_array()?;
            let of = |d: &serde_json::Value| d["channel"].as_str().map(str::to_owned);
            let letters: BTreeSet<String> = dead.iter().filter_map(of).collect();
            (letters.len() == CHANNELS.len()).then_some(letters)
        });
        assert_eq!(letters, CHANNELS.map(str::to_owned).into());
        let asked = echo.asked.load(Ordering::SeqCst);
        assert!(asked > CHANNELS.len() * 2, "asked {asked} times");

        let url = lab.runtime.url();
        let say = |arguments: &[&str]| {
            let answer = operator(&url, OPERATOR_TOKEN, arguments);
            format!("{}{}", answer.text, answer.said).into_bytes()
        };
        let mut seen = vec![
            ("watchbell incidents", say(&["incidents"])),
            ("watchbell incidents --json", say(&["incidents", "--json"])),
            ("watchbell test-alert", say(&["test-alert"])),
            (
                "watchbell test-alert --json",
                say(&["test-alert", "--json"]),
            ),
        ];
        let answer = lab.runtime.validate();
        seen.push((
            "watchbell validate",
            format!("{}{}", answer.text, answer.said).into_bytes(),
        ));
        for (command, said) in &seen {
            assert!(!said.is_empty(), "{command} says nothing");
        }
        lab.runtime.stop();
        seen.push(("the log", lab.runtime.log().into_bytes()));
        for file in ["sqlite_key_value.db", "sqlite_key_value.db-wal"] {
            // The second is there only while its content is not in the first.
            let bytes = std::fs::read(lab.runtime.state_dir().join(file)).unwrap_or_default();
            seen.push((file, bytes));
        }
        let found = found(&seen);
        assert!(found.is_empty(), "{found:#?}");
    });
}

/// Mistaken settings are named, and what they are is not.
#[test]
fn a_mistaken_secret_is_not_shown() {
    on_each_host("a_mistaken_secret_is_not_shown", |host| {
        let mut setup = planted(|path| format!("ftp://127.0.0.1:9{path}"));
        for (name, value) in &mut setup.variables {
            if ["webhook_secret", "pagerduty_routing_key", "telegram_token"].contains(name) {
                value.push('!');
            } else if ["ntfy_token", "gotify_token"].contains(name) {
                value.push_str(" a");
            }
        }
        let mut lab = Lab::open(host, setup);
        let answer = lab.runtime.validate();
        let said = format!("{}{}", answer.text, answer.said);
        for name in [
            "webhook_secret",
            "slack_url",
            "telegram_token",
            "ntfy_token",
        ] {
            assert!(said.contains(name), "{name}: {said}");
        }
        wait::until("the mistakes in the log", || {
            lab.runtime.log().contains("webhook_url").then_some(())
        });
        lab.runtime.stop();
        let file = lab.runtime.state_dir().join("sqlite_key_value.db");
        let seen = [
            ("watchbell validate", said.into_bytes()),
            ("the log", lab.runtime.log().into_bytes()),
            ("key-value", std::fs::read(file).unwrap_or_default()),
        ];
        let found = found(&seen);
        assert!(found.is_empty(), "{found:#?}");
    });
}

/// A check that is told to ask a channel's server is not let through to it: not a
/// connection arrives there.
#[test]
fn no_check_reaches_a_channel() {
    on_each_host("no_check_reaches_a_channel", |host| {
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let slack = Server::start(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let url = format!("http://{}/services/T/B/secret", slack.addr());
        let changes = Changes {
            variables: vec![
                ("health", "url", url.clone()),
                // So that the alert component has nothing to say there either.
                ("alert", "slack_services", "another".to_owned()),
            ],
            ..Changes::default()
        };
        let setup = Setup {
            changes,
            variables: vec![("slack_url", url)],
            ..Setup::default()
        };
        let lab = Lab::open(host, setup);
        let told = lab.webhook.wait_for(1);
        expect_opened("", &told, &[alert("health", "denied")]);
        lab.wait_for_probes(2);
        assert_eq!(connections.load(Ordering::SeqCst), 0);
    });
}

/// Which secrets stand where, as they are or as a URL has them.
fn found(seen: &[(&str, Vec<u8>)]) -> Vec<String> {
    let mut found = Vec::new();
    for (place, bytes) in seen {
        for secret in PLANTED {
            for form in forms(secret) {
                let within = bytes.windows(form.len()).position(|w| w == form.as_bytes());
                if let Some(at) = within {
                    let from = at.saturating_sub(80);
                    let to = bytes.len().min(at + form.len());
                    let around = String::from_utf8_lossy(&bytes[from..to]);
                    found.push(format!("{form:?} in {place}: …{around:?}"));
                }
            }
        }
    }
    found
}

/// A text as it is, and percent-encoded with capital and with small digits; and the greater
/// part of it, as what is cut to a length leaves it.
fn forms(text: &str) -> BTreeSet<String> {
    let encoded = |capital: bool| -> String {
        let byte = |b: u8| match b {
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => char::from(b).to_string(),
            b if capital => format!("%{b:02X}"),
            b => format!("%{b:02x}"),
        };
        text.bytes().map(byte).collect()
    };
    let part = text[..text.len() * 2 / 3].to_owned();
    [text.to_owned(), part, encoded(true), encoded(false)].into()
}
