//! Headscale's own protocols against true servers: two releases of Headscale, derper, and
//! three proxies in every right and wrong way (`docs/proxies.md`).
//!
//! The times that are printed (`--nocapture`) are measured and not asserted.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use watchbell_core::diagnosis::{Failure, Role, Seen, diagnose};
use watchbell_lab::command::{Answer, check};
use watchbell_lab::headscale::KEY;
use watchbell_lab::manifest::{Changes, PATIENT};
use watchbell_lab::real::{Derper, Headscale, Options, Proxy, Release, WAYS};
use watchbell_lab::scenario::{Lab, Setup, alert, expect_opened, on_each_host};
use watchbell_lab::server::Server;
use watchbell_lab::skip::skip;
use watchbell_lab::stun::Stun;
use watchbell_lab::wasm::REPOSITORY;
use watchbell_protocol::Buffered;
use watchbell_protocol::control::{self, ServerKey};
use watchbell_protocol::derp::server as relay;
use watchbell_protocol::noise::server as noise;

/// One run of the shipped check against a server, with STUN asked for.
fn run(id: &str, at: SocketAddr, stun: SocketAddr, more: &[(&'static str, &str)]) -> Value {
    let changes = Changes {
        pace: PATIENT,
        variables: vec![("stun", "presence", "required".to_owned())],
        ..Changes::default()
    };
    let mut variables = vec![
        ("headscale_host", "127.0.0.1".to_owned()),
        ("headscale_port", at.port().to_string()),
        ("headscale_stun_port", stun.port().to_string()),
        ("headscale_derp", "required".to_owned()),
    ];
    variables.extend(more.iter().map(|(n, v)| (*n, (*v).to_owned())));
    let answer: Answer = check(id, true, &changes, &variables);
    answer.json()
}

fn well(id: &str, at: SocketAddr, stun: SocketAddr) -> Value {
    let json = run(id, at, stun, &[]);
    assert_eq!(json["status"], "up", "{id}: {json:#}");
    json["facts"].clone()
}

fn needing_programs(test: &str, scenario: impl FnOnce() -> Result<(), String>) {
    if let Err(why) = scenario() {
        skip(test, &why);
    }
}

// ------------------------------------------------------------ true servers

/// Both releases, with and without client verification (which v0.26 does not have). Nothing is left behind: no row in
/// any table, no complaint in the log.
#[test]
fn true_headscales_are_well() {
    needing_programs("true_headscales_are_well", || {
        for (release, verify_clients) in [
            (Release::V0_29, false),
            (Release::V0_29, true),
            (Release::V0_26, false),
        ] {
            let options = Options {
                release,
                verify_clients,
                ..Options::default()
            };
            true_headscale_is_well(&options)?;
        }
        Ok(())
    });
}

fn true_headscale_is_well(options: &Options) -> Result<(), String> {
    let headscale = Headscale::start_with(options)?;
    let (at, stun) = (headscale.addr(), headscale.stun());
    let (rows, complaints) = (headscale.rows(), headscale.complaints());
    let control = well("control", at, stun);
    assert_eq!(headscale.rows(), rows, "a check leaves nothing behind");
    assert_eq!(headscale.complaints(), complaints, "nothing to complain of");
    assert_eq!(control["early_payload"], true, "{control:#}");
    assert_eq!(
        control["server_version"].is_string(),
        options.release == Release::V0_29,
        "{control:#}"
    );
    let relay = well("relay", at, stun);
    assert_eq!(
        relay["verifies_clients"], options.verify_clients,
        "{relay:#}"
    );
    let stun = well("stun", at, stun);
    assert_eq!(headscale.rows(), rows, "a check leaves nothing behind");
    println!(
        "{:?}, verify_clients {}: control {control}, relay {relay}, stun {stun}; complaints {:?}",
        options.release,
        options.verify_clients,
        headscale.complaints()
    );
    Ok(())
}

/// Bound as the example configuration has it, the relay gives IPv4 inside IPv6.
#[test]
fn true_stun_on_every_address_gives_ipv4() {
    needing_programs("true_stun_on_every_address_gives_ipv4", || {
        let headscale = Headscale::start_with(&Options {
            stun_ip: Ipv4Addr::UNSPECIFIED,
            ..Options::default()
        })?;
        let facts = well("stun", headscale.addr(), headscale.stun());
        let mapped = facts["mapped_addresses"][0].as_str().unwrap();
        let mapped: SocketAddr = mapped.parse().unwrap();
        assert_eq!(mapped.ip(), Ipv4Addr::LOCALHOST, "{facts:#}");
        Ok(())
    });
}

#[test]
fn true_derper_is_well() {
    needing_programs("true_derper_is_well", || {
        let derper = Derper::start()?;
        let relay = well("relay", derper.addr(), derper.stun());
        assert_eq!(relay["verifies_clients"], false, "{relay:#}");
        let stun = well("stun", derper.addr(), derper.stun());
        println!("derper: relay {relay}, stun {stun}");
        // It answers everything that it does not know with a page: no control server.
        let control = run("control", derper.addr(), derper.stun(), &[]);
        assert_eq!(control["reason"], "no-key", "{control:#}");
        Ok(())
    });
}

/// A version that no server of today takes is told apart from another key.
#[test]
fn true_headscale_refuses_a_client_of_long_ago() {
    needing_programs("true_headscale_refuses_a_client_of_long_ago", || {
        let headscale = Headscale::start_with(&Options::default())?;
        let changes = Changes {
            pace: PATIENT,
            variables: vec![("control", "capability_version", "90".to_owned())],
            ..Changes::default()
        };
        let variables = [
            ("headscale_host", "127.0.0.1".to_owned()),
            ("headscale_port", headscale.addr().port().to_string()),
        ];
        let json = check("control", true, &changes, &variables).json();
        assert_eq!(json["reason"], "version-refused", "{json:#}");
        Ok(())
    });
}

// ------------------------------------------------------------ proxies

/// The checks that a proxy comes before: those over the host's HTTP, and over sockets.
const PROXIED: [(&str, Role, bool); 5] = [
    ("health", Role::Health, true),
    ("key", Role::Key, true),
    ("derp", Role::Derp, true),
    ("control", Role::Control, false),
    ("relay", Role::Derp, false),
];

/// Each row of the table in `docs/proxies.md`, as the shipped checks see it.
#[test]
fn true_proxies_are_as_the_table_says() {
    needing_programs("true_proxies_are_as_the_table_says", || {
        let docs = std::fs::read_to_string(REPOSITORY.join("docs/proxies.md")).unwrap();
        let ours = Headscale::start_with(&Options::default())?;
        let other = Headscale::start_with(&Options::default())?;
        let mut missing = Vec::new();
        for way in WAYS {
            let proxy = Proxy::start(way, ours.addr(), other.addr())?;
            let row = format!(
                "| {} | {} | {} |",
                way.program.name(),
                way.words,
                outcomes(proxy.addr(), ours.stun()).join(" | ")
            );
            println!("{row}");
            if !docs.contains(&row) {
                missing.push(row);
            }
        }
        assert!(missing.is_empty(), "not in docs/proxies.md: {missing:#?}");
        Ok(())
    });
}

/// What each check says, and the cause that the evidence gives.
fn outcomes(at: SocketAddr, stun: SocketAddr) -> Vec<String> {
    let mut seen = vec![Seen {
        role: Role::Port,
        http: false,
        failing: None,
    }];
    let mut words = Vec::new();
    for (id, role, http) in PROXIED {
        let json = run(id, at, stun, &[]);
        let failing = (json["status"] == "failed").then(|| Failure {
            kind: serde_json::from_value(json["kind"].clone()).unwrap(),
            reason: json["reason"].as_str().map(str::to_owned),
            http_status: json["facts"]["http_status"].as_u64().map(|s| s as u16),
        });
        words.push(match &failing {
            None => "up".to_owned(),
            Some(failure) => {
                let mut word = failure.kind.as_str().to_owned();
                if let Some(status) = failure.http_status {
                    word.push_str(&format!(" {status}"));
                }
                if let Some(reason) = &failure.reason {
                    word.push_str(&format!(" `{reason}`"));
                }
                word
            }
        });
        seen.push(Seen {
            role,
            http,
            failing,
        });
    }
    let failing = seen.iter().any(|s| s.failing.is_some());
    words.push(match diagnose(&seen) {
        Some(cause) => format!("`{}`", cause.id),
        None if failing => "none".to_owned(),
        None => String::new(),
    });
    words
}

/// The classic, end to end: one message, with the cause, while `/health` and `/key` are well.
#[test]
fn true_nginx_that_strips_upgrade_is_one_message() {
    const TEST: &str = "true_nginx_that_strips_upgrade_is_one_message";
    on_each_host(TEST, |host| {
        needing_programs(TEST, || {
            let headscale = Headscale::start_with(&Options::default())?;
            let strips = WAYS.iter().find(|w| w.words == "does not pass `Upgrade`");
            let proxy = Proxy::start(strips.unwrap(), headscale.addr(), headscale.addr())?;
            let setup = Setup {
                variables: vec![("headscale_port", proxy.addr().port().to_string())],
                ..Setup::default()
            };
            let lab = Lab::open(host, setup);
            lab.webhook.wait_for(1);
            lab.wait_for_probes(2);
            let stripped = ["control", "relay"]
                .map(|check| alert(check, "protocol").because("upgrade-stripped"));
            expect_opened("control-protocol", &lab.webhook.messages(), &stripped);
            Ok(())
        });
    });
}

// ------------------------------------------------------------ STUN that is wrong

/// A server that answers every datagram with what `answer` makes of it.
fn answering(answer: fn(&[u8]) -> Vec<u8>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut datagram = [0; 1500];
        // Ends with the process.
        while let Ok((length, from)) = socket.recv_from(&mut datagram) {
            let _ = socket.send_to(&answer(&datagram[..length]), from);
        }
    });
    at
}

#[test]
fn stun_says_what_is_wrong() {
    let stun = Stun::start();
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
    assert_eq!(run("stun", nowhere, stun.addr(), &[])["status"], "up");
    stun.silent(true);
    let silent = run("stun", nowhere, stun.addr(), &[]);
    assert_eq!(silent["kind"], "timeout", "{silent:#}");
    assert!(
        silent["detail"].as_str().unwrap().contains("requests"),
        "several: {silent:#}"
    );
    let closed = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let refused = run("stun", nowhere, closed, &[]);
    assert_eq!(refused["kind"], "connect-refused", "{refused:#}");
    for (answer, kind, part) in [
        // Its own request comes back, and then garbage.
        (
            <[u8]>::to_vec as fn(&[u8]) -> Vec<u8>,
            "timeout",
            "other datagrams",
        ),
        (|_| b"garbage".to_vec(), "timeout", "other datagrams"),
        (
            |request| {
                let mut answer = request.to_vec();
                answer[0] = 1;
                answer[1] = 1;
                answer
            },
            "protocol",
            "FINGERPRINT",
        ),
    ] {
        let json = run("stun", nowhere, answering(answer), &[]);
        assert_eq!(json["kind"], kind, "{json:#}");
        assert!(json["detail"].as_str().unwrap().contains(part), "{json:#}");
    }
}

/// Out of the box nobody asks for a relay: where there is none, its STUN is no failure.
#[test]
fn stun_that_was_never_there_is_no_failure() {
    let closed = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let changes = Changes {
        pace: PATIENT,
        variables: vec![("stun", "presence", "auto".to_owned())],
        ..Changes::default()
    };
    let variables = [
        ("headscale_host", "127.0.0.1".to_owned()),
        ("headscale_stun_port", closed.port().to_string()),
    ];
    let json = check("stun", true, &changes, &variables).json();
    assert_eq!(json["status"], "up", "{json:#}");
    assert!(
        json["detail"].as_str().unwrap().starts_with("not offered"),
        "{json:#}"
    );
}

// ------------------------------------------------------------ behind a balancer

/// A server for each of these private keys, asked in turn: `/key` gives one, and `/ts2021`
/// answers for it.
fn in_turn(keys: &'static [[u8; 32]]) -> Server {
    let asked = AtomicUsize::new(0);
    Server::start(move |mut stream| {
        let Some((path, text)) = request_text(&mut stream) else {
            return;
        };
        let answer = match path.as_str() {
            "/key" => {
                let turn = asked.fetch_add(1, Ordering::SeqCst) % keys.len();
                let key = ServerKey(noise::public(&keys[turn]));
                let body = format!("{{\"publicKey\":\"{key}\"}}");
                let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length:";
                format!("{head} {}\r\n\r\n{body}", body.len()).into_bytes()
            }
            _ => {
                let header = text
                    .lines()
                    .find_map(|l| l.strip_prefix("X-Tailscale-Handshake: "));
                let initiation = STANDARD.decode(header.unwrap_or_default()).unwrap();
                let mut all =
                    b"HTTP/1.1 101 S\r\nUpgrade: tailscale-control-protocol\r\n\r\n".to_vec();
                let answered = keys.iter().find_map(|k| noise::respond(k, &initiation));
                let Some((answer, mut transport)) = answered else {
                    return;
                };
                all.extend(answer);
                let mut record = Buffered::new(Vec::new());
                transport.write(&mut record, &control::early()).unwrap();
                all.append(record.stream_mut());
                all
            }
        };
        let _ = stream.write_all(&answer);
    })
}

/// One changed key is a lost one; two that come in turn are two servers.
#[test]
fn keys_in_turn_are_no_lost_key() {
    let pinned = format!("mkey:{}", "0a".repeat(32));
    for (keys, reason) in [
        (&[[1; 32]][..], "key-changed"),
        (&[[1; 32], [2; 32]][..], "split-backends"),
    ] {
        let server = in_turn(keys);
        let more = [
            ("headscale_scheme", "http"),
            ("headscale_public_key", &pinned),
        ];
        let json = run("control", server.addr(), server.addr(), &more);
        assert_eq!(json["reason"], reason, "{json:#}");
    }
}

/// A proxy that passes `/derp` and nothing below it: a relay that is there, and half served.
#[test]
fn a_probe_path_that_is_missing_is_not_a_relay_that_is() {
    let server = Server::start(|mut stream| {
        let Some((path, _)) = request_text(&mut stream) else {
            return;
        };
        let mut answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec();
        if path == "/derp" {
            answer = b"HTTP/1.1 101 S\r\nUpgrade: DERP\r\n\r\n".to_vec();
            answer.extend(relay::greeting(&[5; 32]));
        }
        let _ = stream.write_all(&answer);
        let mut sink = [0; 1024];
        while matches!(stream.read(&mut sink), Ok(n) if n > 0) {}
    });
    let http = ("headscale_scheme", "http");
    let json = run(
        "relay",
        server.addr(),
        server.addr(),
        &[http, ("headscale_derp", "auto")],
    );
    assert_eq!(json["kind"], "status", "{json:#}");
    assert_eq!(json["facts"]["http_status"], 404, "{json:#}");
    assert!(json["facts"]["relay_key"].is_string(), "{json:#}");
}

// ------------------------------------------------------------ hostile servers

/// What a server says after it has upgraded. The scheme is http: nothing here is about TLS.
fn after_upgrade(bytes: Vec<u8>) -> Server {
    Server::start(move |mut stream| {
        let Some(path) = request(&mut stream) else {
            return;
        };
        let whole = |body: &str| {
            format!(
                "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        let upgrade = |to: &str| format!("HTTP/1.1 101 Switching\r\nUpgrade: {to}\r\n\r\n");
        let head = match path.as_str() {
            "/derp/probe" => whole(""),
            "/derp" => upgrade("DERP"),
            "/ts2021" => upgrade("tailscale-control-protocol"),
            _ => whole(&format!("{{\"publicKey\":\"{KEY}\"}}")),
        };
        let upgraded = head.contains(" 101 ");
        if stream.write_all(head.as_bytes()).is_err() || !upgraded {
            return;
        }
        // For ever, until the client has enough.
        while stream.write_all(&bytes).is_ok() && !bytes.is_empty() {}
        let mut sink = [0; 1024];
        while matches!(stream.read(&mut sink), Ok(n) if n > 0) {}
    })
}

fn request(stream: &mut TcpStream) -> Option<String> {
    request_text(stream).map(|(path, _)| path)
}

/// The path, and the whole head.
fn request_text(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        text.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    let target = text.split(' ').nth(1)?;
    Some((target.split('?').next()?.to_owned(), text.clone()))
}

/// Silence, garbage, frames of 4 GiB, and frames without end: the deadline holds, what is
/// kept is bounded, and the outcome says what came.
#[test]
fn hostile_servers_are_told() {
    let frame = |kind: u8, length: u32, content: &[u8]| {
        [&[kind][..], &length.to_be_bytes(), content].concat()
    };
    let endless = frame(0x77, 60_000, &vec![0; 60_000]);
    for (what, bytes, id, kind, part) in [
        ("silence", vec![], "control", "timeout", "Noise handshake"),
        ("silence", vec![], "relay", "timeout", "relay's key"),
        (
            "garbage",
            b"garbage! ".to_vec(),
            "control",
            "protocol",
            "Noise handshake",
        ),
        (
            "garbage",
            b"garbage! ".to_vec(),
            "relay",
            "protocol",
            "relay's key",
        ),
        (
            "64 KiB announced",
            vec![2, 0xff, 0xff],
            "control",
            "protocol",
            "a message of 65535 bytes",
        ),
        (
            "4 GiB announced",
            frame(1, u32::MAX, b""),
            "relay",
            "protocol",
            "a frame of 4294967295 bytes",
        ),
        (
            "frames without end",
            endless,
            "relay",
            "protocol",
            "type 0x77",
        ),
    ] {
        let server = after_upgrade(bytes);
        let at = server.addr();
        let json = run(id, at, at, &[("headscale_scheme", "http")]);
        assert_eq!(json["kind"], kind, "{what}: {json:#}");
        assert!(
            json["detail"].as_str().unwrap().contains(part),
            "{what}: {json:#}"
        );
        let took = json["duration_ms"].as_u64().unwrap();
        println!("{what}, {id}: {kind} after {took} ms");
    }
}
