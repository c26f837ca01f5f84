//! What is shown, and to whom: types of their own. No configuration and no record is ever
//! serialised to a page or an API.
//!
//! What only who bears the token may see is an `Option`, and `None` for everybody else.

mod check;
mod delivery;
mod incident;
mod status;
mod time;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use check::{detail, state};
pub use delivery::{Channel, DeadLetter, Delivery, delivery};
pub use incident::{incidents, one, past};
pub use status::{newest, status};
pub use time::Time;

/// Labels are what operators write, and shown everywhere.
const LABEL_CHARS_MAX: usize = 100;

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// States: no targets, details or errors.
    Public,
    /// Everything but secrets, which no record holds.
    Full,
}

/// What a check, a service or all of it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum State {
    Up,
    /// Never probed, or not for several intervals.
    Unknown,
    /// Works, and wants attention.
    Degraded,
    /// Fails, and that is being confirmed.
    Pending,
    Down,
}

impl State {
    pub const ALL: [State; 5] = [
        State::Up,
        State::Unknown,
        State::Degraded,
        State::Pending,
        State::Down,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            State::Up => "up",
            State::Unknown => "unknown",
            State::Degraded => "degraded",
            State::Pending => "pending",
            State::Down => "down",
        }
    }
}

/// `GET /api/v1/status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Status {
    /// Of this shape: 1.
    pub version: u32,
    /// When the newest of what it tells was found.
    pub at: Time,
    /// The gravest of its services'.
    pub state: State,
    /// One sentence without a full stop.
    pub summary: String,
    pub services: Vec<Service>,
    /// What is open.
    pub incidents: Vec<Incident>,
    /// With the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Service {
    pub service: String,
    /// The gravest of its checks'.
    pub state: State,
    pub checks: Vec<Check>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Check {
    pub check: String,
    pub label: String,
    pub service: String,
    /// `http`, `tcp`, `certificate`, `control`, `derp`, `stun`.
    pub probe: String,
    /// `critical`, `warning` or `info`.
    pub severity: String,
    pub state: State,
    pub since: Time,
    /// When the first failure of those that count now was; of the outage, while it is down.
    pub failing_since: Option<Time>,
    /// Switched off: nothing is asked.
    pub off: bool,
    /// Up and down too often to be told each time.
    pub flapping: bool,
    /// A record that cannot be read.
    pub unreadable: bool,
    pub last: Option<Outcome>,
    /// When the next probe is due; its trigger may come up to one firing later.
    pub next_at: Option<Time>,
    pub interval_s: f64,
    pub consecutive_failures: u32,
    pub failure_threshold: u32,
    pub consecutive_successes: u32,
    pub success_threshold: u32,
    pub certificate: Option<Certificate>,
    /// What is asked; with the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// The last probe's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Outcome {
    pub at: Time,
    /// `up`, `degraded` or `failed`.
    pub status: String,
    pub duration_ms: u64,
    /// With the token, as all below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_version: Option<String>,
    /// By step: `dns`, `connect`, `tls`, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub phases_ms: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Certificate {
    pub not_before: Time,
    pub not_after: Time,
    /// Whole days, rounded down; negative once it has ended.
    pub days_left: i64,
    /// When it is warned of, the widest first.
    pub thresholds: Vec<Mark>,
    /// With the token, as all below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The first ten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names_more: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// An expiry threshold of one certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Mark {
    /// `30 days`, `20 % of the lifetime`.
    pub threshold: String,
    /// When the certificate comes inside it.
    pub at: Time,
    pub crossed: bool,
}

/// `GET /api/v1/checks/<check>`: the check and what its history says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Detail {
    #[serde(flatten)]
    pub check: Check,
    pub uptime: Uptimes,
    /// Of the last 24 hours; `null` where no probe found the target well.
    pub latency: Option<Latency>,
    /// The median of each of the last 24 hours, the newest last; `null` where no probe found the
    /// target well.
    pub hourly_ms: Vec<Option<u32>>,
    /// Why it is in its state, and what would change it.
    pub explanation: Vec<String>,
    /// What to do; with the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runbook_url: Option<String>,
}

/// Over the time before now; days are UTC days, today's beginning included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Uptimes {
    /// 24 hours.
    pub day: Uptime,
    /// 7 days.
    pub week: Uptime,
    /// 30 days.
    pub month: Uptime,
    /// 90 days.
    pub quarter: Uptime,
    /// 365 days.
    pub year: Uptime,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Uptime {
    /// Of the time that is known; `null` where none is.
    pub percent: Option<f64>,
    /// Degraded included.
    pub up_s: u64,
    pub degraded_s: u64,
    pub down_s: u64,
    /// Left out of the percentage.
    pub unknown_s: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Latency {
    pub min_ms: u32,
    pub median_ms: u32,
    pub p95_ms: u32,
    pub max_ms: u32,
}

/// The fields that the webhook has too are named as there (docs/webhook.md).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Incident {
    pub incident: String,
    pub service: String,
    /// The highest that it has had.
    pub severity: String,
    pub summary: String,
    pub opened_at: Time,
    pub failing_since: Time,
    pub resolved_at: Option<Time>,
    /// From the first failure to its end, or to now.
    pub duration_s: u64,
    pub checks: Vec<Affected>,
    pub acknowledged: bool,
    /// With the token, as all below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause_text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runbook_url: Option<String>,
    /// `silence`, `maintenance` or `uplink`: what holds (or held) its alerts back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Affected {
    pub check: String,
    pub label: String,
    pub failing_since: Time,
    pub recovered_at: Option<Time>,
    /// With the token, as all below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
