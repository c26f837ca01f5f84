//! One client that comes, proves that the server holds its key, and leaves.

use std::time::Duration;

use watchbell_core::identity::recognise;
use watchbell_core::monitor::Memory;
use watchbell_core::outcome::Outcome;
use watchbell_core::settings::ControlSettings;
use watchbell_dial::{Connection, Dial};
use watchbell_guest::{Deadline, Phases, Report};
use watchbell_protocol::control::{self, Opened, ServerKey};
use watchbell_protocol::http1::{self, Request};
use watchbell_protocol::{Buffered, Fault, Reason};

/// For the server's version, which decides nothing.
const VERSION_MAX: Duration = Duration::from_secs(1);
/// Where the key stands in the answer of `/key`, and in the check's memory.
const KEY_POINTER: &str = "/publicKey";

/// The key, the upgrade, the handshake, the server's first word: the first of them that
/// fails is the outcome.
pub fn probe(settings: &ControlSettings, memory: &Memory, deadline: Deadline) -> Report {
    let mut phases = Phases::begin(deadline);
    let outcome = open(settings, memory, deadline, &mut phases).unwrap_or_else(|outcome| outcome);
    Report {
        outcome,
        facts: phases.into_facts(),
    }
}

fn open(
    settings: &ControlSettings,
    memory: &Memory,
    deadline: Deadline,
    phases: &mut Phases,
) -> Result<Outcome, Outcome> {
    let client = Client {
        dial: Dial::new(&settings.endpoint, deadline, phases)?,
        authority: settings.endpoint.authority(),
        version: settings.capability_version,
        deadline,
    };
    let (key, stream) = client.key(phases)?;
    phases.fact("public_key", key.to_string());
    let early = client.enter(key, phases)?;
    phases.fact("early_payload", early);
    // After the handshake: a key that no server holds is another fault than a changed one.
    let pinned = settings.pinned.as_deref();
    let identity = match recognise(
        KEY_POINTER,
        &key.to_string(),
        pinned,
        memory,
        &settings.hint,
    ) {
        Ok(identity) => identity,
        Err(changed) => return Err(client.why_changed(key, changed, phases)),
    };
    // Last: nobody waits for what only some servers offer.
    if let Some(stream) = stream {
        client.version(stream, phases);
    }
    let mut outcome = Outcome::up(format!(
        "upgraded in {} ms, handshake in {} ms",
        phases.took_ms("upgrade_ms"),
        phases.took_ms("handshake_ms"),
    ));
    outcome.identity = Some(identity);
    Ok(outcome)
}

struct Client<'a> {
    dial: Dial<'a>,
    authority: String,
    version: u16,
    deadline: Deadline,
}

impl Client<'_> {
    fn connect(&self, phases: &mut Phases) -> Result<Buffered<Connection>, Outcome> {
        self.dial.connect(phases).map(Buffered::new)
    }

    /// Asks for the key. Gives the connection, where it can be used again.
    fn key(
        &self,
        phases: &mut Phases,
    ) -> Result<(ServerKey, Option<Buffered<Connection>>), Outcome> {
        let mut stream = self.connect(phases)?;
        let path = control::key_path(self.version);
        let (head, body) = http1::exchange(&mut stream, &self.get(&path))?;
        let key = control::read_key(&head, &body)?;
        phases.end("key_ms");
        Ok((key, body.reusable.then_some(stream)))
    }

    /// Asks for the server's version, where that costs no connection and little time.
    fn version(&self, mut stream: Buffered<Connection>, phases: &mut Phases) {
        let soon = self.deadline.within(VERSION_MAX);
        stream.stream_mut().set_deadline(soon);
        if let Ok((head, body)) = http1::exchange(&mut stream, &self.get("/version"))
            && let Some(version) = control::read_version(&head, &body)
        {
            phases.fact("server_version", version);
            phases.end("version_ms");
        }
    }

    fn get<'a>(&'a self, path: &'a str) -> Request<'a> {
        Request {
            method: "GET",
            authority: &self.authority,
            path,
            headers: &[],
        }
    }

    /// Upgrades and shakes hands. Whether the server sent its early payload.
    fn enter(&self, key: ServerKey, phases: &mut Phases) -> Result<bool, Outcome> {
        match self.shake(self.version, key, phases)? {
            Shaken::Early(early) => Ok(early),
            Shaken::Closed(fault) => Err(self.why_closed(key, fault, phases)),
        }
    }

    fn shake(&self, version: u16, key: ServerKey, phases: &mut Phases) -> Result<Shaken, Outcome> {
        let mut stream = self.connect(phases)?;
        let initiation = match control::open(&mut stream, &self.authority, version, &key)? {
            Opened::Upgraded(initiation) => initiation,
            Opened::Refused(fault) => return Err(fault.into()),
        };
        phases.end("upgrade_ms");
        let mut transport = match initiation.finish(&mut stream) {
            Ok(transport) => transport,
            Err(fault) if fault.is_closed() => return Ok(Shaken::Closed(fault)),
            Err(fault) => return Err(fault.into()),
        };
        phases.end("handshake_ms");
        let early = control::read_early(&mut transport, &mut stream)?;
        phases.end("early_ms");
        Ok(Shaken::Early(early))
    }

    /// Another key than before, and one that a server holds. Servers that answer in turn look
    /// the same to one question.
    fn why_changed(&self, key: ServerKey, changed: Outcome, phases: &mut Phases) -> Outcome {
        match self.key(phases) {
            Ok((again, _)) if again != key => in_turn(key, again),
            _ => changed,
        }
    }

    /// Headscale closes without a word when the client is too old, and when it means another
    /// key. A client that is newer than any tells which.
    fn why_closed(&self, key: ServerKey, closed: Fault, phases: &mut Phases) -> Outcome {
        let told = |reason, detail: String| Fault::protocol(reason, detail).into();
        match self.key(phases) {
            Ok((again, _)) if again != key => return in_turn(key, again),
            Ok(_) => {}
            Err(outcome) => return outcome.and(closed.detail),
        }
        let newest = self.shake(control::VERSION_MAX, key, phases);
        // Once more as before: what opens now was closed for another reason.
        let again =
            matches!(newest, Ok(Shaken::Early(_))).then(|| self.shake(self.version, key, phases));
        match (newest, again) {
            (_, Some(Ok(Shaken::Early(_)))) => told(
                Reason::SplitBackends,
                format!(
                    "/ts2021 closes once and opens once for {key}: different servers answer in turn"
                ),
            ),
            (Ok(Shaken::Early(_)), _) => {
                let detail = format!(
                    "the server refuses clients of capability version {}, and takes newer ones: raise capability_version",
                    self.version
                );
                told(Reason::VersionRefused, detail)
            }
            (Ok(Shaken::Closed(_)), _) => told(
                Reason::SplitBackends,
                format!(
                    "/ts2021 upgrades and then closes: its server does not hold the key that /key gives, {key}"
                ),
            ),
            (Err(outcome), _) => outcome.and(closed.detail),
        }
    }
}

/// How an upgraded connection went on.
enum Shaken {
    /// Keys are agreed on. Whether the server sent its early payload.
    Early(bool),
    /// The server closed without a word.
    Closed(Fault),
}

fn in_turn(one: ServerKey, other: ServerKey) -> Outcome {
    let detail = format!("/key gives {one} and then {other}: different servers answer in turn");
    Fault::protocol(Reason::SplitBackends, detail).into()
}
