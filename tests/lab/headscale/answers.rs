//! What goes over the wire in each state.

use std::io;
use std::time::Duration;

use super::upgraded::{self, Manner};
use super::{KEY, Misroute, OTHER_KEY, OTHER_PRIVATE, PRIVATE, State};
use crate::wire::{Request, Response, Stream};

/// What Go's server says to plain HTTP on its TLS port.
pub const HTTP_TO_HTTPS: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
const ZERO_KEY: &str = "mkey:0000000000000000000000000000000000000000000000000000000000000000";
const HEALTH_JSON: &str = "application/health+json; charset=utf-8";
/// What v0.28 answers to every path.
const BLANK: &str = "<!DOCTYPE html>\n<html><head></head><body></body></html>\n";
const PAGE: &str = "<!DOCTYPE html><html><title>Welcome</title><body>Sign in</body></html>";
/// Above what the check passes for.
const NEWER: u16 = 200;
const TRICKLE: Duration = Duration::from_secs(1);

/// What a request is answered with.
pub enum Reply {
    Response(Response),
    /// The control protocol, with that private key, for clients from that version on.
    Control(&'static [u8; 32], u16),
    Relay(Manner),
}

/// A response as the state lets it out.
pub fn write(
    stream: &mut dyn Stream,
    state: State,
    response: &Response,
    path: &str,
) -> io::Result<()> {
    match state {
        // Held until the client gives up.
        State::Hung | State::Stalled => until_closed(stream),
        State::ForcedWebsocket if path == "/derp" && response.status != 101 => until_closed(stream),
        State::Closes => Ok(()),
        State::SlowProxy(_, after_ms) => {
            std::thread::sleep(Duration::from_millis(after_ms));
            stream.write_all(&response.to_bytes())
        }
        State::Garbage => stream.write_all(b"\x00\xff\x13SSH-2.0-garbage\r\n\r\n"),
        State::Trickle => {
            for byte in response.to_bytes() {
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
        _ => stream.write_all(&response.to_bytes()),
    }?;
    stream.flush()
}

pub fn answer(state: State, request: &Request, path: &str) -> Reply {
    Reply::Response(match state {
        State::Proxy(status) | State::SlowProxy(status, _) => {
            Response::new(status, "text/html", "<html>Bad Gateway</html>")
        }
        State::HttpToHttps => text(400, "Client sent an HTTP request to an HTTPS server.\n"),
        // Whatever is sent instead of an answer, it is not an upgrade.
        State::EmptyEverything
        | State::Hung
        | State::Stalled
        | State::Closes
        | State::Garbage
        | State::EndlessBody
        | State::EndlessHeaders => bare(200),
        State::BlankEverything => Response::new(200, "text/html; charset=utf-8", BLANK),
        State::FailingEverything => text(500, "Internal Server Error"),
        State::Redirect => text(302, "").with("Location", "/login"),
        _ => match path {
            "/health" if request.method == "GET" => health(state),
            "/health" => bare(405),
            "/key" => key(state, &request.path),
            "/derp" => return derp(state, request),
            "/derp/probe" | "/derp/latency-check" => probe(state),
            "/ts2021" => return control(state, request),
            "/version" => Response::new(200, "application/json", r#"{"version":"v0.29.2"}"#),
            _ => text(404, "404 page not found"),
        },
    })
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

fn derp(state: State, request: &Request) -> Reply {
    let upgrade = request.header("upgrade");
    Reply::Response(match state {
        State::DerpDisabled => text(404, "404 page not found"),
        State::DerpBlank => Response::new(200, "text/html; charset=utf-8", BLANK),
        State::DerpMute if upgrade == Some("DERP") => return Reply::Relay(Manner::Mute),
        _ if upgrade == Some("DERP") && state != State::UpgradeStripped => {
            return Reply::Relay(Manner::Carries);
        }
        _ => Response::new(426, "text/plain", "DERP requires connection upgrade"),
    })
}

fn probe(state: State) -> Response {
    match state {
        State::DerpDisabled => text(404, "404 page not found"),
        State::DerpBlank => Response::new(200, "text/html; charset=utf-8", BLANK),
        _ => bare(200).with("Access-Control-Allow-Origin", "*"),
    }
}

fn control(state: State, request: &Request) -> Reply {
    if upgraded::is_control(request) {
        match state {
            State::UpgradeStripped | State::ForcedWebsocket => {}
            State::OtherKey | State::SplitBackends => return Reply::Control(&OTHER_PRIVATE, 0),
            State::WantsNewer => return Reply::Control(&PRIVATE, NEWER),
            _ => return Reply::Control(&PRIVATE, 0),
        }
    }
    Reply::Response(match (state, request.header("upgrade")) {
        (State::UpgradeStripped, _) | (_, None) => text(500, "Internal error"),
        (State::ForcedWebsocket, _) | (_, Some("websocket")) => text(405, "Method Not Allowed"),
        (_, Some("tailscale-control-protocol")) => text(400, "missing Tailscale handshake header"),
        (_, Some(_)) => text(400, "unknown next protocol"),
    })
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
