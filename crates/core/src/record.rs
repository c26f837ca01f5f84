//! Values as they lie in key-value: JSON with a version. One that cannot be read
//! is reported and set aside, never silently reset.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The version that this code writes. A reader of another one refuses.
pub const VERSION: u32 = 1;
/// The clouds refuse values of 1 MB; ours stay far below, and a larger one is not ours.
pub const BYTES_MAX: usize = 900 * 1024;

/// Not flattened: serde would buffer every value once more, in code and in time.
/// The version comes first, so that a record of another one is refused for that.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: Version,
    record: T,
}

/// [`VERSION`], and no other.
#[derive(Clone, Serialize, Deserialize)]
#[serde(into = "u32", try_from = "u32")]
struct Version;

impl From<Version> for u32 {
    fn from(_: Version) -> u32 {
        VERSION
    }
}

impl TryFrom<u32> for Version {
    type Error = String;

    fn try_from(version: u32) -> Result<Self, String> {
        match version {
            VERSION => Ok(Self),
            other => Err(format!("version {other}")),
        }
    }
}

/// Why a stored value cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(pub String);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The bytes to store.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Unreadable> {
    let bytes = serde_json::to_vec(&Versioned {
        version: Version,
        record: value,
    })
    .map_err(|e| Unreadable(format!("writing a record: {e}")))?;
    if bytes.len() > BYTES_MAX {
        return Err(Unreadable(format!(
            "writing a record: {} bytes, want at most {BYTES_MAX}",
            bytes.len()
        )));
    }
    Ok(bytes)
}

/// The value, or why not.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    if bytes.len() > BYTES_MAX {
        return Err(Unreadable(format!(
            "reading a record: {} bytes, want at most {BYTES_MAX}",
            bytes.len()
        )));
    }
    serde_json::from_slice::<Versioned<T>>(bytes)
        .map(|v| v.record)
        .map_err(|e| {
            Unreadable(format!(
                "reading a record: {e}, want JSON of version {VERSION}"
            ))
        })
}
