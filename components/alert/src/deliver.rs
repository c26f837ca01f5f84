//! One run: take over what is pending, send what is due, until nothing is left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use watchbell_core::json;
use watchbell_core::ledger::{Lease, Ledger, Message, NotTaken, payload};
use watchbell_core::monitor::Monitor;
use watchbell_core::outcome::{Kind, Outcome};
use watchbell_core::settings::AlertSettings;
use watchbell_core::signature::sign;
use watchbell_guest::outgoing::{Request, post};
use watchbell_guest::store::{Found, LEDGER_PREFIX, MONITOR_PREFIX, Records, ledger_key};
use watchbell_guest::{Deadline, Failed, clock, log, variables};

/// A run ends after this, its last attempt included, and leaves the rest to the next
/// sweep: the clouds cut a request at 30 s.
const RUN_MAX: Duration = Duration::from_secs(28);

/// Looks of one run. More than a few would mean that something is taken over again and
/// again, which must not become a storm.
const SWEEPS_MAX: usize = 16;

/// Delivers everything that is due.
pub fn run() -> Result<(), Failed> {
    let run = Run {
        settings: settings()?,
        records: Records::open()?,
        number: wasi::random::random::get_random_u64(),
        deadline: Deadline::after(RUN_MAX),
    };
    // What is rung while this run holds the lease is found by looking again.
    for _ in 0..SWEEPS_MAX {
        if !run.sweep()? || run.deadline.remaining().is_zero() {
            break;
        }
    }
    Ok(())
}

/// With a mistake in them nothing is sent and nothing is lost: alerts are logged, and
/// wait. A provider that fails ends the run: the next one may read what this cannot.
fn settings() -> Result<Option<AlertSettings>, Failed> {
    let (settings, failed) = variables::read(|get| AlertSettings::read(get));
    if let Some(mistake) = failed {
        return Err(mistake.to_string());
    }
    Ok(settings
        .map_err(|mistakes| {
            for mistake in mistakes {
                log::line(&mistake.to_string());
            }
        })
        .ok())
}

struct Run {
    settings: Option<AlertSettings>,
    records: Records,
    /// Who this run is to others, in a lease.
    number: u64,
    deadline: Deadline,
}

impl Run {
    /// One look at every monitor. True when something was delivered. One service's
    /// ledger that cannot be read or stored keeps no other from being told.
    fn sweep(&self) -> Result<bool, Failed> {
        let mut monitors: BTreeMap<String, Vec<Monitor>> = BTreeMap::new();
        for key in self.records.keys()? {
            if let Some(service) = key.strip_prefix(LEDGER_PREFIX) {
                monitors.entry(service.to_owned()).or_default();
            } else if key.starts_with(MONITOR_PREFIX) {
                match self.records.peek::<Monitor>(&key) {
                    Ok(Some(monitor)) => monitors
                        .entry(monitor.definition.service.clone())
                        .or_default()
                        .push(monitor),
                    Ok(None) => {}
                    Err(why) => log::line(&why),
                }
            }
        }
        let mut delivered = false;
        for (service, monitors) in monitors {
            match self.service(&ledger_key(&service), &monitors) {
                Ok(some) => delivered |= some,
                Err(why) => log::line(&why),
            }
        }
        Ok(delivered)
    }

    /// Takes over what is pending in one service, and sends what is due.
    fn service(&self, key: &str, monitors: &[Monitor]) -> Result<bool, Failed> {
        let (mut ledger, mut changed) = match self.records.read(key)? {
            Found::Record(ledger) => (ledger, false),
            Found::Nothing => (Ledger::default(), false),
            // Begun anew, whether or not there is something to tell.
            Found::Broken(_) => (Ledger::default(), true),
        };
        for monitor in monitors {
            changed |= ledger.take(monitor);
        }
        if changed {
            self.store(key, &mut ledger, &BTreeSet::new())?;
        }
        let Some(settings) = &self.settings else {
            for message in ledger.outbox.iter().filter(|_| changed) {
                log::line(&format!(
                    "alert (waiting for the settings to be mended): {}",
                    message.summary()
                ));
            }
            return Ok(false);
        };
        self.deliver(key, &mut ledger, settings)
    }

    /// Sends what is due. The ledger is stored before an attempt (with a lease, so that
    /// a run beside this one keeps off) and after it, so a death in between repeats a
    /// message under its id and loses none.
    fn deliver(
        &self,
        key: &str,
        ledger: &mut Ledger,
        settings: &AlertSettings,
    ) -> Result<bool, Failed> {
        let mut delivered = BTreeSet::new();
        let mut claimed = false;
        while !ledger.leased(self.number, clock::now()) {
            let Some(message) = ledger.next(clock::now()).cloned() else {
                break;
            };
            if self.deadline.remaining() < settings.webhook_timeout {
                break;
            }
            let until = clock::now().plus(settings.webhook_timeout + LEASE_MARGIN);
            ledger.lease = Some(Lease {
                by: self.number,
                until,
            });
            claimed = true;
            self.store(key, ledger, &delivered)?;
            if ledger.leased(self.number, clock::now()) {
                break;
            }
            match attempt(settings, &message) {
                Ok(()) => {
                    if settings.webhook_url.is_some() {
                        log::line(&format!("told the webhook: {}", message.summary()));
                    }
                    ledger.delivered(&message.id);
                    delivered.insert(message.id);
                }
                Err((how, outcome)) => {
                    let pause = ledger.failed(
                        &message.id,
                        how,
                        settings.webhook_retry_interval,
                        clock::now(),
                    );
                    log::line(&format!(
                        "delivering {} ({}) to the webhook: {}; next attempt in {} s; it says: {}",
                        message.id,
                        message.type_name(),
                        outcome.detail,
                        pause.as_secs(),
                        message.summary(),
                    ));
                    if outcome.kind != Some(Kind::Status) {
                        // Not reachable at all: the others would only wait as long.
                        break;
                    }
                }
            }
        }
        if claimed {
            // Ours, that is: another run's stays, or comes back with what is stored.
            ledger.lease = None;
            self.store(key, ledger, &delivered)?;
        }
        Ok(!delivered.is_empty())
    }

    /// Writes the ledger with what another run has stored meanwhile. Between the reading
    /// and the writing another run may still write: checks keep a transition until it has
    /// been taken over for a while (`SETTLED_AFTER`), so such a loss is made good.
    fn store(
        &self,
        key: &str,
        ledger: &mut Ledger,
        delivered: &BTreeSet<String>,
    ) -> Result<(), Failed> {
        if let Some(stored) = self.records.peek::<Ledger>(key)? {
            ledger.merge(stored, delivered, self.number, clock::now());
        }
        self.records.write(key, ledger)
    }
}

/// Between the attempt's end and the ledger's next write.
const LEASE_MARGIN: Duration = Duration::from_secs(2);

fn attempt(settings: &AlertSettings, message: &Message) -> Result<(), (NotTaken, Outcome)> {
    let Some(url) = &settings.webhook_url else {
        log::line(&format!(
            "alert (no webhook_url is set, so it is only logged): {}",
            message.summary()
        ));
        return Ok(());
    };
    let body = json::text(&payload(message)).into_bytes();
    let timestamp_unix_s = clock::now().unix_s();
    let mut headers = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        (
            "user-agent".to_owned(),
            concat!("watchbell/", env!("CARGO_PKG_VERSION")).to_owned(),
        ),
        ("webhook-id".to_owned(), message.id.clone()),
        ("webhook-timestamp".to_owned(), timestamp_unix_s.to_string()),
    ];
    if let Some(secret) = &settings.webhook_secret {
        headers.push((
            "webhook-signature".to_owned(),
            sign(secret, &message.id, timestamp_unix_s, &body),
        ));
    }
    let request = Request {
        method: "POST",
        url,
        headers: &headers,
        body: &body,
    };
    let status = post(&request, Deadline::after(settings.webhook_timeout))
        .map_err(|outcome| (NotTaken::ForNow, outcome))?;
    if (200..300).contains(&status) {
        return Ok(());
    }
    let detail = format!("status {status}, want 2xx");
    Err((
        NotTaken::by_status(status),
        Outcome::failed(Kind::Status, detail),
    ))
}
