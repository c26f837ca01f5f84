//! What the receivers hold in the end, and whether they were left alone when they asked.

use std::collections::BTreeSet;

use super::Checker;
use crate::plan::{HOUR, MINUTE, Receiver, SECOND};
use crate::receiver::{firing_at_alertmanager, open_at_pagerduty};

impl Checker<'_> {
    pub(super) fn receivers(&mut self) {
        for channel in self.complete() {
            self.nothing_stays_open(channel);
        }
        for channel in 0..self.plan().channels.len() {
            self.is_left_alone(channel);
        }
    }

    fn nothing_stays_open(&mut self, channel: usize) {
        let taken = self.record.taken;
        match self.plan().channels[channel].name {
            "pagerduty" => {
                for key in open_at_pagerduty(channel, taken) {
                    // Certificates are their own affair.
                    if key.starts_with("inc_") {
                        self.breaks("nothing stays open at PagerDuty", key);
                    }
                }
            }
            "alertmanager" => {
                for (labels, about) in firing_at_alertmanager(channel, taken, self.record.end) {
                    if about.starts_with("inc_") {
                        self.breaks("nothing fires on at Alertmanager", labels);
                    }
                }
            }
            _ => {}
        }
    }

    /// `Retry-After` is obeyed, up to an hour, unless the note of it was lost.
    fn is_left_alone(&mut self, channel: usize) {
        let all = self.record.attempts.iter();
        let all: Vec<_> = all.filter(|a| a.channel == channel).collect();
        let disturbed: BTreeSet<u64> = self.record.disturbed.iter().copied().collect();
        let mut broken = Vec::new();
        for pair in all.windows(2) {
            let Receiver::RetryAfter(seconds) = pair[0].answer else {
                continue;
            };
            let (asked, next) = (pair[0].at, pair[1].at);
            let until = asked + (seconds * SECOND).min(HOUR);
            let meanwhile = asked.saturating_sub(MINUTE)..=next.max(asked);
            let noted = disturbed.range(meanwhile).next().is_none();
            if noted && next + 5 * SECOND < until {
                broken.push(format!(
                    "{}: at {asked} for {seconds} s, at {next} again",
                    self.plan().channels[channel].name
                ));
            }
        }
        for what in broken {
            self.breaks("a receiver that asks is left alone", what);
        }
    }
}
