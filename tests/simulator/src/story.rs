//! One story, from its first firing to the calm after it.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use oorandom::Rand64;
use watchbell_core::alerting::Called;
use watchbell_core::ledger::Ledger;
use watchbell_core::operator::{Acknowledgement, Hold, Window};
use watchbell_core::outcome::Status;
use watchbell_core::record;
use watchbell_core::settings::AlertSettings;
use watchbell_core::store;
use watchbell_core::time::UnixMs;

use crate::checker::{self, Record, Violation};
use crate::evidence::{Probe, is_network};
use crate::node::{self, FIRING, FIRING_IDLE, SWEEP_BUSY, SWEEP_IDLE, alert, fire};
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
    /// Opens a window.
    Operator(usize),
    Resend,
    /// A check that was removed is forgotten.
    Forget(usize),
}

/// Of a hundred runs so many die on the way, and so many of the alert component have another
/// beside them: more where something is up, for elsewhere it matters less.
const DIES: [u64; 2] = [1, 15];
const BESIDE: [u64; 2] = [1, 30];
/// Of a hundred probes so many have a run of the alert component in their middle.
const BESIDE_PROBE: u64 = 5;
/// Of a hundred deaths so many lose the last write as well.
const LOSES: u64 = 50;
const RING_LOST: u64 = 10;
/// After the faults, until everything must have settled: longer than the longest pause.
pub const CALM: u64 = 2 * DAY;
/// A message is tried again often for so long, and a check that turned is asked again.
const YOUNG: u64 = 3 * MINUTE;

struct Story<'a> {
    plan: &'a Plan,
    node: &'a Node,
    settings: AlertSettings,
    queue: BinaryHeap<Reverse<(u64, Event)>>,
    probes: Vec<Probe>,
    /// When an operator said that somebody looks after an incident.
    acknowledged: BTreeMap<String, u64>,
    figures: RefCell<Figures>,
    runs: RefCell<u64>,
    /// When each next comes: one that is brought forward leaves its old entry behind.
    next: BTreeMap<Event, u64>,
    busy: bool,
    /// The ledger as it was last looked at, and the last message in it.
    known: Vec<u8>,
    last_message: String,
    /// The last message is young until then; what a check found last, and until when that
    /// it turned is.
    young_until: u64,
    turned: Vec<(bool, u64)>,
}

/// Plays the story of a seed; gives the rules that it broke.
pub fn play(seed: u64) -> (Figures, Vec<Violation>) {
    let mut random = Rand64::new(u128::from(seed));
    let plan = Plan::draw(&mut random);
    let node = Node::new(random, START);
    let mut story = Story {
        plan: &plan,
        node: &node,
        settings: node::settings(&plan),
        queue: BinaryHeap::new(),
        probes: Vec::new(),
        acknowledged: BTreeMap::new(),
        figures: RefCell::default(),
        runs: RefCell::new(0),
        next: BTreeMap::new(),
        busy: false,
        known: Vec::new(),
        last_message: String::new(),
        young_until: 0,
        turned: vec![(false, 0); plan.checks.len()],
    };
    assert!(
        story.settings.mistakes.is_empty(),
        "the plan's variables are accepted"
    );
    story.schedule();
    story.run_until(plan.end);
    node.calm.set(true);
    story.run_until(plan.end + CALM);
    story.resend();
    let end = plan.end + CALM + DAY;
    story.run_until(end);
    let mut figures = *story.figures.borrow();
    figures.monitor_days = (end - START) as f64 / DAY as f64 * plan.checks.len() as f64;
    let taken = node.taken.borrow();
    let ids: BTreeSet<(usize, String)> = taken
        .iter()
        .map(|d| match d.id.as_str() {
            "" => (d.channel, d.body.to_string()),
            id => (d.channel, id.to_owned()),
        })
        .collect();
    figures.deliveries = taken.len() as u64;
    figures.repeated = (taken.len() - ids.len()) as u64;
    let attempts = node.attempts.borrow();
    let disturbed = node.disturbed.borrow();
    let keys = node.keys.borrow();
    let violations = checker::check(&Record {
        plan: &plan,
        probes: &story.probes,
        taken: &taken,
        attempts: &attempts,
        disturbed: &disturbed,
        acknowledged: &story.acknowledged,
        keys: &keys,
        end,
    });
    figures.incidents = checker::incidents(&taken);
    (figures, violations)
}

impl Story<'_> {
    fn schedule(&mut self) {
        for n in 0..self.plan.checks.len() {
            self.at(START + 4 * SECOND * n as u64, Event::Fire(n));
            if let Some((_, forgotten)) = self.plan.checks[n].removed {
                self.at(forgotten, Event::Forget(n));
            }
        }
        self.at(START + SWEEP_BUSY, Event::Sweep);
        for cut in &self.plan.power_cuts {
            self.at(*cut, Event::PowerCut);
        }
        for (n, window) in self.plan.windows.iter().enumerate() {
            if !window.recurring {
                self.at(window.span.from, Event::Operator(n));
            }
        }
        for at in &self.plan.resends {
            self.at(*at, Event::Resend);
        }
    }

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
            self.happen(at, event);
        }
    }

    fn happen(&mut self, at: u64, event: Event) {
        // A run before may have taken longer than the time to this one; and now and then
        // the clock goes back.
        let back = !self.node.calm.get() && self.node.chance(1) && self.node.chance(10);
        let now = if back { at - 3 * SECOND } else { at };
        self.node.now.set(now);
        let asleep = any(&self.plan.asleep, at) && !self.node.calm.get();
        match event {
            Event::Fire(n) if self.plan.checks[n].fires(at) => {
                if !asleep {
                    self.fire(n);
                }
                self.next_firing(n, at);
            }
            Event::Fire(_) => {}
            Event::Sweep => {
                if !asleep {
                    self.alert(Called::Swept);
                    if self.node.chance(1) {
                        self.acknowledge();
                    }
                }
                let pause = if self.busy { SWEEP_BUSY } else { SWEEP_IDLE };
                self.at(at + pause, Event::Sweep);
            }
            Event::PowerCut => self.lose(),
            Event::Operator(n) => self.open_window(n),
            Event::Resend => self.resend(),
            Event::Forget(n) => {
                let key = store::monitor_key(&self.plan.checks[n].id);
                self.node.keys.borrow_mut().remove(&key);
            }
        }
    }

    fn next_firing(&mut self, n: usize, at: u64) {
        let check = &self.plan.checks[n];
        let jitter = below(&mut self.node.random.borrow_mut(), 2 * SECOND);
        let late = if self.node.chance(2) { 40 * SECOND } else { 0 };
        let pause = if self.busy || at < self.turned[n].1 {
            FIRING
        } else {
            check.interval_ms.min(FIRING_IDLE)
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
        if !calm && self.node.chance(BESIDE_PROBE) {
            let calls = below(&mut self.node.random.borrow_mut(), 8);
            let beside = self.beside();
            *process.beside.borrow_mut() = Some((calls as u32, Box::new(beside)));
        }
        let at = self.node.now.get();
        let cut_off = any(&self.plan.cut_off, at) && !calm;
        let mut asked = None;
        let fired = fire(&process, check, cut_off, &mut asked);
        let dead = process.dead();
        drop(process);
        if let Some(outcome) = asked {
            self.figures.borrow_mut().probes += 1;
            let failed = outcome.status == Status::Failed;
            let (before, turned) = &mut self.turned[n];
            if *before != failed {
                (*before, *turned) = (failed, at + YOUNG);
            }
            self.probes.push(Probe {
                check: n,
                at,
                failed,
                network: outcome.kind.is_some_and(|k| is_network(k, check.probe)),
                genuine: failed && !cut_off,
                certain: fired.is_ok(),
                certificate: outcome.certificate.map(|c| (c.sha256, c.not_after_unix_s)),
            });
        }
        self.buried(dead);
        if fired == Ok(true) && (calm || !self.node.chance(RING_LOST)) {
            self.alert(Called::Rung);
        }
    }

    /// Another run of the alert component.
    fn beside(&self) -> impl FnOnce() {
        let number = self.run_number();
        let (node, plan) = (self.node, self.plan);
        let (figures, settings) = (&self.figures, &self.settings);
        move || {
            figures.borrow_mut().overlaps += 1;
            let process = Process::new(node, plan);
            alert(&process, settings, Called::Rung, number);
        }
    }

    fn run_number(&self) -> u64 {
        *self.runs.borrow_mut() += 1;
        *self.runs.borrow()
    }

    fn alert(&mut self, called: Called) {
        let calm = self.node.calm.get();
        let number = self.run_number();
        let process = Process::new(self.node, self.plan);
        let draw = |bound| below(&mut self.node.random.borrow_mut(), bound);
        let matters = usize::from(self.busy || called == Called::Rung);
        if !calm && draw(100) < DIES[matters] {
            process.lives.set(Some(draw(40) as u32));
        }
        if !calm && draw(100) < BESIDE[matters] {
            let calls = draw(40) as u32;
            *process.beside.borrow_mut() = Some((calls, Box::new(self.beside())));
        }
        alert(&process, &self.settings, called, number);
        let dead = process.dead();
        drop(process);
        self.figures.borrow_mut().runs += 1;
        self.buried(dead);
        self.look_round();
    }

    fn buried(&mut self, dead: bool) {
        if dead {
            self.node.disturb();
            self.figures.borrow_mut().deaths += 1;
            if self.node.chance(LOSES) {
                self.lose();
            }
        }
    }

    /// Whose record lost its last write, of that check the last probe may not count.
    fn lose(&mut self) {
        let Some(key) = self.node.lose_last_write() else {
            return;
        };
        let check = key.strip_prefix(store::MONITORS);
        let n = check.and_then(|id| self.plan.checks.iter().position(|c| c.id == id));
        let last = self.probes.iter_mut().rev().find(|p| Some(p.check) == n);
        if let Some(last) = last {
            last.certain = false;
        }
    }

    /// Whether something is up; then every check fires at its true pace.
    fn look_round(&mut self) {
        let now = self.node.now.get();
        let was = self.busy;
        let changed = {
            let keys = self.node.keys.borrow();
            let bytes = keys.get(store::LEDGER).map_or(&[][..], Vec::as_slice);
            let changed = bytes != self.known;
            if changed {
                self.known = bytes.to_vec();
            }
            changed
        };
        if changed {
            let ledger = self.ledger().unwrap_or_default();
            let last = ledger.outbox.messages.last();
            let last = last.map_or("", |m| m.notice.id.as_str());
            if last != self.last_message && !last.is_empty() {
                self.young_until = now + YOUNG;
            }
            self.last_message = last.to_owned();
            let mut accounts = ledger.services.values();
            self.busy = accounts.any(|a| a.change.is_some_and(|c| !c.settled));
            self.busy |= !last.is_empty() && now < self.young_until;
        } else if !self.last_message.is_empty() && now >= self.young_until {
            // What is left is tried again, and no longer watched so closely.
            self.known.clear();
        }
        if self.busy && !was {
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
        let planned = &self.plan.windows[n];
        let window = Window {
            service: planned.service.clone(),
            from: UnixMs(planned.span.from),
            until: UnixMs(planned.span.to),
            by: "an operator".into(),
            comment: String::new(),
            hold: if planned.maintenance {
                Hold::Maintenance
            } else {
                Hold::Silence
            },
        };
        let key = format!("{}{n}", store::WINDOWS);
        let bytes = record::encode(&window).unwrap_or_default();
        self.node.keys.borrow_mut().insert(key, bytes);
    }

    fn acknowledge(&mut self) {
        let Some(ledger) = self.ledger() else { return };
        let open = ledger
            .services
            .values()
            .filter_map(|a| a.service.open.as_ref());
        // Of some nobody ever says that they look after it.
        let cared_for = |id: &str| id.ends_with(|c: char| c.is_ascii_digit());
        let mut said = open.filter(|i| i.said.is_some() && cared_for(&i.id));
        if let Some(incident) = said.find(|i| !self.acknowledged.contains_key(&i.id)) {
            let now = self.node.now.get();
            let acknowledgement = Acknowledgement {
                at: UnixMs(now),
                by: "an operator".into(),
                comment: String::new(),
            };
            let key = format!("{}{}", store::ACKNOWLEDGEMENTS, incident.id);
            let bytes = record::encode(&acknowledgement).unwrap_or_default();
            self.node.keys.borrow_mut().insert(key, bytes);
            self.acknowledged.insert(incident.id.clone(), now);
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
