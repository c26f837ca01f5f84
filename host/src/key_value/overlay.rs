//! A store for a trial run: reads what is there, keeps what is written to itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Backend, Failed};

/// By label and key; `None` where the trial run deleted.
type Written = BTreeMap<(String, String), Option<Vec<u8>>>;

#[derive(Clone)]
pub struct Overlay {
    below: Box<Backend>,
    written: Arc<Mutex<Written>>,
}

impl Overlay {
    pub fn over(below: Backend) -> Self {
        Self {
            below: Box::new(below),
            written: Arc::default(),
        }
    }

    pub async fn get(&self, label: &str, key: &str) -> Result<Option<Vec<u8>>, Failed> {
        let written = self
            .lock()
            .get(&(label.to_owned(), key.to_owned()))
            .cloned();
        match written {
            Some(value) => Ok(value),
            None => Box::pin(self.below.get(label, key)).await,
        }
    }

    pub fn set(&self, label: &str, key: &str, value: &[u8]) -> Result<(), Failed> {
        self.lock()
            .insert((label.to_owned(), key.to_owned()), Some(value.to_vec()));
        Ok(())
    }

    pub fn delete(&self, label: &str, key: &str) -> Result<(), Failed> {
        self.lock().insert((label.to_owned(), key.to_owned()), None);
        Ok(())
    }

    pub async fn keys(&self, label: &str) -> Result<Vec<String>, Failed> {
        let mut keys: BTreeSet<String> = self.below.keys(label).await?.into_iter().collect();
        for ((written_label, key), value) in &*self.lock() {
            if written_label == label {
                match value {
                    Some(_) => keys.insert(key.clone()),
                    None => keys.remove(key),
                };
            }
        }
        Ok(keys.into_iter().collect())
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
