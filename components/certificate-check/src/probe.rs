//! One handshake, and what came of it.

use std::time::Duration;

use serde_json::{Value, json};
use watchbell_core::outcome::{Kind, Outcome};
use watchbell_core::settings::{CertificateSettings, Family};
use watchbell_guest::{Deadline, Report, clock};
use watchbell_net::{connect, resolve};
use watchbell_tls::{Failure, Handshake, Negotiated, Roots, Stop, facts, outcome, plain};

/// A peer that has said nothing by then is asked in plain HTTP, over a second
/// connection, while the first goes on waiting.
const SILENCE: Duration = Duration::from_secs(3);

/// Resolves, connects, shakes hands, judges. The facts are those of the certificate
/// shown, good or bad.
pub fn probe(settings: &CertificateSettings, deadline: Deadline) -> Report {
    if settings.off {
        return report(Outcome::switched_off("headscale_scheme is http"), json!({}));
    }
    let roots = match Roots::read(&settings.ca_certificates) {
        Ok(roots) => roots,
        Err(why) => {
            let detail = format!("reading variable \"ca_certificates\": {why}");
            let outcome = Outcome::failed(Kind::Internal, detail).reason("configuration");
            return report(outcome, json!({}));
        }
    };
    let shaken = match shake(settings, deadline) {
        Ok(shaken) => shaken,
        Err(outcome) => return report(outcome, json!({})),
    };
    let now = clock::now();
    let negotiated = match &shaken {
        Ok(negotiated) => negotiated,
        Err(failure) => &*failure.negotiated,
    };
    report(
        outcome(
            shaken.as_ref(),
            &settings.server_name,
            &roots,
            &settings.thresholds,
            now,
        ),
        facts(negotiated, now.unix_s()),
    )
}

fn report(outcome: Outcome, facts: Value) -> Report {
    Report { outcome, facts }
}

/// The outer error is of the way there, the inner one of TLS.
fn shake(
    settings: &CertificateSettings,
    deadline: Deadline,
) -> Result<Result<Negotiated, Failure>, Outcome> {
    let (family, port) = (settings.family, settings.port);
    let addresses = resolve(&settings.host, family, &settings.resolvers, deadline)?;
    let connected = connect(&addresses, port, family, deadline)?;
    let peer = connected.peer.ip();
    // No ALPN: a server is asked for its certificate and for no protocol.
    let mut handshake = match Handshake::new(connected.stream, &settings.server_name, &[]) {
        Ok(handshake) => handshake,
        Err(failure) => return Ok(Err(failure)),
    };
    let half = deadline.remaining() / 2;
    handshake
        .stream_mut()
        .set_deadline(deadline.within(half.min(SILENCE)));
    let mut end = handshake.run();
    if end.is_err() && !handshake.heard() {
        let until = deadline.within(deadline.remaining() / 2);
        let other = connect(&[peer], port, Family::Any, until);
        if other.is_ok_and(|mut c| plain::answers(&mut c.stream)) {
            return Ok(Err(handshake.plain_http()));
        }
    }
    if matches!(end, Err(Stop::TimedOut)) {
        handshake.stream_mut().set_deadline(deadline);
        end = handshake.run();
    }
    Ok(match end {
        Ok(()) => handshake.finish().map(|stream| {
            let negotiated = stream.negotiated().clone();
            drop(stream.close());
            negotiated
        }),
        Err(Stop::TimedOut) => Err(handshake.timed_out()),
        Err(Stop::Failed(failure)) => Err(failure),
    })
}
