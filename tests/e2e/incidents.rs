//! Incidents: every row of the evidence table (docs/diagnosis.md) as it comes out of the
//! shipped wasm, whichever check sees an outage first, and what is this node's own fault.
//!
//! Each scenario prints how long its messages took, measured and not asserted, a row of a
//! table each: `--nocapture`.

#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use watchbell_lab::alone::{address, alone, cover};
use watchbell_lab::chain::{Chain, NAME};
use watchbell_lab::dns::Answer;
use watchbell_lab::headscale::{Headscale, Misroute, Speaks, State};
use watchbell_lab::manifest::{CHECKS, Changes, ROOMY};
use watchbell_lab::runtime::Host;
use watchbell_lab::scenario::{Lab, Setup, on_each_host};
use watchbell_lab::server::{Gate, Server};
use watchbell_lab::wait;
use watchbell_lab::webhook::Delivery;

/// One way for Headscale to be down.
struct Row {
    evidence: &'static str,
    /// `""` where no row of the table holds.
    cause: &'static str,
    breaks: fn(&Lab),
    mends: fn(&Lab),
}

const fn of_state(evidence: &'static str, cause: &'static str, breaks: fn(&Lab)) -> Row {
    Row {
        evidence,
        cause,
        breaks,
        mends: |lab| lab.headscale.state(State::Healthy),
    }
}

const fn of_gate(evidence: &'static str, cause: &'static str, breaks: fn(&Lab)) -> Row {
    Row {
        evidence,
        cause,
        breaks,
        mends: |lab| lab.headscale.gate(Gate::Open),
    }
}

const CONTROL: &str = "/ts2021";

/// The table but for `dns` and `network-split`, which need a lab of their own.
const TABLE: [Row; 15] = [
    of_gate("the port is refused", "process-down", |lab| {
        lab.headscale.gate(Gate::Refused);
    }),
    of_gate("the port gives no answer", "host-unreachable", |lab| {
        lab.headscale.gate(Gate::Dropped);
    }),
    Row {
        evidence: "the certificate is invalid",
        cause: "certificate",
        breaks: |lab| lab.headscale.speaks(Speaks::Https(Chain::Expired)),
        mends: |lab| lab.headscale.speaks(Speaks::Https(Chain::Valid)),
    },
    of_state("every HTTP check gets 502", "backend-down", |lab| {
        lab.headscale.state(State::Proxy(502));
    }),
    of_state("the public key changed", "key-changed", |lab| {
        lab.headscale.state(State::OtherKey);
    }),
    of_state("only health fails", "database", |lab| {
        lab.headscale.state(State::DatabaseDown);
    }),
    of_state("only key fails", "key-routing", |lab| {
        lab.headscale.state(State::KeyMisrouted(Misroute::NotFound));
    }),
    of_state("only derp fails", "derp", |lab| {
        lab.headscale.state(State::DerpDisabled);
    }),
    Row {
        evidence: "only the control protocol fails",
        cause: "control-protocol",
        breaks: |lab| {
            lab.headscale.except(CONTROL, State::Proxy(502), usize::MAX);
        },
        mends: |lab| lab.headscale.except(CONTROL, State::Healthy, 0),
    },
    of_state("a proxy strips Upgrade", "control-protocol", |lab| {
        lab.headscale.state(State::UpgradeStripped);
    }),
    of_state("/ts2021 closes after its 101", "split-backends", |lab| {
        lab.headscale.state(State::SplitBackends);
    }),
    of_state("a proxy speaks plain HTTP to TLS", "proxy-scheme", |lab| {
        lab.headscale.state(State::HttpToHttps);
    }),
    of_state("the relay carries nothing", "derp", |lab| {
        lab.headscale.state(State::DerpMute);
    }),
    Row {
        evidence: "only stun fails",
        cause: "stun",
        breaks: |lab| lab.stun.silent(true),
        mends: |lab| lab.stun.silent(false),
    },
    of_state("every HTTP check gets 500", "", |lab| {
        lab.headscale.state(State::FailingEverything);
    }),
];

#[test]
fn each_row_of_the_table_is_one_message_and_its_end() {
    on_each_host("each_row_of_the_table", |host| {
        let setup = Setup {
            changes: Changes {
                variables: steady(),
                ..Changes::default()
            },
            stun: true,
            ..Setup::default()
        };
        let mut lab = Lab::well(host, setup);
        lab.wait_for_status_of("stun", "up");
        for row in &TABLE {
            let cause = row.cause;
            play(&lab, row.evidence, cause, 2, row.breaks, row.mends);
        }
        lab.nothing_twice();
    });
}

/// One outage comes a few seconds after the other, which is no flapping here.
fn steady() -> Vec<(&'static str, &'static str, String)> {
    let off = |check| (check, "flapping", "off".to_owned());
    CHECKS.into_iter().chain(["stun"]).map(off).collect()
}

/// The path that clients take is blocked, and the one that the HTTP checks take is not.
#[test]
fn the_port_fails_while_http_is_well() {
    on_each_host("the_port_fails_while_http_is_well", |host| {
        let path = Server::start(|_| {});
        let mut variables = vec![("port", "port", path.addr().port().to_string())];
        variables.extend(CHECKS.map(|c| (c, "flapping", "off".to_owned())));
        let changes = Changes {
            variables,
            ..Changes::default()
        };
        let setup = Setup {
            changes,
            ..Setup::default()
        };
        let lab = Lab::well(host, setup);
        for (evidence, gate) in [
            ("the port is refused, HTTP is well", Gate::Refused),
            ("the port is silent, HTTP is well", Gate::Dropped),
        ] {
            let [opened, end] = play(
                &lab,
                evidence,
                "network-split",
                2,
                |_| path.gate(gate),
                |_| path.gate(Gate::Open),
            );
            for told in [opened, end] {
                assert_eq!(told.checks(), ["port"].into(), "{told:#?}");
            }
        }
    });
}

#[test]
fn nothing_resolves() {
    with_a_resolver_of_its_own("nothing_resolves", |host, at| {
        let lab = Lab::well(host, by_name(at, Changes::default()));
        let healthy = Answer::Addresses(vec![lab.headscale.addr().ip()]);
        play(
            &lab,
            "nothing resolves",
            "dns",
            2,
            |lab| lab.dns.answer(Answer::NxDomain),
            |lab| lab.dns.answer(healthy.clone()),
        );
    });
}

/// The lab's DNS server is the system's, so that every check depends on it.
fn with_a_resolver_of_its_own(test: &str, scenario: impl Fn(Host, SocketAddr) + Sync) {
    alone(test, || {
        let dir = tempfile::tempdir().unwrap();
        let resolv_conf = dir.path().join("resolv.conf");
        let at = SocketAddr::from(([127, 0, 0, 53], 53));
        std::fs::write(&resolv_conf, format!("nameserver {}\n", at.ip())).unwrap();
        cover(Path::new("/etc/resolv.conf"), &resolv_conf);
        on_each_host(test, |host| scenario(host, at));
    });
}

/// Headscale is known by its name alone.
fn by_name(resolver: SocketAddr, changes: Changes) -> Setup {
    Setup {
        host: NAME,
        system_dns: Some(resolver),
        changes: Changes {
            pace: ROOMY,
            ..changes
        },
        ..Setup::default()
    }
}

// ------------------------------------------------------------ whoever sees it first

#[test]
fn health_sees_it_first() {
    sees_it_first("health");
}

#[test]
fn derp_sees_it_first() {
    sees_it_first("derp");
}

#[test]
fn key_sees_it_first() {
    sees_it_first("key");
}

#[test]
fn port_sees_it_first() {
    sees_it_first("port");
}

#[test]
fn certificate_sees_it_first() {
    sees_it_first("certificate");
}

#[test]
fn control_sees_it_first() {
    sees_it_first("control");
}

#[test]
fn relay_sees_it_first() {
    sees_it_first("relay");
}

/// What the others are asked at: far longer than it takes one check to confirm a failure.
const SLOW: &str = "10s";
/// The others have been asked so lately that they will not be asked while it does.
const LATELY: Duration = Duration::from_secs(4);

/// Everything is down, and one check alone is about to be asked: one message all the same,
/// with the cause of the whole.
fn sees_it_first(first: &'static str) {
    on_each_host("sees_it_first", |host| {
        let others = || CHECKS.into_iter().filter(|c| *c != first);
        let changes = Changes {
            variables: others().map(|c| (c, "interval", SLOW.into())).collect(),
            ..Changes::default()
        };
        let setup = Setup {
            changes,
            ..Setup::default()
        };
        let lab = Lab::well(host, setup);
        asked_lately(&lab, &others().collect::<Vec<_>>());
        let [_, end] = play(
            &lab,
            &format!("everything is refused, {first} sees it first"),
            "process-down",
            1,
            |lab| lab.headscale.gate(Gate::Refused),
            |lab| lab.headscale.gate(Gate::Open),
        );
        assert_eq!(end.checks(), CHECKS.into(), "{end:#?}");
        let began = end.data("failing_since");
        assert_eq!(&end.check(first)["failing_since"], began, "{end:#?}");
        lab.nothing_twice();
    });
}

/// Waits until all of these have been asked just now.
fn asked_lately(lab: &Lab, checks: &[&str]) {
    let state = lab.runtime.state();
    wait::until(&format!("{checks:?} to have been asked just now"), || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let lately = |check: &&str| {
            let asked_at = state.last(check).map(|(at, _)| Duration::from_millis(at));
            asked_at.is_some_and(|at| at + LATELY > now)
        };
        checks.iter().all(lately).then_some(())
    });
}

// ------------------------------------------------------------ this node's own network

/// Two targets that have nothing to do with Headscale, each on a host of its own: what is on
/// one host goes with it, and proves nothing of this node.
struct Elsewhere {
    ids: [&'static str; 2],
    servers: [Server; 2],
}

impl Elsewhere {
    fn start(ids: [&'static str; 2]) -> Self {
        let hosts = [Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3)];
        Self::start_on(hosts, ids)
    }

    fn start_on(hosts: [Ipv4Addr; 2], ids: [&'static str; 2]) -> Self {
        Self {
            ids,
            servers: hosts.map(|ip| Server::start_at((ip, 0).into(), |_| {})),
        }
    }

    /// A port check of each.
    fn changes(&self) -> Changes {
        let mut variables = Vec::new();
        for (id, server) in self.ids.iter().zip(&self.servers) {
            variables.push((*id, "label", (*id).to_owned()));
            variables.push((*id, "service", (*id).to_owned()));
            variables.push((*id, "host", server.addr().ip().to_string()));
            variables.push((*id, "port", server.addr().port().to_string()));
        }
        Changes {
            copies: self.ids.map(|id| ("port", id)).to_vec(),
            variables,
            ..Changes::default()
        }
    }

    /// Nothing of it answers any more, and its checks have seen that.
    fn vanishes(&self, lab: &mut Lab) {
        self.servers.iter().for_each(|s| s.gate(Gate::Dropped));
        for id in self.ids {
            lab.wait_for_status_of(id, "failed");
        }
    }
}

const WITNESSES: [&str; 2] = ["witness-one", "witness-two"];

fn with_witnesses() -> (Elsewhere, Setup) {
    watched_by(Elsewhere::start(WITNESSES))
}

fn watched_by(witnesses: Elsewhere) -> (Elsewhere, Setup) {
    let mut changes = witnesses.changes();
    let role = |id| (id, "role", "witness".to_owned());
    changes.variables.extend(witnesses.ids.map(role));
    let setup = Setup {
        changes,
        ..Setup::default()
    };
    (witnesses, setup)
}

/// Cuts everything off, and wants one message, of this node.
fn cut_off(lab: &mut Lab, elsewhere: &Elsewhere, scenario: &str) {
    elsewhere.vanishes(lab);
    assert!(lab.webhook.deliveries().is_empty(), "nobody is down yet");
    let began = Instant::now();
    lab.headscale.gate(Gate::Dropped);
    let told = lab.webhook.wait_for(1);
    lab.wait_for_probes(2);
    let all = lab.webhook.messages();
    expect_opened(&all, "watchbell", "uplink");
    say_row(lab, scenario, "uplink", told[0].at - began, None);
}

#[test]
fn what_the_nodes_own_network_hid_is_summed_up() {
    on_each_host("what_the_nodes_own_network_hid", |host| {
        let (witnesses, setup) = with_witnesses();
        let mut lab = Lab::well(host, setup);
        cut_off(&mut lab, &witnesses, "witnesses and Headscale are silent");
        lab.headscale.gate(Gate::Open);
        lab.wait_for_status("up");
        witnesses.servers.iter().for_each(|s| s.gate(Gate::Open));
        lab.webhook.wait_for(3);
        lab.wait_for_probes(2);
        let all = lab.webhook.messages();
        expect_told(&all[1..], &[END_OF_UPLINK, ("alert.summary", "headscale")]);
        let summary = all.iter().find(|d| d.kind == "alert.summary").unwrap();
        assert_eq!(summary.data("held_by"), "uplink", "{summary:#?}");
    });
}

#[test]
fn what_is_down_when_the_network_is_back_is_told_then() {
    on_each_host("what_is_down_when_the_network_is_back", |host| {
        let (witnesses, setup) = with_witnesses();
        let mut lab = Lab::well(host, setup);
        cut_off(&mut lab, &witnesses, "witnesses and Headscale are silent");
        witnesses.servers.iter().for_each(|s| s.gate(Gate::Open));
        lab.webhook.wait_for(3);
        lab.wait_for_probes(2);
        let all = lab.webhook.messages();
        expect_told(
            &all[1..],
            &[END_OF_UPLINK, ("alert.triggered", "headscale")],
        );
        expect_opened(&of("headscale", &all), "headscale", "host-unreachable");
        lab.headscale.gate(Gate::Open);
        lab.webhook.wait_for(4);
        lab.wait_for_probes(2);
        let all = lab.webhook.messages();
        expect_told(&all[3..], &[("alert.resolved", "headscale")]);
    });
}

/// Where this node's resolver is dead nothing resolves, the witnesses' names neither.
#[test]
fn a_dead_resolver_is_the_nodes_fault() {
    with_a_resolver_of_its_own("a_dead_resolver_is_the_nodes_fault", |host, at| {
        // Every name resolves to this address.
        let at_names = Elsewhere::start_on([Ipv4Addr::LOCALHOST; 2], WITNESSES);
        let (witnesses, setup) = watched_by(at_names);
        let mut changes = setup.changes;
        changes.variables.retain(|(_, key, _)| *key != "host");
        changes
            .variables
            .push(("witness-one", "host", "one.lab.test".to_owned()));
        changes
            .variables
            .push(("witness-two", "host", "two.lab.test".to_owned()));
        let mut lab = Lab::well(host, by_name(at, changes));
        for id in witnesses.ids {
            lab.wait_for_status_of(id, "up");
        }
        let began = Instant::now();
        lab.dns.answer(Answer::Silent);
        let told = lab.webhook.wait_for(1);
        lab.wait_for_probes(2);
        expect_opened(&lab.webhook.messages(), "watchbell", "uplink");
        say_row(
            &lab,
            "the node's resolver is dead",
            "uplink",
            told[0].at - began,
            None,
        );
    });
}

/// A node without network, played for real: the addresses are gone, and with them the way.
#[test]
fn a_node_without_network_says_that_of_itself() {
    without_network("a_node_without_network_says_that_of_itself", &[]);
}

/// As above with a witness that is asked over HTTP, whose host tells a way that is missing
/// as a connection that is refused.
#[test]
fn a_witness_over_http_hides_no_missing_network() {
    let test = "a_witness_over_http_hides_no_missing_network";
    without_network(test, &["witness-http"]);
}

fn without_network(test: &str, over_http: &[&'static str]) {
    const ADDRESSES: [Ipv4Addr; 3] = [
        Ipv4Addr::new(10, 66, 0, 1),
        Ipv4Addr::new(10, 66, 0, 2),
        Ipv4Addr::new(10, 66, 0, 3),
    ];
    let there = |there| ADDRESSES.iter().for_each(|ip| address(*ip, there));
    alone(test, || {
        on_each_host(test, |host| {
            there(true);
            let [ours, one, two] = ADDRESSES;
            let witnesses = Elsewhere::start_on([one, two], WITNESSES);
            let http = Headscale::start_on(one.into(), Speaks::Http);
            let mut changes = witnesses.changes();
            for id in over_http {
                changes.copies.push(("health", id));
                let url = format!("http://{}/health", http.addr());
                changes.variables.push((id, "url", url));
                let permission = format!("http://{}", http.addr());
                changes.permissions.push((id, permission));
                changes.variables.push((id, "service", (*id).to_owned()));
            }
            let all = [&witnesses.ids[..], over_http].concat();
            let role = |id: &&'static str| (*id, "role", "witness".to_owned());
            changes.variables.extend(all.iter().map(role));
            let setup = Setup {
                ip: ours.into(),
                host: "10.66.0.1",
                speaks: Speaks::Http,
                changes,
                ..Setup::default()
            };
            let mut lab = Lab::well(host, setup);
            for id in all {
                lab.wait_for_status_of(id, "up");
            }
            let began = Instant::now();
            there(false);
            let told = lab.webhook.wait_for(1);
            lab.wait_for_probes(2);
            expect_opened(&lab.webhook.messages(), "watchbell", "uplink");
            let took = told[0].at - began;
            say_row(&lab, "the node has no network", "uplink", took, None);
            // The servers end by connections of their own.
            there(true);
        });
    });
}

/// Other services are evidence too. They are confirmed late here, so that all of it is
/// there before any of them is told to be down.
#[test]
fn services_that_vanish_together_are_the_nodes_fault() {
    on_each_host("services_that_vanish_together", |host| {
        let services = Elsewhere::start(["mail", "forum"]);
        let mut changes = services.changes();
        let late = |id| (id, "failure_threshold", "10".to_owned());
        changes.variables.extend(services.ids.map(late));
        let setup = Setup {
            changes,
            ..Setup::default()
        };
        let mut lab = Lab::well(host, setup);
        cut_off(&mut lab, &services, "three services are silent");
        wait::until("the outages to be confirmed", || {
            let ledger = lab.runtime.state().ledger()?;
            let open = |id| ledger["services"][id]["service"]["open"].is_object();
            services.ids.into_iter().all(open).then_some(())
        });
        // One that answers proves the network: the others are down.
        services.servers[0].gate(Gate::Open);
        lab.webhook.wait_for(5);
        lab.wait_for_probes(2);
        let all = lab.webhook.messages();
        let want = [
            END_OF_UPLINK,
            ("alert.summary", "mail"),
            ("alert.triggered", "forum"),
            ("alert.triggered", "headscale"),
        ];
        expect_told(&all[1..], &want);
    });
}

/// One witness that is refused has been reached: this node's network is well.
#[test]
fn a_target_that_answers_no_proves_the_network() {
    on_each_host("a_target_that_answers_no", |host| {
        let (witnesses, setup) = with_witnesses();
        let mut lab = Lab::well(host, setup);
        witnesses.vanishes(&mut lab);
        witnesses.servers[1].gate(Gate::Refused);
        wait::until("the refusal to be seen", || {
            let monitor = lab.runtime.state().monitor("witness-two")?;
            (monitor["last"]["kind"] == "connect-refused").then_some(())
        });
        lab.headscale.gate(Gate::Dropped);
        lab.webhook.wait_for(1);
        lab.wait_for_probes(2);
        let all = lab.webhook.messages();
        expect_opened(&all, "headscale", "host-unreachable");
    });
}

/// Witnesses have an interval of their own, far longer than anybody waits for a first
/// message: they are asked when it matters.
#[test]
fn witnesses_are_asked_once_a_service_fails() {
    on_each_host("witnesses_are_asked_once_a_service_fails", |host| {
        let (witnesses, mut setup) = with_witnesses();
        let slow = |id| (id, "interval", "40s".to_owned());
        setup.changes.variables.extend(witnesses.ids.map(slow));
        let lab = Lab::well(host, setup);
        asked_lately(&lab, &witnesses.ids);
        witnesses.servers.iter().for_each(|s| s.gate(Gate::Dropped));
        lab.headscale.gate(Gate::Dropped);
        let told = lab.webhook.wait_for(1);
        expect_opened(&told, "watchbell", "uplink");
    });
}

/// Other services are evidence as they are now, not as they were at their last turn.
#[test]
fn services_that_vanish_at_one_moment_are_the_nodes_fault() {
    on_each_host("services_that_vanish_at_one_moment", |host| {
        let services = Elsewhere::start(["mail", "forum"]);
        let mut changes = services.changes();
        let slow = |id| (id, "interval", "40s".to_owned());
        changes.variables.extend(services.ids.map(slow));
        let setup = Setup {
            changes,
            ..Setup::default()
        };
        let lab = Lab::well(host, setup);
        asked_lately(&lab, &services.ids);
        services.servers.iter().for_each(|s| s.gate(Gate::Dropped));
        lab.headscale.gate(Gate::Dropped);
        let told = lab.webhook.wait_for(1);
        expect_opened(&told, "watchbell", "uplink");
    });
}

/// The network is back and everything with it: what failed in the dark is asked again before
/// anybody is told that it is down.
#[test]
fn what_is_back_with_the_network_is_not_told_to_be_down() {
    on_each_host("what_is_back_with_the_network", |host| {
        let (witnesses, mut setup) = with_witnesses();
        let slow = CHECKS.map(|check| (check, "interval", SLOW.to_owned()));
        setup.changes.variables.extend(slow);
        let mut lab = Lab::well(host, setup);
        cut_off(&mut lab, &witnesses, "witnesses and Headscale are silent");
        lab.wait_for_status("failed");
        asked_lately(&lab, &CHECKS);
        lab.headscale.gate(Gate::Open);
        witnesses.servers.iter().for_each(|s| s.gate(Gate::Open));
        lab.webhook.wait_for(3);
        lab.wait_for_probes(1);
        let all = lab.webhook.messages();
        expect_told(&all[1..], &[END_OF_UPLINK, ("alert.summary", "headscale")]);
    });
}

const END_OF_UPLINK: (&str, &str) = ("alert.resolved", "watchbell");

fn of(service: &str, all: &[Delivery]) -> Vec<Delivery> {
    let its = all.iter().filter(|d| d.data("service") == service);
    its.cloned().collect()
}

/// Exactly these, of those services, in any order.
fn expect_told(told: &[Delivery], want: &[(&str, &str)]) {
    let mut got: Vec<(&str, &str)> = told
        .iter()
        .map(|d| (d.kind.as_str(), d.data("service").as_str().unwrap()))
        .collect();
    let mut want = want.to_vec();
    got.sort_unstable();
    want.sort_unstable();
    assert_eq!(got, want, "{told:#?}");
}

// ------------------------------------------------------------ what a scenario is held to

/// One outage from end to end: exactly one message when it begins, with that cause and
/// something to do, and exactly one when it is over. `probes` of every check must bring
/// nothing more.
fn play(
    lab: &Lab,
    scenario: &str,
    cause: &str,
    probes: usize,
    breaks: impl FnOnce(&Lab),
    mends: impl FnOnce(&Lab),
) -> [Delivery; 2] {
    let before = lab.webhook.messages().len();
    let began = Instant::now();
    breaks(lab);
    lab.webhook.wait_for(before + 1);
    lab.wait_for_probes(probes);
    let told = lab.webhook.messages().split_off(before);
    expect_opened(&told, "headscale", cause);
    let mended = Instant::now();
    mends(lab);
    lab.webhook.wait_for(before + 2);
    lab.wait_for_probes(probes);
    let all = lab.webhook.messages().split_off(before);
    let [opened, end] = <[Delivery; 2]>::try_from(all)
        .unwrap_or_else(|all| panic!("{scenario}: want a beginning and an end, got {all:#?}"));
    assert_eq!(end.kind, "alert.resolved", "{end:#?}");
    assert_eq!(end.data("incident"), opened.data("incident"), "{end:#?}");
    assert_eq!(end.data("cause"), opened.data("cause"), "{end:#?}");
    say_row(
        lab,
        scenario,
        cause,
        opened.at - began,
        Some(end.at - mended),
    );
    [opened, end]
}

/// One message, of an incident of that service that began.
fn expect_opened(told: &[Delivery], service: &str, cause: &str) {
    let [one] = told else {
        panic!("want one message, got {told:#?}");
    };
    assert_eq!(one.kind, "alert.triggered", "{one:#?}");
    assert_eq!(one.data("service"), service, "{one:#?}");
    let got = one.data("cause").as_str().unwrap_or_default();
    assert_eq!(got, cause, "{one:#?}");
    let action = one.data("action").as_str().unwrap_or_default();
    assert!(!action.is_empty(), "want something to do: {one:#?}");
}

/// One row of a table: host, scenario, cause, outage to message, end to message.
fn say_row(lab: &Lab, scenario: &str, cause: &str, told: Duration, over: Option<Duration>) {
    let cause = if cause.is_empty() { "(none)" } else { cause };
    let over = over.map_or("-".to_owned(), |d| format!("{:.2} s", d.as_secs_f64()));
    let (host, told) = (lab.runtime.host, told.as_secs_f64());
    println!("| {host:?} | {scenario} | {cause} | {told:.2} s | {over} |");
}
