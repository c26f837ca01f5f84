//! Values as they lie in key-value: JSON with a version. One that cannot be read is
//! reported and set aside, never silently reset; one of a later version is left alone.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The version that this code writes. A reader of another one refuses.
pub const VERSION: u32 = 1;
/// The clouds refuse values of 1 MB; ours stay far below, and a larger one is not ours.
pub const BYTES_MAX: usize = 900 * 1024;

/// Not flattened: serde would buffer every value once more, in code and in time.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    record: T,
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

/// Why a stored value cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Written by a later version of Watchbell, which will read it again: not to be touched.
    Newer { version: u32 },
    /// No record at all, or not of this shape.
    Broken(String),
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unreadable::Newer { version } => write!(
                f,
                "a record of version {version}, want {VERSION}: a later Watchbell wrote it; go back to that one, or delete the key to begin anew"
            ),
            Unreadable::Broken(why) => f.write_str(why),
        }
    }
}

/// The bytes to store.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
    let bytes = serde_json::to_vec(&Versioned {
        version: VERSION,
        record: value,
    })
    .map_err(|e| format!("writing a record: {e}"))?;
    if bytes.len() > BYTES_MAX {
        return Err(format!(
            "writing a record: {} bytes, want at most {BYTES_MAX}",
            bytes.len()
        ));
    }
    Ok(bytes)
}

/// The value, or why not.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    if bytes.len() > BYTES_MAX {
        let got = bytes.len();
        return Err(Unreadable::Broken(format!(
            "{got} bytes, want at most {BYTES_MAX}"
        )));
    }
    let read =
        |e: serde_json::Error| Unreadable::Broken(format!("{e}, want JSON of version {VERSION}"));
    let VersionOnly { version } = serde_json::from_slice(bytes).map_err(read)?;
    if version > VERSION {
        return Err(Unreadable::Newer { version });
    }
    if version < VERSION {
        let why = format!("version {version}, want {VERSION}");
        return Err(Unreadable::Broken(why));
    }
    serde_json::from_slice::<Versioned<T>>(bytes)
        .map(|v| v.record)
        .map_err(read)
}
