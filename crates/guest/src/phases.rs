//! How long each step of a probe took, beside what it found: the facts of a report.

use serde_json::{Map, Value};

use crate::Deadline;

/// Facts under way. Times are in whole milliseconds.
pub struct Phases {
    deadline: Deadline,
    left_at_last_end: std::time::Duration,
    facts: Map<String, Value>,
}

impl Phases {
    /// The first phase begins now.
    pub fn begin(deadline: Deadline) -> Self {
        Self {
            deadline,
            left_at_last_end: deadline.remaining(),
            facts: Map::new(),
        }
    }

    /// Ends a phase; the next one begins. Of a name only the first phase is kept.
    pub fn end(&mut self, name: &str) {
        let left = self.deadline.remaining();
        let took = self.left_at_last_end.saturating_sub(left).as_millis();
        self.left_at_last_end = left;
        self.fact(name, u64::try_from(took).unwrap_or(u64::MAX));
    }

    /// Adds what was found, unless something of that name was before.
    pub fn fact(&mut self, name: &str, value: impl Into<Value>) {
        self.facts
            .entry(name.to_owned())
            .or_insert_with(|| value.into());
    }

    /// One phase's time, in ms; 0 for one that has not ended.
    pub fn took_ms(&self, name: &str) -> u64 {
        self.facts.get(name).and_then(Value::as_u64).unwrap_or(0)
    }

    pub fn into_facts(self) -> Value {
        Value::Object(self.facts)
    }
}
