//! What is shown, through the shipped wasm: page, API, own health, metrics, badges, feed,
//! and `watchbell status` and `explain` over them.

#![allow(clippy::unwrap_used)]

use std::process::Command;

use serde_json::Value;
use watchbell_lab::command::Answer;
use watchbell_lab::headscale::State;
use watchbell_lab::manifest::CHECKS;
use watchbell_lab::runtime::hosts;
use watchbell_lab::scenario::{Lab, Setup, on_each_host};
use watchbell_lab::wasm::WATCHBELL;
use watchbell_lab::wire::Response;
use watchbell_lab::{skip, wait};

const TOKEN: &str = "who-bears-this-sees-all";

fn with_token() -> Setup {
    Setup {
        variables: vec![("status_token", TOKEN.to_owned())],
        ..Setup::default()
    }
}

fn get(lab: &Lab, path: &str, headers: &[(&str, &str)]) -> Response {
    lab.runtime.request(path, headers).unwrap()
}

fn full(lab: &Lab, path: &str) -> Response {
    get(lab, path, &[("authorization", &format!("Bearer {TOKEN}"))])
}

fn json(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

fn text(response: &Response) -> String {
    String::from_utf8(response.body.clone()).unwrap()
}

/// Until the answer is as it should be.
fn until(lab: &Lab, what: &str, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    wait::until(what, || {
        let answer = json(&full(lab, path));
        holds(&answer).then_some(answer)
    })
}

/// `watchbell <arguments>` against the application.
fn watchbell(lab: &Lab, token: Option<&str>, arguments: &[&str]) -> Answer {
    let mut command = Command::new(&*WATCHBELL);
    command
        .args(arguments)
        .args(["--url", &lab.runtime.url()])
        .env_remove("WATCHBELL_STATUS_TOKEN");
    if let Some(token) = token {
        command.env("WATCHBELL_STATUS_TOKEN", token);
    }
    Answer::of(&mut command)
}

#[test]
fn an_outage_is_seen_while_it_lasts_and_remembered_after_it() {
    on_each_host("an_outage_is_seen_while_it_lasts", |host| {
        let lab = Lab::well(host, with_token());
        let status = until(&lab, "everything to be up", "/api/v1/status", |s| {
            s["state"] == "up"
        });
        // STUN is switched off in the lab, and of what is off nothing is said.
        let summary = format!("all {} checks are up", CHECKS.len());
        assert_eq!(status["summary"], summary);
        lab.headscale.state(State::DatabaseDown);
        let status = until(&lab, "the outage to be shown", "/api/v1/status", |s| {
            s["incidents"][0]["cause"] == "database"
        });
        assert_eq!(
            (&status["state"], &status["services"][0]["state"]),
            (&"down".into(), &"down".into())
        );
        let incident = &status["incidents"][0];
        let id = incident["incident"].as_str().unwrap();
        assert_eq!(
            lab.webhook.wait_for(1)[0].data("incident"),
            id,
            "the webhook's words"
        );
        let public = json(&get(&lab, "/api/v1/status", &[]));
        assert_eq!(public["incidents"][0]["summary"], "headscale is down");
        assert_eq!(public["incidents"][0].get("cause"), None);
        let page = text(&get(&lab, "/", &[]));
        assert!(
            page.contains("headscale is down") && !page.contains("127.0.0.1"),
            "{page}"
        );
        assert!(text(&full(&lab, "/")).contains("status 500, want 200"));
        assert!(text(&full(&lab, &format!("/incident/{id}"))).contains("database"));
        assert!(text(&get(&lab, "/badge/state.svg", &[])).contains("down"));
        assert!(
            text(&get(&lab, "/metrics", &[]))
                .contains("probe_success{check=\"health\",service=\"headscale\"} 0")
        );

        let shown = watchbell(&lab, Some(TOKEN), &["status"]);
        assert_eq!(shown.exit, 1, "{shown:?}");
        assert!(
            shown.text.contains("database") && shown.text.contains("health"),
            "{}",
            shown.text
        );
        let hidden = watchbell(&lab, None, &["status", "--json"]);
        assert_eq!(hidden.json()["incidents"][0].get("cause"), None);
        assert!(!hidden.text.contains("127.0.0.1"), "{}", hidden.text);
        let why = watchbell(&lab, Some(TOKEN), &["explain", "health"]);
        assert!(
            why.text.contains("it is down") && why.text.contains("status 500"),
            "{}",
            why.text
        );
        assert!(
            why.text.contains("it needs 1 success to be up again"),
            "{}",
            why.text
        );

        lab.headscale.state(State::Healthy);
        let past = until(
            &lab,
            "the end to be shown",
            "/api/v1/incidents?state=resolved",
            |i| i["incidents"][0].is_object(),
        );
        let over = &past["incidents"][0];
        assert_eq!(
            (&over["incident"], &over["cause"]),
            (&id.into(), &"database".into())
        );
        assert!(
            over["resolved_at"].is_string() && over["duration_s"].is_u64(),
            "{over}"
        );
        let feed = text(&get(&lab, "/incidents.atom", &[]));
        assert!(feed.contains(&format!("/incident/{id}")), "{feed}");
        let down = json(&full(&lab, "/api/v1/checks/health"))["uptime"]["day"]["down_s"].clone();
        assert!(down.as_u64().unwrap() >= 1, "{down}");
        assert_eq!(watchbell(&lab, None, &["status"]).exit, 0);
    });
}

#[test]
fn a_failure_under_way_is_explained_with_what_is_missing() {
    on_each_host("a_failure_under_way_is_explained", |host| {
        let mut setup = with_token();
        // Not reached within this test.
        setup.changes.variables = vec![("health", "failure_threshold", "100".to_owned())];
        let lab = Lab::well(host, setup);
        lab.headscale.state(State::DatabaseDown);
        until(
            &lab,
            "the failure to be pending",
            "/api/v1/checks/health",
            |c| c["state"] == "pending",
        );
        let why = watchbell(&lab, None, &["explain", "health"]);
        assert!(why.text.contains("of 100 failures"), "{}", why.text);
        assert!(!why.text.contains("500"), "{}", why.text);
        let none = watchbell(&lab, None, &["explain", "none"]);
        assert_eq!(none.exit, 1);
        assert!(
            none.said.contains("no check \"none\" has a record"),
            "{}",
            none.said
        );
        assert_eq!(watchbell(&lab, None, &["explain", "../status"]).exit, 1);
    });
}

#[test]
fn certificates_are_shown_with_their_marks() {
    on_each_host("certificates_are_shown_with_their_marks", |host| {
        let lab = Lab::well(host, with_token());
        let shown = until(&lab, "the certificate", "/api/v1/checks/certificate", |c| {
            c["certificate"].is_object()
        });
        let certificate = &shown["certificate"];
        assert!(
            certificate["days_left"].as_i64().unwrap() > 30,
            "{certificate}"
        );
        assert_eq!(certificate["thresholds"].as_array().unwrap().len(), 5);
        assert!(
            certificate["issuer"]
                .as_str()
                .unwrap()
                .contains("Watchbell"),
            "{certificate}"
        );
        let public = json(&get(&lab, "/api/v1/checks/certificate", &[]));
        assert_eq!(public["certificate"].get("issuer"), None);
        assert!(
            text(&full(&lab, "/metrics"))
                .contains("probe_ssl_earliest_cert_expiry{check=\"certificate\"")
        );
    });
}

#[test]
fn own_health_is_told_to_whoever_watches_the_watch() {
    on_each_host("own_health_is_told", |host| {
        let lab = Lab::well(host, Setup::default());
        let health = wait::until("the alert component to have run", || {
            let answer = get(&lab, "/health", &[]);
            (answer.status == 200 && json(&answer)["status"] == "pass").then_some(answer)
        });
        assert_eq!(
            health.header("content-type"),
            Some("application/health+json")
        );
    });
}

#[test]
fn the_form_signs_in_and_other_routes_stay_theirs() {
    on_each_host("the_form_signs_in", |host| {
        let lab = Lab::well(host, with_token());
        let page = get(&lab, "/session", &[]);
        assert_eq!(page.status, 200);
        assert!(
            page.header("content-security-policy")
                .unwrap()
                .contains("default-src 'none'")
        );
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .max_redirects(0)
            .http_status_as_error(false)
            .build()
            .into();
        let url = format!("{}/session", lab.runtime.url());
        let answer = agent
            .post(&url)
            .header("content-type", "application/x-www-form-urlencoded")
            .send(format!("token={TOKEN}"))
            .unwrap();
        assert_eq!(answer.status(), 303);
        let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
        let cookie = cookie.split(';').next().unwrap();
        let seen = get(&lab, "/api/v1/delivery", &[("cookie", cookie)]);
        assert_eq!(seen.status, 200, "{}", text(&seen));
        assert_eq!(get(&lab, "/api/v1/delivery", &[]).status, 401);
        assert_eq!(get(&lab, "/nothing", &[]).status, 404);
        // The longer route wins.
        assert_eq!(get(&lab, "/run/health", &[]).status, 401);
        assert_eq!(get(&lab, "/operator/incidents", &[]).status, 403);
    });
}

/// Requests made up from the description, right and wrong ones: no 500, and nothing that the
/// description does not say.
#[test]
fn the_api_is_as_it_is_described_whatever_is_asked() {
    const TEST: &str = "the_api_is_as_it_is_described";
    let Some(schemathesis) = skip::program(&["schemathesis"]) else {
        return skip::skip(TEST, "no schemathesis on PATH (pip install schemathesis)");
    };
    let lab = Lab::well(hosts(TEST)[0], with_token());
    lab.headscale.state(State::DatabaseDown);
    lab.webhook.wait_for(1);
    for token in [None, Some(TOKEN)] {
        let mut command = Command::new(&schemathesis);
        command
            .arg("run")
            .arg(format!("{}/api/v1/openapi.json", lab.runtime.url()))
            // The same requests each time.
            .args(["--seed", "1", "--max-examples", "25", "--no-color"])
            .args(["--checks", "all", "--exclude-checks", "unsupported_method"])
            .current_dir(lab.runtime.state_dir());
        if let Some(token) = token {
            command.args(["--header", &format!("Authorization: Bearer {token}")]);
        }
        let answer = Answer::of(&mut command);
        assert_eq!(answer.exit, 0, "{token:?}: {}{}", answer.text, answer.said);
    }
}
