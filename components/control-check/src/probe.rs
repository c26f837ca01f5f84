//! One client that comes, proves that the server holds its key, and leaves.

use watchbell_core::identity::recognise;
use watchbell_core::monitor::Memory;
use watchbell_core::outcome::Outcome;
use watchbell_core::settings::ControlSettings;
use watchbell_dial::{Connection, Dial};
use watchbell_guest::{Deadline, Phases, Report};
use watchbell_protocol::control::{self, Opened, ServerKey};
use watchbell_protocol::http1::{self, Request};
use watchbell_protocol::{Buffered, Fault, Reason};

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
    };
    let key = client.key(phases)?;
    phases.fact("public_key", key.to_string());
    let early = client.enter(key, phases)?;
    // After the handshake: a key that no server holds is another fault than a changed one.
    let identity = recognise(
        KEY_POINTER,
        &key.to_string(),
        settings.pinned.as_deref(),
        memory,
        &settings.hint,
    )?;
    phases.fact("early_payload", early);
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
}

impl Client<'_> {
    fn connect(&self, phases: &mut Phases) -> Result<Buffered<Connection>, Outcome> {
        self.dial.connect(phases).map(Buffered::new)
    }

    /// Asks for the key, and over the same connection, where it can be used again, for the
    /// server's version.
    fn key(&self, phases: &mut Phases) -> Result<ServerKey, Outcome> {
        let mut stream = self.connect(phases)?;
        let path = control::key_path(self.version);
        let (head, body) = http1::exchange(&mut stream, &self.get(&path))?;
        let key = control::read_key(&head, &body)?;
        phases.end("key_ms");
        if body.reusable
            // Nobody waits for what only some servers offer.
            && let Ok((head, body)) = http1::exchange(&mut stream, &self.get("/version"))
            && let Some(version) = control::read_version(&head, &body)
        {
            phases.fact("server_version", version);
            phases.end("version_ms");
        }
        Ok(key)
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
            Ok(early) => Ok(early),
            Err(fault) if fault.is_closed() => Err(self.why_closed(key, fault, phases)),
            Err(fault) => Err(fault.into()),
        }
    }

    /// The outer error is of the way to the upgrade, the inner one of what follows it.
    fn shake(
        &self,
        version: u16,
        key: ServerKey,
        phases: &mut Phases,
    ) -> Result<Result<bool, Fault>, Outcome> {
        let mut stream = self.connect(phases)?;
        let initiation = match control::open(&mut stream, &self.authority, version, &key)? {
            Opened::Upgraded(initiation) => initiation,
            Opened::Refused(fault) => return Err(fault.into()),
        };
        phases.end("upgrade_ms");
        let first = initiation.finish(&mut stream).and_then(|mut transport| {
            phases.end("handshake_ms");
            control::read_early(&mut transport, &mut stream)
        });
        phases.end("early_ms");
        Ok(first)
    }

    /// Headscale closes without a word when the client is too old, and when it means another
    /// key. A client that is newer than any tells which.
    fn why_closed(&self, key: ServerKey, closed: Fault, phases: &mut Phases) -> Outcome {
        let told = |reason, detail: String| Fault::protocol(reason, detail).into();
        let now = match self.key(phases) {
            Ok(now) => now,
            Err(outcome) => return outcome.and(closed.detail),
        };
        if now != key {
            let detail = format!(
                "/key gives {key} and then {now}, and /ts2021 closes: different servers answer in turn"
            );
            return told(Reason::SplitBackends, detail);
        }
        match self.shake(control::VERSION_MAX, key, phases) {
            Ok(Ok(_)) => {
                let detail = format!(
                    "the server refuses clients of capability version {}, and takes newer ones: raise capability_version",
                    self.version
                );
                told(Reason::VersionRefused, detail)
            }
            Ok(Err(fault)) if fault.is_closed() => told(
                Reason::SplitBackends,
                format!(
                    "/ts2021 upgrades and then closes: its server does not hold the key that /key gives, {key}"
                ),
            ),
            Ok(Err(fault)) => fault.into(),
            Err(outcome) => outcome.and(closed.detail),
        }
    }
}
