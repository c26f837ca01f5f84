//! What was there to be told: outages as the log of probes has them, and the times in which
//! nothing could be told in time.

use std::collections::BTreeMap;

use watchbell_core::diagnosis::Role;
use watchbell_core::outcome::Kind;

use crate::plan::{MINUTE, Plan, Span, any};

/// One firing that probed: what it found, and whether that is certain to be counted (it
/// neither died nor lost its record).
#[derive(Clone, Debug)]
pub struct Probe {
    pub check: usize,
    pub at: u64,
    pub failed: bool,
    /// It failed as it does where there is no network.
    pub network: bool,
    /// It failed, and not because the node had no network.
    pub genuine: bool,
    pub certain: bool,
    /// Its digest, and when it ends, in Unix seconds.
    pub certificate: Option<(String, i64)>,
}

/// Whether a check that fails so may be cut off. Who refuses a socket check's connection is
/// there.
pub fn is_network(kind: Kind, probe: &str) -> bool {
    match kind {
        Kind::Dns | Kind::ConnectTimeout | Kind::Unreachable | Kind::Timeout => true,
        Kind::ConnectRefused => probe == "http",
        _ => false,
    }
}

/// Spans in order that do not meet.
#[derive(Clone, Debug, Default)]
pub struct Spans(Vec<Span>);

impl Spans {
    pub fn new(all: impl IntoIterator<Item = Span>) -> Self {
        let mut all: Vec<Span> = all.into_iter().collect();
        all.sort_unstable();
        let mut merged: Vec<Span> = Vec::new();
        for span in all {
            match merged.last_mut() {
                Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
                _ => merged.push(span),
            }
        }
        Self(merged)
    }

    /// How much of that time lies outside.
    pub fn clear(&self, from: u64, to: u64) -> u64 {
        let inside = |s: &Span| s.to.min(to).saturating_sub(s.from.max(from));
        let lost: u64 = self.0.iter().map(inside).sum();
        to.saturating_sub(from).saturating_sub(lost)
    }

    /// When so much time outside has passed.
    pub fn after(&self, from: u64, mut need: u64) -> u64 {
        let mut at = from;
        for span in self.0.iter().filter(|s| s.to > from) {
            let free = span.from.saturating_sub(at);
            if free >= need {
                break;
            }
            need -= free;
            at = at.max(span.to);
        }
        at + need
    }

    pub fn covering(&self, at: u64) -> Option<Span> {
        self.0.iter().copied().find(|s| s.covers(at))
    }

    pub fn meets(&self, span: Span) -> bool {
        self.0.iter().any(|s| s.meets(span))
    }
}

/// A streak of failed probes of one check.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    pub check: usize,
    /// The first failed probe and the last.
    pub from: u64,
    pub to: u64,
    /// The failure that reached the check's threshold.
    pub confirmed_at: u64,
    pub probes: u32,
    /// The earliest moment at which it may count as over.
    pub over_at: u64,
}

pub struct Evidence<'a> {
    pub plan: &'a Plan,
    /// By check, in the order in which they came.
    pub probes: Vec<Vec<&'a Probe>>,
    /// By service: what blurs any bound.
    pub blurred: BTreeMap<String, Spans>,
    /// The same without what an operator holds back.
    pub node_blurred: BTreeMap<String, Spans>,
    /// By service: maintenance.
    pub maintenance: BTreeMap<String, Spans>,
    /// By service: silence and maintenance.
    pub held: BTreeMap<String, Spans>,
    /// By service: all others may fail as if there were no network.
    pub alike: BTreeMap<String, Spans>,
}

/// A target that has nothing to do with the others: a service, or a witness.
type Target<'a> = (&'a str, Vec<usize>);

/// Until everything has been probed again, at the longest interval, with what may die.
const FRESH_AGAIN: u64 = 25 * MINUTE;

impl<'a> Evidence<'a> {
    pub fn new(plan: &'a Plan, log: &'a [Probe]) -> Self {
        let mut probes = vec![Vec::new(); plan.checks.len()];
        for probe in log {
            probes[probe.check].push(probe);
        }
        let mut evidence = Self {
            plan,
            probes,
            blurred: BTreeMap::new(),
            node_blurred: BTreeMap::new(),
            maintenance: BTreeMap::new(),
            held: BTreeMap::new(),
            alike: BTreeMap::new(),
        };
        for (service, _) in evidence.services() {
            evidence.look_at(service, log);
        }
        // This node is a service of its own.
        evidence.look_at("watchbell", log);
        // And PagerDuty's end of an alert names none.
        evidence.look_at("", log);
        evidence
    }

    fn look_at(&mut self, service: &str, log: &[Probe]) {
        let plan = self.plan;
        let windows = || plan.windows.iter().filter(|w| w.concerns(service));
        let maintenance = windows().filter(|w| w.maintenance).map(|w| w.span);
        let alike = self.alike(service, log);
        let node: Vec<Span> = [
            plan.asleep
                .iter()
                .map(|s| s.then(10 * MINUTE))
                .collect::<Vec<_>>(),
            plan.store_fails
                .iter()
                .map(|s| s.then(10 * MINUTE))
                .collect(),
            plan.cut_off.iter().map(|s| s.then(FRESH_AGAIN)).collect(),
            alike.0.iter().map(|s| s.then(FRESH_AGAIN)).collect(),
        ]
        .concat();
        let held = windows().map(|w| w.span.then(5 * MINUTE));
        let name = || service.to_owned();
        self.blurred
            .insert(name(), Spans::new(node.iter().copied().chain(held)));
        self.node_blurred.insert(name(), Spans::new(node));
        self.maintenance.insert(name(), Spans::new(maintenance));
        self.held
            .insert(name(), Spans::new(windows().map(|w| w.span)));
        self.alike.insert(name(), alike);
    }

    /// The services, and each one's checks.
    pub fn services(&self) -> Vec<Target<'a>> {
        let mut all: Vec<Target<'a>> = Vec::new();
        for (n, check) in self.plan.checks.iter().enumerate() {
            if check.role == Role::Witness {
                continue;
            }
            match all.iter_mut().find(|(name, _)| *name == check.service) {
                Some((_, checks)) => checks.push(n),
                None => all.push((&check.service, vec![n])),
            }
        }
        all
    }

    /// What has nothing to do with the service.
    pub fn others(&self, service: &str) -> Vec<Target<'a>> {
        let witnesses = self.plan.checks.iter().enumerate();
        let witnesses = witnesses.filter(|(_, c)| c.role == Role::Witness);
        let mut all: Vec<Target<'a>> = witnesses.map(|(n, c)| (c.id.as_str(), vec![n])).collect();
        all.extend(self.services());
        all.retain(|(name, _)| *name != service);
        all
    }

    /// When at least two others may all have been seen to fail as if there were no network.
    fn alike(&self, service: &str, log: &[Probe]) -> Spans {
        let plan = self.plan;
        let others = self.others(service);
        let mut seen: Vec<Option<bool>> = vec![None; self.plan.checks.len()];
        let mut spans = Vec::new();
        let mut since = None;
        for probe in log {
            // What is not certain may count, or not.
            if probe.certain || probe.network || seen[probe.check].is_none() {
                seen[probe.check] = Some(probe.network);
            }
            let seen_of = |checks: &[usize]| {
                // What was removed proves nothing.
                let there = checks.iter().filter(|n| plan.checks[**n].fires(probe.at));
                let mut all = there.filter_map(|n| seen[*n]).peekable();
                all.peek()?;
                Some(all.all(|cut_off| cut_off))
            };
            let all: Vec<bool> = others.iter().filter_map(|(_, c)| seen_of(c)).collect();
            let holds = all.len() >= 2 && all.iter().all(|cut_off| *cut_off);
            match (since, holds) {
                (None, true) => since = Some(probe.at),
                (Some(from), false) => {
                    spans.push(Span { from, to: probe.at });
                    since = None;
                }
                _ => {}
            }
        }
        if let Some(from) = since {
            spans.push(Span { from, to: u64::MAX });
        }
        Spans::new(spans)
    }

    /// Whether by then everything else, two at least, was certainly seen to be cut off, in one
    /// time without network that goes on: then it is this node's own fault.
    pub fn certainly_cut_off(&self, service: &str, at: u64) -> bool {
        let plan = self.plan;
        let goes_on = 5 * MINUTE;
        let Some(span) = plan.cut_off.iter().find(|s| s.covers(at)) else {
            return false;
        };
        let blur = |spans: &[Span]| any(spans, at) || any(spans, at + goes_on);
        if span.to < at + goes_on || blur(&plan.asleep) || blur(&plan.store_fails) {
            return false;
        }
        let others = self.others(service);
        let mut checks = others.iter().flat_map(|(_, checks)| checks);
        others.len() >= 2
            && checks.all(|n| {
                let mut before = self.probes[*n].iter().rev().filter(|p| p.at <= at);
                let last = before.next();
                last.is_some_and(|p| p.certain && p.network && span.from <= p.at)
            })
    }

    /// Streaks of at least so many failures more than each check's threshold.
    pub fn outages(&self) -> Vec<Outage> {
        let mut all = Vec::new();
        for (n, check) in self.plan.checks.iter().enumerate() {
            if check.role == Role::Witness {
                continue;
            }
            let probes = &self.probes[n];
            let mut streak: Option<Outage> = None;
            for (i, probe) in probes.iter().enumerate() {
                if probe.failed && probe.certain {
                    let outage = streak.get_or_insert(Outage {
                        check: n,
                        from: probe.at,
                        to: probe.at,
                        confirmed_at: u64::MAX,
                        probes: 0,
                        over_at: u64::MAX,
                    });
                    outage.to = probe.at;
                    outage.probes += 1;
                    if outage.probes == check.failure_threshold {
                        outage.confirmed_at = probe.at;
                    }
                } else if let Some(mut outage) = streak.take() {
                    let mut well = probes[i..].iter().filter(|p| !p.failed);
                    let over = well.nth(check.success_threshold as usize - 1);
                    outage.over_at = over.map_or(u64::MAX, |p| p.at);
                    all.push(outage);
                }
            }
            all.extend(streak);
        }
        all.retain(|o| o.confirmed_at != u64::MAX);
        all
    }
}
