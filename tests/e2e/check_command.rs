//! `watchbell check <id>`: exit code, first line and JSON for each state.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use watchbell_lab::chain::{Chain, NAME};
use watchbell_lab::command::{Answer, check};
use watchbell_lab::dns::{self, Dns};
use watchbell_lab::headscale::{Headscale, Misroute, OTHER_KEY, Speaks, State};
use watchbell_lab::manifest::{CHECKS, Changes, ROOMY};
use watchbell_lab::server::Gate;

const UP: i32 = 0;
const DEGRADED: i32 = 1;
const FAILED: i32 = 2;
const COULD_NOT_RUN: i32 = 3;

struct Bench {
    headscale: Headscale,
    dns: Dns,
}

impl Bench {
    fn new(speaks: Speaks) -> Self {
        let headscale = Headscale::start(speaks);
        let dns = Dns::start(dns::Answer::Addresses(vec![headscale.addr().ip()]));
        Self { headscale, dns }
    }

    fn check(&self, id: &str, json: bool, more: &[(&'static str, &str)]) -> Answer {
        let given = |name| more.iter().any(|(n, _)| *n == name);
        let mut variables: Vec<(&str, String)> = vec![
            ("headscale_port", self.headscale.addr().port().to_string()),
            ("dns_resolver", self.dns.addr().to_string()),
        ];
        if !given("headscale_host") {
            variables.push(("headscale_host", "127.0.0.1".to_owned()));
        }
        variables.extend(more.iter().map(|(n, v)| (*n, (*v).to_owned())));
        let changes = Changes {
            pace: ROOMY,
            ..Changes::default()
        };
        check(id, json, &changes, &variables)
    }

    fn expect(&self, id: &str, more: &[(&'static str, &str)], want: (i32, &str, &str)) -> Value {
        let answer = self.check(id, true, more);
        let json = answer.json();
        let kind = json["kind"].as_str().unwrap_or("");
        let reason = json["reason"].as_str().unwrap_or("");
        let (exit, want_kind, want_reason) = want;
        assert_eq!((answer.exit, kind), (exit, want_kind), "{id}: {json:#}");
        if !want_reason.is_empty() {
            assert_eq!(reason, want_reason, "{id}: {json:#}");
        }
        let status = match exit {
            UP => "up",
            DEGRADED => "degraded",
            _ => "failed",
        };
        assert_eq!(json["status"], status, "{json:#}");
        assert_eq!(json["check"], id);
        assert!(json["duration_ms"].is_u64(), "{json:#}");
        assert!(json["detail"].is_string(), "{json:#}");
        assert_eq!(
            json["kind"].is_null(),
            exit == UP,
            "null exactly when up: {json:#}"
        );
        json
    }
}

#[test]
fn each_state_has_its_exit_code_and_kind() {
    let bench = Bench::new(Speaks::Https(Chain::Valid));
    for check in CHECKS {
        bench.expect(check, &[], (UP, "", ""));
    }
    for (state, check, want) in [
        (State::DatabaseDown, "health", (FAILED, "status", "")),
        (State::DatabaseDown, "key", (UP, "", "")),
        (State::OldHealth, "health", (UP, "", "")),
        (State::BlankEverything, "health", (FAILED, "body", "")),
        (State::BlankEverything, "derp", (FAILED, "status", "")),
        (State::BlankEverything, "key", (FAILED, "body", "")),
        // Never seen, so its absence is no fault.
        (State::DerpDisabled, "derp", (UP, "", "")),
        (State::DerpBlank, "derp", (FAILED, "status", "")),
        (
            State::KeyMisrouted(Misroute::NotFound),
            "key",
            (FAILED, "status", ""),
        ),
        (
            State::KeyMisrouted(Misroute::Page),
            "key",
            (FAILED, "body", ""),
        ),
        (State::ZeroKey, "key", (FAILED, "body", "")),
        (State::Proxy(502), "health", (FAILED, "status", "")),
        (State::Hung, "health", (FAILED, "timeout", "")),
        (State::Hung, "port", (UP, "", "")),
        (State::Hung, "certificate", (FAILED, "timeout", "")),
        (State::Stalled, "health", (FAILED, "timeout", "")),
        (State::Stalled, "certificate", (UP, "", "")),
        (State::Garbage, "health", (FAILED, "protocol", "")),
        (State::Closes, "health", (FAILED, "protocol", "")),
        (State::ZeroKey, "control", (FAILED, "body", "no-key")),
        (State::Proxy(502), "control", (FAILED, "status", "")),
        (State::Hung, "control", (FAILED, "timeout", "")),
        (State::Stalled, "control", (FAILED, "timeout", "")),
        (State::Trickle, "control", (FAILED, "timeout", "")),
        (State::Garbage, "control", (FAILED, "protocol", "malformed")),
        (State::Closes, "control", (FAILED, "protocol", "closed")),
        (
            State::EndlessHeaders,
            "control",
            (FAILED, "protocol", "malformed"),
        ),
        (
            State::UpgradeStripped,
            "control",
            (FAILED, "protocol", "upgrade-stripped"),
        ),
        (
            State::ForcedWebsocket,
            "control",
            (FAILED, "protocol", "upgrade-changed"),
        ),
        (
            State::SplitBackends,
            "control",
            (FAILED, "protocol", "split-backends"),
        ),
        (
            State::WantsNewer,
            "control",
            (FAILED, "protocol", "version-refused"),
        ),
        // Never seen, so its absence is no fault.
        (State::DerpDisabled, "relay", (UP, "", "")),
        (State::DerpBlank, "relay", (FAILED, "body", "wrong-answer")),
        (
            State::DerpMute,
            "relay",
            (FAILED, "protocol", "not-relayed"),
        ),
        (
            State::UpgradeStripped,
            "relay",
            (FAILED, "protocol", "upgrade-stripped"),
        ),
        (State::Hung, "relay", (FAILED, "timeout", "")),
        (State::Trickle, "relay", (FAILED, "timeout", "")),
        (State::Garbage, "relay", (FAILED, "protocol", "malformed")),
    ] {
        bench.headscale.state(state);
        println!("{state:?} {check}");
        bench.expect(check, &[], want);
    }
}

#[test]
fn a_port_that_is_closed_says_how() {
    let bench = Bench::new(Speaks::Https(Chain::Valid));
    for (gate, kind) in [
        (Gate::Refused, "connect-refused"),
        (Gate::Dropped, "connect-timeout"),
    ] {
        bench.headscale.gate(gate);
        for check in CHECKS {
            println!("{gate:?} {check}");
            bench.expect(check, &[], (FAILED, kind, ""));
        }
    }
}

#[test]
fn a_certificate_says_what_is_wrong_with_it() {
    let bench = Bench::new(Speaks::Http);
    for (chain, want) in [
        (Chain::Valid, (UP, "", "")),
        (Chain::WrongOrder, (UP, "", "")),
        (Chain::DaysLeft(10), (DEGRADED, "certificate", "")),
        (Chain::DaysLeft(0), (DEGRADED, "certificate", "")),
        (Chain::Expired, (FAILED, "certificate", "expired")),
        (Chain::NotYetValid, (FAILED, "certificate", "not-yet-valid")),
        (Chain::WrongHost, (FAILED, "certificate", "wrong-host")),
        (Chain::SelfSigned, (FAILED, "certificate", "self-signed")),
        (
            Chain::UntrustedRoot,
            (FAILED, "certificate", "untrusted-root"),
        ),
        (
            Chain::MissingIntermediate,
            (FAILED, "certificate", "incomplete-chain"),
        ),
    ] {
        bench.headscale.speaks(Speaks::Https(chain));
        println!("{chain:?}");
        let json = bench.expect("certificate", &[], want);
        facts_even_then(&json["facts"]);
    }
}

/// What is known of the certificate is told, valid or not.
fn facts_even_then(facts: &Value) {
    for text in [
        "subject",
        "issuer",
        "serial",
        "sha256",
        "tls_version",
        "cipher",
    ] {
        assert!(facts[text].is_string(), "{text}: {facts:#}");
    }
    for list in ["names", "chain"] {
        assert!(facts[list].is_array(), "{list}: {facts:#}");
    }
    for number in ["not_before_unix_s", "not_after_unix_s", "days_left"] {
        assert!(facts[number].is_i64(), "{number}: {facts:#}");
    }
    assert_eq!(facts["sha256"].as_str().unwrap().len(), 64, "{facts:#}");
}

#[test]
fn names_say_why_they_do_not_resolve() {
    let bench = Bench::new(Speaks::Https(Chain::Valid));
    let named = [("headscale_host", NAME)];
    for (answer, reason) in [
        (dns::Answer::NxDomain, "nxdomain"),
        (dns::Answer::NoData, "no-address"),
        (dns::Answer::ServFail, "servfail"),
        (dns::Answer::Silent, "no-answer"),
    ] {
        bench.dns.answer(answer);
        for check in ["port", "certificate", "control", "relay"] {
            println!("{reason} {check}");
            bench.expect(check, &named, (FAILED, "dns", reason));
        }
    }
    bench.expect(
        "health",
        &[("headscale_host", "hs.lab.invalid")],
        (FAILED, "dns", ""),
    );
}

#[test]
fn a_pinned_key_is_the_only_right_one() {
    let bench = Bench::new(Speaks::Https(Chain::Valid));
    let pinned = [("headscale_public_key", OTHER_KEY)];
    for check in ["key", "control"] {
        bench.headscale.state(State::Healthy);
        bench.expect(check, &pinned, (FAILED, "protocol", "key-changed"));
        bench.headscale.state(State::OtherKey);
        bench.expect(check, &pinned, (UP, "", ""));
    }
}

/// The first line is a Nagios plugin's: word, text, performance data after `|`.
#[test]
fn without_json_it_is_a_nagios_plugin() {
    let bench = Bench::new(Speaks::Https(Chain::Valid));
    for (state, exit, word) in [
        (State::Healthy, UP, "OK"),
        (State::DatabaseDown, FAILED, "CRITICAL"),
    ] {
        bench.headscale.state(state);
        let answer = bench.check("health", false, &[]);
        let first = answer.text.lines().next().unwrap_or_default();
        assert_eq!(answer.exit, exit, "{answer:?}");
        assert!(first.contains(word) && first.contains('|'), "{first:?}");
    }
}

#[test]
fn what_cannot_be_run_is_no_verdict() {
    let bench = Bench::new(Speaks::Https(Chain::Valid));
    let mistake = [("headscale_derp", "perhaps")];
    for (check, variables) in [("no-such-check", &[][..]), ("derp", &mistake)] {
        let json = bench.expect(check, variables, (COULD_NOT_RUN, "internal", ""));
        assert!(!json["detail"].as_str().unwrap().is_empty(), "{json:#}");
    }
}
