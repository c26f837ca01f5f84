//! When a certificate's remaining life is worth a word.

use std::time::Duration;

use crate::outcome::CertificateSeen;
use crate::settings::Threshold;
use crate::time::UnixMs;

const DAY_S: i64 = 86_400;

/// How many of the thresholds (widest first) the certificate has come inside of.
/// At the threshold exactly counts as inside. An ended certificate has crossed none:
/// that is a failure of the probe, and no longer a warning.
pub fn crossed(thresholds: &[Threshold], seen: &CertificateSeen, now: UnixMs) -> usize {
    let left_s = seen.not_after_unix_s.saturating_sub(now.unix_s());
    if left_s < 0 {
        return 0;
    }
    thresholds
        .iter()
        .take_while(|t| left_s <= inside_s(**t, seen))
        .count()
}

/// How many seconds before not-after the threshold lies.
pub fn inside_s(threshold: Threshold, seen: &CertificateSeen) -> i64 {
    match threshold {
        Threshold::Days(days) => i64::from(days) * DAY_S,
        Threshold::LifetimePercent(percent) => {
            let lifetime_s = seen
                .not_after_unix_s
                .saturating_sub(seen.not_before_unix_s)
                .max(0);
            // At most 99 per cent of an i64: it fits again.
            (i128::from(lifetime_s) * i128::from(percent) / 100) as i64
        }
    }
}

/// `expires in 6 days, on 2026-11-29T09:31:00Z`.
pub fn expiry_detail(seen: &CertificateSeen, now: UnixMs) -> String {
    let left_s = seen.not_after_unix_s.saturating_sub(now.unix_s()).max(0);
    let left = match left_s {
        ..=DAY_S => crate::time::for_people(Duration::from_secs(left_s.unsigned_abs())),
        _ => match left_s / DAY_S {
            1 => "1 day".to_owned(),
            days => format!("{days} days"),
        },
    };
    let at = not_after(seen.not_after_unix_s);
    format!("expires in {left}, on {}", at.rfc3339())
}

/// What is said of a certificate that is served no longer.
pub fn renewal_detail(not_after_unix_s: i64, seen: &CertificateSeen, now: UnixMs) -> String {
    format!(
        "that ends on {} is served no longer; the one in its place {}",
        not_after(not_after_unix_s).rfc3339(),
        expiry_detail(seen, now)
    )
}

fn not_after(unix_s: i64) -> UnixMs {
    UnixMs(unix_s.max(0).unsigned_abs().saturating_mul(1000))
}

impl std::fmt::Display for Threshold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Threshold::Days(1) => f.write_str("1 day"),
            Threshold::Days(days) => write!(f, "{days} days"),
            Threshold::LifetimePercent(percent) => write!(f, "{percent} % of the lifetime"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(not_before_unix_s: i64, not_after_unix_s: i64) -> CertificateSeen {
        CertificateSeen {
            sha256: "aa".into(),
            not_before_unix_s,
            not_after_unix_s,
        }
    }

    #[test]
    fn a_threshold_counts_from_its_very_second() {
        let days = [30, 14, 7, 3, 1].map(Threshold::Days);
        let now = UnixMs(1_000_000_000_000);
        for (left_s, want) in [
            (31 * DAY_S, 0),
            (30 * DAY_S + 1, 0),
            (30 * DAY_S, 1),
            (14 * DAY_S + 1, 1),
            (14 * DAY_S, 2),
            (7 * DAY_S, 3),
            (3 * DAY_S, 4),
            (DAY_S, 5),
            (0, 5),
            (-1, 0),
        ] {
            assert_eq!(
                crossed(&days, &seen(0, 1_000_000_000 + left_s), now),
                want,
                "{left_s} s left"
            );
        }
    }

    #[test]
    fn a_short_lived_certificate_has_thresholds_of_its_lifetime() {
        let percent = [33, 10].map(Threshold::LifetimePercent);
        let six_days = seen(0, 600);
        for (at_s, want) in [
            (0, 0),
            (401, 0),
            (402, 1),
            (539, 1),
            (540, 2),
            (600, 2),
            (601, 0),
        ] {
            assert_eq!(
                crossed(&percent, &six_days, UnixMs(at_s * 1000)),
                want,
                "at {at_s} s of 600"
            );
        }
    }

    #[test]
    fn an_expiry_is_told_in_whole_days_and_then_in_hours() {
        let now = UnixMs(10 * 86_400_000);
        assert_eq!(
            expiry_detail(&seen(0, 16 * DAY_S), now),
            "expires in 6 days, on 1970-01-17T00:00:00Z"
        );
        assert_eq!(
            expiry_detail(&seen(0, 10 * DAY_S + 7200), now),
            "expires in 2h, on 1970-01-11T02:00:00Z"
        );
    }
}
