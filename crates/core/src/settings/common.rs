//! What every check has: who it is, how often, when it counts.

use std::time::Duration;

use super::Reader;
use crate::diagnosis::Role;

/// How loud an alert is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    pub const WANT: &str = "critical, warning or info";

    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "critical" => Severity::Critical,
            "warning" => Severity::Warning,
            "info" => Severity::Info,
            _ => return None,
        })
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

/// The variables that every check's stanza may carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Common {
    /// `check`: the id, the same as the component's. Lower-case letters, digits, hyphens; 1–64.
    pub check: String,
    /// `label`: the name for people; default the id.
    pub label: String,
    /// `service`: what the check belongs to; default `headscale`.
    pub service: String,
    /// `severity`: `critical` (default), `warning`, `info`.
    pub severity: Severity,
    /// `runbook`: the action, one sentence.
    pub runbook: String,
    /// `runbook_url`: where to read more.
    pub runbook_url: String,
    /// `role`: what part of the picture the check shows; default its id, where that is one,
    /// or else what its kind of check shows.
    pub role: Option<Role>,
    /// `flapping`: `on` (default) or `off`.
    pub flapping: bool,
    /// `not_offered`: why the place where this runs does not let the check ask anything, as
    /// `watchbell manifest` writes it; none where it does.
    pub not_offered: Option<String>,
    pub pace: Pace,
    /// `timeout`: the one deadline over everything a probe does; default 10 s,
    /// below the retry interval, at most 25 s.
    pub timeout: Duration,
    /// `failure_threshold`: consecutive failures before the alert; default 2, 1–100.
    pub failure_threshold: u32,
    /// `success_threshold`: consecutive successes before *resolved*; default 1, 1–100.
    pub success_threshold: u32,
}

/// When a check's probes are due. All that a firing needs to know before it may rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// `interval`: between probes when well; default 60 s.
    pub interval: Duration,
    /// `retry_interval`: between probes while a failure (or a recovery) awaits
    /// confirmation; default 20 s, at most the interval.
    pub retry_interval: Duration,
    /// `firing_interval`: how often the trigger fires; default 20 s, at most `retry_interval`.
    pub firing_interval: Duration,
}

impl Pace {
    pub const INTERVAL: Duration = Duration::from_secs(60);
    pub const RETRY_INTERVAL: Duration = Duration::from_secs(20);
    pub const FIRING_INTERVAL: Duration = Duration::from_secs(20);

    pub fn read(r: &mut Reader<'_>) -> Self {
        let interval = duration(r, "interval", Self::INTERVAL);
        let retry_default = Self::RETRY_INTERVAL.min(interval);
        let retry_interval = duration(r, "retry_interval", retry_default);
        let firing_default = Self::FIRING_INTERVAL.min(retry_interval);
        let firing_interval = duration(r, "firing_interval", firing_default);
        for (key, value, above, bound) in [
            ("retry_interval", retry_interval, "interval", interval),
            (
                "firing_interval",
                firing_interval,
                "retry_interval",
                retry_interval,
            ),
        ] {
            if value > bound {
                let want = format!("at most {above}, {}", show(bound));
                r.mistake(key, &show(value), &want);
            }
        }
        Self {
            interval,
            retry_interval,
            firing_interval,
        }
    }
}

impl Common {
    pub const TIMEOUT: Duration = Duration::from_secs(10);
    /// The clouds cut an event at 30 s, the embedded runtime at 60 s, and a run that is
    /// cut saves no outcome: a target that hangs would never alert. What is left of the
    /// 30 s is for the record, the ledger and the ring.
    pub const TIMEOUT_MAX: Duration = Duration::from_secs(25);
    pub const FAILURE_THRESHOLD: u32 = 2;
    pub const SUCCESS_THRESHOLD: u32 = 1;
    pub const SERVICE: &str = "headscale";
    /// A threshold beyond this would never be met in practice.
    pub const THRESHOLD_MAX: u32 = 100;

    pub fn read(r: &mut Reader<'_>) -> Self {
        let check = r.required("check", "the component's id");
        if !check.is_empty() && !is_id(&check) {
            r.mistake("check", &format!("{check:?}"), ID_WANT);
        }
        let service = r.parsed("service", Self::SERVICE.to_owned(), ID_WANT, |t| {
            is_id(t).then(|| t.to_owned())
        });
        let pace = Pace::read(r);
        let retry_interval = pace.retry_interval;
        let timeout = duration(r, "timeout", Self::TIMEOUT.min(retry_interval / 2));
        if timeout >= retry_interval {
            // A probe that may run into the next would let two runs write one record.
            r.mistake(
                "timeout",
                &show(timeout),
                &format!("less than retry_interval, {}", show(retry_interval)),
            );
        }
        if timeout > Self::TIMEOUT_MAX {
            r.mistake(
                "timeout",
                &show(timeout),
                &format!("at most {}", show(Self::TIMEOUT_MAX)),
            );
        }
        let of_id = Role::parse(&check).filter(|r| *r != Role::Witness);
        Self {
            role: r.parsed("role", of_id, Role::WANT, |t| Role::parse(t).map(Some)),
            flapping: r.parsed("flapping", true, "on or off", |t| match t {
                "on" => Some(true),
                "off" => Some(false),
                _ => None,
            }),
            not_offered: bounded(r, "not_offered", RUNBOOK_CHARS_MAX),
            label: bounded(r, "label", LABEL_CHARS_MAX).unwrap_or_else(|| check.clone()),
            check,
            service,
            severity: r.parsed(
                "severity",
                Severity::Critical,
                Severity::WANT,
                Severity::parse,
            ),
            runbook: bounded(r, "runbook", RUNBOOK_CHARS_MAX).unwrap_or_default(),
            runbook_url: bounded(r, "runbook_url", RUNBOOK_CHARS_MAX).unwrap_or_default(),
            pace,
            timeout,
            failure_threshold: threshold(r, "failure_threshold", Self::FAILURE_THRESHOLD),
            success_threshold: threshold(r, "success_threshold", Self::SUCCESS_THRESHOLD),
        }
    }
}

/// What stands in every record and message of the check: bounded, so that they are.
const LABEL_CHARS_MAX: usize = 100;
const RUNBOOK_CHARS_MAX: usize = 500;

fn bounded(r: &mut Reader<'_>, key: &str, chars_max: usize) -> Option<String> {
    let text = r.text(key)?;
    let chars = text.chars().count();
    if chars > chars_max {
        r.mistake(
            key,
            &format!("{chars} characters"),
            &format!("at most {chars_max} characters"),
        );
    }
    Some(crate::outcome::one_line(&text, chars_max))
}

const ID_WANT: &str =
    "1 to 64 lower-case letters, digits and single hyphens, starting with a letter";

/// Component ids as Spin has them (kebab-case), bounded because they become KV keys.
fn is_id(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.split('-').all(|w| {
            !w.is_empty()
                && w.chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        })
}

fn threshold(r: &mut Reader<'_>, key: &str, default: u32) -> u32 {
    r.parsed(key, default, "a number from 1 to 100", |t| {
        t.parse()
            .ok()
            .filter(|n| (1..=Common::THRESHOLD_MAX).contains(n))
    })
}

pub(super) fn duration(r: &mut Reader<'_>, key: &str, default: Duration) -> Duration {
    r.parsed(
        key,
        default,
        "a duration such as 500ms, 10s, 5m, 4h or 30d, above zero",
        parse_duration,
    )
}

/// `500ms`, `10s`, `5m`, `4h`, `30d`: a whole number and a unit; above zero, at most ten years.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().ok()?;
    let scale_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let ms = number.checked_mul(scale_ms)?;
    (1..=10 * 366 * 86_400_000)
        .contains(&ms)
        .then(|| Duration::from_millis(ms))
}

/// As [`parse_duration`] reads it, in the largest unit that says it exactly.
pub fn show(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    for (scale, unit) in [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1_000, "s"),
    ] {
        if ms >= scale && ms % scale == 0 {
            return format!("{}{unit}", ms / scale);
        }
    }
    format!("{ms}ms")
}
