//! From a transition to a delivered message: nothing lost, nothing under two ids.

mod support;

use std::time::Duration;

use proptest::prelude::*;
use support::*;
use watchbell_core::ledger::{Ledger, OUTBOX_MAX, RETRY_MAX, payload};
use watchbell_core::monitor::{Monitor, Policy, step};
use watchbell_core::outcome::Outcome;
use watchbell_core::time::UnixMs;

fn outage() -> Monitor {
    drive(&policy(), fresh(), &[(0, down()), (20, down())])
}

fn types(ledger: &Ledger) -> Vec<&'static str> {
    ledger.outbox.iter().map(|m| m.type_name()).collect()
}

#[test]
fn a_transition_is_taken_over_once_however_often_it_is_rung() {
    let mut ledger = Ledger::default();
    assert!(ledger.take(&outage()));
    assert!(!ledger.take(&outage()));
    assert_eq!(types(&ledger), ["alert.triggered"]);
}

#[test]
fn a_quiet_monitor_costs_no_entry() {
    let mut ledger = Ledger::default();
    assert!(!ledger.take(&drive(&policy(), fresh(), &[(0, up())])));
    assert_eq!(ledger, Ledger::default());
}

#[test]
fn the_id_is_derived_from_content_alone() {
    let (mut a, mut b) = (Ledger::default(), Ledger::default());
    a.take(&outage());
    b.take(&outage());
    assert_eq!(
        a.outbox[0].id, b.outbox[0].id,
        "what one run overwrites another redoes under the same id"
    );
    let mut later_life = outage();
    later_life.born_at = UnixMs(later_life.born_at.0 + 1);
    let mut c = Ledger::default();
    c.take(&later_life);
    assert_ne!(
        a.outbox[0].id, c.outbox[0].id,
        "a state that began anew must not look like a repetition"
    );
}

#[test]
fn messages_of_a_check_go_out_in_order() {
    let mut ledger = Ledger::default();
    ledger.take(&drive(
        &policy(),
        fresh(),
        &[(0, down()), (20, down()), (80, up())],
    ));
    let first = ledger.next(at(100)).unwrap().clone();
    assert_eq!(first.type_name(), "alert.triggered");
    let pause = ledger.failed(&first.id, Duration::from_secs(10), at(100));
    assert!(
        ledger.next(at(100)).is_none(),
        "resolved must wait for triggered"
    );
    assert_eq!(
        ledger.next(at(100).plus(pause)).unwrap().id,
        first.id,
        "constant over retries"
    );
    ledger.delivered(&first.id);
    assert_eq!(ledger.next(at(100)).unwrap().type_name(), "alert.resolved");
}

#[test]
fn pauses_double_up_to_a_cap_and_never_vanish() {
    let mut ledger = Ledger::default();
    ledger.take(&outage());
    let id = ledger.outbox[0].id.clone();
    let base = Duration::from_secs(10);
    let mut largest = Duration::ZERO;
    for attempt in 1..100_u32 {
        let pause = ledger.failed(&id, base, at(0));
        let full = base
            .saturating_mul(1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX))
            .min(RETRY_MAX);
        assert!(
            pause <= full && pause >= full * 3 / 4,
            "attempt {attempt}: {pause:?} of {full:?}"
        );
        largest = largest.max(pause);
    }
    assert!(largest <= RETRY_MAX);
}

#[test]
fn a_clock_that_went_back_holds_no_message_for_good() {
    let mut ledger = Ledger::default();
    ledger.take(&outage());
    let id = ledger.outbox[0].id.clone();
    ledger.failed(&id, Duration::from_secs(10), at(1_000_000));
    assert!(ledger.next(at(0)).is_some());
    ledger.leased_until = Some(at(1_000_000));
    assert!(!ledger.leased(at(0)));
}

#[test]
fn a_lease_ends_by_itself() {
    let ledger = Ledger {
        leased_until: Some(at(12)),
        ..Ledger::default()
    };
    for (second, leased) in [(0, true), (11, true), (12, false), (13, false)] {
        assert_eq!(ledger.leased(at(second)), leased, "at {second} s");
    }
}

#[test]
fn an_outage_whose_record_was_lost_is_told_to_be_over() {
    let mut ledger = Ledger::default();
    ledger.take(&outage());
    // The store went back to the time before; the next probe finds it well, and steady.
    let rolled_back = drive(&policy(), fresh(), &[(0, up()), (60, up())]);
    assert!(ledger.take(&rolled_back));
    assert_eq!(types(&ledger), ["alert.triggered", "alert.resolved"]);
    assert!(!ledger.take(&rolled_back), "once");
}

#[test]
fn a_full_outbox_leaves_transitions_with_their_monitor() {
    let mut ledger = Ledger::default();
    ledger.take(&outage());
    let template = ledger.outbox[0].clone();
    ledger.outbox = vec![template; OUTBOX_MAX];
    let mut other = outage();
    other.definition.check = "derp".into();
    assert!(!ledger.take(&other));
    ledger.outbox.pop();
    assert!(ledger.take(&other));
}

#[test]
fn the_payload_says_who_what_since_when_and_what_to_do() {
    let mut ledger = Ledger::default();
    ledger.take(&drive(
        &policy(),
        fresh(),
        &[(0, down()), (20, down()), (80, up())],
    ));
    let [triggered, resolved] = &ledger.outbox[..] else {
        panic!("want two")
    };
    let want = serde_json::json!({
        "type": "alert.triggered",
        "timestamp": at(20).rfc3339(),
        "data": {
            "version": 1,
            "service": "headscale",
            "severity": "critical",
            "failing_since": at(0).rfc3339(),
            "duration_s": 20,
            "action": "check the service's status and logs",
            "runbook_url": "https://example.com/runbook",
            "checks": [{
                "check": "health",
                "label": "Headscale API",
                "kind": "status",
                "reason": null,
                "detail": "status 500, want 200",
                "target": "https://hs.example.com/health",
            }],
        },
    });
    assert_eq!(payload(triggered), want);
    let resolved = payload(resolved);
    assert_eq!(resolved["type"], "alert.resolved");
    assert_eq!(resolved["data"]["duration_s"], 80);
}

#[test]
fn a_run_takes_nothing_back_that_another_has_stored() {
    let mut slow = Ledger::default();
    slow.take(&outage());
    let mut stored = slow.clone();
    let mut other = outage();
    other.definition.check = "derp".into();
    stored.take(&other);
    let delivered = [slow.outbox[0].id.clone()].into();
    slow.delivered(&stored.outbox[0].id.clone());
    slow.merge(stored, &delivered);
    assert_eq!(slow.monitors.keys().collect::<Vec<_>>(), ["derp", "health"]);
    assert_eq!(
        slow.outbox
            .iter()
            .map(|m| m.definition.check.as_str())
            .collect::<Vec<_>>(),
        ["derp"]
    );
}

#[test]
fn a_failing_monitor_is_not_told_to_be_over() {
    let mut ledger = Ledger::default();
    ledger.take(&outage());
    let failing_again = drive(&policy(), fresh(), &[(0, up()), (60, down())]);
    assert!(!ledger.take(&failing_again));
}

#[test]
fn what_was_taken_back_counts_anew_before_it_is_dropped() {
    let mut monitor = outage();
    let mut ledger = Ledger::default();
    ledger.take(&monitor);
    let told = ledger.monitors.get("health");
    monitor.confirm(told, at(40));
    monitor.confirm(None, at(60));
    monitor.confirm(told, at(110));
    assert_eq!(
        monitor.pending.len(),
        1,
        "taken over again, and not for long"
    );
    monitor.confirm(told, at(170));
    assert!(monitor.pending.is_empty());
}

proptest! {
    /// Rings and sweeps at any moment, runs that write what they read up to 40 s ago
    /// over what another one has stored, deliveries that are or are not made: every
    /// transition gets out, first in order, under one id.
    #[test]
    fn whatever_overwrites_whatever_nothing_is_lost(
        runs in prop::collection::vec((any::<bool>(), 0..5_u8), 1..30),
    ) {
        let every = Duration::from_secs(20);
        let p = Policy { failure_threshold: 1, interval: every, ..policy() };
        let mut monitor = fresh();
        let (mut stored, mut stale) = (Ledger::default(), (0, Ledger::default()));
        let mut received: Vec<(String, u64)> = Vec::new();
        let mut deliver = |ledger: &mut Ledger, now: UnixMs| {
            while let Some(m) = ledger.next(now).cloned() {
                received.push((m.id.clone(), m.transition.sequence));
                ledger.delivered(&m.id);
            }
        };
        let mut second = 0;
        for (fails, what) in runs {
            second += 20;
            // As the check does: drop what has been confirmed for long, then count.
            monitor.confirm(stored.monitors.get("health"), at(second));
            let outcome: Outcome = if fails { down() } else { up() };
            monitor = step(monitor, &p, &outcome, at(second));
            match what {
                0 => {}
                1 => { stored.take(&monitor); deliver(&mut stored, at(second)); }
                2 => { stored.take(&monitor); }
                3 => { stale = (second, stored.clone()); }
                // The slow run ends, and its write takes back what came in between.
                _ if second - stale.0 <= 40 => stored = stale.1.clone(),
                _ => {}
            }
        }
        for _ in 0..3 {
            stored.take(&monitor);
            deliver(&mut stored, at(second));
        }
        let mut firsts: Vec<u64> = Vec::new();
        for (_, sequence) in &received {
            if !firsts.contains(sequence) {
                firsts.push(*sequence);
            }
        }
        prop_assert_eq!(firsts, (1..=monitor.sequence).collect::<Vec<_>>());
        let ids: std::collections::BTreeSet<_> = received.iter().map(|(id, _)| id).collect();
        prop_assert_eq!(ids.len() as u64, monitor.sequence, "one id a transition");
    }
}
