//! The key-value store, label `default`, as the rules use it.

use spin_sdk::key_value::Store as Opened;
use watchbell_core::store::{Failed, Listed, Store, check_ids};
use watchbell_core::time::UnixMs;

use crate::{clock, log, variables};

/// The open store.
pub struct Records(Opened);

/// For who looks at every check. With the variable `checks`, their ids, keys are neither
/// listed nor deleted: some hosts only get and set.
///
/// # Errors
/// As [`Records::open`].
pub fn open_all() -> Result<Box<dyn Store>, Failed> {
    let store = Records::open()?;
    let checks = variables::get("checks").unwrap_or_default();
    let checks: Vec<String> = check_ids(&checks).map(str::to_owned).collect();
    Ok(match checks.as_slice() {
        [] => Box::new(store),
        _ => Box::new(Listed::new(store, checks)),
    })
}

impl Records {
    /// # Errors
    /// When the host has no such store.
    pub fn open() -> Result<Self, Failed> {
        Opened::open_default()
            .map(Self)
            .map_err(|e| format!("opening key-value store \"default\": {e}"))
    }
}

impl Store for Records {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failed> {
        self.0
            .get(key)
            .map_err(|e| format!("getting key {key:?}: {e}"))
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<(), Failed> {
        self.0
            .set(key, value)
            .map_err(|e| format!("setting key {key:?}: {e}"))
    }

    fn delete(&self, key: &str) -> Result<(), Failed> {
        self.0
            .delete(key)
            .map_err(|e| format!("deleting key {key:?}: {e}"))
    }

    fn keys(&self) -> Result<Vec<String>, Failed> {
        let mut keys = self
            .0
            .get_keys()
            .map_err(|e| format!("listing keys: {e}"))?;
        keys.sort_unstable();
        Ok(keys)
    }

    fn log(&self, line: &str) {
        log::line(line);
    }

    fn now(&self) -> UnixMs {
        clock::now()
    }
}
