//! Points in time as values: the rules never ask what time it is.

use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC, leap seconds not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMs(pub u64);

impl UnixMs {
    /// Zero when `earlier` is later: a clock may go back.
    pub fn since(self, earlier: UnixMs) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    pub fn plus(self, duration: Duration) -> UnixMs {
        UnixMs(
            self.0
                .saturating_add(duration.as_millis().try_into().unwrap_or(u64::MAX)),
        )
    }

    /// Whole seconds, rounded down.
    pub fn unix_s(self) -> i64 {
        i64::try_from(self.0 / 1000).unwrap_or(i64::MAX)
    }

    /// RFC 3339 in UTC, whole seconds: `2026-11-23T09:31:00Z`.
    pub fn rfc3339(self) -> String {
        // A record's time is bounded on reading (see `record`), so year 9999 is not passed.
        humantime::format_rfc3339_seconds(
            UNIX_EPOCH + Duration::from_millis(self.0.min(YEAR_9999_MS)),
        )
        .to_string()
    }
}

/// The last moment that RFC 3339 can write.
pub const YEAR_9999_MS: u64 = 253_402_300_799_000;

/// `3m 20s`: whole seconds, at most the two largest units.
pub fn for_people(duration: Duration) -> String {
    let whole = Duration::from_secs(duration.as_secs());
    humantime::format_duration(whole)
        .to_string()
        .split(' ')
        .take(2)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_people_and_receivers_expect() {
        assert_eq!(UnixMs(1_795_426_260_999).rfc3339(), "2026-11-23T09:31:00Z");
        assert_eq!(UnixMs(u64::MAX).rfc3339(), "9999-12-31T23:59:59Z");
        assert_eq!(for_people(Duration::from_millis(200_400)), "3m 20s");
        assert_eq!(for_people(Duration::from_millis(400)), "0s");
        assert_eq!(
            for_people(Duration::from_secs(3 * 86_400 + 7_261)),
            "3days 2h"
        );
    }
}
