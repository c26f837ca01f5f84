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
    // A 404 there may be a proxy's, which passes only `/derp` itself.
    let unserved = match probe_path(&dial, &authority, phases)? {
        Some(fault) if fault.http_status != Some(404) => return Err(fault.into()),
        unserved => unserved,
    };
    let mut first = match knock(&dial, &authority, phases)? {
        Ok(client) => client,
        Err(fault) if unserved.is_some() && fault.http_status == Some(404) => {
            let outcome = match settings.presence.excuses_absence(memory) {
                true => Outcome::up("not offered (status 404)"),
                false => fault.into(),
            };
            return Err(outcome.and_hint(&settings.hint));
        }
        Err(fault) => return Err(fault.into()),
    };
    phases.end("upgrade_ms");
    phases.fact("relay_key", first.server_key());
    if let Some(fault) = unserved {
        // The relay is there, and half of what clients ask it for is not.
        return Err(there(fault.into()));
    }
    if first.introduce()? == Admission::Turned {
        phases.fact("verifies_clients", true);
        return Ok(there(Outcome::up(
            "the relay shows its key; it verifies its clients, so nothing was relayed",
        )));
    }
    phases.fact("verifies_clients", false);
    phases.end("admission_ms");
    let mut second = knock(&dial, &authority, phases)?.map_err(Outcome::from)?;
    if second.introduce()? == Admission::Turned {
        let detail = "the relay admits one client and turns the next one away";
        return Err(Fault::protocol(Reason::Closed, detail).into());
    }
    phases.end("second_ms");
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

/// The outer error is of the way there, the inner one of an answer that is no upgrade.
fn knock(
    dial: &Dial<'_>,
    authority: &str,
    phases: &mut Phases,
) -> Result<Result<Client, Fault>, Outcome> {
    let stream = Buffered::new(dial.connect(phases)?);
    let client = Client::knock(stream, authority)?;
    Ok(client.map_err(|declined| derp::refused(&declined)))
}

/// One packet, compared. Relays with different keys may be a mesh, so only what is not carried
/// tells of them.
fn carry(from: &mut Client, to: &mut Client, deadline: Deadline) -> Result<(), Outcome> {
    // Of this pair and direction alone: what another has left behind is not taken for it.
    let own = from.public();
    let bytes = derp::DISCO.iter().chain(own.iter().cycle()).copied();
    let packet: Vec<u8> = bytes.take(PACKET_BYTES).collect();
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
        Err(fault) if fault.kind == Kind::Timeout && from.server_key() != to.server_key() => {
            let detail = format!(
                "two connections lead to two relays, {} and {}, and a packet from one does not reach the other",
                from.server_key(),
                to.server_key()
            );
            Err(Fault::protocol(Reason::SplitRelays, detail).into())
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
