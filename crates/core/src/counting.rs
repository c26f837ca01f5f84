//! A check's share: whether a probe is due, and what becomes of its outcome.

use std::time::Duration;

use crate::history::{self, Sample};
use crate::ledger::TakenOver;
use crate::measured::Measured;
use crate::monitor::{Definition, Monitor, Plan, Policy, step};
use crate::outcome::{Outcome, Status};
use crate::settings::Pace;
use crate::store::{self, Failed, Found, Store, monitor_key};
use crate::time::UnixMs;

/// Whether nothing is due yet: by the record, and by what the alert component suspects.
pub fn rests(store: &impl Store, found: &Found<Monitor>, pace: &Pace, now: UnixMs) -> bool {
    let Found::Record(monitor) = found else {
        return false;
    };
    !monitor.due(pace, now) && !monitor.awaited(suspected(store), pace, now)
}

/// The check with its state, as it is configured now.
pub fn load(found: Found<Monitor>, definition: &Definition, now: UnixMs) -> Monitor {
    let mut monitor = match found {
        Found::Record(monitor) => monitor,
        Found::Nothing => Monitor::new(definition.clone(), now),
        Found::Broken(why) => Monitor::in_place_of_lost(definition.clone(), &why, now),
    };
    monitor.redefine(definition.clone());
    monitor
}

/// Since when outcomes prove nothing. Without it (the store fails)
/// the check goes by its own pace.
pub fn suspected(store: &impl Store) -> Option<UnixMs> {
    store::peek(store, store::SUSPECT).unwrap_or_else(|why| {
        store.log(&why);
        None
    })
}

/// Whether a run over HTTP may probe now; says so to those that come while it does. A caller
/// may call as often as it likes, several times at once too: the target is asked no more often
/// than the check's interval says. Best effort, as every lease in a store of get and set is.
///
/// # Errors
/// When the store fails.
pub fn begin(
    store: &impl Store,
    monitor: &Monitor,
    timeout: Duration,
    now: UnixMs,
) -> Result<bool, Failed> {
    let key = format!("{}{}", store::LEASES, monitor.definition.check);
    let begun: Option<UnixMs> = store::peek(store, &key)?;
    let last = monitor.last.as_ref().map_or(UnixMs(0), |last| last.at);
    // One that has left its outcome is over, and so is one that must have ended: it was cut.
    let under_way =
        |at: &UnixMs| *at > last && *at <= now && now.since(*at) < timeout + LEASE_MARGIN;
    if begun.as_ref().is_some_and(under_way) {
        return Ok(false);
    }
    store::write(store, &key, &now)?;
    Ok(true)
}

/// Between a probe's deadline and its record.
const LEASE_MARGIN: Duration = Duration::from_secs(2);

/// What a probe found, and what it measured meanwhile.
pub struct Probed {
    pub outcome: Outcome,
    pub measured: Measured,
}

/// Counts the outcome and saves it. `before` is the record as it was when the probe began:
/// one that another run (over HTTP, say) has counted in since is left as it is. True when
/// the alert component should look.
pub fn count(
    store: &impl Store,
    before: Monitor,
    policy: &Policy,
    probed: &Probed,
    awaited: bool,
    now: UnixMs,
) -> Result<bool, Failed> {
    let outcome = &probed.outcome;
    let check = before.definition.check.clone();
    let key = monitor_key(&check);
    let counted = |m: &Monitor| m.last.as_ref().map(|l| l.at);
    let stored: Option<Monitor> = store::peek(store, &key)?;
    if stored.is_some_and(|stored| counted(&stored) != counted(&before)) {
        return Ok(false);
    }
    let mut monitor = before;
    let mut told = None;
    if monitor.last.is_none() || !monitor.quiet() || outcome.status != Status::Up {
        // Without it the check counts all the same, and tells again what it has told.
        let ledger: Option<TakenOver> = store::peek(store, store::LEDGER).unwrap_or_else(|why| {
            store.log(&why);
            None
        });
        told = ledger.and_then(|mut l| l.monitors.remove(&check));
        monitor.confirm(told.as_ref(), now);
    }
    let turned_before = monitor.turned_at;
    let first = monitor.last.is_none();
    let mut monitor = if awaited {
        crate::monitor::step_awaited(monitor, policy, outcome, now)
    } else {
        step(monitor, policy, outcome, now)
    };
    if monitor.turned_at != turned_before {
        monitor.turned_at = store.now().max(monitor.turned_at);
    }
    monitor.plan = Plan::new(policy);
    monitor.measured = probed.measured.clone();
    let sample = Sample::new(
        outcome,
        now.unix_s().unsigned_abs(),
        probed.measured.duration_ms,
    );
    history::keep(store, &mut monitor, sample);
    store::write(store, &key, &monitor)?;
    // A check that was well at its first probe is no news.
    let turned = monitor.turned_at != turned_before && !(first && outcome.status != Status::Failed);
    Ok(monitor.untold(told.as_ref()) || turned || awaited)
}
