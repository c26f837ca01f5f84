//! How a check reaches the alert component.
//!
//! Where components can call each other, directly: that is no outbound request, and needs no
//! address. Elsewhere by the application's own address, where it was given; without it,
//! alerts wait for the sweep.

use watchbell_app::Kind;
use watchbell_core::settings::Host;
use watchbell_core::target::Url;

use super::draft::Draft;

const ALERT_URL: &str = "alert_url";

pub(super) fn choose(draft: &mut Draft<'_>) {
    let alert = draft.ours().into_iter().find(|c| c.kind == Kind::Alert);
    let Some(alert) = alert else {
        return;
    };
    if draft.target.limits().service_chaining {
        chain(draft, &format!("http://{}.spin.internal", alert.id));
    } else {
        keep_own_address(draft);
    }
}

fn chain(draft: &mut Draft<'_>, alert_url: &str) {
    for check in draft.checks() {
        let id = check.id.as_str();
        if let Some(old) = draft.text(id, ALERT_URL).map(str::to_owned) {
            draft.change_permissions(id, |entry| {
                Some(if entry == old { alert_url } else { entry }.to_owned())
            });
        }
        draft.set(id, ALERT_URL, alert_url);
        draft.permit(id, alert_url);
    }
}

fn keep_own_address(draft: &mut Draft<'_>) {
    let mut waits = false;
    for check in draft.checks() {
        let id = check.id.as_str();
        if draft
            .value(id, ALERT_URL)
            .is_some_and(|url| is_public(&url))
        {
            continue;
        }
        waits = true;
        if let Some(old) = draft.text(id, ALERT_URL).map(str::to_owned) {
            draft.change_permissions(id, |entry| (entry != old).then(|| entry.to_owned()));
            draft.set(id, ALERT_URL, "");
        }
    }
    if waits {
        draft.notes.add(
            "alerts wait for the next sweep: to ring at once, give --variable alert_url=https://… (each ring is an outbound request)",
        );
    }
}

/// At a loopback address nobody answers: it is the default of a machine of one's own.
fn is_public(url: &str) -> bool {
    let host = Url::parse(url).map(|url| url.host);
    match host {
        Some(Host::Ip(ip)) => !ip.is_loopback(),
        Some(Host::Name(name)) => name != "localhost",
        None => false,
    }
}
