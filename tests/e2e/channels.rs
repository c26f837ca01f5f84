//! Every channel at once, each to a server of the lab's: what comes through the shipped wasm,
//! and how one that fails holds up no other. (What is sent word for word is in the core's
//! golden files.)

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use watchbell_lab::headscale::State;
use watchbell_lab::real::Alertmanager;
use watchbell_lab::scenario::{Lab, Setup, on_each_host};
use watchbell_lab::server::Server;
use watchbell_lab::skip::skip;
use watchbell_lab::wait;
use watchbell_lab::wire::{Request, Response, read_request};

/// A receiver of everything: by path, what came, and what is answered.
struct Receivers {
    server: Server,
    inbox: Arc<Mutex<Inbox>>,
}

#[derive(Default)]
struct Inbox {
    requests: Vec<(Instant, Request)>,
    /// By the first segment of the path; 200 otherwise.
    answers: BTreeMap<String, Response>,
}

impl Receivers {
    fn start() -> Self {
        let inbox = Arc::new(Mutex::new(Inbox::default()));
        let theirs = inbox.clone();
        let server = Server::start(move |mut stream| {
            let Ok(request) = read_request(&mut stream) else {
                return;
            };
            let answer = {
                let mut inbox = theirs.lock().unwrap();
                let first = segment(&request.path);
                let answer = inbox.answers.get(&first).cloned();
                inbox.requests.push((Instant::now(), request));
                answer
            };
            let ok = Response::new(200, "application/json", "{}");
            let bytes = answer.unwrap_or(ok).to_bytes();
            let _ = std::io::Write::write_all(&mut stream, &bytes);
        });
        Self { server, inbox }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.addr())
    }

    fn answer(&self, channel: &str, answer: Option<Response>) {
        let mut inbox = self.inbox.lock().unwrap();
        match answer {
            Some(answer) => drop(inbox.answers.insert(channel.to_owned(), answer)),
            None => drop(inbox.answers.remove(channel)),
        }
    }

    /// What came for that channel.
    fn of(&self, channel: &str) -> Vec<(Instant, Request)> {
        let inbox = self.inbox.lock().unwrap();
        let all = inbox.requests.iter();
        all.filter(|(_, r)| segment(&r.path) == channel)
            .cloned()
            .collect()
    }

    fn wait_for(&self, channel: &str, enough: usize) -> Vec<(Instant, Request)> {
        wait::until(&format!("{enough} requests to {channel}"), || {
            let all = self.of(channel);
            (all.len() >= enough).then_some(all)
        })
    }

    /// Every channel, pointed here.
    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("slack_url", self.url("/slack/T/B/secret")),
            ("discord_url", self.url("/discord/1/secret")),
            ("ntfy_url", self.url("/ntfy/topic")),
            ("ntfy_token", "tk_secret".into()),
            ("alertmanager_url", self.url("/alertmanager")),
            ("teams_url", self.url("/teams/secret")),
            ("gotify_url", self.url("/gotify")),
            ("gotify_token", "Asecret".into()),
            ("template_url", self.url("/template")),
            ("template_body", "{\"text\": {{ data.summary }}}".into()),
        ]
    }
}

const CHANNELS: [&str; 7] = [
    "slack",
    "discord",
    "ntfy",
    "alertmanager",
    "teams",
    "gotify",
    "template",
];

fn segment(path: &str) -> String {
    path.split('/').nth(1).unwrap_or_default().to_owned()
}

fn json(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap_or_default()
}

fn well(host: watchbell_lab::runtime::Host, receivers: &Receivers) -> Lab {
    let setup = Setup {
        variables: receivers.variables(),
        ..Setup::default()
    };
    Lab::well(host, setup)
}

#[test]
fn every_channel_is_told_once_and_of_the_end() {
    on_each_host("every_channel_is_told_once_and_of_the_end", |host| {
        let receivers = Receivers::start();
        let lab = well(host, &receivers);
        lab.headscale.state(State::DatabaseDown);
        for channel in CHANNELS {
            receivers.wait_for(channel, 1);
        }
        lab.headscale.state(State::Healthy);
        for channel in CHANNELS {
            receivers.wait_for(channel, 2);
        }
        lab.wait_for_probes(2);
        for channel in CHANNELS {
            let all = receivers.of(channel);
            assert_eq!(all.len(), 2, "{channel}: {all:#?}");
            let words = ["headscale is down", "headscale is up again"];
            for ((_, request), words) in all.iter().zip(words) {
                let title = request.header("title").unwrap_or_default();
                let body = String::from_utf8_lossy(&request.body);
                let said = title.contains(words) || body.contains(words);
                assert!(said, "{channel}: {title} {body}");
            }
        }
        let (_, firing) = &receivers.of("alertmanager")[0];
        assert_eq!(firing.path, "/alertmanager/api/v2/alerts");
        let labels = |at: usize| json(&receivers.of("alertmanager")[at].1)[0]["labels"].clone();
        assert_eq!(labels(0), labels(1), "or the one would not end the other");
        let (_, gotify) = &receivers.of("gotify")[0];
        assert_eq!(gotify.header("x-gotify-key"), Some("Asecret"));
    });
}

/// One channel refuses, one asks for patience, one takes nothing: the others get everything,
/// and at once.
#[test]
fn a_channel_that_fails_holds_up_no_other() {
    on_each_host("a_channel_that_fails_holds_up_no_other", |host| {
        let receivers = Receivers::start();
        let lab = well(host, &receivers);
        let failing = |code| Response::new(code, "text/plain", "not now");
        receivers.answer("slack", Some(failing(500)));
        receivers.answer("discord", Some(failing(429).with("retry-after", "4")));
        lab.headscale.state(State::DatabaseDown);
        for channel in ["ntfy", "alertmanager", "teams", "gotify", "template"] {
            receivers.wait_for(channel, 1);
        }
        let tried = receivers.wait_for("discord", 2);
        let between = tried[1].0.duration_since(tried[0].0);
        assert!(
            between >= Duration::from_secs(4),
            "Retry-After: {between:?}"
        );
        receivers.wait_for("slack", 3);
        receivers.answer("slack", None);
        receivers.answer("discord", None);
        lab.headscale.state(State::Healthy);
        wait::until("the end in the ledger", || {
            let ledger = lab.runtime.state().ledger()?;
            let messages = ledger["outbox"]["messages"].as_array()?.len();
            (messages == 0 && receivers.of("teams").len() == 2).then_some(())
        });
        for channel in CHANNELS {
            let all = receivers.of(channel);
            let last = String::from_utf8_lossy(&all.last().unwrap().1.body).into_owned();
            let title = all
                .last()
                .unwrap()
                .1
                .header("title")
                .unwrap_or_default()
                .to_owned();
            let told = format!("{title} {last}").contains("up again");
            assert!(told, "{channel}: {last}");
        }
    });
}

/// A true Alertmanager accepts what we send, makes one alert of it, and ends it.
#[test]
fn alertmanager_groups_and_resolves_ours() {
    const TEST: &str = "alertmanager_groups_and_resolves_ours";
    on_each_host(TEST, |host| {
        let receivers = Receivers::start();
        let alertmanager = match Alertmanager::start(&receivers.url("/from-alertmanager")) {
            Ok(alertmanager) => alertmanager,
            Err(why) => return skip(TEST, &why),
        };
        let setup = Setup {
            variables: vec![(
                "alertmanager_url",
                format!("http://{}", alertmanager.addr()),
            )],
            ..Setup::default()
        };
        let lab = Lab::well(host, setup);
        lab.headscale.state(State::DatabaseDown);
        let told = receivers.wait_for("from-alertmanager", 1);
        let firing = alertmanager.firing();
        let [alert] = &firing[..] else {
            panic!("want one alert, got {firing:#?}");
        };
        assert_eq!(alert["labels"]["alertname"], "WatchbellIncident");
        assert_eq!(alert["annotations"]["cause"], "database");
        assert_eq!(json(&told[0].1)["status"], "firing");
        assert_eq!(json(&told[0].1)["groupLabels"]["service"], "headscale");
        lab.headscale.state(State::Healthy);
        let told = receivers.wait_for("from-alertmanager", 2);
        assert_eq!(json(&told[1].1)["status"], "resolved");
        assert!(alertmanager.firing().is_empty());
    });
}
