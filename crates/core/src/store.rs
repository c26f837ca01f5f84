//! Records in a key-value store: get and set only, one writer a key.

mod listed;

pub use listed::{Listed, check_ids};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::record::{self, Unreadable};
use crate::time::UnixMs;

/// Why a record could not be read or written, in words for the operator.
pub type Failed = String;

/// What the rules need of a host: keys, a log, the time.
pub trait Store {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failed>;
    fn set(&self, key: &str, value: &[u8]) -> Result<(), Failed>;
    fn delete(&self, key: &str) -> Result<(), Failed>;
    /// Every key, sorted: the same order on every host. One may hold nothing: it was deleted
    /// meanwhile, or the host lists none and this is what could be there.
    fn keys(&self) -> Result<Vec<String>, Failed>;
    /// One line for the operator.
    fn log(&self, line: &str);
    fn now(&self) -> UnixMs;
}

impl<S: Store + ?Sized> Store for Box<S> {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failed> {
        (**self).get(key)
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<(), Failed> {
        (**self).set(key, value)
    }

    fn delete(&self, key: &str) -> Result<(), Failed> {
        (**self).delete(key)
    }

    fn keys(&self) -> Result<Vec<String>, Failed> {
        (**self).keys()
    }

    fn log(&self, line: &str) {
        (**self).log(line);
    }

    fn now(&self) -> UnixMs {
        (**self).now()
    }
}

/// Unreadable records kept of one key.
const ASIDE_MAX: u32 = 4;

/// What lies under a key.
#[derive(Debug)]
pub enum Found<T> {
    Nothing,
    Record(T),
    /// Something that cannot be read; why, for the operator. The owner has set it aside.
    Broken(String),
}

/// The record under `key`, for its owner.
///
/// # Errors
/// When the store fails, or a later version of Watchbell wrote the record: it stays.
pub fn read<T: DeserializeOwned>(store: &impl Store, key: &str) -> Result<Found<T>, Failed> {
    read_as(store, key, record::decode)
}

/// As [`read`], of a packed record.
///
/// # Errors
/// Likewise.
pub fn read_packed<T: DeserializeOwned>(store: &impl Store, key: &str) -> Result<Found<T>, Failed> {
    read_as(store, key, record::unpack)
}

fn read_as<T>(
    store: &impl Store,
    key: &str,
    read: fn(&[u8]) -> Result<T, Unreadable>,
) -> Result<Found<T>, Failed> {
    let Some(bytes) = store.get(key)? else {
        return Ok(Found::Nothing);
    };
    match read(&bytes) {
        Ok(value) => Ok(Found::Record(value)),
        Err(newer @ Unreadable::Newer { .. }) => Err(format!("reading key {key:?}: {newer}")),
        Err(Unreadable::Broken(why)) => {
            let aside = set_aside(store, key, &bytes)?;
            let why = format!("reading key {key:?}: {why}; kept as {aside:?} and begun anew");
            store.log(&why);
            Ok(Found::Broken(why))
        }
    }
}

/// As [`read`] for who does not own the key: what cannot be read stays where it is.
///
/// # Errors
/// When the store fails.
pub fn look<T: DeserializeOwned>(store: &impl Store, key: &str) -> Result<Found<T>, Failed> {
    Ok(match store.get(key)?.map(|bytes| record::decode(&bytes)) {
        None => Found::Nothing,
        Some(Ok(record)) => Found::Record(record),
        Some(Err(why)) => Found::Broken(why.to_string()),
    })
}

/// As [`look`], where what cannot be read is as good as nothing, and its owner's to report.
pub fn peek<T: DeserializeOwned>(store: &impl Store, key: &str) -> Result<Option<T>, Failed> {
    Ok(store.get(key)?.and_then(|b| record::decode(&b).ok()))
}

/// As [`peek`], of a packed record.
pub fn peek_packed<T: DeserializeOwned>(
    store: &impl Store,
    key: &str,
) -> Result<Option<T>, Failed> {
    Ok(store.get(key)?.and_then(|b| record::unpack(&b).ok()))
}

pub fn write_packed<T: Serialize>(store: &impl Store, key: &str, value: &T) -> Result<(), Failed> {
    store.set(key, &record::pack(value)?)
}

pub fn write<T: Serialize>(store: &impl Store, key: &str, value: &T) -> Result<(), Failed> {
    store.set(key, &record::encode(value)?)
}

/// Under the first of a few names that is free, the last of them overwritten.
fn set_aside(store: &impl Store, key: &str, bytes: &[u8]) -> Result<String, Failed> {
    let mut aside = format!("unreadable/{key}");
    for n in 2..=ASIDE_MAX {
        if store.get(&aside)?.is_none_or(|kept| kept == bytes) {
            break;
        }
        aside = format!("unreadable/{key}/{n}");
    }
    store.set(&aside, bytes)?;
    Ok(aside)
}

/// `monitor/<check>`: written by that check.
pub fn monitor_key(check: &str) -> String {
    format!("{MONITORS}{check}")
}

pub const MONITORS: &str = "monitor/";
/// `lease/<check>`: since when a run over HTTP is under way.
pub const LEASES: &str = "lease/";
/// The alert component's ledger.
pub const LEDGER: &str = "alert/ledger";
/// Incidents that are over.
pub const PAST: &str = "alert/past";
/// The number of the last run that was rung for.
pub const RUNG: &str = "alert/rung";
/// When an operator last asked for dead letters to be sent again.
pub const RESEND: &str = "operator/resend";
/// `operator/acknowledged/<incident>`, written when an operator says so.
pub const ACKNOWLEDGEMENTS: &str = "operator/acknowledged/";
/// `operator/window/<id>`: a silence or a maintenance.
pub const WINDOWS: &str = "operator/window/";

/// Written by the alert component: outcomes older than this prove nothing. One for all
/// services: whether others fail too tells a service's outage from this node's.
pub const SUSPECT: &str = "alert/suspect";
