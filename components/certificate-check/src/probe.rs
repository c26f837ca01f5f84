//! One handshake, and what came of it.

use serde_json::{Value, json};
use watchbell_core::outcome::Outcome;
use watchbell_core::settings::{CertificateSettings, Endpoint};
use watchbell_dial::{roots, shake};
use watchbell_guest::{Deadline, Report, clock};
use watchbell_net::{connect, resolve};
use watchbell_tls::{Failure, Negotiated, facts, outcome};

/// Resolves, connects, shakes hands, judges. The facts are those of the certificate
/// shown, good or bad.
pub fn probe(settings: &CertificateSettings, deadline: Deadline) -> Report {
    let endpoint = &settings.endpoint;
    if !endpoint.tls {
        return report(Outcome::switched_off("headscale_scheme is http"), json!({}));
    }
    let (roots, shaken) = match roots(endpoint).and_then(|r| Ok((r, show(endpoint, deadline)?))) {
        Ok(both) => both,
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
            &endpoint.server_name,
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

/// What the server shows. The outer error is of the way there, the inner one of TLS.
fn show(endpoint: &Endpoint, deadline: Deadline) -> Result<Result<Negotiated, Failure>, Outcome> {
    let (family, port) = (endpoint.family, endpoint.port);
    let addresses = resolve(&endpoint.host, family, &endpoint.resolvers, deadline)?;
    let connected = connect(&addresses, port, family, deadline)?;
    // No ALPN: a server is asked for its certificate and for no protocol.
    let shaken = shake(endpoint, connected.stream, connected.peer, &[], deadline);
    Ok(shaken.map(|stream| {
        let negotiated = stream.negotiated().clone();
        drop(stream.close());
        negotiated
    }))
}
