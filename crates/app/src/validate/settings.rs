//! What a component's variables say, by the rules that the component itself has.

use watchbell_core::channel;
use watchbell_core::target::Url;
use watchbell_tls::Roots;

use super::kind::Kind;
use super::resolve::Resolved;
use crate::finding::{Place, Report, quoted};
use crate::manifest::Manifest;
use crate::names::suggest;
use crate::target::Target;
use crate::template::Template;

pub(super) fn check(
    component: &Resolved<'_>,
    manifest: &Manifest,
    target: Target,
    report: &mut Report,
) {
    secrets(component, report);
    let Some(kind) = component.kind else {
        return;
    };
    misspelt(component, kind, report);
    for mistake in kind.mistakes(&|key| component.variables.get(key).cloned()) {
        if component.unresolved.contains(&mistake.key) {
            continue;
        }
        let (place, got) = shown(component, &mistake.key, &mistake.got);
        report.error("setting", &place, &got, &mistake.want);
    }
    if kind.is_check() {
        id(component, report);
        alert_url(component, manifest, target, report);
    }
    match kind {
        kind if kind.speaks_tls() => certificates(component, report),
        Kind::Alert => unsigned(component, report),
        _ => {}
    }
}

/// Where a value's mistake is made, and the value as the reader quoted it with the
/// template that it came from.
fn shown(component: &Resolved<'_>, key: &str, got: &str) -> (Place, String) {
    // That there is nothing is no secret.
    let secret = component.secret.contains(key) && got != "nothing";
    if let Some(place) = component.given_by.get(key) {
        let got = if secret { "a secret" } else { got };
        return (place.clone(), got.to_owned());
    }
    let written = component.entry.variables.iter().find(|(n, _, _)| n == key);
    let got = match written {
        Some((_, text, _)) if secret => format!("a secret from {}", quoted(text)),
        Some((_, text, _)) if Template::parse(text).is_ok_and(|t| !t.is_literal()) => {
            format!("{got} from {}", quoted(text))
        }
        _ => got.to_owned(),
    };
    (component.entry.variable_place(key), got)
}

fn secrets(component: &Resolved<'_>, report: &mut Report) {
    if component.kind == Some(Kind::Alert) {
        return;
    }
    for (name, text, place) in &component.entry.variables {
        let named = Template::parse(text).is_ok_and(|t| t.names().any(alert_only));
        if named || alert_only(name) {
            let want = "no such variable: only the alert component reads it";
            report.error("secret-exposed", place, "a channel's secret", want);
        }
    }
}

/// Only the alert component reads these; in a check they would be one compromise
/// more away from every channel.
fn alert_only(name: &str) -> bool {
    channel::VARIABLES.contains(&name)
}

fn misspelt(component: &Resolved<'_>, kind: Kind, report: &mut Report) {
    let known = kind.variables();
    for (name, _, place) in &component.entry.variables {
        if !known.contains(name) && !alert_only(name) {
            let got = format!("the unknown variable {name:?}");
            report.error(
                "setting-unknown",
                place,
                &got,
                &suggest(name, known.iter().map(String::as_str)),
            );
        }
    }
}

/// The id is the record's key: another's id would make two checks write one record.
fn id(component: &Resolved<'_>, report: &mut Report) {
    let id = &component.entry.id;
    if let Some(check) = component.text("check")
        && check != id
    {
        let want = format!("{id:?}, the component's id");
        let (place, got) = shown(component, "check", &quoted(check));
        report.error("check-id", &place, &got, &want);
    }
}

fn alert_url(component: &Resolved<'_>, manifest: &Manifest, target: Target, report: &mut Report) {
    if component.unresolved.contains("alert_url") {
        return;
    }
    let want = "the application's own address without a path, such as http://127.0.0.1:3000";
    match component.text("alert_url") {
        // Where no component can call another, each ring is an outbound request: that the
        // sweep alone is meant is sensible there.
        None if !target.limits().service_chaining => {}
        None => {
            let place = shown(component, "alert_url", "nothing").0;
            let want = format!("{want}: alerts wait for the sweep");
            report.warning("alert-url-missing", &place, "nothing", &want);
        }
        Some(text) => {
            let (place, got) = shown(component, "alert_url", &quoted(text));
            if Url::parse(text).is_none_or(|u| u.path != "/") {
                report.error("alert-url", &place, &got, want);
            } else if manifest.http.is_empty() {
                let got = "an address that nobody serves";
                let want = "a [[trigger.http]] that answers there";
                report.error("alert-url-nobody", &place, got, want);
            }
        }
    }
}

/// A receiver cannot tell an unsigned alert from anybody's.
fn unsigned(component: &Resolved<'_>, report: &mut Report) {
    if component.text("webhook_url").is_some() && component.text("webhook_secret").is_none() {
        let place = component.entry.variable_place("webhook_secret");
        let want = "whsec_ and base64 of 24 to 64 bytes: alerts go out unsigned";
        report.warning("webhook-unsigned", &place, "nothing", want);
    }
}

/// Private roots, read as the guest reads them.
fn certificates(component: &Resolved<'_>, report: &mut Report) {
    let Some(text) = component.text("ca_certificates") else {
        return;
    };
    let Err(why) = Roots::only(text) else {
        return;
    };
    let (place, got) = shown(
        component,
        "ca_certificates",
        &format!("{} bytes: {why}", text.len()),
    );
    let want = "PEM text with at least one certificate, such as --variable ca_certificates=@ca.pem";
    report.error("ca-certificates", &place, &got, want);
}
