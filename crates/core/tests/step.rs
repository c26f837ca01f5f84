//! The rule that moves a monitor, law by law.

mod support;

use std::time::Duration;

use proptest::prelude::*;
use support::*;
use watchbell_core::monitor::{Event, Health, Monitor, Policy, Told, step};
use watchbell_core::outcome::{CertificateSeen, Outcome};
use watchbell_core::time::UnixMs;

#[test]
fn one_failure_never_alerts_where_two_are_asked() {
    let m = drive(
        &policy(),
        fresh(),
        &[
            (0, up()),
            (60, down()),
            (80, up()),
            (140, down()),
            (160, up()),
        ],
    );
    assert_eq!(told(&m), [""; 0]);
    assert_eq!(m.health, Health::Up);
}

#[test]
fn the_threshold_is_met_by_consecutive_failures_and_told_once() {
    let m = drive(
        &policy(),
        fresh(),
        &[
            (0, up()),
            (60, down()),
            (80, down()),
            (140, down()),
            (200, down()),
        ],
    );
    assert_eq!(told(&m), ["triggered"]);
    assert_eq!((m.health, m.consecutive_failures), (Health::Down, 4));
    let Event::Triggered { failing_since, .. } = &m.pending[0].event else {
        panic!("want triggered")
    };
    assert_eq!((*failing_since, m.pending[0].at), (at(60), at(80)));
}

#[test]
fn a_threshold_of_one_alerts_at_the_first_failure_even_of_a_new_monitor() {
    let one = Policy {
        failure_threshold: 1,
        ..policy()
    };
    assert_eq!(told(&drive(&one, fresh(), &[(0, down())])), ["triggered"]);
}

#[test]
fn recovery_is_told_with_when_it_began_and_what_it_was() {
    let m = drive(
        &policy(),
        fresh(),
        &[
            (0, up()),
            (60, down()),
            (80, down()),
            (140, up()),
            (200, up()),
        ],
    );
    assert_eq!(told(&m), ["triggered", "resolved"]);
    let Event::Resolved {
        failing_since,
        detail,
        ..
    } = &m.pending[1].event
    else {
        panic!("want resolved")
    };
    assert_eq!((*failing_since, m.pending[1].at), (at(60), at(140)));
    assert_eq!(detail, "status 500, want 200");
    assert_eq!(m.failing_since, None);
}

#[test]
fn recovery_waits_for_its_own_threshold() {
    let two = Policy {
        success_threshold: 2,
        ..policy()
    };
    let runs = [
        (0, down()),
        (20, down()),
        (80, up()),
        (100, down()),
        (160, up()),
        (180, up()),
    ];
    assert_eq!(told(&drive(&two, fresh(), &runs[..5])), ["triggered"]);
    assert_eq!(
        told(&drive(&two, fresh(), &runs)),
        ["triggered", "resolved"]
    );
}

#[test]
fn degraded_is_well_for_alerts() {
    let slow = Outcome::degraded(watchbell_core::outcome::Kind::Latency, "3000 ms");
    let m = drive(
        &policy(),
        fresh(),
        &[(0, down()), (20, down()), (80, slow.clone()), (140, slow)],
    );
    assert_eq!(told(&m), ["triggered", "resolved"]);
    assert_eq!(m.health, Health::Degraded);
}

#[test]
fn a_probe_is_due_by_the_record_with_half_a_firing_of_tolerance() {
    let well = drive(&policy(), fresh(), &[(0, up())]);
    let failing = drive(&policy(), well.clone(), &[(60, down())]);
    let confirmed = drive(&policy(), failing.clone(), &[(80, down())]);
    for (monitor, name, ms_after_start, due) in [
        (&fresh(), "never probed", 0, true),
        (&well, "well", 20_000, false),
        (&well, "well", 49_999, false),
        (&well, "well", 50_000, true),
        (&well, "well", 60_000, true),
        (&failing, "failing", 69_999, false),
        (&failing, "failing", 70_000, true),
        (&confirmed, "confirmed", 100_000, false),
        (&confirmed, "confirmed", 130_000, true),
    ] {
        assert_eq!(
            monitor.due(&policy().pace, UnixMs(START.0 + ms_after_start)),
            due,
            "{name} at {ms_after_start} ms"
        );
    }
    assert!(
        well.due(&policy().pace, UnixMs(START.0 - 1)),
        "a clock that went back makes it due"
    );
}

#[test]
fn a_crash_is_confirmed_within_80_seconds_at_worst() {
    // Fired every 20 s with up to 0.5 s of lateness; the crash may come at any second.
    for crash_s in 0..240 {
        let (mut m, mut second) = (fresh(), 0);
        let confirmed = loop {
            let late_ms = (second * 37) % 500;
            let now = UnixMs(at(second).0 + late_ms);
            if m.due(&policy().pace, now) {
                m = step(
                    m,
                    &policy(),
                    &if second > crash_s { down() } else { up() },
                    now,
                );
            }
            if m.health == Health::Down {
                break now.since(at(crash_s));
            }
            second += 20;
        };
        assert!(
            confirmed <= Duration::from_millis(80_500),
            "crash at {crash_s} s told after {confirmed:?}"
        );
    }
}

#[test]
fn a_repeated_tick_counts_once() {
    let m = drive(
        &policy(),
        fresh(),
        &[
            (0, up()),
            (60, down()),
            (60, down()),
            (61, down()),
            (65, down()),
        ],
    );
    assert_eq!((told(&m).len(), m.consecutive_failures), (0, 1));
}

#[test]
fn a_late_tick_counts_as_any_other() {
    let m = drive(
        &policy(),
        fresh(),
        &[(0, up()), (119, down()), (200, down())],
    );
    assert_eq!(told(&m), ["triggered"]);
}

#[test]
fn overlapping_runs_that_read_the_same_record_count_once() {
    let before = drive(&policy(), fresh(), &[(0, up()), (60, down())]);
    let a = drive(&policy(), before.clone(), &[(80, down())]);
    let b = drive(&policy(), before, &[(80, down())]);
    assert_eq!(
        a, b,
        "whichever writes last, the same transition has the same number"
    );
}

#[test]
fn a_clock_that_goes_back_neither_panics_nor_stops_the_monitor() {
    let m = drive(
        &policy(),
        fresh(),
        &[(1000, up()), (10, down()), (30, down())],
    );
    assert_eq!(told(&m), ["triggered"]);
    let back = drive(&policy(), m, &[(5, up())]);
    assert_eq!(told(&back), ["triggered", "resolved"]);
}

#[test]
fn a_gap_of_several_intervals_is_unknown() {
    for (gap_s, health) in [(180, Health::Up), (181, Health::Unknown)] {
        let m = drive(
            &policy(),
            fresh(),
            &[(0, up()), (60, up()), (60 + gap_s, down())],
        );
        assert_eq!(m.health, health, "after {gap_s} s");
    }
}

#[test]
fn what_is_counted_outlives_a_short_gap_and_no_long_one() {
    for (gap_s, failures) in [(181, 2), (3600, 2), (3601, 1)] {
        let m = drive(
            &policy(),
            fresh(),
            &[(0, up()), (60, down()), (60 + gap_s, down())],
        );
        assert_eq!(m.consecutive_failures, failures, "after {gap_s} s");
        assert_eq!(told(&m).len() + 1, failures as usize, "after {gap_s} s");
    }
}

/// As a cloud's scheduler calls, every five minutes at the shortest.
#[test]
fn a_caller_that_comes_more_rarely_than_the_interval_still_alerts_and_resolves() {
    let p = Policy {
        success_threshold: 2,
        ..policy()
    };
    let runs: Vec<_> = (0..8)
        .map(|i| (i * 300, if (2..5).contains(&i) { down() } else { up() }))
        .collect();
    let m = drive(&p, fresh(), &runs);
    assert_eq!(told(&m), ["triggered", "resolved"]);
    assert_eq!(
        [m.pending[0].at, m.pending[1].at],
        [at(900), at(1800)],
        "at the second failure, at the second success"
    );
}

#[test]
fn an_outage_over_a_gap_is_one_outage() {
    let m = drive(
        &policy(),
        fresh(),
        &[(0, down()), (20, down()), (5000, down()), (5060, up())],
    );
    assert_eq!(told(&m), ["triggered", "resolved"]);
    let Event::Resolved { failing_since, .. } = &m.pending[1].event else {
        panic!("want resolved")
    };
    assert_eq!(*failing_since, at(0));
}

fn seen(sha256: &str, days: i64) -> Outcome {
    let not_after_unix_s = START.unix_s() + days * 86_400;
    let mut outcome = up();
    outcome.certificate = Some(CertificateSeen {
        sha256: sha256.into(),
        not_before_unix_s: 0,
        not_after_unix_s,
    });
    outcome
}

#[test]
fn each_threshold_of_a_certificate_warns_once_and_renewal_re_arms() {
    let mut m = fresh();
    let mut warned = Vec::new();
    for day in 0..45_u64 {
        // Renewed on day 40 by one that ends on day 60.
        let outcome = if day < 40 {
            seen("old", 40)
        } else {
            seen("new", 60)
        };
        for run in 0..3 {
            let before = m.pending.len();
            m = step(m, &policy(), &outcome, at(day * 86_400 + run * 300));
            let news = m.pending[before..].iter();
            let warnings = news.filter(|t| matches!(t.event, Event::CertificateExpiring { .. }));
            warned.extend(warnings.map(|_| day));
            m.pending.clear();
        }
    }
    assert_eq!(
        warned,
        [10, 26, 33, 37, 39, 40],
        "30, 14, 7, 3 and 1 days before, then the new one's 30"
    );
}

#[test]
fn several_thresholds_crossed_at_once_are_one_warning_of_the_narrowest() {
    let m = drive(&policy(), fresh(), &[(0, seen("a", 5))]);
    let [warning] = &m.pending[..] else {
        panic!("want one warning, got {:?}", m.pending)
    };
    let Event::CertificateExpiring { threshold, .. } = &warning.event else {
        panic!("want expiring")
    };
    assert_eq!(threshold, "7 days");
}

#[test]
fn a_balancer_with_two_certificates_warns_once_for_each() {
    let runs: Vec<_> = (0..20)
        .map(|i| (i * 60, seen(if i % 2 == 0 { "a" } else { "b" }, 10)))
        .collect();
    assert_eq!(
        told(&drive(&policy(), fresh(), &runs)),
        ["expiring", "expiring"]
    );
}

#[test]
fn a_certificate_that_was_warned_of_is_told_to_be_replaced() {
    let runs: Vec<_> = (0..40)
        .map(|i| {
            (
                i * 60,
                seen(if i < 5 { "a" } else { "b" }, if i < 5 { 10 } else { 90 }),
            )
        })
        .collect();
    let m = drive(&policy(), fresh(), &runs);
    assert_eq!(told(&m), ["expiring", "renewed"]);
    let renewed = &m.pending[1];
    assert_eq!(
        renewed.at,
        at(14 * 60),
        "when ten probes in a row saw the new one"
    );
    let Event::CertificateRenewed { sha256, detail, .. } = &renewed.event else {
        panic!("want renewed, got {renewed:?}")
    };
    assert_eq!(sha256, "a");
    assert!(detail.contains("expires in 89 days"), "{detail}");
}

#[test]
fn a_replaced_certificate_that_comes_back_is_warned_of_again() {
    let runs: Vec<_> = (0..40)
        .map(|i| match i {
            5..30 => (i * 60, seen("b", 90)),
            _ => (i * 60, seen("a", 10)),
        })
        .collect();
    let m = drive(&policy(), fresh(), &runs);
    assert_eq!(told(&m), ["expiring", "renewed", "expiring"]);
}

#[test]
fn a_changed_value_is_remembered_only_from_probes_that_did_not_fail() {
    let with = |mut o: Outcome, key: &str| {
        o.identity = Some(identity(key));
        o
    };
    let m = drive(
        &policy(),
        fresh(),
        &[
            (0, with(up(), "a")),
            (60, with(down(), "b")),
            (80, with(down(), "b")),
        ],
    );
    assert_eq!(m.memory.identity, Some(identity("a")));
}

#[test]
fn a_clock_that_went_back_only_begins_the_wait_for_confirmation_anew() {
    let mut m = drive(&policy(), fresh(), &[(10_000, down()), (10_020, down())]);
    let told = Told {
        born_at: START,
        sequence: 1,
        open_since: None,
    };
    for (second, pending) in [(10_020, 1), (10, 1), (69, 1), (70, 0)] {
        m.confirm(Some(&told), at(second));
        assert_eq!(m.pending.len(), pending, "at {second} s");
    }
}

#[test]
fn the_certificates_that_end_first_are_the_first_forgotten() {
    // One more than is remembered; the last to be seen ends last.
    let mut m = fresh();
    for i in 0..129_u64 {
        let outcome = seen(&format!("{i}"), 5 + i as i64 / 20);
        m = step(m, &policy(), &outcome, at(i * 60));
    }
    let known: Vec<_> = m.memory.certificates.iter().map(|a| &a.sha256).collect();
    assert_eq!(known.len(), 128);
    assert!(!known.contains(&&"0".to_owned()));
    assert!(known.contains(&&"128".to_owned()));
}

#[test]
fn what_is_confirmed_is_dropped_once_it_has_been_so_for_a_while() {
    let m = drive(
        &policy(),
        fresh(),
        &[
            (0, down()),
            (20, down()),
            (80, up()),
            (140, down()),
            (160, down()),
        ],
    );
    let sequences = |m: &Monitor| m.pending.iter().map(|t| t.sequence).collect::<Vec<_>>();
    let told = |sequence| Told {
        born_at: START,
        sequence,
        open_since: None,
    };
    // (second, taken over up to, still pending)
    let mut m = m;
    for (second, taken, pending) in [
        (160, Some(2), vec![1, 2, 3]),
        (219, Some(2), vec![1, 2, 3]),
        // Another run wrote its older knowledge over it: the wait begins anew.
        (219, Some(0), vec![1, 2, 3]),
        (220, Some(2), vec![1, 2, 3]),
        (279, None, vec![1, 2, 3]),
        (280, Some(2), vec![1, 2, 3]),
        (339, Some(3), vec![1, 2, 3]),
        (340, Some(3), vec![3]),
        (400, Some(3), vec![]),
    ] {
        m.confirm(taken.map(told).as_ref(), at(second));
        assert_eq!(
            sequences(&m),
            pending,
            "at {second} s, taken over up to {taken:?}"
        );
    }
}

#[test]
fn another_life_confirms_nothing() {
    let mut m = drive(&policy(), fresh(), &[(0, down()), (20, down())]);
    for second in [20, 200] {
        m.confirm(
            Some(&Told {
                born_at: UnixMs(1),
                sequence: 9,
                open_since: None,
            }),
            at(second),
        );
        assert_eq!(m.pending.len(), 1);
    }
}

#[test]
fn another_target_is_another_thing() {
    let mut seen = up();
    seen.identity = Some(identity("a"));
    let mut m = drive(&policy(), fresh(), &[(0, seen), (60, down())]);
    m.redefine(definition());
    assert_eq!(
        (&m.memory.identity, m.consecutive_failures),
        (&Some(identity("a")), 1)
    );
    let mut moved = definition();
    moved.target = "https://other.example.com/health".into();
    m.redefine(moved);
    assert_eq!((&m.memory.identity, m.consecutive_failures), (&None, 0));
}

#[test]
fn thresholds_may_be_reconfigured_without_losing_or_repeating_a_warning() {
    use watchbell_core::settings::Threshold::Days;
    let with = |days: &[u32]| Policy {
        thresholds: days.iter().map(|d| Days(*d)).collect(),
        ..policy()
    };
    let mut m = fresh();
    let mut warned = Vec::new();
    for (day, thresholds) in [
        (34, vec![30, 14, 7]),
        (35, vec![60, 7, 3]),
        (36, vec![7, 5, 3]),
        (38, vec![3, 1]),
    ] {
        let before = m.pending.len();
        m = step(m, &with(&thresholds), &seen("a", 40), at(day * 86_400));
        warned.extend(m.pending[before..].iter().map(|t| match &t.event {
            Event::CertificateExpiring { threshold, .. } => threshold.clone(),
            other => panic!("want a warning, got {other:?}"),
        }));
    }
    // 7 on the first day; nothing new with 60 and 3 at 5 days left; 5; then 3.
    assert_eq!(warned, ["7 days", "5 days", "3 days"]);
}

#[test]
fn a_record_that_a_store_lost_adopts_what_was_told() {
    let told_down = Told {
        born_at: UnixMs(7),
        sequence: 5,
        open_since: Some(at(0)),
    };
    let mut m = fresh();
    m.confirm(Some(&told_down), at(60));
    assert_eq!(
        (m.health, m.sequence, m.born_at),
        (Health::Down, 5, UnixMs(7))
    );
    let m = step(m, &policy(), &up(), at(60));
    assert_eq!((told(&m), m.sequence), (vec!["resolved"], 6));
}

#[test]
fn unconfirmed_transitions_are_bounded_and_still_alternate() {
    let one = Policy {
        failure_threshold: 1,
        ..policy()
    };
    let runs: Vec<_> = (0..200)
        .map(|i| (i * 60, if i % 2 == 0 { down() } else { up() }))
        .collect();
    let m = drive(&one, fresh(), &runs);
    let words = told(&m);
    assert!(words.len() <= 32, "{} kept", words.len());
    for (i, w) in words.iter().enumerate() {
        assert_eq!(*w, if i % 2 == 0 { "triggered" } else { "resolved" });
    }
    assert_eq!(m.sequence, 200, "numbers are never used twice");
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(up()),
        Just(down()),
        Just(Outcome::degraded(
            watchbell_core::outcome::Kind::Latency,
            "slow"
        )),
        (1..40_i64).prop_map(|days| seen("x", days)),
    ]
}

fn history() -> impl Strategy<Value = Vec<(u64, Outcome)>> {
    // Late, repeated, skipped and backward ticks alike.
    prop::collection::vec((0..2_000_u64, outcomes()), 0..80)
}

proptest! {
    #[test]
    fn triggered_and_resolved_alternate_and_numbers_rise(runs in history(), failures in 1..4_u32, successes in 1..3_u32) {
        let p = Policy { failure_threshold: failures, success_threshold: successes, ..policy() };
        let m = drive(&p, fresh(), &runs);
        let states: Vec<_> = told(&m).into_iter().filter(|w| !["expiring", "renewed"].contains(w)).collect();
        for (i, w) in states.iter().enumerate() {
            prop_assert_eq!(*w, if i % 2 == 0 { "triggered" } else { "resolved" });
        }
        prop_assert_eq!(m.health == Health::Down, states.last() == Some(&"triggered"));
        for pair in m.pending.windows(2) {
            prop_assert!(pair[0].sequence < pair[1].sequence);
        }
    }

    #[test]
    fn the_same_history_gives_the_same_state_and_a_record_round_trips(runs in history()) {
        let a = drive(&policy(), fresh(), &runs);
        prop_assert_eq!(&a, &drive(&policy(), fresh(), &runs));
        let bytes = watchbell_core::record::encode(&a).unwrap();
        prop_assert_eq!(&watchbell_core::record::decode::<Monitor>(&bytes).unwrap(), &a);
        // Stopping and starting between any two runs changes nothing.
        let mut b = fresh();
        for (second, outcome) in &runs {
            b = watchbell_core::record::decode(&watchbell_core::record::encode(&b).unwrap()).unwrap();
            b = step(b, &policy(), outcome, at(*second));
        }
        prop_assert_eq!(b, a);
    }

    #[test]
    fn an_outcome_that_was_not_due_changes_nothing(runs in history(), second in 0..2_000_u64) {
        let m = drive(&policy(), fresh(), &runs);
        if !m.due(&policy().pace, at(second)) {
            prop_assert_eq!(&step(m.clone(), &policy(), &down(), at(second)), &m);
        }
    }
}
