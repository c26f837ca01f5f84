//! Requests over UDP until one is answered.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use watchbell_core::monitor::Memory;
use watchbell_core::outcome::{Kind, Outcome};
use watchbell_core::settings::{Family, Presence, StunSettings};
use watchbell_guest::{Deadline, Phases, Report};
use watchbell_net::{Datagrams, resolve, telling};
use watchbell_protocol::stun::{Answer, Transaction};
use watchbell_protocol::{Fault, Reason};

/// A lost datagram is sent again after this, then after twice this, and so on (RFC 8489,
/// section 6.2.1): five times within ten seconds.
const RETRANSMIT: Duration = Duration::from_millis(500);
/// Of each family: what is silent must not take the others' time.
const ADDRESSES_MAX: usize = 2;
/// Datagrams that are no answer to us, before the server counts as silent.
const STRANGERS_MAX: usize = 1_000;

/// Asks the addresses in turn until one answers, or each family as `family` has it.
pub fn probe(settings: &StunSettings, memory: &Memory, deadline: Deadline) -> Report {
    let mut phases = Phases::begin(deadline);
    let outcome = match settings.presence {
        Presence::Off => Outcome::switched_off("presence is off"),
        _ => ask_all(settings, deadline, &mut phases)
            .unwrap_or_else(|outcome| absent(settings, memory, outcome)),
    };
    Report {
        outcome,
        facts: phases.into_facts(),
    }
}

/// No word from the port is what a relay without STUN looks like, too.
fn absent(settings: &StunSettings, memory: &Memory, outcome: Outcome) -> Outcome {
    let silent = matches!(
        outcome.kind,
        Some(Kind::Timeout | Kind::ConnectRefused | Kind::Unreachable)
    );
    if silent && settings.presence.excuses_absence(memory) {
        return Outcome::up(format!("not offered ({})", outcome.detail)).and_hint(&settings.hint);
    }
    match silent {
        true => outcome.and_hint(&settings.hint),
        false => outcome,
    }
}

fn ask_all(
    settings: &StunSettings,
    deadline: Deadline,
    phases: &mut Phases,
) -> Result<Outcome, Outcome> {
    let StunSettings { family, port, .. } = *settings;
    let addresses = resolve(&settings.host, family, &settings.resolvers, deadline)?;
    phases.end("dns_ms");
    let (mut v6, mut v4): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.into_iter().partition(IpAddr::is_ipv6);
    v6.truncate(ADDRESSES_MAX);
    v4.truncate(ADDRESSES_MAX);
    let peers = |ips: Vec<IpAddr>| ips.into_iter().map(move |ip| SocketAddr::new(ip, port));
    let mapped = match family {
        Family::Both => {
            let half = deadline.within(deadline.remaining() / 2);
            let first = ask_any(peers(v4).collect(), half)?;
            let second = ask_any(peers(v6).collect(), deadline)?;
            vec![first, second]
        }
        _ => vec![ask_any(peers([v6, v4].concat()).collect(), deadline)?],
    };
    phases.end("stun_ms");
    let shown: Vec<String> = mapped.iter().map(SocketAddr::to_string).collect();
    let detail = format!(
        "seen as {} in {} ms",
        shown.join(" and "),
        phases.took_ms("stun_ms")
    );
    phases.fact("mapped_addresses", shown);
    let mut outcome = Outcome::up(detail);
    outcome.present = Some(true);
    Ok(outcome)
}

/// The first address that answers; each has an equal share of what time is left. The kind of
/// a failure is the most telling one: an answer, then a refusal, silence, no way there.
fn ask_any(peers: Vec<SocketAddr>, deadline: Deadline) -> Result<SocketAddr, Outcome> {
    let mut failed: Option<Outcome> = None;
    for (tried, peer) in peers.iter().enumerate() {
        let left = u32::try_from(peers.len() - tried).unwrap_or(u32::MAX);
        match ask(*peer, deadline.within(deadline.remaining() / left)) {
            Ok(mapped) => return Ok(mapped),
            Err(outcome) => {
                failed = Some(match failed {
                    Some(before) if rank(&outcome) < rank(&before) => outcome.and(before.detail),
                    Some(before) => before.and(outcome.detail),
                    None => outcome,
                });
            }
        }
    }
    Err(failed.unwrap_or_else(|| {
        Outcome::failed(Kind::Dns, "no address of the family that is asked for")
            .reason("no-address")
    }))
}

/// An answer, however wrong, tells more than any way that there is none.
fn rank(outcome: &Outcome) -> Option<u8> {
    let kind = outcome.kind.filter(|k| *k != Kind::Protocol);
    kind.map(telling)
}

fn ask(peer: SocketAddr, deadline: Deadline) -> Result<SocketAddr, Outcome> {
    let told = |kind, words: &str| Outcome::failed(kind, format!("asking {peer} by STUN: {words}"));
    let socket = Datagrams::open(peer).map_err(|t| told(t.kind, &t.words))?;
    let transaction = Transaction::new()?;
    let mut patience = RETRANSMIT;
    let (mut requests, mut strangers) = (0, 0);
    while !deadline.remaining().is_zero() && strangers < STRANGERS_MAX {
        let trouble = |t: watchbell_net::Trouble| told(t.kind, &t.words);
        socket
            .send(&transaction.request(), deadline)
            .map_err(trouble)?;
        requests += 1;
        let again = deadline.within(patience);
        patience *= 2;
        while strangers < STRANGERS_MAX {
            let datagrams = socket.receive(again).map_err(trouble)?;
            if datagrams.is_empty() {
                break;
            }
            for datagram in datagrams {
                match transaction.read(&datagram) {
                    Answer::Mapped(mapped) => return Ok(mapped),
                    Answer::Stranger => strangers += 1,
                    Answer::Refused(code) => {
                        return Err(told(Kind::Protocol, &format!("it refuses with {code}")));
                    }
                    Answer::Malformed(what) => {
                        let detail = format!("asking {peer} by STUN: {what}");
                        return Err(Fault::protocol(Reason::Malformed, detail).into());
                    }
                }
            }
        }
    }
    Err(match strangers {
        0 => told(Kind::Timeout, &format!("no answer to {requests} requests")),
        n => told(
            Kind::Timeout,
            &format!("no answer to {requests} requests among {n} other datagrams"),
        ),
    })
}
