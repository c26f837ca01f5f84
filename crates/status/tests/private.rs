//! Records with something secret in every text that they have: what everybody may ask for
//! shows none of it.

#![allow(clippy::unwrap_used)]

#[path = "../../core/tests/support/store.rs"]
mod store;
mod support;

use store::InMemory;
use support::{NOW, OPEN, OVER, SECRET, records};
use watchbell_core::settings::{AlertSettings, StatusSettings};
use watchbell_core::store::{LEDGER, PAST, monitor_key, write};
use watchbell_status::{Request, Verb, respond};

const TOKEN: &str = "the-token-that-shows-all";

fn stored() -> InMemory {
    let store = InMemory::default();
    store.now.set(NOW);
    let records = records();
    for monitor in &records.monitors {
        write(&store, &monitor_key(&monitor.definition.check), monitor).unwrap();
    }
    write(&store, LEDGER, &records.ledger).unwrap();
    write(&store, PAST, &records.past).unwrap();
    store
}

/// Everything that can be asked for, and some of what cannot.
fn paths() -> Vec<String> {
    let mut paths: Vec<String> = [
        "/",
        "/session",
        "/health",
        "/metrics",
        "/incidents.atom",
        "/badge/state.svg",
        "/badge/service/headscale/state.svg",
        "/api/v1/status",
        "/api/v1/checks",
        "/api/v1/incidents",
        "/api/v1/delivery",
        "/api/v1/openapi.json",
        "/nothing",
        "/api/v1/nothing",
    ]
    .map(str::to_owned)
    .to_vec();
    for monitor in records().monitors {
        let check = monitor.definition.check;
        paths.push(format!("/check/{check}"));
        paths.push(format!("/api/v1/checks/{check}"));
        for resolution in ["probe", "hour", "day", "none"] {
            paths.push(format!(
                "/api/v1/checks/{check}/history?resolution={resolution}"
            ));
        }
        for badge in [
            "state",
            "uptime",
            "uptime-week",
            "latency",
            "certificate",
            "none",
        ] {
            paths.push(format!("/badge/{check}/{badge}.svg"));
        }
    }
    for incident in [OPEN, OVER, "inc_none"] {
        paths.push(format!("/incident/{incident}"));
        paths.push(format!("/api/v1/incidents/{incident}"));
    }
    paths
}

fn ask(store: &InMemory, path: &str, token: bool) -> String {
    let settings = StatusSettings {
        title: "Ours".into(),
        token: Some(TOKEN.into()),
        public: true,
        sweep_interval: AlertSettings::SWEEP_INTERVAL,
    };
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let authorization = if token {
        format!("Bearer {TOKEN}")
    } else {
        String::new()
    };
    let request = Request {
        verb: Verb::Get,
        path,
        query,
        authorization: &authorization,
        cookie: "",
        accept: "text/html",
        if_none_match: "",
        secure: false,
        body: b"",
    };
    let response = respond(store, &settings, &request);
    let headers = response.headers.into_iter().map(|(_, value)| value);
    let body = String::from_utf8(response.body).unwrap();
    headers.chain([body]).collect::<Vec<_>>().join("\n")
}

#[test]
fn without_the_token_nothing_secret_is_shown_anywhere() {
    let store = stored();
    let all = paths();
    assert!(all.len() > 80, "{}", all.len());
    for path in all {
        let shown = ask(&store, &path, false);
        assert!(!shown.contains(SECRET), "{path}: {shown}");
        for word in ["database", "r13", "R13", "runbook", "dead letter"] {
            let described = path.ends_with("openapi.json") || path == "/metrics";
            assert!(
                described || !shown.contains(word),
                "{path}: {word} in {shown}"
            );
        }
        assert!(!shown.contains(TOKEN), "{path}");
    }
}

/// Or the test above would pass over nothing.
#[test]
fn with_the_token_it_is_there_to_be_seen() {
    let store = stored();
    for path in [
        "/",
        "/check/control",
        "/api/v1/checks",
        "/api/v1/delivery",
        "/incidents.atom",
    ] {
        let shown = ask(&store, path, true);
        assert!(shown.contains(SECRET), "{path}: {shown}");
    }
    for path in [
        format!("/incident/{OPEN}"),
        format!("/api/v1/incidents/{OVER}"),
    ] {
        assert!(ask(&store, &path, true).contains(SECRET), "{path}");
    }
}
