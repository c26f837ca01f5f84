//! Records in the key-value store, label `default`: get and set only, one writer a key.

use spin_sdk::key_value::Store;
use watchbell_core::record;

use crate::{Failed, log};

/// The open store.
pub struct Records(Store);

impl Records {
    pub fn open() -> Result<Self, Failed> {
        Store::open_default()
            .map(Self)
            .map_err(|e| format!("opening key-value store \"default\": {e}"))
    }

    /// The record under `key`. One that cannot be read is set aside under
    /// `unreadable/<key>`, reported, and counts as absent.
    pub fn read<T: serde::de::DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Failed> {
        let Some(bytes) = self.get(key)? else {
            return Ok(None);
        };
        match record::decode(&bytes) {
            Ok(value) => Ok(Some(value)),
            Err(why) => {
                let aside = format!("unreadable/{key}");
                log::line(&format!(
                    "reading key {key:?}: {why}; kept as {aside:?} and begun anew"
                ));
                self.set(&aside, &bytes)?;
                Ok(None)
            }
        }
    }

    /// As [`Self::read`] for who does not own the key: what cannot be read is the
    /// owner's to report.
    pub fn peek<T: serde::de::DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Failed> {
        Ok(self.get(key)?.and_then(|b| record::decode(&b).ok()))
    }

    pub fn write<T: serde::Serialize>(&self, key: &str, value: &T) -> Result<(), Failed> {
        let bytes = record::encode(value).map_err(|why| why.0)?;
        self.set(key, &bytes)
    }

    /// Every key that starts with `prefix`, sorted: the same order on every host.
    pub fn keys(&self, prefix: &str) -> Result<Vec<String>, Failed> {
        let mut keys = self
            .0
            .get_keys()
            .map_err(|e| format!("listing keys: {e}"))?;
        keys.retain(|k| k.starts_with(prefix));
        keys.sort_unstable();
        Ok(keys)
    }

    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failed> {
        self.0
            .get(key)
            .map_err(|e| format!("getting key {key:?}: {e}"))
    }

    fn set(&self, key: &str, bytes: &[u8]) -> Result<(), Failed> {
        self.0
            .set(key, bytes)
            .map_err(|e| format!("setting key {key:?}: {e}"))
    }
}

/// `monitor/<check>`: written by that check.
pub fn monitor_key(check: &str) -> String {
    format!("{MONITOR_PREFIX}{check}")
}

pub const MONITOR_PREFIX: &str = "monitor/";

/// `alert/<service>`: written by the alert component.
pub fn ledger_key(service: &str) -> String {
    format!("alert/{service}")
}
