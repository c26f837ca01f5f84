//! What the alert component reads.

use std::time::Duration;

use super::common::{duration, show};
use super::{Mistake, Reader};
use crate::channel::{self, Channel};
use crate::incident::Reminders;
use crate::ledger::Rules;
use crate::outbox::RETRY_MAX;
use crate::recurring::{self, Recurring};
use crate::target::Url;

/// The variables of the alert component. The only place where channel secrets are read.
#[derive(Clone)]
pub struct AlertSettings {
    /// Where alerts go; without any they are logged.
    pub channels: Vec<Channel>,
    pub rules: Rules,
    /// `maintenance`: windows that come again.
    pub maintenance: Vec<Recurring>,
    /// `deadman_url`: told once a minute that the alert component runs (healthchecks.io and
    /// its kin), and with `/fail` behind it that checks do not.
    pub deadman_url: Option<Url>,
    /// `webhook_timeout`: for one attempt at any channel; default 10 s.
    pub timeout: Duration,
    /// `webhook_retry_interval`: the first pause after a failed attempt at any channel;
    /// doubles; default 10 s.
    pub retry_interval: Duration,
    /// What is wrong in the variables.
    pub mistakes: Vec<Mistake>,
}

impl AlertSettings {
    pub const TIMEOUT: Duration = Duration::from_secs(10);
    /// A run of the alert component lasts no longer than the clouds let it.
    pub const TIMEOUT_MAX: Duration = Duration::from_secs(20);
    pub const RETRY_INTERVAL: Duration = Duration::from_secs(10);
    pub const SETTLING_TIME: Duration = Duration::from_secs(30);
    /// At which it notes that it runs, and by which others judge whether it does.
    pub const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
    const SWEEP_INTERVAL_MAX: Duration = Duration::from_secs(3_600);
    pub const SETTLING_TIME_MAX: Duration = Duration::from_secs(600);
    pub const REMINDER_INTERVAL: Duration = Duration::from_secs(4 * 3_600);
    pub const REMINDERS_MAX: u32 = 6;

    /// Never fails: a variable that is mistaken counts as not given, and a channel of which
    /// one is has no destination. An alert must not be lost to a mistake beside it.
    pub fn read(get: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut r = Reader::new(get);
        let settings = Self {
            channels: channel::read(&mut r),
            maintenance: r.parsed(
                "maintenance",
                Vec::new(),
                recurring::WANT,
                Recurring::parse_all,
            ),
            deadman_url: channel::secret_url(&mut r, "deadman_url"),
            rules: Rules {
                // `startup_message`: `on` or `off` (default).
                announces: r.parsed("startup_message", false, "on or off", |t| match t {
                    "on" => Some(true),
                    "off" => Some(false),
                    _ => None,
                }),
                // `settling_time`: how long a first message waits for fresh outcomes of the
                // service's other checks; default 30 s, 0 to wait for none.
                settling_time: settling_time(&mut r),
                sweep_interval: sweep_interval(&mut r),
                reminders: Reminders {
                    // `reminder_interval`: default 4 h.
                    interval: duration(&mut r, "reminder_interval", Self::REMINDER_INTERVAL),
                    // `reminders_max`: of one incident; default 6, 0 for none.
                    max: r.parsed(
                        "reminders_max",
                        Self::REMINDERS_MAX,
                        "a number from 0 to 1000",
                        |t| t.parse().ok().filter(|n| *n <= 1_000),
                    ),
                },
            },
            timeout: bounded(&mut r, "webhook_timeout", Self::TIMEOUT, Self::TIMEOUT_MAX),
            retry_interval: bounded(
                &mut r,
                "webhook_retry_interval",
                Self::RETRY_INTERVAL,
                RETRY_MAX,
            ),
            mistakes: Vec::new(),
        };
        Self {
            mistakes: r.into_mistakes(),
            ..settings
        }
    }
}

fn settling_time(r: &mut Reader<'_>) -> Duration {
    if r.text("settling_time").as_deref() == Some("0") {
        return Duration::ZERO;
    }
    let (default, max) = (
        AlertSettings::SETTLING_TIME,
        AlertSettings::SETTLING_TIME_MAX,
    );
    bounded(r, "settling_time", default, max)
}

/// `sweep_interval`: how often something runs the alert component at least; default 60 s,
/// from 60 s to 1 h. The status component has it too.
pub(super) fn sweep_interval(r: &mut Reader<'_>) -> Duration {
    let (key, min) = ("sweep_interval", AlertSettings::SWEEP_INTERVAL);
    let value = bounded(r, key, min, AlertSettings::SWEEP_INTERVAL_MAX);
    if value < min {
        r.mistake(key, &show(value), &format!("at least {}", show(min)));
    }
    value.max(min)
}

fn bounded(r: &mut Reader<'_>, key: &str, default: Duration, max: Duration) -> Duration {
    let value = duration(r, key, default);
    if value > max {
        r.mistake(key, &show(value), &format!("at most {}", show(max)));
    }
    value.min(max)
}
