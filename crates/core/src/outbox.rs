//! Messages on their way: what each channel has of them, and when it gets the next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ledger::NODE;
use crate::notice::{Action, Notice};
use crate::settings::Severity;
use crate::time::UnixMs;

/// Undelivered messages kept, and their size: a store's value is 1 MB. Beyond either the
/// channel with the longest queue gives up its oldest as a dead letter; no other pays for it.
pub const MESSAGES_MAX: usize = 100;
const BYTES_MAX: usize = 400_000;
/// Dead letters kept, and their size; the oldest goes first, and stays counted.
pub const DEAD_MAX: usize = 50;
const DEAD_BYTES_MAX: usize = 150_000;
/// The longest pause between two attempts of one message.
pub const RETRY_MAX: Duration = Duration::from_secs(300);
/// A channel that cannot be reached is left alone for so long at most: its messages would
/// otherwise each find that out, and a run has no time for it.
const REST_MAX: Duration = Duration::from_secs(60);
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
    /// The receiver keeps incidents of its own, and says nothing of an end whose beginning
    /// it has not heard: it gets both, the end so long after the beginning.
    pub keeps_state: Option<Duration>,
    /// Its variables are as they should be; otherwise what is for it waits.
    pub works: bool,
}

impl Terms {
    /// Whether the channel's filter lets it through.
    pub fn accept(&self, notice: &Notice) -> bool {
        notice.test
            || (notice.peak >= self.severity_min
                && (self.services.is_empty()
                    || notice.service == NODE
                    || self.services.contains(&notice.service)))
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
    /// The number of the last message.
    #[serde(default)]
    pub last_number: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// In the order in which they were said; a dead letter keeps its own.
    pub number: u64,
    pub bytes: usize,
    pub notice: Notice,
    /// By channel. `None` before the message was first seen with the channels there are:
    /// one that is configured later gets what is said from then on.
    pub progress: Option<BTreeMap<String, Progress>>,
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
    /// Of the last attempt.
    #[serde(default)]
    pub attempted_at: UnixMs,
    /// Attempts that failed since the last that did not.
    #[serde(default)]
    pub failures: u32,
    pub delivered: u64,
    pub failed: u64,
    pub dead: u64,
    /// Of the last attempt, where it failed.
    pub last_error: Option<String>,
}

/// A message that a channel has refused for good, or had no room for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dead {
    pub number: u64,
    pub bytes: usize,
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
    /// Every channel that something was, or is to be, sent to.
    pub fn names(&self) -> BTreeSet<&str> {
        let waiting = self.messages.iter().filter_map(|m| m.progress.as_ref());
        let waiting = waiting.flat_map(|p| p.keys());
        let dead = self.dead.iter().map(|d| &d.channel);
        let all = self.channels.keys().chain(waiting).chain(dead);
        all.map(String::as_str).collect()
    }

    /// Once, whoever says it again.
    pub fn push(&mut self, notice: Notice) {
        if self.messages.iter().any(|m| m.notice.id == notice.id) {
            return;
        }
        self.last_number += 1;
        self.messages.push(Message {
            number: self.last_number,
            bytes: serde_json::to_vec(&notice).map_or(0, |b| b.len()),
            notice,
            progress: None,
        });
    }

    /// What each channel need not get is settled: what its filter leaves out, and what a
    /// later *resolved* of the same incident tells as well.
    pub fn sort(&mut self, terms: &[Terms], now: UnixMs) {
        for message in self.messages.iter_mut().filter(|m| m.progress.is_none()) {
            let of = |t: &Terms| {
                let progress = Progress {
                    done: !t.accept(&message.notice),
                    ..Progress::default()
                };
                (t.channel.to_owned(), progress)
            };
            message.progress = Some(terms.iter().map(of).collect());
        }
        for t in terms {
            let mut over: Vec<String> = Vec::new();
            for message in self.messages.iter_mut().rev() {
                let key = message.notice.dedup_key().into_owned();
                let action = message.notice.action();
                let begins = t.keeps_state.is_some() && message.notice.begins();
                let superseded = action != Action::Note && !begins && over.contains(&key);
                if action == Action::Resolve {
                    over.push(key);
                }
                if let Some(progress) = message.at(t.channel) {
                    progress.done |= superseded;
                }
            }
        }
        self.forget_done(terms);
        self.make_room(terms, now);
    }

    fn forget_done(&mut self, terms: &[Terms]) {
        self.messages
            .retain(|m| m.progress.is_none() || terms.iter().any(|t| m.waits_for(t.channel)));
    }

    fn make_room(&mut self, terms: &[Terms], now: UnixMs) {
        let crowded = |all: &[Message]| {
            all.len() > MESSAGES_MAX || all.iter().map(|m| m.bytes).sum::<usize>() > BYTES_MAX
        };
        // One alone is never given up, however large.
        while self.messages.len() > 1 && crowded(&self.messages) {
            let queue = |t: &&Terms| {
                let waiting = self.messages.iter().filter(|m| m.waits_for(t.channel));
                waiting.count()
            };
            let Some(t) = terms.iter().max_by_key(queue) else {
                return;
            };
            let Some(oldest) = self.messages.iter().find(|m| m.waits_for(t.channel)) else {
                return;
            };
            let id = oldest.notice.id.clone();
            let known = self.channels.get(t.channel);
            let last_error = known.and_then(|c| c.last_error.clone());
            let why = format!(
                "given up for newer ones; {}",
                last_error.unwrap_or_else(|| "not tried yet".to_owned())
            );
            if let Some(progress) = self.progress(&id, t.channel) {
                progress.done = true;
            }
            self.bury(&id, t.channel, &why, now);
            self.forget_done(terms);
        }
    }

    /// The message to send now, and the channel. Of one incident a channel gets the first
    /// first. Channels that work go before those that do not, and among those the one that
    /// was tried longest ago. A clock that went back holds none forever.
    pub fn next(&self, terms: &[Terms], now: UnixMs) -> Option<(Notice, &'static str)> {
        let of = |t: &Terms| {
            let state = self.channels.get(t.channel);
            let rank = state.map_or((false, UnixMs(0)), |c| (c.failures > 0, c.attempted_at));
            Some((rank, self.first_due(t, now)?, t.channel))
        };
        let ready = terms.iter().filter(|t| self.ready(t, now));
        let (_, message, channel) = ready.filter_map(of).min_by_key(|(rank, _, _)| *rank)?;
        Some((message.notice.clone(), channel))
    }

    /// Of the messages whose turn and time it is, the one that has waited longest for it.
    fn first_due(&self, terms: &Terms, now: UnixMs) -> Option<&Message> {
        let mut held = Vec::new();
        let waiting = self.messages.iter().filter_map(|m| {
            let progress = m.progress.as_ref()?.get(terms.channel)?;
            (!progress.done).then_some((m, progress.next_attempt_at))
        });
        let due = waiting.filter(|(m, at)| {
            let key = m.notice.dedup_key();
            let first = !held.contains(&key);
            held.push(key);
            first && past(*at, now, RETRY_MAX + RETRY_MAX)
        });
        due.min_by_key(|(_, at)| *at).map(|(m, _)| m)
    }

    fn ready(&self, terms: &Terms, now: UnixMs) -> bool {
        if !terms.works {
            return false;
        }
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
        channel.failures = 0;
        channel.last_error = None;
        channel.rest_until = UnixMs(0);
        if let Some(progress) = self.progress(id, terms.channel) {
            progress.done = true;
        }
        self.let_it_be_heard(id, terms, now);
    }

    /// What follows a beginning waits until the receiver has told of it.
    fn let_it_be_heard(&mut self, id: &str, terms: &Terms, now: UnixMs) {
        let told = self.messages.iter().find(|m| m.notice.id == id);
        let (Some(hold), Some(told)) = (terms.keeps_state, told) else {
            return;
        };
        if !told.notice.begins() {
            return;
        }
        let key = told.notice.dedup_key().into_owned();
        for message in &mut self.messages {
            if message.notice.dedup_key() != key {
                continue;
            }
            if let Some(progress) = message.at(terms.channel) {
                progress.next_attempt_at = progress.next_attempt_at.max(now.plus(hold));
            }
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
        channel.failures = channel.failures.saturating_add(1);
        channel.last_error = Some(failure.why.clone());
        let failures = channel.failures;
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
            (None, How::Unreached) => self::pause(id, failures, retry_interval).min(REST_MAX),
            (None, _) => Duration::ZERO,
        };
        let channel = self.channels.entry(terms.channel.to_owned()).or_default();
        channel.rest_until = now.plus(rest);
        if dies {
            self.bury(id, terms.channel, &failure.why, now);
            return None;
        }
        Some(pause)
    }

    fn bury(&mut self, id: &str, channel: &str, error: &str, now: UnixMs) {
        let state = self.channels.entry(channel.to_owned()).or_default();
        state.dead += 1;
        let Some(message) = self.messages.iter().find(|m| m.notice.id == id) else {
            return;
        };
        self.dead.push(Dead {
            number: message.number,
            bytes: message.bytes,
            channel: channel.to_owned(),
            at: now,
            error: error.to_owned(),
            notice: message.notice.clone(),
        });
        let crowded = |all: &[Dead]| {
            all.len() > DEAD_MAX || all.iter().map(|d| d.bytes).sum::<usize>() > DEAD_BYTES_MAX
        };
        while crowded(&self.dead) {
            self.dead.remove(0);
        }
    }

    /// Dead letters are tried anew under their ids, each at its own channel, where that was
    /// asked for since the last time. What an incident was before it was over is not told
    /// any more: its end has been, or is among them. `open` are the ids of what is open.
    pub fn revive(&mut self, asked_at: UnixMs, open: &BTreeSet<String>) {
        if asked_at <= self.revived_at {
            return;
        }
        self.revived_at = asked_at;
        for letter in std::mem::take(&mut self.dead) {
            let goes_on = matches!(
                letter.notice.action(),
                Action::Trigger | Action::Acknowledge
            );
            if goes_on && !letter.notice.test && !open.contains(&*letter.notice.dedup_key()) {
                continue;
            }
            let anew = (letter.channel, Progress::default());
            let known = self.messages.iter_mut().find(|m| m.number == letter.number);
            if let Some(Message {
                progress: Some(progress),
                ..
            }) = known
            {
                progress.insert(anew.0, anew.1);
                continue;
            }
            let message = Message {
                number: letter.number,
                bytes: letter.bytes,
                notice: letter.notice,
                progress: Some([anew].into()),
            };
            let at = self.messages.partition_point(|m| m.number < message.number);
            self.messages.insert(at, message);
        }
    }

    fn attempted(&mut self, terms: &Terms, now: UnixMs) -> &mut Channel {
        let channel = self.channels.entry(terms.channel.to_owned()).or_default();
        let from = match channel.paced_until.since(now) > Duration::from_secs(120) {
            true => now,
            false => channel.paced_until.max(now),
        };
        channel.paced_until = from.plus(pace(terms));
        channel.attempted_at = now;
        channel
    }

    fn progress(&mut self, id: &str, channel: &str) -> Option<&mut Progress> {
        let message = self.messages.iter_mut().find(|m| m.notice.id == id)?;
        message.at(channel)
    }
}

impl Message {
    fn at(&mut self, channel: &str) -> Option<&mut Progress> {
        self.progress.as_mut()?.get_mut(channel)
    }

    pub fn waits_for(&self, channel: &str) -> bool {
        let progress = self.progress.as_ref().and_then(|p| p.get(channel));
        progress.is_some_and(|p| !p.done)
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
