//! The time from the failure that crosses the threshold to the webhook, over loopback:
//! `cargo run --release -p watchbell-lab --example latency [rounds]`.
//!
//! It begins when the stand-in has read the request that it fails for the second time,
//! so judging, the durable record, the ring and the alert component are all in it.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use watchbell_lab::headscale::State;
use watchbell_lab::manifest::Changes;
use watchbell_lab::runtime::hosts;
use watchbell_lab::scenario::{Lab, Setup};
use watchbell_lab::wait;

const ROUNDS: usize = 50;

fn main() {
    let rounds = std::env::args()
        .nth(1)
        .map_or(ROUNDS, |n| n.parse().unwrap());
    for host in hosts("latency") {
        let setup = Setup {
            // The ring alone: a sweep that happens to run would flatter.
            changes: Changes {
                no_sweep: true,
                variables: vec![("health", "flapping", "off".to_owned())],
                ..Changes::default()
            },
            ..Setup::default()
        };
        let lab = Lab::well(host, setup);
        let mut times: Vec<Duration> = (0..rounds).map(|i| round(&lab, i)).collect();
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
        println!(
            "{host:?}: {rounds} alerts, p50 {:?}, p90 {:?}, p99 {:?}, max {:?}",
            at(50),
            at(90),
            at(99),
            at(100)
        );
    }
}

fn round(lab: &Lab, i: usize) -> Duration {
    let before = lab.headscale.requests("/health");
    lab.headscale.state(State::DatabaseDown);
    let crossed_at = wait::until("the second failure", || {
        (lab.headscale.requests("/health") >= before + 2)
            .then(|| lab.headscale.asked_at("/health").unwrap())
    });
    let told = lab.webhook.wait_for(2 * i + 1);
    lab.headscale.state(State::Healthy);
    lab.webhook.wait_for(2 * i + 2);
    told[2 * i].at.saturating_duration_since(crossed_at)
}
