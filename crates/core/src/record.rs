//! Values as they lie in key-value: JSON with a version. One that cannot be read is
//! reported and set aside, never silently reset; one of a later version is left alone.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The version that this code writes. A reader of another one refuses.
pub const VERSION: u32 = 1;
/// As [`VERSION`], of packed records.
const PACKED: u8 = 1;
const LATER: u8 = PACKED + 1;
/// The clouds refuse values of 1 MB; ours stay far below, and a larger one is not ours.
pub const BYTES_MAX: usize = 900 * 1024;

/// Not flattened: serde would buffer every value once more, in code and in time.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: Version,
    record: T,
}

/// [`VERSION`], and no other. It stands first, so that a record of another version is
/// refused for that and not for its shape.
#[derive(Clone, Serialize, Deserialize)]
#[serde(into = "u32", try_from = "u32")]
struct Version;

#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

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
        version: Version,
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

/// As [`encode`], for what is large and read by programs alone: a byte for the version, then
/// postcard.
pub fn pack<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
    let packed = postcard::to_extend(value, vec![PACKED])
        .map_err(|e| format!("writing a packed record: {e}"))?;
    match packed.len() {
        ..=BYTES_MAX => Ok(packed),
        got => Err(format!(
            "writing a packed record: {got} bytes, want at most {BYTES_MAX}"
        )),
    }
}

/// The value, or why not.
pub fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    match bytes {
        // Beyond that it is no version of ours, but bytes of somebody else.
        [version @ LATER..16, ..] => Err(Unreadable::Newer {
            version: u32::from(*version),
        }),
        [PACKED, packed @ ..] if packed.len() < BYTES_MAX => {
            let (value, rest) = postcard::take_from_bytes(packed).map_err(broken)?;
            match rest {
                [] => Ok(value),
                rest => Err(Unreadable::Broken(format!(
                    "a packed record and {} bytes after it",
                    rest.len()
                ))),
            }
        }
        _ => Err(Unreadable::Broken(format!(
            "{} bytes, want a packed record of version {PACKED}",
            bytes.len()
        ))),
    }
}

fn broken(error: postcard::Error) -> Unreadable {
    Unreadable::Broken(format!("{error}, want a packed record of version {PACKED}"))
}

/// The value, or why not.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    if bytes.len() > BYTES_MAX {
        let got = bytes.len();
        return Err(Unreadable::Broken(format!(
            "{got} bytes, want at most {BYTES_MAX}"
        )));
    }
    let unreadable = match serde_json::from_slice::<Versioned<T>>(bytes) {
        Ok(versioned) => return Ok(versioned.record),
        Err(e) => e,
    };
    match serde_json::from_slice(bytes) {
        Ok(VersionOnly { version }) if version > VERSION => Err(Unreadable::Newer { version }),
        _ => Err(Unreadable::Broken(format!(
            "{unreadable}, want JSON of version {VERSION}"
        ))),
    }
}
