//! An application with 90 days behind it: histories and incidents as checks write them.

use std::time::{SystemTime, UNIX_EPOCH};

use watchbell_core::history::{self, DAY_S, Recent, Sample, Span, Spans};
use watchbell_core::outcome::Kind;
use watchbell_core::past::{Over, Part, Past};
use watchbell_core::settings::Severity;
use watchbell_core::time::UnixMs;
use watchbell_core::{record, store};
use watchbell_lab::manifest::{CHECKS, PATIENT, Pace};
use watchbell_lab::scenario::Lab;
use watchbell_lab::wait;

use super::{status, well, with_token};

/// Everything is up, and has been watched for 90 days: with two short outages of the API, one
/// of them within the last 24 hours.
pub fn with_a_past() -> Lab {
    let mut setup = with_token();
    let interval_s = 20;
    setup.changes.pace = Pace {
        interval: "20s",
        ..PATIENT
    };
    let mut lab = well(setup);
    lab.runtime.stop();
    let now_s = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let outage_s = now_s - 31_000..now_s - 29_800;
    for (number, check) in (0..).zip(CHECKS) {
        let fails = |at_s: u64| check == "health" && outage_s.contains(&at_s);
        write_history(&lab, check, number, now_s, interval_s, fails);
        let since_s = match check {
            "health" => outage_s.end,
            _ => now_s - 41 * DAY_S - 5_000,
        };
        let key = format!("monitor/{check}");
        lab.runtime
            .state()
            .edit(&key, |record| record["since"] = (since_s * 1_000).into());
    }
    let past = Past {
        incidents: vec![over(
            UnixMs(outage_s.start * 1_000),
            UnixMs(outage_s.end * 1_000),
        )],
        ..Past::default()
    };
    lab.runtime
        .state()
        .put(store::PAST, &record::encode(&past).unwrap());
    lab.runtime.run();
    lab.runtime.serving();
    wait::until("the check that is switched off to be known too", || {
        let checks = status(&lab)["services"][0]["checks"].as_array()?.len();
        (checks > CHECKS.len()).then_some(())
    });
    lab
}

fn write_history(
    lab: &Lab,
    check: &str,
    number: u32,
    now_s: u64,
    interval_s: u64,
    fails: impl Fn(u64) -> bool,
) {
    let state = lab.runtime.state();
    let record = state.monitor(check).unwrap();
    let born_at = UnixMs(record["born_at"].as_u64().unwrap());
    let mut recent = Recent {
        born_at,
        ..Recent::default()
    };
    // xorshift: the same picture each time.
    let mut random = (number + 1).wrapping_mul(2_654_435_761);
    for ago_s in (60..DAY_S)
        .step_by(interval_s as usize)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
    {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        let at_s = now_s - ago_s;
        let hour = (ago_s / 3_600) as u32;
        let slow = if random.is_multiple_of(61) {
            40 + hour
        } else {
            0
        };
        let latency_ms = 18 + number * 4 + random % 21 + hour.abs_diff(12) * 2 + slow;
        recent.samples.push(match fails(at_s) {
            true => Sample {
                at_s,
                state: history::State::Down,
                latency_ms: None,
            },
            false => Sample {
                at_s,
                state: history::State::Up,
                latency_ms: Some(latency_ms),
            },
        });
    }
    state.put(
        &history::samples_key(check),
        &record::pack(&recent).unwrap(),
    );
    let today = now_s / DAY_S;
    let day = |ago: u64| {
        let down_s = match ago {
            23 if check == "health" => 2_400,
            _ => 0,
        };
        Span {
            start_s: (today - ago) * DAY_S,
            count: (DAY_S / interval_s) as u32,
            up_s: DAY_S as u32 - down_s,
            down_s,
            ..Span::default()
        }
    };
    let days = Spans {
        spans: (1..90).rev().map(day).collect(),
    };
    state.put(&history::days_key(check), &record::pack(&days).unwrap());
}

fn over(failing_since: UnixMs, resolved_at: UnixMs) -> Over {
    let part = Part {
        label: "Headscale API".to_owned(),
        kind: Some(Kind::Status),
        reason: None,
        detail: "status 502, want 200".to_owned(),
        failing_since,
        recovered_at: Some(resolved_at),
    };
    Over {
        id: "inc_past".to_owned(),
        service: "headscale".to_owned(),
        opened_at: UnixMs(failing_since.0 + 20_000),
        failing_since,
        resolved_at,
        severity: Severity::Critical,
        cause: None,
        held: None,
        checks: [("health".to_owned(), part)].into(),
    }
}
