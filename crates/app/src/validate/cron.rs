//! Whether triggers fire as the checks say that they do.
//!
//! A check decides from its record whether a probe is due; it can only be due at a
//! firing. So there is one trigger, its firings are even, `firing_interval` is their
//! distance, and the other intervals are multiples of it. The alert component's sweep
//! only has to be frequent.

use std::time::Duration;

use watchbell_core::settings::{Common, Reader, parse_duration};

use super::Kind;
use super::resolve::Resolved;
use crate::finding::{Report, quoted};
use crate::manifest::{CronEntry, Manifest};
use crate::schedule::{Period, Schedule};
use crate::target::Target;

/// Whatever a ring did not deliver waits for the sweep, an outage among it: no longer
/// than the default interval between two probes.
const SWEEP_MAX_S: u64 = 60;

/// The schedule of each cron trigger, `None` where it is not one.
pub(super) fn check(
    manifest: &Manifest,
    resolved: &[Resolved<'_>],
    target: Target,
    report: &mut Report,
) -> Vec<Option<Schedule>> {
    let schedules: Vec<Option<Schedule>> = manifest
        .cron
        .iter()
        .map(|entry| read(entry, report))
        .collect();
    // Without cron something outside calls, as often as the operator says that it does.
    if !target.limits().cron {
        return schedules;
    }
    for component in resolved {
        let triggers: Vec<_> = manifest
            .cron
            .iter()
            .zip(&schedules)
            .filter(|(entry, _)| entry.component.0 == component.entry.id)
            .collect();
        match (component.kind, triggers.as_slice()) {
            (None, _) | (Some(Kind::Status), []) => {}
            (Some(Kind::Status), [(entry, _), ..]) => {
                let (expression, place) = &entry.expression;
                let want = "no trigger but HTTP: it answers, and does nothing of itself";
                report.error("cron-status", place, &quoted(expression), want);
            }
            (Some(Kind::Alert), []) if !manifest.cron.is_empty() => {
                let place = &component.entry.place;
                let want = "[[trigger.cron]] for it: nobody repeats an alert that did not arrive";
                report.error("cron-sweep-missing", place, "no cron trigger", want);
            }
            (Some(_), []) => {
                let place = &component.entry.place;
                let want = "[[trigger.cron]] for it, or a host that calls its HTTP trigger";
                report.warning("cron-missing", place, "no cron trigger", want);
            }
            (Some(Kind::Alert), triggers) => sweep(triggers, report),
            (Some(_), [(entry, schedule), more @ ..]) => {
                for (entry, _) in more {
                    let (expression, place) = &entry.expression;
                    let want =
                        "one trigger a check: firing_interval is the distance of its firings";
                    report.error("cron-twice", place, &quoted(expression), want);
                }
                if let Some(schedule) = schedule {
                    firings(component, entry, schedule, report);
                }
            }
        }
    }
    schedules
}

fn read(entry: &CronEntry, report: &mut Report) -> Option<Schedule> {
    let (expression, place) = &entry.expression;
    Schedule::parse(expression)
        .map_err(|error| report.stop("cron-expression", place, &quoted(expression), &error.want))
        .ok()
}

/// One of its triggers is enough.
fn sweep(triggers: &[(&CronEntry, &Option<Schedule>)], report: &mut Report) {
    let frequent = |schedule: &Schedule| schedule.period().is_some_and(|p| p.max_s <= SWEEP_MAX_S);
    let unread = |(_, schedule): &(&CronEntry, &Option<Schedule>)| schedule.is_none();
    if triggers.iter().any(unread)
        || triggers
            .iter()
            .any(|(_, s)| s.as_ref().is_some_and(frequent))
    {
        return;
    }
    for (entry, _) in triggers {
        let (expression, place) = &entry.expression;
        let want = format!(
            "a sweep every {SWEEP_MAX_S} s at least: an alert that did not arrive waits for it"
        );
        report.warning("cron-sweep", place, &quoted(expression), &want);
    }
}

fn firings(component: &Resolved<'_>, entry: &CronEntry, schedule: &Schedule, report: &mut Report) {
    let (expression, place) = &entry.expression;
    match schedule.period() {
        None => {
            let want = "firings on every day, such as those of */20 * * * * *";
            report.error("cron-days", place, &quoted(expression), want);
        }
        Some(Period { min_s, max_s }) if min_s != max_s => {
            let got = format!("{expression:?}, which fires {min_s} to {max_s} s apart");
            let want = "firings equally far apart";
            report.error("cron-uneven", place, &got, want);
        }
        Some(Period { min_s, .. }) => intervals(component, min_s, expression, report),
    }
}

fn intervals(component: &Resolved<'_>, period_s: u64, expression: &str, report: &mut Report) {
    let get = |key: &str| component.variables.get(key).cloned();
    let common = Common::read(&mut Reader::new(&get));
    let period = Duration::from_secs(period_s);
    // One that is not a duration is reported as such, and read as the default here.
    let readable = |name| {
        component
            .text(name)
            .is_none_or(|t| parse_duration(t).is_some())
    };
    let fires = format!("cron_expression {expression:?} fires every {period_s} s");
    if readable("firing_interval") && common.pace.firing_interval != period {
        let place = component.entry.variable_place("firing_interval");
        let got = duration(common.pace.firing_interval);
        let want = format!("{:?}: {fires}", duration(period));
        report.error("cron-firing-interval", &place, &got, &want);
    }
    for (name, value) in [
        ("interval", common.pace.interval),
        ("retry_interval", common.pace.retry_interval),
    ] {
        if readable(name) && value.as_millis() % period.as_millis().max(1) != 0 {
            let place = component.entry.variable_place(name);
            let want = format!("a multiple of {}: {fires}", duration(period));
            report.error("cron-interval", &place, &duration(value), &want);
        }
    }
}

fn duration(value: Duration) -> String {
    match value.as_millis() {
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}
