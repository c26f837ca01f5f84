//! What an operator says to a running application, by `watchbell` and by HTTP.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use watchbell_lab::command::operator;
use watchbell_lab::headscale::State;
use watchbell_lab::scenario::{Lab, Setup, alert, expect_checks, expect_opened, on_each_host};
use watchbell_lab::wait;
use watchbell_lab::webhook::Answers;

/// Long enough for an application to start, be well and break in.
const WINDOW: Duration = Duration::from_secs(30);
const TOKEN: &str = "an-operator-may";

fn with_token() -> Setup {
    Setup {
        variables: vec![("operator_token", TOKEN.to_owned())],
        ..Setup::default()
    }
}

/// `watchbell <arguments> --json` against the application.
fn say(lab: &Lab, token: &str, arguments: &[&str]) -> (i32, Value, String) {
    let arguments = [arguments, &["--json"]].concat();
    let answer = operator(&lab.runtime.url(), token, &arguments);
    let json = serde_json::from_str(&answer.text).unwrap_or_default();
    (answer.exit, json, answer.said)
}

#[test]
fn who_bears_no_token_says_nothing() {
    on_each_host("who_bears_no_token_says_nothing", |host| {
        let closed = Lab::well(host, Setup::default());
        let (exit, _, said) = say(&closed, TOKEN, &["incidents"]);
        assert_eq!(exit, 1);
        assert!(said.contains("operator_token is not set"), "{said}");
        drop(closed);
        let open = Lab::well(host, with_token());
        let (exit, _, said) = say(&open, "another", &["incidents"]);
        assert_eq!(exit, 1, "{said}");
        assert!(said.contains("401") && !said.contains(TOKEN), "{said}");
        let (exit, json, said) = say(&open, TOKEN, &["incidents"]);
        assert_eq!(
            (exit, &json["incidents"]),
            (0, &Value::Array(vec![])),
            "{said}"
        );
    });
}

#[test]
fn an_incident_is_listed_and_acknowledged() {
    on_each_host("an_incident_is_listed_and_acknowledged", |host| {
        let lab = Lab::well(host, with_token());
        lab.headscale.state(State::DatabaseDown);
        lab.webhook.wait_for(1);
        let (_, json, said) = say(&lab, TOKEN, &["incidents"]);
        let incident = &json["incidents"][0];
        assert_eq!(incident["cause"], "database", "{json:#} {said}");
        let id = incident["incident"].as_str().unwrap();
        let (exit, ..) = say(&lab, TOKEN, &["ack", "inc_nothing"]);
        assert_eq!(exit, 1, "no such incident");
        let (exit, json, said) = say(&lab, TOKEN, &["ack", &id[..12], "--by", "ada"]);
        assert_eq!(
            (exit, json["acknowledged"].as_str()),
            (0, Some(id)),
            "{said}"
        );
        let (_, json, _) = say(&lab, TOKEN, &["incidents"]);
        assert_eq!(json["incidents"][0]["acknowledged_by"], "ada", "at once");
        let told = lab.webhook.wait_for(2);
        assert_eq!(told[1].kind, "alert.acknowledged");
        assert_eq!(told[1].data("acknowledged")["by"], "ada");
        assert_eq!(told[1].data("incident"), id);
        lab.headscale.state(State::Healthy);
        assert_eq!(lab.webhook.wait_for(3)[2].kind, "alert.resolved");
    });
}

#[test]
fn a_silence_is_summed_up_when_it_ends() {
    on_each_host("a_silence_is_summed_up_when_it_ends", |host| {
        let mut lab = Lab::well(host, with_token());
        let (exit, json, said) = say(&lab, TOKEN, &["silence", "1h", "--comment", "a test"]);
        assert_eq!(exit, 0, "{said}");
        lab.headscale.state(State::DatabaseDown);
        wait::until("the incident to be open", || {
            let (_, json, _) = say(&lab, TOKEN, &["incidents"]);
            json["incidents"][0].is_object().then_some(())
        });
        lab.headscale.state(State::Healthy);
        lab.wait_for_status("up");
        lab.wait_for_probes(2);
        assert!(
            lab.webhook.deliveries().is_empty(),
            "nothing is said in a silence"
        );
        let id = json["id"].as_str().unwrap();
        let (exit, _, said) = say(&lab, TOKEN, &["end", id]);
        assert_eq!(exit, 0, "{said}");
        let (_, json, _) = say(&lab, TOKEN, &["incidents"]);
        assert_eq!(json["windows"], Value::Array(vec![]), "ended at once");
        let told = lab.webhook.wait_for(1);
        assert_eq!(told[0].kind, "alert.summary", "{told:#?}");
        assert_eq!(told[0].data("held_by"), "silence");
        assert_eq!(told[0].data("incidents")[0]["checks"][0]["check"], "health");
    });
}

#[test]
fn what_is_still_down_after_maintenance_is_told_at_once() {
    on_each_host("what_is_still_down_after_maintenance", |host| {
        let lab = Lab::well(host, with_token());
        let (_, json, _) = say(
            &lab,
            TOKEN,
            &["maintenance", "1h", "--service", "headscale"],
        );
        lab.headscale.state(State::DatabaseDown);
        wait::until("the incident to be open", || {
            let (_, json, _) = say(&lab, TOKEN, &["incidents"]);
            json["incidents"][0].is_object().then_some(())
        });
        lab.wait_for_probes(2);
        assert!(lab.webhook.deliveries().is_empty(), "no alert inside");
        say(&lab, TOKEN, &["end", json["id"].as_str().unwrap()]);
        let health = [alert("health", "status")];
        expect_opened("database", &lab.webhook.wait_for(1), &health);
        lab.headscale.state(State::Healthy);
        expect_checks(&lab.webhook.wait_for(2)[1], &health);
    });
}

/// Maintenance that comes again and is on: what breaks and mends inside is told by nobody,
/// and of another service everything is.
#[test]
fn what_comes_and_goes_in_recurring_maintenance_is_told_by_nobody() {
    on_each_host("what_comes_and_goes_in_recurring_maintenance", |host| {
        let setup = |service: &str| Setup {
            variables: vec![("maintenance", format!("0 0 0 * * * 24h {service}"))],
            ..Setup::default()
        };
        let lab = Lab::well(host, setup("headscale"));
        let is_open = |open: bool| {
            wait::until("the incident in the ledger", || {
                let ledger = lab.runtime.state().ledger()?;
                let incident = &ledger["services"]["headscale"]["service"]["open"];
                (incident.is_object() == open).then_some(())
            });
        };
        lab.headscale.state(State::DatabaseDown);
        is_open(true);
        lab.wait_for_probes(2);
        lab.headscale.state(State::Healthy);
        is_open(false);
        lab.wait_for_probes(2);
        let said = lab.webhook.deliveries();
        assert!(said.is_empty(), "{said:#?}");
        drop(lab);
        let lab = Lab::well(host, setup("mail"));
        lab.headscale.state(State::DatabaseDown);
        let told = lab.webhook.wait_for(1);
        expect_opened("database", &told, &[alert("health", "status")]);
    });
}

/// What is still down when a recurring window ends is told then, without being asked.
#[test]
fn what_is_still_down_after_recurring_maintenance_is_told_at_its_end() {
    on_each_host("what_is_still_down_after_recurring_maintenance", |host| {
        let begins = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let of_day = begins.as_secs() % 86_400;
        let (h, m, s) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
        let lasts = WINDOW.as_secs();
        let maintenance = format!("{s} {m} {h} * * * {lasts}s");
        let setup = Setup {
            variables: vec![("maintenance", maintenance)],
            ..Setup::default()
        };
        let lab = Lab::well(host, setup);
        lab.headscale.state(State::DatabaseDown);
        let health = [alert("health", "status")];
        let told = lab.webhook.wait_for(1);
        expect_opened("database", &told, &health);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let ends = Duration::from_secs(begins.as_secs()) + WINDOW;
        let after = now.checked_sub(ends + told[0].at.elapsed());
        let after = after.expect("no alert inside");
        println!("the window's end to the message: {after:?}");
        let since = told[0].data("failing_since").as_str().unwrap();
        let opened = told[0].data("opened_at").as_str().unwrap();
        assert!(since <= opened, "{told:#?}");
        lab.headscale.state(State::Healthy);
        expect_checks(&lab.webhook.wait_for(2)[1], &health);
    });
}

#[test]
fn a_test_alert_says_what_each_channel_answered() {
    on_each_host("a_test_alert_says_what_each_channel_answered", |host| {
        let lab = Lab::well(host, with_token());
        let (exit, json, said) = say(&lab, TOKEN, &["test-alert"]);
        assert_eq!(exit, 0, "{said}");
        assert_eq!(json["results"].as_array().unwrap().len(), 2, "{json:#}");
        let told = lab.webhook.wait_for(2);
        let kinds: Vec<&str> = told.iter().map(|d| d.kind.as_str()).collect();
        assert_eq!(kinds, ["alert.triggered", "alert.resolved"]);
        assert!(told.iter().all(|d| d.data("test") == true), "{told:#?}");
        let (exit, _, said) = say(&lab, TOKEN, &["test-alert", "slack"]);
        assert!(exit == 1 && said.contains("webhook"), "{said}");
        lab.webhook.answers(Answers::Status(503));
        let (exit, json, _) = say(&lab, TOKEN, &["test-alert", "webhook"]);
        assert_eq!(exit, 1);
        let error = json["results"][0]["error"].as_str().unwrap();
        assert!(error.contains("status 503"), "{error}");
    });
}

/// What was refused for good waits for the operator.
#[test]
fn a_dead_letter_is_sent_again_when_asked() {
    on_each_host("a_dead_letter_is_sent_again_when_asked", |host| {
        let mut setup = with_token();
        setup.changes.variables = vec![("alert", "webhook_attempts_max", "1".to_owned())];
        let lab = Lab::well(host, setup);
        lab.webhook.answers(Answers::Status(400));
        lab.headscale.state(State::DatabaseDown);
        let dead = wait::until("the dead letter", || {
            let (_, json, _) = say(&lab, TOKEN, &["incidents"]);
            let dead = json["dead_letters"][0].clone();
            dead.is_object().then_some(dead)
        });
        assert!(
            dead["error"].as_str().unwrap().contains("status 400"),
            "{dead:#}"
        );
        lab.webhook.answers(Answers::Ok);
        let (exit, _, said) = say(&lab, TOKEN, &["resend"]);
        assert_eq!(exit, 0, "{said}");
        let told = lab.webhook.wait_for(1);
        assert_eq!(told[0].id, dead["id"].as_str().unwrap());
    });
}

#[test]
fn a_check_that_is_gone_is_forgotten() {
    on_each_host("a_check_that_is_gone_is_forgotten", |host| {
        let lab = Lab::well(host, with_token());
        let (exit, _, said) = say(&lab, TOKEN, &["forget", "no-such-check"]);
        assert!(exit == 1 && said.contains("404"), "{said}");
        let (exit, json, said) = say(&lab, TOKEN, &["forget", "derp"]);
        assert_eq!(
            (exit, json["forgotten"].as_str()),
            (0, Some("derp")),
            "{said}"
        );
    });
}
