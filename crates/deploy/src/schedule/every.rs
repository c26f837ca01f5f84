//! How often a scheduler calls, and how it says so.

use std::fmt;
use std::time::Duration;

use super::{GITHUB_MIN, MINUTE, Scheduler};

/// A pace that the scheduler keeps evenly: it divides the minute or the hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Every {
    seconds: u64,
}

const HOUR_S: u64 = 3_600;
/// Below, runs of a slow target would follow each other without a pause.
const SYSTEMD_MIN: Duration = Duration::from_secs(5);

impl Every {
    /// # Errors
    /// With what this scheduler could do.
    pub fn of(scheduler: Scheduler, every: Duration) -> Result<Self, &'static str> {
        let min = match scheduler {
            Scheduler::Systemd => SYSTEMD_MIN,
            Scheduler::GithubActions => GITHUB_MIN,
            Scheduler::Akamai | Scheduler::Kubernetes | Scheduler::Crontab => MINUTE,
        };
        let seconds = every.as_secs();
        let even = match seconds {
            _ if every.subsec_nanos() != 0 => false,
            0..60 => seconds != 0 && MINUTE.as_secs().is_multiple_of(seconds),
            60..=HOUR_S => seconds.is_multiple_of(60) && HOUR_S.is_multiple_of(seconds),
            _ => false,
        };
        if even && every >= min {
            return Ok(Self { seconds });
        }
        Err(match scheduler {
            Scheduler::Systemd => {
                "seconds from 5s that divide the minute, or minutes that divide the hour: at most 60m"
            }
            Scheduler::GithubActions => "minutes from 5m that divide the hour: at most 60m",
            _ => "whole minutes that divide the hour, for five fields know no seconds: at most 60m",
        })
    }

    /// Five fields. Not for seconds.
    pub fn cron(self) -> String {
        match self.seconds / 60 {
            0 | 1 => "* * * * *".to_owned(),
            60 => "0 * * * *".to_owned(),
            minutes => format!("*/{minutes} * * * *"),
        }
    }

    /// systemd's OnCalendar.
    pub fn calendar(self) -> String {
        match self.seconds {
            60 => "*:*:00".to_owned(),
            HOUR_S => "*:00:00".to_owned(),
            seconds @ 0..60 => format!("*:*:00/{seconds}"),
            seconds => format!("*:00/{}:00", seconds / 60),
        }
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seconds % 60 {
            0 => write!(f, "{} min", self.seconds / 60),
            _ => write!(f, "{} s", self.seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheduler_keeps_what_divides_the_minute_or_the_hour() {
        use Scheduler::{Akamai, Crontab, GithubActions, Kubernetes, Systemd};
        for (scheduler, every_s, cron, calendar) in [
            (Akamai, 60, "* * * * *", "*:*:00"),
            (Kubernetes, 120, "*/2 * * * *", "*:00/2:00"),
            (Crontab, 1_800, "*/30 * * * *", "*:00/30:00"),
            (Crontab, 3_600, "0 * * * *", "*:00:00"),
            (GithubActions, 300, "*/5 * * * *", "*:00/5:00"),
            (Systemd, 5, "* * * * *", "*:*:00/5"),
            (Systemd, 20, "* * * * *", "*:*:00/20"),
        ] {
            let every = Every::of(scheduler, Duration::from_secs(every_s)).unwrap();
            assert_eq!(
                (every.cron().as_str(), every.calendar().as_str()),
                (cron, calendar)
            );
        }
    }

    #[test]
    fn what_it_cannot_keep_is_refused_with_what_it_can() {
        use Scheduler::{Crontab, GithubActions, Systemd};
        for (scheduler, every, want) in [
            (Crontab, Duration::from_secs(20), "whole minutes"),
            (Crontab, Duration::from_secs(90), "whole minutes"),
            (Crontab, Duration::from_secs(7 * 60), "whole minutes"),
            (Crontab, Duration::from_secs(2 * HOUR_S), "whole minutes"),
            (Crontab, Duration::from_millis(60_500), "whole minutes"),
            (GithubActions, Duration::from_secs(240), "minutes from 5m"),
            (Systemd, Duration::from_secs(4), "seconds from 5s"),
            (Systemd, Duration::from_secs(7), "seconds from 5s"),
            (Systemd, Duration::ZERO, "seconds from 5s"),
        ] {
            let error = Every::of(scheduler, every).unwrap_err();
            assert!(error.contains(want), "{scheduler} {every:?}: {error}");
        }
    }
}
