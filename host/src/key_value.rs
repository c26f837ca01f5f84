//! `fermyon:spin/key-value`: only the stores that the stanza lists.

use std::collections::{BTreeMap, HashMap, HashSet};

use wasmtime::component::Resource;

use crate::bindings::spin::fermyon::spin::key_value::{Error, Host, HostStore};
use crate::event::Event;
use crate::imitation::{Imitation, Refusal};

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

/// Why a guest's call failed.
enum Failure {
    Backend(Failed),
    /// By the target that is imitated.
    Refused(Refusal),
}

impl From<Failed> for Failure {
    fn from(failed: Failed) -> Self {
        Self::Backend(failed)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl OpenStore {
    async fn get(&self, key: &str, target: &Imitation) -> Result<Option<Vec<u8>>, Failure> {
        target.key(key)?;
        let value = self.backend.get(&self.label, key).await?;
        bounded(value.as_ref().map_or(0, Vec::len))?;
        Ok(value)
    }

    async fn set(&self, key: &str, value: &[u8], target: &Imitation) -> Result<(), Failure> {
        target.key(key)?;
        target.value(value)?;
        let _turn = target.write().await?;
        if target.limits.keys_max.is_some() && self.backend.get(&self.label, key).await?.is_none() {
            target.another_key(self.backend.keys(&self.label).await?.len())?;
        }
        Ok(self.backend.set(&self.label, key, value).await?)
    }

    async fn delete(&self, key: &str, target: &Imitation) -> Result<(), Failure> {
        target.listing()?;
        target.key(key)?;
        let _turn = target.write().await?;
        Ok(self.backend.delete(&self.label, key).await?)
    }

    async fn exists(&self, key: &str, target: &Imitation) -> Result<bool, Failure> {
        target.listing()?;
        target.key(key)?;
        Ok(self.backend.get(&self.label, key).await?.is_some())
    }

    async fn keys(&self, target: &Imitation) -> Result<Vec<String>, Failure> {
        target.listing()?;
        let keys = self.backend.keys(&self.label).await?;
        bounded(keys.iter().map(String::len).sum())?;
        Ok(keys)
    }
}

impl Event {
    fn opened(&self, store: &Resource<OpenStore>) -> wasmtime::Result<(&OpenStore, &Imitation)> {
        Ok((self.table.get(store)?, &self.component.imitation))
    }

    fn told(&self, failure: Failure) -> Error {
        Error::Other(match failure {
            Failure::Backend(failed) => failed,
            Failure::Refused(refusal) => {
                let component = &self.component;
                component.imitation.refuse(&component.id, refusal)
            }
        })
    }
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
        let (store, target) = self.opened(&store)?;
        Ok(store.get(&key, target).await.map_err(|f| self.told(f)))
    }

    async fn set(
        &mut self,
        store: Resource<OpenStore>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let (store, target) = self.opened(&store)?;
        let set = store.set(&key, &value, target).await;
        Ok(set.map_err(|failure| self.told(failure)))
    }

    async fn delete(
        &mut self,
        store: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        let (store, target) = self.opened(&store)?;
        Ok(store.delete(&key, target).await.map_err(|f| self.told(f)))
    }

    async fn exists(
        &mut self,
        store: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        let (store, target) = self.opened(&store)?;
        Ok(store.exists(&key, target).await.map_err(|f| self.told(f)))
    }

    async fn get_keys(
        &mut self,
        store: Resource<OpenStore>,
    ) -> wasmtime::Result<Result<Vec<String>, Error>> {
        let (store, target) = self.opened(&store)?;
        Ok(store.keys(target).await.map_err(|f| self.told(f)))
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
