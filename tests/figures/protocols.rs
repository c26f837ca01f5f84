//! What a check of Headscale's protocols costs: CPU time and time of `watchbell up`, beside
//! a native client that does the same over rustls and ring, in the same run and at the same
//! pace: `cargo run --release -p watchbell-lab --example protocols`, with `WATCHBELL_BIN` at
//! a release build.
//!
//! CPU is on-CPU time of the one process, or of the client's thread. The guest also reads
//! its variables and its record, and writes it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cpu;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use watchbell_lab::client;
use watchbell_lab::manifest::{CHECKS, Changes};
use watchbell_lab::runtime::{CHECK_TOKEN, Host};
use watchbell_lab::scenario::{Lab, Setup};
use watchbell_protocol::control::{self, Opened, VERSION};
use watchbell_protocol::derp::{self, Client};
use watchbell_protocol::http1::{self, Request};
use watchbell_protocol::stun::{Answer, Transaction};
use watchbell_protocol::{Buffered, Fault};

const HOST: &str = "127.0.0.1";
const WARM_UP: Duration = Duration::from_secs(5);
const WINDOW: Duration = Duration::from_secs(30);
const EVERY: Duration = Duration::from_secs(1);
/// The check itself, and so many copies of it.
const COPIES: [&str; 9] = [
    "copy-a", "copy-b", "copy-c", "copy-d", "copy-e", "copy-f", "copy-g", "copy-h", "copy-i",
];
const RUNS_PER_S: u32 = COPIES.len() as u32 + 1;

type Native = fn(&Arc<ClientConfig>, SocketAddr) -> Result<(), Fault>;

fn main() {
    println!("check      native ms CPU   guest ms CPU   ratio   native ms   guest ms");
    for (id, native) in [
        ("control", enter as Native),
        ("relay", relay),
        ("stun", stun),
    ] {
        measure(id, native);
    }
}

fn measure(id: &'static str, native: Native) {
    let mut variables = vec![("stun", "presence", "required".to_owned())];
    variables.extend(COPIES.map(|copy| (copy, "presence", "required".to_owned())));
    if id == "control" {
        variables.retain(|(_, key, _)| *key != "presence");
    }
    let all = CHECKS.into_iter().chain(["stun"]);
    let setup = Setup {
        changes: Changes {
            copies: COPIES.map(|copy| (id, copy)).to_vec(),
            never: all.filter(|check| *check != id).collect(),
            variables,
            ..Changes::default()
        },
        stun: true,
        ..Setup::default()
    };
    let mut lab = Lab::open(Host::Embedded, setup);
    lab.wait_for_status_of(id, "up");
    std::thread::sleep(WARM_UP);
    let before = cpu::cpu_s(lab.runtime.pid());
    std::thread::sleep(WINDOW);
    let runs = f64::from(RUNS_PER_S) * WINDOW.as_secs_f64();
    let guest_ms = (cpu::cpu_s(lab.runtime.pid()) - before) * 1000.0 / runs;
    let took = (0..10).map(|_| answered_ms(&lab, id)).sum::<u64>() as f64 / 10.0;

    let at = if id == "stun" {
        lab.stun.addr()
    } else {
        lab.headscale.addr()
    };
    let thread = std::thread::spawn(move || alone(native, at));
    let (native_ms, native_took) = thread.join().unwrap();
    println!(
        "{id:8} {native_ms:15.3}   {guest_ms:12.3}   {:5.1}   {native_took:9.2}   {took:8.2}",
        guest_ms / native_ms
    );
}

/// How long the check's own run takes, asked over HTTP.
fn answered_ms(lab: &Lab, id: &str) -> u64 {
    let (_, outcome) = lab.runtime.run_check(id, Some(CHECK_TOKEN));
    outcome["duration_ms"].as_u64().unwrap()
}

/// CPU and time of one run of the client, in ms.
fn alone(native: Native, at: SocketAddr) -> (f64, f64) {
    let config = client::config();
    let me = rustix::thread::gettid().as_raw_nonzero();
    let schedstat = format!("/proc/self/task/{me}/schedstat");
    let schedstat = Path::new(&schedstat);
    native(&config, at).expect("a stand-in that is well");
    let (begin, before) = (Instant::now(), cpu::on_cpu_s(schedstat));
    let (mut runs, mut took) = (0, Duration::ZERO);
    while begin.elapsed() < WINDOW {
        let turn = Instant::now();
        for _ in 0..RUNS_PER_S {
            native(&config, at).expect("a stand-in that is well");
        }
        took += turn.elapsed();
        runs += RUNS_PER_S;
        std::thread::sleep(EVERY.saturating_sub(turn.elapsed()));
    }
    let cpu_ms = (cpu::on_cpu_s(schedstat) - before) * 1000.0;
    let runs = f64::from(runs);
    (cpu_ms / runs, took.as_secs_f64() * 1000.0 / runs)
}

type Stream = rustls::StreamOwned<rustls::ClientConnection, std::net::TcpStream>;

fn dial(config: &Arc<ClientConfig>, at: SocketAddr) -> Result<Buffered<Stream>, Fault> {
    let stream = client::connect(config.clone(), at, HOST);
    stream.map(Buffered::new).map_err(|e| trouble(&e))
}

fn trouble(error: &io::Error) -> Fault {
    Fault::io("connecting", error)
}

fn get(path: &str) -> Request<'_> {
    Request {
        method: "GET",
        authority: HOST,
        path,
        headers: &[],
    }
}

fn enter(config: &Arc<ClientConfig>, at: SocketAddr) -> Result<(), Fault> {
    let path = control::key_path(VERSION);
    let (head, body) = http1::exchange(&mut dial(config, at)?, &get(&path))?;
    let key = control::read_key(&head, &body)?;
    let mut stream = dial(config, at)?;
    match control::open(&mut stream, HOST, VERSION, &key)? {
        Opened::Refused(fault) => Err(fault),
        Opened::Upgraded(initiation) => {
            let mut transport = initiation.finish(&mut stream)?;
            control::read_early(&mut transport, &mut stream).map(drop)
        }
    }
}

fn relay(config: &Arc<ClientConfig>, at: SocketAddr) -> Result<(), Fault> {
    http1::exchange(&mut dial(config, at)?, &get(derp::PROBE_PATH))?;
    let knock = || -> Result<Client<Stream>, Fault> {
        let client = Client::knock(dial(config, at)?, HOST)?;
        let mut client = client.map_err(|declined| derp::refused(&declined))?;
        client.introduce()?;
        Ok(client)
    };
    let (mut first, mut second) = (knock()?, knock()?);
    let packet = [7; 1_280];
    first.send(&second.public(), &packet)?;
    second.receive(&first.public())?;
    second.send(&first.public(), &packet)?;
    first.receive(&second.public()).map(drop)
}

fn stun(_: &Arc<ClientConfig>, at: SocketAddr) -> Result<(), Fault> {
    let transaction = Transaction::new()?;
    let mut datagram = [0; 1500];
    let asked = UdpSocket::bind((HOST, 0)).and_then(|socket| {
        socket.connect(at)?;
        socket.send(&transaction.request())?;
        socket.recv(&mut datagram)
    });
    let length = asked.map_err(|e| trouble(&e))?;
    match transaction.read(&datagram[..length]) {
        Answer::Mapped(_) => Ok(()),
        other => panic!("{other:?}"),
    }
}
