//! `fermyon:spin/key-value`: only the stores that the stanza lists.

use std::collections::{BTreeMap, HashMap, HashSet};

use wasmtime::component::Resource;

use crate::bindings::spin::fermyon::spin::key_value::{Error, Host, HostStore};
use crate::event::Event;

mod overlay;
mod redis;
mod sqlite;

pub use overlay::Overlay;
pub use redis::Redis;
pub use sqlite::{Mode, Sqlite};

/// Stores that one instance may hold open; Spin's own limit.
const OPEN_STORES_MAX: usize = 256;
/// The largest answer of one call, as on Spin.
const RESULT_BYTES_MAX: usize = 128 << 20;

/// Where values are kept.
#[derive(Clone)]
pub enum Backend {
    Sqlite(Sqlite),
    Redis(Redis),
    /// Reads through, keeps what is written to itself.
    Overlay(Overlay),
}

/// Why an operation failed, for the guest to read.
pub type Failed = String;

impl Backend {
    pub async fn get(&self, label: &str, key: &str) -> Result<Option<Vec<u8>>, Failed> {
        match self {
            Self::Sqlite(store) => store.get(label, key).await,
            Self::Redis(store) => store.get(key).await,
            Self::Overlay(store) => store.get(label, key).await,
        }
    }

    pub async fn set(&self, label: &str, key: &str, value: &[u8]) -> Result<(), Failed> {
        match self {
            Self::Sqlite(store) => store.set(label, key, value).await,
            Self::Redis(store) => store.set(key, value).await,
            Self::Overlay(store) => store.set(label, key, value),
        }
    }

    pub async fn delete(&self, label: &str, key: &str) -> Result<(), Failed> {
        match self {
            Self::Sqlite(store) => store.delete(label, key).await,
            Self::Redis(store) => store.delete(key).await,
            Self::Overlay(store) => store.delete(label, key),
        }
    }

    pub async fn keys(&self, label: &str) -> Result<Vec<String>, Failed> {
        match self {
            Self::Sqlite(store) => store.keys(label).await,
            Self::Redis(store) => store.keys().await,
            Self::Overlay(store) => Box::pin(store.keys(label)).await,
        }
    }

    /// Leaves the data as Spin keeps it. Nothing may use the store afterwards.
    pub fn close(&self) -> Result<(), Failed> {
        match self {
            Self::Sqlite(store) => store.close(),
            Self::Redis(_) | Self::Overlay(_) => Ok(()),
        }
    }
}

/// What one component may open.
pub struct Stores {
    listed: HashSet<String>,
    backends: HashMap<String, Backend>,
}

impl Stores {
    pub fn new(listed: &[String], configured: &BTreeMap<String, Backend>) -> Self {
        Self {
            listed: listed.iter().cloned().collect(),
            backends: listed
                .iter()
                .filter_map(|label| Some((label.clone(), configured.get(label)?.clone())))
                .collect(),
        }
    }

    fn open(&self, label: String) -> Result<OpenStore, Error> {
        if !self.listed.contains(&label) {
            return Err(Error::AccessDenied);
        }
        let backend = self
            .backends
            .get(&label)
            .cloned()
            .ok_or(Error::NoSuchStore)?;
        Ok(OpenStore { label, backend })
    }
}

/// A guest's handle.
pub struct OpenStore {
    label: String,
    backend: Backend,
}

impl Host for Event {}

impl HostStore for Event {
    async fn open(
        &mut self,
        label: String,
    ) -> wasmtime::Result<Result<Resource<OpenStore>, Error>> {
        if self.open_stores >= OPEN_STORES_MAX {
            return Ok(Err(Error::StoreTableFull));
        }
        let store = match self.component.stores.open(label) {
            Ok(store) => store,
            Err(error) => return Ok(Err(error)),
        };
        let handle = self.table.push(store)?;
        self.open_stores += 1;
        Ok(Ok(handle))
    }

    async fn get(
        &mut self,
        store: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let store = self.table.get(&store)?;
        let value = store.backend.get(&store.label, &key).await;
        Ok(value
            .and_then(|value| {
                bounded(value.as_ref().map_or(0, Vec::len))?;
                Ok(value)
            })
            .map_err(Error::Other))
    }

    async fn set(
        &mut self,
        store: Resource<OpenStore>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let store = self.table.get(&store)?;
        Ok(store
            .backend
            .set(&store.label, &key, &value)
            .await
            .map_err(Error::Other))
    }

    async fn delete(
        &mut self,
        store: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        let store = self.table.get(&store)?;
        Ok(store
            .backend
            .delete(&store.label, &key)
            .await
            .map_err(Error::Other))
    }

    async fn exists(
        &mut self,
        store: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        let store = self.table.get(&store)?;
        let value = store.backend.get(&store.label, &key).await;
        Ok(value.map(|value| value.is_some()).map_err(Error::Other))
    }

    async fn get_keys(
        &mut self,
        store: Resource<OpenStore>,
    ) -> wasmtime::Result<Result<Vec<String>, Error>> {
        let store = self.table.get(&store)?;
        let keys = store.backend.keys(&store.label).await;
        Ok(keys
            .and_then(|keys| {
                bounded(keys.iter().map(String::len).sum())?;
                Ok(keys)
            })
            .map_err(Error::Other))
    }

    async fn drop(&mut self, store: Resource<OpenStore>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        self.open_stores = self.open_stores.saturating_sub(1);
        Ok(())
    }
}

fn bounded(bytes: usize) -> Result<(), Failed> {
    if bytes > RESULT_BYTES_MAX {
        return Err(format!(
            "query result exceeds limit of {RESULT_BYTES_MAX} bytes"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
