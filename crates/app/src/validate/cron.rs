//! Whether triggers fire as the checks say that they do.
//!
//! A check decides from its record whether a probe is due; it can only be due at a
//! firing. So the firings must be even, `firing_interval` their distance, and the
//! other intervals multiples of it.

use std::time::Duration;

use watchbell_core::settings::{Common, Reader, parse_duration};

use super::resolve::Resolved;
use crate::finding::{Report, quoted};
use crate::manifest::{CronEntry, Manifest};
use crate::schedule::{Period, Schedule};

/// A Monday at midnight (2026-01-05 UTC), fixed so that what is found does not
/// depend on the day.
const MONDAY_UNIX_S: u64 = 1_767_571_200;

/// The schedule of each cron trigger, `None` where it is not one.
pub(super) fn check(
    manifest: &Manifest,
    resolved: &[Resolved<'_>],
    report: &mut Report,
) -> Vec<Option<Schedule>> {
    for component in resolved.iter().filter(|r| r.kind.is_some()) {
        let id = &component.entry.id;
        if manifest.cron.iter().all(|t| t.component.0 != *id) {
            let place = &component.entry.place;
            let want = "[[trigger.cron]] for it, or a host that calls its HTTP trigger";
            report.warning("cron-missing", place, "no cron trigger", want);
        }
    }
    manifest
        .cron
        .iter()
        .map(|entry| one(entry, resolved, report))
        .collect()
}

fn one(entry: &CronEntry, resolved: &[Resolved<'_>], report: &mut Report) -> Option<Schedule> {
    let (expression, place) = &entry.expression;
    let schedule = match Schedule::parse(expression) {
        Ok(schedule) => schedule,
        Err(error) => {
            report.stop("cron-expression", place, &quoted(expression), &error.want);
            return None;
        }
    };
    let component = resolved
        .iter()
        .find(|r| r.entry.id == entry.component.0)
        .filter(|r| r.kind.is_some_and(super::Kind::is_check));
    if let Some(component) = component {
        match schedule.period(MONDAY_UNIX_S) {
            None => {
                let want = "at least two firings within three days";
                report.warning("cron-rare", place, &quoted(expression), want);
            }
            Some(Period { min_s, max_s }) if min_s != max_s => {
                let got = format!("{expression:?}, which fires {min_s} to {max_s} s apart");
                let want = "firings equally far apart";
                report.error("cron-uneven", place, &got, want);
            }
            Some(Period { min_s, .. }) => intervals(component, min_s, expression, report),
        }
    }
    Some(schedule)
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
    if readable("firing_interval") && common.firing_interval != period {
        let place = component.entry.variable_place("firing_interval");
        let got = duration(common.firing_interval);
        let want = format!("{:?}: {fires}", duration(period));
        report.error("cron-firing-interval", &place, &got, &want);
    }
    for (name, value) in [
        ("interval", common.interval),
        ("retry_interval", common.retry_interval),
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
