//! Records in the key-value store, label `default`: get and set only, one writer a key.

use serde::de::DeserializeOwned;
use spin_sdk::key_value::Store;
use watchbell_core::record::{self, Unreadable};

use crate::{Failed, log};

/// Unreadable records kept of one key.
const ASIDE_MAX: u32 = 4;

/// What lies under a key.
pub enum Found<T> {
    Nothing,
    Record(T),
    /// Something that cannot be read, now set aside; why, for the operator.
    Broken(String),
}

/// The open store.
pub struct Records(Store);

impl Records {
    pub fn open() -> Result<Self, Failed> {
        Store::open_default()
            .map(Self)
            .map_err(|e| format!("opening key-value store \"default\": {e}"))
    }

    /// The record under `key`, for its owner.
    ///
    /// # Errors
    /// When the store fails, or a later version of Watchbell wrote the record: it stays.
    pub fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Found<T>, Failed> {
        let bytes = self.bytes(key)?;
        let Some(bytes) = bytes else {
            return Ok(Found::Nothing);
        };
        match record::decode(&bytes) {
            Ok(value) => Ok(Found::Record(value)),
            Err(newer @ Unreadable::Newer { .. }) => Err(format!("reading key {key:?}: {newer}")),
            Err(Unreadable::Broken(why)) => {
                let aside = self.set_aside(key, &bytes)?;
                let why = format!("reading key {key:?}: {why}; kept as {aside:?} and begun anew");
                log::line(&why);
                Ok(Found::Broken(why))
            }
        }
    }

    /// As [`Self::read`] for who does not own the key: what cannot be read is the
    /// owner's to report.
    pub fn peek<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Failed> {
        Ok(self.bytes(key)?.and_then(|b| record::decode(&b).ok()))
    }

    fn bytes(&self, key: &str) -> Result<Option<Vec<u8>>, Failed> {
        self.0
            .get(key)
            .map_err(|e| format!("getting key {key:?}: {e}"))
    }

    /// Under the first of a few names that is free, the last of them overwritten.
    fn set_aside(&self, key: &str, bytes: &[u8]) -> Result<String, Failed> {
        let mut aside = format!("unreadable/{key}");
        for n in 2..=ASIDE_MAX {
            if self.bytes(&aside)?.is_none_or(|kept| kept == bytes) {
                break;
            }
            aside = format!("unreadable/{key}/{n}");
        }
        self.0
            .set(&aside, bytes)
            .map_err(|e| format!("setting key {aside:?}: {e}"))?;
        Ok(aside)
    }

    pub fn write<T: serde::Serialize>(&self, key: &str, value: &T) -> Result<(), Failed> {
        let bytes = record::encode(value)?;
        self.0
            .set(key, &bytes)
            .map_err(|e| format!("setting key {key:?}: {e}"))
    }

    /// Every key, sorted: the same order on every host.
    pub fn keys(&self) -> Result<Vec<String>, Failed> {
        let mut keys = self
            .0
            .get_keys()
            .map_err(|e| format!("listing keys: {e}"))?;
        keys.sort_unstable();
        Ok(keys)
    }
}

/// `monitor/<check>`: written by that check.
pub fn monitor_key(check: &str) -> String {
    format!("{MONITOR_PREFIX}{check}")
}

pub const MONITOR_PREFIX: &str = "monitor/";

/// `alert/<service>`: written by the alert component.
pub fn ledger_key(service: &str) -> String {
    format!("{LEDGER_PREFIX}{service}")
}

pub const LEDGER_PREFIX: &str = "alert/";
