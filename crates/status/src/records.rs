//! What the checks and the alert component have written, read for one answer.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use watchbell_core::alerting::operator;
use watchbell_core::history::{self, DAY_S, HOUR_S, SAMPLES_MAX, Samples, Span};
use watchbell_core::ledger::Ledger;
use watchbell_core::monitor::Monitor;
use watchbell_core::operator::Operator;
use watchbell_core::past::Past;
use watchbell_core::store::{self, Failed, Found, Store};
use watchbell_core::time::UnixMs;

/// Everything but histories, which only some answers need.
pub struct Records {
    /// By check id.
    pub monitors: Vec<Monitor>,
    /// Checks whose records are there and cannot be read.
    pub unreadable: BTreeSet<String>,
    pub ledger: Ledger,
    /// What the alert component keeps, is there, and cannot be read: its keys.
    pub lost: Vec<String>,
    pub past: Past,
    pub operator: Operator,
    pub now: UnixMs,
}

/// One check's.
pub struct History {
    /// Of the last 24 hours; of a check that probes very often only the newest.
    pub samples: Samples,
    /// Read only where the samples do not reach back for a day.
    pub hours: Vec<Span>,
    pub days: Vec<Span>,
}

impl Records {
    /// # Errors
    /// When the store fails. What lies there and cannot be read is told, and no error.
    pub fn read(store: &impl Store) -> Result<Self, Failed> {
        let mut monitors = Vec::new();
        let mut unreadable = BTreeSet::new();
        let keys = store.keys()?;
        for key in &keys {
            let Some(check) = key.strip_prefix(store::MONITORS) else {
                continue;
            };
            match store::look::<Monitor>(store, key)? {
                Found::Record(monitor) => monitors.push(monitor),
                Found::Nothing => {}
                Found::Broken(_) => drop(unreadable.insert(check.to_owned())),
            }
        }
        let mut lost = Vec::new();
        Ok(Self {
            monitors,
            unreadable,
            ledger: kept(store, store::LEDGER, &mut lost)?,
            past: kept(store, store::PAST, &mut lost)?,
            lost,
            operator: operator(store, &keys),
            now: store.now(),
        })
    }

    /// The record of one check alone: most answers about a check need no other.
    ///
    /// # Errors
    /// When the store fails.
    pub fn one(store: &impl Store, check: &str) -> Result<Option<Monitor>, Failed> {
        store::peek(store, &store::monitor_key(check))
    }

    /// Whether a check has a record, readable or not.
    ///
    /// # Errors
    /// When the store fails.
    pub fn holds(store: &impl Store, check: &str) -> Result<bool, Failed> {
        Ok(store.get(&store::monitor_key(check))?.is_some())
    }

    /// Whether that key of the alert component's is there and cannot be read.
    pub fn loses(&self, key: &str) -> bool {
        self.lost.iter().any(|k| k == key)
    }
}

/// The alert component's record under `key`, or an empty one, and then the key is lost where
/// something lies there.
fn kept<T: Default + DeserializeOwned>(
    store: &impl Store,
    key: &str,
    lost: &mut Vec<String>,
) -> Result<T, Failed> {
    Ok(match store::look(store, key)? {
        Found::Record(record) => record,
        Found::Nothing => T::default(),
        Found::Broken(_) => {
            lost.push(key.to_owned());
            T::default()
        }
    })
}

impl History {
    /// # Errors
    /// When the store fails.
    pub fn read(store: &impl Store, monitor: &Monitor) -> Result<Self, Failed> {
        let check = &monitor.definition.check;
        let samples = history::samples(store, monitor)?;
        let hours = match samples.len() {
            SAMPLES_MAX.. => history::hours(store, check)?,
            _ => Vec::new(),
        };
        Ok(Self {
            samples,
            hours,
            days: history::days(store, check)?,
        })
    }

    /// That time as one span: from the samples, and before them from the hours.
    pub fn between(&self, from_s: u64, to_s: u64, gap_s_max: u64) -> Span {
        let first_s = self.samples.first().map_or(to_s, |s| s.at_s);
        let mut told = self.hours.iter().filter(|h| h.start_s >= from_s).peekable();
        if from_s >= first_s || told.peek().is_none() {
            return Span::of(&self.samples, from_s, to_s, gap_s_max);
        }
        // The hour in which the samples begin is told whole.
        let told: Vec<Span> = told
            .take_while(|h| h.start_s < first_s && h.start_s + HOUR_S <= to_s)
            .copied()
            .collect();
        let told_to_s = told.last().map_or(from_s, |h| h.start_s + HOUR_S);
        let rest = Span::of(&self.samples, told_to_s, to_s, gap_s_max);
        history::sum(from_s, to_s, told.iter().chain([&rest]))
    }

    /// The last so many UTC days, today's beginning the last of them: each from its span, or,
    /// where that is not written yet, from what is finer.
    pub fn days(&self, count: u64, now_s: u64, gap_s_max: u64) -> Vec<Span> {
        let today = now_s / DAY_S;
        let day = |day: u64| {
            let start_s = day * DAY_S;
            let told = self.days.binary_search_by_key(&start_s, |d| d.start_s);
            match told.ok().and_then(|n| self.days.get(n)) {
                Some(span) if day < today => *span,
                _ => self.between(start_s, (start_s + DAY_S).min(now_s), gap_s_max),
            }
        };
        (today.saturating_sub(count - 1)..=today).map(day).collect()
    }
}
