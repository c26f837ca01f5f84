//! What the alert component keeps: which transitions it has taken over, the incidents that
//! they became, and the messages on their way.
//!
//! All of it is one value in key-value: a transition is either still pending with its
//! monitor or it is here, whatever dies in between. Every id is derived from content, so
//! what one run overwrites another redoes under the same id.

mod node;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::diagnosis::{Failure, Role, Seen, diagnose};
use crate::digest;
use crate::incident::{Incident, Moment, Reminders, Service, Telling};
use crate::monitor::{Event, Health, Monitor, Told, Transition};
use crate::notice::{About, Notice};
use crate::operator::{Held, Hold, Operator};
use crate::outbox::Outbox;
use crate::outcome::{Kind, Status};
use crate::recurring::Recurring;
use crate::settings::Severity;
use crate::time::UnixMs;

pub use node::{NODE, asleep_after, silent};

/// No lease is longer: one that ends later is a clock that went back, not a run at work.
const LEASE_MAX: Duration = Duration::from_secs(60);
/// Certificate warnings held back; beyond it they stay with their monitors.
const WARNINGS_MAX: usize = 50;
/// Incidents that wait to be remembered: where that cannot be written, alerting goes on.
const OVER_MAX: usize = 50;

/// One value in key-value, written by the alert component alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// By check id.
    pub monitors: BTreeMap<String, Told>,
    pub services: BTreeMap<String, Account>,
    /// This node's own: checks that do not run, a network that is down.
    pub node: Account,
    /// Incidents of this node so far: its network may fail twice within one outage.
    #[serde(default)]
    pub node_incidents: u64,
    pub outbox: Outbox,
    /// Since when the alert component itself has run without a gap.
    pub awake: Option<node::Awake>,
    /// The run that works right now; best effort, against duplicates only.
    pub lease: Option<Lease>,
    /// Incidents that have ended and are not remembered yet, however little was said of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub over: Vec<Incident>,
}

/// A service and what is held back of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub service: Service,
    /// Certificate warnings that are not on their way yet.
    pub warnings: Vec<Warning>,
    /// The change that is being looked at.
    pub change: Option<Change>,
}

/// Something turned: outcomes older than that prove nothing, and the service's checks are due
/// at their next firing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub since: UnixMs,
    /// When it was first not settled.
    pub found_at: UnixMs,
    /// All outcomes are newer, or were waited for long enough: a cause may be named.
    pub settled: bool,
    /// This node's network was down: what fails is waited for as long as it runs at all.
    #[serde(default)]
    pub doubted: bool,
}

/// A certificate's transition, and the life of the record that it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    pub born_at: UnixMs,
    pub transition: Transition,
}

/// Held by one run of the alert component.
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

/// When something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How long a first message waits for fresh outcomes.
    pub settling_time: Duration,
    /// How often the alert component runs at least.
    pub sweep_interval: Duration,
    pub reminders: Reminders,
    /// Whether it is told that the node runs (again).
    pub announces: bool,
}

/// All that one look sees.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    pub monitors: &'a [Monitor],
    /// Checks whose records are there and cannot be read now.
    pub unreadable: &'a BTreeSet<String>,
    pub operator: &'a Operator,
    pub maintenance: &'a [Recurring],
    pub rules: Rules,
    pub now: UnixMs,
}

impl Look<'_> {
    /// What holds the service's alerts back now.
    fn hold(&self, service: &str) -> Option<Held> {
        let mut recurring = self.maintenance.iter();
        let open = recurring.find_map(|r| r.covering(service, self.now));
        let held = open.map(|(from, until)| Held {
            id: "maintenance".to_owned(),
            by: Hold::Maintenance,
            from,
            until,
        });
        held.or_else(|| self.operator.hold(service, self.now))
    }

    /// The latest outcome of each as evidence: of the service, witnesses apart.
    fn seen(&self, service: &str) -> Vec<Seen> {
        of_service(self, service)
            .filter_map(|m| m.seen(self.now))
            .collect()
    }
}

impl Ledger {
    /// Takes over what is pending, and says what there is to say. Whatever changed must be
    /// stored before any of it is sent.
    pub fn look(&mut self, look: &Look<'_>) {
        self.take(look);
        self.suspect_failing(look);
        let awake_before = self.awake.map(|a| a.since);
        let awake_since = self.wake(look.now, look.rules.sweep_interval);
        for (name, account) in &mut self.services {
            account.forget(look);
            account.look(name, look, awake_since);
        }
        let was_cut_off = self.node_cut_off();
        self.look_at_node(look, awake_since, awake_before == Some(awake_since));
        let cut_off = self.node_cut_off();
        let Self {
            services,
            node,
            outbox,
            ..
        } = self;
        node.say(NODE, look.hold(NODE), look, outbox);
        for (name, account) in services.iter_mut() {
            if was_cut_off && !cut_off {
                account.doubt(look.now);
            }
            let uplink = cut_off.then(|| Held {
                id: "uplink".to_owned(),
                by: Hold::Uplink,
                from: look.now,
                until: look.now,
            });
            // Maintenance expects what a missing network brings as well.
            let hold = match look.hold(name) {
                Some(held) if held.by == Hold::Maintenance => Some(held),
                other => uplink.or(other),
            };
            account.say(name, hold, look, outbox);
        }
        let accounts = services.values_mut().chain([node]);
        self.over
            .extend(accounts.flat_map(|a| a.service.over.drain(..)));
        let many = self.over.len().saturating_sub(OVER_MAX);
        self.over.drain(..many);
        let quiet = |a: &Account| a.service == Service::default() && a.warnings.is_empty();
        services.retain(|_, a| !quiet(a) || a.change.is_some());
    }

    /// A service of which nothing was ever told has to be followed from the first failure on,
    /// for its other checks are asked again at once.
    fn suspect_failing(&mut self, look: &Look<'_>) {
        let failing =
            |m: &&Monitor| m.failing() && m.runs(look.now) && m.definition.role != Role::Witness;
        for monitor in look.monitors.iter().filter(failing) {
            let service = &monitor.definition.service;
            if !self.services.contains_key(service) {
                self.services.insert(service.clone(), Account::default());
            }
        }
    }

    /// Every service's transitions, in the order in which they happened.
    fn take(&mut self, look: &Look<'_>) {
        let mut all: Vec<(UnixMs, UnixMs, Transition)> = Vec::new();
        for monitor in look.monitors {
            let mut latest = UnixMs(0);
            for transition in self.take_from(monitor) {
                // A clock that went back does not turn one check's story around.
                latest = latest.max(transition.at);
                all.push((latest, monitor.born_at, transition));
            }
        }
        all.sort_by_key(|(at, _, _)| *at);
        for (_, born_at, transition) in all {
            let service = transition.definition.service.clone();
            let account = self.services.entry(service).or_default();
            if transition.event.of_certificate() {
                account.warnings.push(Warning {
                    born_at,
                    transition,
                });
            } else if transition.definition.role != Role::Witness || !transition.event.fails() {
                // What has become a witness while it was down is still told to be over.
                account.service.apply(&transition, born_at);
            }
        }
    }

    /// What one monitor has pending and is not taken over yet, and what its record has lost.
    fn take_from(&mut self, monitor: &Monitor) -> Vec<Transition> {
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
        let account = self.services.get(&monitor.definition.service);
        let crowded = account.is_some_and(|a| a.warnings.len() >= WARNINGS_MAX);
        let mut taken: Vec<Transition> = Vec::new();
        for transition in &monitor.pending {
            let warns = transition.event.of_certificate();
            if warns && crowded {
                break;
            }
            if transition.sequence > now_told.sequence {
                now_told.tell(transition);
                taken.push(transition.clone());
            }
        }
        let made_good = told_over(monitor, &now_told).or_else(|| told_open(monitor, told.as_ref()));
        if let Some(transition) = made_good {
            now_told.tell(&transition);
            taken.push(transition);
        }
        // A monitor that has never had anything to tell costs no entry.
        if told.as_ref() != Some(&now_told) && (now_told.sequence > 0 || told.is_some()) {
            self.monitors.insert(check.clone(), now_told);
        }
        taken
    }

    /// Whether another run than the one with the number `by` works right now.
    pub fn leased(&self, by: u64, now: UnixMs) -> bool {
        self.lease.is_some_and(|lease| {
            lease.by != by && now < lease.until && lease.until.since(now) <= LEASE_MAX
        })
    }

    /// From when on outcomes count: the latest change.
    pub fn suspect(&self) -> Option<UnixMs> {
        let changes = self.services.values().filter_map(|a| a.change);
        changes.map(|c| c.since).max()
    }

    /// Every open incident.
    pub fn open(&self) -> impl Iterator<Item = &Incident> {
        let accounts = self.services.values().chain([&self.node]);
        accounts.filter_map(|a| a.service.open.as_ref())
    }

    /// The open incident with that id.
    pub fn incident(&self, id: &str) -> Option<&Incident> {
        self.open().find(|i| i.id == id)
    }
}

impl Told {
    fn tell(&mut self, transition: &Transition) {
        self.sequence = transition.sequence;
        match &transition.event {
            Event::Triggered { failing_since, .. } => self.open_since = Some(*failing_since),
            Event::Flapping { .. } => self.open_since = Some(transition.at),
            Event::Resolved { .. } | Event::Settled { down: false } => self.open_since = None,
            Event::Settled { down: true }
            | Event::CertificateExpiring { .. }
            | Event::CertificateRenewed { .. } => {}
        }
    }
}

impl Account {
    /// A check whose record is gone (an operator had it forgotten) is not waited for.
    fn forget(&mut self, look: &Look<'_>) {
        let Some(incident) = &mut self.service.open else {
            return;
        };
        for (check, affected) in &mut incident.checks {
            let there = look.unreadable.contains(check)
                || look.monitors.iter().any(|m| m.definition.check == *check);
            if !there {
                affected.recovered_at.get_or_insert(look.now);
            }
        }
    }

    /// This node's network is back: what was found without it proves nothing.
    fn doubt(&mut self, now: UnixMs) {
        if self.service.open.is_some() {
            self.change = Some(Change {
                since: now,
                found_at: now,
                settled: false,
                doubted: true,
            });
        }
    }

    /// Ends the incident when all is well, and names its cause.
    fn look(&mut self, name: &str, look: &Look<'_>, awake_since: UnixMs) {
        if let Some(incident) = &mut self.service.open {
            incident.rebase(look.now);
        }
        self.follow(name, look, awake_since);
        if let Some(over_at) = self.service.open.as_ref().and_then(Incident::over_at)
            && !of_service(look, name).any(|m| m.unproven() && m.runs(look.now))
        {
            self.service.end(over_at);
        }
        let settled = self.settled();
        if let Some(incident) = &mut self.service.open {
            let seen = look.seen(name);
            let cause = diagnose(&seen).map(|c| c.id.to_owned());
            // Before that, and of what is mending, only what is certain.
            let mends = seen.iter().all(|s| s.failing.is_none());
            if (settled && !mends) || (incident.said.is_none() && cause.is_some()) {
                incident.cause = cause;
                incident.evidence = failing(look, name).collect();
            }
        }
    }

    /// Notices a change, and when it is settled. For the first message it is the first failure
    /// (what fails after it only follows); later it is whatever turned last, so that outcomes
    /// from before and after a recovery are not read as one picture.
    fn follow(&mut self, name: &str, look: &Look<'_>, awake_since: UnixMs) {
        let said = self.service.open.as_ref().is_some_and(|i| i.said.is_some());
        // What does not run any more tells nothing of when this began.
        let turned = of_service(look, name).filter(|m| m.runs(look.now) && (m.failing() || said));
        let turns = turned.map(|m| m.turned_at).filter(|at| *at <= look.now);
        let since = if said { turns.max() } else { turns.min() };
        let changed = |since: &UnixMs| match self.change {
            Some(change) if change.doubted => *since > change.since && said,
            Some(change) => *since != change.since,
            None => true,
        };
        if let Some(since) = since.filter(changed) {
            let unsettled = self.change.filter(|c| said && !c.settled);
            self.change = Some(Change {
                since,
                found_at: unsettled.map_or(look.now, |c| c.found_at),
                settled: false,
                doubted: false,
            });
        }
        let opened_at = self.service.open.as_ref().map(|i| i.opened_at);
        let Some(change) = &mut self.change else {
            return;
        };
        // A clock that went back holds nothing until it has caught up.
        change.since = change.since.min(look.now);
        change.found_at = change.found_at.min(look.now);
        // What has only slept with the node is waited for, like what runs.
        let fresh = |m: &Monitor| silent(m, awake_since, look.now) || m.fresh(change.since);
        // What else fails matters only where the network may be at fault.
        let alone = !node::may_be_cut_off(&look.seen(name));
        let others = alone || look.monitors.iter().all(fresh);
        if change.doubted {
            let mut failing = of_service(look, name).filter(|m| m.failing());
            let own = failing.all(|m| !m.runs(look.now) || m.fresh(change.since));
            change.settled |= own && others;
            return;
        }
        let fresh = others && of_service(look, name).all(fresh);
        let waited = look
            .now
            .since(change.since.max(opened_at.unwrap_or(change.since)));
        let bound = look.rules.settling_time;
        // However often it turns meanwhile.
        let waited_in_all = look.now.since(change.found_at);
        change.settled |= fresh || waited >= bound || (said && waited_in_all >= bound * 2);
    }

    /// Whether the outcomes of all checks belong together.
    fn settled(&self) -> bool {
        self.change.is_none_or(|c| c.settled)
    }

    /// Puts on their way what there is to say, unless it is held back.
    fn say(&mut self, name: &str, hold: Option<Held>, look: &Look<'_>, outbox: &mut Outbox) {
        if let Some(held) = hold {
            let Service { open, ended, .. } = &mut self.service;
            let waiting = open.iter_mut().chain(ended.iter_mut());
            for incident in waiting.filter(|i| i.said.is_none()) {
                incident.hold(&held);
            }
            self.service.fold();
            return;
        }
        self.release(name, look, outbox);
        // Still open when maintenance ends, perhaps early: expected no longer.
        if let Some(incident) = &mut self.service.open {
            incident.held.take_if(|held| held.by == Hold::Maintenance);
        }
        for warning in self.warnings.drain(..) {
            outbox.push(warning_notice(warning));
        }
        for mut incident in std::mem::take(&mut self.service.ended) {
            if incident.said.is_none() {
                // For receivers that must hear of a beginning; of the others none gets it.
                let at = incident.opened_at;
                outbox.push(incident_notice(&mut incident, Telling::Triggered, at, look));
            }
            let at = incident.resolved_at.unwrap_or(look.now);
            outbox.push(incident_notice(&mut incident, Telling::Resolved, at, look));
        }
        let settled = self.settled();
        if let Some(incident) = &mut self.service.open {
            let moment = Moment {
                now: look.now,
                settled,
                acknowledged: look.operator.acknowledgements.contains_key(&incident.id),
            };
            // Nothing of it was said and nothing fails any more: it is about to be over.
            let down = incident
                .checks
                .iter()
                .filter(|(_, a)| a.recovered_at.is_none());
            let mut down = down.map(|(check, _)| check);
            let up = |check: &String| {
                of_service(look, name).any(|m| {
                    let seen = m.seen(look.now).filter(|s| s.failing.is_none());
                    m.definition.check == *check && seen.is_some()
                })
            };
            let mends = incident.said.is_none() && down.all(up);
            let telling = incident.next(moment, look.rules.reminders);
            if let Some(telling) = telling.filter(|_| !mends) {
                let at = match telling {
                    Telling::Triggered => incident.opened_at,
                    _ => look.now,
                };
                outbox.push(incident_notice(incident, telling, at, look));
            }
        }
    }

    /// What was held back ends: what came and went inside maintenance was expected, what
    /// came and went inside another hold is summed up. The rest is told to be over.
    fn release(&mut self, name: &str, look: &Look<'_>, outbox: &mut Outbox) {
        let more = std::mem::take(&mut self.service.folded);
        let ended = std::mem::take(&mut self.service.ended);
        let mut sums: Vec<(Held, Vec<Incident>)> = Vec::new();
        for incident in ended.into_iter().filter(|i| !i.expected()) {
            match &incident.held {
                Some(held) if incident.said.is_none() && held.by != Hold::Maintenance => {
                    match sums.iter_mut().find(|(known, _)| known.id == held.id) {
                        Some((_, all)) => all.push(incident),
                        None => sums.push((held.clone(), vec![incident])),
                    }
                }
                _ => self.service.ended.push(incident),
            }
        }
        // Those that were folded are the oldest, so of the first.
        let mut more = [more].into_iter();
        for (held, incidents) in sums {
            let peak = incidents.iter().map(|i| i.peak).max();
            let peak = peak.unwrap_or(Severity::Info);
            let first = incidents.first().map_or("", |i| i.id.as_str());
            outbox.push(Notice {
                id: digest::id("msg_", &["summary", name, &held.id, first]),
                at: look.now,
                service: name.to_owned(),
                severity: peak,
                peak,
                test: false,
                about: About::Summary {
                    hold: held.by,
                    incidents,
                    more: more.next().unwrap_or_default(),
                },
            });
        }
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
    if !well || !later || says_so_itself || monitor.flaps.now {
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

/// The checks of one service, witnesses apart.
fn of_service<'a>(look: &Look<'a>, name: &str) -> impl Iterator<Item = &'a Monitor> {
    let name = name.to_owned();
    let monitors = look.monitors.iter();
    monitors.filter(move |m| m.definition.service == name && m.definition.role != Role::Witness)
}

/// What fails of a service now, confirmed or not.
fn failing<'a>(look: &'a Look<'a>, name: &str) -> impl Iterator<Item = String> {
    let seen =
        of_service(look, name).filter(|m| m.seen(look.now).is_some_and(|s| s.failing.is_some()));
    seen.map(|m| m.definition.check.clone())
}

fn incident_notice(
    incident: &mut Incident,
    telling: Telling,
    at: UnixMs,
    look: &Look<'_>,
) -> Notice {
    let number = incident.say(telling, look.now);
    let word = format!("{telling:?}");
    Notice {
        id: digest::id("msg_", &[&incident.id, &word, &number.to_string()]),
        at,
        service: incident.service.clone(),
        severity: match telling {
            Telling::Resolved => incident.peak,
            _ => incident.severity(),
        },
        peak: incident.peak,
        test: false,
        about: About::Incident {
            telling,
            incident: incident.clone(),
            acknowledgement: look.operator.acknowledgements.get(&incident.id).cloned(),
        },
    }
}

fn warning_notice(warning: Warning) -> Notice {
    let Warning {
        born_at,
        transition,
    } = warning;
    let check = &transition.definition.check;
    let parts = [
        check.as_str(),
        &born_at.0.to_string(),
        &transition.sequence.to_string(),
    ];
    Notice {
        id: digest::id("msg_", &parts),
        at: transition.at,
        service: transition.definition.service.clone(),
        severity: Severity::Warning,
        peak: Severity::Warning,
        test: false,
        about: About::Certificate(transition),
    }
}

impl Monitor {
    /// Fails, confirmed or not.
    fn failing(&self) -> bool {
        self.failing_since.is_some()
    }

    /// Fails, and whether that is an outage is not known yet.
    fn unproven(&self) -> bool {
        self.health != Health::Down && self.failing() && self.unconfirmed()
    }

    /// Has run within its last intervals, whatever the node did.
    fn runs(&self, now: UnixMs) -> bool {
        !node::silent(self, UnixMs(0), now)
    }

    /// The latest outcome as evidence; `None` where there is none, or an old one.
    fn seen(&self, now: UnixMs) -> Option<Seen> {
        let last = self.last.as_ref().filter(|l| !l.off && self.runs(now))?;
        let failing = (last.status == Status::Failed).then(|| Failure {
            kind: last.kind.unwrap_or(Kind::Internal),
            reason: last.reason.clone(),
            http_status: last.http_status,
        });
        Some(Seen {
            role: self.definition.role,
            http: self.definition.probe == "http",
            failing,
        })
    }
}
