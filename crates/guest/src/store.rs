//! Records in the key-value store, label `default`: get and set only, one writer a key.

use anyhow::{Context, Result};
use spin_sdk::key_value::Store;
use watchbell_core::record;

use crate::log;

/// The open store.
pub struct Records(Store);

impl Records {
    pub fn open() -> Result<Self> {
        Store::open_default()
            .map(Self)
            .context("opening key-value store \"default\"")
    }

    /// The record under `key`. One that cannot be read is set aside under
    /// `unreadable/<key>`, reported, and counts as absent.
    pub fn read<T: serde::de::DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let bytes = self
            .0
            .get(key)
            .with_context(|| format!("getting key {key:?}"))?;
        let Some(bytes) = bytes else { return Ok(None) };
        match record::decode(&bytes) {
            Ok(value) => Ok(Some(value)),
            Err(why) => {
                let aside = format!("unreadable/{key}");
                log::line(&format!(
                    "reading key {key:?}: {why}; kept as {aside:?} and begun anew"
                ));
                self.0
                    .set(&aside, &bytes)
                    .with_context(|| format!("setting key {aside:?}"))?;
                Ok(None)
            }
        }
    }

    /// As [`Self::read`] for who does not own the key: what cannot be read is the
    /// owner's to report.
    pub fn peek<T: serde::de::DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let bytes = self
            .0
            .get(key)
            .with_context(|| format!("getting key {key:?}"))?;
        Ok(bytes.and_then(|b| record::decode(&b).ok()))
    }

    pub fn write<T: serde::Serialize>(&self, key: &str, value: &T) -> Result<()> {
        let bytes = record::encode(value).map_err(|why| anyhow::anyhow!("{why}"))?;
        self.0
            .set(key, &bytes)
            .with_context(|| format!("setting key {key:?}"))
    }

    /// Every key that starts with `prefix`, sorted: the same order on every host.
    pub fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let mut keys = self.0.get_keys().context("listing keys")?;
        keys.retain(|k| k.starts_with(prefix));
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
    format!("alert/{service}")
}
