//! The lab itself: what the servers play is what they say they play.

#![allow(clippy::unwrap_used)]

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use watchbell_lab::chain::Chain;
use watchbell_lab::client;
use watchbell_lab::dns::{Answer, DECOY_ADDRESS, Decoy, Dns};
use watchbell_lab::headscale::{Headscale, KEY, Misroute, OTHER_KEY, Speaks, State};
use watchbell_lab::port::Port;
use watchbell_lab::server::Gate;
use watchbell_lab::webhook::{Answers, Webhook};
use watchbell_lab::wire;

const CONNECT: Duration = Duration::from_millis(300);

fn connects(addr: SocketAddr) -> Result<(), ErrorKind> {
    TcpStream::connect_timeout(&addr, CONNECT)
        .map(drop)
        .map_err(|e| e.kind())
}

#[test]
fn a_port_stays_ours_open_refused_or_dropped() {
    use ErrorKind::{ConnectionRefused, TimedOut};
    let port = Port::reserve();
    for _ in 0..3 {
        assert_eq!(connects(port.addr), Err(ConnectionRefused));
        let listener = port.listen();
        assert_eq!(connects(port.addr), Ok(()));
        drop(listener);
        let dropping = port.drop_packets();
        assert_eq!(connects(port.addr), Err(TimedOut));
        drop(dropping);
    }
}

/// The number is handed to nobody else while it is held, listened to or not.
#[test]
fn a_reserved_port_is_given_to_nobody() {
    let takes = |addr: SocketAddr| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&addr.into()).map_err(|e| e.kind())
    };
    let port = Port::reserve();
    let addr = port.addr;
    assert_eq!(takes(addr), Err(ErrorKind::AddrInUse));
    drop(port.listen());
    assert_eq!(takes(addr), Err(ErrorKind::AddrInUse));
    drop(port);
    assert_eq!(takes(addr), Ok(()));
}

#[test]
fn a_gate_switches_and_comes_back() {
    let headscale = Headscale::start(Speaks::Http);
    let get = || wire::send(headscale.addr(), "GET", "/health", &[]);
    for gate in [Gate::Refused, Gate::Dropped, Gate::Refused] {
        assert_eq!(get().unwrap().status, 200);
        headscale.gate(gate);
        assert!(connects(headscale.addr()).is_err(), "{gate:?}");
        headscale.gate(Gate::Open);
    }
    assert_eq!(get().unwrap().status, 200);
    assert_eq!(headscale.requests("/health"), 4);
}

#[test]
fn headscale_answers_as_the_real_one() {
    let headscale = Headscale::start(Speaks::Http);
    let key = |k: &str| format!(r#""publicKey":"{k}""#);
    for (state, method, path, status, body) in [
        (
            State::Healthy,
            "GET",
            "/health",
            200,
            r#"{"status":"pass"}"#.to_owned(),
        ),
        (State::Healthy, "HEAD", "/health", 405, String::new()),
        (
            State::Healthy,
            "GET",
            "/key",
            400,
            "capability version must be set".into(),
        ),
        (State::Healthy, "GET", "/key?v=38", 200, String::new()),
        (State::Healthy, "GET", "/key?v=39", 200, key(KEY)),
        (State::Healthy, "GET", "/key?v=133", 200, key(KEY)),
        (
            State::Healthy,
            "GET",
            "/derp",
            426,
            "DERP requires connection upgrade".into(),
        ),
        (State::Healthy, "GET", "/derp/probe", 200, String::new()),
        (
            State::Healthy,
            "POST",
            "/ts2021",
            500,
            "Internal error".into(),
        ),
        (State::Healthy, "GET", "/nothing", 404, "not found".into()),
        (
            State::DatabaseDown,
            "GET",
            "/health",
            500,
            r#"{"status":"fail"}"#.into(),
        ),
        (State::DatabaseDown, "GET", "/key?v=133", 200, key(KEY)),
        (State::DerpDisabled, "GET", "/derp", 404, String::new()),
        (State::DerpDisabled, "GET", "/health", 200, "pass".into()),
        (State::DerpBlank, "GET", "/derp", 200, "<html>".into()),
        (State::Proxy(502), "GET", "/health", 502, String::new()),
        (
            State::KeyMisrouted(Misroute::NotFound),
            "GET",
            "/key?v=133",
            404,
            String::new(),
        ),
        (
            State::KeyMisrouted(Misroute::Page),
            "GET",
            "/key?v=133",
            200,
            "<html>".into(),
        ),
        (State::OtherKey, "GET", "/key?v=133", 200, key(OTHER_KEY)),
        (
            State::BlankEverything,
            "GET",
            "/nothing",
            200,
            "<html>".into(),
        ),
        (
            State::OldHealth,
            "GET",
            "/health",
            200,
            r#"{"healthy":"ok"}"#.into(),
        ),
        (State::Redirect, "GET", "/health", 302, String::new()),
    ] {
        headscale.state(state);
        // The answer to HEAD has no body, whatever its length says.
        if method == "HEAD" {
            let mut tcp = TcpStream::connect(headscale.addr()).unwrap();
            write!(tcp, "HEAD {path} HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
            let mut head = [0; 12];
            tcp.read_exact(&mut head).unwrap();
            assert_eq!(&head, format!("HTTP/1.1 {status}").as_bytes());
            continue;
        }
        let response = wire::send(headscale.addr(), method, path, &[]).unwrap();
        let text = String::from_utf8_lossy(&response.body).into_owned();
        assert_eq!(response.status, status, "{state:?} {method} {path}");
        assert!(text.contains(&body), "{state:?} {method} {path}: {text:?}");
    }
}

#[test]
fn an_exception_lasts_for_exactly_its_requests() {
    let headscale = Headscale::start(Speaks::Http);
    headscale.except("/health", State::DatabaseDown, 2);
    let status = |path| {
        wire::send(headscale.addr(), "GET", path, &[])
            .unwrap()
            .status
    };
    assert_eq!(status("/key?v=133"), 200);
    assert_eq!(
        [status("/health"), status("/health"), status("/health")],
        [500, 500, 200]
    );
}

#[test]
fn each_chain_is_wrong_in_its_one_way() {
    let headscale = Headscale::start(Speaks::Https(Chain::Valid));
    for (chain, host, fault) in [
        (Chain::Valid, "127.0.0.1", None),
        (Chain::Valid, "localhost", None),
        (Chain::Valid, "hs.lab.test", None),
        (Chain::DaysLeft(0), "127.0.0.1", None),
        (Chain::WrongOrder, "127.0.0.1", None),
        (Chain::Expired, "127.0.0.1", Some("expired")),
        (Chain::NotYetValid, "127.0.0.1", Some("not valid yet")),
        (Chain::WrongHost, "127.0.0.1", Some("not valid for name")),
        (Chain::SelfSigned, "127.0.0.1", Some("UnknownIssuer")),
        (Chain::UntrustedRoot, "127.0.0.1", Some("UnknownIssuer")),
        (
            Chain::MissingIntermediate,
            "127.0.0.1",
            Some("UnknownIssuer"),
        ),
    ] {
        headscale.speaks(Speaks::Https(chain));
        let result = client::ask(headscale.addr(), host, "GET", "/health");
        match fault {
            None => assert!(result.as_ref().is_ok_and(|r| r.status == 200), "{result:?}"),
            Some(fault) => {
                let error = result.unwrap_err();
                assert!(error.contains(fault), "{chain:?}: {error}");
            }
        }
    }
    let plain = {
        let mut tcp = TcpStream::connect(headscale.addr()).unwrap();
        tcp.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut text = String::new();
        let _ = tcp.read_to_string(&mut text);
        text
    };
    assert!(
        plain.contains("Client sent an HTTP request to an HTTPS server"),
        "{plain:?}"
    );
}

/// A query for the A record of `hs.lab.test`.
const QUERY: &[u8] =
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02hs\x03lab\x04test\x00\x00\x01\x00\x01";

fn ask(socket: &UdpSocket, dns: &Dns) -> Option<(Vec<u8>, SocketAddr)> {
    socket.send_to(QUERY, dns.addr()).unwrap();
    receive(socket)
}

fn receive(socket: &UdpSocket) -> Option<(Vec<u8>, SocketAddr)> {
    let mut buffer = [0; 2048];
    let (n, from) = socket.recv_from(&mut buffer).ok()?;
    Some((buffer[..n].to_vec(), from))
}

#[test]
fn dns_answers_as_told() {
    let ip = IpAddr::V4(Ipv4Addr::new(127, 1, 2, 3));
    let ends = |with: [u8; 4]| move |m: &[u8]| m.ends_with(&with);
    let rcode = |r: u8| move |m: &[u8]| m[3] & 15 == r && m[7] == 0;
    type Fits = Box<dyn Fn(&[u8]) -> bool>;
    let tests: [(Answer, Fits); 8] = [
        (Answer::Addresses(vec![ip]), Box::new(ends([127, 1, 2, 3]))),
        (Answer::NxDomain, Box::new(rcode(3))),
        (Answer::NoData, Box::new(rcode(0))),
        (Answer::ServFail, Box::new(rcode(2))),
        (
            Answer::Truncated(vec![ip]),
            Box::new(|m| m[2] & 2 == 2 && m[7] == 0),
        ),
        (Answer::Aliases(3, vec![ip]), Box::new(|m| m[7] == 4)),
        (Answer::AliasLoop, Box::new(|m| m[7] == 1)),
        (Answer::Garbage, Box::new(|m| m == [0xff; 7])),
    ];
    let dns = Dns::start(Answer::Silent);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(CONNECT)).unwrap();
    assert!(ask(&socket, &dns).is_none(), "silent");
    for (answer, fits) in tests {
        dns.answer(answer.clone());
        let (message, from) = ask(&socket, &dns).unwrap();
        assert!(fits(&message), "{answer:?}: {message:02x?}");
        assert_eq!(from, dns.addr());
    }
    dns.answer(Answer::Truncated(vec![ip]));
    let mut tcp = TcpStream::connect(dns.addr()).unwrap();
    tcp.write_all(&[0, QUERY.len() as u8]).unwrap();
    tcp.write_all(QUERY).unwrap();
    let mut length = [0; 2];
    tcp.read_exact(&mut length).unwrap();
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    tcp.read_exact(&mut message).unwrap();
    assert!(message.ends_with(&[127, 1, 2, 3]), "whole over TCP");
    assert_eq!(dns.queries(), (9, 1));
}

#[test]
fn a_decoy_comes_first_and_the_truth_after_it() {
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let IpAddr::V4(lie) = DECOY_ADDRESS else {
        panic!("the decoy is IPv4");
    };
    let dns = Dns::start(Answer::Addresses(vec![ip]));
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(CONNECT)).unwrap();
    for decoy in [
        Decoy::WrongId,
        Decoy::WrongQuestion,
        Decoy::WrongOwner,
        Decoy::OtherPort,
    ] {
        dns.decoy(Some(decoy));
        let (first, from) = ask(&socket, &dns).unwrap();
        let (second, _) = receive(&socket).unwrap();
        assert!(second.ends_with(&[127, 0, 0, 1]), "{decoy:?}");
        assert_eq!(from == dns.addr(), decoy != Decoy::OtherPort);
        assert_eq!(first[..2] == QUERY[..2], decoy != Decoy::WrongId);
        if decoy != Decoy::WrongQuestion {
            assert!(first.ends_with(&lie.octets()), "{decoy:?}: {first:02x?}");
        }
    }
}

#[test]
#[should_panic(expected = "verifying delivery")]
fn a_delivery_with_a_wrong_signature_is_a_fault() {
    let webhook = Webhook::start();
    post(&webhook, "v1,AAAA");
    webhook.wait_until("a delivery", |all| !all.is_empty());
}

#[test]
#[should_panic(expected = "no header")]
fn an_unsigned_delivery_is_a_fault() {
    let webhook = Webhook::start();
    webhook.answers(Answers::Status(500));
    let url = webhook.url();
    let addr: SocketAddr = url.split('/').nth(2).unwrap().parse().unwrap();
    assert_eq!(wire::send(addr, "POST", "/hook", &[]).unwrap().status, 500);
    webhook.wait_until("a delivery", |all| !all.is_empty());
}

fn post(webhook: &Webhook, signature: &str) {
    let url = webhook.url();
    let addr: SocketAddr = url.split('/').nth(2).unwrap().parse().unwrap();
    let headers = [
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", "1"),
        ("webhook-signature", signature),
    ];
    wire::send(addr, "POST", "/hook", &headers).unwrap();
}
