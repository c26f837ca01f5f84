//! Maintenance that comes again: a cron expression, and how long it lasts.

use std::time::Duration;

use chrono::{DateTime, Utc};
use croner::Cron;

use crate::settings::parse_duration;
use crate::time::UnixMs;

/// No longer than a window that an operator opens by hand may be.
const LASTS_MAX: Duration = crate::operator::WINDOW_MAX;

/// What would be accepted.
pub const WANT: &str = "six cron fields (UTC), a duration and perhaps a service, such as \
     0 0 3 * * SUN 2h headscale; several separated by semicolons";

#[derive(Clone, Debug)]
pub struct Recurring {
    begins: Cron,
    lasts: Duration,
    /// Every service, when empty.
    service: String,
}

impl Recurring {
    /// `0 0 3 * * SUN 2h; 0 30 4 1 * * 30m headscale`.
    pub fn parse_all(text: &str) -> Option<Vec<Self>> {
        let parts = text.split([';', '\n']).map(str::trim);
        parts.filter(|p| !p.is_empty()).map(Self::parse).collect()
    }

    fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (fields, rest) = words.split_at_checked(6)?;
        let (lasts, service) = match rest {
            [lasts] => (lasts, ""),
            [lasts, service] => (lasts, *service),
            _ => return None,
        };
        let begins = Cron::new(&fields.join(" "))
            .with_seconds_required()
            .with_dom_and_dow()
            .parse()
            .ok()?;
        Some(Self {
            begins,
            lasts: parse_duration(lasts).filter(|d| *d <= LASTS_MAX)?,
            service: service.to_owned(),
        })
    }

    /// The window that covers the service now: when it began, and when it ends.
    pub fn covering(&self, service: &str, now: UnixMs) -> Option<(UnixMs, UnixMs)> {
        if !self.service.is_empty() && self.service != service {
            return None;
        }
        let lasts_s = i64::try_from(self.lasts.as_secs()).unwrap_or(i64::MAX);
        let now_s = now.unix_s();
        let at: DateTime<Utc> = DateTime::from_timestamp(now_s.saturating_sub(lasts_s), 0)?;
        // The first that begins late enough to go on still.
        let begun = self
            .begins
            .find_next_occurrence(&at, false)
            .ok()?
            .timestamp();
        let from = UnixMs(u64::try_from(begun).ok()?.saturating_mul(1_000));
        (begun <= now_s).then(|| (from, from.plus(self.lasts)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_open_from_its_second_for_its_time() {
        // 2026-11-29 is a Sunday; 03:00 UTC.
        const BEGINS_S: u64 = 1_795_921_200;
        let all = Recurring::parse_all("0 0 3 * * SUN 2h headscale").unwrap();
        let covers =
            |second: u64, service| all[0].covering(service, UnixMs(second * 1_000)).is_some();
        for (second, want) in [
            (BEGINS_S - 1, false),
            (BEGINS_S, true),
            (BEGINS_S + 7_199, true),
            (BEGINS_S + 7_200, false),
            (BEGINS_S + 86_400, false),
            (BEGINS_S + 7 * 86_400, true),
        ] {
            assert_eq!(covers(second, "headscale"), want, "{second}");
        }
        assert!(!covers(BEGINS_S, "mail"));
    }

    #[test]
    fn what_is_no_window_is_refused() {
        assert_eq!(Recurring::parse_all(" ; ").map(|all| all.len()), Some(0));
        assert_eq!(
            Recurring::parse_all("0 0 3 * * * 1h; 0 0 4 * * * 1h x").map(|a| a.len()),
            Some(2)
        );
        for text in [
            "0 3 * * * 2h",
            "0 0 3 * * SUN",
            "0 0 25 * * * 1h",
            "0 0 3 * * * 2h a b",
            "0 0 3 * * * 40d",
        ] {
            assert!(Recurring::parse_all(text).is_none(), "{text:?}");
        }
    }
}
