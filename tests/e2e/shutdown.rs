//! The end of `watchbell up`: what runs then still does all of its work.
//!
//! Spin cuts it, so these are of the embedded runtime alone.

#![allow(clippy::unwrap_used)]

use watchbell_lab::headscale::State;
use watchbell_lab::manifest::Changes;
use watchbell_lab::runtime::Host;
use watchbell_lab::scenario::{Lab, Setup, alert, expect_opened};
use watchbell_lab::wait;

/// More than one probe can ask.
const ALL: usize = 100;

/// Nothing but the check's own ring can bring the alert: the sweep is off, and the
/// runtime is not started again.
#[test]
fn a_check_that_runs_while_it_stops_still_rings() {
    let once = ("health", "failure_threshold", "1".to_owned());
    // The other checks will not run any more.
    let at_once = ("alert", "settling_time", "0".to_owned());
    let mut lab = Lab::well(
        Host::Embedded,
        Setup {
            changes: Changes {
                variables: vec![once, at_once],
                no_sweep: true,
                ..Changes::default()
            },
            ..Setup::default()
        },
    );
    lab.headscale.except("/health", State::Stalled, ALL);
    let before = lab.headscale.requests("/health");
    wait::until("a probe that waits for its answer", || {
        (lab.headscale.requests("/health") > before).then_some(())
    });
    lab.runtime.tell_to_stop();
    let told = lab.webhook.wait_for(1);
    expect_opened("database", &told, &[alert("health", "timeout")]);
    wait::until("the end of the runtime", || {
        lab.runtime.ended().then_some(())
    });
}
