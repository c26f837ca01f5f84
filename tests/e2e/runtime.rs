//! The runtime against a guest that wants what it may not have: what is denied, with
//! which code, what is survived, and what is bounded. (`tests/hostile-guest` is told by
//! path what to do.)

#![allow(clippy::unwrap_used)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use watchbell_lab::headscale::{Headscale, Speaks};
use watchbell_lab::runtime::{AppSpec, Host, Runtime, Signal, hosts};
use watchbell_lab::server::Server;
use watchbell_lab::wasm::HOSTILE_GUEST;
use watchbell_lab::{wait, wire};

// An act that nothing below plays is an error.
#[deny(dead_code)]
#[path = "../hostile-guest/src/acts.rs"]
mod acts;
use acts::Act;
#[path = "runtime/chaining.rs"]
mod chaining;
#[path = "runtime/targets.rs"]
mod targets;

/// From an event's start to its end (`EVENT_DURATION_MAX` of the host).
const EVENT_MAX: Duration = Duration::from_secs(60);
/// On a machine that is busy with something else.
const SLACK: Duration = Duration::from_secs(20);
/// Open connections (`CONNECTIONS_MAX` of the host).
const CONNECTIONS_MAX: usize = 256;
/// A guest's memory (`MEMORY_BYTES_MAX` of the host).
const MEMORY_BYTES_MAX: u64 = 64 << 20;

/// A component of the hostile application, all of one wasm file.
struct Stanza {
    id: &'static str,
    /// 6 fields, or none.
    cron: &'static str,
    on_cron: String,
    allowed: Vec<String>,
    stores: &'static str,
}

impl Stanza {
    /// Reached by HTTP alone, and allowed nothing.
    fn new(id: &'static str) -> Self {
        Self {
            id,
            cron: "",
            on_cron: String::new(),
            allowed: Vec::new(),
            stores: "",
        }
    }

    /// Fires every second, and does so.
    fn every_second(id: &'static str, acts: &[(Act, &str)]) -> Self {
        let acts = acts
            .iter()
            .map(|(act, argument)| format!("{}?{argument}", act.word()));
        Self {
            cron: "* * * * * *",
            on_cron: acts.collect::<Vec<_>>().join(" "),
            ..Self::new(id)
        }
    }

    fn allowed(self, allowed: Vec<String>) -> Self {
        Self { allowed, ..self }
    }

    fn toml(&self) -> String {
        let Self {
            id,
            on_cron,
            allowed,
            stores,
            ..
        } = self;
        let source = &*HOSTILE_GUEST;
        let cron = match self.cron {
            "" => String::new(),
            cron => {
                format!("[[trigger.cron]]\ncomponent = {id:?}\ncron_expression = {cron:?}\n")
            }
        };
        format!(
            r#"
{cron}
[[trigger.http]]
component = "{id}"
route = "/{id}/..."

[component.{id}]
source = {source:?}
allowed_outbound_hosts = {allowed:?}
key_value_stores = [{stores}]
environment = {{ GIVEN = "yes" }}

[component.{id}.variables]
known = "{{{{ shared }}}}"
on_cron = "{on_cron}"
"#
        )
    }
}

fn start(host: Host, stanzas: &[Stanza]) -> Runtime {
    let runtime = launch(host, stanzas, None);
    runtime.serving();
    runtime
}

/// Started, if it starts.
fn launch(host: Host, stanzas: &[Stanza], target: Option<&'static str>) -> Runtime {
    let head = r#"
spin_manifest_version = 2

[application]
name = "hostile"
version = "0.1.0"

[variables]
shared = { default = "a value" }
unshared = { default = "not for this component" }
alert_url = { default = "http://127.0.0.1:3000" }
"#;
    let tables: String = stanzas.iter().map(Stanza::toml).collect();
    Runtime::start(
        host,
        AppSpec {
            manifest: Some(format!("{head}{tables}")),
            target,
            ..AppSpec::default()
        },
    )
}

fn path(component: &str, act: Act, argument: &str) -> String {
    format!("/{component}/{}?{argument}", act.word())
}

/// What the guest says of its act.
fn said(runtime: &Runtime, component: &str, act: Act, argument: &str) -> String {
    let path = path(component, act, argument);
    let answer = runtime.request(&path, &[]).unwrap();
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 200, "{path}: {text}");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json["said"].as_str().unwrap().to_owned()
}

/// The act on its way, in a thread: its status, when it comes.
fn under_way(addr: SocketAddr, path: String) -> JoinHandle<u16> {
    std::thread::spawn(move || wire::send(addr, "GET", &path, &[]).unwrap().status)
}

fn each_host(test: &str, play: impl Fn(Host)) {
    hosts(test).into_iter().for_each(play);
}

/// Only where our own runtime promises more than Spin does.
fn embedded(test: &str, play: impl Fn()) {
    for host in hosts(test) {
        if host == Host::Embedded {
            play();
        }
    }
}

// ------------------------------------------------------------ permissions

#[test]
fn what_is_not_permitted_is_denied_with_its_code() {
    const TEST: &str = "what_is_not_permitted_is_denied_with_its_code";
    let server = Headscale::start(Speaks::Http);
    let tcp = server.addr().to_string();
    let other_server = Server::start(drop);
    let other_tcp = other_server.addr().to_string();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp = datagrams.local_addr().unwrap().to_string();
    let other_datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let other_udp = other_datagrams.local_addr().unwrap().to_string();
    let url = format!("http://{tcp}/health");
    let other_url = format!("http://{other_tcp}/health");
    let name = format!("http://localhost:{}/health", server.addr().port());
    let denied = "ErrorCode::HttpRequestDenied";

    each_host(TEST, |host| {
        let some = Stanza {
            stores: r#""default""#,
            ..Stanza::new("some").allowed(vec![
                format!("http://{tcp}"),
                format!("tcp://{tcp}"),
                format!("udp://{udp}"),
                "udp://0.0.0.0:0".to_owned(),
            ])
        };
        let unbound = Stanza::new("unbound").allowed(vec![format!("udp://{udp}")]);
        // A name never matches a socket, whatever it resolves to.
        let by_name =
            Stanza::new("by-name").allowed(vec![format!("*://localhost:{}", server.addr().port())]);
        let everywhere = Stanza::new("everywhere").allowed(vec!["*://*:*".to_owned()]);
        let runtime = start(
            host,
            &[some, unbound, by_name, everywhere, Stanza::new("none")],
        );
        for (component, act, argument, want) in [
            ("some", Act::Http, &*url, "200"),
            ("some", Act::Http, &other_url, denied),
            ("some", Act::Http, &name, denied),
            ("some", Act::Http, "http://metadata.internal/", denied),
            ("none", Act::Http, &url, denied),
            ("by-name", Act::Http, &name, "200"),
            ("by-name", Act::Http, &url, denied),
            ("some", Act::Tcp, &tcp, "connected"),
            ("some", Act::Tcp, &other_tcp, "access-denied"),
            ("some", Act::Tcp, &udp, "access-denied"),
            ("none", Act::Tcp, &tcp, "access-denied"),
            ("by-name", Act::Tcp, &tcp, "access-denied"),
            ("everywhere", Act::Tcp, &other_tcp, "connected"),
            ("some", Act::Udp, &udp, "sent"),
            ("some", Act::Udp, &other_udp, "access-denied"),
            ("unbound", Act::Udp, &udp, "access-denied"),
            ("none", Act::Udp, &udp, "access-denied"),
            ("everywhere", Act::Listen, "", "access-denied"),
            (
                "everywhere",
                Act::Lookup,
                "localhost",
                "permanent-resolver-failure",
            ),
            (
                "everywhere",
                Act::Lookup,
                "127.0.0.1",
                "permanent-resolver-failure",
            ),
            ("some", Act::Store, "default", "open"),
            ("some", Act::Store, "other", "Error::AccessDenied"),
            ("none", Act::Store, "default", "Error::AccessDenied"),
            ("some", Act::Variable, "known", "a value"),
            ("some", Act::Variable, "unknown", "undefined"),
            // The application's, and not the component's.
            ("some", Act::Variable, "unshared", "undefined"),
            ("some", Act::Environment, "", "GIVEN=yes"),
            ("some", Act::File, "", "0"),
            ("some", Act::File, "/etc/passwd", "cannot"),
        ] {
            let got = said(&runtime, component, act, argument);
            assert_eq!(got, want, "{host:?}: {component} {act:?} {argument:?}");
        }
    });
    // What was denied has not been sent all the same.
    other_datagrams.set_nonblocking(true).unwrap();
    assert!(other_datagrams.recv(&mut [0; 16]).is_err());
}

// ------------------------------------------------------------ faults

#[test]
fn a_guest_that_fails_is_survived() {
    const TEST: &str = "a_guest_that_fails_is_survived";
    let acts = [
        Act::Panic,
        Act::Exit,
        Act::Recurse,
        Act::Silent,
        Act::Allocate,
    ];
    each_host(TEST, |host| {
        let mut runtime = start(host, &[Stanza::new("bad"), Stanza::new("good")]);
        for act in acts {
            // Spin bounds no memory unless told to.
            if host == Host::Spin && act == Act::Allocate {
                continue;
            }
            let answer = runtime.request(&path("bad", act, ""), &[]).unwrap();
            assert_eq!(answer.status, 500, "{host:?} {act:?}");
            assert_eq!(said(&runtime, "bad", Act::Count, ""), "1", "after {act:?}");
        }
        assert_eq!(said(&runtime, "good", Act::Count, ""), "1");
        assert!(!runtime.ended());
    });
}

/// Spin logs no trap of a firing; here an operator reads which component, and why.
#[test]
fn a_trap_is_logged_by_component() {
    embedded("a_trap_is_logged_by_component", || {
        let runtime = start(
            Host::Embedded,
            &[
                Stanza::new("panics"),
                Stanza::every_second("traps", &[(Act::Panic, "")]),
                Stanza::every_second("fails", &[(Act::Fail, "on-purpose")]),
            ],
        );
        let answer = runtime.request(&path("panics", Act::Panic, ""), &[]);
        assert_eq!(answer.unwrap().status, 500);
        for line in [
            "component \"panics\": wasm trap",
            "component \"traps\": wasm trap",
            "component \"fails\" failed: on-purpose",
        ] {
            // The second time shows that the first was survived.
            wait::until(&format!("{line:?} in the log"), || {
                let times = if line.contains("panics") { 1 } else { 2 };
                (runtime.log().matches(line).count() >= times).then_some(())
            });
        }
        let why = "on purpose";
        let told = runtime.printed("panics", "stderr");
        assert!(told.contains(why), "the guest's own words: {told:?}");
    });
}

// ------------------------------------------------------------ bounds

#[test]
fn memory_is_bounded() {
    embedded("memory_is_bounded", || {
        let runtime = start(Host::Embedded, &[Stanza::new("greedy")]);
        let before = runtime.rss_bytes_max();
        let answer = runtime.request(&path("greedy", Act::Allocate, ""), &[]);
        assert_eq!(answer.unwrap().status, 500);
        let taken = runtime.rss_bytes_max() - before;
        // It took what it may, so that the bound is what stopped it; and little more.
        let bounds = MEMORY_BYTES_MAX / 2..MEMORY_BYTES_MAX + MEMORY_BYTES_MAX / 4;
        assert!(bounds.contains(&taken), "{taken} bytes");
    });
}

/// A guest that computes without end is ended at the event's limit, is logged, and
/// keeps nobody waiting meanwhile.
#[test]
fn an_endless_loop_ends_at_the_event_limit() {
    embedded("an_endless_loop_ends_at_the_event_limit", || {
        let runtime = start(
            Host::Embedded,
            &[
                Stanza::new("endless"),
                Stanza::every_second("fires", &[(Act::Print, "x")]),
            ],
        );
        let began = Instant::now();
        let loops = under_way(runtime.addr(), path("endless", Act::Loop, ""));
        let fired = |runtime: &Runtime| runtime.printed("fires", "stdout").lines().count();
        let before = fired(&runtime);
        for _ in 0..5 {
            assert_eq!(said(&runtime, "endless", Act::Count, ""), "1");
        }
        wait::until("firings beside the loop", || {
            (fired(&runtime) >= before + 6).then_some(())
        });
        assert!(!loops.is_finished(), "the loop runs beside all of this");
        assert_eq!(loops.join().unwrap(), 500);
        let took = began.elapsed();
        let bounds = EVENT_MAX..EVENT_MAX + SLACK;
        assert!(bounds.contains(&took), "{took:?}");
        let line = "component \"endless\": the event ran longer than 60 s";
        let log = runtime.log();
        assert!(log.contains(line), "{log}");
    });
}

/// As a loop, but for a guest that waits: it is no wasm code that could be interrupted.
#[test]
fn an_endless_sleep_ends_at_the_event_limit() {
    embedded("an_endless_sleep_ends_at_the_event_limit", || {
        let runtime = start(Host::Embedded, &[Stanza::new("sleeps")]);
        let began = Instant::now();
        let sleeps = under_way(runtime.addr(), path("sleeps", Act::Sleep, "600000"));
        assert_eq!(sleeps.join().unwrap(), 500);
        let took = began.elapsed();
        let bounds = EVENT_MAX..EVENT_MAX + SLACK;
        assert!(bounds.contains(&took), "{took:?}");
        assert_eq!(runtime.printed("sleeps", "stdout"), "begin\n");
    });
}

// ------------------------------------------------------------ events

/// Nothing of one event is there in the next, one after the other or side by side.
#[test]
fn an_event_has_a_fresh_instance() {
    each_host("an_event_has_a_fresh_instance", |host| {
        let runtime = start(host, &[Stanza::new("counts")]);
        for _ in 0..3 {
            assert_eq!(said(&runtime, "counts", Act::Count, ""), "1", "{host:?}");
        }
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(said(&runtime, "counts", Act::Count, ""), "1"));
            }
        });
    });
}

/// A handler that takes longer than its schedule is not started beside itself.
#[test]
fn firings_of_one_component_never_overlap() {
    embedded("firings_of_one_component_never_overlap", || {
        let runtime = start(
            Host::Embedded,
            &[
                Stanza::every_second("slow", &[(Act::Sleep, "1500")]),
                Stanza::every_second("quick", &[(Act::Print, "x")]),
            ],
        );
        let lines = |component| -> Vec<String> {
            let text = runtime.printed(component, "stdout");
            let lines = text.lines().filter(|l| ["begin", "end"].contains(l));
            lines.map(str::to_owned).collect()
        };
        wait::until("three slow firings", || {
            (lines("slow").len() >= 6).then_some(())
        });
        for (i, line) in lines("slow").iter().enumerate() {
            assert_eq!(line, ["begin", "end"][i % 2], "{:?}", lines("slow"));
        }
        // Others go on meanwhile: at least twice as often.
        let quick = runtime.printed("quick", "stdout");
        let quick = quick.lines().filter(|l| *l == "out x").count();
        assert!(quick >= 4, "{quick} firings of the quick one beside it");
    });
}

#[test]
fn output_goes_to_the_components_log_files() {
    each_host("output_goes_to_the_components_log_files", |host| {
        let runtime = start(host, &[Stanza::new("talks"), Stanza::new("silent")]);
        assert_eq!(said(&runtime, "talks", Act::Print, "one"), "printed");
        assert_eq!(said(&runtime, "talks", Act::Print, "two"), "printed");
        assert_eq!(runtime.printed("talks", "stdout"), "out one\nout two\n");
        assert_eq!(runtime.printed("talks", "stderr"), "err one\nerr two\n");
        assert_eq!(runtime.printed("silent", "stdout"), "");
    });
}

// ------------------------------------------------------------ routes

#[test]
fn an_unknown_route_is_not_found() {
    each_host("an_unknown_route_is_not_found", |host| {
        let runtime = start(host, &[Stanza::new("here")]);
        for (path, status) in [
            ("/here/count", 200),
            ("/here", 200),
            ("/", 404),
            ("/her", 404),
            ("/hereafter/count", 404),
            ("/nowhere", 404),
            ("/.well-known/spin/health", 200),
            ("/.well-known/spin/nothing", 404),
        ] {
            let answer = runtime.request(path, &[]).unwrap();
            assert_eq!(answer.status, status, "{host:?} {path}");
        }
    });
}

/// Spin's own headers, and true ones. What a client sends under their names does not
/// stand beside them as it does on Spin.
#[test]
fn a_request_bears_spins_headers() {
    each_host("a_request_bears_spins_headers", |host| {
        let runtime = start(host, &[Stanza::new("act")]);
        let path = "/act/deep/headers?spin-";
        let forged = [
            ("spin-path-info", "/forged"),
            ("spin-client-addr", "192.0.2.1:1"),
        ];
        let sent: &[_] = if host == Host::Spin { &[] } else { &forged };
        let answer = runtime.request(path, sent).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let mut got: Vec<&str> = json["said"].as_str().unwrap().lines().collect();
        let client = got
            .iter()
            .position(|line| line.starts_with("spin-client-addr: 127.0.0.1:"))
            .unwrap_or_else(|| panic!("{host:?}: no true client in {got:?}"));
        got.remove(client);
        let url = format!("spin-full-url: {}{path}", runtime.url());
        let want = [
            "spin-base-path: /",
            "spin-component-route: /act",
            &url,
            "spin-matched-route: /act/...",
            "spin-path-info: /deep/headers",
            "spin-raw-component-route: /act/...",
        ];
        assert_eq!(got, want, "{host:?}");
        assert_eq!(said(&runtime, "act", Act::Headers, "no-such"), "");
    });
}

/// Whoever holds connections open without asking anything makes room for who asks.
#[test]
fn half_sent_requests_keep_nobody_out() {
    embedded("half_sent_requests_keep_nobody_out", || {
        let runtime = start(Host::Embedded, &[Stanza::new("here")]);
        let half_sent: Vec<TcpStream> = (0..CONNECTIONS_MAX + 44)
            .map(|_| {
                let mut stream = TcpStream::connect(runtime.addr()).unwrap();
                stream.write_all(b"GET /here/count HTTP/1.1\r\n").unwrap();
                stream
            })
            .collect();
        let answer = runtime.request("/here/count", &[]).unwrap();
        assert_eq!(answer.status, 200);
        // And not only after the time that a request's headers may take.
        let mut youngest = half_sent.last().unwrap();
        youngest.set_nonblocking(true).unwrap();
        let waits = youngest.read(&mut [0]).unwrap_err();
        assert_eq!(waits.kind(), ErrorKind::WouldBlock);
    });
}

// ------------------------------------------------------------ the end

/// Waits until the component has begun to sleep.
fn begun(runtime: &Runtime, component: &str) {
    wait::until(&format!("{component} to begin"), || {
        runtime
            .printed(component, "stdout")
            .contains("begin")
            .then_some(())
    });
}

#[test]
fn a_signal_lets_what_runs_finish() {
    embedded("a_signal_lets_what_runs_finish", || {
        for signal in [Signal::TERM, Signal::INT] {
            let mut runtime = start(
                Host::Embedded,
                &[
                    Stanza::new("asked"),
                    Stanza::every_second("fired", &[(Act::Sleep, "2000")]),
                ],
            );
            let asked = under_way(runtime.addr(), path("asked", Act::Sleep, "2000"));
            begun(&runtime, "asked");
            begun(&runtime, "fired");
            runtime.signal(signal);
            let status = runtime.wait_for_end();
            assert!(status.success(), "{signal:?}: {status}");
            assert_eq!(asked.join().unwrap(), 200, "{signal:?}");
            for component in ["asked", "fired"] {
                let lines = runtime.printed(component, "stdout");
                let count = |word| lines.lines().filter(|l| *l == word).count();
                assert_eq!(
                    count("begin"),
                    count("end"),
                    "{signal:?} {component}: {lines}"
                );
            }
        }
    });
}

/// A check that finishes after SIGTERM rings the application's own HTTP trigger: it is
/// served for as long as something runs.
#[test]
fn what_finishes_after_a_signal_still_reaches_the_http_trigger() {
    embedded(
        "what_finishes_after_a_signal_still_reaches_the_http_trigger",
        || {
            // "{{alert_url}}" without spaces: the list is split at them.
            let url = format!("{{{{alert_url}}}}{}", path("rung", Act::Print, "ring"));
            let rings = Stanza::every_second("rings", &[(Act::Sleep, "1500"), (Act::Http, &url)])
                .allowed(vec!["{{ alert_url }}".to_owned()]);
            let mut runtime = start(Host::Embedded, &[rings, Stanza::new("rung")]);
            begun(&runtime, "rings");
            runtime.signal(Signal::TERM);
            assert!(runtime.wait_for_end().success());
            let lines = runtime.printed("rings", "stdout");
            let last = lines.lines().last();
            assert_eq!(last, Some("http: 200"), "{lines}");
            assert!(runtime.printed("rung", "stdout").contains("out ring"));
        },
    );
}

#[test]
fn an_idle_runtime_ends_at_once() {
    each_host("an_idle_runtime_ends_at_once", |host| {
        for signal in [Signal::TERM, Signal::INT] {
            let mut runtime = start(host, &[Stanza::new("idle")]);
            // Half a request is not waited for.
            let mut half = TcpStream::connect(runtime.addr()).unwrap();
            half.write_all(b"GET /idle/count HTTP/1.1\r\n").unwrap();
            let began = Instant::now();
            runtime.signal(signal);
            let status = runtime.wait_for_end();
            let took = began.elapsed();
            assert!(took < SLACK, "{host:?} {signal:?}: {took:?}");
            if host == Host::Embedded {
                assert!(status.success(), "{signal:?}: {status}");
            }
        }
    });
}

/// Who will not wait says so a second time.
#[test]
fn a_second_signal_cuts_what_runs() {
    embedded("a_second_signal_cuts_what_runs", || {
        let mut runtime = start(Host::Embedded, &[Stanza::new("asked")]);
        let addr = runtime.addr();
        let path = path("asked", Act::Sleep, "50000");
        let asked = std::thread::spawn(move || wire::send(addr, "GET", &path, &[]));
        begun(&runtime, "asked");
        let began = Instant::now();
        runtime.signal(Signal::TERM);
        wait::until("the log to tell of what runs", || {
            runtime.log().contains("a second signal").then_some(())
        });
        assert!(!runtime.ended(), "one signal waits");
        runtime.signal(Signal::TERM);
        assert!(runtime.wait_for_end().success());
        let took = began.elapsed();
        assert!(took < Duration::from_secs(20), "{took:?}");
        assert!(asked.join().unwrap().is_err(), "cut");
        assert!(!runtime.printed("asked", "stdout").contains("end"));
    });
}
