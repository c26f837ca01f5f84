//! Incidents that are over: remembered once, bounded, and never in an alert's way.

#![allow(clippy::unwrap_used)]

#[path = "support/store.rs"]
mod store;
mod support;

use std::cell::Cell;
use std::time::Duration;

use store::InMemory;
use support::*;
use watchbell_core::alerting::{self, Answer, Called, World};
use watchbell_core::channel::Request;
use watchbell_core::counting::{Probed, count, load};
use watchbell_core::incident::Incident;
use watchbell_core::measured::Measured;
use watchbell_core::monitor::Monitor;
use watchbell_core::outcome::Outcome;
use watchbell_core::past::{INCIDENTS_MAX, Past};
use watchbell_core::settings::AlertSettings;
use watchbell_core::store::{Failed, PAST, Store, monitor_key, peek, read};
use watchbell_core::time::UnixMs;

/// A receiver that takes everything.
struct Host {
    store: InMemory,
    taken: Cell<u32>,
}

impl Store for Host {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failed> {
        self.store.get(key)
    }
    fn set(&self, key: &str, value: &[u8]) -> Result<(), Failed> {
        self.store.set(key, value)
    }
    fn delete(&self, key: &str) -> Result<(), Failed> {
        self.store.delete(key)
    }
    fn keys(&self) -> Result<Vec<String>, Failed> {
        self.store.keys()
    }
    fn log(&self, line: &str) {
        self.store.log(line);
    }
    fn now(&self) -> UnixMs {
        self.store.now()
    }
}

impl World for Host {
    fn left(&self) -> Duration {
        Duration::from_secs(50)
    }
    fn send(&self, _: &Request, _: Duration) -> Result<Answer, String> {
        self.taken.set(self.taken.get() + 1);
        Ok(Answer {
            status: 200,
            ..Answer::default()
        })
    }
}

/// One check a minute, down in those minutes, and a sweep after each.
fn live(host: &Host, minutes: std::ops::Range<u64>, down_in: std::ops::Range<u64>) {
    for minute in minutes {
        probe(
            host,
            minute,
            if down_in.contains(&minute) {
                down()
            } else {
                up()
            },
        );
        sweep(host, minute).unwrap();
    }
}

fn probe(host: &Host, minute: u64, outcome: Outcome) {
    let now = at(minute * 60);
    host.store.now.set(now);
    let found = read::<Monitor>(host, &monitor_key("health")).unwrap();
    let monitor = load(found, &definition(), now);
    let probed = Probed {
        outcome,
        measured: Measured::default(),
    };
    count(host, monitor, &policy(), &probed, true, now).unwrap();
}

fn sweep(host: &Host, minute: u64) -> Result<(), Failed> {
    let settings = AlertSettings::read(&|key| {
        (key == "webhook_url").then(|| "https://hook.example.com/x".to_owned())
    });
    host.store.now.set(at(minute * 60 + 30));
    alerting::run(host, &settings, Called::Swept, minute + 1)
}

fn past(host: &Host) -> Option<Past> {
    peek(host, PAST).unwrap()
}

#[test]
fn what_cannot_be_remembered_holds_no_alert_back_and_is_remembered_later() {
    for newer in [false, true] {
        let host = Host {
            store: InMemory::default(),
            taken: Cell::new(0),
        };
        match newer {
            true => host.set(PAST, br#"{"version":2,"record":{}}"#).unwrap(),
            false => *host.store.refuses.borrow_mut() = Some(PAST.into()),
        }
        live(&host, 0..20, 5..10);
        assert_eq!(
            host.taken.get(),
            2,
            "newer {newer}: its beginning and its end"
        );
        *host.store.refuses.borrow_mut() = None;
        if newer {
            host.delete(PAST).unwrap();
        }
        live(&host, 20..30, 0..0);
        let past = past(&host).unwrap();
        assert_eq!((past.incidents.len(), past.count["headscale"]), (1, 1));
    }
}

#[test]
fn an_incident_that_is_redone_is_remembered_once() {
    let host = Host {
        store: InMemory::default(),
        taken: Cell::new(0),
    };
    live(&host, 0..10, 5..30);
    // The ledger's write fails in the minute in which it is over.
    probe(&host, 10, up());
    *host.store.refuses.borrow_mut() = Some("alert/ledger".into());
    assert!(sweep(&host, 10).is_err());
    *host.store.refuses.borrow_mut() = None;
    live(&host, 11..20, 0..0);
    let past = past(&host).unwrap();
    assert_eq!((past.incidents.len(), past.count["headscale"]), (1, 1));
}

#[test]
fn the_newest_are_kept_and_all_are_counted() {
    let one = |n: u64| -> Incident {
        serde_json::from_value(serde_json::json!({
            "id": format!("inc_{n}"), "service": "headscale", "opened_at": n, "failing_since": n,
            "checks": {}, "cause": null, "peak": "critical", "resolved_at": n + 1, "said": null,
        }))
        .unwrap()
    };
    let mut past = Past::default();
    let all: Vec<Incident> = (0..1_000).rev().map(one).collect();
    past.add(&all);
    past.add(&all[..5]);
    assert_eq!(past.incidents.len(), INCIDENTS_MAX);
    assert_eq!(past.incidents.last().unwrap().id, "inc_999");
    assert_eq!(past.count["headscale"], 1_000);
}
