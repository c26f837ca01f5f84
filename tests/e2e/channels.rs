//! Every channel at once, each to a server of the lab's: what comes through the shipped wasm,
//! and how one that fails holds up no other. (What is sent word for word is in the core's
//! golden files.)

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use serde_json::Value;
use watchbell_lab::headscale::State;
use watchbell_lab::real::Alertmanager;
use watchbell_lab::receivers::Receivers;
use watchbell_lab::scenario::{Lab, Setup, on_each_host};
use watchbell_lab::skip::skip;
use watchbell_lab::wait;
use watchbell_lab::wire::{Request, Response};

const CHANNELS: [&str; 7] = [
    "slack",
    "discord",
    "ntfy",
    "alertmanager",
    "teams",
    "gotify",
    "template",
];

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
