//! Values as they lie in key-value: JSON with a version. One that cannot be read
//! is reported and set aside, never silently reset.

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
pub struct Unreadable(pub String);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The bytes to store.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Unreadable> {
    let bytes = serde_json::to_vec(&Versioned {
        version: VERSION,
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
    let read = |e: serde_json::Error| {
        Unreadable(format!(
            "reading a record: {e}, want JSON of version {VERSION}"
        ))
    };
    let VersionOnly { version } = serde_json::from_slice(bytes).map_err(read)?;
    if version != VERSION {
        return Err(Unreadable(format!(
            "reading a record: version {version}, want {VERSION}"
        )));
    }
    serde_json::from_slice::<Versioned<T>>(bytes)
        .map(|v| v.record)
        .map_err(read)
}
