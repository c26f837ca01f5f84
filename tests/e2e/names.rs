//! Names and addresses: DNS that fails, lies or makes work, and IPv6.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;

use watchbell_lab::alone::{alone, cover};
use watchbell_lab::chain::NAME;
use watchbell_lab::dns::{Answer, Decoy};
use watchbell_lab::headscale::Speaks;
use watchbell_lab::manifest::{Changes, ROOMY};
use watchbell_lab::runtime::Host;
use watchbell_lab::scenario::{
    Lab, Setup, all_over_sockets, everything, expect_opened, on_each_host, over_host_http,
};
use watchbell_lab::server::Gate;
use watchbell_lab::skip::skip;

/// How a name does not resolve, and what is told of it where the resolver is ours.
const FAILURES: [(Answer, &str); 4] = [
    (Answer::NxDomain, "nxdomain"),
    (Answer::NoData, "no-address"),
    (Answer::ServFail, "servfail"),
    (Answer::Silent, "no-answer"),
];

/// The sockets' resolver fails in each of its ways; the HTTP checks go by the address.
#[test]
fn dns_failure() {
    for (answer, reason) in FAILURES {
        let alerts = all_over_sockets("dns").map(|a| a.because(reason));
        on_each_host("dns_failure", |host| {
            let mut lab = Lab::well(host, named());
            let healthy = Answer::Addresses(vec![lab.headscale.addr().ip()]);
            lab.outage(
                "dns",
                &alerts,
                |lab| lab.dns.answer(answer.clone()),
                |lab| lab.dns.answer(healthy),
            );
        });
    }
}

/// The system's resolver fails in each of its ways, and every check with it; the
/// runtime finds that resolver by itself.
#[test]
fn dns_failure_of_every_check() {
    const TEST: &str = "dns_failure_of_every_check";
    alone(TEST, || {
        let dir = tempfile::tempdir().unwrap();
        let resolv_conf = dir.path().join("resolv.conf");
        let at = SocketAddr::from(([127, 0, 0, 53], 53));
        std::fs::write(&resolv_conf, format!("nameserver {}\n", at.ip())).unwrap();
        cover(Path::new("/etc/resolv.conf"), &resolv_conf);
        for (answer, reason) in FAILURES {
            let over_sockets = all_over_sockets("dns").map(|a| a.because(reason));
            let alerts = [&over_host_http("dns")[..], &over_sockets].concat();
            on_each_host(TEST, |host| {
                let setup = Setup {
                    host: NAME,
                    system_dns: Some(at),
                    changes: Changes {
                        pace: ROOMY,
                        ..Changes::default()
                    },
                    ..Setup::default()
                };
                let mut lab = Lab::well(host, setup);
                let healthy = Answer::Addresses(vec![lab.headscale.addr().ip()]);
                lab.outage(
                    "dns",
                    &alerts,
                    |lab| lab.dns.answer(answer.clone()),
                    |lab| lab.dns.answer(healthy),
                );
            });
        }
    });
}

/// A name that exists nowhere fails every check, from the first probe on, and each once.
#[test]
fn a_name_that_exists_nowhere() {
    on_each_host("a_name_that_exists_nowhere", |host| {
        let lab = Lab::open(
            host,
            Setup {
                host: "hs.lab.invalid",
                dns: Some(Answer::NxDomain),
                changes: Changes {
                    pace: ROOMY,
                    ..Changes::default()
                },
                ..Setup::default()
            },
        );
        lab.webhook.wait_for(1);
        lab.wait_for_probes(2);
        expect_opened("dns", &lab.webhook.messages(), &everything("dns"));
    });
}

#[test]
fn an_ipv6_address() {
    let ip = IpAddr::V6(Ipv6Addr::LOCALHOST);
    if TcpListener::bind((ip, 0)).is_err() {
        return skip("an_ipv6_address", "this machine has no ::1");
    }
    on_each_host("an_ipv6_address", |host| {
        let mut alerts = everything("connect-refused").to_vec();
        let setup = match host {
            Host::Embedded => Setup {
                host: "::1",
                ..Setup::default()
            },
            // In brackets, as Spin's permissions need it, and without TLS, which Spin
            // does not do there; without TLS there is no certificate either.
            Host::Spin => {
                alerts.retain(|a| a.check != "certificate");
                Setup {
                    host: "[::1]",
                    speaks: Speaks::Http,
                    ..Setup::default()
                }
            }
        };
        Lab::well(host, Setup { ip, ..setup }).outage(
            "process-down",
            &alerts,
            |lab| lab.headscale.gate(Gate::Refused),
            |lab| lab.headscale.gate(Gate::Open),
        );
    });
}

/// No DNS failure of the target's: what cannot be done there is said to be that.
#[test]
fn tls_to_an_ipv6_address_on_spin() {
    on_each_host("tls_to_an_ipv6_address_on_spin", |host| {
        let ip = IpAddr::V6(Ipv6Addr::LOCALHOST);
        if host == Host::Embedded || TcpListener::bind((ip, 0)).is_err() {
            return;
        }
        let setup = Setup {
            ip,
            host: "[::1]",
            ..Setup::default()
        };
        let lab = Lab::open(host, setup);
        let told = lab.webhook.wait_for(1);
        let alerts = over_host_http("internal").map(|a| a.because("configuration"));
        expect_opened("", &told, &alerts);
    });
}

/// An honest resolver behind a liar, and answers that need work, are answers.
#[test]
fn names_resolve_against_resistance() {
    let ip = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
    on_each_host("names_resolve_against_resistance", |host| {
        let mut lab = Lab::well(host, named());
        let honest = Answer::Addresses(ip.clone());
        for (answer, decoy) in [
            (honest.clone(), Some(Decoy::WrongId)),
            (honest.clone(), Some(Decoy::WrongQuestion)),
            (honest.clone(), Some(Decoy::OtherPort)),
            (Answer::Truncated(ip.clone()), None),
            (Answer::OverTcp(ip.clone()), None),
            (Answer::Aliases(4, ip.clone()), None),
        ] {
            lab.dns.answer(answer.clone());
            lab.dns.decoy(decoy);
            lab.wait_for_probes(2);
            lab.wait_for_status("up");
            let said = lab.webhook.deliveries();
            assert!(said.is_empty(), "{answer:?} {decoy:?}: {said:#?}");
        }
    });
}

/// A record of another name gives this one no address: the lie is not connected to.
#[test]
fn a_record_of_another_name_is_no_address() {
    let alerts = all_over_sockets("dns").map(|a| a.because("no-address"));
    on_each_host("a_record_of_another_name_is_no_address", |host| {
        Lab::well(host, named()).outage(
            "dns",
            &alerts,
            |lab| lab.dns.decoy(Some(Decoy::WrongOwner)),
            |lab| lab.dns.decoy(None),
        );
    });
}

#[test]
fn names_that_lead_nowhere() {
    let alerts = all_over_sockets("dns");
    on_each_host("names_that_lead_nowhere", |host| {
        for answer in [Answer::AliasLoop, Answer::CompressionLoop, Answer::Garbage] {
            let mut lab = Lab::well(host, named());
            let healthy = Answer::Addresses(vec![lab.headscale.addr().ip()]);
            lab.outage(
                "dns",
                &alerts,
                |lab| lab.dns.answer(answer.clone()),
                |lab| lab.dns.answer(healthy),
            );
        }
    });
}

/// A name that only the lab's DNS knows, for the socket checks.
fn named() -> Setup {
    Setup {
        host: NAME,
        changes: Changes {
            pace: ROOMY,
            http_host: Some("127.0.0.1"),
            ..Changes::default()
        },
        ..Setup::default()
    }
}
