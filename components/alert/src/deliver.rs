//! One run: take over what is pending, send what is due, until nothing is left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use watchbell_core::json;
use watchbell_core::ledger::{Ledger, Message, payload};
use watchbell_core::monitor::Monitor;
use watchbell_core::outcome::{Kind, Outcome};
use watchbell_core::settings::AlertSettings;
use watchbell_core::signature::sign;
use watchbell_guest::outgoing::{Request, send};
use watchbell_guest::store::{MONITOR_PREFIX, Records, ledger_key};
use watchbell_guest::{Deadline, Failed, clock, log, variables};

/// A run ends after this, its last attempt included, and leaves the rest to the next
/// sweep: the clouds cut a request at 30 s.
const RUN_MAX: Duration = Duration::from_secs(28);
/// Of a webhook's answer nothing is used but its status.
const ANSWER_BYTES_MAX: usize = 1024;

/// Delivers everything that is due.
pub fn run() -> Result<(), Failed> {
    let settings = settings()?;
    let records = Records::open()?;
    let deadline = Deadline::after(RUN_MAX);
    // What is rung while this run holds the lease is found by looking again.
    while sweep(&records, &settings, deadline)? && !deadline.remaining().is_zero() {}
    Ok(())
}

/// With a mistake in them nothing is sent and nothing is lost: alerts are logged, and
/// wait. A provider that fails ends the run: the next one may read what this cannot.
fn settings() -> Result<Result<AlertSettings, ()>, Failed> {
    let settings = variables::reading(|get| AlertSettings::read(get))?;
    Ok(settings.map_err(|mistakes| {
        for mistake in mistakes {
            log::line(&mistake.to_string());
        }
    }))
}

/// One look at every monitor. True when something was delivered.
fn sweep(
    records: &Records,
    settings: &Result<AlertSettings, ()>,
    deadline: Deadline,
) -> Result<bool, Failed> {
    let mut ledgers: BTreeMap<String, (Ledger, bool)> = BTreeMap::new();
    for key in records.keys("alert/")? {
        let service = key.trim_start_matches("alert/").to_owned();
        if let Some(ledger) = records.read(&key)? {
            ledgers.insert(service, (ledger, false));
        }
    }
    for key in records.keys(MONITOR_PREFIX)? {
        let monitor: Option<Monitor> = match records.peek(&key) {
            Ok(monitor) => monitor,
            Err(why) => {
                log::line(&why);
                continue;
            }
        };
        let Some(monitor) = monitor else { continue };
        let (ledger, changed) = ledgers
            .entry(monitor.definition.service.clone())
            .or_default();
        *changed |= ledger.take(&monitor);
    }
    let mut delivered = false;
    for (service, (mut ledger, changed)) in ledgers {
        let key = ledger_key(&service);
        if changed {
            store(records, &key, &mut ledger, &BTreeSet::new())?;
            if settings.is_err() {
                for message in &ledger.outbox {
                    log::line(&format!(
                        "alert (waiting for the settings to be mended): {}",
                        message.summary()
                    ));
                }
            }
        }
        delivered |= deliver(records, &key, &mut ledger, settings, deadline)?;
    }
    Ok(delivered)
}

/// Sends what is due. The ledger is stored before an attempt (with a lease, so that
/// a run beside this one keeps off) and after it, so a death in between repeats a
/// message under its id and loses none.
fn deliver(
    records: &Records,
    key: &str,
    ledger: &mut Ledger,
    settings: &Result<AlertSettings, ()>,
    deadline: Deadline,
) -> Result<bool, Failed> {
    if ledger.leased(clock::now()) || ledger.next(clock::now()).is_none() {
        return Ok(false);
    }
    let Ok(settings) = settings else {
        return Ok(false);
    };
    let mut delivered = BTreeSet::new();
    while let Some(message) = ledger.next(clock::now()).cloned() {
        if deadline.remaining() < settings.webhook_timeout {
            break;
        }
        ledger.leased_until = Some(clock::now().plus(settings.webhook_timeout + LEASE_MARGIN));
        store(records, key, ledger, &delivered)?;
        match attempt(settings, &message) {
            Ok(()) => {
                ledger.delivered(&message.id);
                delivered.insert(message.id);
            }
            Err(outcome) => {
                let pause =
                    ledger.failed(&message.id, settings.webhook_retry_interval, clock::now());
                log::line(&format!(
                    "delivering {} ({}) to the webhook: {}; next attempt in {} s",
                    message.id,
                    message.type_name(),
                    outcome.detail,
                    pause.as_secs(),
                ));
                if outcome.kind != Some(Kind::Status) {
                    // Not reachable at all: the others would only wait as long.
                    break;
                }
            }
        }
    }
    ledger.leased_until = None;
    store(records, key, ledger, &delivered)?;
    Ok(!delivered.is_empty())
}

/// Writes the ledger with what another run has stored meanwhile. Between the reading
/// and the writing another run may still write: checks keep a transition until it has
/// been taken over for a while (`SETTLED_AFTER`), so such a loss is made good.
fn store(
    records: &Records,
    key: &str,
    ledger: &mut Ledger,
    delivered: &BTreeSet<String>,
) -> Result<(), Failed> {
    if let Some(stored) = records.read::<Ledger>(key)? {
        ledger.merge(stored, delivered);
    }
    records.write(key, ledger)
}

/// Between the attempt's end and the ledger's next write.
const LEASE_MARGIN: Duration = Duration::from_secs(2);

fn attempt(settings: &AlertSettings, message: &Message) -> Result<(), Outcome> {
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
    let response = send(
        &request,
        ANSWER_BYTES_MAX,
        Deadline::after(settings.webhook_timeout),
    )?;
    if (200..300).contains(&response.status) {
        return Ok(());
    }
    Err(Outcome::failed(
        Kind::Status,
        format!("status {}, want 2xx", response.status),
    ))
}
