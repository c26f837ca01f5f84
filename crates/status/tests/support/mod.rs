//! Records with something of everything, always the same.
#![allow(dead_code)]

use serde_json::json;
use watchbell_core::diagnosis::Role;
use watchbell_core::history::{DAY_S, Sample, Samples, Span, State};
use watchbell_core::incident::{Affected, Incident};
use watchbell_core::ledger::Ledger;
use watchbell_core::measured::Measured;
use watchbell_core::monitor::{Definition, Health, Last, Monitor, Plan};
use watchbell_core::notice::{About, Notice};
use watchbell_core::operator::Operator;
use watchbell_core::outbox::{Channel, Dead, Message, Progress};
use watchbell_core::outcome::{Kind, Status};
use watchbell_core::past::{Over, Part, Past};
use watchbell_core::settings::{Severity, Threshold};
use watchbell_core::time::UnixMs;
use watchbell_status::records::{History, Records};

/// `2026-11-18T11:06:40Z`.
pub const NOW: UnixMs = UnixMs(1_795_000_000_000);

/// So many seconds ago.
pub fn ago(seconds: u64) -> UnixMs {
    UnixMs(NOW.0 - seconds * 1_000)
}

pub const OPEN: &str = "inc_0123456789abcdef0123456789abcdef";
pub const OVER: &str = "inc_ffffffffffffffffffffffffffffffff";
/// In labels, texts and services: what each format must escape or leave out.
pub const HOSTILE: &str = "a\"b\\c</text><script>&'\u{1}\u{fffe}\u{202e}\nd";
/// In every text that only who bears the token may see.
pub const SECRET: &str = "10.9.8.7";

pub fn monitor(check: &str, probe: &str) -> Monitor {
    let definition = Definition {
        check: check.into(),
        label: format!("Headscale {check}"),
        service: "headscale".into(),
        severity: Severity::Critical,
        role: Role::Other,
        probe: probe.into(),
        target: format!("{SECRET}:443"),
        runbook: format!("look at {SECRET}"),
        runbook_url: format!("https://{SECRET}/runbook"),
        interval_ms: 60_000,
    };
    let mut monitor = Monitor::new(definition, ago(90_000));
    monitor.plan = Plan {
        retry_interval_ms: 20_000,
        failure_threshold: 2,
        success_threshold: 1,
        expiry_thresholds: vec![Threshold::Days(30), Threshold::Days(7)],
    };
    monitor
}

/// As it is after a probe that began so long ago.
pub fn probed(mut monitor: Monitor, seconds_ago: u64, health: Health) -> Monitor {
    monitor.health = health;
    monitor.since = ago(80_000);
    let status = match health {
        Health::Down => Status::Failed,
        Health::Degraded => Status::Degraded,
        Health::Up | Health::Unknown => Status::Up,
    };
    monitor.last = Some(last(seconds_ago, status, None));
    monitor
}

fn last(seconds_ago: u64, status: Status, kind: Option<Kind>) -> Last {
    Last {
        at: ago(seconds_ago),
        status,
        kind,
        reason: None,
        detail: format!("from {SECRET}"),
        http_status: None,
        off: false,
    }
}

fn failed(mut monitor: Monitor, failures: u32, kind: Kind) -> Monitor {
    monitor.last = Some(last(12, Status::Failed, Some(kind)));
    monitor.consecutive_failures = failures;
    monitor.failing_since = Some(ago(612));
    monitor
}

fn monitors() -> Vec<Monitor> {
    let health = |h| move |m| probed(m, 12, h);
    let up = health(Health::Up);

    let mut http = up(monitor("health", "http"));
    http.measured = Measured::new(41, &json!({ "http_status": 200, "http_duration_ms": 38 }));
    http.sequence = 4;

    let mut words = failed(up(monitor("words", "http")), 1, Kind::Body);
    words.definition.label = HOSTILE.into();
    words.definition.service = HOSTILE.into();
    words.measured = Measured::new(55, &json!({ "http_status": 200, "http_duration_ms": 54 }));

    let day_s = DAY_S as i64;
    let ends = |days: i64| NOW.unix_s() + days * day_s;
    let mut certificate = probed(monitor("certificate", "certificate"), 12, Health::Up);
    certificate.measured = Measured::new(
        73,
        &json!({
            "dns_ms": 4, "connect_ms": 20, "tls_ms": 48, "tls_version": "TLSv1.3",
            "subject": format!("CN={SECRET}"), "issuer": "CN=R13", "names": [SECRET],
            "sha256": "00".repeat(32),
            "not_before_unix_s": ends(-68), "not_after_unix_s": ends(22),
            "chain": [{ "not_after_unix_s": ends(22) }, { "not_after_unix_s": ends(9) }],
        }),
    );

    let mut control = failed(
        probed(monitor("control", "control"), 12, Health::Down),
        32,
        Kind::Protocol,
    );
    control.measured = Measured::new(
        90,
        &json!({ "dns_ms": 3, "connect_ms": 21, "tls_ms": 30, "key_ms": 9, "upgrade_ms": 27 }),
    );
    control.sequence = 1;

    let mut relay = probed(monitor("relay", "derp"), 12, Health::Degraded);
    relay.measured = Measured::new(
        300,
        &json!({ "dns_ms": 2, "connect_ms": 22, "tls_ms": 31, "probe_ms": 8, "round_trip_ms": 40 }),
    );
    relay.flaps.now = true;

    // Stopped while all was well.
    let mut silent = probed(monitor("silent", "http"), 3_600, Health::Up);
    silent.measured = http.measured.clone();

    let mut off = probed(monitor("stun", "stun"), 12, Health::Up);
    off.last.as_mut().unwrap().off = true;
    off.measured = Measured::new(0, &json!({}));

    let mut monitors = vec![http, words, certificate, control, relay, silent, off];
    monitors.push(monitor("new", "tcp"));
    monitors
}

fn open() -> Incident {
    let control = monitor("control", "control").definition;
    let affected = Affected {
        definition: control,
        failing_since: ago(612),
        kind: Some(Kind::Protocol),
        reason: Some("upgrade-stripped".into()),
        detail: format!("asked {SECRET} <for> \u{0} \"/ts2021\""),
        recovered_at: None,
        flapping: false,
    };
    Incident {
        id: OPEN.into(),
        service: "headscale".into(),
        opened_at: ago(592),
        failing_since: ago(612),
        checks: [("control".to_owned(), affected)].into(),
        cause: Some("control-protocol".into()),
        evidence: Default::default(),
        peak: Severity::Critical,
        resolved_at: None,
        said: None,
        held: None,
    }
}

fn over(id: &str, service: &str, resolved_ago: u64) -> Over {
    let part = Part {
        label: "Headscale API".into(),
        kind: Some(Kind::Status),
        reason: None,
        detail: format!("status 502 of {SECRET}"),
        failing_since: ago(resolved_ago + 300),
        recovered_at: Some(ago(resolved_ago)),
    };
    Over {
        id: id.into(),
        service: service.into(),
        opened_at: ago(resolved_ago + 280),
        failing_since: ago(resolved_ago + 300),
        resolved_at: ago(resolved_ago),
        severity: Severity::Warning,
        cause: Some("backend-down".into()),
        held: None,
        checks: [("health".to_owned(), part)].into(),
    }
}

fn notice(id: &str) -> Notice {
    Notice {
        id: id.into(),
        at: ago(300),
        service: "headscale".into(),
        severity: Severity::Critical,
        peak: Severity::Critical,
        test: true,
        about: About::Started { checks: 8 },
    }
}

fn ledger() -> Ledger {
    let awake = json!({ "since": ago(90_000), "seen": ago(25) });
    let mut ledger = Ledger {
        awake: serde_json::from_value(awake).unwrap(),
        ..Ledger::default()
    };
    ledger
        .services
        .entry("headscale".into())
        .or_default()
        .service
        .open = Some(open());
    let outbox = &mut ledger.outbox;
    outbox.channels.insert(
        "slack".into(),
        Channel {
            delivered: 3,
            failed: 2,
            dead: 1,
            last_error: Some(format!("refused by {SECRET}")),
            ..Channel::default()
        },
    );
    // Never tried: its variables are wrong, say.
    let waits = [("ntfy".to_owned(), Progress::default())];
    outbox.messages.push(Message {
        number: 7,
        bytes: 10,
        notice: notice("msg_1"),
        progress: Some(waits.into()),
    });
    outbox.dead.push(Dead {
        number: 5,
        bytes: 10,
        channel: "slack".into(),
        at: ago(200),
        error: format!("refused by {SECRET}"),
        notice: notice("msg_0"),
    });
    ledger
}

pub fn records() -> Records {
    Records {
        monitors: monitors(),
        unreadable: ["lost".to_owned()].into(),
        ledger: ledger(),
        lost: Vec::new(),
        past: Past {
            incidents: vec![
                over("inc_00000000000000000000000000000001", HOSTILE, 70_000),
                over(OVER, "headscale", 7_000),
            ],
            count: [("headscale".to_owned(), 3), (HOSTILE.to_owned(), 1)].into(),
        },
        operator: Operator::default(),
        now: NOW,
    }
}

/// Of ten days, all of which was up but for six hours of one, and a day of probes a minute.
pub fn history() -> History {
    let now_s = NOW.0 / 1_000;
    let today_s = now_s - now_s % DAY_S;
    let day = |ago: u64| Span {
        start_s: today_s - ago * DAY_S,
        count: 1_440,
        up_s: if ago == 3 { 64_800 } else { 86_400 },
        down_s: if ago == 3 { 21_600 } else { 0 },
        ..Span::default()
    };
    let sample = |minutes: u64| Sample {
        at_s: now_s - minutes * 60,
        state: State::Up,
        latency_ms: Some(40 + (minutes % 11) as u32),
    };
    History {
        samples: (0..1_440).rev().map(sample).collect::<Samples>(),
        hours: Vec::new(),
        days: (1..=10).rev().map(day).collect(),
    }
}

/// Compares with `tests/golden/<name>`; `UPDATE_EXPECT=1` writes it anew.
pub fn golden(name: &str, got: &str) {
    let path = std::path::Path::new("tests/golden").join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, got).unwrap();
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    let lines = got.lines().zip(want.lines());
    for (n, (got, want)) in lines.enumerate() {
        assert_eq!(
            got,
            want,
            "{name}, line {}; UPDATE_EXPECT=1 writes it anew",
            n + 1
        );
    }
    assert!(
        got == want,
        "{name} has other lines at its end; UPDATE_EXPECT=1 writes it anew"
    );
}
