//! A moment, in JSON as RFC 3339 in UTC.

use std::time::UNIX_EPOCH;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use watchbell_core::time::UnixMs;

/// To whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
pub struct Time(pub UnixMs);

impl Time {
    pub fn from_unix_s(unix_s: i64) -> Self {
        Self(UnixMs(
            u64::try_from(unix_s).unwrap_or(0).saturating_mul(1_000),
        ))
    }
}

impl From<UnixMs> for Time {
    fn from(at: UnixMs) -> Self {
        Self(at)
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.rfc3339())
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let at = humantime::parse_rfc3339(&text).map_err(D::Error::custom)?;
        let at = at.duration_since(UNIX_EPOCH).map_err(D::Error::custom)?;
        let ms = u64::try_from(at.as_millis()).map_err(D::Error::custom)?;
        Ok(Self(UnixMs(ms)))
    }
}
