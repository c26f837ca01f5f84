//! What the receivers make of what they took: the webhook's messages one by one, PagerDuty's
//! alerts by their key, Alertmanager's by their labels.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::plan::{MINUTE, Plan};
use crate::world::Delivery;

/// What a message is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Triggered,
    Updated,
    Reminder,
    /// PagerDuty and Alertmanager do not tell these three apart.
    Fires,
    Acknowledged,
    Resolved,
    Summary,
    Expiring,
    Renewed,
    Started,
    Unknown,
}

impl Kind {
    /// The receiver holds it to be open from then on.
    pub fn opens(self) -> bool {
        use Kind::{Fires, Reminder, Triggered, Updated};
        matches!(self, Triggered | Updated | Reminder | Fires)
    }
}

/// One delivery, read.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    pub channel: usize,
    pub at: u64,
    /// Nothing came under this id before. Where there is none, the content is it.
    pub first: bool,
    pub id: String,
    pub kind: Kind,
    /// The incident, or the certificate.
    pub about: &'a str,
    pub service: &'a str,
    /// When what it tells happened.
    pub timestamp: Option<u64>,
    /// The webhook's `data`; PagerDuty gets it as well.
    pub data: &'a Value,
}

pub fn read<'a>(plan: &Plan, taken: &'a [Delivery]) -> Vec<Message<'a>> {
    let mut seen: BTreeSet<(usize, String)> = BTreeSet::new();
    let mut messages: Vec<Message<'a>> = taken
        .iter()
        .map(|d| match plan.channels[d.channel].name {
            "webhook" => webhook(d),
            "pagerduty" => pagerduty(d),
            _ => alertmanager(d),
        })
        .collect();
    for message in &mut messages {
        message.first = seen.insert((message.channel, message.id.clone()));
    }
    messages
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn webhook(d: &Delivery) -> Message<'_> {
    let data = &d.body["data"];
    let kind = match text(&d.body, "type") {
        "alert.triggered" => Kind::Triggered,
        "alert.updated" => Kind::Updated,
        "alert.reminder" => Kind::Reminder,
        "alert.acknowledged" => Kind::Acknowledged,
        "alert.resolved" => Kind::Resolved,
        "alert.summary" => Kind::Summary,
        "certificate.expiring" => Kind::Expiring,
        "certificate.renewed" => Kind::Renewed,
        "watchbell.started" => Kind::Started,
        _ => Kind::Unknown,
    };
    let certificate = text(&data["certificate"], "sha256");
    let about = match kind {
        Kind::Expiring | Kind::Renewed => certificate,
        _ => text(data, "incident"),
    };
    Message {
        channel: d.channel,
        at: d.at,
        first: true,
        id: d.id.clone(),
        kind,
        about,
        service: text(data, "service"),
        timestamp: time(&d.body["timestamp"]),
        data,
    }
}

fn pagerduty(d: &Delivery) -> Message<'_> {
    let key = text(&d.body, "dedup_key");
    let incident = key.starts_with("inc_");
    // Of a certificate: its digest, and the check that sees it.
    let about = key.split('@').next().unwrap_or_default();
    let kind = match (text(&d.body, "event_action"), incident) {
        ("trigger", true) => Kind::Fires,
        ("trigger", false) => Kind::Expiring,
        ("acknowledge", true) => Kind::Acknowledged,
        ("resolve", true) => Kind::Resolved,
        ("resolve", false) => Kind::Renewed,
        _ => Kind::Unknown,
    };
    let payload = &d.body["payload"];
    Message {
        channel: d.channel,
        at: d.at,
        first: true,
        id: d.body.to_string(),
        kind,
        about,
        service: text(payload, "group"),
        timestamp: time(&payload["timestamp"]),
        data: &payload["custom_details"],
    }
}

fn alertmanager(d: &Delivery) -> Message<'_> {
    let alerts = d.body.as_array().map_or(&[][..], Vec::as_slice);
    let labels = alerts.first().map_or(&Value::Null, |a| &a["labels"]);
    // What is told to end now may do so in a moment, by a clock that went back.
    let fires = alerts.iter().any(|a| ends_at(a) > d.at + MINUTE);
    let kind = match (text(labels, "alertname"), fires) {
        ("WatchbellIncident", true) => Kind::Fires,
        ("WatchbellIncident", false) => Kind::Resolved,
        ("WatchbellCertificateExpiring", true) => Kind::Expiring,
        ("WatchbellCertificateExpiring", false) => Kind::Renewed,
        _ => Kind::Unknown,
    };
    Message {
        channel: d.channel,
        at: d.at,
        first: true,
        id: d.body.to_string(),
        kind,
        about: text(labels, "incident")
            .split('@')
            .next()
            .unwrap_or_default(),
        service: text(labels, "service"),
        timestamp: None,
        data: &Value::Null,
    }
}

fn ends_at(alert: &Value) -> u64 {
    time(&alert["endsAt"]).unwrap_or(u64::MAX)
}

/// PagerDuty: a trigger opens the alert of its key, or opens it again; a resolve closes it.
/// Gives the keys that are open in the end.
pub fn open_at_pagerduty(channel: usize, taken: &[Delivery]) -> Vec<&str> {
    let mut open: BTreeSet<&str> = BTreeSet::new();
    for d in taken.iter().filter(|d| d.channel == channel) {
        let key = text(&d.body, "dedup_key");
        match text(&d.body, "event_action") {
            "trigger" => drop(open.insert(key)),
            "resolve" => drop(open.remove(key)),
            // An acknowledged alert stays open.
            _ => {}
        }
    }
    open.into_iter().collect()
}

/// Alertmanager: an alert is its labels, and fires until `endsAt`, as it was last told.
/// Gives what fires at `now`: the labels, and the incident among them.
pub fn firing_at_alertmanager(
    channel: usize,
    taken: &[Delivery],
    now: u64,
) -> Vec<(String, String)> {
    let mut ends: BTreeMap<(String, String), u64> = BTreeMap::new();
    for d in taken.iter().filter(|d| d.channel == channel) {
        for alert in d.body.as_array().into_iter().flatten() {
            let labels = &alert["labels"];
            let about = text(labels, "incident").to_owned();
            ends.insert((labels.to_string(), about), ends_at(alert));
        }
    }
    let firing = ends.into_iter().filter(|(_, end)| *end > now);
    firing.map(|(labels, _)| labels).collect()
}

/// RFC 3339 in UTC, whole seconds, as docs/webhook.md says.
pub fn time(text: &Value) -> Option<u64> {
    let text = text.as_str()?;
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (y, m, d) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hh, mm, ss) = (number(11..13)?, number(14..16)?, number(17..19)?);
    // Days since 1970 (Howard Hinnant, "chrono-compatible low-level date algorithms").
    let y = if m <= 2 { y - 1 } else { y };
    let era = y.div_euclid(400);
    let year_of_era = y - era * 400;
    let day_of_year = (153 * (m + if m > 2 { -3 } else { 9 }) + 2) / 5 + d - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    u64::try_from((days * 86_400 + hh * 3_600 + mm * 60 + ss) * 1_000).ok()
}
