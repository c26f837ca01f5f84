//! How often checks can be due where something outside calls them.
//!
//! A probe is due at a call only, so every interval is a multiple of the pace. A first
//! message waits for fresh outcomes of a service's other checks, which come with the next
//! call: its `settling_time` lasts that much longer than the one that is the default. And
//! whoever judges whether alerting runs has to know how often it can.

use std::time::Duration;

use watchbell_app::{Kind, Target};
use watchbell_core::settings::{AlertSettings, Pace, Reader, show_duration};

use super::draft::Draft;
use crate::schedule::{Every, Scheduler};

pub(super) fn set(draft: &mut Draft<'_>, pace: Duration) {
    if let Err(want) = Every::of(scheduler(draft.target), pace) {
        draft.refuse_option("manifest-every", "--every", &show_duration(pace), want);
        return;
    }
    for component in draft.ours() {
        match component.kind {
            Kind::Status => expect_sweeps(draft, &component.id, pace),
            Kind::Alert => {
                settle(draft, &component.id, pace);
                expect_sweeps(draft, &component.id, pace);
            }
            _ => slow_down(draft, &component.id, pace),
        }
    }
}

/// Its own, or the one that can most.
fn scheduler(target: Target) -> Scheduler {
    match target {
        Target::Akamai => Scheduler::Akamai,
        Target::Spinkube => Scheduler::Kubernetes,
        Target::FermyonCloud | Target::Spin => Scheduler::Systemd,
    }
}

fn slow_down(draft: &mut Draft<'_>, id: &str, pace: Duration) {
    let old = Pace::read(&mut Reader::new(&|key| draft.value(id, key)));
    let retry_interval = up_to_multiple(old.retry_interval, pace);
    let interval = up_to_multiple(old.interval, pace).max(retry_interval);
    for (key, old, new) in [
        ("interval", old.interval, interval),
        ("retry_interval", old.retry_interval, retry_interval),
        ("firing_interval", old.firing_interval, pace),
    ] {
        change(draft, id, key, old, new);
    }
}

fn settle(draft: &mut Draft<'_>, id: &str, pace: Duration) {
    let old = AlertSettings::read(&|key| draft.value(id, key))
        .rules
        .settling_time;
    // 0 waits for none, and means it.
    if old.is_zero() {
        return;
    }
    let enough = (pace + AlertSettings::SETTLING_TIME).min(AlertSettings::SETTLING_TIME_MAX);
    change(draft, id, "settling_time", old, old.max(enough));
}

fn expect_sweeps(draft: &mut Draft<'_>, id: &str, pace: Duration) {
    let get = |key: &str| draft.value(id, key);
    let old = AlertSettings::read(&get).rules.sweep_interval;
    change(draft, id, "sweep_interval", old, old.max(pace));
}

fn change(draft: &mut Draft<'_>, id: &str, key: &str, old: Duration, new: Duration) {
    if new == old {
        return;
    }
    let (old, new) = (shown(old), shown(new));
    draft.set(id, key, &new);
    draft.notes.of(id, format!("{key} is {new}, not {old}"));
}

/// As stanzas say it: short ones in seconds, so that they compare at a glance.
fn shown(duration: Duration) -> String {
    match duration.as_secs() {
        s @ 60..120 if duration.subsec_nanos() == 0 => format!("{s}s"),
        _ => show_duration(duration),
    }
}

fn up_to_multiple(value: Duration, pace: Duration) -> Duration {
    let times = value.as_millis().div_ceil(pace.as_millis().max(1)).max(1);
    pace.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_becomes_the_next_multiple_of_the_pace() {
        for (value_s, pace_s, want_s) in [
            (20, 60, 60),
            (60, 60, 60),
            (61, 60, 120),
            (300, 60, 300),
            (300, 120, 360),
            (60, 20, 60),
            (1, 3_600, 3_600),
        ] {
            let (value, pace) = (Duration::from_secs(value_s), Duration::from_secs(pace_s));
            let want = Duration::from_secs(want_s);
            assert_eq!(up_to_multiple(value, pace), want, "{value_s} at {pace_s}");
        }
    }
}
