//! When a cron trigger fires.
//!
//! The expression is read by the crate, the version and the mode that the cron
//! plugin's scheduler uses (tokio-cron-scheduler 0.13: croner 2.1, seconds
//! required, day of month and day of week both to match), so that what is accepted
//! here is accepted there and fires at the same seconds.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use croner::Cron;

/// Firings of one trigger: whole seconds, UTC.
#[derive(Clone, Debug)]
pub struct Schedule(Cron);

/// Why an expression is not one, with what would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleError {
    pub want: String,
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "want {}", self.want)
    }
}

impl std::error::Error for ScheduleError {}

/// The gaps between firings, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    pub min_s: u64,
    pub max_s: u64,
}

/// How far [`Schedule::period`] looks, both ends included: what fires every day repeats
/// after one. An expression whose last four fields are all `*` repeats every hour, and
/// an hour tells the same sooner.
const HORIZON: TimeDelta = TimeDelta::days(1);
const HORIZON_HOURLY: TimeDelta = TimeDelta::hours(1);
/// Where every day is looked at: a leap year, so that it holds every date there is.
const LEAP_YEAR: i32 = 2028;

const WANT: &str = "six fields, seconds first, such as */20 * * * * *";

impl Schedule {
    pub fn parse(expression: &str) -> Result<Self, ScheduleError> {
        let fields = expression.split_whitespace().count();
        if fields != 6 {
            // The parser would say so too, in other words; nicknames such as
            // @daily count as one field and are refused by the plugin as well.
            return Err(ScheduleError {
                want: format!("{WANT} (it has {fields})"),
            });
        }
        Cron::new(expression)
            .with_seconds_required()
            .with_dom_and_dow()
            .parse()
            .map(Self)
            .map_err(|err| ScheduleError {
                want: format!("{WANT} ({})", sentence(&err.to_string())),
            })
    }

    /// The first firing after the given second; `None` when there is none.
    pub fn next_after(&self, unix_s: u64) -> Option<u64> {
        let next = self.0.find_next_occurrence(&time(unix_s)?, false).ok()?;
        u64::try_from(next.timestamp()).ok()
    }

    /// Whether no day is left out, however its last three fields say that.
    pub fn is_daily(&self) -> bool {
        let pattern = &self.0.pattern;
        let fires = |day: NaiveDate| {
            let (year, month, day) = (day.year(), day.month(), day.day());
            pattern.month_match(month).unwrap_or(false)
                && pattern.day_match(year, month, day).unwrap_or(false)
        };
        NaiveDate::from_ymd_opt(LEAP_YEAR, 1, 1).is_some_and(|first| {
            first
                .iter_days()
                .take_while(|d| d.year() == LEAP_YEAR)
                .all(fires)
        })
    }

    /// The smallest and the largest gap between firings; `None` when a day is left out,
    /// and then no gap of one day is that of another.
    pub fn period(&self) -> Option<Period> {
        if !self.is_daily() {
            return None;
        }
        let fields = self.0.as_str().split_whitespace().skip(2);
        let hourly = fields.into_iter().all(|f| matches!(f, "*" | "?"));
        let horizon = if hourly { HORIZON_HOURLY } else { HORIZON };
        let start = self.0.find_next_occurrence(&time(0)?, true).ok()?;
        let firings: Vec<i64> = self
            .0
            .iter_from(start)
            .take_while(|t| *t - start <= horizon)
            .map(|t| t.timestamp())
            .collect();
        let gaps = || firings.windows(2).map(|w| w[1].abs_diff(w[0]));
        Some(Period {
            min_s: gaps().min()?,
            max_s: gaps().max()?,
        })
    }
}

fn time(unix_s: u64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(i64::try_from(unix_s).ok()?, 0)
}

/// The parser's message in our style: no capital, no full stop.
fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-01 00:00:00 UTC, a Thursday.
    const NEW_YEAR_S: u64 = 1_767_225_600;

    #[test]
    fn an_expression_has_six_fields_in_the_plugins_syntax() {
        for (expression, fits) in [
            ("*/20 * * * * *", true),
            ("0 * * * * *", true),
            ("5,25,45 * * * * *", true),
            ("0 0 9 * * MON-FRI", true),
            ("0 0 0 L * *", true),
            ("0 0 0 ? * *", true),
            ("0 0 0 * * 5#2", true),
            ("10/20 * * * * *", true),
            ("* * * * *", false),
            ("0 * * * * * *", false),
            ("@hourly", false),
            ("", false),
            ("60 * * * * *", false),
            ("* 60 * * * *", false),
            ("* * 24 * * *", false),
            ("*/0 * * * * *", false),
            ("a * * * * *", false),
            ("0 0 0 32 * *", false),
            ("0 0 0 * 13 *", false),
        ] {
            assert_eq!(Schedule::parse(expression).is_ok(), fits, "{expression:?}");
        }
    }

    #[test]
    fn the_next_firing_is_after_never_at() {
        for (expression, after, want) in [
            ("*/20 * * * * *", 0, Some(20)),
            ("*/20 * * * * *", 19, Some(20)),
            ("*/20 * * * * *", 20, Some(40)),
            ("*/20 * * * * *", 59, Some(60)),
            ("5-59/20 * * * * *", 45, Some(65)),
            ("0 */5 * * * *", 1, Some(300)),
            // The first Monday that is the first of a month: both, not either.
            ("0 0 0 1 * MON", NEW_YEAR_S, Some(NEW_YEAR_S + 151 * 86_400)),
            ("0 0 0 30 2 *", NEW_YEAR_S, None),
            ("* * * * * *", u64::MAX, None),
        ] {
            let schedule = Schedule::parse(expression).unwrap();
            assert_eq!(
                schedule.next_after(after),
                want,
                "{expression:?} after {after}"
            );
        }
    }

    #[test]
    fn the_period_is_the_smallest_and_the_largest_gap() {
        for (expression, want) in [
            ("* * * * * *", Some((1, 1))),
            ("*/20 * * * * *", Some((20, 20))),
            ("5,25,45 * * * * *", Some((20, 20))),
            ("7/20 * * * * *", Some((20, 20))),
            ("*/25 * * * * *", Some((10, 25))),
            ("0 */7 * * * *", Some((240, 420))),
            ("0 30 * * * *", Some((3600, 3600))),
            ("0 */5 * * * *", Some((300, 300))),
            ("0 0 9-17 * * *", Some((3600, 57_600))),
            ("0 0 0 * * *", Some((86_400, 86_400))),
            ("59 59 23 * * *", Some((86_400, 86_400))),
            // A day is left out.
            ("0 0 0 15 * *", None),
        ] {
            let period = Schedule::parse(expression).unwrap().period();
            assert_eq!(period.map(|p| (p.min_s, p.max_s)), want, "{expression:?}");
        }
    }

    #[test]
    fn a_schedule_is_daily_when_it_leaves_no_day_out() {
        for (days, want) in [
            ("* * *", true),
            ("? * ?", true),
            ("*/1 */1 */1", true),
            ("1-31 1-12 0-6", true),
            ("1-15,16-31 JAN-DEC 1-7", true),
            ("* * MON-FRI", false),
            ("* * MON-SAT", false),
            ("1 * *", false),
            ("1-30 * *", false),
            ("*/2 * *", false),
            ("L * *", false),
            ("* 2-12 *", false),
            ("* * 5#2", false),
        ] {
            let schedule = Schedule::parse(&format!("0,20,40 * * {days}")).unwrap();
            assert_eq!(schedule.is_daily(), want, "{days:?}");
        }
    }
}
