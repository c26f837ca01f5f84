//! One run of the alert component: look, store, send, until nothing is left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::channel::{Channel, Request};
use crate::incident::Incident;
use crate::ledger::{Lease, Ledger, Look};
use crate::monitor::Monitor;
use crate::notice::Notice;
use crate::operator::{Acknowledgement, Operator, Window};
use crate::outbox::{How, NotTaken, Terms};
use crate::outcome::one_line;
use crate::past::Past;
use crate::settings::AlertSettings;
use crate::store::{self, Failed, Found, Store};
use crate::target::Url;
use crate::time::UnixMs;

/// What a run needs of its host beside the store.
pub trait World: Store {
    /// Of the time that the host gives one run.
    fn left(&self) -> Duration;
    /// One POST. Whoever has answered 2xx has it, whatever becomes of the answer's body.
    ///
    /// # Errors
    /// Where no answer came: why, in words without a secret.
    fn send(&self, request: &Request, timeout: Duration) -> Result<Answer, String>;
}

/// What a receiver answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// `Retry-After`, as it was sent.
    pub retry_after: Option<String>,
    /// The beginning of what it said, where it did not take the message.
    pub said: String,
}

/// Looks of one run. More than a few would mean that something is said again and again,
/// which must not become a storm.
const LOOKS_MAX: usize = 16;
/// Between an attempt's end and the ledger's next write.
const LEASE_MARGIN: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Of a receiver's answer, as logs show it.
const SAID_CHARS_MAX: usize = 200;

/// Why a run is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called {
    /// Rung by a check.
    Rung,
    /// By its own trigger.
    Swept,
}

/// Says and delivers everything that is due. `number` is drawn at random: who this run is
/// to others. What is for a channel with a mistake in its variables waits.
pub fn run(
    world: &impl World,
    settings: &AlertSettings,
    called: Called,
    number: u64,
) -> Result<(), Failed> {
    for mistake in &settings.mistakes {
        world.log(&mistake.to_string());
    }
    if called == Called::Rung {
        // A run that ends just now finds by this that it must look again.
        store::write(world, store::RUNG, &number)?;
    }
    let mut run = Run {
        world,
        settings,
        number,
        held: false,
    };
    for _ in 0..LOOKS_MAX {
        if !run.look()? {
            break;
        }
    }
    Ok(())
}

struct Run<'a, W> {
    world: &'a W,
    settings: &'a AlertSettings,
    number: u64,
    /// Whether this run has the lease.
    held: bool,
}

impl<W: World> Run<'_, W> {
    /// One look, and what follows from it. False when there is nothing more to do.
    fn look(&mut self) -> Result<bool, Failed> {
        let rung: Option<u64> = store::peek(self.world, store::RUNG)?;
        let (mut ledger, stored) = self.read()?;
        if ledger.leased(self.number, self.world.now()) {
            return Ok(false);
        }
        let before = ledger.clone();
        if let Some(asked_at) = store::peek(self.world, store::RESEND)? {
            let open = ledger.open().map(|i| i.id.clone()).collect();
            ledger.outbox.revive(asked_at, &open);
        }
        let seen = Seen::read(self.world)?;
        ledger.look(&Look {
            monitors: &seen.monitors,
            unreadable: &seen.unreadable,
            operator: &seen.operator,
            maintenance: &self.settings.maintenance,
            rules: self.settings.rules,
            now: self.world.now(),
        });
        let terms = self.terms();
        self.log_what_goes_nowhere(&before, &ledger);
        ledger.outbox.sort(&terms, self.world.now());
        let due = ledger.outbox.next(&terms, self.world.now()).is_some();
        let changed = ledger != before || !stored;
        let in_time = self.world.left() > self.settings.timeout;
        if !(changed || due && in_time) {
            return self.rest(ledger, rung);
        }
        self.suspect(&before, &ledger)?;
        if !self.claim(&mut ledger)? {
            return Ok(false);
        }
        self.remember(&mut ledger)?;
        self.deliver(&mut ledger, &terms)?;
        self.ping(&before, &ledger);
        self.tidy(&ledger, &seen.operator);
        Ok(true)
    }

    fn terms(&self) -> Vec<Terms> {
        let channels = self.settings.channels.iter();
        channels.map(|c| c.terms.clone()).collect()
    }

    /// The ledger, and whether it is stored as it is.
    fn read(&self) -> Result<(Ledger, bool), Failed> {
        Ok(match store::read(self.world, store::LEDGER)? {
            Found::Record(ledger) => (ledger, true),
            Found::Nothing => (Ledger::default(), true),
            // Begun anew, whether or not there is something to tell.
            Found::Broken(_) => (Ledger::default(), false),
        })
    }

    /// Nothing is left: gives the lease back, and looks whether somebody rang meanwhile.
    fn rest(&mut self, mut ledger: Ledger, rung: Option<u64>) -> Result<bool, Failed> {
        if !self.held {
            return Ok(false);
        }
        ledger.lease = None;
        store::write(self.world, store::LEDGER, &ledger)?;
        self.held = false;
        Ok(store::peek::<u64>(self.world, store::RUNG)? != rung)
    }

    /// Stores what was found under this run's lease. Two that claim in one moment both
    /// look again: the later write has it.
    fn claim(&mut self, ledger: &mut Ledger) -> Result<bool, Failed> {
        self.store(ledger)?;
        if self.held {
            return Ok(true);
        }
        let (stored, _) = self.read()?;
        self.held = stored.lease.is_some_and(|lease| lease.by == self.number);
        Ok(self.held)
    }

    fn store(&self, ledger: &mut Ledger) -> Result<(), Failed> {
        let timeout = self.settings.timeout;
        ledger.lease = Some(Lease {
            by: self.number,
            until: self.world.now().plus(timeout + LEASE_MARGIN),
        });
        store::write(self.world, store::LEDGER, ledger)
    }

    /// Keeps what is over for whoever looks back. Where that fails it waits in the ledger: no
    /// alert is held back for it.
    fn remember(&self, ledger: &mut Ledger) -> Result<(), Failed> {
        if ledger.over.is_empty() {
            return Ok(());
        }
        if let Err(why) = self.add_to_past(&ledger.over) {
            self.world.log(&why);
            return Ok(());
        }
        ledger.over.clear();
        self.store(ledger)
    }

    fn add_to_past(&self, over: &[Incident]) -> Result<(), Failed> {
        let mut past = match store::read(self.world, store::PAST)? {
            Found::Record(past) => past,
            Found::Nothing | Found::Broken(_) => Past::default(),
        };
        past.add(over);
        store::write(self.world, store::PAST, &past)
    }

    /// Tells the checks from when on their outcomes count.
    fn suspect(&self, before: &Ledger, ledger: &Ledger) -> Result<(), Failed> {
        match ledger.suspect() {
            Some(since) if before.suspect() != Some(since) => {
                store::write(self.world, store::SUSPECT, &since)
            }
            _ => Ok(()),
        }
    }

    /// Sends what is due. The ledger is stored after each attempt, so a death in between
    /// repeats a message under its id and loses none.
    fn deliver(&self, ledger: &mut Ledger, terms: &[Terms]) -> Result<(), Failed> {
        let settings = self.settings;
        while self.world.left() > settings.timeout {
            let now = self.world.now();
            let Some((notice, name)) = ledger.outbox.next(terms, now) else {
                break;
            };
            let Some(channel) = settings.channels.iter().find(|c| c.terms.channel == name) else {
                break;
            };
            let sent = match channel.request(&notice, now) {
                Some(request) => attempt(self.world, &request, settings.timeout),
                None => Ok(()),
            };
            let now = self.world.now();
            match sent {
                Ok(()) => {
                    ledger.outbox.delivered(&notice.id, &channel.terms, now);
                    self.world
                        .log(&format!("told {name}: {}", notice.summary()));
                }
                Err(failure) => {
                    let pause = ledger.outbox.failed(
                        &notice.id,
                        &channel.terms,
                        &failure,
                        settings.retry_interval,
                        now,
                    );
                    self.log_failure(&notice, name, &failure, pause);
                }
            }
            ledger.outbox.sort(terms, now);
            self.store(ledger)?;
        }
        Ok(())
    }

    /// Once a minute to whoever notices when it stops. Not kept and not tried again: the next
    /// minute does.
    fn ping(&self, before: &Ledger, ledger: &Ledger) {
        let noted = |l: &Ledger| l.awake.map(|a| a.seen);
        let Some(url) = self.settings.deadman_url.clone() else {
            return;
        };
        if noted(before) == noted(ledger) {
            return;
        }
        let (url, body) = match &ledger.node.service.open {
            None => (url, String::new()),
            Some(incident) => {
                let (path, query) = match url.path.split_once('?') {
                    Some((path, query)) => (path, format!("?{query}")),
                    None => (url.path.as_str(), String::new()),
                };
                let path = format!("{}/fail{query}", path.trim_end_matches('/'));
                (Url { path, ..url }, incident.because())
            }
        };
        let request = Request::text(url, body);
        match self.world.send(&request, PING_TIMEOUT) {
            Ok(answer) if (200..300).contains(&answer.status) => {}
            Ok(answer) => {
                let status = answer.status;
                self.world
                    .log(&format!("telling deadman_url: status {status}, want 2xx"));
            }
            Err(why) => self.world.log(&format!("telling deadman_url: {why}")),
        }
    }

    fn log_failure(
        &self,
        notice: &Notice,
        channel: &str,
        failure: &NotTaken,
        pause: Option<Duration>,
    ) {
        let next = match pause {
            Some(pause) => format!("next attempt in {} s", pause.as_secs()),
            None => "it is a dead letter now".to_owned(),
        };
        self.world.log(&format!(
            "delivering {} ({}) to {channel}: {}; {next}; it says: {}",
            notice.id,
            notice.type_name(),
            failure.why,
            notice.summary(),
        ));
    }

    /// Without a channel an alert is only logged; what no channel that works takes waits.
    fn log_what_goes_nowhere(&self, before: &Ledger, ledger: &Ledger) {
        let channels = &self.settings.channels;
        let known: BTreeSet<&str> = before
            .outbox
            .messages
            .iter()
            .map(|m| m.notice.id.as_str())
            .collect();
        let new = ledger.outbox.messages.iter();
        for message in new.filter(|m| !known.contains(m.notice.id.as_str())) {
            let takes = |c: &&Channel| c.terms.accept(&message.notice);
            let takers: Vec<&Channel> = channels.iter().filter(takes).collect();
            let why = match &takers[..] {
                [] if channels.is_empty() => "no channel is configured, so it is only logged",
                [] => "no channel's filter lets it through, so it is only logged",
                some if some.iter().any(|c| c.terms.works) => continue,
                _ => "waiting for the channel's variables to be mended",
            };
            self.world
                .log(&format!("alert ({why}): {}", message.notice.summary()));
        }
    }

    /// What operators said of things that are over is not kept. Best effort: a store that
    /// cannot delete keeps it.
    fn tidy(&self, ledger: &Ledger, operator: &Operator) {
        let now = self.world.now();
        for incident in operator.acknowledgements.keys() {
            if ledger.incident(incident).is_none() {
                let _ = self
                    .world
                    .delete(&format!("{}{incident}", store::ACKNOWLEDGEMENTS));
            }
        }
        for (id, window) in &operator.windows {
            if now.since(window.until) > WINDOWS_KEPT {
                let _ = self.world.delete(&format!("{}{id}", store::WINDOWS));
            }
        }
    }
}

/// One message to one channel; anything but a 2xx is no delivery.
pub(crate) fn attempt(
    world: &impl World,
    request: &Request,
    timeout: Duration,
) -> Result<(), NotTaken> {
    let answer = world.send(request, timeout).map_err(|why| NotTaken {
        how: How::Unreached,
        why,
        retry_after: None,
    })?;
    if (200..300).contains(&answer.status) {
        return Ok(());
    }
    let said = match one_line(&answer.said, SAID_CHARS_MAX) {
        said if said.is_empty() => said,
        // Servers like to repeat what they were asked, and that may be a secret.
        _ if request.is_repeated_by(&answer.said) => ": an answer that repeats the request".into(),
        said => format!(": {said:?}"),
    };
    Err(NotTaken {
        how: How::by_status(answer.status),
        why: format!("status {}, want 2xx{said}", answer.status),
        retry_after: answer
            .retry_after
            .and_then(|text| retry_after(&text, world.now())),
    })
}

/// Ended windows are listed for so long.
const WINDOWS_KEPT: Duration = Duration::from_secs(86_400);

/// What one look reads.
#[derive(Default)]
struct Seen {
    monitors: Vec<Monitor>,
    unreadable: BTreeSet<String>,
    operator: Operator,
}

impl Seen {
    fn read(world: &impl World) -> Result<Self, Failed> {
        let mut seen = Self::default();
        for key in world.keys()? {
            if let Some(check) = key.strip_prefix(store::MONITORS) {
                match store::look::<Monitor>(world, &key) {
                    Ok(Found::Record(monitor)) => seen.monitors.push(monitor),
                    Ok(Found::Nothing) => {}
                    Ok(Found::Broken(_)) => drop(seen.unreadable.insert(check.to_owned())),
                    Err(why) => {
                        world.log(&why);
                        seen.unreadable.insert(check.to_owned());
                    }
                }
            } else {
                hear(world, &key, &mut seen.operator);
            }
        }
        Ok(seen)
    }
}

/// All that operators have said and that can be read.
pub fn operator(store: &impl Store, keys: &[String]) -> Operator {
    let mut operator = Operator::default();
    for key in keys {
        hear(store, key, &mut operator);
    }
    operator
}

/// What a key holds of what operators said, if anything.
fn hear(store: &impl Store, key: &str, operator: &mut Operator) {
    if let Some(incident) = key.strip_prefix(store::ACKNOWLEDGEMENTS) {
        keep::<Acknowledgement>(store, key, incident, &mut operator.acknowledgements);
    } else if let Some(id) = key.strip_prefix(store::WINDOWS) {
        keep::<Window>(store, key, id, &mut operator.windows);
    }
}

/// What an operator said and cannot be read holds nothing back: an alert too many is better
/// than one too few.
fn keep<T: serde::de::DeserializeOwned>(
    store: &impl Store,
    key: &str,
    id: &str,
    all: &mut BTreeMap<String, T>,
) {
    match store::look::<T>(store, key) {
        Ok(Found::Record(record)) => drop(all.insert(id.to_owned(), record)),
        Ok(Found::Nothing) => {}
        Ok(Found::Broken(why)) => store.log(&format!("reading key {key:?}: {why}; left out")),
        Err(why) => store.log(&why),
    }
}

/// Seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(text: &str, now: UnixMs) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    let at = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(at.saturating_sub(Duration::from_millis(now.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_asks_for_a_pause_in_seconds_or_by_date() {
        let now = UnixMs(784_111_767_000);
        for (text, want) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            let want = want.map(Duration::from_secs);
            assert_eq!(retry_after(text, now), want, "{text:?}");
        }
    }
}
