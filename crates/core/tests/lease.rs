//! A run over HTTP: one at a time, however often and by however many it is called.

#![allow(clippy::unwrap_used)]

#[path = "support/store.rs"]
mod store;
mod support;

use std::time::Duration;

use store::InMemory;
use support::*;
use watchbell_core::counting::begin;
use watchbell_core::store::{LEASES, Store};

const TIMEOUT: Duration = Duration::from_secs(10);

#[test]
fn one_run_at_a_time() {
    let store = InMemory::default();
    let monitor = fresh();
    assert!(begin(&store, &monitor, TIMEOUT, at(1)).unwrap());
    assert!(
        !begin(&store, &monitor, TIMEOUT, at(1)).unwrap(),
        "the same moment"
    );
    assert!(
        !begin(&store, &monitor, TIMEOUT, at(12)).unwrap(),
        "it may still be under way"
    );
    assert!(
        begin(&store, &monitor, TIMEOUT, at(13)).unwrap(),
        "it was cut"
    );
}

#[test]
fn a_run_that_left_its_outcome_is_over() {
    let store = InMemory::default();
    let monitor = fresh();
    assert!(begin(&store, &monitor, TIMEOUT, at(1)).unwrap());
    let monitor = drive(&policy(), monitor, &[(1, down())]);
    assert!(begin(&store, &monitor, TIMEOUT, at(2)).unwrap());
}

#[test]
fn a_lease_of_the_future_or_of_nobody_holds_nothing_back() {
    let store = InMemory::default();
    let monitor = fresh();
    assert!(begin(&store, &monitor, TIMEOUT, at(1_000)).unwrap());
    assert!(
        begin(&store, &monitor, TIMEOUT, at(5)).unwrap(),
        "the clock was put back"
    );
    let key = format!("{LEASES}{}", monitor.definition.check);
    store.set(&key, b"broken").unwrap();
    assert!(begin(&store, &monitor, TIMEOUT, at(6)).unwrap());
}
