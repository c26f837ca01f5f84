//! A store in memory that counts what is asked of it, and fails where it is told to.
#![allow(dead_code)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use watchbell_core::store::{Failed, Store};
use watchbell_core::time::UnixMs;

#[derive(Default)]
pub struct InMemory {
    pub keys: RefCell<BTreeMap<String, Vec<u8>>>,
    pub now: Cell<UnixMs>,
    pub reads: Cell<u32>,
    pub writes: Cell<u32>,
    pub bytes_written: Cell<usize>,
    pub log: RefCell<Vec<String>>,
    /// Writes of this key fail.
    pub refuses: RefCell<Option<String>>,
}

impl Store for InMemory {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failed> {
        self.reads.set(self.reads.get() + 1);
        Ok(self.keys.borrow().get(key).cloned())
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<(), Failed> {
        if self.refuses.borrow().as_deref() == Some(key) {
            return Err(format!("setting key {key:?}: refused"));
        }
        self.writes.set(self.writes.get() + 1);
        self.bytes_written
            .set(self.bytes_written.get() + value.len());
        self.keys
            .borrow_mut()
            .insert(key.to_owned(), value.to_vec());
        Ok(())
    }

    fn delete(&self, key: &str) -> Result<(), Failed> {
        self.keys.borrow_mut().remove(key);
        Ok(())
    }

    fn keys(&self) -> Result<Vec<String>, Failed> {
        Ok(self.keys.borrow().keys().cloned().collect())
    }

    fn log(&self, line: &str) {
        self.log.borrow_mut().push(line.to_owned());
    }

    fn now(&self) -> UnixMs {
        self.now.get()
    }
}
