//! `watchbell up --target`: what a place to run refuses at run time, refused beforehand.

use std::time::Instant;

use watchbell_lab::headscale::{Headscale, Speaks};
use watchbell_lab::runtime::{Host, Runtime};
use watchbell_lab::wait;

use super::acts::Act;
use super::{SLACK, Stanza, embedded, launch, path, said, under_way};

const CLOUD: &str = "fermyon-cloud";
const AKAMAI: &str = "akamai";

fn start_as(target: &'static str, stanzas: &[Stanza]) -> Runtime {
    let runtime = launch(Host::Embedded, stanzas, Some(target));
    runtime.serving();
    runtime
}

fn keeps(id: &'static str) -> Stanza {
    Stanza {
        stores: r#""default""#,
        ..Stanza::new(id)
    }
}

/// The operator reads of a kind of refusal once, however often it happens.
fn told_once(runtime: &Runtime, rule: &str) {
    let told = runtime.log().matches(rule).count();
    assert_eq!(told, 1, "{rule:?} in {}", runtime.log());
}

/// A guest that does as told, and what it hears: `(act's argument, what it says)`.
fn hears(runtime: &Runtime, component: &str, plays: &[(&str, &str)]) {
    for (argument, want) in plays {
        let got = said(runtime, component, Act::KeyValue, argument);
        assert_eq!(got, *want, "{:.60}", argument);
    }
}

#[test]
fn a_target_says_that_it_is_imitated() {
    embedded("a_target_says_that_it_is_imitated", || {
        for (target, title) in [
            ("spin", "Spin"),
            ("spinkube", "SpinKube"),
            (CLOUD, "Fermyon Cloud"),
            (AKAMAI, "Akamai Functions"),
        ] {
            let runtime = start_as(target, &[Stanza::new("here")]);
            told_once(&runtime, &format!("Imitating {title}: "));
        }
        let runtime = super::start(Host::Embedded, &[Stanza::new("here")]);
        assert!(!runtime.log().contains("Imitating"));
    });
}

#[test]
fn key_value_is_bounded_as_the_target_bounds_it() {
    embedded("key_value_is_bounded_as_the_target_bounds_it", || {
        const LISTING: &str =
            "Fermyon Cloud offers get and set of key-value, and nothing else of it";
        const KEY: &str = "Fermyon Cloud takes keys of 255 bytes at most";
        const VALUE: &str = "Fermyon Cloud takes values of 1000000 bytes at most";
        const KEYS: &str = "Fermyon Cloud takes 1024 keys at most";
        let cloud = start_as(CLOUD, &[keeps("keeps")]);
        let (longest, longer) = ("k".repeat(255), "k".repeat(256));
        hears(
            &cloud,
            "keeps",
            &[
                ("set:a:1", "set"),
                ("get:a", "1 bytes"),
                ("delete:a", LISTING),
                ("exists:a", LISTING),
                ("keys:", LISTING),
                ("get:a", "1 bytes"),
                (&format!("set:{longest}:1"), "set"),
                (&format!("set:{longer}:1"), KEY),
                (&format!("get:{longer}"), KEY),
                ("set:a:1000000", "set"),
                ("set:a:1000001", VALUE),
                ("get:a", "1000000 bytes"),
                // Two are there.
                ("fill::2000", "1022"),
                ("set:one-more:1", KEYS),
                ("get:one-more", "nothing"),
                // What is there may change all the same.
                ("set:a:2", "set"),
            ],
        );
        for rule in [LISTING, KEY, VALUE, KEYS] {
            told_once(&cloud, rule);
        }

        const WRITES: &str = "Akamai Functions takes 50 key-value writes a second at most";
        let akamai = start_as(AKAMAI, &[keeps("keeps")]);
        hears(
            &akamai,
            "keeps",
            &[
                ("set:a:1", "set"),
                ("exists:a", "true"),
                ("delete:a", "deleted"),
                ("keys:", "0"),
                (&format!("set:{longer}:1"), "set"),
            ],
        );
        // The writes of one call follow each other far quicker than 50 in a second.
        wait::until("a second with too many writes", || {
            let filled = said(&akamai, "keeps", Act::KeyValue, "fill::300");
            let filled: usize = filled.parse().unwrap();
            (filled <= 50).then_some(())
        });
        wait::until("a write in the next second", || {
            (said(&akamai, "keeps", Act::KeyValue, "set:b:1") == "set").then_some(())
        });
        told_once(&akamai, WRITES);
        assert_eq!(
            said(&akamai, "keeps", Act::KeyValue, "get:b"),
            "1 bytes",
            "reads are not counted"
        );
    });
}

#[test]
fn sockets_are_denied_whatever_is_permitted() {
    embedded("sockets_are_denied_whatever_is_permitted", || {
        let server = Headscale::start(Speaks::Http);
        let address = server.addr().to_string();
        let everywhere = || Stanza::new("everywhere").allowed(vec!["*://*:*".to_owned()]);
        for target in [CLOUD, AKAMAI] {
            let runtime = start_as(target, &[everywhere()]);
            for act in [Act::Tcp, Act::Udp, Act::Listen] {
                let got = said(&runtime, "everywhere", act, &address);
                assert_eq!(got, "access-denied", "{target} {act:?}");
            }
            let url = format!("http://{address}/health");
            assert_eq!(said(&runtime, "everywhere", Act::Http, &url), "200");
            told_once(&runtime, "promises no sockets");
        }
        let kube = start_as("spinkube", &[everywhere()]);
        assert_eq!(said(&kube, "everywhere", Act::Tcp, &address), "connected");
    });
}

/// One number for the application. What stays within it is not counted, on a target that
/// has service chaining at all.
#[test]
fn outbound_requests_are_counted_by_the_hour() {
    embedded("outbound_requests_are_counted_by_the_hour", || {
        let server = Headscale::start(Speaks::Http);
        let host = format!("http://{}", server.addr());
        let may = |id| Stanza::new(id).allowed(vec![host.clone()]);
        let runtime = start_as(CLOUD, &[may("first"), may("second")]);
        let flood = |times: usize| format!("{times}:{host}/health");
        let denied = said(&runtime, "first", Act::Http, "http://127.0.0.1:9/");
        assert_eq!(denied, "ErrorCode::HttpRequestDenied");
        // What is not permitted has not gone out.
        assert_eq!(said(&runtime, "first", Act::Flood, &flood(300)), "300");
        let then = "200, then ErrorCode::ConnectionLimitReached";
        assert_eq!(said(&runtime, "second", Act::Flood, &flood(300)), then);
        let none = "0, then ErrorCode::ConnectionLimitReached";
        assert_eq!(said(&runtime, "first", Act::Flood, &flood(1)), none);
        told_once(&runtime, "lets 500 requests an hour out at most");
    });
}

/// A name of a component is there a name like any other, which nobody has.
#[test]
fn service_chaining_is_where_the_target_has_it() {
    embedded("service_chaining_is_where_the_target_has_it", || {
        let url = "http://callee.spin.internal/count";
        for (target, chains) in [(CLOUD, false), (AKAMAI, true), ("spinkube", true)] {
            // By no name of a component, which would be refused at the start.
            let caller = Stanza::new("caller").allowed(vec!["http://*".to_owned()]);
            let runtime = start_as(target, &[caller, Stanza::new("callee")]);
            let got = said(&runtime, "caller", Act::Http, url);
            assert_eq!(got == "200", chains, "{target}: {got}");
            if !chains {
                told_once(&runtime, "has no service chaining");
            }
        }
    });
}

/// With the answer on its way or not: nothing of it is left.
#[test]
fn what_runs_longer_than_the_target_lets_it_is_cut() {
    embedded("what_runs_longer_than_the_target_lets_it_is_cut", || {
        const LINE: &str = "the event ran longer than 30 s";
        let stanzas = ["waits", "computes", "works-on"].map(Stanza::new);
        let runtime = start_as(AKAMAI, &stanzas);
        let began = Instant::now();
        let asked = [
            path("waits", Act::Sleep, "600000"),
            path("computes", Act::Loop, ""),
        ]
        .map(|path| under_way(runtime.addr(), path));
        let answer = runtime.request(&path("works-on", Act::Afterwards, "600000"), &[]);
        assert_eq!(answer.unwrap().status, 202);
        for one in asked {
            assert_eq!(one.join().unwrap(), 500);
        }
        let took = began.elapsed();
        let max = super::Duration::from_secs(30);
        assert!((max..max + SLACK).contains(&took), "{took:?}");
        wait::until("what worked on to be cut", || {
            let line = format!("component \"works-on\", after its response: {LINE}");
            runtime.log().contains(&line).then_some(())
        });
        for component in ["waits", "works-on"] {
            assert_eq!(runtime.printed(component, "stdout"), "begin\n");
        }
        told_once(&runtime, "cuts what runs longer than 30 s");
    });
}

#[test]
fn memory_is_what_the_target_gives() {
    embedded("memory_is_what_the_target_gives", || {
        const GIVEN_BYTES: u64 = 128 << 20;
        let runtime = start_as(AKAMAI, &[Stanza::new("greedy")]);
        let before = runtime.rss_bytes_max();
        let answer = runtime.request(&path("greedy", Act::Allocate, ""), &[]);
        assert_eq!(answer.unwrap().status, 500);
        let taken = runtime.rss_bytes_max() - before;
        let bounds = GIVEN_BYTES / 2..GIVEN_BYTES + GIVEN_BYTES / 4;
        assert!(bounds.contains(&taken), "{taken} bytes");
        told_once(&runtime, "gives 134217728 bytes of memory at most");
    });
}

/// All at once, each with its reason.
#[test]
fn what_a_target_refuses_at_deployment_keeps_it_from_starting() {
    const TEST: &str = "what_a_target_refuses_at_deployment_keeps_it_from_starting";
    embedded(TEST, || {
        let stanzas = || {
            let fires = Stanza::every_second("fires", &[(Act::Print, "x")]);
            let calls = Stanza::new("calls").allowed(vec![
                "{{ alert_url }}".to_owned(),
                "http://fires.spin.internal".to_owned(),
            ]);
            [fires, calls]
        };
        for (target, lines) in [
            (
                CLOUD,
                &[
                    "Fermyon Cloud has no cron trigger",
                    "Fermyon Cloud takes no templates in permissions",
                    "Fermyon Cloud has no service chaining",
                ][..],
            ),
            (AKAMAI, &["Akamai Functions has no cron trigger"]),
            ("spinkube", &["SpinKube has no cron trigger"]),
        ] {
            let mut runtime = launch(Host::Embedded, &stanzas(), Some(target));
            assert!(!runtime.wait_for_end().success(), "{target}");
            let log = runtime.log();
            for line in lines {
                assert!(log.contains(line), "{target}: {line:?} in {log}");
            }
            assert!(!log.contains("Imitating"), "{target}: {log}");
        }
        let runtime = start_as("spin", &[stanzas().into_iter().next().unwrap()]);
        assert!(!runtime.log().contains("has no"));
    });
}
