//! When the messages come: in time, in order, not while they are held back, and no oftener
//! than is said.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checker, NODE, PROMPT, SLACK, Told, rank};
use crate::plan::{HOUR, MINUTE, Span, any};
use crate::receiver::{Kind, Message};
use crate::story::CALM;

/// Of one incident.
const REMINDER_INTERVAL: u64 = 4 * HOUR;
const REMINDERS_MAX: usize = 6;
/// An end also waits for what fails just then, and is an outage or is none.
const PROMPT_END: u64 = 2 * PROMPT;

impl<'a> Checker<'a> {
    pub(super) fn times(&mut self) {
        let told = std::mem::take(&mut self.told);
        let messages = std::mem::take(&mut self.messages);
        for (id, incident) in &told {
            self.is_heard_in_time(id, incident);
            self.acknowledgement_is_told(id, incident);
            self.is_reminded_of(id, incident, &messages);
        }
        for m in &messages {
            self.is_not_over(m, &told);
            self.is_not_held_back(m);
            self.comes_in_time(m);
        }
        self.order(&messages);
        self.outages_are_told_in_time(&told, &messages);
        self.told = told;
        self.messages = messages;
    }

    fn is_fine(&self, channel: usize) -> bool {
        self.plan().channels[channel].is_fine()
    }

    /// On channels without faults, whatever becomes of the others.
    fn is_heard_in_time(&mut self, id: &str, told: &Told<'_>) {
        let blurred = self.evidence.blurred[told.service].clone();
        let mut late = Vec::new();
        for (channel, plan) in self.plan().channels.iter().enumerate() {
            if !plan.is_fine() || plan.severity_min.as_str() != "info" {
                continue;
            }
            let opened = told.first(channel, Kind::opens);
            let over = told.first(channel, |k| k == Kind::Resolved);
            let pairs = [
                ("opened", told.opened_at, opened, PROMPT),
                ("over", told.resolved_at, over, PROMPT_END),
            ];
            for (what, from, heard, bound) in pairs {
                let (Some(from), Some(heard)) = (from, heard) else {
                    continue;
                };
                let took = blurred.clear(from, heard);
                if took > bound {
                    late.push(format!(
                        "{id} of {} {what} at {from}: {} {} s later",
                        told.service,
                        plan.name,
                        took / 1_000
                    ));
                }
            }
        }
        for what in late {
            self.breaks("in time at a channel without faults", what);
        }
    }

    fn comes_in_time(&mut self, m: &Message<'_>) {
        let anew = matches!(
            m.kind,
            Kind::Updated | Kind::Reminder | Kind::Acknowledged | Kind::Summary | Kind::Expiring
        );
        let (Some(at), true) = (m.timestamp, anew && m.first && self.is_fine(m.channel)) else {
            return;
        };
        let took = self.evidence.blurred[m.service].clear(at, m.at);
        if took > PROMPT {
            let what = format!("{:?} of {} {} s later", m.kind, m.about, took / 1_000);
            self.breaks("in time at a channel without faults", what);
        }
    }

    fn acknowledgement_is_told(&mut self, id: &str, told: &Told<'_>) {
        let Some(at) = self.record.acknowledged.get(id).copied() else {
            return;
        };
        let until = self.evidence.blurred[told.service].after(at, PROMPT);
        if told.resolved_at.is_none_or(|end| end <= until) {
            return;
        }
        let mut untold = Vec::new();
        for (channel, plan) in self.plan().channels.iter().enumerate() {
            let wants = plan.is_fine()
                && plan.name != "alertmanager"
                && plan.severity_min.as_str() == "info";
            let heard = told.first(channel, |k| k == Kind::Acknowledged);
            if wants && heard.is_none_or(|heard| heard > until) {
                untold.push(format!("{id} at {}", plan.name));
            }
        }
        for what in untold {
            self.breaks("an acknowledgement is told", what);
        }
    }

    /// Every four hours, six times at most, and not while somebody looks after it.
    fn is_reminded_of(&mut self, id: &str, told: &Told<'_>, messages: &[Message<'_>]) {
        let ours = |m: &&Message<'_>| m.about == id && m.first && self.is_webhook(m.channel);
        let mut ours: Vec<&Message<'_>> = messages.iter().filter(ours).collect();
        ours.sort_by_key(|m| m.timestamp);
        let reminders = ours.iter().filter(|m| m.kind == Kind::Reminder).count();
        if reminders > REMINDERS_MAX {
            self.breaks("reminders are bounded", format!("{id}: {reminders}"));
        }
        let acknowledged = self.record.acknowledged.get(id).copied();
        for pair in ours.windows(2) {
            let [Some(before), Some(at)] = [pair[0].timestamp, pair[1].timestamp] else {
                continue;
            };
            if pair[1].kind == Kind::Reminder {
                // What was said and is taken back is said again, under its id.
                if at + SLACK < before + REMINDER_INTERVAL {
                    let what = format!("{id}: {before} and {at}");
                    self.breaks("reminders come every four hours", what);
                }
                if acknowledged.is_some_and(|a| a + SLACK < at) {
                    let what = format!("{id}: {acknowledged:?} and {at}");
                    self.breaks("no reminder of what somebody looks after", what);
                }
            }
            let fine = ours.first().is_some_and(|m| self.is_fine(m.channel));
            let went = self.evidence.blurred[told.service].clear(before, at);
            let quiet = acknowledged.is_some_and(|a| a < at) || reminders >= REMINDERS_MAX;
            if fine && !quiet && went > REMINDER_INTERVAL + PROMPT_END {
                let what = format!("{id}: nothing from {before} to {at}");
                self.breaks("reminders come every four hours", what);
            }
        }
    }

    /// What is over is not told to be there any more, but to a receiver that keeps incidents
    /// and has not heard of this one: of an end alone it would say nothing.
    fn is_not_over(&mut self, m: &Message<'_>, told: &BTreeMap<&str, Told<'_>>) {
        let Some(told) = told.get(m.about).filter(|_| m.kind.opens()) else {
            return;
        };
        let Some(over_at) = told.resolved_at else {
            return;
        };
        let first = told.first(m.channel, |k| k == Kind::Fires) == Some(m.at);
        let ended = told.first(m.channel, |k| k == Kind::Resolved);
        if m.kind == Kind::Fires && (first || !m.first) && ended.is_none_or(|at| at >= m.at) {
            return;
        }
        let after = self.evidence.blurred[told.service].clear(over_at, m.at);
        if after > PROMPT_END {
            let what = format!(
                "{:?} of {} at {} {} s after its end",
                m.kind,
                m.about,
                self.plan().channels[m.channel].name,
                after / 1_000
            );
            self.breaks("what is over is not told to be there", what);
        }
    }

    fn is_not_held_back(&mut self, m: &Message<'_>) {
        if m.service.is_empty() || m.kind == Kind::Started {
            return;
        }
        let Some(window) = self.evidence.held[m.service].covering(m.at) else {
            return;
        };
        // A window that cannot be read holds nothing back: better an alert too many.
        let readable = |at: u64| !any(&self.plan().store_fails, at);
        if !readable(m.at) || m.timestamp.is_some_and(|at| !readable(at)) {
            return;
        }
        // Said inside of it.
        let inside = |at: Option<u64>| at.is_some_and(|at| window.from + MINUTE < at);
        // Or before, and then it would have been sent before.
        let before = self.evidence.node_blurred[m.service].clear(window.from, m.at);
        let queued = self.is_fine(m.channel) && before > PROMPT && m.first;
        if inside(m.timestamp) || queued {
            let what = format!("{:?} of {} at {} in {window:?}", m.kind, m.service, m.at);
            self.breaks("nothing is sent while it is held back", what);
        }
    }

    fn is_resent(&self, m: &Message<'_>) -> bool {
        let at_last = self.plan().end + CALM;
        let mut asked = self.plan().resends.iter().copied().chain([at_last]);
        !self.is_fine(m.channel) && asked.any(|at| (at..at + HOUR).contains(&m.at))
    }

    /// Of an incident the messages come in order; without a fault of the network, those of a
    /// service too: opened and resolved alternate.
    fn order(&mut self, messages: &[Message<'_>]) {
        let mut open: BTreeMap<(usize, &str), &str> = BTreeMap::new();
        let mut over: BTreeMap<(usize, &str), u64> = BTreeMap::new();
        let mut begun: BTreeSet<(usize, &str)> = BTreeSet::new();
        let mut broken = Vec::new();
        for m in messages.iter().filter(|m| m.first) {
            let about = (m.channel, m.about);
            let opens = matches!(m.kind, Kind::Triggered | Kind::Fires);
            if (m.kind.opens() || m.kind == Kind::Acknowledged)
                && self.is_webhook(m.channel)
                && over.contains_key(&about)
            {
                broken.push(format!("{:?} of {} after its end", m.kind, m.about));
            }
            // What follows the first message needs it, but for a dead letter that an operator
            // has sent again.
            if m.kind == Kind::Triggered && !begun.insert(about) && !self.is_resent(m) {
                broken.push(format!("{:?} of {} is not its first", m.kind, m.about));
            }
            if self.is_webhook(m.channel) && !m.about.is_empty() {
                begun.insert(about);
            }
            if m.kind == Kind::Resolved {
                over.insert(about, m.at);
            }
            let strict =
                self.is_fine(m.channel) && self.plan().cut_off.is_empty() && m.service != NODE;
            let of = (m.channel, m.service);
            if !strict || m.service.is_empty() || !self.is_webhook(m.channel) {
                continue;
            }
            match (open.get(&of).copied(), opens, m.kind) {
                (Some(known), true, _) if known != m.about => {
                    broken.push(format!("{} opens while {known} is open", m.about));
                }
                (Some(known), _, Kind::Resolved) if known != m.about => {
                    broken.push(format!("{} ends while {known} is open", m.about));
                }
                (_, true, _) => drop(open.insert(of, m.about)),
                (_, _, Kind::Resolved) => drop(open.remove(&of)),
                _ => {}
            }
        }
        for what in broken {
            self.breaks("opened and resolved alternate", what);
        }
    }

    /// What has failed for long is told while it fails, and as gravely as it is, on channels
    /// without faults.
    fn outages_are_told_in_time(
        &mut self,
        told: &BTreeMap<&str, Told<'_>>,
        messages: &[Message<'_>],
    ) {
        let mut untold = Vec::new();
        for outage in self.evidence.outages() {
            let check = &self.plan().checks[outage.check];
            let service = check.service.as_str();
            let severity = rank(check.severity.as_str());
            let until = self.evidence.blurred[service].after(outage.confirmed_at, PROMPT);
            if outage.to < until {
                continue;
            }
            for (channel, plan) in self.plan().channels.iter().enumerate() {
                let wanted = rank(plan.severity_min.as_str()) <= severity;
                if !plan.is_fine() || !wanted || plan.name == "alertmanager" {
                    continue;
                }
                let goes_on = |m: &Message<'_>| {
                    told.get(m.about).is_some_and(|t| {
                        let end = t.resolved_at.unwrap_or(u64::MAX).saturating_add(SLACK);
                        let lasted = Span {
                            from: t.failing_since.saturating_sub(SLACK),
                            to: end,
                        };
                        t.service == service && lasted.covers(outage.confirmed_at)
                    })
                };
                let grave = |m: &Message<'_>| {
                    m.data["severity"]
                        .as_str()
                        .is_some_and(|s| rank(s) >= severity)
                };
                let heard = messages.iter().any(|m| {
                    m.channel == channel
                        && m.kind.opens()
                        && m.at <= until
                        && goes_on(m)
                        && grave(m)
                });
                if !heard {
                    untold.push(format!("{} ({outage:?}) at {}", check.id, plan.name));
                }
            }
        }
        for what in untold {
            self.breaks("what fails is told while it fails", what);
        }
    }
}
