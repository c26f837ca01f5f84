//! A host that only gets and sets: nothing is asked of it but that, and everything is found.

#![allow(clippy::unwrap_used)]

#[path = "support/store.rs"]
mod store;
mod support;

use std::time::Duration;

use store::InMemory;
use watchbell_core::alerting::{self, Answer, Called, World};
use watchbell_core::channel::Request;
use watchbell_core::control::{Command, obey};
use watchbell_core::ledger::Ledger;
use watchbell_core::settings::AlertSettings;
use watchbell_core::store::{Failed, LEDGER, Listed, Store, WINDOWS, monitor_key, peek};
use watchbell_core::time::UnixMs;

/// As Fermyon Cloud: neither lists nor deletes.
#[derive(Default)]
struct GetAndSet(InMemory);

impl Store for GetAndSet {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failed> {
        self.0.get(key)
    }
    fn set(&self, key: &str, value: &[u8]) -> Result<(), Failed> {
        self.0.set(key, value)
    }
    fn delete(&self, key: &str) -> Result<(), Failed> {
        panic!("deletes {key:?}");
    }
    fn keys(&self) -> Result<Vec<String>, Failed> {
        panic!("lists keys");
    }
    fn log(&self, line: &str) {
        self.0.log(line);
    }
    fn now(&self) -> UnixMs {
        self.0.now()
    }
}

/// The whole alert component on it.
struct Host(Listed<GetAndSet>);

impl Store for Host {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failed> {
        self.0.get(key)
    }
    fn set(&self, key: &str, value: &[u8]) -> Result<(), Failed> {
        self.0.set(key, value)
    }
    fn delete(&self, key: &str) -> Result<(), Failed> {
        self.0.delete(key)
    }
    fn keys(&self) -> Result<Vec<String>, Failed> {
        self.0.keys()
    }
    fn log(&self, line: &str) {
        self.0.log(line);
    }
    fn now(&self) -> UnixMs {
        self.0.now()
    }
}

impl World for Host {
    fn left(&self) -> Duration {
        Duration::from_secs(25)
    }
    fn send(&self, _: &Request, _: Duration) -> Result<Answer, String> {
        Err("nobody is there".to_owned())
    }
}

fn host(checks: &[&str]) -> Host {
    let checks = checks.iter().map(|&check| check.to_owned()).collect();
    let store = GetAndSet::default();
    store.0.now.set(UnixMs(1_700_000_000_000));
    Host(Listed::new(store, checks))
}

fn settings() -> AlertSettings {
    AlertSettings::read(&|_| None)
}

fn said(host: &Host, name: &str, body: &str) -> serde_json::Value {
    let command = Command::read(name, body.as_bytes()).unwrap();
    obey(host, &settings(), command).unwrap_or_else(|refusal| panic!("{name}: {}", refusal.1))
}

#[test]
fn the_checks_that_are_configured_are_found() {
    let host = host(&["port", "health"]);
    host.set(&monitor_key("health"), b"x").unwrap();
    let keys = host.keys().unwrap();
    assert_eq!(keys, [monitor_key("health"), monitor_key("port")]);
}

#[test]
fn what_operators_said_is_found_and_ends() {
    let host = host(&["health"]);
    let silence = said(&host, "silence", r#"{"for":"1h"}"#);
    let id = silence["id"].as_str().unwrap();
    let windows = said(&host, "incidents", "{}")["windows"].clone();
    assert_eq!(windows[0]["id"], id);

    let key = format!("{WINDOWS}{id}");
    host.delete(&key).unwrap();
    assert_eq!(host.get(&key).unwrap(), None, "an empty value is none");
    assert!(!host.keys().unwrap().contains(&key));
    assert_eq!(
        said(&host, "incidents", "{}")["windows"],
        serde_json::json!([])
    );
}

#[test]
fn a_check_without_a_record_is_no_unreadable_one() {
    let host = host(&["health"]);
    alerting::run(&host, &settings(), Called::Swept, 1).unwrap();
    let ledger: Ledger = peek(&host, LEDGER).unwrap().unwrap();
    assert_eq!(ledger.open().count(), 0, "it has not run yet");
}

#[test]
fn a_forgotten_check_is_gone() {
    let host = host(&["health"]);
    host.set(&monitor_key("health"), b"broken").unwrap();
    said(&host, "forget", r#"{"check":"health"}"#);
    assert_eq!(host.get(&monitor_key("health")).unwrap(), None);
    alerting::run(&host, &settings(), Called::Swept, 1).unwrap();
}
