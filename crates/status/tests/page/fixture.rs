//! What pages are made of, the same each time: records as checks and the alert component
//! write them, and histories.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};

use watchbell_core::diagnosis::Role;
use watchbell_core::history::{self, DAY_S, Sample, Samples, Span};
use watchbell_core::incident::{self, Incident};
use watchbell_core::ledger::{Account, Ledger};
use watchbell_core::measured::{Measured, Shown};
use watchbell_core::monitor::{Definition, Health, Last, Monitor, Plan};
use watchbell_core::operator::Operator;
use watchbell_core::outcome::{Kind, Status};
use watchbell_core::past::{Over, Part, Past};
use watchbell_core::settings::{Severity, Threshold};
use watchbell_core::time::UnixMs;
use watchbell_status::page::{self, Site};
use watchbell_status::records::{History, Records};
use watchbell_status::view::{self, Detail, Sight, State};

/// 2026-11-28T14:03:00Z.
pub const NOW_S: u64 = 1_795_874_580;
pub const NOW: UnixMs = UnixMs(NOW_S * 1_000);
pub const INTERVAL_S: u64 = 30;

pub type Drawn = BTreeMap<String, (Detail, History)>;

pub fn site(sight: Sight) -> Site<'static> {
    Site {
        title: "Watchbell",
        sight,
        closable: true,
        now: NOW,
    }
}

pub fn ago(s: u64) -> UnixMs {
    UnixMs((NOW_S - s) * 1_000)
}

pub fn monitor(check: &str, label: &str, probe: &str, state: State) -> Monitor {
    let failing = matches!(state, State::Down | State::Pending);
    let (status, kind, detail, http_status) = match state {
        _ if failing => (
            Status::Failed,
            Some(Kind::Status),
            "status 502, want 200",
            502,
        ),
        State::Degraded => (
            Status::Degraded,
            Some(Kind::Latency),
            "took 612 ms, want 500 ms",
            200,
        ),
        _ => (Status::Up, None, "", 200),
    };
    let definition = Definition {
        check: check.to_owned(),
        label: label.to_owned(),
        service: "headscale".to_owned(),
        severity: Severity::Critical,
        role: Role::Other,
        probe: probe.to_owned(),
        target: format!("https://hs.example.com/{check}"),
        runbook: "look at the proxy's log, then at Headscale's".to_owned(),
        runbook_url: "https://wiki.example.com/headscale".to_owned(),
        interval_ms: INTERVAL_S * 1_000,
    };
    let phases_ms = [("dns", 2), ("connect", 5), ("tls", 9), ("answer", 7)];
    Monitor {
        health: match state {
            State::Down => Health::Down,
            State::Degraded => Health::Degraded,
            _ => Health::Up,
        },
        since: ago(if state == State::Down {
            2_700
        } else {
            12 * DAY_S + 15_000
        }),
        failing_since: failing.then(|| ago(2_760)),
        consecutive_failures: if failing { 2 } else { 0 },
        last: Some(Last {
            // What has not run for an hour is unknown.
            at: ago(if state == State::Unknown { 3_600 } else { 12 }),
            status,
            kind,
            reason: None,
            detail: detail.to_owned(),
            http_status: Some(http_status),
            off: false,
        }),
        plan: Plan {
            retry_interval_ms: 10_000,
            failure_threshold: 3,
            success_threshold: 2,
            expiry_thresholds: [30, 7, 1].map(Threshold::Days).into(),
        },
        measured: Measured {
            duration_ms: 23,
            phases_ms: phases_ms.map(|(phase, ms)| (phase.to_owned(), ms)).into(),
            http_status: Some(http_status),
            tls_version: Some("TLSv1.3".to_owned()),
            certificate: (probe == "certificate").then(|| certificate(26)),
        },
        ..Monitor::new(definition, ago(90 * DAY_S))
    }
}

pub fn certificate(days_left: i64) -> Shown {
    let end_s = NOW_S as i64 + days_left * DAY_S as i64 + 3_600;
    Shown {
        subject: "CN=hs.example.com".to_owned(),
        issuer: "C=US, O=Let's Encrypt, CN=E7".to_owned(),
        names: vec!["hs.example.com".to_owned(), "derp.example.com".to_owned()],
        names_more: 0,
        sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
        not_before_unix_s: end_s - 90 * DAY_S as i64,
        not_after_unix_s: end_s,
        chain_not_after_unix_s: end_s,
    }
}

pub fn open() -> Incident {
    let definition = monitor("health", "Headscale health", "http", State::Down).definition;
    let affected = incident::Affected {
        definition,
        failing_since: ago(2_760),
        kind: Some(Kind::Status),
        reason: None,
        detail: "status 502, want 200".to_owned(),
        recovered_at: None,
        flapping: false,
    };
    Incident {
        id: "inc_7f3a".to_owned(),
        service: "headscale".to_owned(),
        opened_at: ago(2_700),
        failing_since: ago(2_760),
        checks: [("health".to_owned(), affected)].into(),
        cause: Some("backend-down".to_owned()),
        evidence: BTreeSet::new(),
        peak: Severity::Critical,
        resolved_at: None,
        said: None,
        held: None,
    }
}

pub fn over(n: u64) -> Over {
    let failing_since = ago((20 - n) * 3 * DAY_S);
    let lasted_ms = 720_000 + n * 61_000;
    let part = Part {
        label: "Headscale health".to_owned(),
        kind: Some(Kind::Status),
        reason: None,
        detail: "status 502, want 200".to_owned(),
        failing_since,
        recovered_at: Some(UnixMs(failing_since.0 + lasted_ms)),
    };
    Over {
        id: format!("inc_{n}"),
        service: "headscale".to_owned(),
        opened_at: UnixMs(failing_since.0 + 60_000),
        failing_since,
        resolved_at: UnixMs(failing_since.0 + lasted_ms),
        severity: Severity::Critical,
        cause: Some("backend-down".to_owned()),
        held: None,
        checks: [("health".to_owned(), part)].into(),
    }
}

pub fn records(monitors: Vec<Monitor>, open: Vec<Incident>, past: u64) -> Records {
    let mut ledger = Ledger::default();
    for incident in open {
        let service = incident.service.clone();
        let mut account = Account::default();
        account.service.open = Some(incident);
        ledger.services.insert(service, account);
    }
    for (name, last_error) in [("ntfy", None), ("pager", Some("status 503, want 2xx"))] {
        let channel = ledger.outbox.channels.entry(name.to_owned()).or_default();
        channel.delivered = 128;
        channel.failed = 3;
        channel.last_error = last_error.map(str::to_owned);
    }
    Records {
        monitors,
        unreadable: BTreeSet::new(),
        ledger,
        lost: Vec::new(),
        past: Past {
            incidents: (0..past).map(over).collect(),
            ..Past::default()
        },
        operator: Operator::default(),
        now: NOW,
    }
}

/// What a probe found so many seconds ago.
pub fn sample(ago_s: u64, state: history::State, latency_ms: u32) -> Sample {
    let well = matches!(state, history::State::Up | history::State::Degraded);
    Sample {
        at_s: NOW_S - ago_s,
        state,
        latency_ms: well.then_some(latency_ms),
    }
}

/// A probe every half a minute for 24 hours, with some noise in its latency; `is` tells what
/// one found, by its age in seconds, and `None` where there was none.
pub fn samples(seed: u32, is: impl Fn(u64) -> Option<history::State>) -> Samples {
    let mut random = (seed + 1).wrapping_mul(2_654_435_761);
    let mut one = |ago_s: u64| {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        let hour = (ago_s / 3_600) as u32;
        let slow = if random.is_multiple_of(61) {
            60 + hour
        } else {
            0
        };
        let latency_ms = 18 + seed * 3 + random % 21 + hour.abs_diff(12) * 2 + slow;
        is(ago_s).map(|state| sample(ago_s, state, latency_ms))
    };
    (0..DAY_S / INTERVAL_S)
        .rev()
        .filter_map(|n| one(n * INTERVAL_S + 12))
        .collect()
}

/// The last so many days before today, up but for what `down_s` says, by age in days.
pub fn days(count: u64, down_s: impl Fn(u64) -> u32) -> Vec<Span> {
    let today_s = NOW_S - NOW_S % DAY_S;
    let day = |ago: u64| Span {
        start_s: today_s - ago * DAY_S,
        count: 2_880,
        up_s: DAY_S as u32 - down_s(ago),
        down_s: down_s(ago),
        ..Span::default()
    };
    (1..=count).rev().map(day).collect()
}

/// Full, with outages, gaps and bad days, by seed; seed 1 fails now.
pub fn eventful(seed: u32) -> History {
    let is = |ago_s: u64| match ago_s {
        ..=2_760 if seed == 1 => Some(history::State::Down),
        30_000..=33_000 if seed.is_multiple_of(3) => Some(history::State::Down),
        50_000..=54_000 if seed.is_multiple_of(4) => None,
        20_000..=24_000 if seed == 5 => Some(history::State::Degraded),
        _ => Some(history::State::Up),
    };
    History {
        samples: samples(seed, is),
        hours: Vec::new(),
        days: days(89, |ago| match ago + u64::from(seed) {
            10 => 1_200,
            34 => 40_000,
            61 => 86_400,
            _ => 0,
        }),
    }
}

pub fn empty() -> History {
    History {
        samples: Samples::default(),
        hours: Vec::new(),
        days: Vec::new(),
    }
}

/// What watches one Headscale; of more than eight states the rest are further ports.
pub fn headscale(states: &[State]) -> Vec<Monitor> {
    let names = [
        (
            "certificate",
            "Certificate of hs.example.com",
            "certificate",
        ),
        ("control", "Control protocol", "control"),
        ("derp", "DERP relay", "derp"),
        ("health", "Headscale health", "http"),
        ("key", "Public key", "http"),
        ("metrics", "Metrics", "http"),
        ("port", "Port 443", "tcp"),
        ("stun", "STUN", "stun"),
    ];
    let one = |(n, state): (usize, &State)| match names.get(n) {
        Some((check, label, probe)) => monitor(check, label, probe, *state),
        None => monitor(&format!("port-{n}"), &format!("Port {n}"), "tcp", *state),
    };
    states.iter().enumerate().map(one).collect()
}

/// With a full history each.
pub fn drawn(records: &Records, sight: Sight) -> Drawn {
    let one = |(seed, monitor): (u32, &Monitor)| {
        let down = monitor.health == Health::Down;
        let history = eventful(if down { 1 } else { seed + 2 });
        let detail = view::detail(monitor, &history, NOW, sight);
        (monitor.definition.check.clone(), (detail, history))
    };
    (0..).zip(&records.monitors).map(one).collect()
}

pub fn overview(records: &Records, drawn: &Drawn, sight: Sight) -> String {
    let status = view::status(records, sight);
    page::overview(&site(sight), &status, drawn, &view::past(records, sight))
}

pub fn check(monitor: &Monitor, history: &History, sight: Sight) -> String {
    let detail = view::detail(monitor, history, NOW, sight);
    page::check(&site(sight), &detail, history, &[])
}
