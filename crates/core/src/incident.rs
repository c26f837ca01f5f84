//! One service's outage: what fails, since when, why, and what has been said of it.
//!
//! Checks open and end it by their transitions; what is said follows from comparing what
//! is with what was said last. So an incident that is held back (by a silence, say) loses
//! nothing: it is compared again later.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::diagnosis::SILENT;
use crate::digest;
use crate::ledger::NODE;
use crate::monitor::{Definition, Event, Transition};
use crate::operator::{Held, Hold};
use crate::outcome::Kind;
use crate::settings::Severity;
use crate::time::UnixMs;

/// What the alert component keeps of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub open: Option<Incident>,
    /// Over, and that not told yet; oldest first.
    pub ended: Vec<Incident>,
    /// Others that were over and held back: counted only.
    #[serde(default)]
    pub folded: u32,
    /// What has ended since somebody last asked for it.
    #[serde(skip)]
    pub over: Vec<Incident>,
}

/// Ended incidents kept of one service while they are held back, and the checks in all of
/// them. Beyond either the oldest of which nothing was said is only counted.
const ENDED_MAX: usize = 20;
const ENDED_CHECKS_MAX: usize = 200;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// `inc_` and 32 hex digits, derived from what opened it.
    pub id: String,
    pub service: String,
    /// When the first failure was confirmed.
    pub opened_at: UnixMs,
    /// The first failure.
    pub failing_since: UnixMs,
    /// By check id; those that have recovered too.
    pub checks: BTreeMap<String, Affected>,
    /// The id of a [`crate::diagnosis::Cause`].
    pub cause: Option<String>,
    /// What failed when the cause was last looked for, confirmed or not.
    #[serde(default)]
    pub evidence: BTreeSet<String>,
    /// The highest that it has had: who was told of it is also told of its end.
    pub peak: Severity,
    pub resolved_at: Option<UnixMs>,
    pub said: Option<Said>,
    /// What has held it back.
    #[serde(default)]
    pub held: Option<Held>,
}

/// One check's part in an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affected {
    /// As it was when it failed.
    pub definition: Definition,
    pub failing_since: UnixMs,
    pub kind: Option<Kind>,
    pub reason: Option<String>,
    pub detail: String,
    pub recovered_at: Option<UnixMs>,
    /// Up and down too often to be called either.
    pub flapping: bool,
}

/// What was last said of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    pub at: UnixMs,
    pub view: View,
    /// Messages since it opened, the first included: the next one's number.
    pub messages: u32,
    pub reminders: u32,
    pub acknowledged: bool,
}

/// What a message is worth sending for when it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    pub severity: Severity,
    pub cause: Option<String>,
    pub flapping: BTreeSet<String>,
    /// What fails. Where no cause sums it up, more of it is worth a message.
    #[serde(default)]
    pub failing: BTreeSet<String>,
}

/// Of one incident so many changes are told as they come. Each later one waits at least so
/// long after the message before it, and twice as long as the one before, up to the
/// reminders' interval: a proxy that answers now so and now so must not page anybody at every
/// turn.
const UPDATES_AT_ONCE: u32 = 2;
const UPDATE_PAUSE: Duration = Duration::from_secs(60);
/// What fails so soon after a message is part of what it told.
const FOLLOWS: Duration = Duration::from_secs(30);

impl View {
    /// Whether it says something that `said` does not.
    fn differs(&self, said: &View) -> bool {
        self.severity != said.severity || self.cause != said.cause || self.flapping != said.flapping
    }
}

/// What there is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Telling {
    Triggered,
    Updated,
    Reminder,
    Acknowledged,
    Resolved,
}

/// When reminders are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reminders {
    pub interval: Duration,
    pub max: u32,
}

/// What is known of a service at one look, beside its incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    pub now: UnixMs,
    /// The outcomes of all checks are newer than the last change, or were waited for long
    /// enough: a cause may be named.
    pub settled: bool,
    /// Somebody looks after it.
    pub acknowledged: bool,
}

impl Service {
    /// Takes a check's transition in, in the order in which they happened.
    pub fn apply(&mut self, transition: &Transition, born_at: UnixMs) {
        let Transition {
            sequence,
            at,
            definition,
            event,
        } = transition;
        let check = &definition.check;
        match event {
            Event::Triggered {
                failing_since,
                kind,
                reason,
                detail,
            } => {
                let affected = Affected {
                    definition: definition.clone(),
                    failing_since: *failing_since,
                    kind: Some(*kind),
                    reason: reason.clone(),
                    detail: detail.clone(),
                    recovered_at: None,
                    flapping: false,
                };
                self.join(
                    affected,
                    *at,
                    &[check, &born_at.0.to_string(), &sequence.to_string()],
                );
            }
            Event::Resolved { .. } => {
                if let Some(affected) = self.affected(check) {
                    affected.recovered_at = Some(*at);
                    affected.flapping = false;
                }
            }
            Event::Flapping { detail } => {
                let affected = Affected {
                    definition: definition.clone(),
                    failing_since: *at,
                    kind: None,
                    reason: Some(FLAPPING.into()),
                    detail: detail.clone(),
                    recovered_at: None,
                    flapping: true,
                };
                self.join(
                    affected,
                    *at,
                    &[check, &born_at.0.to_string(), &sequence.to_string()],
                );
            }
            Event::Settled { down } => {
                if let Some(affected) = self.affected(check) {
                    affected.flapping = false;
                    if !down {
                        affected.recovered_at = Some(*at);
                    }
                }
            }
            Event::CertificateExpiring { .. } | Event::CertificateRenewed { .. } => {}
        }
    }

    /// Opens an incident, or adds to the open one. One that is over but for its end being
    /// looked at is another outage, unless this failure began before that end.
    pub fn join(&mut self, affected: Affected, at: UnixMs, opener: &[&str]) {
        if let Some(over_at) = self.open.as_ref().and_then(Incident::over_at)
            && affected.failing_since > over_at
        {
            self.end(over_at);
        }
        let service = &affected.definition.service;
        let incident = self.open.get_or_insert_with(|| Incident {
            id: digest::id("inc_", &[&[service.as_str()], opener].concat()),
            service: service.clone(),
            opened_at: at,
            failing_since: affected.failing_since,
            checks: BTreeMap::new(),
            cause: None,
            evidence: BTreeSet::new(),
            peak: Severity::Info,
            resolved_at: None,
            said: None,
            held: None,
        });
        incident.opened_at = incident.opened_at.min(at);
        // What was told stays: beginning and end must speak of one outage. Which check saw it
        // first may come out a moment after the first message.
        if incident.said.is_none() {
            incident.failing_since = incident.failing_since.min(affected.failing_since);
        }
        incident.peak = incident.peak.max(affected.definition.severity);
        match incident.checks.get_mut(&affected.definition.check) {
            // A relapse: since when it fails is told of the whole.
            Some(known) => {
                let failing_since = known.failing_since.min(affected.failing_since);
                *known = Affected {
                    failing_since,
                    ..affected
                };
            }
            None => {
                let check = affected.definition.check.clone();
                incident.checks.insert(check, affected);
            }
        }
    }

    fn affected(&mut self, check: &str) -> Option<&mut Affected> {
        self.open.as_mut()?.checks.get_mut(check)
    }

    /// Keeps what is held back bounded.
    pub fn fold(&mut self) {
        let crowded = |ended: &[Incident]| {
            ended.len() > ENDED_MAX
                || ended.iter().map(|i| i.checks.len()).sum::<usize>() > ENDED_CHECKS_MAX
        };
        while crowded(&self.ended) {
            let Some(oldest) = self.ended.iter().position(|i| i.said.is_none()) else {
                return;
            };
            if !self.ended.remove(oldest).expected() {
                self.folded += 1;
            }
        }
    }

    /// The open incident is over.
    pub fn end(&mut self, at: UnixMs) {
        if let Some(mut incident) = self.open.take() {
            incident.resolved_at = Some(at);
            self.over.push(incident.clone());
            self.ended.push(incident);
        }
    }
}

/// The reason of a check that flaps.
pub const FLAPPING: &str = "flapping";

impl Said {
    /// Before a change is told.
    fn pause(&self, reminders: Reminders) -> Duration {
        let updates = self.messages.saturating_sub(1 + self.reminders);
        match updates.checked_sub(UPDATES_AT_ONCE) {
            None => Duration::ZERO,
            Some(later) => UPDATE_PAUSE
                .saturating_mul(1_u32.checked_shl(later).unwrap_or(u32::MAX))
                .min(reminders.interval),
        }
    }
}

impl Incident {
    /// When the last of its checks recovered; `None` while one has not.
    pub fn over_at(&self) -> Option<UnixMs> {
        let ends: Option<Vec<UnixMs>> = self.checks.values().map(|a| a.recovered_at).collect();
        ends?.into_iter().max()
    }

    /// The highest severity of what fails.
    pub fn severity(&self) -> Severity {
        let failing = self.checks.values().filter(|a| a.recovered_at.is_none());
        let highest = failing.map(|a| a.definition.severity).max();
        highest.unwrap_or(self.peak)
    }

    /// Notes what holds it back. A silence or a fault of this node's network is not
    /// forgotten over maintenance: what they held is told. What came and went inside
    /// maintenance stays expected, whatever holds the service back later.
    pub fn hold(&mut self, held: &Held) {
        if self.expected() {
            return;
        }
        match &mut self.held {
            Some(known) if known.by != Hold::Maintenance => {}
            Some(known) if held.by == Hold::Maintenance => {
                known.from = known.from.min(held.from);
                known.until = known.until.max(held.until);
            }
            known => *known = Some(held.clone()),
        }
    }

    /// Whether it came and went inside maintenance.
    pub fn expected(&self) -> bool {
        self.said.is_none()
            && self.held.as_ref().is_some_and(|held| {
                held.by == Hold::Maintenance
                    && held.from <= self.failing_since
                    && self.resolved_at.is_some_and(|at| at <= held.until)
            })
    }

    fn view(&self) -> View {
        let flaps = self.checks.iter().filter(|(_, a)| a.flapping);
        let fails = self.checks.iter().filter(|(_, a)| a.recovered_at.is_none());
        let fails = fails.map(|(check, _)| check);
        View {
            severity: self.severity(),
            cause: self.cause.clone(),
            flapping: flaps.map(|(check, _)| check.clone()).collect(),
            failing: fails.chain(&self.evidence).cloned().collect(),
        }
    }

    /// Where no cause sums it up: something fails that did not when it was last told, and
    /// does not merely follow. When a check of this node's fell silent, its last run does
    /// not tell.
    fn has_grown(&self, said: &Said) -> bool {
        if self.cause.as_deref().is_some_and(|c| c != SILENT.id) {
            return false;
        }
        let failing = self.checks.iter().filter(|(_, a)| a.recovered_at.is_none());
        let mut new = failing.filter(|(check, _)| !said.view.failing.contains(*check));
        new.any(|(_, a)| self.service == NODE || a.failing_since > said.at.plus(FOLLOWS))
    }

    /// A clock that went back waits no longer than it would have.
    pub fn rebase(&mut self, now: UnixMs) {
        self.opened_at = self.opened_at.min(now);
        if let Some(said) = &mut self.said {
            said.at = said.at.min(now);
        }
    }

    /// What is to be said now, if anything.
    pub fn next(&self, moment: Moment, reminders: Reminders) -> Option<Telling> {
        let Some(said) = &self.said else {
            return if self.resolved_at.is_some() {
                // One message that tells both.
                Some(Telling::Resolved)
            } else {
                moment.settled.then_some(Telling::Triggered)
            };
        };
        if self.resolved_at.is_some() {
            return Some(Telling::Resolved);
        }
        let view = self.view();
        let rises = view.severity > said.view.severity;
        if moment.settled
            && (view.differs(&said.view) || self.has_grown(said))
            && (rises || moment.now.since(said.at) >= said.pause(reminders))
        {
            return Some(Telling::Updated);
        }
        // What was told once holds, also where it cannot be read now.
        if said.acknowledged {
            return None;
        }
        if moment.acknowledged {
            return Some(Telling::Acknowledged);
        }
        let due = moment.now.since(said.at) >= reminders.interval;
        (due && said.reminders < reminders.max).then_some(Telling::Reminder)
    }

    /// Notes that it was said. Gives the message's number within the incident.
    pub fn say(&mut self, telling: Telling, now: UnixMs) -> u32 {
        let view = self.view();
        let said = self.said.get_or_insert_with(|| Said {
            at: now,
            view: view.clone(),
            messages: 0,
            reminders: 0,
            acknowledged: false,
        });
        said.at = now;
        match telling {
            Telling::Reminder => said.reminders += 1,
            Telling::Acknowledged => said.acknowledged = true,
            // Only these say that something has changed.
            Telling::Triggered | Telling::Updated | Telling::Resolved => said.view = view,
        }
        said.messages += 1;
        said.messages
    }
}
