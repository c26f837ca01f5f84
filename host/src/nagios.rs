//! An outcome as a Nagios plugin prints it (Monitoring Plugins, development guidelines).

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

pub const EXIT_OK: u8 = 0;
pub const EXIT_WARNING: u8 = 1;
pub const EXIT_CRITICAL: u8 = 2;
pub const EXIT_UNKNOWN: u8 = 3;

/// Characters of the first line's text: schedulers cut long ones, and at worse places.
const TEXT_CHARS_MAX: usize = 512;

/// What a check said of its target.
pub struct Outcome {
    pub status: Status,
    pub detail: String,
    pub duration: Duration,
    /// The deadline of the check, where it is known.
    pub timeout: Option<Duration>,
    /// The whole answer.
    pub json: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Up,
    Degraded,
    Failed,
    /// The fault is on our side, or the host did not permit the attempt: nothing is known
    /// about the target.
    NotRun,
}

impl Outcome {
    /// Reads a check's answer; `took` counts where it says no duration itself.
    pub fn read(json: Value, took: Duration, timeout: Option<Duration>) -> anyhow::Result<Self> {
        let text = |key: &str| json.get(key).and_then(Value::as_str);
        let status = match text("status") {
            Some("up") => Status::Up,
            Some("degraded") => Status::Degraded,
            Some("failed") if matches!(text("kind"), Some("internal" | "denied")) => Status::NotRun,
            Some("failed") => Status::Failed,
            _ => match text("error").or(text("detail")) {
                Some(said) => bail!("{said}"),
                None => bail!("got no status, want up, degraded or failed"),
            },
        };
        let detail = text("detail").unwrap_or_default().to_owned();
        let duration = json
            .get("duration_ms")
            .and_then(Value::as_u64)
            .map_or(took, Duration::from_millis);
        json.as_object().context("want a JSON object")?;
        Ok(Self {
            status,
            detail,
            duration,
            timeout,
            json,
        })
    }
}

pub fn exit_code(outcome: &Outcome) -> u8 {
    match outcome.status {
        Status::Up => EXIT_OK,
        Status::Degraded => EXIT_WARNING,
        Status::Failed => EXIT_CRITICAL,
        Status::NotRun => EXIT_UNKNOWN,
    }
}

/// `HEALTH OK - … | time=0.012s;;;0;10`
pub fn line(check: &str, outcome: &Outcome) -> String {
    let word = match outcome.status {
        Status::Up => "OK",
        Status::Degraded => "WARNING",
        Status::Failed => "CRITICAL",
        Status::NotRun => "UNKNOWN",
    };
    let max = outcome
        .timeout
        .map_or(String::new(), |t| t.as_secs_f64().to_string());
    let days_left = outcome.json["facts"]["days_left"]
        .as_i64()
        .map_or(String::new(), |days| format!(" days_left={days}"));
    format!(
        "{} {word} - {} | time={:.3}s;;;0;{max}{days_left}",
        check.to_ascii_uppercase(),
        one_line(&outcome.detail),
        outcome.duration.as_secs_f64()
    )
}

/// For a check that gave no outcome.
pub fn not_run(check: &str, why: &str) -> String {
    format!("{} UNKNOWN - {}", check.to_ascii_uppercase(), one_line(why))
}

/// The same in the shape of an outcome.
pub fn not_run_json(check: &str, why: &str) -> Value {
    serde_json::json!({
        "check": check,
        "status": "failed",
        "kind": "internal",
        "reason": null,
        "detail": why,
        "duration_ms": 0,
        "facts": {},
    })
}

/// The bar begins the figures, and a line end the long text.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == '|' {
                '/'
            } else if c.is_control() {
                ' '
            } else {
                c
            }
        })
        .take(TEXT_CHARS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(json: Value) -> anyhow::Result<Outcome> {
        Outcome::read(
            json,
            Duration::from_millis(7),
            Some(Duration::from_secs(10)),
        )
    }

    #[test]
    fn each_status_has_its_word_and_its_exit_code() {
        for (status, line, code) in [
            ("up", "HEALTH OK - all well | time=0.012s;;;0;10", EXIT_OK),
            (
                "degraded",
                "HEALTH WARNING - all well | time=0.012s;;;0;10",
                EXIT_WARNING,
            ),
            (
                "failed",
                "HEALTH CRITICAL - all well | time=0.012s;;;0;10",
                EXIT_CRITICAL,
            ),
        ] {
            let outcome = read(json!({"status": status, "detail": "all well", "duration_ms": 12}))
                .expect(status);
            assert_eq!(super::line("health", &outcome), line);
            assert_eq!(exit_code(&outcome), code, "{status}");
        }
    }

    #[test]
    fn a_check_that_probed_nothing_is_unknown() {
        for kind in ["internal", "denied"] {
            let outcome = read(json!({"status": "failed", "kind": kind})).expect(kind);
            assert_eq!(exit_code(&outcome), EXIT_UNKNOWN, "{kind}");
        }
    }

    #[test]
    fn a_certificates_days_are_a_figure() {
        let outcome = read(json!({"status": "up", "detail": "", "facts": {"days_left": 12}}));
        let line = line("certificate", &outcome.expect("an outcome"));
        assert_eq!(line, "CERTIFICATE OK -  | time=0.007s;;;0;10 days_left=12");
    }

    #[test]
    fn a_detail_cannot_break_the_line_or_begin_the_figures() {
        let outcome = read(json!({"status": "up", "detail": "a|b\nc"})).expect("an outcome");
        assert_eq!(line("x", &outcome), "X OK - a/b c | time=0.007s;;;0;10");
    }

    #[test]
    fn what_is_no_outcome_is_an_error() {
        for (answer, want) in [
            (json!({}), "got no status, want up, degraded or failed"),
            (
                json!({"status": "pending"}),
                "got no status, want up, degraded or failed",
            ),
            (json!({"error": "no token is set"}), "no token is set"),
            (json!([]), "got no status, want up, degraded or failed"),
        ] {
            let error = read(answer.clone()).err().map(|e| e.to_string());
            assert_eq!(error.as_deref(), Some(want), "{answer}");
        }
    }
}
