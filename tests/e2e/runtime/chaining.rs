//! One component asks another: Spin's law, held on both runtimes.

use watchbell_lab::runtime::{Host, Runtime, hosts};
use watchbell_lab::wait;

use super::acts::Act;
use super::{Stanza, begun, each_host, embedded, launch, path, said, start, under_way};

const DENIED: &str = "ErrorCode::HttpRequestDenied";
/// Components that may wait for one another (`DEPTH_MAX` of the host).
const DEPTH_MAX: usize = 4;
/// Requests that may run at once (`HTTP_EVENTS_MAX` of the host).
const EVENTS_MAX: usize = 32;

fn allowed(id: &'static str, hosts: &[&str]) -> Stanza {
    Stanza::new(id).allowed(hosts.iter().map(|h| (*h).to_owned()).collect())
}

fn url(service: &str, act: Act, argument: &str) -> String {
    format!("http://{service}.spin.internal/{}?{argument}", act.word())
}

#[test]
fn a_component_reaches_the_components_that_it_may() {
    each_host("a_component_reaches_the_components_that_it_may", |host| {
        let runtime = start(
            host,
            &[
                allowed("named", &["http://callee.spin.internal"]),
                allowed("any-of-ours", &["http://*.spin.internal"]),
                allowed("secure", &["https://callee.spin.internal:8443"]),
                allowed("everywhere", &["*://*:*"]),
                allowed("itself", &["http://self"]),
                Stanza::new("none"),
                Stanza::new("callee"),
                Stanza::new("other"),
            ],
        );
        for (component, url, want) in [
            ("named", "http://callee.spin.internal/count", "200"),
            ("named", "http://callee.spin.internal:80/count", "200"),
            ("named", "http://CALLEE.spin.internal:81/count", DENIED),
            ("named", "https://callee.spin.internal/count", DENIED),
            ("named", "http://other.spin.internal/count", DENIED),
            ("named", "http://a.callee.spin.internal/count", DENIED),
            ("any-of-ours", "http://callee.spin.internal/count", "200"),
            ("any-of-ours", "http://other.spin.internal/count", "200"),
            (
                "any-of-ours",
                "http://any-of-ours.spin.internal/count",
                "200",
            ),
            ("any-of-ours", "http://nobody.spin.internal/count", DENIED),
            // Neither TLS nor the port means anything between components.
            ("secure", "https://callee.spin.internal:8443/count", "200"),
            ("secure", "https://callee.spin.internal/count", DENIED),
            ("everywhere", "http://callee.spin.internal/count", "200"),
            ("itself", "http://callee.spin.internal/count", DENIED),
            ("none", "http://callee.spin.internal/count", DENIED),
        ] {
            let got = said(&runtime, component, Act::Http, url);
            assert_eq!(got, want, "{host:?}: {component} {url}");
        }
    });
}

/// All of its paths are the component's, whatever its routes say; and it does not learn who
/// has called.
#[test]
fn a_callee_is_told_what_spin_tells() {
    each_host("a_callee_is_told_what_spin_tells", |host| {
        let caller = allowed("caller", &["http://callee.spin.internal"]);
        let runtime = start(host, &[caller, Stanza::new("callee")]);
        let url = "http://callee.spin.internal/deep/headers?";
        let answer = said(&runtime, "caller", Act::Fetch, url);
        let (status, body) = answer.split_once(' ').unwrap();
        assert_eq!(status, "200");
        let json: serde_json::Value = serde_json::from_str(body).unwrap();
        let got: Vec<&str> = json["said"].as_str().unwrap().lines().collect();
        let want = [
            "spin-base-path: /",
            "spin-client-addr: 0.0.0.0:0",
            "spin-component-route: ",
            "spin-full-url: http://localhost/deep/headers?",
            "spin-matched-route: /...",
            "spin-path-info: /deep/headers",
            "spin-raw-component-route: /...",
        ];
        assert_eq!(got, want, "{host:?}");
    });
}

/// The caller reads a status, as anybody outside would, and goes on.
#[test]
fn a_callee_that_fails_has_a_status() {
    each_host("a_callee_that_fails_has_a_status", |host| {
        let caller = allowed("caller", &["http://callee.spin.internal"]);
        let runtime = start(host, &[caller, Stanza::new("callee")]);
        for act in [Act::Panic, Act::Exit, Act::Silent] {
            let got = said(&runtime, "caller", Act::Http, &url("callee", act, ""));
            assert_eq!(got, "500", "{host:?}: {act:?}");
        }
        let again = said(
            &runtime,
            "caller",
            Act::Http,
            &url("callee", Act::Count, ""),
        );
        assert_eq!(again, "200", "{host:?}");
    });
}

/// There is no code for it: the caller traps.
#[test]
fn a_caller_of_nobody_traps() {
    each_host("a_caller_of_nobody_traps", |host| {
        let caller = allowed("caller", &["http://nobody.spin.internal"]);
        let runtime = start(host, &[caller]);
        let request = path("caller", Act::Http, &url("nobody", Act::Count, ""));
        let answer = runtime.request(&request, &[]).unwrap();
        assert_eq!(answer.status, 500, "{host:?}");
        assert_eq!(said(&runtime, "caller", Act::Count, ""), "1", "{host:?}");
        if host == Host::Embedded {
            let line = "calling component \"nobody\": it has no HTTP trigger";
            assert!(runtime.log().contains(line), "{}", runtime.log());
        }
    });
}

#[test]
fn what_a_callee_does_after_its_answer_goes_on() {
    each_host("what_a_callee_does_after_its_answer_goes_on", |host| {
        let caller = allowed("caller", &["http://callee.spin.internal"]);
        let runtime = start(host, &[caller, Stanza::new("callee")]);
        let works = url("callee", Act::Afterwards, "1500");
        assert_eq!(
            said(&runtime, "caller", Act::Http, &works),
            "202",
            "{host:?}"
        );
        let done = || runtime.printed("callee", "stdout").contains("end");
        assert!(!done(), "{host:?}: the answer has not waited");
        wait::until("the callee to end", || done().then_some(()));
    });
}

#[test]
fn a_callee_goes_on_when_its_caller_has_left() {
    each_host("a_callee_goes_on_when_its_caller_has_left", |host| {
        let caller = allowed("caller", &["http://callee.spin.internal"]);
        let runtime = start(host, &[caller, Stanza::new("callee")]);
        let waits = format!("300:{}", url("callee", Act::Sleep, "2000"));
        assert_eq!(said(&runtime, "caller", Act::Leave, &waits), "left");
        let printed = || runtime.printed("callee", "stdout");
        assert_eq!(printed(), "begin\n", "{host:?}");
        wait::until("the callee to end", || {
            (printed() == "begin\nend\n").then_some(())
        });
    });
}

/// Spin lets a component call itself until nothing is left. However many do so here at
/// once, each comes to its end, and others are served.
#[test]
fn a_circle_of_calls_comes_to_an_end() {
    embedded("a_circle_of_calls_comes_to_an_end", || {
        let circle = allowed("circle", &["http://circle.spin.internal"]);
        let runtime = start(Host::Embedded, &[circle, Stanza::new("good")]);
        let got = said(&runtime, "circle", Act::Cycle, "circle");
        assert_eq!(got.matches("200").count(), DEPTH_MAX, "{got}");
        assert!(got.contains("ErrorCode::LoopDetected"), "{got}");
        let asked: Vec<_> = (0..EVENTS_MAX + 8)
            .map(|_| under_way(runtime.addr(), path("circle", Act::Cycle, "circle")))
            .collect();
        for one in asked {
            assert_eq!(one.join().unwrap(), 200);
        }
        assert_eq!(said(&runtime, "good", Act::Count, ""), "1");
        let line = "component \"circle\": calling component \"circle\"";
        assert!(runtime.log().contains(line), "{}", runtime.log());
    });
}

/// What runs for another counts as running: it is finished too.
#[test]
fn a_signal_lets_a_callee_finish() {
    embedded("a_signal_lets_a_callee_finish", || {
        let caller = allowed("caller", &["http://callee.spin.internal"]);
        let mut runtime = start(Host::Embedded, &[caller, Stanza::new("callee")]);
        let works = url("callee", Act::Afterwards, "2000");
        assert_eq!(said(&runtime, "caller", Act::Http, &works), "202");
        begun(&runtime, "callee");
        runtime.tell_to_stop();
        assert!(runtime.wait_for_end().success());
        assert_eq!(runtime.printed("callee", "stdout"), "begin\nend\n");
    });
}

/// A cron trigger cannot: the application does not start, also where the component has
/// an HTTP trigger beside it.
#[test]
fn a_component_that_fires_may_call_no_other() {
    const TEST: &str = "a_component_that_fires_may_call_no_other";
    for host in hosts(TEST) {
        for hosts in ["http://callee.spin.internal", "http://*.spin.internal"] {
            let fires = Stanza::every_second("fires", &[(Act::Print, "x")]);
            let fires = fires.allowed(vec![hosts.to_owned()]);
            let mut runtime: Runtime = launch(host, &[fires, Stanza::new("callee")], None);
            let status = runtime.wait_for_end();
            assert!(!status.success(), "{host:?} {hosts}");
            let line = match host {
                Host::Embedded => "cron components cannot call each other",
                Host::Spin => "local_service_chaining",
            };
            let log = runtime.log();
            assert!(log.contains(line), "{host:?} {hosts}: {log}");
        }
    }
}
