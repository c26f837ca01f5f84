//! A store of a host that only gets and sets, where nothing lists keys and nothing is deleted.
//!
//! Which checks there are is configured; what operators have said is found by an index that
//! is written beside it. Two operators who speak in one moment may lose one of the two words,
//! as with any get and set.

use std::collections::BTreeSet;

use super::{ACKNOWLEDGEMENTS, Failed, Store, WINDOWS, monitor_key, peek, write};
use crate::time::UnixMs;

/// The keys under which operators have said something.
const INDEX: &str = "operator/index";
/// Far more than are ever open at once; a client that loops must not make the value grow
/// beyond what a store takes.
const INDEX_MAX: usize = 1_000;

/// As the store in it, but of get and set alone.
pub struct Listed<S> {
    store: S,
    checks: Vec<String>,
}

impl<S: Store> Listed<S> {
    /// `checks`: the ids of all checks.
    pub fn new(store: S, checks: Vec<String>) -> Self {
        Self { store, checks }
    }

    fn index(&self) -> Result<BTreeSet<String>, Failed> {
        Ok(peek(&self.store, INDEX)?.unwrap_or_default())
    }
}

/// The ids in the variable `checks`, comma-separated.
pub fn check_ids(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ']).filter(|id| !id.is_empty())
}

/// Whether a key is one of those that nobody can know beforehand.
fn is_said(key: &str) -> bool {
    key.starts_with(ACKNOWLEDGEMENTS) || key.starts_with(WINDOWS)
}

impl<S: Store> Store for Listed<S> {
    /// An empty value is one that was deleted.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failed> {
        Ok(self.store.get(key)?.filter(|value| !value.is_empty()))
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<(), Failed> {
        if is_said(key) {
            // The index first: a key in it that holds nothing is passed over, one beside it
            // would be found by nobody.
            let mut index = self.index()?;
            if !index.contains(key) {
                if index.len() >= INDEX_MAX {
                    let why = format!("got more than {INDEX_MAX} words of operators at once");
                    return Err(format!("setting key {key:?}: {why}"));
                }
                index.insert(key.to_owned());
                write(&self.store, INDEX, &index)?;
            }
        }
        self.store.set(key, value)
    }

    fn delete(&self, key: &str) -> Result<(), Failed> {
        self.store.set(key, b"")?;
        let mut index = self.index()?;
        if is_said(key) && index.remove(key) {
            write(&self.store, INDEX, &index)?;
        }
        Ok(())
    }

    /// Of the checks that are configured and of what operators said; some may hold nothing.
    fn keys(&self) -> Result<Vec<String>, Failed> {
        let checks = self.checks.iter().map(|check| monitor_key(check));
        let keys: BTreeSet<String> = checks.chain(self.index()?).collect();
        Ok(keys.into_iter().collect())
    }

    fn log(&self, line: &str) {
        self.store.log(line);
    }

    fn now(&self) -> UnixMs {
        self.store.now()
    }
}
