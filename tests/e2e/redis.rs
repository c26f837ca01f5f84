//! State in a true Redis instead of SQLite: the same alerts, over its death and return.

#![allow(clippy::unwrap_used)]

use std::cell::RefCell;

use watchbell_lab::headscale::State;
use watchbell_lab::real::{REDIS_PASSWORD, Redis};
use watchbell_lab::runtime::Host;
use watchbell_lab::scenario::{Lab, Setup, alert, expect_checks, on_each_host};
use watchbell_lab::skip::skip;
use watchbell_lab::wait;

/// Runs the scenario on a Redis, or says that there is none.
fn with_redis(test: &str, scenario: impl Fn(Host, &mut Redis)) {
    on_each_host(test, |host| match Redis::start() {
        Ok(mut redis) => scenario(host, &mut redis),
        Err(why) => skip(test, &why),
    });
}

fn keeping_state_in(redis: &Redis) -> Setup {
    Setup {
        redis: Some((redis.addr(), redis.url())),
        ..Setup::default()
    }
}

#[test]
fn an_outage_is_counted_in_redis() {
    with_redis("an_outage_is_counted_in_redis", |host, redis| {
        let mut lab = Lab::well(host, keeping_state_in(redis));
        lab.outage(
            "database",
            &[alert("health", "status")],
            |lab| lab.headscale.state(State::DatabaseDown),
            |lab| lab.headscale.state(State::Healthy),
        );
    });
}

#[test]
fn a_restart_goes_on_from_redis() {
    with_redis("a_restart_goes_on_from_redis", |host, redis| {
        let mut lab = Lab::well(host, keeping_state_in(redis));
        lab.headscale.state(State::DatabaseDown);
        lab.webhook.wait_for(1);
        lab.runtime.kill();
        lab.headscale.state(State::Healthy);
        lab.runtime.run();
        let told = lab.webhook.wait_for(2);
        expect_checks(&told[1], &[alert("health", "status")]);
        lab.wait_for_probes(2);
        assert_eq!(lab.webhook.messages().len(), 2);
    });
}

/// Without its store no check can count. What fails then is told once the store is
/// back, the log says meanwhile why nothing is, and says no password.
#[test]
fn redis_dies_and_returns() {
    with_redis("redis_dies_and_returns", |host, redis| {
        let mut lab = Lab::well(host, keeping_state_in(redis));
        let redis = RefCell::new(redis);
        lab.outage(
            "database",
            &[alert("health", "status")],
            |lab| {
                redis.borrow_mut().kill();
                lab.headscale.state(State::DatabaseDown);
                wait::until("the log to tell of the store", || {
                    lab.runtime.log().contains("key-value").then_some(())
                });
                assert!(lab.webhook.deliveries().is_empty(), "nothing was counted");
                redis.borrow_mut().run();
            },
            |lab| lab.headscale.state(State::Healthy),
        );
        let log = lab.runtime.log();
        assert!(
            !log.contains(REDIS_PASSWORD),
            "a password in the log:\n{log}"
        );
    });
}
