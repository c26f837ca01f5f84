//! Times as people read them.

use watchbell_core::time::UnixMs;

/// Days, or what is shorter.
pub fn span(seconds: i64) -> String {
    let (count, unit) = match seconds {
        86_400.. => (seconds / 86_400, "day"),
        3_600.. => (seconds / 3_600, "hour"),
        _ => (seconds / 60, "minute"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// `2026-11-23`, in UTC; what lies before 1970 is told as its first day.
pub fn date(unix_s: i64) -> String {
    let ms = u64::try_from(unix_s).unwrap_or(0).saturating_mul(1_000);
    UnixMs(ms).rfc3339().chars().take(10).collect()
}
