//! From transitions to what is said: one incident a service, one message when it opens, one
//! when it changes, one when it is over.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use support::*;
use watchbell_core::diagnosis::Role;
use watchbell_core::incident::Reminders;
use watchbell_core::ledger::{Ledger, Look, NODE, Rules};
use watchbell_core::monitor::{Monitor, Policy, step_awaited};
use watchbell_core::notice::{About, Notice};
use watchbell_core::operator::{Acknowledgement, Hold, Operator, Window};
use watchbell_core::outcome::{Kind, Outcome};
use watchbell_core::settings::Severity;
use watchbell_core::time::UnixMs;

const HOURS: u64 = 3_600;

/// Some checks of some services, and the alert component that looks at them.
struct Play {
    monitors: BTreeMap<&'static str, Monitor>,
    ledger: Ledger,
    operator: Operator,
    rules: Rules,
    said: Vec<Notice>,
}

impl Play {
    /// `(check, service, role)`, all of them well at second 0.
    fn new(checks: &[(&'static str, &str, Role)]) -> Self {
        let monitor = |(check, service, role): &(&'static str, &str, Role)| {
            let mut definition = definition();
            definition.check = (*check).into();
            definition.label = (*check).into();
            definition.service = (*service).into();
            definition.role = *role;
            definition.runbook = format!("look at {check}");
            definition.target = match role {
                Role::Witness => format!("{check}.example.net:443"),
                _ => format!("{service}.example.com:443"),
            };
            definition.probe = match role {
                Role::Port => "tcp",
                Role::Certificate => "certificate",
                _ => "http",
            }
            .into();
            (
                *check,
                drive(&policy(), Monitor::new(definition, START), &[(0, up())]),
            )
        };
        let mut play = Self {
            monitors: checks.iter().map(monitor).collect(),
            ledger: Ledger::default(),
            operator: Operator::default(),
            rules: Rules {
                settling_time: Duration::from_secs(30),
                sweep_interval: Duration::from_secs(60),
                reminders: Reminders {
                    interval: Duration::from_secs(4 * HOURS),
                    max: 2,
                },
                announces: false,
            },
            said: Vec::new(),
        };
        assert_eq!(play.look(0), Vec::<String>::new());
        play
    }

    fn headscale() -> Self {
        Self::new(&[
            ("health", "headscale", Role::Health),
            ("derp", "headscale", Role::Derp),
            ("key", "headscale", Role::Key),
            ("port", "headscale", Role::Port),
        ])
    }

    fn probe(&mut self, second: u64, check: &'static str, outcome: Outcome) {
        let monitor = self.monitors.remove(check).unwrap();
        let policy = Policy {
            flapping: true,
            ..policy()
        };
        let monitor = step_awaited(monitor, &policy, &outcome, at(second));
        self.monitors.insert(check, monitor);
    }

    fn all(&mut self, second: u64, outcome: &Outcome) {
        for check in self.monitors.keys().copied().collect::<Vec<_>>() {
            self.probe(second, check, outcome.clone());
        }
    }

    /// Of [`Play::headscale`].
    fn others_than_health_are_up(&mut self, second: u64) {
        for check in ["derp", "key", "port"] {
            self.probe(second, check, up());
        }
    }

    /// What is new to say at that second, in words: `type service cause`.
    fn look(&mut self, second: u64) -> Vec<String> {
        let monitors: Vec<Monitor> = self.monitors.values().cloned().collect();
        self.ledger.look(&Look {
            monitors: &monitors,
            unreadable: &BTreeSet::new(),
            operator: &self.operator,
            maintenance: &[],
            rules: self.rules,
            now: at(second),
        });
        let new = std::mem::take(&mut self.ledger.outbox.messages);
        let new: Vec<Notice> = new.into_iter().map(|m| m.notice).collect();
        // As the outbox has it for channels that keep nothing: an end tells both.
        let over = |n: &Notice| {
            let key = n.dedup_key();
            let ends = |o: &Notice| o.type_name() == "alert.resolved" && o.dedup_key() == key;
            new.iter().any(ends)
        };
        let new: Vec<Notice> = new
            .iter()
            .filter(|n| !(n.begins() && over(n)))
            .cloned()
            .collect();
        self.said.extend(new.iter().cloned());
        new.iter().map(words).collect()
    }
}

fn words(notice: &Notice) -> String {
    let cause = match &notice.about {
        About::Incident { incident, .. } => incident.cause.clone().unwrap_or("?".into()),
        About::Summary { incidents, .. } => format!("{}", incidents.len()),
        _ => "-".into(),
    };
    format!("{} {} {cause}", notice.type_name(), notice.service)
}

fn refused() -> Outcome {
    Outcome::failed(Kind::ConnectRefused, "connection refused")
}

#[test]
fn an_outage_of_everything_is_told_once_and_so_is_its_end() {
    let mut play = Play::headscale();
    play.all(60, &refused());
    assert!(play.look(60).is_empty(), "one failure never alerts");
    play.all(80, &refused());
    assert_eq!(play.look(80), ["alert.triggered headscale process-down"]);
    assert!(play.look(81).is_empty(), "once");
    play.all(140, &up());
    assert_eq!(play.look(140), ["alert.resolved headscale process-down"]);
    assert!(play.look(150).is_empty());
    let [opened, over] = &play.said[..] else {
        panic!("want two")
    };
    assert_eq!(opened.dedup_key(), over.dedup_key());
    assert_ne!(opened.id, over.id);
    let body = over.payload();
    assert_eq!(body["data"]["duration_s"], 80);
    assert_eq!(
        body["data"]["checks"].as_array().unwrap().len(),
        4,
        "{body:#}"
    );
    assert!(!body["data"]["checks"][0]["recovered_at"].is_null());
}

/// A check that saw it first, and was slow to confirm it, makes no other outage of it.
#[test]
fn the_end_tells_of_the_beginning_that_was_told() {
    let mut play = Play::headscale();
    play.probe(58, "key", refused());
    for second in [60, 80] {
        for check in ["health", "derp", "port"] {
            play.probe(second, check, refused());
        }
    }
    assert_eq!(play.look(80), ["alert.triggered headscale process-down"]);
    play.probe(82, "key", refused());
    assert!(play.look(82).is_empty());
    play.all(140, &up());
    assert_eq!(play.look(140), ["alert.resolved headscale process-down"]);
    let since = |n: usize| play.said[n].payload()["data"]["failing_since"].clone();
    assert_eq!(since(0), since(1));
    let checks = play.said[1].payload()["data"]["checks"].clone();
    let key = checks
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["check"] == "key");
    assert_ne!(
        key.unwrap()["failing_since"],
        since(0),
        "its own stays its own"
    );
}

#[test]
fn the_first_message_waits_for_fresh_outcomes() {
    let mut play = Play::headscale();
    play.probe(60, "port", refused());
    play.probe(80, "port", refused());
    assert!(
        play.look(80).is_empty(),
        "the others' outcomes are older than the failure"
    );
    assert_eq!(play.ledger.suspect(), Some(at(60)));
    for check in ["health", "derp", "key"] {
        assert!(play.look(84).is_empty());
        play.probe(84, check, refused());
    }
    assert_eq!(
        play.look(84),
        ["alert.triggered headscale process-down"],
        "those below their threshold are evidence too"
    );
}

#[test]
fn the_first_message_waits_no_longer_than_the_settling_time() {
    for (settling_s, told_at) in [(30, 110), (0, 80), (5, 85)] {
        let mut play = Play::headscale();
        play.rules.settling_time = Duration::from_secs(settling_s);
        play.probe(60, "port", refused());
        play.probe(80, "port", refused());
        let first = (80..200).find(|second| !play.look(*second).is_empty());
        assert_eq!(first, Some(told_at), "{settling_s} s");
        // As far as can be told from what is known.
        assert_eq!(
            words(&play.said[0]),
            "alert.triggered headscale network-split"
        );
    }
}

#[test]
fn a_change_of_cause_is_told_once_it_is_certain() {
    let mut play = Play::headscale();
    play.probe(60, "health", down());
    play.probe(80, "health", down());
    play.others_than_health_are_up(80);
    assert_eq!(play.look(80), ["alert.triggered headscale database"]);
    play.probe(140, "port", refused());
    assert!(
        play.look(140).is_empty(),
        "the others have not been asked since"
    );
    for check in ["health", "derp", "key"] {
        play.probe(144, check, refused());
    }
    assert!(play.look(144).is_empty(), "nor port since they have turned");
    play.probe(160, "port", refused());
    assert_eq!(play.look(160), ["alert.updated headscale process-down"]);
    assert!(play.look(161).is_empty());
}

/// The clock is put back by an hour while the first message waits, and while reminders do.
#[test]
fn a_clock_that_went_back_holds_no_message_until_it_has_caught_up() {
    let mut play = Play::headscale();
    play.all(3_990, &up());
    play.probe(4_000, "port", refused());
    play.probe(4_020, "port", refused());
    assert!(play.look(4_020).is_empty(), "the others are waited for");
    let first = (400..500).find(|second| !play.look(*second).is_empty());
    assert!(first.is_some_and(|at| at <= 431), "{first:?}");
    let reminded = (500..500 + 5 * HOURS).find(|second| {
        for check in ["health", "derp", "key"] {
            play.probe(*second, check, up());
        }
        play.probe(*second, "port", refused());
        !play.look(*second).is_empty()
    });
    assert!(
        reminded.is_some_and(|at| at <= 500 + 4 * HOURS),
        "{reminded:?}"
    );
}

/// A proxy that answers so and then so: the first changes are told, then ever fewer.
#[test]
fn a_cause_that_comes_and_goes_is_told_ever_less_often() {
    let mut play = Play::headscale();
    let bad_gateway = || {
        let mut outcome = Outcome::failed(Kind::Status, "status 502");
        outcome.http_status = Some(502);
        outcome
    };
    let silence = || Outcome::failed(Kind::Timeout, "no answer");
    let http = ["health", "derp", "key"];
    for second in [60, 80] {
        http.iter()
            .for_each(|c| play.probe(second, c, bad_gateway()));
        play.probe(second, "port", up());
    }
    assert_eq!(play.look(80), ["alert.triggered headscale backend-down"]);
    for minute in 2..62 {
        let second = minute * 60;
        http.iter().for_each(|c| {
            let outcome = if minute % 2 == 0 {
                silence()
            } else {
                bad_gateway()
            };
            play.probe(second, c, outcome);
        });
        play.probe(second, "port", up());
        for look in 0..6 {
            play.look(second + look * 10);
        }
    }
    let said = play.said.len();
    assert!((3..=9).contains(&said), "{said} messages in an hour");
}

/// Where no row fits, the list of what fails is all there is: more of it is news.
#[test]
fn what_fails_besides_is_told_where_no_cause_sums_it_up() {
    let mut play = Play::headscale();
    for second in [60, 80] {
        for check in ["health", "derp"] {
            play.probe(second, check, down());
        }
        for check in ["key", "port"] {
            play.probe(second, check, up());
        }
    }
    assert_eq!(play.look(80), ["alert.triggered headscale ?"]);
    for second in [140, 160] {
        for check in ["health", "derp", "key"] {
            play.probe(second, check, down());
        }
        play.probe(second, "port", up());
    }
    assert_eq!(play.look(160), ["alert.updated headscale ?"]);
    assert!(play.look(170).is_empty(), "once");
}

#[test]
fn a_further_check_that_falls_silent_is_told() {
    let mut play = Play::headscale();
    let alive = |play: &mut Play, checks: &[&'static str], from: u64, to: u64| {
        let mut said = Vec::new();
        for second in (from..to).step_by(60) {
            checks.iter().for_each(|c| play.probe(second, c, up()));
            said.extend(play.look(second));
        }
        said
    };
    let first = alive(&mut play, &["health", "key", "port"], 60, 1_200);
    assert_eq!(first, ["alert.triggered watchbell silent"]);
    let second = alive(&mut play, &["health", "port"], 1_200, 2_400);
    assert_eq!(second, ["alert.updated watchbell silent"]);
}

/// An operator makes a witness of a check that is down: its end is told all the same.
#[test]
fn what_becomes_a_witness_while_it_is_down_is_told_to_be_over() {
    let mut play = Play::headscale();
    for second in [60, 80] {
        play.probe(second, "derp", down());
        for check in ["health", "key", "port"] {
            play.probe(second, check, up());
        }
    }
    assert_eq!(play.look(80), ["alert.triggered headscale derp"]);
    let derp = play.monitors.get_mut("derp").unwrap();
    derp.definition.role = Role::Witness;
    play.all(140, &up());
    assert_eq!(play.look(140), ["alert.resolved headscale derp"]);
}

/// A check went down inside a silence and has not run since: nothing says that it is well.
#[test]
fn what_went_silent_while_it_was_held_back_is_told_to_be_down() {
    let mut play = Play::headscale();
    let silence = window(Hold::Silence, 30, 1_000);
    play.operator.windows.insert("silence".into(), silence);
    for second in [60, 80] {
        play.probe(second, "port", refused());
        for check in ["health", "derp", "key"] {
            play.probe(second, check, up());
        }
    }
    assert!(play.look(80).is_empty());
    let mut said = Vec::new();
    for second in (140..1_300).step_by(60) {
        for check in ["health", "derp", "key"] {
            play.probe(second, check, up());
        }
        said.extend(play.look(second));
    }
    let down = |s: &String| s.starts_with("alert.triggered headscale");
    assert!(said.iter().any(down), "{said:?}");
}

/// A record of a check that was removed once it had failed: it says nothing of when this
/// outage began.
#[test]
fn a_check_that_does_not_run_any_more_hurries_no_first_message() {
    let mut play = Play::headscale();
    play.probe(60, "derp", down());
    for second in (120..2_000).step_by(60) {
        for check in ["health", "key", "port"] {
            play.probe(second, check, up());
        }
        play.look(second);
    }
    play.said.clear();
    play.probe(2_010, "port", refused());
    play.probe(2_030, "port", refused());
    let said = play.look(2_030);
    assert!(!said.iter().any(|s| s.contains("headscale")), "{said:?}");
    for check in ["health", "key"] {
        play.probe(2_034, check, refused());
    }
    assert_eq!(play.look(2_034), ["alert.triggered headscale process-down"]);
}

/// What was looked at in one incident says nothing about the next.
#[test]
fn the_next_incident_waits_for_outcomes_of_its_own() {
    let mut play = Play::headscale();
    play.all(60, &refused());
    play.all(80, &refused());
    play.look(80);
    play.all(140, &up());
    play.look(140);
    play.all(200, &up());
    play.probe(260, "port", refused());
    play.probe(280, "port", refused());
    assert!(
        play.look(280).is_empty(),
        "the others were asked before it failed"
    );
    for check in ["health", "derp", "key"] {
        play.probe(284, check, refused());
    }
    assert_eq!(play.look(284), ["alert.triggered headscale process-down"]);
}

#[test]
fn a_recovery_check_by_check_is_one_end() {
    let mut play = Play::headscale();
    play.all(60, &refused());
    play.all(80, &refused());
    play.look(80);
    for (second, check) in [(100, "port"), (104, "health"), (108, "key")] {
        play.probe(second, check, up());
        assert!(play.look(second).is_empty(), "after {check}");
    }
    play.probe(112, "derp", up());
    assert_eq!(play.look(112), ["alert.resolved headscale process-down"]);
}

/// A failure that is not confirmed yet may be the same outage.
#[test]
fn an_end_waits_for_what_is_unproven() {
    let mut play = Play::headscale();
    play.probe(60, "port", refused());
    play.probe(80, "port", refused());
    for check in ["health", "derp", "key"] {
        play.probe(84, check, refused());
    }
    play.look(84);
    play.probe(100, "port", up());
    assert!(
        play.look(100).is_empty(),
        "health may be about to be confirmed"
    );
    for check in ["health", "derp", "key"] {
        play.probe(104, check, up());
    }
    assert_eq!(play.look(104), ["alert.resolved headscale process-down"]);
}

#[test]
fn reminders_come_at_their_interval_and_end() {
    let mut play = Play::headscale();
    play.all(60, &refused());
    play.all(80, &refused());
    play.look(80);
    let mut reminded = Vec::new();
    for second in (80..20 * HOURS).step_by(60) {
        play.all(second, &refused());
        if let [said] = &play.look(second)[..] {
            assert_eq!(said, "alert.reminder headscale process-down");
            reminded.push(second / HOURS);
        }
    }
    assert_eq!(reminded, [4, 8], "two, as configured");
}

#[test]
fn who_looks_after_an_incident_is_not_reminded() {
    let mut play = Play::headscale();
    play.all(60, &refused());
    play.all(80, &refused());
    play.look(80);
    let id = play.said[0].dedup_key().into_owned();
    let acknowledgement = Acknowledgement {
        at: at(90),
        by: "ada".into(),
        comment: "on it".into(),
    };
    play.operator.acknowledgements.insert(id, acknowledgement);
    assert_eq!(play.look(90), ["alert.acknowledged headscale process-down"]);
    assert_eq!(play.said[1].payload()["data"]["acknowledged"]["by"], "ada");
    for second in (100..20 * HOURS).step_by(600) {
        play.all(second, &refused());
        assert!(play.look(second).is_empty());
    }
    play.all(20 * HOURS, &up());
    assert_eq!(
        play.look(20 * HOURS),
        ["alert.resolved headscale process-down"]
    );
}

fn window(hold: Hold, from: u64, until: u64) -> Window {
    Window {
        service: "headscale".into(),
        from: at(from),
        until: at(until),
        by: "ada".into(),
        comment: String::new(),
        hold,
    }
}

#[test]
fn a_silence_holds_back_and_then_sums_up() {
    for (hold, at_end) in [
        (Hold::Silence, &["alert.summary headscale 1"][..]),
        (Hold::Maintenance, &[]),
    ] {
        let mut play = Play::headscale();
        play.operator
            .windows
            .insert("w".into(), window(hold, 0, 600));
        for (second, outcome) in [(60, refused()), (80, refused()), (140, up())] {
            play.all(second, &outcome);
            assert!(play.look(second).is_empty(), "{hold:?} at {second} s");
        }
        assert_eq!(play.look(599), Vec::<String>::new());
        assert_eq!(play.look(600), at_end, "{hold:?}");
        assert!(play.look(601).is_empty());
    }
}

#[test]
fn what_is_still_down_at_the_end_is_told_at_once() {
    for hold in [Hold::Silence, Hold::Maintenance] {
        let mut play = Play::headscale();
        play.operator
            .windows
            .insert("w".into(), window(hold, 0, 600));
        for second in [60, 80, 140, 200, 590] {
            play.all(second, &refused());
            assert!(play.look(second).is_empty(), "{hold:?} at {second} s");
        }
        assert_eq!(play.look(600), ["alert.triggered headscale process-down"]);
        assert_eq!(
            play.said[0].payload()["data"]["failing_since"],
            at(60).rfc3339()
        );
    }
}

#[test]
fn what_was_told_before_a_silence_is_told_to_be_over_after_it() {
    let mut play = Play::headscale();
    play.all(60, &refused());
    play.all(80, &refused());
    play.look(80);
    play.operator
        .windows
        .insert("w".into(), window(Hold::Silence, 90, 600));
    play.all(140, &up());
    assert!(play.look(140).is_empty());
    assert_eq!(play.look(600), ["alert.resolved headscale process-down"]);
}

#[test]
fn a_window_of_another_service_holds_nothing_back() {
    let mut play = Play::headscale();
    let mut other = window(Hold::Silence, 0, 600);
    other.service = "mail".into();
    play.operator.windows.insert("w".into(), other);
    play.all(60, &refused());
    play.all(80, &refused());
    assert_eq!(play.look(80).len(), 1);
}

fn with_witnesses() -> Play {
    Play::new(&[
        ("health", "headscale", Role::Health),
        ("port", "headscale", Role::Port),
        ("here", "elsewhere", Role::Witness),
        ("there", "elsewhere", Role::Witness),
    ])
}

#[test]
fn witnesses_that_fail_too_make_it_this_nodes_fault() {
    let mut play = with_witnesses();
    let cut_off = Outcome::failed(Kind::Unreachable, "unreachable");
    play.all(60, &cut_off);
    play.all(80, &cut_off);
    assert_eq!(
        play.look(80),
        ["alert.triggered watchbell uplink"],
        "and nothing else"
    );
    play.all(140, &up());
    let over = play.look(140);
    assert_eq!(
        over,
        [
            "alert.resolved watchbell uplink",
            "alert.summary headscale 1"
        ]
    );
}

#[test]
fn what_the_network_hid_is_told_when_it_is_back() {
    let mut play = with_witnesses();
    let cut_off = Outcome::failed(Kind::Unreachable, "unreachable");
    play.all(60, &cut_off);
    play.all(80, &cut_off);
    play.look(80);
    play.all(140, &cut_off);
    assert!(play.look(140).is_empty());
    play.probe(200, "here", up());
    play.probe(200, "there", up());
    play.probe(200, "port", refused());
    play.probe(200, "health", refused());
    assert_eq!(
        play.look(205),
        ["alert.resolved watchbell uplink"],
        "what was found without a network proves nothing"
    );
    play.probe(220, "health", refused());
    assert!(play.look(220).is_empty(), "one of two");
    play.probe(221, "port", refused());
    assert_eq!(play.look(221), ["alert.triggered headscale process-down"]);
}

/// Services behind one proxy that is gone: the network works, for it refuses.
#[test]
fn a_refused_connection_is_no_fault_of_the_network() {
    let mut play = Play::new(&[
        ("a", "one", Role::Port),
        ("b", "two", Role::Port),
        ("c", "three", Role::Port),
    ]);
    play.all(60, &refused());
    play.all(80, &refused());
    let mut said = play.look(80);
    said.sort();
    assert_eq!(
        said,
        [
            "alert.triggered one process-down",
            "alert.triggered three process-down",
            "alert.triggered two process-down"
        ]
    );
}

/// Two targets at least that have nothing to do with the service, nor with each other.
#[test]
fn only_targets_apart_prove_the_network_at_fault() {
    for (service, target, proves) in [
        ("chat", "chat.example.com:443", true),
        // A service on two hosts, two on one, one on the failing service's own.
        ("mail", "mx.example.net:25", false),
        ("chat", "mail.example.com:443", false),
        ("chat", "headscale.example.com:443", false),
    ] {
        let mut play = Play::new(&[
            ("port", "headscale", Role::Port),
            ("imap", "mail", Role::Other),
            ("another", service, Role::Other),
        ]);
        let another = play.monitors.get_mut("another").unwrap();
        another.definition.target = target.into();
        let cut_off = Outcome::failed(Kind::Unreachable, "unreachable");
        play.all(60, &cut_off);
        play.all(80, &cut_off);
        let said = play.look(80);
        let of_the_node = said.contains(&format!("alert.triggered {NODE} uplink"));
        assert_eq!(of_the_node, proves, "{service} at {target}: {said:?}");
        let of_headscale = said.iter().any(|s| s.contains("headscale"));
        assert_eq!(of_headscale, !proves, "{service} at {target}: {said:?}");
    }
}

/// What a silence held is told, whatever held it after that.
#[test]
fn what_a_silence_held_is_not_dropped_by_maintenance() {
    let mut play = Play::headscale();
    let windows = &mut play.operator.windows;
    windows.insert("s".into(), window(Hold::Silence, 50, 200));
    windows.insert("m".into(), window(Hold::Maintenance, 190, 300));
    play.all(60, &refused());
    play.all(80, &refused());
    play.all(140, &up());
    for second in [80, 140, 195, 250] {
        assert!(play.look(second).is_empty(), "{second}");
    }
    assert_eq!(play.look(300), ["alert.summary headscale 1"]);
}

/// What came and went inside maintenance stays untold, whatever else held it back: then, or
/// once maintenance was over.
#[test]
fn what_maintenance_expected_is_not_summed_up_for_the_network() {
    let cut_off = Outcome::failed(Kind::Unreachable, "unreachable");
    let node = "alert.resolved watchbell uplink".to_owned();
    for (until, summed_up) in [(600, None), (210, Some("alert.summary headscale 1"))] {
        let mut play = with_witnesses();
        let windows = &mut play.operator.windows;
        windows.insert("m".into(), window(Hold::Maintenance, 50, until));
        for (second, outcome) in [(60, &refused()), (80, &refused()), (140, &up())] {
            play.probe(second, "port", outcome.clone());
            play.probe(second, "health", outcome.clone());
            assert!(play.look(second).is_empty(), "{second}");
        }
        for second in [200, 220] {
            play.all(second, &cut_off);
            play.look(second);
        }
        play.all(280, &up());
        let mut want = vec![node.clone()];
        want.extend(summed_up.map(str::to_owned));
        assert_eq!(play.look(280), want);
        assert!(play.look(600).is_empty(), "maintenance until {until}");
    }
}

/// Maintenance expects what lies inside it, and nothing else.
#[test]
fn an_outage_that_began_before_maintenance_is_told() {
    let mut play = Play::headscale();
    let windows = &mut play.operator.windows;
    windows.insert("m".into(), window(Hold::Maintenance, 70, 300));
    play.all(60, &refused());
    play.all(80, &refused());
    play.look(80);
    play.all(140, &up());
    assert!(play.look(140).is_empty());
    assert_eq!(play.look(300), ["alert.resolved headscale process-down"]);
}

/// An operator ends maintenance early: what is down is told at once, and so is its end, even
/// where that lies inside the window that was planned.
#[test]
fn an_outage_that_outlasts_maintenance_ended_early_is_told_to_be_over() {
    let mut play = Play::headscale();
    let windows = &mut play.operator.windows;
    windows.insert("m".into(), window(Hold::Maintenance, 50, 3_600));
    for second in [60, 80, 140] {
        play.all(second, &refused());
        assert!(play.look(second).is_empty(), "{second}");
    }
    play.operator.windows.clear();
    assert_eq!(play.look(150), ["alert.triggered headscale process-down"]);
    play.all(200, &up());
    assert_eq!(play.look(200), ["alert.resolved headscale process-down"]);
}

/// Each is an incident of its own, though the service's outage is one.
#[test]
fn a_network_that_fails_twice_within_one_outage_is_told_twice() {
    let mut play = with_witnesses();
    let cut_off = Outcome::failed(Kind::Unreachable, "unreachable");
    play.all(60, &cut_off);
    play.all(80, &cut_off);
    assert_eq!(play.look(80), ["alert.triggered watchbell uplink"]);
    play.probe(140, "here", up());
    play.probe(140, "there", up());
    assert_eq!(play.look(140), ["alert.resolved watchbell uplink"]);
    for second in [200, 220] {
        play.all(second, &cut_off);
    }
    assert_eq!(play.look(220), ["alert.triggered watchbell uplink"]);
    let ids: Vec<_> = play.said.iter().map(Notice::dedup_key).collect();
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[1], ids[2]);
}

/// A store that answers an error says nothing of who looks after it.
#[test]
fn an_acknowledgement_that_cannot_be_read_brings_no_reminder_back() {
    let mut play = Play::headscale();
    play.all(60, &refused());
    play.all(80, &refused());
    play.look(80);
    let acknowledgement = Acknowledgement {
        at: at(90),
        by: "ada".into(),
        comment: String::new(),
    };
    let id = play.said[0].dedup_key().into_owned();
    play.operator.acknowledgements.insert(id, acknowledgement);
    assert_eq!(play.look(90).len(), 1);
    play.operator.acknowledgements.clear();
    play.all(5 * HOURS, &refused());
    assert!(play.look(5 * HOURS).is_empty());
}

/// Who acknowledges says nothing of a change that is still being looked at.
#[test]
fn a_change_is_told_whoever_acknowledges_meanwhile() {
    let mut play = Play::headscale();
    play.probe(60, "health", Outcome::failed(Kind::Status, "status 500"));
    play.probe(80, "health", Outcome::failed(Kind::Status, "status 500"));
    play.others_than_health_are_up(81);
    let opened = play.look(81);
    assert_eq!(opened.len(), 1, "{opened:?}");
    play.probe(140, "port", refused());
    play.probe(160, "port", refused());
    let id = play.said[0].dedup_key().into_owned();
    let acknowledgement = Acknowledgement {
        at: at(161),
        by: "ada".into(),
        comment: String::new(),
    };
    play.operator.acknowledgements.insert(id, acknowledgement);
    let mut said = play.look(161);
    play.all(170, &refused());
    play.all(190, &refused());
    said.extend(play.look(200));
    said.extend(play.look(201));
    let updated = said.iter().filter(|s| s.starts_with("alert.updated"));
    let acknowledged = said.iter().filter(|s| s.starts_with("alert.acknowledged"));
    assert_eq!((updated.count(), acknowledged.count()), (1, 1), "{said:?}");
}

#[test]
fn a_witness_alone_is_nobodys_outage() {
    let mut play = with_witnesses();
    play.probe(60, "here", refused());
    play.probe(80, "here", refused());
    assert!(play.look(80).is_empty());
    // One that is well clears the node.
    play.probe(140, "there", up());
    for second in [140, 160] {
        play.probe(second, "health", refused());
        play.probe(second, "port", refused());
        play.probe(second, "here", refused());
        play.probe(second, "there", up());
    }
    assert_eq!(play.look(160), ["alert.triggered headscale process-down"]);
}

#[test]
fn a_check_that_does_not_run_is_told() {
    let mut play = Play::headscale();
    for second in (10..=300).step_by(10) {
        play.others_than_health_are_up(second);
        let said = play.look(second);
        // Three intervals of 60 s, and a margin of another.
        if second < 250 {
            assert!(said.is_empty(), "{second}: {said:?}");
        }
    }
    assert_eq!(play.said.len(), 1);
    assert_eq!(
        words(&play.said[0]),
        format!("alert.triggered {NODE} silent")
    );
    assert_eq!(
        play.said[0].payload()["data"]["checks"][0]["check"],
        "health"
    );
    play.probe(310, "health", up());
    assert_eq!(play.look(310), [format!("alert.resolved {NODE} silent")]);
}

/// Called from outside, perhaps every five minutes: it does not sleep in between.
#[test]
fn sweeps_far_apart_tell_of_a_check_that_does_not_run() {
    let mut play = Play::headscale();
    play.rules.sweep_interval = Duration::from_secs(300);
    play.rules.announces = true;
    let mut said = Vec::new();
    for second in (300..=900).step_by(300) {
        play.others_than_health_are_up(second);
        said.extend(play.look(second));
    }
    assert_eq!(said, [format!("alert.triggered {NODE} silent")]);
}

/// A service that never had anything to say is asked as early as any other: its other checks
/// run again from the first failure on, not from its confirmation on.
#[test]
fn the_first_failure_of_all_is_suspected_at_once() {
    let mut play = Play::headscale();
    assert_eq!(play.ledger.suspect(), None);
    play.probe(10, "health", refused());
    assert!(play.look(10).is_empty());
    assert_eq!(play.ledger.suspect(), Some(at(10)));
}

/// Only a run ends it: a node that sleeps and wakes has not seen one.
#[test]
fn a_check_that_is_silent_stays_so_over_the_nodes_sleep() {
    let mut play = Play::headscale();
    for second in (10..=300).step_by(10) {
        play.others_than_health_are_up(second);
        play.look(second);
    }
    assert_eq!(play.said.len(), 1);
    for second in [2 * HOURS, 2 * HOURS + 10] {
        play.others_than_health_are_up(second);
        assert!(play.look(second).is_empty(), "{second}");
    }
    play.probe(2 * HOURS + 20, "health", up());
    assert_eq!(
        play.look(2 * HOURS + 20),
        [format!("alert.resolved {NODE} silent")]
    );
}

/// A laptop that sleeps through the night has nothing to report.
#[test]
fn a_node_that_slept_asks_no_check_where_it_was() {
    let mut play = Play::headscale();
    assert!(play.look(8 * HOURS).is_empty());
    play.all(8 * HOURS + 30, &up());
    assert!(play.look(8 * HOURS + 60).is_empty());
}

#[test]
fn a_node_that_starts_says_so_where_that_is_asked_for() {
    let mut play = Play::headscale();
    play.rules.announces = true;
    assert!(play.look(10).is_empty(), "it has run before");
    let woken = play.look(8 * HOURS);
    assert_eq!(woken, ["watchbell.started watchbell -"]);
    assert!(play.look(8 * HOURS + 10).is_empty());
}

#[test]
fn a_check_that_flaps_is_told_twice() {
    let mut play = Play::new(&[
        ("port", "headscale", Role::Port),
        ("health", "headscale", Role::Health),
    ]);
    let mut second = 60;
    // Two failures, one success, again and again.
    for _ in 0..12 {
        for outcome in [refused(), refused(), up()] {
            play.all(second, &outcome);
            play.look(second);
            second += 20;
        }
    }
    let loud: Vec<String> = play.said.iter().map(words).collect();
    let flapping = play.said.last().unwrap().payload();
    assert_eq!(
        flapping["data"]["checks"][0]["flapping"], true,
        "{flapping:#}"
    );
    let before = play.said.len();
    assert!(before <= 10, "and then quiet: {loud:#?}");
    for _ in 0..40 {
        play.all(second, &up());
        play.look(second);
        second += 60;
    }
    let after: Vec<String> = play.said[before..].iter().map(words).collect();
    assert!(
        after
            .last()
            .unwrap()
            .starts_with("alert.resolved headscale"),
        "{after:?}"
    );
    assert!(after.len() <= 2, "{after:?}");
}

#[test]
fn severity_is_the_highest_and_a_rise_is_told() {
    let mut play = Play::headscale();
    play.monitors.get_mut("derp").unwrap().definition.severity = Severity::Warning;
    for second in [60, 80] {
        play.probe(second, "derp", down());
        for check in ["health", "key", "port"] {
            play.probe(second, check, up());
        }
    }
    assert_eq!(play.look(80), ["alert.triggered headscale derp"]);
    assert_eq!(play.said[0].severity, Severity::Warning);
    for second in [140, 160] {
        play.all(second, &refused());
    }
    assert_eq!(play.look(160), ["alert.updated headscale process-down"]);
    assert_eq!(play.said[1].severity, Severity::Critical);
}

/// What one run overwrites another redoes, under the same ids.
#[test]
fn a_ledger_that_lost_its_last_write_says_the_same_again() {
    let mut play = Play::headscale();
    play.all(60, &refused());
    play.all(80, &refused());
    let before = play.ledger.clone();
    play.look(80);
    play.ledger = before;
    play.look(95);
    let ids: BTreeSet<&str> = play.said.iter().map(|n| n.id.as_str()).collect();
    assert_eq!((play.said.len(), ids.len()), (2, 1));
}

#[test]
fn a_check_that_was_forgotten_is_not_waited_for() {
    let mut play = Play::headscale();
    for second in [60, 80] {
        play.probe(second, "health", down());
        play.others_than_health_are_up(second);
    }
    play.look(80);
    play.monitors.remove("health");
    assert_eq!(play.look(100), ["alert.resolved headscale database"]);
}

/// Two outages with the alert component away are two outages.
#[test]
fn outages_that_nobody_looked_at_are_told_one_by_one() {
    let mut play = Play::headscale();
    for (second, outcome) in [
        (60, down()),
        (80, down()),
        (140, up()),
        (400, down()),
        (420, down()),
    ] {
        play.probe(second, "health", outcome);
    }
    play.others_than_health_are_up(420);
    let said = play.look(420);
    assert_eq!(
        said,
        [
            "alert.resolved headscale ?",
            "alert.triggered headscale database"
        ]
    );
    let first = play.said[0].payload();
    assert_eq!(first["data"]["failing_since"], at(60).rfc3339());
    assert_eq!(first["data"]["duration_s"], 80);
    assert_eq!(UnixMs(at(140).0).rfc3339(), first["timestamp"]);
}
