//! One check: from its record, and what its history says.

use watchbell_core::certificate::inside_s;
use watchbell_core::history::{self, DAY_S, HOUR_S};
use watchbell_core::ledger::silent;
use watchbell_core::measured::Shown;
use watchbell_core::monitor::{Health, Monitor};
use watchbell_core::outcome::{CertificateSeen, Kind, one_line};
use watchbell_core::settings::Threshold;
use watchbell_core::time::UnixMs;

use super::{
    Certificate, Check, Detail, LABEL_CHARS_MAX, Latency, Mark, Outcome, Sight, State, Time,
    Uptime, Uptimes,
};
use crate::explain;
use crate::records::History;

/// Without its history.
pub fn check(monitor: &Monitor, now: UnixMs, sight: Sight) -> Check {
    let d = &monitor.definition;
    let full = sight == Sight::Full;
    let last = monitor.last.as_ref();
    let state = state(monitor, now);
    let unconfirmed = monitor.unconfirmed();
    let wait_ms = match unconfirmed {
        true => monitor.plan.retry_interval_ms,
        false => d.interval_ms,
    };
    let shown = monitor.measured.certificate.as_ref();
    Check {
        check: d.check.clone(),
        label: one_line(&d.label, LABEL_CHARS_MAX),
        service: d.service.clone(),
        probe: d.probe.clone(),
        severity: d.severity.as_str().to_owned(),
        state,
        since: since(monitor, state).into(),
        failing_since: monitor.failing_since.map(Time),
        off: last.is_some_and(|l| l.off),
        flapping: monitor.flaps.now,
        unreadable: false,
        last: last.map(|_| outcome(monitor, full)),
        next_at: last.map(|l| Time(UnixMs(l.at.0.saturating_add(wait_ms)))),
        interval_s: d.interval_ms as f64 / 1_000.0,
        consecutive_failures: monitor.consecutive_failures,
        failure_threshold: monitor.plan.failure_threshold,
        consecutive_successes: monitor.consecutive_successes,
        success_threshold: monitor.plan.success_threshold,
        certificate: shown.map(|s| certificate(s, &monitor.plan.expiry_thresholds, now, full)),
        target: full.then(|| d.target.clone()),
    }
}

/// A check whose record cannot be read; the check itself says so at its next run.
pub fn unreadable(id: &str, now: UnixMs) -> Check {
    Check {
        check: id.to_owned(),
        label: id.to_owned(),
        service: id.to_owned(),
        probe: "unknown".to_owned(),
        severity: "critical".to_owned(),
        state: State::Unknown,
        since: now.into(),
        failing_since: None,
        off: false,
        flapping: false,
        unreadable: true,
        last: None,
        next_at: None,
        interval_s: 0.0,
        consecutive_failures: 0,
        failure_threshold: 0,
        consecutive_successes: 0,
        success_threshold: 0,
        certificate: None,
        target: None,
    }
}

/// What was confirmed, unless it is too old, or something else is being confirmed.
pub fn state(monitor: &Monitor, now: UnixMs) -> State {
    if monitor.last.is_none() || silent(monitor, UnixMs(0), now) {
        return State::Unknown;
    }
    match monitor.health {
        Health::Down => State::Down,
        _ if monitor.consecutive_failures > 0 => State::Pending,
        Health::Up => State::Up,
        Health::Degraded => State::Degraded,
        Health::Unknown => State::Unknown,
    }
}

fn since(monitor: &Monitor, state: State) -> UnixMs {
    match (state, &monitor.last) {
        // Not when it was confirmed.
        (State::Pending | State::Down, _) => monitor.failing_since.unwrap_or(monitor.since),
        // Until then it was known.
        (State::Unknown, Some(last)) => last.at,
        _ => monitor.since,
    }
}

fn outcome(monitor: &Monitor, full: bool) -> Outcome {
    let measured = &monitor.measured;
    let last = monitor.last.as_ref();
    let kind = last.and_then(|l| l.kind).map(Kind::as_str);
    Outcome {
        at: last.map_or(monitor.born_at, |l| l.at).into(),
        status: last.map_or("", |l| l.status.as_str()).to_owned(),
        duration_ms: measured.duration_ms,
        kind: kind.filter(|_| full).map(str::to_owned),
        reason: last.and_then(|l| l.reason.clone()).filter(|_| full),
        detail: last.map(|l| l.detail.clone()).filter(|_| full),
        http_status: measured.http_status.filter(|_| full),
        tls_version: measured.tls_version.clone().filter(|_| full),
        phases_ms: match full {
            true => measured.phases_ms.clone(),
            false => Default::default(),
        },
    }
}

fn certificate(shown: &Shown, thresholds: &[Threshold], now: UnixMs, full: bool) -> Certificate {
    let left_s = shown.not_after_unix_s.saturating_sub(now.unix_s());
    let seen = CertificateSeen {
        sha256: shown.sha256.clone(),
        not_before_unix_s: shown.not_before_unix_s,
        not_after_unix_s: shown.not_after_unix_s,
    };
    let mark = |threshold: &Threshold| {
        let inside_s = inside_s(*threshold, &seen);
        let at_s = shown.not_after_unix_s.saturating_sub(inside_s);
        Mark {
            threshold: threshold.to_string(),
            at: Time::from_unix_s(at_s),
            crossed: at_s <= now.unix_s(),
        }
    };
    Certificate {
        not_before: Time::from_unix_s(shown.not_before_unix_s),
        not_after: Time::from_unix_s(shown.not_after_unix_s),
        days_left: left_s.div_euclid(DAY_S as i64),
        thresholds: thresholds.iter().map(mark).collect(),
        subject: full.then(|| shown.subject.clone()),
        issuer: full.then(|| shown.issuer.clone()),
        names: full.then(|| shown.names.clone()),
        names_more: full.then_some(shown.names_more),
        sha256: full.then(|| shown.sha256.clone()),
    }
}

/// One check, and what its history says.
pub fn detail(monitor: &Monitor, history: &History, now: UnixMs, sight: Sight) -> Detail {
    let full = sight == Sight::Full;
    let d = &monitor.definition;
    let now_s = now.unix_s().unsigned_abs();
    let of = history::Latency::of(&history.samples, now_s.saturating_sub(DAY_S), u64::MAX);
    Detail {
        check: check(monitor, now, sight),
        uptime: uptimes(monitor, history, now),
        latency: of.map(Latency::from),
        hourly_ms: hourly_ms(history, now_s),
        explanation: explain::explain(monitor, now, sight),
        action: Some(d.runbook.clone()).filter(|_| full),
        runbook_url: Some(d.runbook_url.clone()).filter(|_| full),
    }
}

fn hourly_ms(history: &History, now_s: u64) -> Vec<Option<u32>> {
    let hour = |ago: u64| {
        let to_s = now_s.saturating_sub(ago * HOUR_S);
        let of = history::Latency::of(&history.samples, to_s.saturating_sub(HOUR_S), to_s);
        of.map(|l| l.median_ms)
    };
    (0..24).rev().map(hour).collect()
}

impl From<history::Latency> for Latency {
    fn from(of: history::Latency) -> Self {
        Self {
            min_ms: of.min_ms,
            median_ms: of.median_ms,
            p95_ms: of.p95_ms,
            max_ms: of.max_ms,
        }
    }
}

/// UTC days, and the last 24 hours.
fn uptimes(monitor: &Monitor, history: &History, now: UnixMs) -> Uptimes {
    let now_s = now.unix_s().unsigned_abs();
    let gap_s_max = history::gap_s_max(monitor.definition.interval_ms);
    let first_s = first_s(monitor, history).unwrap_or(now_s).min(now_s);
    let days = history.days(365, now_s, gap_s_max);
    let newest = |count: usize| {
        let days = &days[days.len().saturating_sub(count)..];
        let mut all = history::Uptime::default();
        days.iter().for_each(|d| all += d.uptime());
        // Before its time nothing is unknown.
        let from_s = days.first().map_or(now_s, |d| d.start_s).max(first_s);
        let known_s = all.up_s + all.down_s;
        all.unknown_s = now_s.saturating_sub(from_s).saturating_sub(known_s);
        shown(all)
    };
    let day_s = now_s.saturating_sub(DAY_S).max(first_s);
    Uptimes {
        day: shown(history.between(day_s, now_s, gap_s_max).uptime()),
        week: newest(7),
        month: newest(30),
        quarter: newest(90),
        year: newest(365),
    }
}

/// When the history begins: within its first day with the record, if that was born in it.
fn first_s(monitor: &Monitor, history: &History) -> Option<u64> {
    let born_s = monitor.born_at.unix_s().unsigned_abs();
    let day_s = history.days.first().map(|d| d.start_s);
    let day_s = day_s.map(|d| {
        if (d..d + DAY_S).contains(&born_s) {
            born_s
        } else {
            d
        }
    });
    let sample_s = history.samples.first().map(|s| s.at_s);
    match (day_s, sample_s) {
        (Some(day_s), Some(sample_s)) => Some(day_s.min(sample_s)),
        (day_s, sample_s) => day_s.or(sample_s),
    }
}

fn shown(uptime: history::Uptime) -> Uptime {
    let known_s = uptime.up_s + uptime.down_s;
    // To a thousandth, in whole numbers, and never rounded up to a hundred.
    let thousandths = (uptime.up_s * 100_000).checked_div(known_s);
    Uptime {
        percent: thousandths.map(|t| t as f64 / 1_000.0),
        up_s: uptime.up_s,
        degraded_s: uptime.degraded_s,
        down_s: uptime.down_s,
        unknown_s: uptime.unknown_s,
    }
}
