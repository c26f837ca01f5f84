//! One handshake, and what came of it.

use watchbell_core::outcome::Outcome;
use watchbell_core::settings::CertificateSettings;
use watchbell_dial::Dial;
use watchbell_guest::{Deadline, Phases, Report, clock};
use watchbell_tls::{TlsStream, facts};

/// Resolves, connects, shakes hands, judges. The facts are those of the certificate
/// shown, good or bad, beside the phases' times.
pub fn probe(settings: &CertificateSettings, deadline: Deadline) -> Report {
    let mut phases = Phases::begin(deadline);
    let outcome = if settings.endpoint.tls {
        show(settings, deadline, &mut phases).unwrap_or_else(|outcome| outcome)
    } else {
        Outcome::switched_off("headscale_scheme is http")
    };
    Report {
        outcome,
        facts: phases.into_facts(),
    }
}

fn show(
    settings: &CertificateSettings,
    deadline: Deadline,
    phases: &mut Phases,
) -> Result<Outcome, Outcome> {
    let dial = Dial::new(&settings.endpoint, deadline, phases)?;
    // No ALPN: a server is asked for its certificate and for no protocol.
    let shaken = dial.shake(&[], phases)?;
    let now = clock::now();
    let negotiated = match &shaken {
        Ok(stream) => stream.negotiated(),
        Err(failure) => &failure.negotiated,
    };
    if let Some(shown) = facts(negotiated, now.unix_s()).as_object() {
        for (name, value) in shown {
            phases.fact(name, value.clone());
        }
    }
    let outcome = dial.judge(&shaken, &settings.thresholds, now);
    drop(shaken.map(TlsStream::close));
    Ok(outcome)
}
