//! What a page costs: CPU time and time of `watchbell up` a request, with 5, 100 and 1,000
//! checks that have two years of history each, and what a check's history takes:
//! `cargo run --release -p watchbell-lab --example status`, with `WATCHBELL_BIN` at a release
//! build.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cpu;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use watchbell_core::history::{DAY_S, HOUR_S, Latency, Recent, Sample, Span, Spans, State};
use watchbell_core::measured::Measured;
use watchbell_core::monitor::{Definition, Health, Last, Monitor, Plan};
use watchbell_core::outcome::Status;
use watchbell_core::record::{encode, pack};
use watchbell_core::settings::Severity;
use watchbell_core::time::UnixMs;
use watchbell_lab::runtime::{AppSpec, Host, Runtime};
use watchbell_lab::wasm::GUESTS_DIR;

const PATHS: [&str; 5] = [
    "/",
    "/check/check-1",
    "/api/v1/status",
    "/api/v1/checks",
    "/metrics",
];
const REQUESTS: u32 = 50;
const CHECKS: [usize; 3] = [5, 100, 1_000];

fn main() {
    let now_s = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let [record, recent, hours, days] = values("check-1", now_s);
    println!(
        "a check's keys, bytes: record {}, samples {}, hours {}, days {}, together {}\n",
        record.len(),
        recent.len(),
        hours.len(),
        days.len(),
        record.len() + recent.len() + hours.len() + days.len()
    );
    println!("checks   path              bytes    ms CPU       ms");
    for count in CHECKS {
        measure(count, now_s);
    }
}

fn measure(count: usize, now_s: u64) {
    let wasm = GUESTS_DIR.join("status.wasm");
    let manifest = format!(
        r#"spin_manifest_version = 2
[application]
name = "figures"
[[trigger.http]]
component = "status"
route = "/..."
[component.status]
source = {wasm:?}
key_value_stores = ["default"]
"#
    );
    let spec = AppSpec {
        manifest: Some(manifest),
        ..AppSpec::default()
    };
    let runtime = Runtime::start(Host::Embedded, spec);
    runtime.serving();
    let state = runtime.state();
    for n in 1..=count {
        let check = format!("check-{n}");
        let [record, recent, hours, days] = values(&check, now_s);
        state.put(&format!("monitor/{check}"), &record);
        state.put(&format!("history/{check}/samples"), &recent);
        state.put(&format!("history/{check}/hours"), &hours);
        state.put(&format!("history/{check}/days"), &days);
    }
    for path in PATHS {
        let first = runtime.request(path, &[]).unwrap();
        assert_eq!(first.status, 200, "{path}");
        let (begin, before) = (Instant::now(), cpu::cpu_s(runtime.pid()));
        for _ in 0..REQUESTS {
            runtime.request(path, &[]).unwrap();
        }
        let per = |d: f64| d * 1_000.0 / f64::from(REQUESTS);
        let cpu_ms = per(cpu::cpu_s(runtime.pid()) - before);
        let took_ms = per(begin.elapsed().as_secs_f64());
        let bytes = first.body.len();
        println!("{count:6}   {path:15} {bytes:7} {cpu_ms:9.2} {took_ms:8.2}");
    }
}

/// A record and its history, as a check writes them that has run every minute for two years.
fn values(check: &str, now_s: u64) -> [Vec<u8>; 4] {
    let minute_s = now_s - now_s % 60;
    let sample = |ago: u64| Sample {
        at_s: minute_s - ago * 60,
        state: if ago.is_multiple_of(500) {
            State::Down
        } else {
            State::Up
        },
        latency_ms: (!ago.is_multiple_of(500)).then_some(20 + (ago * 7919 % 90) as u32),
    };
    let recent = Recent {
        born_at: UnixMs(1),
        number: 1_000_000,
        samples: (1..=24 * 60).rev().map(sample).collect(),
    };
    let spans = |long_s: u64, count: u64| Spans {
        spans: (1..=count)
            .rev()
            .map(|ago| Span {
                start_s: now_s - now_s % long_s - ago * long_s,
                count: (long_s / 60) as u32,
                up_s: long_s as u32 - (ago % 60) as u32,
                degraded_s: 0,
                down_s: (ago % 60) as u32,
                unknown_s: 0,
                latency: Some(Latency {
                    min_ms: 20,
                    median_ms: 65,
                    p95_ms: 105,
                    max_ms: 2_310,
                }),
            })
            .collect(),
    };
    let definition = Definition {
        check: check.to_owned(),
        label: format!("The check called {check}"),
        service: "headscale".to_owned(),
        severity: Severity::Critical,
        role: Default::default(),
        probe: "http".to_owned(),
        target: "https://hs.example.com/health".to_owned(),
        runbook: "check the service's status and logs".to_owned(),
        runbook_url: "https://example.com/runbook".to_owned(),
        interval_ms: 60_000,
    };
    let at = UnixMs(minute_s * 1_000);
    let mut monitor = Monitor {
        health: Health::Up,
        last: Some(Last {
            at,
            status: Status::Up,
            kind: None,
            reason: None,
            detail: "status 200".to_owned(),
            http_status: None,
            off: false,
        }),
        plan: Plan {
            retry_interval_ms: 20_000,
            failure_threshold: 2,
            success_threshold: 1,
            expiry_thresholds: Vec::new(),
        },
        measured: Measured {
            duration_ms: 21,
            http_status: Some(200),
            ..Measured::default()
        },
        ..Monitor::new(definition, UnixMs(1))
    };
    // On average half an hour's are still in the record.
    monitor.history.number = 1_000_030;
    monitor.history.moved_s = minute_s - 31 * 60;
    monitor.history.hours_from = minute_s / HOUR_S;
    monitor.history.days_from = minute_s / DAY_S;
    for ago in (0..30).rev() {
        monitor.history.samples.push(sample(ago));
    }
    [
        encode(&monitor).unwrap(),
        pack(&recent).unwrap(),
        pack(&spans(HOUR_S, 90 * 24)).unwrap(),
        pack(&spans(DAY_S, 730)).unwrap(),
    ]
}
