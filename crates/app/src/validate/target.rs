//! What a target refuses that Spin on a machine of one's own does not.
//!
//! One more limit needs no rule: no timeout that a check may have, and no key of an id that
//! one may have, is beyond what any target allows (the tests below hold it).

use std::path::Path;

use super::demand::Demand;
use super::resolve::Resolved;
use super::{DEFAULT_STORE, Kind};
use crate::finding::{Place, Report, quoted};
use crate::manifest::Manifest;
use crate::target::Target;
use crate::template::Template;

const CHECKS: &str = "checks";

pub(super) fn check(
    manifest: &Manifest,
    resolved: &[Resolved<'_>],
    demand: &Demand,
    target: Target,
    report: &mut Report,
) {
    cron(manifest, target, report);
    for component in resolved {
        permission_templates(component, target, report);
        stores(component, target, report);
        entry(manifest, component, target, report);
        looking(component, target, report);
        sockets(component, target, report);
    }
    keys(manifest, demand, target, report);
    writes(manifest, demand, target, report);
    requests(manifest, demand, target, report);
}

/// Whatever is in it: nobody reads it there.
pub(super) fn runtime_config(file: Option<&Path>, target: Target, report: &mut Report) {
    let (Some(file), false) = (file, target.limits().runtime_config) else {
        return;
    };
    let want = format!("none: {} takes no runtime config", target.title());
    let place = Place::file(file.display().to_string());
    report.stop("target-runtime-config", &place, "a runtime config", &want);
}

fn cron(manifest: &Manifest, target: Target, report: &mut Report) {
    if target.limits().cron {
        return;
    }
    for entry in &manifest.cron {
        let (expression, place) = &entry.expression;
        let want = format!(
            "[[trigger.http]], which something outside calls: {} has no cron trigger",
            target.title()
        );
        report.stop("target-cron", place, &quoted(expression), &want);
    }
}

fn permission_templates(component: &Resolved<'_>, target: Target, report: &mut Report) {
    if target.limits().permission_templates {
        return;
    }
    for (text, place) in &component.entry.allowed_outbound_hosts {
        if Template::parse(text).is_ok_and(|t| !t.is_literal()) {
            let want = format!(
                "a literal host: {} takes no templates in permissions",
                target.title()
            );
            report.stop("target-permission-template", place, &quoted(text), &want);
        }
    }
}

fn stores(component: &Resolved<'_>, target: Target, report: &mut Report) {
    if target.limits().runtime_config {
        return;
    }
    for (label, place) in &component.entry.key_value_stores {
        if label != DEFAULT_STORE {
            let want = format!(
                "{DEFAULT_STORE:?}: {} has no runtime config, and no other store",
                target.title()
            );
            report.stop("target-store", place, &quoted(label), &want);
        }
    }
}

/// Without cron a check runs when its route is called.
fn entry(manifest: &Manifest, component: &Resolved<'_>, target: Target, report: &mut Report) {
    if target.limits().cron || !component.kind.is_some_and(Kind::is_check) {
        return;
    }
    let id = &component.entry.id;
    if !manifest.http.iter().any(|t| t.component.0 == *id) {
        let want = format!(
            "[[trigger.http]] with route \"/run/{id}\": {} has no cron trigger",
            target.title()
        );
        report.error(
            "target-entry",
            &component.entry.place,
            "no HTTP trigger",
            &want,
        );
    }
}

/// Where keys cannot be listed, who looks at every check is told which there are.
fn looking(component: &Resolved<'_>, target: Target, report: &mut Report) {
    let looks = component.kind.is_some_and(|kind| !kind.is_check());
    let told = component.unresolved.contains(CHECKS) || component.text(CHECKS).is_some();
    if target.limits().lists_keys || !looks || told {
        return;
    }
    let place = component.entry.variable_place(CHECKS);
    let want = format!(
        "the ids of all checks, comma-separated: {} lists no keys",
        target.title()
    );
    report.error("target-checks", &place, "nothing", &want);
}

fn sockets(component: &Resolved<'_>, target: Target, report: &mut Report) {
    let opens = component.kind.is_some_and(Kind::opens_sockets);
    if target.limits().sockets || !opens || component.text("not_offered").is_some() {
        return;
    }
    let title = target.title();
    let got = "a check that opens sockets";
    let want = format!(
        "not_offered = \"{title} promises no raw sockets\": it may call down what it cannot reach"
    );
    report.warning("target-sockets", &component.entry.place, got, &want);
}

fn keys(manifest: &Manifest, demand: &Demand, target: Target, report: &mut Report) {
    let Some(max) = target.limits().keys_max.filter(|max| demand.keys > *max) else {
        return;
    };
    let got = format!("{} keys", demand.keys);
    let want = format!("at most {max} on {}: fewer checks", target.title());
    report.error("target-keys", &components(manifest), &got, &want);
}

fn writes(manifest: &Manifest, demand: &Demand, target: Target, report: &mut Report) {
    let limit = target.limits().writes_per_second_max;
    let Some(max) = limit.filter(|max| demand.writes_at_once > u64::from(*max)) else {
        return;
    };
    let got = format!(
        "up to {} key-value writes when all are called at once",
        demand.writes_at_once
    );
    let want = format!("at most {max} a second on {}: fewer checks", target.title());
    report.warning("target-writes", &components(manifest), &got, &want);
}

fn requests(manifest: &Manifest, demand: &Demand, target: Target, report: &mut Report) {
    let Some(max) = target.limits().outbound_requests_per_hour_max else {
        return;
    };
    let title = target.title();
    let place = components(manifest);
    if demand.requests_per_hour > u64::from(max) {
        let got = format!("{} outbound requests an hour", demand.requests_per_hour);
        let want = format!("at most {max} on {title}: longer intervals, or fewer checks");
        report.error("target-requests", &place, &got, &want);
    } else if demand.requests_per_hour_worst > u64::from(max) {
        let worst = demand.requests_per_hour_worst;
        let got = format!("{worst} outbound requests an hour in an outage");
        let want = format!("at most {max} on {title}: a longer retry_interval, or fewer checks");
        report.warning("target-requests-worst", &place, &got, &want);
    }
}

/// Of what no single component is to blame for.
fn components(manifest: &Manifest) -> Place {
    let file = manifest.components.first().map(|c| c.place.file.clone());
    Place {
        key: "component".to_owned(),
        ..Place::file(file.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use watchbell_core::history;
    use watchbell_core::settings::{AlertSettings, Common};

    use super::*;

    /// As the core bounds it.
    const ID_BYTES_MAX: usize = 64;

    #[test]
    fn a_checks_deadline_is_below_what_any_target_cuts() {
        for target in Target::ALL {
            let Some(max) = target.limits().request_max else {
                continue;
            };
            assert!(Common::TIMEOUT_MAX < max, "{target}");
            assert!(AlertSettings::TIMEOUT_MAX < max, "{target}");
        }
    }

    #[test]
    fn the_longest_key_is_within_what_any_target_takes() {
        let id = "x".repeat(ID_BYTES_MAX);
        let keys = history::keys(&id);
        let longest = keys.iter().map(|k| format!("unreadable/{k}/4").len()).max();
        for target in Target::ALL {
            let max = target.limits().key_bytes_max.unwrap_or(usize::MAX);
            assert!(longest.is_some_and(|l| l <= max), "{target}");
        }
    }
}
