//! A check with its state, and the rule that moves it: [`step`].
//!
//! The rule decides from counters and elapsed time, never from "now lies inside a
//! window": a tick may be late, repeated, skipped, overlapped or go back in time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::diagnosis::Role;
use crate::history::Tail;
use crate::measured::Measured;
use crate::outcome::CertificateSeen;
use crate::outcome::{Identity, Kind, Outcome, Status, one_line};
use crate::settings::{Common, Pace, Severity, Threshold};
use crate::time::UnixMs;

/// Without a probe for more than this many intervals, nothing is known of the time between.
const GAP_INTERVALS: u32 = 3;
/// Over a longer gap than this a count begins anew: a laptop that slept through the night
/// has not failed twice in a row. A shorter one keeps it, or a check whose caller comes
/// more rarely than its interval says could never reach a threshold.
const COUNT_KEPT_MAX: Duration = Duration::from_secs(3600);
/// Transitions kept while nobody confirms them; beyond it the oldest recovery and
/// relapse fold into one outage, so that the record stays far below a store's 1 MB.
const PENDING_MAX: usize = 32;
/// Longer than a run of the alert component can last with what it read at its start.
pub const SETTLED_AFTER: Duration = Duration::from_secs(60);
/// Certificates whose alerted thresholds are remembered: a balancer may serve several,
/// and each costs 120 bytes of the record. Beyond it the first to end is forgotten.
const CERTIFICATES_MAX: usize = 128;
/// Of a target, as records and messages show it.
const TARGET_CHARS_MAX: usize = 300;

/// The state of the monitored thing, as far as it is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Never probed, or not for several intervals. Left by the first probe.
    Unknown,
    /// Left by `failure_threshold` consecutive failures.
    Up,
    /// As up, for alerts; left likewise.
    Degraded,
    /// Left by `success_threshold` consecutive successes.
    Down,
}

/// Reason of an `internal` failure: the check's record could not be read.
pub const STATE_LOST: &str = "state-lost";

/// When things count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    pub pace: Pace,
    pub failure_threshold: u32,
    pub success_threshold: u32,
    /// Expiry thresholds; empty for checks that see no certificate.
    pub thresholds: Vec<Threshold>,
    /// Whether a check that goes up and down too often is told to flap instead.
    pub flapping: bool,
}

impl Policy {
    pub fn new(common: &Common, thresholds: &[Threshold]) -> Self {
        Self {
            pace: common.pace,
            failure_threshold: common.failure_threshold,
            success_threshold: common.success_threshold,
            thresholds: thresholds.to_vec(),
            flapping: common.flapping,
        }
    }
}

/// What an alert says about the check itself; never a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    pub check: String,
    pub label: String,
    pub service: String,
    pub severity: Severity,
    /// What part of the picture it shows.
    #[serde(default)]
    pub role: Role,
    /// `http`, `tcp`, `certificate`.
    pub probe: String,
    pub target: String,
    pub runbook: String,
    pub runbook_url: String,
    pub interval_ms: u64,
}

/// A [`Policy`] as the last probe had it, for whoever shows it; the rule takes its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub retry_interval_ms: u64,
    pub failure_threshold: u32,
    pub success_threshold: u32,
    pub expiry_thresholds: Vec<Threshold>,
}

impl Plan {
    pub fn new(policy: &Policy) -> Self {
        let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        Self {
            retry_interval_ms: ms(policy.pace.retry_interval),
            failure_threshold: policy.failure_threshold,
            success_threshold: policy.success_threshold,
            expiry_thresholds: policy.thresholds.clone(),
        }
    }
}

/// What the check itself remembers between probes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The optional thing has been there once.
    pub present: bool,
    /// The value that must stay what it was.
    pub identity: Option<Identity>,
    /// The narrowest threshold alerted, by certificate.
    pub certificates: Vec<Alerted>,
}

/// A certificate and the narrowest threshold alerted for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alerted {
    pub sha256: String,
    pub not_after_unix_s: i64,
    /// In seconds before not-after: the same whatever list of thresholds is configured.
    pub inside_s: i64,
    /// Probes in a row that saw another one.
    #[serde(default)]
    pub unseen: u32,
}

impl Alerted {
    /// So many, for each that was warned of, are a renewal; fewer may be a balancer's other
    /// servers.
    const UNSEEN_RENEWED: usize = 10;
}

/// The last probe, as records and messages tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    pub at: UnixMs,
    pub status: Status,
    pub kind: Option<Kind>,
    pub reason: Option<String>,
    pub detail: String,
    /// The answer's, where another was wanted.
    #[serde(default)]
    pub http_status: Option<u16>,
    /// Nothing was asked: the check is switched off.
    #[serde(default)]
    pub off: bool,
}

impl Last {
    /// `at` is when the probe began.
    pub fn new(outcome: &Outcome, at: UnixMs) -> Self {
        Self {
            at,
            status: outcome.status,
            kind: outcome.kind,
            reason: outcome.reason.as_deref().map(str::to_owned),
            detail: outcome.detail.clone(),
            http_status: outcome.http_status,
            off: outcome.off,
        }
    }
}

/// Something that happened and must be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// Consecutive within a monitor's life; 1 is the first.
    pub sequence: u64,
    pub at: UnixMs,
    /// The check as it was then: what is told later is told of it.
    pub definition: Definition,
    pub event: Event,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The failure is confirmed.
    Triggered {
        failing_since: UnixMs,
        kind: Kind,
        reason: Option<String>,
        detail: String,
    },
    /// It is well again; `kind`, `reason` and `detail` are of the failure that ended.
    Resolved {
        failing_since: UnixMs,
        kind: Option<Kind>,
        reason: Option<String>,
        detail: String,
    },
    /// Up and down too often: neither is told until it has settled.
    Flapping { detail: String },
    /// It flaps no longer; `down` where it is down.
    Settled { down: bool },
    /// A certificate came inside an expiry threshold.
    CertificateExpiring {
        sha256: String,
        not_after_unix_s: i64,
        threshold: String,
        detail: String,
    },
    /// A certificate that was warned of is served no longer.
    CertificateRenewed {
        sha256: String,
        not_after_unix_s: i64,
        detail: String,
    },
}

impl Event {
    /// Something is down from now on.
    pub fn fails(&self) -> bool {
        matches!(self, Event::Triggered { .. } | Event::Flapping { .. })
    }

    /// Of a certificate: it changes nothing about being up or down.
    pub fn of_certificate(&self) -> bool {
        matches!(
            self,
            Event::CertificateExpiring { .. } | Event::CertificateRenewed { .. }
        )
    }
}

/// A check with its state. One value in key-value, written by that check alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitor {
    pub definition: Definition,
    /// When this record began: tells two lives with the same numbers apart.
    pub born_at: UnixMs,
    /// The number of the last transition; 0 before the first.
    pub sequence: u64,
    pub health: Health,
    /// Since when `health` is what it is.
    pub since: UnixMs,
    /// When a probe last found something else than the one before, well or failing: the end
    /// of that probe, for until then it may have been otherwise.
    #[serde(default)]
    pub turned_at: UnixMs,
    pub consecutive_failures: u32,
    pub consecutive_successes: u32,
    #[serde(default)]
    pub flaps: Flaps,
    /// The first failure of those that count now, or of the outage.
    pub failing_since: Option<UnixMs>,
    /// Of the outage's confirmed failure, told again when it ends.
    pub failure: Option<Last>,
    pub last: Option<Last>,
    /// What the alert component has not confirmed yet, oldest first.
    pub pending: Vec<Transition>,
    /// What the alert component was first seen to have taken over, and when.
    pub confirmed: Option<Confirmed>,
    pub memory: Memory,
    #[serde(default)]
    pub plan: Plan,
    /// Of the last probe.
    #[serde(default)]
    pub measured: Measured,
    /// What of the history has not moved to its own keys.
    #[serde(default)]
    pub history: Tail,
}

/// Of the last probes, which turned the confirmed state; Icinga's hysteresis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flaps {
    /// A bit each, the newest lowest.
    pub turns: u32,
    pub now: bool,
}

impl Flaps {
    /// Probes that count.
    pub const PROBES: u32 = 20;
    /// Flapping begins above this, in per cent of them.
    const HIGH: u32 = 30;
    /// And ends below this.
    const LOW: u32 = 25;

    fn count(&mut self, turned: bool) {
        self.turns = (self.turns << 1 | u32::from(turned)) & ((1 << Self::PROBES) - 1);
        let percent = self.percent();
        self.now = if self.now {
            percent >= Self::LOW
        } else {
            percent > Self::HIGH
        };
    }

    /// The share of probes that turned, the newest weighing 1.2 and the oldest 0.8.
    fn percent(self) -> u32 {
        let weighs = |age: u32| 120 - 40 * age / (Self::PROBES - 1);
        let turned = (0..Self::PROBES).filter(|age| self.turns >> age & 1 == 1);
        turned.map(weighs).sum::<u32>() / Self::PROBES
    }
}

/// Transitions up to `sequence` were seen to be taken over at `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    pub sequence: u64,
    pub at: UnixMs,
}

/// What the alert component has taken over from a monitor; it keeps this, the check reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub born_at: UnixMs,
    /// Transitions up to this one are with the alert component.
    pub sequence: u64,
    /// A *triggered* without its *resolved*: failing since then.
    pub open_since: Option<UnixMs>,
}

impl Monitor {
    /// A monitor that has not been probed yet.
    pub fn new(definition: Definition, now: UnixMs) -> Self {
        Self {
            definition,
            born_at: now,
            sequence: 0,
            health: Health::Unknown,
            since: now,
            turned_at: UnixMs(0),
            flaps: Flaps::default(),
            consecutive_failures: 0,
            consecutive_successes: 0,
            failing_since: None,
            failure: None,
            last: None,
            pending: Vec::new(),
            confirmed: None,
            memory: Memory::default(),
            plan: Plan::default(),
            measured: Measured::default(),
            history: Tail::default(),
        }
    }

    /// In place of a record that could not be read: what it counted and remembered is
    /// gone, and that is told. The next probe that finds the target well ends it.
    pub fn in_place_of_lost(definition: Definition, why: &str, now: UnixMs) -> Self {
        let mut monitor = Self::new(definition, now);
        let outcome = Outcome::failed(Kind::Internal, why).reason(STATE_LOST);
        let once = Policy {
            failure_threshold: 1,
            ..Policy::default()
        };
        monitor = step(monitor, &once, &outcome, now);
        // The target has not been probed: that is due at once.
        monitor.last = None;
        monitor
    }

    /// Whether a failure or a recovery awaits its confirmation.
    pub fn unconfirmed(&self) -> bool {
        match self.health {
            Health::Down => self.consecutive_successes > 0,
            _ => self.consecutive_failures > 0,
        }
    }

    /// Nothing fails, nothing waits: a run need not read what the alert component keeps.
    pub fn quiet(&self) -> bool {
        self.pending.is_empty() && self.health != Health::Down && self.failing_since.is_none()
    }

    /// Whether a probe is due: after `interval` when well or down, after
    /// `retry_interval` while something awaits confirmation. Half a firing early
    /// counts, so that jitter never costs a whole firing. A clock that went back makes it due.
    pub fn due(&self, pace: &Pace, now: UnixMs) -> bool {
        let Some(last) = &self.last else { return true };
        let wait = if self.unconfirmed() {
            pace.retry_interval
        } else {
            pace.interval
        };
        now < last.at || now.since(last.at) + pace.firing_interval / 2 >= wait
    }

    /// Whether the alert component waits for a fresh outcome: the last one is older than
    /// what it suspects. Half a firing apart at least, so that one firing probes once.
    pub fn awaited(&self, suspect_since: Option<UnixMs>, pace: &Pace, now: UnixMs) -> bool {
        let (Some(last), Some(since)) = (&self.last, suspect_since) else {
            return false;
        };
        let older = last.at < since && self.turned_at < since;
        older && since <= now && now.since(last.at) >= pace.firing_interval / 2
    }

    /// Whether its outcome is one of the time after that moment.
    pub fn fresh(&self, since: UnixMs) -> bool {
        self.turned_at >= since || self.last.as_ref().is_some_and(|l| l.at >= since)
    }

    /// The check as it is configured now. Another target is another thing: what was
    /// remembered of the old one, or was being counted, says nothing about it.
    ///
    /// While something is open or untold the service stays: it is told where it began.
    pub fn redefine(&mut self, mut definition: Definition) {
        definition.target = one_line(&definition.target, TARGET_CHARS_MAX);
        if !self.pending.is_empty() || self.health == Health::Down {
            definition.service.clone_from(&self.definition.service);
        }
        if definition.target.is_empty() {
            // A configuration that cannot be read says nothing about the target.
            definition.target.clone_from(&self.definition.target);
        }
        if self.definition.target != definition.target {
            self.memory = Memory::default();
            self.consecutive_successes = 0;
            if self.health != Health::Down {
                self.consecutive_failures = 0;
                self.failing_since = None;
            }
        }
        self.definition = definition;
    }

    /// Whether something has not been taken over by the alert component.
    pub fn untold(&self, told: Option<&Told>) -> bool {
        let taken = told
            .filter(|t| t.born_at == self.born_at)
            .map_or(0, |t| t.sequence);
        self.pending.iter().any(|t| t.sequence > taken)
    }

    /// Drops what the alert component has taken over, once it has been so for
    /// [`SETTLED_AFTER`]: until then a run of that component that began earlier may
    /// still write its older knowledge over it, and must find the transition here.
    ///
    /// Where the alert component knows more than this record (a store lost the last
    /// writes), its knowledge is adopted, so that no number is used twice and an
    /// outage that was told is also told to be over.
    pub fn confirm(&mut self, told: Option<&Told>, now: UnixMs) {
        let Some(told) = told else {
            // Nothing is known there: what was seen to be taken over has been taken back.
            self.confirmed = None;
            return;
        };
        let never_told = self.sequence == 0 && self.pending.is_empty();
        if told.born_at != self.born_at {
            if !never_told {
                // Born into a clock that had gone back: the ledger takes over from the life
                // that was born last, so this one must be it.
                if told.born_at > self.born_at {
                    self.born_at = UnixMs(told.born_at.0.saturating_add(1));
                }
                return;
            }
            self.born_at = told.born_at;
        }
        match self.confirmed {
            // A clock that went back begins the wait anew.
            Some(c) if c.sequence <= told.sequence && c.at <= now => {
                if now.since(c.at) >= SETTLED_AFTER {
                    self.pending.retain(|t| t.sequence > c.sequence);
                    self.confirmed = None;
                }
            }
            _ => self.confirmed = None,
        }
        if self.confirmed.is_none()
            && self
                .pending
                .first()
                .is_some_and(|t| t.sequence <= told.sequence)
        {
            self.confirmed = Some(Confirmed {
                sequence: told.sequence,
                at: now,
            });
        }
        if told.sequence <= self.sequence {
            return;
        }
        self.sequence = told.sequence;
        self.pending.clear();
        self.confirmed = None;
        match told.open_since {
            Some(since) => {
                self.health = Health::Down;
                self.since = since;
                self.failing_since = Some(since);
                self.consecutive_successes = 0;
            }
            None if self.health == Health::Down => {
                self.health = Health::Unknown;
                self.failing_since = None;
                self.failure = None;
                self.consecutive_failures = 0;
            }
            None => {}
        }
    }
}

/// Applies one probe's outcome. `now` is when the probe began. An outcome that
/// comes while none was due changes nothing, so nobody can hurry a threshold.
pub fn step(monitor: Monitor, policy: &Policy, outcome: &Outcome, now: UnixMs) -> Monitor {
    if !monitor.due(&policy.pace, now) {
        return monitor;
    }
    step_awaited(monitor, policy, outcome, now)
}

/// As [`step`] for an outcome that the alert component waits for, due or not: one that
/// fails counts no earlier than it would have.
pub fn step_awaited(
    mut monitor: Monitor,
    policy: &Policy,
    outcome: &Outcome,
    now: UnixMs,
) -> Monitor {
    forget_over_gap(&mut monitor, policy, now);
    remember(&mut monitor.memory, outcome);
    let last = Last::new(outcome, now);
    let before = (
        monitor.last.as_ref().map(|l| l.status == Status::Failed),
        monitor.health,
    );
    if before.0 != Some(outcome.status == Status::Failed) {
        monitor.turned_at = now;
    }
    monitor.last = Some(last.clone());
    match outcome.status {
        Status::Failed => fail(&mut monitor, policy, last, now),
        Status::Up => succeed(&mut monitor, policy, Health::Up, now),
        Status::Degraded => succeed(&mut monitor, policy, Health::Degraded, now),
    }
    let turned = (before.1 == Health::Down) != (monitor.health == Health::Down);
    flap(&mut monitor, policy, turned, now);
    if let Some(seen) = &outcome.certificate {
        tell_renewed(&mut monitor, seen, now);
        warn_of_expiry(&mut monitor, policy, seen, now);
    }
    fold(&mut monitor.pending);
    monitor
}

/// A gap of several intervals proves nothing about the time between. An outage that was
/// told stays open until a probe says otherwise; what was being counted goes on, or over a
/// long gap begins anew.
fn forget_over_gap(monitor: &mut Monitor, policy: &Policy, now: UnixMs) {
    let Some(last_at) = monitor.last.as_ref().map(|l| l.at) else {
        return;
    };
    let gap = now.since(last_at);
    if gap <= policy.pace.interval * GAP_INTERVALS {
        return;
    }
    let anew = gap > COUNT_KEPT_MAX;
    if anew {
        monitor.consecutive_successes = 0;
    }
    if monitor.health != Health::Down {
        monitor.health = Health::Unknown;
        monitor.since = last_at;
        if anew {
            monitor.consecutive_failures = 0;
            monitor.failing_since = None;
        }
    }
}

fn remember(memory: &mut Memory, outcome: &Outcome) {
    if outcome.present == Some(true) {
        memory.present = true;
    }
    if outcome.status != Status::Failed && outcome.identity.is_some() {
        memory.identity.clone_from(&outcome.identity);
    }
}

fn fail(monitor: &mut Monitor, policy: &Policy, last: Last, now: UnixMs) {
    monitor.consecutive_successes = 0;
    monitor.consecutive_failures = monitor.consecutive_failures.saturating_add(1);
    let failing_since = *monitor.failing_since.get_or_insert(now);
    if monitor.health == Health::Down {
        monitor.failure = Some(last);
        return;
    }
    if monitor.consecutive_failures < policy.failure_threshold {
        return;
    }
    monitor.health = Health::Down;
    monitor.since = now;
    let event = Event::Triggered {
        failing_since,
        kind: last.kind.unwrap_or(Kind::Internal),
        reason: last.reason.clone(),
        detail: last.detail.clone(),
    };
    monitor.failure = Some(last);
    if !monitor.flaps.now {
        push(monitor, event, now);
    }
}

fn succeed(monitor: &mut Monitor, policy: &Policy, health: Health, now: UnixMs) {
    monitor.consecutive_failures = 0;
    monitor.consecutive_successes = monitor.consecutive_successes.saturating_add(1);
    if monitor.health == Health::Down {
        if monitor.consecutive_successes < policy.success_threshold {
            return;
        }
        let failure = monitor.failure.take();
        let event = Event::Resolved {
            failing_since: monitor.failing_since.unwrap_or(now),
            kind: failure.as_ref().and_then(|f| f.kind),
            reason: failure.as_ref().and_then(|f| f.reason.clone()),
            detail: failure.map(|f| f.detail).unwrap_or_default(),
        };
        if !monitor.flaps.now {
            push(monitor, event, now);
        }
    }
    monitor.failing_since = None;
    if monitor.health != health {
        monitor.health = health;
        monitor.since = now;
    }
}

/// Counts how often the confirmed state turns; says when that is too often, and when no
/// longer. A check that begins to flap says so in place of the turn that made it so.
fn flap(monitor: &mut Monitor, policy: &Policy, turned: bool, now: UnixMs) {
    let flapped = monitor.flaps.now;
    monitor.flaps.count(turned && policy.flapping);
    if monitor.flaps.now == flapped {
        return;
    }
    let event = if flapped {
        Event::Settled {
            down: monitor.health == Health::Down,
        }
    } else {
        // The turn itself is in it.
        monitor.pending.pop();
        monitor.sequence -= 1;
        Event::Flapping {
            detail: format!(
                "turned {} times in the last {} probes",
                monitor.flaps.turns.count_ones(),
                Flaps::PROBES
            ),
        }
    };
    push(monitor, event, now);
}

/// What was warned of and has not been seen for a while is told to be replaced, and is
/// news again should it come back.
fn tell_renewed(monitor: &mut Monitor, seen: &CertificateSeen, now: UnixMs) {
    let mut renewed = Vec::new();
    let unseen_max = Alerted::UNSEEN_RENEWED * monitor.memory.certificates.len();
    monitor.memory.certificates.retain_mut(|alerted| {
        alerted.unseen += 1;
        if alerted.sha256 == seen.sha256 {
            alerted.unseen = 0;
        }
        let stays = (alerted.unseen as usize) < unseen_max;
        if !stays {
            renewed.push(Event::CertificateRenewed {
                sha256: alerted.sha256.clone(),
                not_after_unix_s: alerted.not_after_unix_s,
                detail: crate::certificate::renewal_detail(alerted.not_after_unix_s, seen, now),
            });
        }
        stays
    });
    for event in renewed {
        push(monitor, event, now);
    }
}

/// Each threshold of each certificate once; several crossed at once are one warning,
/// of the narrowest. Not-after itself is the probe's failure, not a warning.
fn warn_of_expiry(monitor: &mut Monitor, policy: &Policy, seen: &CertificateSeen, now: UnixMs) {
    let crossed = crate::certificate::crossed(&policy.thresholds, seen, now);
    if crossed == 0 {
        return;
    }
    let threshold = policy.thresholds[crossed - 1];
    let inside_s = crate::certificate::inside_s(threshold, seen);
    let list = &mut monitor.memory.certificates;
    let known = list.iter_mut().find(|a| a.sha256 == seen.sha256);
    let alerted = known.as_ref().is_some_and(|k| k.inside_s <= inside_s);
    match known {
        Some(known) => known.inside_s = known.inside_s.min(inside_s),
        None => {
            if list.len() >= CERTIFICATES_MAX {
                list.sort_unstable_by_key(|a| a.not_after_unix_s);
                list.remove(0);
            }
            list.push(Alerted {
                sha256: seen.sha256.clone(),
                not_after_unix_s: seen.not_after_unix_s,
                inside_s,
                unseen: 0,
            });
        }
    }
    if alerted {
        return;
    }
    let event = Event::CertificateExpiring {
        sha256: seen.sha256.clone(),
        not_after_unix_s: seen.not_after_unix_s,
        threshold: threshold.to_string(),
        detail: crate::certificate::expiry_detail(seen, now),
    };
    push(monitor, event, now);
}

fn push(monitor: &mut Monitor, event: Event, now: UnixMs) {
    monitor.sequence += 1;
    monitor.pending.push(Transition {
        sequence: monitor.sequence,
        at: now,
        definition: monitor.definition.clone(),
        event,
    });
}

/// Keeps `pending` bounded: the oldest *resolved* that is followed by a *triggered*
/// goes, and the two outages around it are told as one; without such a pair the
/// oldest news of a certificate goes.
fn fold(pending: &mut Vec<Transition>) {
    while pending.len() > PENDING_MAX {
        let order: Vec<usize> = (0..pending.len())
            .filter(|i| !pending[*i].event.of_certificate())
            .collect();
        let relapse =
            order
                .windows(2)
                .find_map(|w| match (&pending[w[0]].event, &pending[w[1]].event) {
                    (Event::Resolved { .. }, Event::Triggered { .. }) => Some((w[0], w[1])),
                    _ => None,
                });
        match relapse {
            Some((resolved, triggered)) => {
                pending.remove(triggered);
                pending.remove(resolved);
            }
            None => {
                let oldest = (0..pending.len())
                    .find(|i| pending[*i].event.of_certificate())
                    .unwrap_or(0);
                pending.remove(oldest);
            }
        }
    }
}
