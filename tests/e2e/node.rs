//! This node itself: a check that does not run, whom it tells that it lives, and that it
//! has begun to. Minutes are not waited for: the records are aged while nothing runs.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use watchbell_lab::headscale::State;
use watchbell_lab::manifest::{CHECKS, Changes};
use watchbell_lab::receivers::Receivers;
use watchbell_lab::scenario::{Lab, Setup, alert, expect_opened, on_each_host};
use watchbell_lab::wire::Request;

/// The check whose trigger never fires again.
const MUTE: &str = "derp";
/// Three of the lab's intervals, and a minute.
const SILENT_AFTER: Duration = Duration::from_secs(63);
/// Between two notes of the alert component that it runs.
const NOTE: Duration = Duration::from_secs(60);
/// Without a note for so long it was off.
const ASLEEP: Duration = Duration::from_secs(180);

fn mute() -> Changes {
    Changes {
        never: vec![MUTE],
        ..Changes::default()
    }
}

fn ago(span: Duration) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from((now - span).as_millis()).unwrap()
}

/// The check ran last so long ago.
fn ran_last(lab: &Lab, check: &str, before: Duration) {
    let age = |monitor: &mut Value| monitor["last"]["at"] = json!(ago(before));
    lab.runtime.state().edit(&format!("monitor/{check}"), age);
}

/// The alert component runs since then, and noted so then.
fn awake(lab: &Lab, since: Duration, seen: Duration) {
    let age = |ledger: &mut Value| {
        assert!(ledger["awake"].is_object(), "{ledger:#}");
        ledger["awake"] = json!({ "since": ago(since), "seen": ago(seen) });
    };
    lab.runtime.state().edit("alert/ledger", age);
}

/// Every check but the mute one has been asked twice more.
fn nothing_more(lab: &Lab) {
    let others: Vec<&str> = CHECKS.into_iter().filter(|c| *c != MUTE).collect();
    lab.wait_for_probes_of(&others, 2);
}

/// A check that does not run is told, of this node, once three intervals and a minute are
/// over and not before; and that it runs again.
#[test]
fn a_check_that_does_not_run_is_told() {
    on_each_host("a_check_that_does_not_run_is_told", |host| {
        let mut lab = Lab::well(host, Setup::default());
        lab.runtime.stop();
        lab.runtime.change(mute());
        // A few seconds are left.
        ran_last(&lab, MUTE, SILENT_AFTER - Duration::from_secs(8));
        awake(&lab, SILENT_AFTER * 2, NOTE / 2);
        let (ran_at, _) = lab.runtime.state().last(MUTE).unwrap();
        lab.runtime.run();
        let told = lab.webhook.wait_for(1);
        let silent_for = Duration::from_millis(ago(Duration::ZERO) - ran_at);
        assert!(silent_for > SILENT_AFTER, "told after {silent_for:?}");
        nothing_more(&lab);
        assert_eq!(lab.webhook.messages().len(), 1);
        expect_opened(
            "silent",
            &told,
            &[alert(MUTE, "internal").because("silent")],
        );
        assert_eq!(told[0].data("service"), "watchbell");
        assert_ne!(told[0].data("action"), "");
        lab.runtime.stop();
        lab.runtime.change(Changes::default());
        lab.runtime.run();
        let told = lab.webhook.wait_for(2);
        assert_eq!(told[1].kind, "alert.resolved", "{told:#?}");
        assert_eq!(told[1].data("incident"), told[0].data("incident"));
        lab.wait_for_probes(2);
        assert_eq!(lab.webhook.messages().len(), 2);
    });
}

/// What did not run because nothing did is no failure of a check's.
#[test]
fn of_the_time_in_which_the_node_slept_nothing_is_asked() {
    on_each_host("of_the_time_in_which_the_node_slept", |host| {
        let mut lab = Lab::well(host, Setup::default());
        lab.runtime.stop();
        lab.runtime.change(mute());
        CHECKS.iter().for_each(|c| ran_last(&lab, c, ASLEEP * 2));
        awake(&lab, ASLEEP * 4, ASLEEP * 2);
        lab.runtime.run();
        nothing_more(&lab);
        let said = lab.webhook.deliveries();
        assert!(said.is_empty(), "{said:#?}");
    });
}

/// Asked for when the alert component begins to run and once a minute: as it is while
/// checks run, with `/fail` behind its path while one does not.
#[test]
fn the_dead_man_is_told() {
    on_each_host("the_dead_man_is_told", |host| {
        let receivers = Receivers::start();
        let setup = Setup {
            variables: vec![("deadman_url", receivers.url("/ping/uuid"))],
            ..Setup::default()
        };
        let mut lab = Lab::well(host, setup);
        let asked = |nth: usize| -> Request {
            let all = receivers.wait_for("ping", nth);
            assert_eq!(all.len(), nth, "{all:#?}");
            all[nth - 1].1.clone()
        };
        let first = asked(1);
        assert_eq!((&*first.method, &*first.path), ("POST", "/ping/uuid"));
        assert!(first.body.is_empty());
        // An outage of what is watched is none of this node's.
        lab.headscale.state(State::DatabaseDown);
        lab.webhook.wait_for(1);
        lab.runtime.stop();
        awake(&lab, NOTE * 2, NOTE);
        lab.runtime.run();
        assert_eq!(asked(2).path, "/ping/uuid");
        lab.headscale.state(State::Healthy);
        lab.webhook.wait_for(2);

        lab.runtime.stop();
        lab.runtime.change(mute());
        ran_last(&lab, MUTE, SILENT_AFTER);
        awake(&lab, SILENT_AFTER, NOTE);
        lab.runtime.run();
        let failing = asked(3);
        let method = failing.method.as_str();
        assert_eq!((method, &*failing.path), ("POST", "/ping/uuid/fail"));
        let why = String::from_utf8_lossy(&failing.body).into_owned();
        assert!(why.contains("has not run"), "{why}");
        lab.webhook.wait_for(3);

        lab.runtime.stop();
        lab.runtime.change(Changes::default());
        lab.runtime.run();
        lab.webhook.wait_for(4);
        lab.runtime.stop();
        awake(&lab, NOTE * 2, NOTE);
        lab.runtime.run();
        assert_eq!(asked(4).path, "/ping/uuid");
    });
}

/// Told when the node runs, and when it runs again after it was off.
#[test]
fn that_it_runs_is_told_where_it_is_asked_for() {
    on_each_host("that_it_runs_is_told", |host| {
        let setup = Setup {
            changes: Changes {
                variables: vec![("alert", "startup_message", "on".to_owned())],
                ..Changes::default()
            },
            ..Setup::default()
        };
        let mut lab = Lab::open(host, setup);
        lab.webhook.wait_for(1);
        lab.wait_for_probes(2);
        lab.runtime.stop();
        awake(&lab, ASLEEP * 2, ASLEEP * 2);
        lab.runtime.run();
        lab.webhook.wait_for(2);
        lab.wait_for_probes(2);
        let told = lab.webhook.messages();
        assert_eq!(told.len(), 2, "{told:#?}");
        for one in &told {
            assert_eq!(one.kind, "watchbell.started", "{one:#?}");
            assert_eq!(one.data("service"), "watchbell", "{one:#?}");
            assert_eq!(one.data("severity"), "info", "{one:#?}");
        }
    });
}
/// A URL may have a query: `/fail` is a part of its path.
#[test]
fn the_dead_mans_url_may_have_a_query() {
    on_each_host("the_dead_mans_url_may_have_a_query", |host| {
        let receivers = Receivers::start();
        let setup = Setup {
            variables: vec![("deadman_url", receivers.url("/ping/uuid?rid=1"))],
            ..Setup::default()
        };
        let mut lab = Lab::well(host, setup);
        let first = receivers.wait_for("ping", 1);
        assert_eq!(first[0].1.path, "/ping/uuid?rid=1");
        lab.runtime.stop();
        lab.runtime.change(mute());
        ran_last(&lab, MUTE, SILENT_AFTER);
        awake(&lab, SILENT_AFTER, NOTE);
        lab.runtime.run();
        let failing = receivers.wait_for("ping", 2);
        assert_eq!(failing[1].1.path, "/ping/uuid/fail?rid=1");
    });
}
