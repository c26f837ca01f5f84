//! Requests and their answers, over records as checks and the alert component write them.

#![allow(clippy::unwrap_used)]

#[path = "../../core/tests/support/store.rs"]
mod store;
#[path = "../../core/tests/support/mod.rs"]
mod support;

use std::time::Duration;

use serde_json::Value;
use store::InMemory;
use support::{down, policy, up};
use watchbell_core::counting::{Probed, count, load};
use watchbell_core::measured::Measured;
use watchbell_core::monitor::{Definition, Monitor};
use watchbell_core::outcome::Outcome;
use watchbell_core::settings::{AlertSettings, StatusSettings};
use watchbell_core::store::{Store, monitor_key, read};
use watchbell_core::time::UnixMs;
use watchbell_status::{Request, Response, Verb, respond};

const NOW_S: u64 = 1_795_050_000;
const TOKEN: &str = "the-token-that-shows-all";
/// What a check asks, and what it found: never shown without the token.
const TARGET: &str = "https://hidden.example.com/health";
const DETAIL: &str = "status 500, want 200";

fn settings(token: Option<&str>, public: bool) -> StatusSettings {
    StatusSettings {
        title: "Ours".into(),
        token: token.map(str::to_owned),
        public,
        sweep_interval: AlertSettings::SWEEP_INTERVAL,
    }
}

/// A check that was probed every minute of the last `minutes`, the last time just now.
fn probe(store: &InMemory, check: &str, minutes: u64, outcome: &Outcome) {
    for minute in 0..=minutes {
        let now = UnixMs((NOW_S - (minutes - minute) * 60) * 1_000);
        store.now.set(now);
        let found = read::<Monitor>(store, &monitor_key(check)).unwrap();
        let definition = Definition {
            check: check.into(),
            target: TARGET.into(),
            ..support::definition()
        };
        let monitor = load(found, &definition, now);
        let probed = Probed {
            outcome: outcome.clone(),
            measured: Measured {
                duration_ms: 21,
                ..Measured::default()
            },
        };
        count(store, monitor, &policy(), &probed, true, now).unwrap();
    }
}

/// One that is up, and one that has just become down.
fn two() -> InMemory {
    let store = InMemory::default();
    probe(&store, "health", 90, &up());
    probe(&store, "key", 90, &down());
    store
}

const GET: Request<'static> = Request {
    verb: Verb::Get,
    path: "/",
    query: "",
    authorization: "",
    cookie: "",
    accept: "text/html",
    if_none_match: "",
    secure: false,
    body: b"",
};

fn bearing<'a>(path: &'a str) -> Request<'a> {
    Request {
        path,
        authorization: "Bearer the-token-that-shows-all",
        ..GET
    }
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    let mut all = response.headers.iter();
    all.find_map(|(n, v)| (*n == name).then_some(v.as_str()))
}

fn json(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

/// Whatever shows something.
const PATHS: [&str; 12] = [
    "/",
    "/check/health",
    "/check/key",
    "/api/v1/status",
    "/api/v1/checks",
    "/api/v1/checks/key",
    "/api/v1/checks/key/history",
    "/api/v1/incidents",
    "/metrics",
    "/incidents.atom",
    "/badge/state.svg",
    "/badge/key/state.svg",
];

#[test]
fn without_the_token_no_target_detail_or_error_is_shown() {
    let store = two();
    for settings in [settings(None, true), settings(Some(TOKEN), true)] {
        for path in PATHS {
            let response = respond(&store, &settings, &Request { path, ..GET });
            assert_eq!(response.status, 200, "{path}");
            let text = String::from_utf8(response.body).unwrap();
            for hidden in ["hidden.example.com", DETAIL, "500", TOKEN] {
                // A status is no port, and a number elsewhere no status.
                let shown = text.contains(hidden) && !(hidden == "500" && path == "/metrics");
                assert!(!shown, "{path}: {hidden} in {text}");
            }
        }
    }
}

#[test]
fn with_the_token_all_is_shown_but_the_token() {
    let store = two();
    let settings = settings(Some(TOKEN), true);
    for (path, wants) in [
        ("/", &[DETAIL][..]),
        ("/check/key", &[DETAIL, TARGET]),
        ("/api/v1/status", &[DETAIL, TARGET]),
        ("/api/v1/checks/key", &[DETAIL, TARGET]),
    ] {
        let response = respond(&store, &settings, &bearing(path));
        let text = String::from_utf8(response.body).unwrap();
        for want in wants {
            assert!(text.contains(want), "{path}: {want} not in {text}");
        }
        assert!(!text.contains(TOKEN), "{path}");
    }
}

#[test]
fn what_is_not_public_needs_the_token_everywhere_but_for_own_health() {
    let store = two();
    let settings = settings(Some(TOKEN), false);
    for path in PATHS {
        let response = respond(&store, &settings, &Request { path, ..GET });
        assert_eq!(response.status, 401, "{path}");
        let text = String::from_utf8(response.body).unwrap();
        assert!(!text.contains("headscale"), "{path}: {text}");
        assert_eq!(
            respond(&store, &settings, &bearing(path)).status,
            200,
            "{path}"
        );
    }
    let health = respond(
        &store,
        &settings,
        &Request {
            path: "/health",
            ..GET
        },
    );
    assert_ne!(health.status, 401);
}

#[test]
fn mistaken_variables_show_nothing() {
    let store = two();
    let closed = StatusSettings::closed();
    for path in PATHS {
        assert_eq!(
            respond(&store, &closed, &Request { path, ..GET }).status,
            503,
            "{path}"
        );
        assert_eq!(
            respond(&store, &closed, &bearing(path)).status,
            503,
            "{path}"
        );
    }
}

#[test]
fn another_token_is_no_token() {
    let store = two();
    let settings = settings(Some(TOKEN), true);
    for authorization in [
        "Bearer the-token-that-shows-al",
        "Bearer ",
        "",
        "Basic dGhl",
        TOKEN,
    ] {
        let request = Request {
            authorization,
            path: "/api/v1/delivery",
            ..GET
        };
        assert_eq!(
            respond(&store, &settings, &request).status,
            401,
            "{authorization:?}"
        );
    }
}

/// Whoever followed a link from an alert gets there, and nobody's link leads elsewhere.
#[test]
fn who_signs_in_comes_to_the_page_that_was_asked_for() {
    let store = two();
    let ours = settings(Some(TOKEN), false);
    for (asked, to) in [
        ("/check/health", "/check/health"),
        ("/incident/inc_0123", "/incident/inc_0123"),
        ("/", "/"),
        ("/metrics", "/"),
        ("/check/", "/"),
        ("/check/a/../../session/end", "/"),
        ("/check/%0d%0aset-cookie:x", "/"),
        ("//evil.example/check/x", "/"),
        ("/check/x\"><script>", "/"),
    ] {
        let page = Request {
            path: asked,
            accept: "text/html",
            ..GET
        };
        let page = respond(&store, &ours, &page);
        let text = String::from_utf8(page.body).unwrap();
        let hidden = format!("name=\"to\" value=\"{to}\"");
        assert_eq!(text.contains(&hidden), to != "/", "{asked}: {text}");
        let body = format!("token={TOKEN}&to={}", asked.replace('%', "%25"));
        let form = Request {
            verb: Verb::Post,
            path: "/session",
            body: body.as_bytes(),
            ..GET
        };
        let response = respond(&store, &ours, &form);
        assert_eq!(
            (response.status, header(&response, "location")),
            (303, Some(to)),
            "{asked}"
        );
    }
}

#[test]
fn the_form_gives_a_cookie_that_ends_by_itself_and_with_the_token() {
    let store = two();
    let ours = settings(Some(TOKEN), true);
    let post = |body: &'static [u8]| Request {
        verb: Verb::Post,
        path: "/session",
        body,
        ..GET
    };
    assert_eq!(respond(&store, &ours, &post(b"token=wrong")).status, 403);
    assert_eq!(respond(&store, &ours, &post(b"")).status, 403);
    let response = respond(&store, &ours, &post(b"token=the-token-that-shows-all"));
    assert_eq!(
        (response.status, header(&response, "location")),
        (303, Some("/"))
    );
    let set = header(&response, "set-cookie").unwrap();
    for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2592000"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Secure") && !set.contains(TOKEN), "{set}");
    let over_tls = Request {
        secure: true,
        ..post(b"token=the-token-that-shows-all")
    };
    assert!(
        header(&respond(&store, &ours, &over_tls), "set-cookie")
            .unwrap()
            .ends_with("; Secure")
    );

    let cookie = set.split(';').next().unwrap();
    let sees = |settings: &StatusSettings, cookie: &str| {
        let request = Request {
            path: "/api/v1/delivery",
            cookie,
            ..GET
        };
        respond(&store, settings, &request).status == 200
    };
    assert!(sees(&ours, cookie));
    assert!(sees(&ours, &format!("other=1; {cookie}")));
    assert!(!sees(
        &settings(Some("another-token-of-theirs"), true),
        cookie
    ));
    assert!(!sees(&settings(None, true), cookie));
    // Its end is sealed with it.
    let (_, seal) = cookie.split_once('.').unwrap();
    assert!(!sees(&ours, &format!("watchbell=9999999999.{seal}")));
    assert!(!sees(&ours, "watchbell="));
    store.now.set(UnixMs((NOW_S + 30 * 86_400) * 1_000));
    assert!(!sees(&ours, cookie));

    let end = Request {
        verb: Verb::Post,
        path: "/session/end",
        ..GET
    };
    let ended = respond(&store, &ours, &end);
    assert!(
        header(&ended, "set-cookie")
            .unwrap()
            .starts_with("watchbell=; Path=/; Max-Age=0")
    );
}

#[test]
fn who_has_it_already_gets_a_304_and_a_head_no_body() {
    let store = two();
    let settings = settings(None, true);
    let ask = |if_none_match: &str, verb| {
        let request = Request {
            path: "/api/v1/status",
            if_none_match,
            verb,
            ..GET
        };
        respond(&store, &settings, &request)
    };
    let first = ask("", Verb::Get);
    let tag = header(&first, "etag").unwrap().to_owned();
    assert_eq!(header(&first, "cache-control"), Some("public, max-age=10"));
    for (known, want) in [
        (tag.clone(), 304),
        (format!("W/{tag}"), 304),
        (format!("\"x\", {tag}"), 304),
        ("*".into(), 304),
        ("\"x\"".into(), 200),
    ] {
        let again = ask(&known, Verb::Get);
        assert_eq!(
            (again.status, again.body.is_empty()),
            (want, want == 304),
            "{known}"
        );
        assert_eq!(header(&again, "etag"), Some(tag.as_str()));
    }
    assert_eq!(ask("", Verb::Head).body, b"");
    // Nothing has run since: the answer is the same some seconds later.
    store.now.set(UnixMs(store.now.get().0 + 5_000));
    assert_eq!(header(&ask("", Verb::Get), "etag"), Some(tag.as_str()));
    let full = respond(
        &store,
        &self::settings(Some(TOKEN), true),
        &bearing("/api/v1/status"),
    );
    assert_eq!(header(&full, "cache-control"), Some("private, no-cache"));
}

#[test]
fn only_what_is_there_is_found_and_only_by_its_verbs() {
    let store = two();
    let settings = settings(Some(TOKEN), true);
    for (verb, path, query, want) in [
        (Verb::Get, "/nothing", "", 404),
        (Verb::Get, "/check/none", "", 404),
        (Verb::Get, "/incident/inc_none", "", 404),
        (Verb::Get, "/api/v1/nothing", "", 404),
        (Verb::Get, "/api/v2/status", "", 404),
        (Verb::Get, "/api/v1/checks/none", "", 404),
        (
            Verb::Get,
            "/api/v1/checks/key/history",
            "resolution=week",
            400,
        ),
        (Verb::Get, "/api/v1/checks", "limit=0", 400),
        (Verb::Get, "/api/v1/checks", "limit=101", 400),
        (Verb::Get, "/api/v1/checks", "limit=x", 400),
        (Verb::Get, "/api/v1/incidents", "state=half", 400),
        (Verb::Get, "/badge/none/state.svg", "", 404),
        (Verb::Get, "/badge/key/other.svg", "", 404),
        (Verb::Get, "/badge/key/uptime-hour.svg", "", 404),
        (Verb::Get, "/badge/key/uptime-week.svg", "", 200),
        (Verb::Get, "/badge/service/headscale/state.svg", "", 200),
        (Verb::Post, "/", "", 405),
        (Verb::Other, "/api/v1/status", "", 405),
        (Verb::Post, "/api/v1/status", "", 405),
        (Verb::Other, "/session", "", 405),
    ] {
        let request = Request {
            verb,
            path,
            query,
            ..GET
        };
        let response = respond(&store, &settings, &request);
        assert_eq!(response.status, want, "{verb:?} {path}?{query}");
        if want == 405 {
            assert!(header(&response, "allow").is_some(), "{path}");
        }
        if path.starts_with("/api/") {
            assert!(json(&response)["error"].is_string(), "{path}");
        }
    }
}

#[test]
fn many_checks_come_page_by_page_each_once() {
    let store = InMemory::default();
    for n in 0..7 {
        probe(&store, &format!("check-{n}"), 1, &up());
    }
    let settings = settings(None, true);
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let query = format!("limit=3&after={after}");
        let request = Request {
            path: "/api/v1/checks",
            query: &query,
            ..GET
        };
        let page = json(&respond(&store, &settings, &request));
        let ids = page["checks"].as_array().unwrap().iter();
        seen.extend(ids.map(|c| c["check"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    let want: Vec<String> = (0..7).map(|n| format!("check-{n}")).collect();
    assert_eq!(seen, want);
}

#[test]
fn a_state_is_what_is_confirmed_and_recent() {
    let store = InMemory::default();
    probe(&store, "well", 10, &up());
    probe(&store, "failing", 0, &down());
    probe(&store, "gone", 10, &down());
    let state = |check: &str| {
        let path = format!("/api/v1/checks/{check}");
        let answer = respond(
            &store,
            &settings(None, true),
            &Request { path: &path, ..GET },
        );
        json(&answer)["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (state("well"), state("failing"), state("gone")),
        ("up".into(), "pending".into(), "down".into())
    );
    // Three intervals and a firing's jitter without a run.
    store.now.set(UnixMs((NOW_S + 241) * 1_000));
    assert_eq!(
        (state("well"), state("gone")),
        ("unknown".into(), "unknown".into())
    );
    store.set("monitor/broken", b"{").unwrap();
    let answer = respond(
        &store,
        &settings(None, true),
        &Request {
            path: "/api/v1/status",
            ..GET
        },
    );
    let services = json(&answer)["services"].clone();
    let broken = services
        .as_array()
        .unwrap()
        .iter()
        .find(|s| s["service"] == "broken")
        .unwrap();
    assert_eq!(
        (&broken["state"], &broken["checks"][0]["unreadable"]),
        (&"unknown".into(), &true.into())
    );
}

#[test]
fn an_uptime_does_not_jump_when_a_day_ends() {
    // Down from 22:00 to midnight, and up before and after.
    let store = InMemory::default();
    let midnight_s = NOW_S - NOW_S % 86_400;
    let seen = |store: &InMemory| {
        let answer = respond(
            store,
            &settings(None, true),
            &Request {
                path: "/api/v1/checks/health",
                ..GET
            },
        );
        let uptime = &json(&answer)["uptime"];
        (
            uptime["week"]["down_s"].as_u64().unwrap(),
            uptime["day"]["down_s"].as_u64().unwrap(),
        )
    };
    for minute in 0..180 {
        let now_s = midnight_s - 150 * 60 + minute * 60;
        store.now.set(UnixMs(now_s * 1_000));
        let fails = (midnight_s - 120 * 60..midnight_s).contains(&now_s);
        let outcome = if fails { down() } else { up() };
        let found = read::<Monitor>(&store, &monitor_key("health")).unwrap();
        let monitor = load(found, &support::definition(), store.now.get());
        let probed = Probed {
            outcome,
            measured: Measured::default(),
        };
        count(&store, monitor, &policy(), &probed, true, store.now.get()).unwrap();
        if now_s >= midnight_s {
            assert_eq!(
                seen(&store),
                (7_200, 7_200),
                "{} s after midnight",
                now_s - midnight_s
            );
        }
    }
}

#[test]
fn own_health_fails_when_nothing_runs_any_more() {
    let store = two();
    let health_of = |store: &InMemory, sweep_interval: Duration| {
        let settings = StatusSettings {
            sweep_interval,
            ..settings(None, true)
        };
        let answer = respond(
            store,
            &settings,
            &Request {
                path: "/health",
                ..GET
            },
        );
        assert_eq!(
            header(&answer, "content-type"),
            Some("application/health+json")
        );
        (
            answer.status,
            json(&answer)["status"].as_str().unwrap().to_owned(),
        )
    };
    let health = |store: &InMemory| health_of(store, AlertSettings::SWEEP_INTERVAL);
    // The alert component has never run.
    assert_eq!(health(&store), (503, "fail".into()));
    let mut ledger = watchbell_core::ledger::Ledger::default();
    let look = watchbell_core::ledger::Look {
        monitors: &[],
        unreadable: &Default::default(),
        operator: &Default::default(),
        maintenance: &[],
        rules: watchbell_core::settings::AlertSettings::read(&|_| None).rules,
        now: store.now.get(),
    };
    ledger.look(&look);
    watchbell_core::store::write(&store, watchbell_core::store::LEDGER, &ledger).unwrap();
    assert_eq!(health(&store), (200, "pass".into()));
    store.set("monitor/broken", b"{").unwrap();
    assert_eq!(health(&store), (200, "warn".into()));
    store.now.set(UnixMs((NOW_S + 181) * 1_000));
    assert_eq!(health(&store), (503, "fail".into()));
    let rarely = Duration::from_secs(300);
    assert_eq!(health_of(&store, rarely), (200, "warn".into()));
}
