//! Records that cannot be read: told, set aside, never silently reset; and those of a
//! later version are never touched.

#![allow(clippy::unwrap_used)]

use watchbell_lab::headscale::State;
use watchbell_lab::scenario::{Lab, Setup, alert, expect_checks, expect_opened, on_each_host};
use watchbell_lab::server::Gate;
use watchbell_lab::wait;

const GARBAGE: &[u8] = b"\x00\xffno record";

#[test]
fn a_check_whose_record_is_garbage_says_so_and_goes_on() {
    on_each_host("a_check_whose_record_is_garbage", |host| {
        let mut lab = Lab::well(host, Setup::default());
        lab.runtime.stop();
        lab.runtime.state().put("monitor/health", GARBAGE);
        lab.runtime.run();
        // The next probe finds it well: over before anybody could be told.
        let told = lab.webhook.wait_for(1);
        let lost = [alert("health", "internal").because("state-lost")];
        assert_eq!(told[0].kind, "alert.resolved", "{told:#?}");
        expect_checks(&told[0], &lost);
        let aside = lab.runtime.state().bytes("unreadable/monitor/health");
        assert_eq!(aside.as_deref(), Some(GARBAGE));
        lab.wait_for_probes(2);
        assert_eq!(lab.webhook.messages().len(), 1);
    });
}

/// What the ledger knew is lost; what is still down is told again, and its end.
#[test]
fn an_outage_is_told_again_when_the_ledger_is_garbage() {
    on_each_host("an_outage_is_told_again", |host| {
        let mut lab = Lab::well(host, Setup::default());
        // Nothing is delivered before the ledger is lost.
        lab.webhook.gate(Gate::Refused);
        lab.headscale.state(State::DatabaseDown);
        wait::until("the outage to be taken over", || {
            let ledger = lab.runtime.state().ledger()?;
            ledger["monitors"]["health"].is_object().then_some(())
        });
        lab.runtime.stop();
        lab.runtime.state().put("alert/ledger", GARBAGE);
        lab.webhook.gate(Gate::Open);
        lab.runtime.run();
        let health = [alert("health", "status")];
        expect_opened("database", &lab.webhook.wait_for(1), &health);
        lab.headscale.state(State::Healthy);
        expect_checks(&lab.webhook.wait_for(2)[1], &health);
        let aside = lab.runtime.state().bytes("unreadable/alert/ledger");
        assert_eq!(aside.as_deref(), Some(GARBAGE));
    });
}

/// One that has nothing to tell is replaced all the same, and said once.
#[test]
fn a_ledger_of_garbage_is_replaced_while_all_is_well() {
    on_each_host("a_ledger_of_garbage_is_replaced", |host| {
        let mut lab = Lab::well(host, Setup::default());
        lab.runtime.stop();
        lab.runtime.state().put("alert/ledger", GARBAGE);
        lab.runtime.run();
        wait::until("a ledger that can be read", || lab.runtime.state().ledger());
        lab.wait_for_probes(3);
        let said = "reading key \"alert/ledger\"";
        let log = lab.runtime.log();
        let times = log.lines().filter(|line| line.contains(said)).count();
        // On the terminal and in the component's log.
        assert!((1..=2).contains(&times), "{times} times:\n{log}");
        assert!(lab.webhook.deliveries().is_empty());
    });
}

/// An upgrade that was taken back: the later version will read them again.
#[test]
fn records_of_a_later_version_stay_as_they_are() {
    on_each_host("records_of_a_later_version", |host| {
        let mut lab = Lab::well(host, Setup::default());
        lab.runtime.stop();
        let later = br#"{"version": 2, "record": {"what": "only that version knows"}}"#;
        let keys = ["monitor/health", "alert/ledger"];
        for key in keys {
            lab.runtime.state().put(key, later);
        }
        lab.runtime.run();
        wait::until("the log to tell of both", || {
            let log = lab.runtime.log();
            let told = keys
                .iter()
                .all(|key| log.contains(&format!("reading key {key:?}")));
            (told && log.contains("a later Watchbell wrote it")).then_some(())
        });
        for key in keys {
            let bytes = lab.runtime.state().bytes(key);
            assert_eq!(bytes.as_deref(), Some(&later[..]), "{key}");
        }
    });
}
