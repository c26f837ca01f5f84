//! Whether the thing that a check watches may be absent.

use super::Reader;
use crate::monitor::Memory;

/// `presence` in a stanza.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Absence is fine until it has been seen once, a failure afterwards.
    Auto,
    /// Absence is a failure.
    Required,
    /// Not probed at all.
    Off,
}

impl Presence {
    /// Whether what is not there may be absent.
    pub fn excuses_absence(self, memory: &Memory) -> bool {
        self == Presence::Auto && !memory.present
    }

    /// `required` unless given.
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        let want = "auto, required or off";
        r.parsed("presence", Presence::Required, want, |t| match t {
            "auto" => Some(Presence::Auto),
            "required" => Some(Presence::Required),
            "off" => Some(Presence::Off),
            _ => None,
        })
    }
}
