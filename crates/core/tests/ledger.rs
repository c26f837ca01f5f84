//! From a transition to a delivered message: nothing lost, nothing under two ids.

mod support;

use std::time::Duration;

use proptest::prelude::*;
use support::*;
use watchbell_core::ledger::{Lease, Ledger, NotTaken, OUTBOX_MAX, RETRY_MAX, payload};
use watchbell_core::monitor::{Event, Monitor, Policy, step};
use watchbell_core::outcome::Outcome;
use watchbell_core::settings::Pace;
use watchbell_core::time::UnixMs;

const RETRY: Duration = Duration::from_secs(10);
/// Two runs of the alert component.
const A: u64 = 1;
const B: u64 = 2;

fn lease(by: u64, until_s: u64) -> Option<Lease> {
    let until = at(until_s);
    Some(Lease { by, until })
}

fn of(check: &str) -> Monitor {
    let mut definition = definition();
    definition.check = check.into();
    drive(
        &policy(),
        Monitor::new(definition, START),
        &[(0, down()), (20, down())],
    )
}

fn checks(ledger: &Ledger) -> Vec<&str> {
    let all = ledger.outbox.iter();
    all.map(|m| m.transition.definition.check.as_str())
        .collect()
}

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

/// So that whoever subtracts the two times gets the same.
#[test]
fn a_duration_is_the_difference_of_the_times_shown() {
    let mut monitor = outage();
    let transition = &mut monitor.pending[0];
    transition.at = UnixMs(at(20).0 + 100);
    let Event::Triggered { failing_since, .. } = &mut transition.event else {
        panic!("want a triggered")
    };
    *failing_since = UnixMs(at(0).0 + 900);
    let mut ledger = Ledger::default();
    ledger.take(&monitor);
    let body = payload(&ledger.outbox[0]);
    assert_eq!(body["timestamp"], at(20).rfc3339());
    assert_eq!(body["data"]["failing_since"], at(0).rfc3339());
    assert_eq!(body["data"]["duration_s"], 20);
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
    let pause = ledger.failed(&first.id, NotTaken::ForNow, RETRY, at(100));
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
        let pause = ledger.failed(&id, NotTaken::ForNow, base, at(0));
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
    ledger.failed(&id, NotTaken::ForNow, RETRY, at(1_000_000));
    assert!(ledger.next(at(0)).is_some());
    ledger.lease = lease(A, 1_000_000);
    assert!(!ledger.leased(B, at(0)));
}

#[test]
fn a_lease_ends_by_itself_and_is_no_hindrance_to_its_holder() {
    let ledger = Ledger {
        lease: lease(A, 12),
        ..Ledger::default()
    };
    for (second, leased) in [(0, true), (11, true), (12, false), (13, false)] {
        assert_eq!(ledger.leased(B, at(second)), leased, "at {second} s");
        assert!(!ledger.leased(A, at(second)), "at {second} s");
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
    assert!(!ledger.take(&of("derp")));
    ledger.outbox.pop();
    assert!(ledger.take(&of("derp")));
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
    stored.take(&of("derp"));
    let id = slow.outbox[0].id.clone();
    slow.delivered(&id);
    slow.merge(stored, &[id].into(), A, at(0));
    assert_eq!(slow.monitors.keys().collect::<Vec<_>>(), ["derp", "health"]);
    assert_eq!(checks(&slow), ["derp"]);
}

#[test]
fn what_another_run_has_delivered_is_not_sent_again() {
    let mut stored = Ledger::default();
    stored.take(&outage());
    let mut slow = stored.clone();
    let id = stored.outbox[0].id.clone();
    stored.delivered(&id);
    slow.take(&of("derp"));
    slow.merge(stored, &[].into(), A, at(0));
    assert_eq!(checks(&slow), ["derp"]);
}

#[test]
fn attempts_that_another_run_has_made_count() {
    let mut stored = Ledger::default();
    stored.take(&outage());
    let mut slow = stored.clone();
    let id = stored.outbox[0].id.clone();
    stored.failed(&id, NotTaken::Refused, RETRY, at(30));
    slow.merge(stored.clone(), &[].into(), A, at(0));
    assert_eq!(slow.outbox, stored.outbox);
    // And ours, which are newer, are not taken back.
    slow.failed(&id, NotTaken::Refused, RETRY, at(60));
    let ours = slow.outbox.clone();
    slow.merge(stored, &[].into(), A, at(0));
    assert_eq!(slow.outbox, ours);
}

#[test]
fn of_two_leases_the_stored_one_of_another_run_stands_and_a_released_one_does_not() {
    // (ours, stored, after merging by A at 5 s)
    for (ours, stored, merged) in [
        (None, lease(B, 9), lease(B, 9)),
        (None, lease(B, 5), None),
        (None, lease(A, 9), None),
        (lease(A, 12), lease(A, 9), lease(A, 12)),
        (lease(A, 12), lease(B, 9), lease(B, 9)),
        (lease(A, 12), lease(B, 5), lease(A, 12)),
        (lease(B, 9), None, None),
    ] {
        let mut ledger = Ledger {
            lease: ours,
            ..Ledger::default()
        };
        let stored = Ledger {
            lease: stored,
            ..Ledger::default()
        };
        let shown = format!("{ours:?}, stored {:?}", stored.lease);
        ledger.merge(stored, &[].into(), A, at(5));
        assert_eq!(ledger.lease, merged, "{shown}");
    }
}

#[test]
fn a_message_refused_for_good_holds_nothing_back_and_is_not_lost() {
    let mut ledger = Ledger::default();
    let runs = [(0, down()), (20, down()), (80, up())];
    ledger.take(&drive(&policy(), fresh(), &runs));
    let first = ledger.outbox[0].id.clone();
    for _ in 0..7 {
        ledger.failed(&first, NotTaken::Refused, RETRY, at(0));
        assert!(ledger.next(at(1)).is_none(), "the order is kept at first");
    }
    ledger.failed(&first, NotTaken::Refused, RETRY, at(0));
    let second = ledger.next(at(1)).unwrap().clone();
    assert_eq!(second.type_name(), "alert.resolved");
    ledger.delivered(&second.id);
    assert_eq!(ledger.next(at(10_000)).unwrap().id, first, "tried for ever");
    // However often it only cannot be reached, nothing passes it.
    let mut ledger = Ledger::default();
    ledger.take(&drive(&policy(), fresh(), &runs));
    for _ in 0..50 {
        ledger.failed(&first, NotTaken::ForNow, RETRY, at(0));
    }
    assert!(ledger.next(at(1)).is_none());
}

#[test]
fn a_refusal_is_a_status_that_no_time_heals() {
    for (status, how) in [
        (302, NotTaken::ForNow),
        (400, NotTaken::Refused),
        (401, NotTaken::Refused),
        (408, NotTaken::ForNow),
        (413, NotTaken::Refused),
        (425, NotTaken::ForNow),
        (429, NotTaken::ForNow),
        (499, NotTaken::Refused),
        (500, NotTaken::ForNow),
        (503, NotTaken::ForNow),
    ] {
        assert_eq!(NotTaken::by_status(status), how, "{status}");
    }
}

#[test]
fn of_the_messages_that_are_due_the_one_that_waits_longest_goes_first() {
    let mut ledger = Ledger::default();
    for check in ["derp", "health", "key"] {
        ledger.take(&of(check));
    }
    // Each attempt fails without an answer, so a run makes one: all get their turn.
    let mut tried = Vec::new();
    for sweep in 0..6 {
        let now = at(1000 + sweep * 1000);
        let message = ledger.next(now).unwrap().clone();
        ledger.failed(&message.id, NotTaken::ForNow, RETRY, now);
        tried.push(message.transition.definition.check);
    }
    assert_eq!(tried, ["derp", "health", "key", "derp", "health", "key"]);
}

#[test]
fn an_outage_is_told_again_by_a_ledger_that_knows_nothing_of_it() {
    let mut lost = Ledger::default();
    lost.take(&outage());
    let id = lost.outbox[0].id.clone();
    let mut monitor = outage();
    monitor.pending.clear();
    let mut anew = Ledger::default();
    assert!(anew.take(&monitor));
    assert_eq!(types(&anew), ["alert.triggered"]);
    assert_eq!(anew.outbox[0].id, id, "the same transition");
    assert!(!anew.take(&monitor), "once");
    let over = step(monitor, &policy(), &up(), at(80));
    assert!(anew.take(&over));
    assert_eq!(types(&anew), ["alert.triggered", "alert.resolved"]);
}

#[test]
fn a_transition_is_told_of_the_check_as_it_was_then() {
    let mut monitor = outage();
    let mut renamed = definition();
    renamed.label = "something else".into();
    renamed.service = "other".into();
    renamed.target = "https://other.example.com/health".into();
    monitor.redefine(renamed);
    assert_eq!(
        monitor.definition.service, "headscale",
        "an outage stays with the service that it began in"
    );
    let mut ledger = Ledger::default();
    ledger.take(&monitor);
    let told = payload(&ledger.outbox[0]);
    let check = &told["data"]["checks"][0];
    assert_eq!(check["label"], "Headscale API");
    assert_eq!(check["target"], "https://hs.example.com/health");
    // Over, told and dropped: now the service may change.
    let mut well = step(monitor, &policy(), &up(), at(80));
    well.pending.clear();
    let mut moved = definition();
    moved.service = "other".into();
    well.redefine(moved);
    assert_eq!(well.definition.service, "other");
}

/// The record is lost and the clock went back: the ledger knows of a life born later.
#[test]
fn a_life_that_begins_in_the_past_is_taken_over_once() {
    let mut stored = Ledger::default();
    stored.take(&outage());
    let before = UnixMs(START.0 - 1000);
    let mut monitor = Monitor::in_place_of_lost(definition(), "got garbage", before);
    monitor.confirm(stored.monitors.get("health"), before);
    let mut ledger = stored.clone();
    assert!(ledger.take(&monitor));
    ledger.merge(stored, &[].into(), A, before);
    assert!(!ledger.take(&monitor), "what is taken over stays so");
}

#[test]
fn a_record_that_could_not_be_read_is_told_and_over_with_the_next_good_probe() {
    let monitor = Monitor::in_place_of_lost(definition(), "got garbage", at(0));
    assert!(
        monitor.due(&policy().pace, at(0)),
        "nothing has been probed"
    );
    let Event::Triggered { reason, detail, .. } = &monitor.pending[0].event else {
        panic!("want triggered")
    };
    assert_eq!(
        (reason.as_deref(), detail.as_str()),
        (Some("state-lost"), "got garbage")
    );
    let mut ledger = Ledger::default();
    ledger.take(&step(monitor, &policy(), &up(), at(0)));
    assert_eq!(types(&ledger), ["alert.triggered", "alert.resolved"]);
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
        let p = Policy { failure_threshold: 1, pace: Pace { interval: every, ..policy().pace }, ..policy() };
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
