//! One connection.

use std::io::{ErrorKind, Read, Write};

use serde_json::{Value, json};
use watchbell_core::outcome::{Kind, Outcome, one_line};
use watchbell_core::settings::TcpSettings;
use watchbell_guest::{Deadline, Phases, Report};
use watchbell_net::{Attempt, TcpStream, connect, resolve};

/// What is looked through for `expect`: a banner comes in the first bytes.
const READ_BYTES_MAX: usize = 65_536;
/// Of what came instead, this much is shown.
const EXCERPT_CHARS: usize = 60;

/// Resolves, connects, sends, expects: the first of them that fails is the outcome.
pub fn probe(settings: &TcpSettings, deadline: Deadline) -> Report {
    let mut phases = Phases::begin(deadline);
    let outcome = reach(settings, deadline, &mut phases).unwrap_or_else(|outcome| outcome);
    Report {
        outcome,
        facts: phases.into_facts(),
    }
}

fn reach(
    settings: &TcpSettings,
    deadline: Deadline,
    phases: &mut Phases,
) -> Result<Outcome, Outcome> {
    let TcpSettings { family, port, .. } = *settings;
    let addresses = resolve(&settings.host, family, &settings.resolvers, deadline)?;
    phases.end("dns_ms");
    let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    phases.fact("addresses", shown);
    let attempts = |all: &[Attempt]| all.iter().map(attempt).collect::<Value>();
    let mut connected = connect(&addresses, port, family, deadline).map_err(|unconnected| {
        phases.fact("attempts", attempts(&unconnected.attempts));
        unconnected.outcome
    })?;
    phases.end("connect_ms");
    phases.fact("peer", connected.peer.to_string());
    phases.fact("attempts", attempts(&connected.attempts));
    if let Some(failed) = talk(settings, &mut connected.stream) {
        return Err(failed);
    }
    Ok(Outcome::up(format!(
        "connected to {} in {} ms",
        connected.peer,
        phases.took_ms("connect_ms")
    )))
}

fn attempt(attempt: &Attempt) -> Value {
    json!({
        "address": attempt.address.to_string(),
        "connect_ms": u64::try_from(attempt.elapsed.as_millis()).unwrap_or(u64::MAX),
        "error": attempt.failure.map(|(_, words)| words),
    })
}

/// What went wrong after connecting.
fn talk(settings: &TcpSettings, stream: &mut TcpStream) -> Option<Outcome> {
    if !settings.send.is_empty()
        && let Err(e) = stream
            .write_all(&settings.send)
            .and_then(|()| stream.flush())
    {
        return Some(broken(e.kind(), "sending"));
    }
    if settings.expect.is_empty() {
        return None;
    }
    let mut got = Vec::new();
    let mut seen = 0;
    let mut chunk = [0; 4096];
    while got.len() < READ_BYTES_MAX {
        match stream.read(&mut chunk) {
            Ok(0) => return Some(unexpected(settings, &got, "and closed")),
            Ok(n) => got.extend_from_slice(&chunk[..n]),
            Err(e) if e.kind() == ErrorKind::TimedOut && !got.is_empty() => {
                return Some(unexpected(settings, &got, "and no more in time"));
            }
            Err(e) => return Some(broken(e.kind(), "waiting for what is expected")),
        }
        // What was looked through before is not looked through again, but for the end
        // of it, where the expected bytes may have begun.
        let fresh = got.get(seen..).unwrap_or_default();
        if fresh
            .windows(settings.expect.len())
            .any(|w| w == settings.expect)
        {
            return None;
        }
        seen = (got.len() + 1).saturating_sub(settings.expect.len());
    }
    Some(unexpected(settings, &got, "and more"))
}

fn broken(kind: ErrorKind, doing: &str) -> Outcome {
    match kind {
        ErrorKind::TimedOut => Outcome::failed(Kind::Timeout, format!("{doing}: nothing in time")),
        _ => Outcome::failed(Kind::Protocol, format!("{doing}: the connection was reset")),
    }
}

fn unexpected(settings: &TcpSettings, got: &[u8], end: &str) -> Outcome {
    let show = |bytes: &[u8]| one_line(&String::from_utf8_lossy(bytes), EXCERPT_CHARS);
    Outcome::failed(
        Kind::Body,
        format!(
            "got {:?} {end}, want {:?}",
            show(got),
            show(&settings.expect)
        ),
    )
}
