//! What the alert component keeps of one service: which transitions it has taken
//! over, and the messages that they became, until each is delivered.
//!
//! Both are one value in key-value: a transition is either still pending with its
//! monitor or it is a message here, whatever dies in between. Every id is derived
//! from content, so what one run overwrites another redoes under the same id.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::monitor::{Definition, Event, Health, Monitor, Told, Transition};
use crate::outcome::Kind;
use crate::time::UnixMs;

/// Undelivered messages kept; beyond it transitions stay pending with their
/// monitors, which bound themselves. About 1 KB each and 7 KB at most: below a store's 1 MB.
pub const OUTBOX_MAX: usize = 100;
/// The longest pause between two attempts.
pub const RETRY_MAX: Duration = Duration::from_secs(300);
/// A message that its receiver has refused for good (4xx) so often is still tried, and no
/// longer holds back the later ones of its check: some quarter of an hour.
const REFUSALS_MAX: u32 = 8;
/// No lease is longer: one that ends later is a clock that went back, not a run at work.
const LEASE_MAX: Duration = Duration::from_secs(60);

/// One value in key-value, written by the alert component alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// By check id.
    pub monitors: BTreeMap<String, Told>,
    /// Oldest first; of one check in the order of its transitions.
    pub outbox: Vec<Message>,
    /// The run that delivers right now; best effort, against duplicates only.
    pub lease: Option<Lease>,
}

/// Held by one run of the alert component while it delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who holds it: a number that the run drew. Not when it began: checks that fail
    /// together ring together, in one millisecond.
    pub by: u64,
    pub until: UnixMs,
}

/// The part of a [`Ledger`] that checks read: what has been taken over.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TakenOver {
    pub monitors: BTreeMap<String, Told>,
}

/// One alert on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Constant over retries: the receiver's idempotency key.
    pub id: String,
    pub transition: Transition,
    /// Attempts that failed.
    pub attempts: u32,
    /// Those of them that the receiver refused for good.
    pub refusals: u32,
    pub next_attempt_at: UnixMs,
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// The receiver refuses this message, and will again (a 4xx that no time heals).
    Refused,
    /// Not reached, overloaded, broken: as good a time as any to try again later.
    ForNow,
}

impl NotTaken {
    /// What an answer that is no 2xx means (RFC 9110, section 15.5).
    pub fn by_status(status: u16) -> Self {
        match status {
            // Timeout, Too Early, Too Many Requests: the same message may pass later.
            408 | 425 | 429 => NotTaken::ForNow,
            400..500 => NotTaken::Refused,
            _ => NotTaken::ForNow,
        }
    }
}

impl Ledger {
    /// Takes over what the monitor has pending. True when something changed, and
    /// then the ledger must be stored before any of it is sent.
    pub fn take(&mut self, monitor: &Monitor) -> bool {
        let check = &monitor.definition.check;
        let told = self.monitors.get(check).cloned();
        let open_before = told.as_ref().and_then(|t| t.open_since);
        let mut now_told = match told.clone() {
            Some(t) if t.born_at == monitor.born_at => t,
            // A record that began anew: its numbers start again, what is open stays open.
            _ => Told {
                born_at: monitor.born_at,
                sequence: 0,
                open_since: open_before,
            },
        };
        for transition in &monitor.pending {
            if transition.sequence > now_told.sequence && self.outbox.len() < OUTBOX_MAX {
                self.enqueue(monitor, transition.clone(), &mut now_told);
            }
        }
        if let Some(made_good) =
            told_over(monitor, &now_told).or_else(|| told_open(monitor, told.as_ref()))
        {
            self.enqueue(monitor, made_good, &mut now_told);
        }
        let changed = told.as_ref() != Some(&now_told);
        // A monitor that has never had anything to tell costs no entry.
        if changed && (now_told.sequence > 0 || told.is_some()) {
            self.monitors.insert(check.clone(), now_told);
            return true;
        }
        false
    }

    fn enqueue(&mut self, monitor: &Monitor, transition: Transition, told: &mut Told) {
        told.sequence = transition.sequence;
        told.open_since = match &transition.event {
            Event::Triggered { failing_since, .. } => Some(*failing_since),
            Event::Resolved { .. } => None,
            Event::CertificateExpiring { .. } => told.open_since,
        };
        self.outbox.push(Message {
            id: message_id(
                &monitor.definition.check,
                monitor.born_at,
                transition.sequence,
            ),
            transition,
            attempts: 0,
            refusals: 0,
            next_attempt_at: UnixMs(0),
        });
    }

    /// Takes in what another run has stored meanwhile, so that writing this ledger
    /// takes nothing back. `delivered` are the ids that this run has delivered, `by` is
    /// its number. A lease that another run holds stands before ours.
    pub fn merge(&mut self, stored: Ledger, delivered: &BTreeSet<String>, by: u64, now: UnixMs) {
        self.lease = match stored.lease {
            Some(other) if stored.leased(by, now) => Some(other),
            _ => self.lease.filter(|lease| lease.by == by),
        };
        // Taken over by another run and no longer in its outbox: delivered by it.
        self.outbox.retain(|ours| {
            let there = stored.outbox.iter().any(|m| m.id == ours.id);
            there || !stored.covers(ours)
        });
        for message in stored.outbox {
            match self.outbox.iter_mut().find(|m| m.id == message.id) {
                Some(ours) if ours.attempts < message.attempts => *ours = message,
                Some(_) => {}
                None if delivered.contains(&message.id) => {}
                None => self.outbox.push(message),
            }
        }
        for (check, told) in stored.monitors {
            let newer = self.monitors.get(&check).is_none_or(|ours| {
                told.born_at > ours.born_at
                    || (told.born_at == ours.born_at && told.sequence > ours.sequence)
            });
            if newer {
                self.monitors.insert(check, told);
            }
        }
    }

    /// Whether the message's transition is among those taken over.
    fn covers(&self, message: &Message) -> bool {
        let check = &message.transition.definition.check;
        self.monitors.get(check).is_some_and(|told| {
            told.sequence >= message.transition.sequence
                && message.id == message_id(check, told.born_at, message.transition.sequence)
        })
    }

    /// The message to send now. Of one check only the first may go (order is kept), unless
    /// that is refused for good; of those whose time has come the one that has waited
    /// longest for it. A clock that went back does not hold one forever.
    pub fn next(&self, now: UnixMs) -> Option<&Message> {
        let horizon = now.plus(RETRY_MAX + RETRY_MAX);
        let mut held: Vec<&str> = Vec::new();
        let firsts = self.outbox.iter().filter(|m| {
            let check = m.transition.definition.check.as_str();
            let first = !held.contains(&check);
            if m.refusals < REFUSALS_MAX {
                held.push(check);
            }
            first && (m.next_attempt_at <= now || m.next_attempt_at > horizon)
        });
        firsts.min_by_key(|m| m.next_attempt_at)
    }

    /// The receiver has it (a 2xx).
    pub fn delivered(&mut self, id: &str) {
        self.outbox.retain(|m| m.id != id);
    }

    /// The attempt failed: the next one waits, longer each time. Gives the pause.
    pub fn failed(
        &mut self,
        id: &str,
        how: NotTaken,
        retry_interval: Duration,
        now: UnixMs,
    ) -> Duration {
        let Some(message) = self.outbox.iter_mut().find(|m| m.id == id) else {
            return Duration::ZERO;
        };
        message.attempts = message.attempts.saturating_add(1);
        if how == NotTaken::Refused {
            message.refusals = message.refusals.saturating_add(1);
        }
        let pause = pause(&message.id, message.attempts, retry_interval);
        message.next_attempt_at = now.plus(pause);
        pause
    }

    /// Whether another run than the one with the number `by` delivers right now.
    pub fn leased(&self, by: u64, now: UnixMs) -> bool {
        self.lease.is_some_and(|lease| {
            lease.by != by && now < lease.until && lease.until.since(now) <= LEASE_MAX
        })
    }
}

/// The *resolved* that a monitor will never send itself: its store lost the record
/// of an outage that was told, and a later probe found it well.
fn told_over(monitor: &Monitor, told: &Told) -> Option<Transition> {
    let open_since = told.open_since?;
    let well =
        matches!(monitor.health, Health::Up | Health::Degraded) && monitor.failing_since.is_none();
    let later = monitor.last.as_ref().is_some_and(|l| l.at > open_since);
    let says_so_itself = monitor.pending.iter().any(|t| t.sequence > told.sequence);
    if !well || !later || says_so_itself {
        return None;
    }
    let at = monitor.last.as_ref().map_or(open_since, |l| l.at);
    let event = Event::Resolved {
        failing_since: open_since,
        kind: None,
        reason: None,
        detail: String::new(),
    };
    Some(Transition {
        sequence: told.sequence + 1,
        at,
        definition: monitor.definition.clone(),
        event,
    })
}

/// The *triggered* that was lost with a ledger that could not be read: an outage that its
/// check has told goes on, and nothing here knows of the check.
fn told_open(monitor: &Monitor, told: Option<&Told>) -> Option<Transition> {
    let goes_on = monitor.health == Health::Down && monitor.pending.is_empty();
    if told.is_some() || !goes_on || monitor.sequence == 0 {
        return None;
    }
    let failure = monitor.failure.as_ref();
    let event = Event::Triggered {
        failing_since: monitor.failing_since.unwrap_or(monitor.since),
        kind: failure.and_then(|f| f.kind).unwrap_or(Kind::Internal),
        reason: failure.and_then(|f| f.reason.clone()),
        detail: failure.map(|f| f.detail.clone()).unwrap_or_default(),
    };
    Some(Transition {
        sequence: monitor.sequence,
        at: monitor.since,
        definition: monitor.definition.clone(),
        event,
    })
}

/// `msg_` and 32 hex digits over what makes the transition this one and no other, and
/// over nothing that an operator may change meanwhile.
fn message_id(check: &str, born_at: UnixMs, sequence: u64) -> String {
    let mut hash = Sha256::new();
    for part in [check, &born_at.0.to_string(), &sequence.to_string()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let mut id = String::from("msg_");
    for byte in &hash.finalize()[..16] {
        id.push_str(&format!("{byte:02x}"));
    }
    id
}

/// Doubles from `retry_interval` up to [`RETRY_MAX`]; up to a quarter less, by the
/// id, so that many messages do not come back at one moment.
fn pause(id: &str, attempts: u32, retry_interval: Duration) -> Duration {
    let doubled = retry_interval.saturating_mul(
        1_u32
            .checked_shl(attempts.saturating_sub(1))
            .unwrap_or(u32::MAX),
    );
    let capped = doubled.min(RETRY_MAX.max(retry_interval));
    let spread = id.bytes().fold(attempts, |h, b| {
        h.wrapping_mul(31).wrapping_add(u32::from(b))
    }) % 256;
    capped - capped * spread / 1024
}

/// The body of the webhook, version 1 (docs/webhook.md).
pub fn payload(message: &Message) -> serde_json::Value {
    let Definition {
        check,
        label,
        service,
        severity,
        target,
        runbook,
        runbook_url,
        ..
    } = &message.transition.definition;
    let at = message.transition.at;
    let (kind, reason, detail) = match &message.transition.event {
        Event::Triggered {
            kind,
            reason,
            detail,
            ..
        } => (Some(*kind), reason.as_deref(), detail),
        Event::Resolved {
            kind,
            reason,
            detail,
            ..
        } => (*kind, reason.as_deref(), detail),
        Event::CertificateExpiring { detail, .. } => {
            (Some(Kind::Certificate), Some("other"), detail)
        }
    };
    let mut data = serde_json::json!({
        "version": 1,
        "service": service,
        "severity": severity.as_str(),
        "failing_since": null,
        "duration_s": null,
        "action": runbook,
        "runbook_url": runbook_url,
        "checks": [{
            "check": check,
            "label": label,
            "kind": kind.map(Kind::as_str),
            "reason": reason,
            "detail": detail,
            "target": target,
        }],
    });
    match &message.transition.event {
        Event::Triggered { failing_since, .. } | Event::Resolved { failing_since, .. } => {
            data["failing_since"] = failing_since.rfc3339().into();
            // Of the two times as they are shown, in whole seconds.
            data["duration_s"] = (at.unix_s() - failing_since.unix_s()).max(0).into();
        }
        Event::CertificateExpiring {
            sha256,
            not_after_unix_s,
            threshold,
            ..
        } => {
            data["severity"] = "warning".into();
            data["certificate"] = serde_json::json!({
                "sha256": sha256,
                "not_after_unix_s": not_after_unix_s,
                "threshold": threshold,
            });
        }
    }
    serde_json::json!({ "type": message.type_name(), "timestamp": at.rfc3339(), "data": data })
}

impl Message {
    /// The webhook's `type`.
    pub fn type_name(&self) -> &'static str {
        match self.transition.event {
            Event::Triggered { .. } => "alert.triggered",
            Event::Resolved { .. } => "alert.resolved",
            Event::CertificateExpiring { .. } => "certificate.expiring",
        }
    }

    /// One line for logs and terminals.
    pub fn summary(&self) -> String {
        let Definition {
            label,
            target,
            runbook,
            ..
        } = &self.transition.definition;
        let action = if runbook.is_empty() {
            String::new()
        } else {
            format!("; {runbook}")
        };
        match &self.transition.event {
            Event::Triggered { kind, detail, .. } => {
                format!(
                    "{label} is down ({}): {detail}; target {target}{action}",
                    kind.as_str()
                )
            }
            Event::Resolved { failing_since, .. } => {
                let lasted = crate::time::for_people(self.transition.at.since(*failing_since));
                format!("{label} is up again after {lasted}; target {target}")
            }
            Event::CertificateExpiring { detail, .. } => {
                format!("{label}: the certificate {detail}; target {target}{action}")
            }
        }
    }
}
