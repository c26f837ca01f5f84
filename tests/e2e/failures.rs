//! What breaks, and what is told about it: every state of Headscale, its proxies and its
//! port that the checks can see (`certificates.rs` and `names.rs` have the rest).
//!
//! Each test starts the application well, breaks one thing, and wants exactly these
//! alerts; it mends the thing, and wants exactly their ends.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use watchbell_lab::alone::alone;
use watchbell_lab::chain::Chain;
use watchbell_lab::firewall::{Firewall, Policy};
use watchbell_lab::headscale::{Misroute, OTHER_KEY, Speaks, State};
use watchbell_lab::manifest::{CHECKS, Changes, PATIENT, QUICK};
use watchbell_lab::runtime::Host;
use watchbell_lab::scenario::{
    Alert, Lab, Setup, alert, all_over_sockets, beside, everything, expect_checks, expect_opened,
    on_each_host, over_http,
};
use watchbell_lab::server::Gate;
use watchbell_lab::skip::skip;
use watchbell_lab::wait;

fn outage_of_state(test: &str, state: State, cause: &str, alerts: &[Alert]) {
    on_each_host(test, |host| {
        Lab::well(host, Setup::default()).outage(
            cause,
            alerts,
            |lab| lab.headscale.state(state),
            |lab| lab.headscale.state(State::Healthy),
        );
    });
}

fn outage_of_gate(test: &str, gate: Gate, cause: &str, alerts: &[Alert]) {
    on_each_host(test, |host| {
        let mut lab = Lab::well(host, Setup::default());
        // Between the full queue and the open one, nothing listens for a moment.
        lab.torn_ends = gate == Gate::Dropped;
        lab.outage(
            cause,
            alerts,
            |lab| lab.headscale.gate(gate),
            |lab| lab.headscale.gate(Gate::Open),
        );
    });
}

// ------------------------------------------------------------ the tutorial's ten
// ("certificate expired" is in certificates.rs, "DNS failure" in names.rs, "disk full" in
// real_headscale.rs)

#[test]
fn process_crash() {
    outage_of_gate(
        "process_crash",
        Gate::Refused,
        "process-down",
        &everything("connect-refused"),
    );
}

#[test]
fn database_down() {
    let alerts = [alert("health", "status")];
    outage_of_state("database_down", State::DatabaseDown, "database", &alerts);
}

#[test]
fn derp_misconfigured() {
    outage_of_state("derp_misconfigured", State::DerpDisabled, "derp", &DISABLED);
}

/// Played by a listener whose queue is full: where no packet filter may be set.
#[test]
fn port_that_never_answers() {
    outage_of_gate(
        "port_that_never_answers",
        Gate::Dropped,
        "host-unreachable",
        &everything("connect-timeout"),
    );
}

#[test]
fn port_blocked_by_drop() {
    blocked(
        "port_blocked_by_drop",
        Ipv4Addr::LOCALHOST.into(),
        &[(Policy::Drop, everything("connect-timeout"))],
    );
}

/// A rejecting firewall has a dozen answers. The socket checks tell those of a closed
/// port from those of a filter; to the HTTP checks' host they are all the same.
#[test]
fn port_blocked_by_reject() {
    let refused = everything("connect-refused");
    let policies = [
        (Policy::Reject("tcp reset"), refused),
        (Policy::Reject("icmp type port-unreachable"), refused),
        (Policy::Reject("icmp type host-prohibited"), UNREACHABLE),
        (Policy::Reject("icmp type admin-prohibited"), UNREACHABLE),
        (Policy::Reject("icmp type net-prohibited"), UNREACHABLE),
        (Policy::Reject("icmp type host-unreachable"), UNREACHABLE),
        (Policy::Reject("icmp type net-unreachable"), UNREACHABLE),
    ];
    blocked(
        "port_blocked_by_reject",
        Ipv4Addr::LOCALHOST.into(),
        &policies,
    );
}

#[test]
fn port_blocked_by_reject_over_ipv6() {
    let policies = [
        (
            Policy::Reject("icmpv6 type port-unreachable"),
            everything("connect-refused"),
        ),
        (Policy::Reject("icmpv6 type addr-unreachable"), UNREACHABLE),
    ];
    blocked(
        "port_blocked_by_reject_over_ipv6",
        Ipv6Addr::LOCALHOST.into(),
        &policies,
    );
}

/// Linux makes "permission denied" of ICMPv6's prohibition: the network's, and not
/// that of `allowed_outbound_hosts`.
#[test]
fn port_blocked_by_prohibition_over_ipv6() {
    blocked(
        "port_blocked_by_prohibition_over_ipv6",
        Ipv6Addr::LOCALHOST.into(),
        &[(Policy::Reject("icmpv6 type admin-prohibited"), UNREACHABLE)],
    );
}

const UNREACHABLE: [Alert; 7] = beside("connect-refused", "unreachable");

/// One outage after the other, behind a true firewall.
fn blocked(test: &str, ip: IpAddr, policies: &[(Policy, [Alert; 7])]) {
    alone(test, || {
        on_each_host(test, |host| {
            // Spin does no TLS to an IPv6 address; without TLS there is no certificate.
            let plain = host == Host::Spin && ip.is_ipv6();
            let setup = Setup {
                ip,
                speaks: if plain {
                    Speaks::Http
                } else {
                    Setup::default().speaks
                },
                host: if ip.is_ipv4() { "127.0.0.1" } else { "[::1]" },
                changes: Changes {
                    // An ICMPv6 error that comes back over loopback finds the socket still
                    // connecting, and counts only when the SYN is repeated, after a second.
                    pace: if ip.is_ipv4() { QUICK } else { PATIENT },
                    // One outage a few seconds after the other.
                    variables: CHECKS.map(|c| (c, "flapping", "off".to_owned())).to_vec(),
                    ..Changes::default()
                },
                ..Setup::default()
            };
            let mut lab = Lab::well(host, setup);
            let firewall = match Firewall::before(lab.headscale.addr()) {
                Ok(firewall) => firewall,
                Err(why) => return skip(test, &why),
            };
            for (policy, alerts) in policies {
                println!("{policy:?}");
                let mut seen = alerts.to_vec();
                seen.retain(|a| !plain || a.check != "certificate");
                let cause = match alerts[3].kind {
                    "connect-refused" => "process-down",
                    _ => "host-unreachable",
                };
                lab.outage(
                    cause,
                    &seen,
                    |_| firewall.does(*policy),
                    |_| firewall.does(Policy::Accept),
                );
            }
        });
    });
}

/// A permission that is missing is told as that, and not as the network's trouble.
#[test]
fn what_the_manifest_does_not_permit_is_denied() {
    on_each_host("what_the_manifest_does_not_permit_is_denied", |host| {
        let setup = Setup {
            changes: Changes {
                no_sockets: true,
                ..Changes::default()
            },
            ..Setup::default()
        };
        let lab = Lab::open(host, setup);
        lab.webhook.wait_for(1);
        lab.wait_for_probes(2);
        let denied = all_over_sockets("denied");
        expect_opened("", &lab.webhook.messages(), &denied);
    });
}

#[test]
fn proxy_misroutes_the_key() {
    for (route, kind) in [
        (Misroute::NotFound, "status"),
        (Misroute::BadGateway, "status"),
        (Misroute::Page, "body"),
    ] {
        let state = State::KeyMisrouted(route);
        let alerts = [alert("key", kind), alert("control", kind)];
        outage_of_state("proxy_misroutes_the_key", state, "key-routing", &alerts);
    }
}

#[test]
fn failed_upgrade_answers_500() {
    outage_of_state(
        "failed_upgrade_answers_500",
        State::FailingEverything,
        "",
        &over_http("status"),
    );
}

/// v0.28 answers every path with 200 and a blank page: statuses alone would be green.
#[test]
fn failed_upgrade_answers_blank() {
    let alerts = [
        alert("health", "body"),
        alert("derp", "status"),
        alert("key", "body"),
        alert("control", "body"),
        alert("relay", "body"),
    ];
    outage_of_state(
        "failed_upgrade_answers_blank",
        State::BlankEverything,
        "",
        &alerts,
    );
}

#[test]
fn key_database_lost() {
    outage_of_state(
        "key_database_lost",
        State::OtherKey,
        "key-changed",
        &KEY_CHANGED,
    );
}

const KEY_CHANGED: [Alert; 2] = [
    alert("key", "protocol").because("key-changed"),
    alert("control", "protocol").because("key-changed"),
];

/// The new key is the right one once the operator says so, and not before.
#[test]
fn a_changed_key_is_over_once_it_is_pinned() {
    on_each_host("a_changed_key_is_over_once_it_is_pinned", |host| {
        let mut lab = Lab::well(host, Setup::default());
        lab.outage(
            "key-changed",
            &KEY_CHANGED,
            |lab| lab.headscale.state(State::OtherKey),
            |lab| {
                lab.runtime.stop();
                lab.runtime
                    .set("headscale_public_key", OTHER_KEY.to_owned());
                lab.runtime.run();
            },
        );
        // Pinned, the key that was lost is the wrong one.
        lab.headscale.state(State::Healthy);
        let told = lab.webhook.wait_for(3);
        expect_opened("key-changed", &told[2..], &KEY_CHANGED);
    });
}

// ------------------------------------------------------------ the rest of the table

#[test]
fn proxy_without_its_backend() {
    for status in [502, 503, 504] {
        let state = State::Proxy(status);
        let alerts = over_http("status");
        outage_of_state("proxy_without_its_backend", state, "backend-down", &alerts);
    }
}

/// HAProxy waits for its backend before it gives up: late, and still a status.
#[test]
fn proxy_that_gives_up_late() {
    on_each_host("proxy_that_gives_up_late", |host| {
        let setup = Setup {
            changes: Changes {
                pace: PATIENT,
                ..Changes::default()
            },
            ..Setup::default()
        };
        Lab::well(host, setup).outage(
            "backend-down",
            &over_http("status"),
            |lab| lab.headscale.state(State::SlowProxy(503, 3_000)),
            |lab| lab.headscale.state(State::Healthy),
        );
    });
}

#[test]
fn proxy_speaks_plain_http_to_tls() {
    outage_of_state(
        "proxy_speaks_plain_http_to_tls",
        State::HttpToHttps,
        "proxy-scheme",
        &[
            alert("health", "status"),
            alert("derp", "status"),
            alert("key", "status"),
            alert("control", "protocol").because("plain-http-to-tls"),
            alert("relay", "protocol").because("plain-http-to-tls"),
        ],
    );
}

/// Caddy's 200 and nothing: statuses alone would be green, but for DERP's.
#[test]
fn proxy_without_a_route() {
    let alerts = [
        alert("health", "body"),
        alert("derp", "status"),
        alert("key", "body"),
        alert("control", "body"),
        alert("relay", "body"),
    ];
    outage_of_state("proxy_without_a_route", State::EmptyEverything, "", &alerts);
}

/// The classic: `/health` and `/key` stay well, and no client can connect.
#[test]
fn proxy_strips_upgrade() {
    let alerts = ["control", "relay"].map(|c| alert(c, "protocol").because("upgrade-stripped"));
    outage_of_state(
        "proxy_strips_upgrade",
        State::UpgradeStripped,
        "control-protocol",
        &alerts,
    );
}

/// nginx with the configuration of a websocket: the plain relay hangs.
#[test]
fn proxy_forces_websocket() {
    outage_of_state(
        "proxy_forces_websocket",
        State::ForcedWebsocket,
        "control-protocol",
        &[
            alert("derp", "timeout"),
            alert("control", "protocol").because("upgrade-changed"),
        ],
    );
}

/// `/key` leads to one Headscale, `/ts2021` to another.
#[test]
fn two_headscales_behind_one_proxy() {
    outage_of_state(
        "two_headscales_behind_one_proxy",
        State::SplitBackends,
        "split-backends",
        &[alert("control", "protocol").because("split-backends")],
    );
}

/// An upgrade of Headscale raised the minimum: told apart from another key.
#[test]
fn the_server_wants_newer_clients() {
    outage_of_state(
        "the_server_wants_newer_clients",
        State::WantsNewer,
        "control-protocol",
        &[alert("control", "protocol").because("version-refused")],
    );
}

/// It answers, shows its key, admits clients, and carries nothing.
#[test]
fn a_relay_that_does_not_relay() {
    outage_of_state(
        "a_relay_that_does_not_relay",
        State::DerpMute,
        "derp",
        &[alert("relay", "protocol").because("not-relayed")],
    );
}

/// Accepted by the kernel, served by nobody.
#[test]
fn process_hung() {
    let mut alerts = over_http("timeout").to_vec();
    alerts.push(alert("certificate", "timeout"));
    outage_of_state("process_hung", State::Hung, "", &alerts);
}

#[test]
fn process_stalled_behind_its_tls() {
    let alerts = over_http("timeout");
    outage_of_state("process_stalled", State::Stalled, "", &alerts);
}

#[test]
fn one_byte_a_second() {
    let alerts = over_http("timeout");
    outage_of_state("one_byte_a_second", State::Trickle, "", &alerts);
}

#[test]
fn derp_answered_by_a_page() {
    let alerts = [alert("derp", "status"), alert("relay", "body")];
    outage_of_state("derp_answered_by_a_page", State::DerpBlank, "derp", &alerts);
}

#[test]
fn key_of_zeros() {
    on_each_host("key_of_zeros", |host| {
        let mut lab = Lab::well(host, Setup::default());
        lab.outage(
            "key-routing",
            &[alert("key", "body"), alert("control", "body")],
            |lab| lab.headscale.state(State::ZeroKey),
            |lab| lab.headscale.state(State::Healthy),
        );
    });
}

#[test]
fn redirected_to_a_login_page() {
    outage_of_state("redirected", State::Redirect, "", &over_http("status"));
}

#[test]
fn bytes_that_are_no_http() {
    outage_of_state(
        "bytes_that_are_no_http",
        State::Garbage,
        "",
        &over_http("protocol"),
    );
}

#[test]
fn closed_without_an_answer() {
    outage_of_state(
        "closed_without_an_answer",
        State::Closes,
        "",
        &over_http("protocol"),
    );
}

/// A body that never ends costs a bounded read, and a status needs no body at all.
#[test]
fn a_body_that_never_ends() {
    let alerts = [
        alert("health", "body"),
        alert("derp", "status"),
        alert("key", "body"),
        alert("control", "body"),
        alert("relay", "body"),
    ];
    outage_of_state("a_body_that_never_ends", State::EndlessBody, "", &alerts);
}

#[test]
fn headers_that_never_end() {
    outage_of_state(
        "headers_that_never_end",
        State::EndlessHeaders,
        "",
        &over_http("protocol"),
    );
}

/// DERP is off in a fresh Headscale: until it has been seen, its absence is no fault.
#[test]
fn derp_never_offered() {
    on_each_host("derp_never_offered", |host| {
        let mut lab = Lab::well(host, starting(State::DerpDisabled));
        lab.wait_for_probes(3);
        assert!(lab.webhook.deliveries().is_empty());
        lab.headscale.state(State::Healthy);
        lab.wait_for_probes(2);
        lab.outage(
            "derp",
            &DISABLED,
            |lab| lab.headscale.state(State::DerpDisabled),
            |lab| lab.headscale.state(State::Healthy),
        );
    });
}

const DISABLED: [Alert; 2] = [alert("derp", "status"), alert("relay", "status")];

#[test]
fn derp_required_and_off() {
    on_each_host("derp_required_and_off", |host| {
        for (wanted, alerts) in [("required", &DISABLED[..]), ("off", &[])] {
            let lab = Lab::open(
                host,
                Setup {
                    variables: vec![("headscale_derp", wanted.to_owned())],
                    ..starting(State::DerpDisabled)
                },
            );
            lab.webhook.wait_for(alerts.len().min(1));
            lab.wait_for_probes(3);
            match alerts {
                [] => assert!(lab.webhook.messages().is_empty()),
                some => expect_opened("derp", &lab.webhook.messages(), some),
            }
        }
    });
}

/// Answers that are as good as the usual ones.
#[test]
fn harmless_differences() {
    on_each_host("harmless_differences", |host| {
        for (state, speaks) in [
            (State::OldHealth, Speaks::Https(Chain::Valid)),
            (State::Healthy, Speaks::Https12(Chain::Valid)),
            (State::Healthy, Speaks::Https(Chain::WrongOrder)),
            (State::Healthy, Speaks::Http),
        ] {
            let lab = Lab::well(
                host,
                Setup {
                    speaks,
                    state,
                    ..Setup::default()
                },
            );
            lab.wait_for_probes(2);
            let said = lab.webhook.deliveries();
            assert!(said.is_empty(), "{state:?} {speaks:?}: {said:#?}");
        }
    });
}

// ------------------------------------------------------------ thresholds

/// Where two failures are asked for, one never alerts, however often it comes.
#[test]
fn a_single_failure_never_alerts() {
    on_each_host("a_single_failure_never_alerts", |host| {
        let lab = Lab::well(host, Setup::default());
        for (check, path) in [("health", "/health"), ("derp", "/derp"), ("key", "/key")] {
            for _ in 0..2 {
                let before = lab.headscale.requests(path);
                lab.headscale.except(path, State::Proxy(502), 1);
                wait::until(&format!("{check} to fail once"), || {
                    (lab.headscale.requests(path) > before).then_some(())
                });
                lab.wait_for_probes(2);
            }
        }
        assert!(
            lab.webhook.deliveries().is_empty(),
            "{:#?}",
            lab.webhook.deliveries()
        );
    });
}

/// The second failure alerts: at two exactly, and once.
#[test]
fn the_second_failure_alerts() {
    on_each_host("the_second_failure_alerts", |host| {
        let lab = Lab::well(host, Setup::default());
        lab.headscale.except("/health", State::DatabaseDown, 2);
        let over = wait::until("its end", || {
            let mut told = lab.webhook.messages().into_iter();
            told.find(|m| m.kind == "alert.resolved")
        });
        assert_eq!(over.data("cause"), "database", "{over:#?}");
        expect_checks(&over, &[alert("health", "status")]);
        lab.wait_for_probes(2);
        // So short an outage may be over before it is told: then its end tells both.
        assert!(lab.webhook.messages().len() <= 2);
    });
}

/// A setup whose Headscale is in that state before the application starts.
fn starting(in_state: State) -> Setup {
    Setup {
        state: in_state,
        ..Setup::default()
    }
}
