//! What the messages say: which incidents there were, of what, and how grave.

use std::collections::BTreeMap;

use watchbell_core::diagnosis::Role;

use super::{Affected, Checker, NODE, SLACK, Told, rank};
use crate::evidence::Outage;
use crate::plan::{DAY, HOUR, MINUTE, Span};
use crate::receiver::{Kind, Message};

impl<'a> Checker<'a> {
    pub(super) fn incidents(&mut self) {
        self.one_id_is_one_message();
        let told = std::mem::take(&mut self.told);
        for (id, incident) in &told {
            self.is_told_once(id, incident);
            self.is_over(id, incident);
            self.is_no_maintenance(id, incident);
            self.is_summed_up_for_a_reason(id, incident);
            if incident.service == NODE {
                self.node_is_at_fault(id, incident);
            } else {
                self.has_failed(id, incident);
                self.was_not_well(id, incident);
                self.is_not_this_node(id, incident);
            }
        }
        self.told = told;
        self.one_at_a_time();
        self.nothing_untold();
        self.messages_are_true();
        self.certificates();
    }

    fn one_id_is_one_message(&mut self) {
        let mut known: BTreeMap<&str, (Kind, &str)> = BTreeMap::new();
        let mut twice = Vec::new();
        for m in &self.messages {
            let is = (m.kind, m.about);
            let before = known.entry(&m.id).or_insert(is);
            if *before != is {
                twice.push(format!("{} is {before:?} and {is:?}", m.id));
            }
        }
        for what in twice {
            self.breaks("one id is one message", what);
        }
    }

    /// Opened once and resolved once, or summed up once.
    fn is_told_once(&mut self, id: &str, told: &Told<'_>) {
        for (kind, ids) in &told.ids {
            let once = [Kind::Triggered, Kind::Resolved, Kind::Summary].contains(kind);
            let mut by_channel: BTreeMap<usize, usize> = BTreeMap::new();
            for (channel, _) in ids.iter().filter(|(c, _)| self.is_webhook(*c)) {
                *by_channel.entry(*channel).or_default() += 1;
            }
            if let Some(count) = by_channel.values().find(|count| once && **count > 1) {
                self.breaks("told once", format!("{id}: {kind:?} under {count} ids"));
            }
        }
        if told.ids.contains_key(&Kind::Resolved) && told.ids.contains_key(&Kind::Summary) {
            self.breaks("told once", format!("{id}: resolved, and summed up"));
        }
    }

    /// Every channel that heard of it hears that it is over, and every channel hears of what
    /// any other has heard.
    fn is_over(&mut self, id: &str, told: &Told<'_>) {
        let over = |kind| matches!(kind, Kind::Resolved | Kind::Summary);
        let summed_up = told.ids.contains_key(&Kind::Summary);
        // The highest severity is told by the webhook's end of it.
        let ends = told.ids.get(&Kind::Resolved);
        let known = ends.is_some_and(|ids| ids.iter().any(|(c, _)| self.is_webhook(*c)));
        for channel in self.complete() {
            let plan = &self.plan().channels[channel];
            let min = rank(plan.severity_min.as_str());
            let heard = told.heard.contains_key(&channel);
            let who = format!("{id} of {} at {}", told.service, plan.name);
            if heard && known && told.peak < min {
                self.breaks("a channel gets what it asks for", &who);
            }
            // Without an end the highest severity is not known.
            let wants = known && told.peak >= min && !summed_up;
            if (heard || wants) && told.first(channel, over).is_none() {
                let what = if heard {
                    "never told to be over"
                } else {
                    "never heard of"
                };
                self.breaks("every channel hears everything", format!("{who}: {what}"));
            }
        }
    }

    /// What came and went in maintenance was expected.
    fn is_no_maintenance(&mut self, id: &str, told: &Told<'_>) {
        let lasted = told.lasted();
        let inside = self.evidence.maintenance[told.service].covering(lasted.from);
        if inside.is_some_and(|m| m.from + SLACK <= lasted.from && lasted.to + SLACK <= m.to) {
            let what = format!("{id} of {}: {lasted:?} is told", told.service);
            self.breaks("maintenance expects what comes and goes", what);
        }
    }

    /// A summary tells what was held back.
    fn is_summed_up_for_a_reason(&mut self, id: &str, told: &Told<'_>) {
        if !told.ids.contains_key(&Kind::Summary) {
            return;
        }
        let lasted = told.lasted().then(SLACK);
        let cut_off = &self.evidence.alike[told.service];
        let held = self.evidence.held[told.service].meets(lasted)
            || self.plan().cut_off.iter().any(|s| s.meets(lasted))
            || cut_off.meets(lasted);
        if !held {
            self.breaks("a summary tells what was held back", id);
        }
    }

    /// Of each check in it as many failures in a row were seen as its threshold says, from
    /// the moment that is told.
    fn has_failed(&mut self, id: &str, told: &Told<'_>) {
        for affected in &told.checks {
            let Some(n) = self.number(affected.check) else {
                self.breaks("no false alert", format!("{id}: no check {affected:?}"));
                continue;
            };
            let check = &self.plan().checks[n];
            if check.service != told.service || check.role == Role::Witness {
                self.breaks("no false alert", format!("{id}: {affected:?} is another's"));
            }
            if affected.flapped {
                self.has_flapped(id, n, affected, told);
                continue;
            }
            let since = affected.failing_since;
            let probes = &self.evidence.probes[n];
            let mut began = false;
            let (mut row, mut longest) = (0, 0);
            let until = affected.recovered_at.unwrap_or(u64::MAX);
            let here = |p: &&&crate::evidence::Probe| near(p.at, since) || p.at > since;
            for p in probes.iter().filter(here).filter(|p| p.at < until) {
                began |= p.failed && near(p.at, since);
                match (p.failed, p.certain) {
                    (true, _) => row += 1,
                    (false, true) => row = 0,
                    // Perhaps it was never counted.
                    (false, false) => {}
                }
                longest = longest.max(row);
            }
            if !began {
                let what = format!("{id}: no failure began {affected:?}");
                self.breaks("times are those of the probes", what);
            }
            if longest < check.failure_threshold {
                let what = format!("{id}: {longest} failures in a row of {affected:?}");
                self.breaks("no false alert", what);
            }
            let ended = affected.recovered_at.is_none_or(|at| {
                let mut well = self.evidence.probes[n].iter().filter(|p| !p.failed);
                well.any(|p| near(p.at, at)) || check.removed.is_some()
            });
            if !ended {
                let what = format!("{id}: no success ended {affected:?}");
                self.breaks("times are those of the probes", what);
            }
        }
    }

    /// It may have failed before it flapped, in one incident.
    fn has_flapped(&mut self, id: &str, n: usize, affected: &Affected<'_>, told: &Told<'_>) {
        let span = Span {
            from: affected.failing_since.saturating_sub(8 * HOUR),
            to: told.resolved_at.unwrap_or(u64::MAX),
        };
        let before = self.evidence.probes[n].iter().filter(|p| span.covers(p.at));
        let mut turns = 0;
        let mut last = None;
        for p in before {
            turns += usize::from(last.is_some_and(|l| l != p.failed));
            last = Some(p.failed);
        }
        // 30 % of twenty probes, the newest weighing 1.2.
        if turns < 5 {
            let what = format!("{id}: {turns} turns before {affected:?}");
            self.breaks("no false alert", what);
        }
    }

    /// It was over when all that failed in it was well.
    fn was_not_well(&mut self, id: &str, told: &Told<'_>) {
        const LATE: u64 = 30 * MINUTE;
        let Some(resolved_at) = told.resolved_at else {
            return;
        };
        if told.checks.iter().any(|a| a.flapped) {
            return;
        }
        let since = told.failing_since;
        let checks: Vec<usize> = told
            .checks
            .iter()
            .filter_map(|a| self.number(a.check))
            .collect();
        let mut well_since: Option<u64> = None;
        for n in checks {
            let probes = self.evidence.probes[n].iter();
            let during = probes.filter(|p| since <= p.at && p.at < resolved_at);
            let mut row = 0;
            let mut since = None;
            for p in during {
                if p.failed || !p.certain {
                    (row, since) = (0, None);
                } else {
                    row += 1;
                    if row > self.plan().checks[n].success_threshold {
                        since.get_or_insert(p.at);
                    }
                }
            }
            let Some(since) = since else { return };
            well_since = Some(well_since.map_or(since, |w| w.max(since)));
        }
        if let Some(at) = well_since.filter(|at| at + LATE < resolved_at) {
            let what = format!(
                "{id} of {}: well since {at}, over at {resolved_at}",
                told.service
            );
            self.breaks("over is over", what);
        }
    }

    /// A service that was only cut off together with everything else is told of in a summary.
    fn is_not_this_node(&mut self, id: &str, told: &Told<'_>) {
        let kinds = [
            Kind::Triggered,
            Kind::Updated,
            Kind::Reminder,
            Kind::Fires,
            Kind::Resolved,
        ];
        let said = kinds.iter().any(|k| told.ids.contains_key(k));
        let (Some(opened_at), true) = (told.opened_at, said) else {
            return;
        };
        if !self.evidence.certainly_cut_off(told.service, opened_at) {
            return;
        }
        let lasted = told.lasted().then(2 * MINUTE);
        let mut checks = told.checks.iter().filter_map(|a| self.number(a.check));
        let genuine = checks.any(|n| {
            let probes = &self.evidence.probes[n];
            let mut during = probes.iter();
            during.any(|p| p.genuine && (near(p.at, lasted.from) || lasted.covers(p.at)))
        });
        if !genuine {
            let kinds: Vec<&Kind> = told.ids.keys().collect();
            let what = format!("{id} of {}, opened at {opened_at}: {kinds:?}", told.service);
            self.breaks("the node's own fault is no service's", what);
        }
    }

    /// Its network, where everything else failed so; a check that did not run.
    fn node_is_at_fault(&mut self, id: &str, told: &Told<'_>) {
        if told.opened_at.is_none() {
            // Known from its end alone, at PagerDuty: nothing tells when it was.
            return;
        }
        let lasted = Span {
            from: told.failing_since.saturating_sub(30 * MINUTE),
            ..told.lasted().then(SLACK)
        };
        let mut alike = self.evidence.alike.values();
        let excused = alike.any(|spans| spans.meets(lasted));
        // Or something did not run: three intervals, and a minute, without a probe.
        let silent = told.checks.iter().any(|a| {
            let n = self.number(a.check);
            n.is_some_and(|n| {
                let interval = self.plan().checks[n].interval_ms;
                let gap = Span {
                    from: told.failing_since,
                    to: told.failing_since + 3 * interval,
                };
                let mut probes = self.evidence.probes[n].iter().filter(|p| p.certain);
                !probes.any(|p| gap.from + 1_000 < p.at && p.at < gap.to)
            })
        });
        if !excused && !silent {
            let what = format!("{id}: {:?} {:?}", told.lasted(), told.checks);
            self.breaks("no false alert of this node", what);
        }
    }

    fn number(&self, check: &str) -> Option<usize> {
        self.plan().checks.iter().position(|c| c.id == check)
    }

    /// Of one service one incident is open at a time.
    fn one_at_a_time(&mut self) {
        let mut by_service: BTreeMap<&str, Vec<(u64, u64, &str)>> = BTreeMap::new();
        for (id, told) in &self.told {
            let begin = told.opened_at.unwrap_or(told.failing_since);
            // PagerDuty is told that it is over, and not since when.
            let unknown = told.ids.contains_key(&Kind::Resolved).then_some(begin);
            let end = told.resolved_at.or(unknown).unwrap_or(u64::MAX);
            // Known from its end alone: nothing tells when it was.
            if begin > 0 {
                let all = by_service.entry(told.service).or_default();
                all.push((begin, end, id));
            }
        }
        for (service, mut spans) in by_service {
            spans.sort_unstable();
            for pair in spans.windows(2) {
                // Whole seconds: one may end in the second in which the next begins.
                if pair[1].0 + 1_000 < pair[0].1 {
                    let what = format!("{service}: {} and {}", pair[0].2, pair[1].2);
                    self.breaks("one incident at a time", what);
                }
            }
        }
    }

    /// A check that has failed more than often enough is told to have failed then, unless
    /// that came and went in maintenance.
    fn nothing_untold(&mut self) {
        let complete = self.complete();
        if !complete.iter().any(|c| self.is_webhook(*c)) {
            return;
        }
        for outage in self.evidence.outages() {
            let check = &self.plan().checks[outage.check];
            let enough = outage.probes >= 2 * check.failure_threshold + 2;
            if !enough || check.removed.is_some_and(|(at, _)| at < outage.to + DAY) {
                continue;
            }
            if self.was_expected(&outage) {
                continue;
            }
            let covers = |told: &Told<'_>| {
                told.checks.iter().any(|a| {
                    let end = a.recovered_at.or(told.resolved_at).unwrap_or(u64::MAX);
                    let end = end.max(told.resolved_at.unwrap_or(u64::MAX));
                    a.check == check.id
                        && a.failing_since <= outage.to + SLACK
                        && outage.from <= end.saturating_add(SLACK)
                })
            };
            if !self.told.values().any(covers) {
                let what = format!("{} failed: {outage:?}", check.id);
                self.breaks("nothing is left untold", what);
            }
        }
    }

    fn was_expected(&self, outage: &Outage) -> bool {
        let service = &self.plan().checks[outage.check].service;
        let begins = self.evidence.maintenance[service.as_str()].covering(outage.from + SLACK);
        begins.is_some_and(|m| outage.over_at <= m.to.saturating_add(SLACK))
    }

    /// What a message says of itself.
    fn messages_are_true(&mut self) {
        let messages = std::mem::take(&mut self.messages);
        for m in &messages {
            let about = m.kind.opens() || matches!(m.kind, Kind::Resolved | Kind::Acknowledged);
            if about && !m.data.is_null() {
                self.severity_is_the_highest(m);
                self.duration_fits(m);
            }
        }
        self.messages = messages;
    }

    /// The highest of what fails; of what is over, the highest that it had.
    fn severity_is_the_highest(&mut self, m: &Message<'_>) {
        if m.service == NODE {
            return;
        }
        let checks = m.data["checks"].as_array().into_iter().flatten();
        let all: Vec<(usize, bool)> = checks
            .filter_map(|c| {
                let n = self.number(c["check"].as_str()?)?;
                let severity = rank(self.plan().checks[n].severity.as_str());
                Some((severity, c["recovered_at"].is_null()))
            })
            .collect();
        let highest = all.iter().map(|(s, _)| *s).max();
        let failing = all.iter().filter(|(_, f)| *f).map(|(s, _)| *s).max();
        let want = match m.kind {
            Kind::Resolved => highest,
            _ => failing.or(highest),
        };
        let got = m.data["severity"].as_str().map(rank);
        if want.is_none() || got != want {
            let what = format!("{:?} of {}: {got:?}, want {want:?}", m.kind, m.about);
            self.breaks("the highest severity of what fails", what);
        }
    }

    fn duration_fits(&mut self, m: &Message<'_>) {
        let (Some(at), Some(since)) =
            (m.timestamp, crate::receiver::time(&m.data["failing_since"]))
        else {
            self.breaks("times are told", &m.id);
            return;
        };
        let duration_ms = m.data["duration_s"].as_u64().map(|s| s * 1_000);
        if duration_ms != Some(at.saturating_sub(since)) {
            let what = format!("{}: {duration_ms:?} from {since} to {at}", m.id);
            self.breaks("the duration is that of the times", what);
        }
        let resolved_at = crate::receiver::time(&m.data["resolved_at"]);
        if m.kind == Kind::Resolved && resolved_at != Some(at) {
            self.breaks("the duration is that of the times", &m.id);
        }
    }

    /// Each threshold of each certificate once, and when it is inside of it; once one that was
    /// warned of is replaced, that is told, once.
    fn certificates(&mut self) {
        const THRESHOLDS: [i64; 5] = [30, 14, 7, 3, 1];
        const DAY_S: i64 = 86_400;
        /// Ten for each of at most two warned of at a time, and some that were not counted.
        const UNSEEN: u32 = 40;
        let mut ids: BTreeMap<(String, String), &str> = BTreeMap::new();
        let mut broken = Vec::new();
        let webhook = |m: &&Message<'_>| self.is_webhook(m.channel);
        for m in self.messages.iter().filter(webhook) {
            if ![Kind::Expiring, Kind::Renewed].contains(&m.kind) {
                continue;
            }
            let certificate = &m.data["certificate"];
            let threshold = certificate["threshold"].as_str().unwrap_or_default();
            let known = ids.entry((m.about.to_owned(), threshold.to_owned()));
            if *known.or_insert(&m.id) != m.id {
                broken.push(format!("{} inside {threshold} is told twice", m.about));
            }
            if m.kind == Kind::Renewed {
                if self.sees(m.about, m.timestamp.unwrap_or_default()) {
                    broken.push(format!("{} is told to be replaced, and is served", m.about));
                }
                continue;
            }
            let ends = certificate["not_after_unix_s"].as_i64().unwrap_or_default();
            let left_s = ends - (m.timestamp.unwrap_or_default() / 1_000) as i64;
            let days = threshold.split(' ').next().and_then(|d| d.parse().ok());
            let narrowest = THRESHOLDS.iter().rev().find(|d| left_s <= **d * DAY_S);
            if narrowest.copied() != days || left_s < -1 {
                broken.push(format!(
                    "{} with {left_s} s left is inside {threshold}",
                    m.about
                ));
            }
        }
        for channel in self.complete() {
            let plan = &self.plan().channels[channel];
            if rank(plan.severity_min.as_str()) > rank("warning") {
                continue;
            }
            let told = |about: &str, kind| {
                let mut all = self.messages.iter().filter(|m| m.channel == channel);
                all.any(|m| m.about == about && m.kind == kind)
            };
            for probes in &self.evidence.probes {
                // Of each: how often it was seen near its end, and another one since.
                let mut near_end: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
                for p in probes.iter().filter(|p| p.certain) {
                    let Some((digest, ends)) = &p.certificate else {
                        continue;
                    };
                    let left_s = ends - (p.at / 1_000) as i64;
                    near_end.values_mut().for_each(|(_, since)| *since += 1);
                    let (inside, since) = near_end.entry(digest).or_default();
                    *inside += u32::from((1..30 * DAY_S).contains(&left_s));
                    *since = 0;
                }
                for (digest, (inside, since)) in near_end {
                    if inside < 3 {
                        continue;
                    }
                    if !told(digest, Kind::Expiring) {
                        let what = format!("{digest} at {}: no warning", plan.name);
                        broken.push(what);
                    }
                    if since >= UNSEEN && !told(digest, Kind::Renewed) {
                        let what = format!("{digest} at {}: not told to be renewed", plan.name);
                        broken.push(what);
                    }
                }
            }
        }
        for what in broken {
            self.breaks("certificates", what);
        }
    }
}

impl Checker<'_> {
    /// Whether that certificate is the last that was seen by then where it was ever seen.
    fn sees(&self, digest: &str, by: u64) -> bool {
        self.evidence.probes.iter().any(|probes| {
            let shown = probes.iter().filter(|p| p.at <= by);
            let last = shown.filter_map(|p| p.certificate.as_ref()).next_back();
            last.is_some_and(|(last, _)| last == digest)
        })
    }
}

/// The same moment, in whole seconds.
fn near(at: u64, told: u64) -> bool {
    at.abs_diff(told) < 1_000
}
