//! What goes over the wire in each state.

use std::io;
use std::time::Duration;

use super::{KEY, Misroute, OTHER_KEY, State};
use crate::wire::{Request, Response, Stream};

/// What Go's server says to plain HTTP on its TLS port.
pub const HTTP_TO_HTTPS: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
const ZERO_KEY: &str = "mkey:0000000000000000000000000000000000000000000000000000000000000000";
const HEALTH_JSON: &str = "application/health+json; charset=utf-8";
/// What v0.28 answers to every path.
const BLANK: &str = "<!DOCTYPE html>\n<html><head></head><body></body></html>\n";
const PAGE: &str = "<!DOCTYPE html><html><title>Welcome</title><body>Sign in</body></html>";
const TRICKLE: Duration = Duration::from_secs(1);

pub fn write(
    stream: &mut dyn Stream,
    state: State,
    request: &Request,
    path: &str,
) -> io::Result<()> {
    match state {
        // Held until the client gives up.
        State::Hung | State::Stalled => until_closed(stream),
        State::DerpHangs if path == "/derp" => until_closed(stream),
        State::Closes => Ok(()),
        State::SlowProxy(status, after_ms) => {
            std::thread::sleep(Duration::from_millis(after_ms));
            stream.write_all(&answer(State::Proxy(status), request, path).to_bytes())
        }
        State::Garbage => stream.write_all(b"\x00\xff\x13SSH-2.0-garbage\r\n\r\n"),
        State::Trickle => {
            for byte in answer(State::Healthy, request, path).to_bytes() {
                stream.write_all(&[byte])?;
                stream.flush()?;
                std::thread::sleep(TRICKLE);
            }
            Ok(())
        }
        State::EndlessBody => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")?;
            endless(stream, &[b' '; 16_384])
        }
        State::EndlessHeaders => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            endless(
                stream,
                format!("X-Filler: {}\r\n", "x".repeat(8_000)).as_bytes(),
            )
        }
        _ => stream.write_all(&answer(state, request, path).to_bytes()),
    }?;
    stream.flush()
}

fn answer(state: State, request: &Request, path: &str) -> Response {
    match state {
        State::Proxy(status) => Response::new(status, "text/html", "<html>Bad Gateway</html>"),
        State::HttpToHttps => text(400, "Client sent an HTTP request to an HTTPS server.\n"),
        State::EmptyEverything => bare(200),
        State::BlankEverything => Response::new(200, "text/html; charset=utf-8", BLANK),
        State::FailingEverything => text(500, "Internal Server Error"),
        State::Redirect => text(302, "").with("Location", "/login"),
        _ => match path {
            "/health" if request.method == "GET" => health(state),
            "/health" => bare(405),
            "/key" => key(state, &request.path),
            "/derp" => derp(state, request),
            "/derp/probe" | "/derp/latency-check" if state != State::DerpDisabled => {
                bare(200).with("Access-Control-Allow-Origin", "*")
            }
            "/ts2021" => control(request),
            "/version" => Response::new(200, "application/json", r#"{"version":"v0.29.2"}"#),
            _ => text(404, "404 page not found"),
        },
    }
}

fn health(state: State) -> Response {
    match state {
        State::DatabaseDown => Response::new(500, HEALTH_JSON, r#"{"status":"fail"}"#),
        State::OldHealth => Response::new(200, "application/json", r#"{"healthy":"ok"}"#),
        _ => Response::new(200, HEALTH_JSON, r#"{"status":"pass"}"#),
    }
}

fn key(state: State, path_and_query: &str) -> Response {
    let version = path_and_query
        .split_once("?v=")
        .and_then(|(_, v)| v.parse::<u32>().ok());
    let public = match state {
        State::KeyMisrouted(Misroute::NotFound) => return text(404, "404 page not found"),
        State::KeyMisrouted(Misroute::BadGateway) => {
            return Response::new(502, "text/html", "<html>Bad Gateway</html>");
        }
        State::KeyMisrouted(Misroute::Page) => return Response::new(200, "text/html", PAGE),
        State::OtherKey => OTHER_KEY,
        State::ZeroKey => ZERO_KEY,
        _ => KEY,
    };
    match version {
        None => text(400, "capability version must be set"),
        // Clients that old are answered with nothing.
        Some(..39) => bare(200),
        Some(_) => Response::new(
            200,
            "application/json",
            format!(r#"{{"legacyPublicKey":"{ZERO_KEY}","publicKey":"{public}"}}"#),
        ),
    }
}

fn derp(state: State, request: &Request) -> Response {
    match state {
        State::DerpDisabled => text(404, "404 page not found"),
        State::DerpBlank => Response::new(200, "text/html; charset=utf-8", BLANK),
        _ if request.header("upgrade").is_none() => {
            Response::new(426, "text/plain", "DERP requires connection upgrade")
        }
        // The relay's own protocol is not played: no check of this issue speaks it.
        _ => text(501, "the lab does not relay"),
    }
}

fn control(request: &Request) -> Response {
    match request.header("upgrade") {
        None => text(500, "Internal error"),
        Some("tailscale-control-protocol") => text(400, "missing Tailscale handshake header"),
        Some("websocket") => text(405, "Method Not Allowed"),
        Some(_) => text(400, "unknown next protocol"),
    }
}

fn bare(status: u16) -> Response {
    Response {
        status,
        headers: Vec::new(),
        body: Vec::new(),
    }
}

fn text(status: u16, body: &str) -> Response {
    Response::new(status, "text/plain; charset=utf-8", body)
}

fn until_closed(stream: &mut dyn Stream) -> io::Result<()> {
    let mut sink = [0; 1024];
    while stream.read(&mut sink)? > 0 {}
    Ok(())
}

/// Ends when the client hangs up.
fn endless(stream: &mut dyn Stream, piece: &[u8]) -> io::Result<()> {
    loop {
        stream.write_all(piece)?;
    }
}
