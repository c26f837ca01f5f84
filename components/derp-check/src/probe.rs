//! Two clients with fresh keys, and one packet each way.

use watchbell_core::monitor::Memory;
use watchbell_core::outcome::{Kind, Outcome};
use watchbell_core::settings::{DerpSettings, Presence};
use watchbell_dial::{Connection, Dial};
use watchbell_guest::{Deadline, Phases, Report};
use watchbell_protocol::derp::{self, Admission, PROBE_PATH};
use watchbell_protocol::http1::{self, Request};
use watchbell_protocol::{Buffered, Fault, Reason};

type Client = derp::Client<Connection>;

/// As large as a WireGuard packet of an ordinary network.
const PACKET_BYTES: usize = 1_280;
/// Clients of browsers need it, and a relay sends it: what answers without is none.
const RELAYS_HEADER: &str = "access-control-allow-origin";

/// The probe path, the upgrade, the relay's key, two packets: the first of them that fails
/// is the outcome.
pub fn probe(settings: &DerpSettings, memory: &Memory, deadline: Deadline) -> Report {
    let mut phases = Phases::begin(deadline);
    let outcome = match settings.presence {
        Presence::Off => Outcome::switched_off("presence is off"),
        _ => relay(settings, memory, deadline, &mut phases).unwrap_or_else(|outcome| outcome),
    };
    Report {
        outcome,
        facts: phases.into_facts(),
    }
}

fn relay(
    settings: &DerpSettings,
    memory: &Memory,
    deadline: Deadline,
    phases: &mut Phases,
) -> Result<Outcome, Outcome> {
    let dial = Dial::new(&settings.endpoint, deadline, phases)?;
    let authority = settings.endpoint.authority();
    if let Some(fault) = probe_path(&dial, &authority, phases)? {
        let never_seen = settings.presence == Presence::Auto && !memory.present;
        return Err(match fault.http_status {
            Some(404) if never_seen => {
                Outcome::up("not offered (status 404)").and_hint(&settings.hint)
            }
            Some(404) => Outcome::from(fault).and_hint(&settings.hint),
            _ => fault.into(),
        });
    }
    let mut first = knock(&dial, &authority, phases)?;
    phases.end("upgrade_ms");
    phases.fact("relay_key", first.server_key());
    if first.introduce()? == Admission::Turned {
        phases.fact("verifies_clients", true);
        return Ok(there(Outcome::up(
            "the relay shows its key; it verifies its clients, so nothing was relayed",
        )));
    }
    phases.fact("verifies_clients", false);
    let mut second = knock(&dial, &authority, phases)?;
    if second.introduce()? == Admission::Turned {
        let detail = "the relay admits one client and turns the next one away";
        return Err(Fault::protocol(Reason::Closed, detail).into());
    }
    if first.server_key() != second.server_key() {
        let detail = format!(
            "two connections lead to two relays, {} and {}: clients on them do not reach each other",
            first.server_key(),
            second.server_key()
        );
        return Err(Fault::protocol(Reason::SplitRelays, detail).into());
    }
    phases.end("admission_ms");
    carry(&mut first, &mut second, deadline)?;
    carry(&mut second, &mut first, deadline)?;
    phases.end("round_trip_ms");
    Ok(there(judged(&first, &second, phases)))
}

/// A plain question that relays answer, which also tells whether there is one.
fn probe_path(
    dial: &Dial<'_>,
    authority: &str,
    phases: &mut Phases,
) -> Result<Option<Fault>, Outcome> {
    let mut stream = Buffered::new(dial.connect(phases)?);
    let request = Request {
        method: "GET",
        authority,
        path: PROBE_PATH,
        headers: &[],
    };
    let (head, body) = http1::exchange(&mut stream, &request)?;
    phases.end("probe_ms");
    let doing = format!("asking for {PROBE_PATH}");
    Ok(if head.status != 200 {
        let fault = http1::unexpected(&head, &body.bytes, &doing, "200");
        Some(fault.of_a_plain_proxy(&head, &body.bytes))
    } else if head.header(RELAYS_HEADER).is_none() {
        let detail = format!("{doing}: the header {RELAYS_HEADER:?} is missing");
        Some(Fault::new(
            Kind::Body,
            Reason::WrongAnswer,
            format!("{detail}, so no relay answered"),
        ))
    } else {
        None
    })
}

fn knock(dial: &Dial<'_>, authority: &str, phases: &mut Phases) -> Result<Client, Outcome> {
    let stream = Buffered::new(dial.connect(phases)?);
    match Client::knock(stream, authority)? {
        Ok(client) => Ok(client),
        Err(declined) => Err(derp::refused(&declined).into()),
    }
}

/// One packet, compared.
fn carry(from: &mut Client, to: &mut Client, deadline: Deadline) -> Result<(), Outcome> {
    // Of this pair and direction alone: what another has left behind is not taken for it.
    let packet: Vec<u8> = from
        .public()
        .iter()
        .copied()
        .cycle()
        .take(PACKET_BYTES)
        .collect();
    from.send(&to.public(), &packet)?;
    // Half of what is left: the rest is for asking the sender's side why.
    to.stream_mut()
        .set_deadline(deadline.within(deadline.remaining() / 2));
    let received = to.receive(&from.public());
    to.stream_mut().set_deadline(deadline);
    match received {
        Ok(got) if got == packet => Ok(()),
        Ok(got) => {
            let detail = format!(
                "the relay changed a packet: {} bytes sent, {} other bytes received",
                packet.len(),
                got.len()
            );
            Err(Fault::protocol(Reason::NotRelayed, detail).into())
        }
        Err(fault) if fault.kind == Kind::Timeout => {
            from.ping()?;
            let detail = "the relay took a packet for another client and did not hand it over";
            Err(Fault::protocol(Reason::NotRelayed, detail).into())
        }
        Err(fault) => Err(fault.into()),
    }
}

fn judged(first: &Client, second: &Client, phases: &Phases) -> Outcome {
    let relayed = format!(
        "relayed both ways in {} ms",
        phases.took_ms("round_trip_ms")
    );
    let unwell = |detail: String| {
        Outcome::degraded(Kind::Protocol, detail).reason(Reason::Unhealthy.as_str())
    };
    match first.complaint().or(second.complaint()) {
        Some(text) => unwell(format!("{relayed}, and the relay says {text}")),
        None if first.restarting() || second.restarting() => {
            unwell(format!("{relayed}, and the relay says that it restarts"))
        }
        None => Outcome::up(relayed),
    }
}

/// With the relay seen, its absence is a failure from now on.
fn there(mut outcome: Outcome) -> Outcome {
    outcome.present = Some(true);
    outcome
}
