//! Against a true Headscale v0.29: all green, then kill it, stop its database,
//! misroute its key behind a true nginx, and see the right alerts.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::Path;

use watchbell_lab::alone::{alone_with_headscale, small_disk};
use watchbell_lab::chain::Chain;
use watchbell_lab::headscale::{self, Speaks, State};
use watchbell_lab::real::{Database, Headscale, KeyRoute, Nginx, Postgres};
use watchbell_lab::runtime::Host;
use watchbell_lab::scenario::{Lab, Setup, alert, everything, on_each_host, over_http};
use watchbell_lab::skip::skip;
use watchbell_lab::{client, wait};

/// Runs the scenario, or says which program it lacks.
fn with_true_programs(test: &str, scenario: impl Fn(Host) -> Result<(), String>) {
    on_each_host(test, |host| {
        if let Err(why) = scenario(host) {
            skip(test, &why);
        }
    });
}

/// The application, pointed at a true server. The stand-in idles.
fn watching(host: Host, addr: SocketAddr) -> Lab {
    Lab::well(
        host,
        Setup {
            variables: vec![("headscale_port", addr.port().to_string())],
            ..Setup::default()
        },
    )
}

#[test]
fn killed_and_started_again() {
    with_true_programs("killed_and_started_again", |host| {
        let mut headscale = Headscale::start(&Database::Sqlite)?;
        let mut lab = watching(host, headscale.addr());
        lab.wait_for_probes(2);
        let server = std::cell::RefCell::new(&mut headscale);
        // How it answers in the moment of its start is its own affair.
        lab.torn_ends = true;
        lab.outage(
            "process-down",
            &everything("connect-refused"),
            |_| server.borrow_mut().kill(),
            |_| server.borrow_mut().run(),
        );
        Ok(())
    });
}

/// With a full disk it answers as ever; it is the restart that it does not survive.
#[test]
fn its_disk_full() {
    const DISK_BYTES: u64 = 16 << 20;
    const TEST: &str = "its_disk_full";
    alone_with_headscale(TEST, || {
        with_true_programs(TEST, |host| {
            let headscale = Headscale::start_on(&Database::Sqlite, |data| {
                small_disk(data, DISK_BYTES);
            })?;
            let filler = headscale.data().join("filler");
            let mut lab = watching(host, headscale.addr());
            lab.torn_ends = true;
            fill(&filler);
            lab.wait_for_probes(3);
            let said = lab.webhook.deliveries();
            assert!(said.is_empty(), "seen from outside, all is well: {said:#?}");
            let server = std::cell::RefCell::new(headscale);
            lab.outage(
                "process-down",
                &everything("connect-refused"),
                |_| {
                    let mut server = server.borrow_mut();
                    server.kill();
                    assert!(server.fails_to_run(), "a restart on a full disk");
                },
                |_| {
                    std::fs::remove_file(&filler).unwrap();
                    server.borrow_mut().run();
                },
            );
            Ok(())
        });
    });
}

/// Writes until the disk takes no more.
fn fill(file: &Path) {
    let mut file = File::create(file).unwrap();
    let error = loop {
        if let Err(error) = file.write_all(&[0; 4096]) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::StorageFull);
}

/// `/health` alone fails, and heals by itself when the database is back.
#[test]
fn its_database_stopped() {
    with_true_programs("its_database_stopped", |host| {
        let mut postgres = Postgres::start()?;
        let headscale = Headscale::start(&Database::Postgres(postgres.addr()))?;
        let mut lab = watching(host, headscale.addr());
        let database = std::cell::RefCell::new(&mut postgres);
        lab.torn_ends = true;
        lab.outage(
            "database",
            &[alert("health", "status")],
            |_| database.borrow_mut().kill(),
            |_| database.borrow_mut().run(),
        );
        Ok(())
    });
}

#[test]
fn its_key_misrouted_by_nginx() {
    with_true_programs("its_key_misrouted_by_nginx", |host| {
        let headscale = Headscale::start(&Database::Sqlite)?;
        let nginx = Nginx::start(headscale.addr())?;
        let mut lab = watching(host, nginx.addr());
        for (route, kind) in [
            (KeyRoute::NotFound, "status"),
            (KeyRoute::DeadBackend, "status"),
            (KeyRoute::Page, "body"),
        ] {
            lab.outage(
                "key-routing",
                &[alert("key", kind), alert("control", kind)],
                |_| nginx.route_key(route),
                |_| nginx.route_key(KeyRoute::Headscale),
            );
        }
        Ok(())
    });
}

/// Behind nginx a dead process is bad gateways alone; port and certificate are nginx's.
#[test]
fn killed_behind_nginx() {
    with_true_programs("killed_behind_nginx", |host| {
        let mut headscale = Headscale::start(&Database::Sqlite)?;
        let nginx = Nginx::start(headscale.addr())?;
        let mut lab = watching(host, nginx.addr());
        let server = std::cell::RefCell::new(&mut headscale);
        lab.torn_ends = true;
        lab.outage(
            "backend-down",
            &over_http("status"),
            |_| server.borrow_mut().kill(),
            |_| server.borrow_mut().run(),
        );
        Ok(())
    });
}

/// The stand-in is only worth what it shares with the real one: the same status, type
/// and body (a key apart) for everything that the checks ask, and more.
#[test]
fn the_stand_in_answers_as_the_real_one() {
    if let Err(why) = compare() {
        skip("the_stand_in_answers_as_the_real_one", &why);
    }
}

fn compare() -> Result<(), String> {
    let real = Headscale::start(&Database::Sqlite)?;
    let stand_in = headscale::Headscale::start(Speaks::Https(Chain::Valid));
    let mut differences = Vec::new();
    for (method, path) in [
        ("GET", "/health"),
        ("POST", "/health"),
        ("GET", "/key"),
        ("GET", "/key?v=38"),
        ("GET", "/key?v=133"),
        ("GET", "/derp"),
        ("GET", "/derp/probe"),
        ("GET", "/derp/latency-check"),
        ("POST", "/ts2021"),
        ("GET", "/no/such/path"),
    ] {
        let [real, stand_in] = [real.addr(), stand_in.addr()].map(|addr| seen(addr, method, path));
        if real != stand_in {
            differences.push(format!(
                "{method} {path}: {real:?}, the stand-in {stand_in:?}"
            ));
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
    Ok(())
}

#[test]
fn the_stand_in_loses_its_database_as_the_real_one() {
    if let Err(why) = compare_without_database() {
        skip("the_stand_in_loses_its_database_as_the_real_one", &why);
    }
}

fn compare_without_database() -> Result<(), String> {
    let mut postgres = Postgres::start()?;
    let real = Headscale::start(&Database::Postgres(postgres.addr()))?;
    let stand_in = headscale::Headscale::start(Speaks::Https(Chain::Valid));
    postgres.kill();
    stand_in.state(State::DatabaseDown);
    for path in ["/health", "/key?v=133", "/derp"] {
        let [real, stand_in] = [real.addr(), stand_in.addr()].map(|addr| seen(addr, "GET", path));
        assert_eq!(real, stand_in, "{path}: real, stand-in");
    }
    postgres.run();
    stand_in.state(State::Healthy);
    // It reconnects by itself; when is its own affair.
    wait::until("headscale to find its database again", || {
        (seen(real.addr(), "GET", "/health").0 == 200).then_some(())
    });
    Ok(())
}

/// Status, content type, and the first line of the body without what is each server's own.
fn seen(addr: SocketAddr, method: &str, path: &str) -> (u16, String, String) {
    let response = client::ask(addr, "127.0.0.1", method, path).unwrap();
    let body = String::from_utf8_lossy(&response.body).into_owned();
    let first = body.lines().next().unwrap_or_default().trim();
    let first = match first.find("\"publicKey\":\"mkey:") {
        Some(at) => format!("{}…{}", &first[..at], first.len()),
        None => first.to_owned(),
    };
    let kind = response.header("content-type").unwrap_or_default();
    (response.status, kind.to_owned(), first)
}
