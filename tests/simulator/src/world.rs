//! The host that the rules run on: a store that fails, receivers that fail, and a process
//! that may die between any two calls.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use oorandom::Rand64;
use serde_json::Value;
use watchbell_core::alerting::{Answer, World};
use watchbell_core::channel::Request;
use watchbell_core::store::{Failed, Store};
use watchbell_core::time::UnixMs;

use crate::plan::{Plan, Receiver, any, chance};

/// What a receiver has taken.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its place among the plan's channels.
    pub channel: usize,
    pub at: u64,
    /// The webhook's alone.
    pub id: String,
    pub body: Value,
}

/// An attempt, and what was answered.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    pub channel: usize,
    pub at: u64,
    pub answer: Receiver,
}

/// What outlives a process.
pub struct Node {
    pub now: Cell<u64>,
    pub keys: RefCell<BTreeMap<String, Vec<u8>>>,
    /// The last write, and what stood there before.
    last_write: RefCell<Option<(String, Option<Vec<u8>>)>>,
    pub taken: RefCell<Vec<Delivery>>,
    pub attempts: RefCell<Vec<Attempt>>,
    /// When a process died, a call to the store failed, two runs overlapped.
    pub disturbed: RefCell<Vec<u64>>,
    pub random: RefCell<Rand64>,
    /// Faults are over: everything works from now on.
    pub calm: Cell<bool>,
    pub writes: Cell<u64>,
}

impl Node {
    pub fn new(random: Rand64, now: u64) -> Self {
        Self {
            now: Cell::new(now),
            keys: RefCell::default(),
            last_write: RefCell::default(),
            taken: RefCell::default(),
            attempts: RefCell::default(),
            disturbed: RefCell::default(),
            random: RefCell::new(random),
            calm: Cell::new(false),
            writes: Cell::new(0),
        }
    }

    /// Gives its key.
    pub fn lose_last_write(&self) -> Option<String> {
        self.disturb();
        let (key, before) = self.last_write.take()?;
        let mut keys = self.keys.borrow_mut();
        match before {
            Some(bytes) => drop(keys.insert(key.clone(), bytes)),
            None => drop(keys.remove(&key)),
        }
        Some(key)
    }

    pub fn disturb(&self) {
        self.disturbed.borrow_mut().push(self.now.get());
    }

    pub fn chance(&self, percent: u64) -> bool {
        chance(&mut self.random.borrow_mut(), percent)
    }
}

/// A run that begins after so many calls of another.
pub type Beside<'a> = (u32, Box<dyn FnOnce() + 'a>);

/// One process's run on the node.
pub struct Process<'a> {
    pub node: &'a Node,
    pub plan: &'a Plan,
    /// Calls before it is dead, if it is to die.
    pub lives: Cell<Option<u32>>,
    /// Another run that begins in the middle of this one, after so many calls.
    pub beside: RefCell<Option<Beside<'a>>>,
    began_at: u64,
}

const DEAD: &str = "dead";
const RUN_MAX: Duration = Duration::from_secs(28);

impl<'a> Process<'a> {
    pub fn new(node: &'a Node, plan: &'a Plan) -> Self {
        Self {
            node,
            plan,
            lives: Cell::new(None),
            beside: RefCell::new(None),
            began_at: node.now.get(),
        }
    }

    pub fn dead(&self) -> bool {
        self.lives.get() == Some(0)
    }

    /// One call to the host.
    fn call(&self) -> Result<(), Failed> {
        let due = match &mut *self.beside.borrow_mut() {
            Some((calls, _)) if *calls > 0 => {
                *calls -= 1;
                false
            }
            Some(_) => true,
            None => false,
        };
        if due && let Some((_, run)) = self.beside.borrow_mut().take() {
            self.node.disturb();
            run();
        }
        if let Some(lives) = self.lives.get() {
            if lives == 0 {
                return Err(DEAD.into());
            }
            self.lives.set(Some(lives - 1));
        }
        let fails = any(&self.plan.store_fails, self.node.now.get()) && !self.node.calm.get();
        if fails && self.node.chance(15) {
            self.node.disturb();
            return Err("the store fails".into());
        }
        Ok(())
    }

    fn waits(&self, timeout: Duration) {
        let now = self.node.now.get();
        self.node.now.set(now + timeout.as_millis() as u64);
    }
}

impl Store for Process<'_> {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failed> {
        self.call()?;
        Ok(self.node.keys.borrow().get(key).cloned())
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<(), Failed> {
        self.call()?;
        self.node.writes.set(self.node.writes.get() + 1);
        let before = self
            .node
            .keys
            .borrow_mut()
            .insert(key.to_owned(), value.to_owned());
        *self.node.last_write.borrow_mut() = Some((key.to_owned(), before));
        Ok(())
    }

    fn delete(&self, key: &str) -> Result<(), Failed> {
        self.call()?;
        self.node.keys.borrow_mut().remove(key);
        Ok(())
    }

    fn keys(&self) -> Result<Vec<String>, Failed> {
        self.call()?;
        Ok(self.node.keys.borrow().keys().cloned().collect())
    }

    fn log(&self, _line: &str) {}

    fn now(&self) -> UnixMs {
        UnixMs(self.node.now.get())
    }
}

impl World for Process<'_> {
    fn left(&self) -> Duration {
        let gone = self.node.now.get().saturating_sub(self.began_at);
        RUN_MAX.saturating_sub(Duration::from_millis(gone))
    }

    fn send(&self, request: &Request, timeout: Duration) -> Result<Answer, String> {
        self.call()?;
        let at = self.node.now.get();
        let calm = self.node.calm.get();
        let mut channels = self.plan.channels.iter().enumerate();
        let host = request.url.authority();
        let known = channels.find(|(_, c)| host.starts_with(c.name));
        let Some((channel, receiver)) = known else {
            return Err("no such receiver".into());
        };
        let answer = if calm {
            Receiver::Takes
        } else if any(&self.plan.cut_off, at) {
            Receiver::Unreachable
        } else {
            receiver.at(at)
        };
        self.node.attempts.borrow_mut().push(Attempt {
            channel,
            at,
            answer,
        });
        let status = |status| Answer {
            status,
            ..Answer::default()
        };
        let takes = || {
            let header = |name: &str| {
                let found = request.headers.iter().find(|(n, _)| n == name);
                found.map(|(_, value)| value.clone()).unwrap_or_default()
            };
            self.node.taken.borrow_mut().push(Delivery {
                channel,
                at,
                id: header("webhook-id"),
                body: serde_json::from_slice(&request.body).unwrap_or_default(),
            });
        };
        match answer {
            Receiver::Takes => {
                takes();
                // It has it; the process may die before it knows.
                self.call()?;
                Ok(status(200))
            }
            Receiver::AnswerLost => {
                takes();
                self.waits(timeout);
                Err("no answer".into())
            }
            Receiver::Unreachable => {
                self.waits(timeout);
                Err("not reached".into())
            }
            Receiver::Status(code) => Ok(status(code)),
            Receiver::RetryAfter(seconds) => Ok(Answer {
                retry_after: Some(seconds.to_string()),
                ..status(429)
            }),
        }
    }
}
