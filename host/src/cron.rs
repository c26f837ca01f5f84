//! The cron trigger: each schedule fires in its second, and no component beside itself.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use watchbell_app::Schedule;

use crate::component::Program;
use crate::engine::Running;
use crate::event;
use crate::say;

/// The longest sleep: a clock that was set, or a machine that slept, is noticed after it.
const SLEEP_MAX: Duration = Duration::from_secs(5);

/// One `[[trigger.cron]]`.
pub struct Trigger {
    pub schedule: Schedule,
    pub program: Arc<Program>,
}

/// Fires the triggers until `stop`. What runs then goes on; `running` counts it.
pub async fn run(triggers: Vec<Trigger>, running: Running, mut stop: watch::Receiver<bool>) {
    let schedules = triggers.iter().map(|t| t.schedule.clone()).collect();
    let mut agenda = Agenda::new(schedules, now().as_secs());
    let busy = Arc::new(Busy::default());
    loop {
        let now = now();
        for index in agenda.due(now.as_secs()) {
            fire(&triggers[index].program, now.as_secs(), &busy, &running);
        }
        let Some(next_unix_s) = agenda.next() else {
            // Nothing will ever fire: wait to be stopped.
            let _ = stop.wait_for(|stopped| *stopped).await;
            return;
        };
        let wait = Duration::from_secs(next_unix_s).saturating_sub(now);
        tokio::select! {
            () = tokio::time::sleep(wait.min(SLEEP_MAX)) => {}
            _ = stop.wait_for(|stopped| *stopped) => return,
        }
    }
}

fn fire(program: &Arc<Program>, timestamp_unix_s: u64, busy: &Arc<Busy>, running: &Running) {
    let id = &program.component.id;
    let Some(turn) = busy.enter(id) else {
        say::debug(&format!(
            "component {id:?}: skipping a firing, the one before it still runs"
        ));
        return;
    };
    let program = program.clone();
    let running = running.enter();
    tokio::spawn(async move {
        let id = &program.component.id;
        match event::run_cron(&program, timestamp_unix_s).await {
            Ok(Ok(())) => {}
            Ok(Err(text)) => say::error(&format!("component {id:?} failed: {text}")),
            Err(error) => say::error(&format!("component {id:?}: {}", one_line(&error))),
        }
        drop((turn, running));
    });
}

/// A trap's message and reason, without the backtrace.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let first = text.lines().next().unwrap_or_default().to_owned();
        // wasmtime puts the backtrace first: it says where, not what.
        if !first.starts_with("error while executing at wasm backtrace") && !parts.contains(&first)
        {
            parts.push(first);
        }
    }
    parts.join(": ")
}

fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// When each schedule fires next. Knows no clock: `now` is told.
struct Agenda {
    schedules: Vec<Schedule>,
    /// The next second of each, the soonest first.
    heap: BinaryHeap<Reverse<(u64, usize)>>,
    last_unix_s: u64,
}

impl Agenda {
    /// A schedule that matches the second of the start fires at once, as on Spin.
    fn new(schedules: Vec<Schedule>, now_unix_s: u64) -> Self {
        let mut agenda = Self {
            schedules,
            heap: BinaryHeap::new(),
            last_unix_s: now_unix_s,
        };
        agenda.plan_all(now_unix_s.saturating_sub(1));
        agenda
    }

    /// The schedules that fire now, once each, however many of their seconds have passed.
    fn due(&mut self, now_unix_s: u64) -> Vec<usize> {
        if now_unix_s < self.last_unix_s {
            // The clock was set back: what was planned lies too far ahead.
            self.plan_all(now_unix_s.saturating_sub(1));
        }
        self.last_unix_s = now_unix_s;
        let mut due = Vec::new();
        while let Some(Reverse((at, index))) = self.heap.peek().copied()
            && at <= now_unix_s
        {
            self.heap.pop();
            due.push(index);
            self.plan(index, now_unix_s);
        }
        due
    }

    fn next(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    fn plan_all(&mut self, after_unix_s: u64) {
        self.heap.clear();
        for index in 0..self.schedules.len() {
            self.plan(index, after_unix_s);
        }
    }

    fn plan(&mut self, index: usize, after_unix_s: u64) {
        if let Some(at) = self.schedules[index].next_after(after_unix_s) {
            self.heap.push(Reverse((at, index)));
        }
    }
}

/// Components that a firing runs in.
#[derive(Default)]
struct Busy(Mutex<HashSet<String>>);

/// A component's turn, until dropped.
struct Turn {
    busy: Arc<Busy>,
    id: String,
}

impl Busy {
    fn enter(self: &Arc<Self>, id: &str) -> Option<Turn> {
        let entered = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.to_owned());
        entered.then(|| Turn {
            busy: self.clone(),
            id: id.to_owned(),
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.busy
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agenda(expressions: &[&str], now: u64) -> Agenda {
        Agenda::new(
            expressions
                .iter()
                .map(|e| Schedule::parse(e).expect(e))
                .collect(),
            now,
        )
    }

    #[test]
    fn each_schedule_fires_in_each_of_its_seconds_and_in_no_other() {
        let mut agenda = agenda(&["*/20 * * * * *", "5/20 * * * * *", "0 * * * * *"], 1);
        let mut fired = vec![0; 3];
        for second in 1..=120 {
            for index in agenda.due(second) {
                fired[index] += 1;
            }
        }
        assert_eq!(fired, [6, 6, 2]);
    }

    #[test]
    fn a_schedule_that_matches_the_second_of_the_start_fires_at_once() {
        assert_eq!(agenda(&["*/20 * * * * *"], 40).due(40), [0]);
        assert_eq!(agenda(&["*/20 * * * * *"], 41).due(41), [0; 0]);
    }

    #[test]
    fn one_second_fires_once_however_often_it_is_looked_at() {
        let mut agenda = agenda(&["* * * * * *"], 10);
        assert_eq!(agenda.due(10), [0]);
        assert_eq!(agenda.due(10), [0; 0]);
        assert_eq!(agenda.due(11), [0]);
    }

    #[test]
    fn seconds_missed_while_asleep_fire_once_and_not_each() {
        let mut agenda = agenda(&["*/20 * * * * *"], 1);
        assert_eq!(agenda.due(100_001), [0]);
        assert_eq!(agenda.next(), Some(100_020));
    }

    #[test]
    fn a_clock_set_back_goes_on_firing() {
        let mut agenda = agenda(&["*/20 * * * * *"], 100_000);
        assert_eq!(agenda.due(100_000), [0]);
        assert_eq!(agenda.due(50_001), [0; 0]);
        assert_eq!(agenda.next(), Some(50_020));
        assert_eq!(agenda.due(50_020), [0]);
    }

    #[test]
    fn a_component_has_one_turn_at_a_time() {
        let busy = Arc::new(Busy::default());
        let turn = busy.enter("health");
        assert!(turn.is_some());
        assert!(busy.enter("health").is_none());
        assert!(busy.enter("port").is_some());
        drop(turn);
        assert!(busy.enter("health").is_some());
    }
}
