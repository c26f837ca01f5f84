//! The HTTP entries, as hosts without cron are driven: safe in public.

#![allow(clippy::unwrap_used)]

use std::thread;

use watchbell_lab::headscale::State;
use watchbell_lab::manifest::{CHECKS, Changes, Pace};
use watchbell_lab::runtime::CHECK_TOKEN;
use watchbell_lab::scenario::{Lab, Setup, on_each_host};
use watchbell_lab::{wait, wire};

/// Nothing fires: every run is called for.
fn called(mut changes: Changes) -> Setup {
    changes.never = CHECKS.to_vec();
    changes.never.push("stun");
    Setup {
        changes,
        ..Setup::default()
    }
}

/// As shipped, where a scheduler calls once a minute.
const BY_THE_MINUTE: Pace = Pace {
    interval: "5m",
    retry_interval: "1m",
    firing_interval: "1m",
    timeout: "10s",
};

#[test]
fn a_run_within_its_interval_is_answered_from_the_last_outcome() {
    on_each_host(
        "a_run_within_its_interval_is_answered_from_the_last_outcome",
        |host| {
            let lab = Lab::open(
                host,
                called(Changes {
                    pace: BY_THE_MINUTE,
                    ..Changes::default()
                }),
            );
            let (status, first) = lab.runtime.run_check("health", Some(CHECK_TOKEN));
            assert_eq!((status, &first["ran"]), (200, &true.into()), "{first}");
            let asked = lab.headscale.requests("/health");
            // Whatever has become of it since: the target is asked no more often than its
            // interval says, and who calls learns when that was.
            lab.headscale.state(State::DatabaseDown);
            for _ in 0..20 {
                let (status, again) = lab.runtime.run_check("health", Some(CHECK_TOKEN));
                assert_eq!(status, 200);
                for (field, want) in [
                    ("ran", &false.into()),
                    ("check", &first["check"]),
                    ("status", &first["status"]),
                    ("detail", &first["detail"]),
                    ("at", &first["at"]),
                ] {
                    assert_eq!(&again[field], want, "{field}: {again}");
                }
            }
            assert_eq!(lab.headscale.requests("/health"), asked);
        },
    );
}

#[test]
fn who_calls_while_a_run_is_under_way_starts_no_other() {
    on_each_host(
        "who_calls_while_a_run_is_under_way_starts_no_other",
        |host| {
            let lab = Lab::open(
                host,
                called(Changes {
                    pace: Pace {
                        timeout: "3s",
                        ..BY_THE_MINUTE
                    },
                    ..Changes::default()
                }),
            );
            lab.headscale.state(State::Stalled);
            thread::scope(|scope| {
                let first = scope.spawn(|| lab.runtime.run_check("health", Some(CHECK_TOKEN)));
                wait::until("the first run's request", || {
                    (lab.headscale.requests("/health") > 0).then_some(())
                });
                for _ in 0..5 {
                    let (status, json) = lab.runtime.run_check("health", Some(CHECK_TOKEN));
                    assert_eq!(status, 503, "{json}");
                }
                let (status, json) = first.join().unwrap();
                assert_eq!((status, &json["kind"]), (200, &"timeout".into()), "{json}");
            });
            assert_eq!(lab.headscale.requests("/health"), 1);
        },
    );
}

#[test]
fn a_check_that_is_not_offered_says_so_and_asks_nothing() {
    on_each_host(
        "a_check_that_is_not_offered_says_so_and_asks_nothing",
        |host| {
            let why = "this place promises no raw sockets";
            let mut setup = called(Changes {
                variables: vec![("port", "not_offered", why.to_owned())],
                ..Changes::default()
            });
            setup.changes.no_sockets = true;
            let lab = Lab::open(host, setup);
            let (status, json) = lab.runtime.run_check("port", Some(CHECK_TOKEN));
            assert_eq!(
                (status, &json["reason"], &json["detail"]),
                (
                    200,
                    &"not-offered".into(),
                    &format!("not offered: {why}").into()
                ),
                "{json}"
            );
            // Without the variable it is the mistake that it looks like.
            let (_, json) = lab.runtime.run_check("certificate", Some(CHECK_TOKEN));
            assert_eq!(json["kind"], "denied", "{json}");
            let page = lab.runtime.request("/api/v1/status", &[]).unwrap();
            let page = String::from_utf8(page.body).unwrap();
            assert!(page.contains("\"off\":true"), "{page}");
        },
    );
}

#[test]
fn where_a_ring_needs_a_token_only_its_bearer_rings() {
    on_each_host("where_a_ring_needs_a_token_only_its_bearer_rings", |host| {
        let token = || "{{ check_token }}".to_owned();
        let mut setup = called(Changes {
            no_sweep: true,
            variables: vec![
                ("alert", "ring_token", token()),
                ("alert", "settling_time", "0".to_owned()),
                ("port", "ring_token", token()),
            ],
            ..Changes::default()
        });
        // Fails at its first run, and rings.
        setup.changes.no_sockets = true;
        let lab = Lab::open(host, setup);
        lab.runtime.serving();
        let bearer = format!("Bearer {CHECK_TOKEN}");
        for (token, want) in [
            (None, 401),
            (Some("Bearer no"), 401),
            (Some(bearer.as_str()), 202),
        ] {
            let headers: Vec<_> = token.iter().map(|t| ("Authorization", *t)).collect();
            let answer = wire::send(lab.runtime.addr(), "POST", "/alert", &headers).unwrap();
            assert_eq!(answer.status, want, "{token:?}");
        }
        lab.runtime.run_check("port", Some(CHECK_TOKEN));
        lab.webhook.wait_for(1);
    });
}

#[test]
fn a_scheduler_without_headers_calls_with_a_key_and_learns_nothing() {
    on_each_host(
        "a_scheduler_without_headers_calls_with_a_key_and_learns_nothing",
        |host| {
            let key = || "schedule-me_16".to_owned();
            let setup = called(Changes {
                variables: vec![
                    ("health", "schedule_key", key()),
                    ("alert", "schedule_key", key()),
                    ("alert", "ring_token", key()),
                ],
                ..Changes::default()
            });
            let mut lab = Lab::open(host, setup);
            lab.runtime.serving();
            for (path, want) in [
                ("/run/health", 401),
                ("/run/health?key=", 401),
                ("/run/health?key=schedule-me_1", 401),
                ("/run/health?key=schedule-me_16&key=schedule-me_16", 401),
                ("/alert?key=other", 401),
                ("/run/health?key=schedule-me_16", 204),
                ("/run/health?a=b&key=schedule-me_16", 204),
                ("/alert?key=schedule-me_16", 202),
            ] {
                let answer = lab.runtime.request(path, &[]).unwrap();
                assert_eq!(answer.status, want, "{path}");
                assert!(want != 204 || answer.body.is_empty(), "{path}");
            }
            lab.wait_for_status_of("health", "up");
        },
    );
}

/// Everything that is listed or deleted elsewhere, by get and set alone.
#[test]
fn a_host_that_lists_no_keys_alerts_shows_and_obeys() {
    on_each_host("a_host_that_lists_no_keys_alerts_shows_and_obeys", |host| {
        let checks = [&CHECKS[..], &["stun"]].concat().join(",");
        let lab = Lab::well(
            host,
            Setup {
                changes: Changes {
                    variables: vec![
                        ("alert", "checks", checks.clone()),
                        ("status", "checks", checks),
                    ],
                    ..Changes::default()
                },
                ..Setup::default()
            },
        );
        lab.headscale.state(State::DatabaseDown);
        let told = lab.webhook.wait_for(1);
        assert_eq!(told[0].data("cause"), "database");
        let page = lab.runtime.request("/api/v1/status", &[]).unwrap();
        let page: serde_json::Value = serde_json::from_slice(&page.body).unwrap();
        let shown = page["services"][0]["checks"].as_array().unwrap();
        assert_eq!(shown.len(), CHECKS.len() + 1, "{page:#}");
    });
}
