//! One story, from its first firing to the calm after it.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use oorandom::Rand64;
use watchbell_core::alerting::Called;
use watchbell_core::ledger::Ledger;
use watchbell_core::operator::{Acknowledgement, Hold, Window};
use watchbell_core::record;
use watchbell_core::store;
use watchbell_core::time::UnixMs;

use crate::checker::{self, Probe, Violation};
use crate::node::{self, SWEEP_BUSY, SWEEP_IDLE, alert, fire, settings};
use crate::plan::{DAY, MINUTE, Plan, SECOND, START, any, below};
use crate::world::{Node, Process};

/// What was played.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub monitor_days: f64,
    pub probes: u64,
    pub runs: u64,
    pub deaths: u64,
    pub overlaps: u64,
    pub deliveries: u64,
    pub repeated: u64,
    pub incidents: u64,
}

impl Figures {
    pub fn add(&mut self, other: &Figures) {
        self.monitor_days += other.monitor_days;
        self.probes += other.probes;
        self.runs += other.runs;
        self.deaths += other.deaths;
        self.overlaps += other.overlaps;
        self.deliveries += other.deliveries;
        self.repeated += other.repeated;
        self.incidents += other.incidents;
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.0} monitor-days, {} probes, {} runs of the alert component, {} deaths, {} overlaps, {} incidents, {} deliveries of which {} repeated",
            self.monitor_days,
            self.probes,
            self.runs,
            self.deaths,
            self.overlaps,
            self.incidents,
            self.deliveries,
            self.repeated
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Fire(usize),
    Sweep,
    PowerCut,
    Operator(usize),
}

/// Of a hundred runs so many die on the way, and so many of the alert component have another
/// beside them: more where something is up, for elsewhere it matters less.
const DIES: [u64; 2] = [1, 15];
const BESIDE: [u64; 2] = [1, 30];
/// Of a hundred deaths so many lose the last write as well.
const LOSES: u64 = 50;
const RING_LOST: u64 = 10;
/// After the faults, until everything must have settled: longer than the longest pause.
const CALM: u64 = 2 * DAY;

struct Story<'a> {
    plan: &'a Plan,
    node: &'a Node,
    queue: BinaryHeap<Reverse<(u64, Event)>>,
    probes: Vec<Probe>,
    figures: RefCell<Figures>,
    runs: RefCell<u64>,
    /// When each next comes: one that is brought forward leaves its old entry behind.
    next: BTreeMap<Event, u64>,
    busy: bool,
}

/// Plays the story of a seed; gives the rules that it broke.
pub fn play(seed: u64) -> (Figures, Vec<Violation>) {
    let mut random = Rand64::new(u128::from(seed));
    let plan = Plan::draw(&mut random);
    let node = Node::new(random, START);
    let mut story = Story {
        plan: &plan,
        node: &node,
        queue: BinaryHeap::new(),
        probes: Vec::new(),
        figures: RefCell::default(),
        runs: RefCell::new(0),
        next: BTreeMap::new(),
        busy: false,
    };
    for n in 0..plan.checks.len() {
        story.at(START + 4 * SECOND * n as u64, Event::Fire(n));
    }
    story.at(START + SWEEP_BUSY, Event::Sweep);
    for cut in &plan.power_cuts {
        story.at(*cut, Event::PowerCut);
    }
    for (n, (_, _, span)) in plan.windows.iter().enumerate() {
        story.at(span.from, Event::Operator(n));
    }
    story.run_until(plan.end);
    node.calm.set(true);
    story.run_until(plan.end + CALM);
    story.resend();
    story.run_until(plan.end + CALM + DAY);
    let mut figures = *story.figures.borrow();
    let days = (plan.end + CALM + DAY - START) as f64 / DAY as f64;
    figures.monitor_days = days * plan.checks.len() as f64;
    let taken = node.taken.borrow();
    let ids: std::collections::BTreeSet<&str> = taken.iter().map(|d| d.id.as_str()).collect();
    figures.deliveries = taken.len() as u64;
    figures.repeated = (taken.len() - ids.len()) as u64;
    figures.incidents = checker::incidents(&taken);
    let violations = checker::check(&plan, &story.probes, &taken, &node.keys.borrow());
    (figures, violations)
}

impl Story<'_> {
    fn at(&mut self, at: u64, event: Event) {
        if let Event::Fire(_) | Event::Sweep = event {
            if self.next.get(&event).is_some_and(|known| *known <= at) {
                return;
            }
            self.next.insert(event, at);
        }
        self.queue.push(Reverse((at, event)));
    }

    fn run_until(&mut self, end: u64) {
        while let Some(Reverse((at, event))) = self.queue.peek().copied() {
            if at >= end {
                return;
            }
            self.queue.pop();
            if let Event::Fire(_) | Event::Sweep = event {
                if self.next.get(&event) != Some(&at) {
                    continue;
                }
                self.next.remove(&event);
            }
            // A run before may have taken longer than the time to this one; and now and then
            // the clock goes back.
            let back = !self.node.calm.get() && self.node.chance(1) && self.node.chance(10);
            let now = if back { at - 3 * SECOND } else { at };
            self.node.now.set(now);
            let asleep = any(&self.plan.asleep, at) && !self.node.calm.get();
            match event {
                Event::Fire(n) => {
                    if !asleep {
                        self.fire(n);
                    }
                    self.next_firing(n, at);
                }
                Event::Sweep => {
                    if !asleep {
                        self.alert(Called::Swept);
                        if self.node.chance(5) {
                            self.acknowledge();
                        }
                    }
                    let pause = if self.busy { SWEEP_BUSY } else { SWEEP_IDLE };
                    self.at(at + pause, Event::Sweep);
                }
                Event::PowerCut => self.node.lose_last_write(),
                Event::Operator(n) => self.open_window(n),
            }
        }
    }

    /// Every 20 s while something is up; otherwise what would rest is left out.
    fn next_firing(&mut self, n: usize, at: u64) {
        let check = &self.plan.checks[n];
        let jitter = below(&mut self.node.random.borrow_mut(), 2 * SECOND);
        let late = if self.node.chance(2) { 40 * SECOND } else { 0 };
        let pause = if self.busy {
            20 * SECOND
        } else {
            check.interval_ms.min(5 * MINUTE)
        };
        self.at(at + pause + jitter + late, Event::Fire(n));
    }

    fn fire(&mut self, n: usize) {
        let check = &self.plan.checks[n];
        let calm = self.node.calm.get();
        let process = Process::new(self.node, self.plan);
        if !calm && self.node.chance(DIES[usize::from(self.busy)]) {
            let lives = below(&mut self.node.random.borrow_mut(), 12);
            process.lives.set(Some(lives as u32));
        }
        let at = self.node.now.get();
        let cut_off = any(&self.plan.cut_off, at) && !calm;
        let fired = fire(&process, check, cut_off);
        self.buried(process.dead());
        let Ok(fired) = fired else {
            self.probes.push(Probe {
                check: n,
                at,
                failed: None,
            });
            return;
        };
        if let Some(failed) = fired.counted {
            self.figures.borrow_mut().probes += 1;
            self.probes.push(Probe {
                check: n,
                at,
                failed: Some(failed),
            });
        }
        if fired.rings && (calm || !self.node.chance(RING_LOST)) {
            self.alert(Called::Rung);
        }
    }

    fn alert(&mut self, called: Called) {
        let calm = self.node.calm.get();
        let settings = settings();
        let run = || {
            *self.runs.borrow_mut() += 1;
            *self.runs.borrow()
        };
        let (number, other) = (run(), run());
        let process = Process::new(self.node, self.plan);
        let draw = |bound| below(&mut self.node.random.borrow_mut(), bound);
        let matters = usize::from(self.busy || called == Called::Rung);
        if !calm && draw(100) < DIES[matters] {
            process.lives.set(Some(draw(40) as u32));
        }
        if !calm && draw(100) < BESIDE[matters] {
            let calls = draw(40) as u32;
            let (node, plan, figures) = (self.node, self.plan, &self.figures);
            let beside = move || {
                figures.borrow_mut().overlaps += 1;
                let process = Process::new(node, plan);
                alert(&process, &node::settings(), Called::Rung, other);
            };
            *process.beside.borrow_mut() = Some((calls, Box::new(beside)));
        }
        alert(&process, &settings, called, number);
        let dead = process.dead();
        drop(process);
        self.figures.borrow_mut().runs += 1;
        self.buried(dead);
        self.look_round();
    }

    fn buried(&self, dead: bool) {
        if dead {
            self.figures.borrow_mut().deaths += 1;
            if self.node.chance(LOSES) {
                self.node.lose_last_write();
            }
        }
    }

    /// Whether something is up; then every check fires at its true pace.
    fn look_round(&mut self) {
        let was = self.busy;
        let ledger = self.ledger().unwrap_or_default();
        let accounts = ledger.services.values().chain([&ledger.node]);
        self.busy = !ledger.outbox.messages.is_empty()
            || accounts.into_iter().any(|a| {
                a.service.open.is_some()
                    || !a.service.ended.is_empty()
                    || a.change.is_some_and(|c| !c.settled)
            });
        if self.busy && !was {
            let now = self.node.now.get();
            for n in 0..self.plan.checks.len() {
                let soon = now + 4 * SECOND * (1 + n as u64 % 5);
                self.at(soon, Event::Fire(n));
            }
            self.at(now + SWEEP_BUSY, Event::Sweep);
        }
    }

    fn ledger(&self) -> Option<Ledger> {
        let keys = self.node.keys.borrow();
        record::decode(keys.get(store::LEDGER)?).ok()
    }

    fn open_window(&self, n: usize) {
        let (service, maintenance, span) = &self.plan.windows[n];
        let window = Window {
            service: service.clone(),
            from: UnixMs(span.from),
            until: UnixMs(span.to),
            by: "an operator".into(),
            comment: String::new(),
            hold: if *maintenance {
                Hold::Maintenance
            } else {
                Hold::Silence
            },
        };
        let key = format!("{}{n}", store::WINDOWS);
        let bytes = record::encode(&window).unwrap_or_default();
        self.node.keys.borrow_mut().insert(key, bytes);
    }

    fn acknowledge(&self) {
        let Some(ledger) = self.ledger() else { return };
        let open = ledger
            .services
            .values()
            .filter_map(|a| a.service.open.as_ref());
        if let Some(incident) = open.into_iter().find(|i| i.said.is_some()) {
            let acknowledgement = Acknowledgement {
                at: UnixMs(self.node.now.get()),
                by: "an operator".into(),
                comment: String::new(),
            };
            let key = format!("{}{}", store::ACKNOWLEDGEMENTS, incident.id);
            let bytes = record::encode(&acknowledgement).unwrap_or_default();
            self.node.keys.borrow_mut().insert(key, bytes);
        }
    }

    /// The operator has dead letters sent again.
    fn resend(&mut self) {
        let asked_at = UnixMs(self.node.now.get());
        let bytes = record::encode(&asked_at).unwrap_or_default();
        let key = store::RESEND.to_owned();
        self.node.keys.borrow_mut().insert(key, bytes);
    }
}
