//! What opens the entries: where a header or a URL cannot carry it, where anybody may guess it.

use watchbell_core::settings::StatusSettings;

use super::Kind;
use super::resolve::Resolved;
use crate::finding::Report;
use crate::target::Target;

const CHECK_TOKEN: &str = "check_token";
const SCHEDULE_KEY: &str = "schedule_key";
const BEARERS: [&str; 3] = [CHECK_TOKEN, "operator_token", "ring_token"];

pub(super) fn check(component: &Resolved<'_>, target: Target, report: &mut Report) {
    if component.kind.is_none() {
        return;
    }
    carried(component, report);
    guessed(component, target, report);
    missing(component, target, report);
}

/// By a header, or in a URL.
fn carried(component: &Resolved<'_>, report: &mut Report) {
    for name in BEARERS {
        let text = component.text(name).unwrap_or_default();
        if text.chars().any(char::is_control) {
            let place = component.entry.variable_place(name);
            let want = "one line, which a header can carry";
            report.error("token-header", &place, "a control character in it", want);
        }
    }
    let Some(key) = component.text(SCHEDULE_KEY) else {
        return;
    };
    let place = component.entry.variable_place(SCHEDULE_KEY);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if !key.chars().all(plain) {
        let want = "letters, digits, - and _ alone, for it stands in a URL";
        report.error("schedule-key-url", &place, "another character in it", want);
    }
    if BEARERS.iter().any(|name| component.text(name) == Some(key)) {
        let want = "another value than a token's: URLs are seen by more than headers are";
        report.error("schedule-key-token", &place, "a token's value", want);
    }
}

/// Without cron entries are in public.
fn guessed(component: &Resolved<'_>, target: Target, report: &mut Report) {
    if target.limits().cron {
        return;
    }
    let min = StatusSettings::TOKEN_CHARS_MIN;
    for name in BEARERS.into_iter().chain([SCHEDULE_KEY]) {
        let Some(chars) = component.text(name).map(|text| text.chars().count()) else {
            continue;
        };
        if chars < min {
            let place = component.entry.variable_place(name);
            let got = format!("a secret of {chars} characters");
            let want = format!("at least {min} characters, for the entry is in public");
            report.error("target-token-short", &place, &got, &want);
        }
    }
}

/// Without cron a check runs for whoever bears its token, or the key where that is all that a
/// scheduler can send.
fn missing(component: &Resolved<'_>, target: Target, report: &mut Report) {
    let limits = target.limits();
    let Some(kind) = component.kind.filter(|_| !limits.cron) else {
        return;
    };
    let lacks = |name: &str| !component.unresolved.contains(name) && component.text(name).is_none();
    if kind.is_check() && lacks(CHECK_TOKEN) {
        let place = component.entry.variable_place(CHECK_TOKEN);
        let want = "a token: over HTTP the check runs only for who bears it";
        report.error("target-token", &place, "nothing", want);
    }
    if kind != Kind::Status && !limits.scheduler_sends_headers && lacks(SCHEDULE_KEY) {
        let place = component.entry.variable_place(SCHEDULE_KEY);
        let want = format!(
            "a key: the scheduler of {} can send no header, and has no other way in",
            target.title()
        );
        report.error("target-schedule-key", &place, "nothing", &want);
    }
}
