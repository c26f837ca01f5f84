//! What must hold of a story, by the documentation alone. It sees what was probed, what was
//! attempted and what was delivered, and shares no rule with what made the one of the other.

mod incidents;
mod receivers;
mod times;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use watchbell_core::history::Spans;
use watchbell_core::record::unpack;

use crate::evidence::{Evidence, Probe};
use crate::plan::{MINUTE, Plan};
use crate::receiver::{self, Kind, Message, time};
use crate::world::{Attempt, Delivery};

/// All that came of a story.
pub struct Record<'a> {
    pub plan: &'a Plan,
    pub probes: &'a [Probe],
    pub taken: &'a [Delivery],
    pub attempts: &'a [Attempt],
    pub disturbed: &'a [u64],
    pub acknowledged: &'a BTreeMap<String, u64>,
    pub keys: &'a BTreeMap<String, Vec<u8>>,
    pub end: u64,
}

/// A rule that was broken.
#[derive(Debug)]
pub struct Violation {
    pub rule: String,
    what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

/// This node, as a service.
const NODE: &str = "watchbell";
/// Longer than a check's clock, a restart and a lost write can blur.
const SLACK: u64 = 3 * MINUTE;
/// From when something is known to when a channel without faults has it: `settling_time`, a
/// lost ring and the sweep after it, runs that die, an attempt at each broken channel before.
const PROMPT: u64 = 10 * MINUTE;
/// Dead letters that are kept, at least; beyond it the oldest is gone for good.
const DEAD_KEPT: u64 = 40;

/// Incidents that are over and kept, at least.
const PAST_KEPT: usize = 100;

/// An incident as the messages tell it.
#[derive(Debug, Default)]
struct Told<'a> {
    service: &'a str,
    failing_since: u64,
    opened_at: Option<u64>,
    resolved_at: Option<u64>,
    /// The highest severity that any message gave it.
    peak: usize,
    checks: Vec<Affected<'a>>,
    /// By channel: the first of each kind of message.
    heard: BTreeMap<usize, BTreeMap<Kind, u64>>,
    /// By kind of message: the channel, and the message's id there.
    ids: BTreeMap<Kind, BTreeSet<(usize, String)>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Affected<'a> {
    check: &'a str,
    failing_since: u64,
    recovered_at: Option<u64>,
    flapped: bool,
}

/// Info, warning, critical.
fn rank(severity: &str) -> usize {
    match severity {
        "info" => 0,
        "warning" => 1,
        _ => 2,
    }
}

struct Checker<'a> {
    record: &'a Record<'a>,
    evidence: Evidence<'a>,
    messages: Vec<Message<'a>>,
    told: BTreeMap<&'a str, Told<'a>>,
    found: Vec<Violation>,
}

pub fn incidents(taken: &[Delivery]) -> u64 {
    let all: BTreeSet<&str> = taken
        .iter()
        .filter_map(|d| d.body["data"]["incident"].as_str())
        .collect();
    all.len() as u64
}

pub fn check(record: &Record<'_>) -> Vec<Violation> {
    let mut checker = Checker {
        record,
        evidence: Evidence::new(record.plan, record.probes),
        messages: receiver::read(record.plan, record.taken),
        told: BTreeMap::new(),
        found: Vec::new(),
    };
    checker.read();
    checker.incidents();
    checker.times();
    checker.receivers();
    checker.settled();
    checker.found
}

impl<'a> Checker<'a> {
    fn breaks(&mut self, rule: &str, what: impl std::fmt::Display) {
        self.found.push(Violation {
            rule: rule.to_owned(),
            what: what.to_string(),
        });
    }

    fn plan(&self) -> &'a Plan {
        self.record.plan
    }

    /// The channels that must have everything in the end: those with so many dead letters
    /// that some are gone are left out.
    fn complete(&self) -> Vec<usize> {
        let ledger = self.record.keys.get("alert/ledger");
        let ledger: Value = ledger
            .and_then(|bytes| serde_json::from_slice(bytes).ok())
            .unwrap_or_default();
        let known = &ledger["record"]["outbox"]["channels"];
        let channels = self.plan().channels.iter().enumerate();
        let dead = |name: &str| known[name]["dead"].as_u64().unwrap_or(0);
        let complete = channels.filter(|(_, c)| dead(c.name) <= DEAD_KEPT);
        complete.map(|(n, _)| n).collect()
    }

    fn is_webhook(&self, channel: usize) -> bool {
        self.plan().channels[channel].name == "webhook"
    }

    fn read(&mut self) {
        for message in &self.messages {
            let about_incident =
                message.kind.opens() || matches!(message.kind, Kind::Resolved | Kind::Acknowledged);
            if message.kind == Kind::Summary {
                for incident in message.data["incidents"].as_array().into_iter().flatten() {
                    let id = incident["incident"].as_str().unwrap_or_default();
                    let told = self.told.entry(id).or_default();
                    told.service = message.service;
                    told.add(message, incident);
                }
            } else if about_incident {
                let told = self.told.entry(message.about).or_default();
                if !message.service.is_empty() {
                    told.service = message.service;
                }
                told.add(message, message.data);
            }
        }
    }

    /// After the faults nothing is under way any more.
    fn settled(&mut self) {
        for (key, bytes) in self.record.keys {
            if key.starts_with("history/") {
                self.history(key, bytes);
                continue;
            }
            let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
                self.breaks("records are JSON", key);
                continue;
            };
            let record = &value["record"];
            let count = |value: &Value| value.as_array().map_or(0, Vec::len);
            if key.starts_with("monitor/") && count(&record["pending"]) > 0 {
                let count = count(&record["pending"]);
                self.breaks(
                    "nothing is left",
                    format!("{count} transitions under {key}"),
                );
            }
            if key == "alert/ledger" {
                for list in ["messages", "dead"] {
                    let count = count(&record["outbox"][list]);
                    if count > 0 {
                        self.breaks("nothing is left", format!("{count} {list} in the outbox"));
                    }
                }
                let accounts = record["services"].as_object().into_iter().flatten();
                for (service, account) in accounts {
                    let service_of = &account["service"];
                    if !service_of["open"].is_null() || count(&service_of["ended"]) > 0 {
                        self.breaks("nothing is left", format!("an incident of {service}"));
                    }
                }
            }
            if key == "alert/past" {
                self.remembered(record);
            }
            if key.starts_with("unreadable/") {
                self.breaks("records are readable", key);
            }
        }
    }

    /// Whose end was told is remembered, as it was told.
    fn remembered(&mut self, past: &Value) {
        let all = past["incidents"].as_array().into_iter().flatten();
        let resolved: BTreeMap<&str, u64> = all
            .filter_map(|i| Some((i["id"].as_str()?, i["resolved_at"].as_u64()?)))
            .collect();
        if resolved.len() >= PAST_KEPT {
            return;
        }
        let told = self
            .told
            .iter()
            .filter_map(|(id, t)| Some((*id, t.resolved_at?)));
        let missing: Vec<String> = told
            .filter(|(id, at)| {
                resolved
                    .get(id)
                    .is_none_or(|known| known / 1_000 != at / 1_000)
            })
            .map(|(id, at)| format!("{id}, over at {at}, is {:?}", resolved.get(id)))
            .collect();
        for what in missing {
            self.breaks("what is over is remembered", what);
        }
    }

    /// A history's spans are in order, and each is as long as its parts together.
    fn history(&mut self, key: &str, bytes: &[u8]) {
        let long_s = match key.rsplit('/').next() {
            Some("hours") => 3_600,
            Some("days") => 86_400,
            _ => return,
        };
        let spans = match unpack::<Spans>(bytes) {
            Ok(Spans { spans }) => spans,
            Err(why) => return self.breaks("records are readable", format!("{key}: {why}")),
        };
        let ordered = spans.windows(2).all(|w| w[0].start_s < w[1].start_s);
        let whole = spans.iter().all(|s| {
            s.start_s % u64::from(long_s) == 0
                && s.up_s + s.degraded_s + s.down_s + s.unknown_s == long_s
        });
        if !ordered || !whole {
            self.breaks(
                "a history's spans are whole and in order",
                format!("{key}: {spans:?}"),
            );
        }
    }
}

impl<'a> Told<'a> {
    fn add(&mut self, message: &Message<'a>, incident: &'a Value) {
        let firsts = self.heard.entry(message.channel).or_default();
        firsts.entry(message.kind).or_insert(message.at);
        let ids = self.ids.entry(message.kind).or_default();
        ids.insert((message.channel, message.id.clone()));
        if incident.is_null() {
            return;
        }
        if let Some(severity) = message.data["severity"].as_str() {
            self.peak = self.peak.max(rank(severity));
        }
        self.failing_since = time(&incident["failing_since"]).unwrap_or_default();
        self.opened_at = time(&incident["opened_at"]).or(self.opened_at);
        self.resolved_at = time(&incident["resolved_at"]).or(self.resolved_at);
        for check in incident["checks"].as_array().into_iter().flatten() {
            let affected = Affected {
                check: check["check"].as_str().unwrap_or_default(),
                failing_since: time(&check["failing_since"]).unwrap_or_default(),
                recovered_at: time(&check["recovered_at"]),
                flapped: check["reason"] == "flapping",
            };
            if !self.checks.contains(&affected) {
                self.checks.push(affected);
            }
        }
    }

    /// From the first failure to its end, as far as that is known.
    fn lasted(&self) -> crate::plan::Span {
        crate::plan::Span {
            from: self.failing_since,
            to: self.resolved_at.unwrap_or(u64::MAX),
        }
    }

    fn first(&self, channel: usize, of: impl Fn(Kind) -> bool) -> Option<u64> {
        let kinds = self.heard.get(&channel)?;
        kinds
            .iter()
            .filter(|(k, _)| of(**k))
            .map(|(_, at)| *at)
            .min()
    }
}
