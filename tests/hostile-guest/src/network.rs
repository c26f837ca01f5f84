//! Reaching out, and what the host says to it, code by code.

use std::net::SocketAddr;

use wasi::clocks::monotonic_clock::subscribe_duration;
use wasi::http::outgoing_handler::{self, OutgoingRequest};
use wasi::http::types::{Fields, FutureIncomingResponse, IncomingResponse, Scheme};
use wasi::sockets::instance_network::instance_network;
use wasi::sockets::ip_name_lookup::resolve_addresses;
use wasi::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use wasi::sockets::tcp_create_socket::create_tcp_socket;
use wasi::sockets::udp::OutgoingDatagram;
use wasi::sockets::udp_create_socket::create_udp_socket;

/// The status, or the code; a refusal that comes before there is a future says so.
pub fn http(url: &str) -> String {
    match get(url) {
        Ok(response) => response.status().to_string(),
        Err(why) => why,
    }
}

/// As [`http`], and the body.
pub fn fetch(url: &str) -> String {
    let response = match get(url) {
        Ok(response) => response,
        Err(why) => return why,
    };
    let mut bytes = Vec::new();
    if let Ok(body) = response.consume()
        && let Ok(stream) = body.stream()
    {
        while let Ok(chunk) = stream.blocking_read(4_096) {
            bytes.extend_from_slice(&chunk);
        }
    }
    format!("{} {}", response.status(), String::from_utf8_lossy(&bytes))
}

/// How often there was a status, and what there was instead when there was none.
pub fn flood(argument: &str) -> String {
    let (times, url) = argument.split_once(':').unwrap_or_default();
    let times: usize = times.parse().unwrap_or_default();
    for answered in 0..times {
        if let Err(why) = get(url) {
            return format!("{answered}, then {why}");
        }
    }
    times.to_string()
}

/// Goes without the answer.
pub fn leave(argument: &str) -> String {
    let (ms, url) = argument.split_once(':').unwrap_or_default();
    let ms: u64 = ms.parse().unwrap_or_default();
    match send(url) {
        Ok(_future) => {
            subscribe_duration(ms * 1_000_000).block();
            "left".to_owned()
        }
        Err(why) => why,
    }
}

fn get(url: &str) -> Result<IncomingResponse, String> {
    let future = send(url)?;
    future.subscribe().block();
    match future.get() {
        Some(Ok(Ok(response))) => Ok(response),
        Some(Ok(Err(code))) => Err(format!("{code:?}")),
        other => Err(format!("{other:?}")),
    }
}

fn send(url: &str) -> Result<FutureIncomingResponse, String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let scheme = match scheme {
        "https" => Scheme::Https,
        _ => Scheme::Http,
    };
    let request = OutgoingRequest::new(Fields::new());
    request
        .set_scheme(Some(&scheme))
        .and_then(|()| request.set_authority(Some(authority)))
        .and_then(|()| request.set_path_with_query(Some(&format!("/{path}"))))
        .map_err(|()| format!("no URL: {url:?}"))?;
    outgoing_handler::handle(request, None).map_err(|code| format!("at once: {code:?}"))
}

pub fn tcp(address: &str) -> String {
    word(
        address
            .parse()
            .map_err(|_| ErrorCode::InvalidArgument)
            .and_then(|address| {
                let socket = create_tcp_socket(IpAddressFamily::Ipv4)?;
                socket.start_connect(&instance_network(), to_host(address))?;
                socket.subscribe().block();
                socket.finish_connect().map(|_| "connected")
            }),
    )
}

pub fn listen() -> String {
    let listening = || {
        let socket = create_tcp_socket(IpAddressFamily::Ipv4)?;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.start_bind(&instance_network(), to_host(any))?;
        socket.subscribe().block();
        socket.finish_bind()?;
        socket.start_listen()?;
        socket.subscribe().block();
        socket.finish_listen().map(|()| "listens")
    };
    word(listening())
}

pub fn udp(address: &str) -> String {
    word(
        address
            .parse()
            .map_err(|_| ErrorCode::InvalidArgument)
            .and_then(|address| {
                let socket = create_udp_socket(IpAddressFamily::Ipv4)?;
                let any = SocketAddr::from(([0, 0, 0, 0], 0));
                socket.start_bind(&instance_network(), to_host(any))?;
                socket.subscribe().block();
                socket.finish_bind()?;
                let (_incoming, outgoing) = socket.stream(Some(to_host(address)))?;
                while outgoing.check_send()? == 0 {
                    outgoing.subscribe().block();
                }
                let datagram = OutgoingDatagram {
                    data: b"hostile".to_vec(),
                    remote_address: None,
                };
                outgoing.send(&[datagram]).map(|_| "sent")
            }),
    )
}

pub fn lookup(name: &str) -> String {
    let found = || {
        let stream = resolve_addresses(&instance_network(), name)?;
        loop {
            match stream.resolve_next_address() {
                Err(ErrorCode::WouldBlock) => stream.subscribe().block(),
                Ok(Some(_)) => return Ok("resolved"),
                Ok(None) => return Ok("nothing"),
                Err(code) => return Err(code),
            }
        }
    };
    word(found())
}

fn word(result: Result<&'static str, ErrorCode>) -> String {
    match result {
        Ok(word) => word.to_owned(),
        Err(code) => code.name().to_owned(),
    }
}

fn to_host(address: SocketAddr) -> IpSocketAddress {
    let [a, b, c, d] = match address {
        SocketAddr::V4(v4) => v4.ip().octets(),
        // No act of ours goes there.
        SocketAddr::V6(_) => [0; 4],
    };
    IpSocketAddress::Ipv4(Ipv4SocketAddress {
        port: address.port(),
        address: (a, b, c, d),
    })
}
