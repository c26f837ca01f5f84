//! What a check found over time, law by law.

#![allow(clippy::unwrap_used)]

#[path = "support/store.rs"]
mod store;
mod support;

use proptest::prelude::*;
use store::InMemory;
use support::*;
use watchbell_core::counting::{Probed, count, load};
use watchbell_core::history::{
    self, DAY_S, HOUR_S, HOURS_MAX, Latency, SAMPLES_MAX, Sample, Samples, Span, State,
};
use watchbell_core::measured::Measured;
use watchbell_core::monitor::Monitor;
use watchbell_core::outcome::{Kind, Outcome};
use watchbell_core::record::{Unreadable, pack, unpack};
use watchbell_core::store::{Store, monitor_key, read};
use watchbell_core::time::UnixMs;

/// A probe's run, as the guest's shell does it. `Err` is a store that refused.
fn run(store: &InMemory, at_s: u64, outcome: &Outcome, duration_ms: u64) -> Result<(), String> {
    let now = UnixMs(at_s * 1_000);
    store.now.set(now);
    let found = read::<Monitor>(store, &monitor_key("health"))?;
    let monitor = load(found, &definition(), now);
    let probed = Probed {
        outcome: outcome.clone(),
        measured: Measured {
            duration_ms,
            ..Measured::default()
        },
    };
    count(store, monitor, &policy(), &probed, true, now).map(drop)
}

fn monitor(store: &InMemory) -> Monitor {
    watchbell_core::store::peek(store, &monitor_key("health"))
        .unwrap()
        .unwrap()
}

fn samples(store: &InMemory) -> Vec<Sample> {
    history::samples(store, &monitor(store)).unwrap().to_vec()
}

/// Midnight, UTC.
const MIDNIGHT: u64 = 1_795_046_400;

fn sample(at_s: u64, state: State) -> Sample {
    let well = matches!(state, State::Up | State::Degraded);
    Sample {
        at_s,
        state,
        latency_ms: well.then_some(20),
    }
}

#[test]
fn midnight_is_midnight() {
    assert_eq!(MIDNIGHT % DAY_S, 0);
}

#[test]
fn no_run_writes_more_than_twice_and_most_write_once() {
    let store = InMemory::default();
    let (mut most, mut runs) = (0, 0);
    for minute in 0..3 * 24 * 60 {
        let before = store.writes.get();
        run(&store, MIDNIGHT + minute * 60, &up(), 20).unwrap();
        most = most.max(store.writes.get() - before);
        runs += 1;
    }
    assert_eq!(most, 2);
    let share = f64::from(store.writes.get()) / f64::from(runs);
    assert!(share < 1.05, "{share} writes a run");
    // Per run: a record with up to an hour's samples, and once an hour the rest.
    let bytes = store.bytes_written.get() / runs as usize;
    assert!(bytes < 3_000, "{bytes} bytes a run");
}

#[test]
fn two_years_of_a_minute_each_stay_small_and_bounded() {
    let store = InMemory::default();
    // A probe a day is enough for the days, and one an hour for the hours.
    for day in 0..740 {
        run(&store, MIDNIGHT + day * DAY_S, &up(), 12_345).unwrap();
    }
    for hour in 0..95 * 24 {
        run(
            &store,
            MIDNIGHT + 740 * DAY_S + hour * HOUR_S,
            &up(),
            12_345,
        )
        .unwrap();
    }
    let start_s = MIDNIGHT + 835 * DAY_S;
    for minute in 0..26 * 60 {
        run(&store, start_s + minute * 60, &up(), 12_345).unwrap();
    }
    let size = |key: &str| store.keys.borrow()[key].len();
    let hours = history::hours(&store, "health").unwrap();
    let days = history::days(&store, "health").unwrap();
    assert_eq!((hours.len(), days.len()), (HOURS_MAX as usize, 731));
    for (key, bytes_max) in [
        ("monitor/health", 3_000),
        ("history/health/samples", 10_000),
        ("history/health/hours", 60_000),
        ("history/health/days", 20_000),
    ] {
        assert!(size(key) < bytes_max, "{key}: {} bytes", size(key));
    }
}

#[test]
fn the_time_after_a_probe_is_what_it_found_until_the_next_and_unknown_after_a_gap() {
    use State::{Degraded, Down, Unknown, Up};
    // Seconds of an hour with a gap of 180 s: up, degraded, down, unknown, count.
    for (given, want) in [
        (vec![], [0, 0, 0, 3_600, 0]),
        (vec![(0, Up)], [180, 0, 0, 3_420, 1]),
        (
            vec![(-60, Up), (60, Down), (120, Up)],
            [60 + 180, 0, 60, 3_300, 2],
        ),
        // One before it reaches into it no further than its gap.
        (vec![(-170, Up)], [10, 0, 0, 3_590, 0]),
        (vec![(-180, Up)], [0, 0, 0, 3_600, 0]),
        (
            vec![(0, Degraded), (100, Unknown), (160, Up)],
            [180, 100, 0, 3_320, 3],
        ),
        (vec![(3_599, Down), (3_600, Up)], [0, 0, 1, 3_599, 1]),
        // Two in one second: the later one counts.
        (vec![(10, Down), (10, Up)], [180, 0, 0, 3_420, 2]),
    ] {
        let from_s = MIDNIGHT;
        let all: Samples = { given.iter() }
            .map(|(s, state)| sample(from_s.saturating_add_signed(*s), *state))
            .collect();
        let span = Span::of(&all, from_s, from_s + HOUR_S, 180);
        let got = [
            span.up_s,
            span.degraded_s,
            span.down_s,
            span.unknown_s,
            span.count,
        ];
        assert_eq!(got, want, "{given:?}");
    }
}

#[test]
fn percentiles_are_of_the_nearest_rank() {
    for (count, want) in [
        (1, (1, 1, 1, 1)),
        (2, (1, 1, 2, 2)),
        (20, (1, 10, 19, 20)),
        (100, (1, 50, 95, 100)),
    ] {
        let all: Samples = { 1..=count }
            .map(|n| Sample {
                latency_ms: Some(count + 1 - n),
                ..sample(MIDNIGHT + u64::from(n), State::Up)
            })
            .collect();
        let of = Latency::of(&all, MIDNIGHT, MIDNIGHT + HOUR_S).unwrap();
        assert_eq!(
            (of.min_ms, of.median_ms, of.p95_ms, of.max_ms),
            want,
            "{count}"
        );
    }
    assert_eq!(
        Latency::of(&[sample(MIDNIGHT, State::Down)], 0, u64::MAX),
        None
    );
}

#[test]
fn a_failure_of_ours_is_unknown_and_one_of_the_target_is_down() {
    for (outcome, want) in [
        (up(), State::Up),
        (down(), State::Down),
        (Outcome::degraded(Kind::Latency, "slow"), State::Degraded),
        (
            Outcome::failed(Kind::Internal, "configuration"),
            State::Unknown,
        ),
        (Outcome::failed(Kind::Denied, "permission"), State::Unknown),
        (Outcome::switched_off("presence is off"), State::Unknown),
    ] {
        assert_eq!(State::of(&outcome), want, "{outcome:?}");
        let timed = Sample::new(&outcome, 0, 7).latency_ms;
        assert_eq!(timed.is_some(), matches!(want, State::Up | State::Degraded));
    }
}

#[test]
fn a_run_that_dies_between_its_writes_loses_no_sample_and_doubles_none() {
    let store = InMemory::default();
    for minute in 0..300 {
        // The record's write fails now and then, after the history's.
        if minute % 7 == 3 || minute == 60 || minute == 61 {
            *store.refuses.borrow_mut() = Some("monitor/health".into());
            run(&store, MIDNIGHT + minute * 60, &up(), 20).unwrap_err();
            *store.refuses.borrow_mut() = None;
        }
        run(&store, MIDNIGHT + minute * 60 + 1, &up(), 20).unwrap();
    }
    let times: Vec<u64> = samples(&store).iter().map(|s| s.at_s).collect();
    let want: Vec<u64> = (0..300).map(|m| MIDNIGHT + m * 60 + 1).collect();
    assert_eq!(times, want);
}

#[test]
fn a_history_that_cannot_be_written_costs_no_probe() {
    let store = InMemory::default();
    *store.refuses.borrow_mut() = Some("history/health/samples".into());
    for minute in 0..600 {
        run(&store, MIDNIGHT + minute * 60, &up(), 20).unwrap();
    }
    assert_eq!(monitor(&store).consecutive_successes, 600);
    assert!(
        store
            .log
            .borrow()
            .iter()
            .any(|l| l.contains("history/health/samples"))
    );
    let size = store.keys.borrow()["monitor/health"].len();
    assert!(size < 6_000, "{size} bytes");
    *store.refuses.borrow_mut() = None;
    run(&store, MIDNIGHT + 600 * 60, &up(), 20).unwrap();
    assert_eq!(samples(&store).len(), 240);
}

#[test]
fn a_clock_that_goes_back_erases_nothing_and_one_that_was_ahead_is_forgotten_after_a_day() {
    let store = InMemory::default();
    for minute in 0..180 {
        run(&store, MIDNIGHT + minute * 60, &up(), 20).unwrap();
    }
    let before = samples(&store);
    // The board's clock before NTP: 1970.
    for minute in 0..60 {
        run(&store, 1_000 + minute * 60, &down(), 20).unwrap();
    }
    assert_eq!(samples(&store), before);
    run(&store, MIDNIGHT + 240 * 60, &up(), 20).unwrap();
    assert_eq!(samples(&store).len(), before.len() + 1);
    // It was a year ahead all the time.
    let start_s = MIDNIGHT - 365 * DAY_S;
    for minute in 0..30 * 60 {
        run(&store, start_s + minute * 60, &up(), 20).unwrap();
    }
    let last_s = start_s + (30 * 60 - 1) * 60;
    let got = samples(&store);
    assert!(got.iter().all(|s| s.at_s <= last_s) && got.last().unwrap().at_s == last_s);
    let hours = history::hours(&store, "health").unwrap();
    assert!(hours.iter().all(|h| h.start_s <= last_s), "{hours:?}");
}

#[test]
fn two_wrong_clocks_say_no_more_than_one() {
    let store = InMemory::default();
    for hour in 0..40 * 24 {
        run(&store, MIDNIGHT + hour * HOUR_S, &up(), 20).unwrap();
    }
    let kept = history::hours(&store, "health").unwrap().len();
    run(&store, 1_000, &up(), 20).unwrap();
    run(&store, MIDNIGHT + 10 * DAY_S, &up(), 20).unwrap();
    for hour in 0..4 {
        run(&store, MIDNIGHT + 40 * DAY_S + hour * HOUR_S, &up(), 20).unwrap();
    }
    assert!(history::hours(&store, "health").unwrap().len() >= kept);
}

#[test]
fn a_clock_that_is_ahead_for_a_while_costs_no_hours_and_no_days() {
    let store = InMemory::default();
    for hour in 0..40 * 24 {
        run(&store, MIDNIGHT + hour * HOUR_S, &up(), 20).unwrap();
    }
    let kept = history::hours(&store, "health").unwrap();
    for hour in 0..6 {
        run(&store, MIDNIGHT + 800 * DAY_S + hour * HOUR_S, &up(), 20).unwrap();
    }
    let now = history::hours(&store, "health").unwrap();
    assert!(kept.iter().all(|hour| now.contains(hour)));
    assert!(history::days(&store, "health").unwrap().len() >= 38);
}

#[test]
fn a_check_that_probes_rarely_has_no_holes() {
    let store = InMemory::default();
    for probe in 0..120 {
        run(&store, MIDNIGHT + 1_800 + probe * 6 * HOUR_S, &up(), 20).unwrap();
    }
    // The gap of a minute's interval makes most of it unknown; none twice, and each day told.
    let days = history::days(&store, "health").unwrap();
    assert!(days.len() >= 27, "{}", days.len());
    for day in &days[1..] {
        assert_eq!((day.count, day.up_s), (4, 4 * 180), "{day:?}");
    }
}

#[test]
fn more_probes_than_are_kept_still_count() {
    let store = InMemory::default();
    // Two and a half seconds apart.
    for probe in 0..SAMPLES_MAX as u64 + 6_000 {
        run(&store, MIDNIGHT + probe * 5 / 2, &up(), 20).unwrap();
    }
    assert!(samples(&store).len() <= SAMPLES_MAX + 120);
    let days = history::days(&store, "health").unwrap();
    assert_eq!((days[0].count, days[0].unknown_s), (34_560, 0));
}

#[test]
fn a_history_of_another_is_set_aside_and_begun_anew() {
    let store = InMemory::default();
    let key = "history/health/samples";
    store.set(key, b"{\"not\": \"ours\"}").unwrap();
    for minute in 0..130 {
        run(&store, MIDNIGHT + minute * 60, &up(), 20).unwrap();
    }
    assert_eq!(samples(&store).len(), 130);
    assert_eq!(
        store.keys.borrow()["unreadable/history/health/samples"],
        b"{\"not\": \"ours\"}"
    );
}

#[test]
fn a_packed_record_is_of_our_version_or_refused() {
    let all: Samples = [
        sample(MIDNIGHT, State::Up),
        sample(MIDNIGHT + 60, State::Down),
    ]
    .into_iter()
    .collect();
    let packed = pack(&all).unwrap();
    assert_eq!(unpack::<Samples>(&packed), Ok(all));
    assert!(packed.len() < 20, "{} bytes", packed.len());
    let mut later = packed.clone();
    later[0] = 2;
    assert_eq!(
        unpack::<Samples>(&later),
        Err(Unreadable::Newer { version: 2 })
    );
    let cut = &packed[..packed.len() - 1];
    let long = [packed.as_slice(), b"x"].concat();
    for broken in [&b""[..], b"\x00", b"\x01", b"{}", cut, &long] {
        let got = unpack::<Samples>(broken);
        assert!(
            matches!(got, Err(Unreadable::Broken(_))),
            "{broken:?}: {got:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// An independent reckoning: second by second.
    #[test]
    fn spans_agree_with_a_reckoning_by_the_second(
        steps in prop::collection::vec((1u64..400, 0u8..4), 1..80),
    ) {
        let mut at_s = MIDNIGHT - 500;
        let mut all = Vec::new();
        for (after_s, state) in steps {
            at_s += after_s;
            let state = [State::Unknown, State::Up, State::Degraded, State::Down][usize::from(state)];
            all.push(sample(at_s, state));
        }
        let mut want = [0u32; 4];
        for second in MIDNIGHT..MIDNIGHT + HOUR_S {
            let of = all.iter().rev().find(|s| s.at_s <= second);
            let known = of.filter(|s| second - s.at_s < 180);
            want[known.map_or(0, |s| s.state as usize)] += 1;
        }
        let span = Span::of(&all, MIDNIGHT, MIDNIGHT + HOUR_S, 180);
        prop_assert_eq!([span.unknown_s, span.up_s, span.degraded_s, span.down_s], want);
    }

    /// What is unpacked is what was packed, and no bytes panic.
    #[test]
    fn packed_samples_round_trip(
        steps in prop::collection::vec((0u64..100_000, 0u8..4, 0u32..), 0..50),
        noise in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut at_s = MIDNIGHT;
        let all: Samples = steps.into_iter().map(|(after_s, state, latency)| {
            at_s += after_s;
            let state = [State::Unknown, State::Up, State::Degraded, State::Down][usize::from(state)];
            Sample { latency_ms: (state == State::Up).then_some(latency), ..sample(at_s, state) }
        }).collect();
        prop_assert_eq!(unpack::<Samples>(&pack(&all).unwrap()), Ok(all));
        drop(unpack::<history::Recent>(&noise));
        drop(unpack::<history::Spans>(&noise));
    }
}
