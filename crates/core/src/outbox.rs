//! Messages on their way: what each channel has of them, and when it gets the next.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::notice::{Action, Notice};
use crate::settings::Severity;
use crate::time::UnixMs;

/// Undelivered messages kept; beyond it nothing new is said, and is said later. About 2 KB
/// each: below a store's 1 MB.
pub const MESSAGES_MAX: usize = 100;
/// Dead letters kept; the oldest goes first, and stays counted.
pub const DEAD_MAX: usize = 50;
/// The longest pause between two attempts of one message.
pub const RETRY_MAX: Duration = Duration::from_secs(300);
/// A channel that cannot be reached is left alone for so long at most: its messages would
/// otherwise each find that out, and a run has no time for it.
const REST_MAX: Duration = Duration::from_secs(30);
/// A receiver that asks for a longer pause (`Retry-After`) gets this one: a pager must not
/// be silenced by a mistake in a header.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// What decides whether, and how fast, a channel gets a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// `webhook`, `slack`, …
    pub channel: &'static str,
    pub severity_min: Severity,
    /// Every service, when empty.
    pub services: Vec<String>,
    /// Refusals for good (4xx) before a message becomes a dead letter.
    pub refusals_max: u32,
    /// Messages a minute that the receiver takes; as many may go at once.
    pub per_minute: u32,
}

impl Terms {
    fn accept(&self, notice: &Notice) -> bool {
        notice.test
            || (notice.peak >= self.severity_min
                && (self.services.is_empty() || self.services.contains(&notice.service)))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outbox {
    /// Oldest first.
    pub messages: Vec<Message>,
    pub channels: BTreeMap<String, Channel>,
    pub dead: Vec<Dead>,
    /// When dead letters were last tried anew.
    #[serde(default)]
    pub revived_at: UnixMs,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub notice: Notice,
    /// By channel; one that is not here has not looked at the message yet.
    pub progress: BTreeMap<String, Progress>,
}

/// How far one message is at one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Delivered, superseded, refused for good, or not for this channel.
    pub done: bool,
    /// Attempts that failed.
    pub attempts: u32,
    /// Those of them that the receiver refused for good.
    pub refusals: u32,
    pub next_attempt_at: UnixMs,
}

/// A channel's own state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// No attempt before.
    pub rest_until: UnixMs,
    /// The theoretical arrival time of the rate limit (GCRA).
    pub paced_until: UnixMs,
    pub delivered: u64,
    pub failed: u64,
    pub dead: u64,
    /// Of the last attempt, where it failed.
    pub last_error: Option<String>,
}

/// A message that a channel has refused for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dead {
    pub channel: String,
    pub at: UnixMs,
    pub error: String,
    pub notice: Notice,
}

/// How an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotTaken {
    pub how: How,
    /// For people; no secret.
    pub why: String,
    /// How long the receiver asks to be left alone.
    pub retry_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The receiver refuses this message, and will again (a 4xx that no time heals).
    Refused,
    /// Overloaded or broken: as good a time as any to try again later.
    ForNow,
    /// Not reached: no other message would be.
    Unreached,
}

impl How {
    /// What an answer that is no 2xx means (RFC 9110, section 15.5).
    pub fn by_status(status: u16) -> Self {
        match status {
            // Timeout, Too Early, Too Many Requests: the same message may pass later.
            408 | 425 | 429 => How::ForNow,
            400..500 => How::Refused,
            _ => How::ForNow,
        }
    }
}

impl Outbox {
    pub fn full(&self) -> bool {
        self.messages.len() >= MESSAGES_MAX
    }

    /// Once, whoever says it again.
    pub fn push(&mut self, notice: Notice) {
        if self.messages.iter().all(|m| m.notice.id != notice.id) {
            self.messages.push(Message {
                notice,
                progress: BTreeMap::new(),
            });
        }
    }

    /// What each channel need not get is settled: what its filter leaves out, and what a
    /// later *resolved* of the same incident tells as well.
    pub fn sort(&mut self, terms: &[Terms]) {
        for t in terms {
            let mut over: Vec<String> = Vec::new();
            for message in self.messages.iter_mut().rev() {
                let key = message.notice.dedup_key().to_owned();
                let action = message.notice.action();
                let wanted =
                    t.accept(&message.notice) && (action == Action::Note || !over.contains(&key));
                let progress = message.progress.entry(t.channel.to_owned()).or_default();
                progress.done |= !wanted;
                if action == Action::Resolve {
                    over.push(key);
                }
            }
        }
        self.messages.retain(|m| {
            terms
                .iter()
                .any(|t| m.progress.get(t.channel).is_none_or(|p| !p.done))
        });
    }

    /// The message to send now, and the channel. Of one incident a channel gets the first
    /// first; of those whose time has come the one that has waited longest for it. A clock
    /// that went back holds none forever.
    pub fn next(&self, terms: &[Terms], now: UnixMs) -> Option<(Notice, &'static str)> {
        let ready = terms.iter().filter(|t| self.ready(t, now));
        let firsts = ready.flat_map(|t| {
            let mut held: Vec<&str> = Vec::new();
            self.messages.iter().filter_map(move |m| {
                let progress = m.progress.get(t.channel)?;
                if progress.done {
                    return None;
                }
                let key = m.notice.dedup_key();
                let first = !held.contains(&key);
                held.push(key);
                let due = past(progress.next_attempt_at, now, RETRY_MAX + RETRY_MAX);
                (first && due).then_some((progress.next_attempt_at, &m.notice, t.channel))
            })
        });
        let (_, notice, channel) = firsts.min_by_key(|(at, _, _)| *at)?;
        Some((notice.clone(), channel))
    }

    fn ready(&self, terms: &Terms, now: UnixMs) -> bool {
        let Some(channel) = self.channels.get(terms.channel) else {
            return true;
        };
        let burst = Duration::from_secs(60);
        let paced = now.plus(burst) >= channel.paced_until.plus(pace(terms))
            || channel.paced_until.since(now) > burst + burst;
        past(channel.rest_until, now, RETRY_AFTER_MAX) && paced
    }

    /// The receiver has it (a 2xx).
    pub fn delivered(&mut self, id: &str, terms: &Terms, now: UnixMs) {
        let channel = self.attempted(terms, now);
        channel.delivered += 1;
        channel.last_error = None;
        channel.rest_until = UnixMs(0);
        if let Some(progress) = self.progress(id, terms.channel) {
            progress.done = true;
        }
    }

    /// The attempt failed: the next one waits, longer each time, or there is none. Gives
    /// the pause.
    pub fn failed(
        &mut self,
        id: &str,
        terms: &Terms,
        failure: &NotTaken,
        retry_interval: Duration,
        now: UnixMs,
    ) -> Option<Duration> {
        let channel = self.attempted(terms, now);
        channel.failed += 1;
        channel.last_error = Some(failure.why.clone());
        let progress = self.progress(id, terms.channel)?;
        progress.attempts = progress.attempts.saturating_add(1);
        if failure.how == How::Refused {
            progress.refusals = progress.refusals.saturating_add(1);
        }
        let dies = progress.refusals >= terms.refusals_max;
        let mut pause = pause(id, progress.attempts, retry_interval);
        if let Some(asked) = failure.retry_after {
            pause = pause.max(asked.min(RETRY_AFTER_MAX));
        }
        progress.next_attempt_at = now.plus(pause);
        progress.done |= dies;
        let rest = match (failure.retry_after, failure.how) {
            (Some(_), _) => pause,
            (None, How::Unreached) => pause.min(REST_MAX),
            (None, _) => Duration::ZERO,
        };
        let channel = self.channels.entry(terms.channel.to_owned()).or_default();
        channel.rest_until = now.plus(rest);
        if dies {
            channel.dead += 1;
            self.bury(id, terms.channel, &failure.why, now);
            return None;
        }
        Some(pause)
    }

    fn bury(&mut self, id: &str, channel: &str, error: &str, now: UnixMs) {
        let Some(message) = self.messages.iter().find(|m| m.notice.id == id) else {
            return;
        };
        self.dead.push(Dead {
            channel: channel.to_owned(),
            at: now,
            error: error.to_owned(),
            notice: message.notice.clone(),
        });
        if self.dead.len() > DEAD_MAX {
            self.dead.remove(0);
        }
    }

    /// Dead letters are tried anew, under their ids, where that was asked for since the last
    /// time.
    pub fn revive(&mut self, asked_at: UnixMs) {
        if asked_at <= self.revived_at {
            return;
        }
        self.revived_at = asked_at;
        for letter in std::mem::take(&mut self.dead) {
            let id = letter.notice.id.clone();
            self.push(letter.notice);
            let message = self.messages.iter_mut().find(|m| m.notice.id == id);
            if let Some(message) = message {
                message.progress.insert(letter.channel, Progress::default());
            }
        }
    }

    fn attempted(&mut self, terms: &Terms, now: UnixMs) -> &mut Channel {
        let channel = self.channels.entry(terms.channel.to_owned()).or_default();
        let from = match channel.paced_until.since(now) > Duration::from_secs(120) {
            true => now,
            false => channel.paced_until.max(now),
        };
        channel.paced_until = from.plus(pace(terms));
        channel
    }

    fn progress(&mut self, id: &str, channel: &str) -> Option<&mut Progress> {
        let message = self.messages.iter_mut().find(|m| m.notice.id == id)?;
        message.progress.get_mut(channel)
    }
}

fn pace(terms: &Terms) -> Duration {
    Duration::from_secs(60) / terms.per_minute.max(1)
}

/// Whether that moment is past, or so far ahead that the clock must have gone back.
fn past(at: UnixMs, now: UnixMs, ahead_max: Duration) -> bool {
    at <= now || at.since(now) > ahead_max
}

/// Doubles from `retry_interval` up to [`RETRY_MAX`]; up to a quarter less, by the
/// id, so that many messages do not come back at one moment.
fn pause(id: &str, attempts: u32, retry_interval: Duration) -> Duration {
    let doubled = retry_interval.saturating_mul(
        1_u32
            .checked_shl(attempts.saturating_sub(1))
            .unwrap_or(u32::MAX),
    );
    let capped = doubled.min(RETRY_MAX.max(retry_interval));
    let spread = id.bytes().fold(attempts, |h, b| {
        h.wrapping_mul(31).wrapping_add(u32::from(b))
    }) % 256;
    capped - capped * spread / 1024
}
