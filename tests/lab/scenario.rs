//! Everything together: start well, break one thing, read the alerts, mend it, read
//! that it is over, and see that nothing else was said.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::chain::Chain;
use crate::dns::{Answer, Dns};
use crate::headscale::{Headscale, Speaks, State};
use crate::manifest::{CHECKS, Changes};
use crate::runtime::{AppSpec, Host, Runtime, hosts};
use crate::stun::Stun;
use crate::wait;
use crate::webhook::{Delivery, Webhook};

/// After a change, so many probes of every check must bring nothing more.
const SILENCE_PROBES: usize = 2;

/// What a check's alert must say. A reason of `None` is not looked at.
#[derive(Clone, Copy, Debug)]
pub struct Alert {
    pub check: &'static str,
    pub kind: &'static str,
    pub reason: Option<&'static str>,
}

/// An alert of that check and kind.
pub const fn alert(check: &'static str, kind: &'static str) -> Alert {
    Alert {
        check,
        kind,
        reason: None,
    }
}

/// Everything that a closed port takes down.
pub const fn everything(kind: &'static str) -> [Alert; 7] {
    beside(kind, kind)
}

/// What the checks over the host's HTTP see, and those over sockets of their own.
pub const fn beside(over_http: &'static str, over_sockets: &'static str) -> [Alert; 7] {
    let [health, derp, key] = over_host_http(over_http);
    let [port, certificate, control, relay] = all_over_sockets(over_sockets);
    [health, derp, key, port, certificate, control, relay]
}

/// What every check sees that asks something over HTTP.
pub const fn over_http(kind: &'static str) -> [Alert; 5] {
    let [health, derp, key] = over_host_http(kind);
    [
        health,
        derp,
        key,
        alert("control", kind),
        alert("relay", kind),
    ]
}

/// What the three checks over the host's HTTP see.
pub const fn over_host_http(kind: &'static str) -> [Alert; 3] {
    [
        alert("health", kind),
        alert("derp", kind),
        alert("key", kind),
    ]
}

/// What the checks see that open their own sockets.
pub const fn all_over_sockets(kind: &'static str) -> [Alert; 4] {
    [
        alert("port", kind),
        alert("certificate", kind),
        alert("control", kind),
        alert("relay", kind),
    ]
}

impl Alert {
    pub const fn because(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }
}

/// How the lab is before anything breaks.
#[derive(Clone, Debug)]
pub struct Setup {
    pub speaks: Speaks,
    pub state: State,
    /// What DNS answers; the stand-in's address unless given.
    pub dns: Option<Answer>,
    /// Where the stand-in listens.
    pub ip: IpAddr,
    /// `headscale_host`.
    pub host: &'static str,
    pub changes: Changes,
    pub variables: Vec<(&'static str, String)>,
    /// The STUN server is asked, too.
    pub stun: bool,
    /// Keeps state in a Redis: its address, its URL.
    pub redis: Option<(SocketAddr, String)>,
    /// Where the DNS server listens, which is then the system's
    /// ([`alone::cover`](crate::alone::cover)): `dns_resolver` is for the runtime to fill in.
    pub system_dns: Option<SocketAddr>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            speaks: Speaks::Https(Chain::Valid),
            state: State::Healthy,
            dns: None,
            ip: Ipv4Addr::LOCALHOST.into(),
            host: "127.0.0.1",
            changes: Changes::default(),
            variables: Vec::new(),
            stun: false,
            redis: None,
            system_dns: None,
        }
    }
}

pub struct Lab {
    // First, so that it ends before what it talks to.
    pub runtime: Runtime,
    pub headscale: Headscale,
    pub dns: Dns,
    pub stun: Stun,
    pub webhook: Webhook,
    /// What mends reaches into the probes that run at that moment, so that the last
    /// failure before an outage's end may be of another kind.
    pub torn_ends: bool,
}

/// Runs the scenario on every host that is here.
pub fn on_each_host(test: &str, scenario: impl Fn(Host)) {
    for host in hosts(test) {
        scenario(host);
    }
}

impl Lab {
    /// Starts everything, without waiting.
    pub fn open(host: Host, setup: Setup) -> Self {
        let headscale = Headscale::start_on(setup.ip, setup.speaks);
        headscale.state(setup.state);
        let true_answer = Answer::Addresses(vec![headscale.addr().ip()]);
        let answer = setup.dns.unwrap_or(true_answer);
        let dns = match setup.system_dns {
            Some(at) => Dns::start_at(at, answer),
            None => Dns::start(answer),
        };
        let webhook = Webhook::start();
        let stun = Stun::start();
        let mut changes = setup.changes;
        if setup.stun {
            let asked = ("stun", "presence", "required".to_owned());
            changes.variables.push(asked);
        }
        let scheme = if setup.speaks == Speaks::Http {
            "http"
        } else {
            "https"
        };
        let mut variables = vec![
            ("headscale_scheme", scheme.to_owned()),
            ("headscale_host", setup.host.to_owned()),
            ("headscale_port", headscale.addr().port().to_string()),
            ("headscale_stun_port", stun.addr().port().to_string()),
            ("dns_resolver", dns.addr().to_string()),
            ("webhook_url", webhook.url()),
            ("webhook_secret", Webhook::secret()),
        ];
        if setup.system_dns.is_some() && host == Host::Embedded {
            variables.retain(|(name, _)| *name != "dns_resolver");
        }
        // A later --variable of the same name would be a mistake to some hosts.
        variables.retain(|(name, _)| !setup.variables.iter().any(|(n, _)| n == name));
        variables.extend(setup.variables);
        let spec = AppSpec {
            manifest: None,
            target: None,
            changes,
            variables,
            redis: setup.redis,
        };
        let runtime = Runtime::start(host, spec);
        Self {
            runtime,
            headscale,
            dns,
            stun,
            webhook,
            torn_ends: false,
        }
    }

    /// Starts everything, and waits until every check has been seen well.
    pub fn well(host: Host, setup: Setup) -> Self {
        let mut lab = Self::open(host, setup);
        lab.wait_for_status("up");
        assert!(
            lab.webhook.deliveries().is_empty(),
            "an application that starts well says nothing: {:#?}",
            lab.webhook.deliveries()
        );
        lab
    }

    /// Waits until the last probe of every check says so.
    pub fn wait_for_status(&mut self, status: &str) {
        for check in CHECKS {
            self.wait_for_status_of(check, status);
        }
    }

    pub fn wait_for_status_of(&mut self, check: &str, status: &str) {
        let state = self.runtime.state();
        let seen = wait::within(wait::PATIENCE, || {
            assert!(!self.runtime.ended(), "the runtime has ended by itself");
            let (_, found) = state.last(check)?;
            (found == status).then_some(())
        });
        assert!(
            seen.is_some(),
            "waiting for {check} to be {status}: its record says {:#}",
            state.monitor(check).unwrap_or_default()
        );
    }

    /// Waits until every check has begun so many more probes: whatever they had to
    /// say about the present state is then said.
    pub fn wait_for_probes(&self, more: usize) {
        self.wait_for_probes_of(&CHECKS, more);
    }

    /// As [`wait_for_probes`](Self::wait_for_probes), of these checks.
    pub fn wait_for_probes_of(&self, checks: &[&str], more: usize) {
        let state = self.runtime.state();
        let at = |check: &str| state.last(check).map(|(at, _)| at);
        let mut seen: Vec<_> = checks.iter().map(|c| (*c, at(c), 0)).collect();
        wait::until(&format!("{more} more probes of {checks:?}"), || {
            for (check, before, probes) in &mut seen {
                let now = at(check);
                if now != *before {
                    (*before, *probes) = (now, *probes + 1);
                }
            }
            seen.iter()
                .all(|(.., probes)| *probes >= more)
                .then_some(())
        });
    }

    /// One outage from end to end.
    ///
    /// `breaks` takes effect while everything is well; then exactly one message tells that
    /// these checks fail, for that cause (`""` for none), and after `mends` exactly one that
    /// it is over.
    pub fn outage(
        &mut self,
        cause: &str,
        alerts: &[Alert],
        breaks: impl FnOnce(&mut Self),
        mends: impl FnOnce(&mut Self),
    ) {
        let before = self.webhook.messages().len();
        breaks(self);
        self.webhook.wait_for(before + 1);
        self.wait_for_probes(SILENCE_PROBES);
        let told = self.webhook.messages().split_off(before);
        expect_opened(cause, &told, alerts);
        mends(self);
        self.webhook.wait_for(before + 2);
        self.wait_for_probes(SILENCE_PROBES);
        let all = self.webhook.messages().split_off(before);
        let [_, end] = &all[..] else {
            panic!("want one beginning and one end, got {all:#?}");
        };
        assert_eq!(end.kind, "alert.resolved", "{end:#?}");
        if self.torn_ends {
            assert_eq!(end.checks(), ids(alerts), "{end:#?}");
        } else {
            expect_checks(end, alerts);
        }
        same_outage(&told[0], end);
        self.nothing_twice();
    }

    /// Where one process does everything on a store that answers at once, and the receiver
    /// answers too, nothing repeats. (On Spin, and over Redis, a ring and a sweep may
    /// overlap; repetitions then bear the same id.)
    pub fn nothing_twice(&self) {
        let at_once = matches!(self.runtime.state(), crate::state::State::Sqlite(_));
        if self.runtime.host == Host::Embedded && at_once {
            let deliveries = self.webhook.deliveries();
            let messages = self.webhook.messages();
            assert_eq!(deliveries.len(), messages.len(), "{deliveries:#?}");
        }
    }
}

/// One message, of an incident that began: these checks and no others (those that are not
/// confirmed yet may be missing), for that cause.
pub fn expect_opened(cause: &str, told: &[Delivery], alerts: &[Alert]) {
    let [one] = told else {
        panic!("want one message, got {told:#?}");
    };
    assert_eq!(one.kind, "alert.triggered", "{one:#?}");
    assert_eq!(
        one.data("cause").as_str().unwrap_or_default(),
        cause,
        "{one:#?}"
    );
    let some: Vec<Alert> = alerts
        .iter()
        .filter(|a| one.checks().contains(a.check))
        .copied()
        .collect();
    expect_checks(one, &some);
    assert!(one.data("action").is_string(), "want an action: {one:#?}");
}

/// Exactly these checks, of these kinds: an end tells the failure that ended.
pub fn expect_checks(one: &Delivery, alerts: &[Alert]) {
    assert_eq!(one.checks(), ids(alerts), "{one:#?}");
    for alert in alerts {
        let check = one.check(alert.check);
        assert_eq!(check["kind"], alert.kind, "{one:#?}");
        if let Some(reason) = alert.reason {
            assert_eq!(check["reason"], reason, "{one:#?}");
        }
        for field in ["label", "detail", "target"] {
            let text = check[field].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "want a {field}: {one:#?}");
        }
    }
}

fn ids(alerts: &[Alert]) -> BTreeSet<&str> {
    alerts.iter().map(|a| a.check).collect()
}

/// The end tells of the outage that was told, and how long it was.
fn same_outage(start: &Delivery, end: &Delivery) {
    assert_eq!(start.data("incident"), end.data("incident"), "{end:#?}");
    assert_eq!(
        start.data("failing_since"),
        end.data("failing_since"),
        "{end:#?}"
    );
    assert_ne!(start.id, end.id, "an id stands for one message");
    let seconds = |d: &Delivery| d.data("duration_s").as_u64().unwrap();
    assert!(
        seconds(end) >= seconds(start),
        "an outage does not shrink: {end:#?}"
    );
    let between = end.at.duration_since(start.at);
    let lasted = Duration::from_secs(seconds(end));
    let slack = Duration::from_secs(5);
    assert!(
        lasted + slack >= between,
        "the outage lasted at least {between:?} between its messages: {end:#?}"
    );
}
