//! What an operator has said: looked after, silenced, under maintenance. Each is a record of
//! its own in key-value, so that nothing that runs beside it can take it back.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::UnixMs;

/// Somebody looks after an incident: no reminders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    pub at: UnixMs,
    pub by: String,
    pub comment: String,
}

/// A span of time in which a service's alerts are held back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Every service, when empty.
    pub service: String,
    pub from: UnixMs,
    pub until: UnixMs,
    pub by: String,
    pub comment: String,
    pub hold: Hold,
}

/// Why alerts are held back, and so what becomes of them at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hold {
    /// What would have been sent is summarised.
    Silence,
    /// What broke and mended inside was expected.
    Maintenance,
    /// This node's own network was at fault: summarised.
    Uplink,
}

impl Hold {
    pub fn as_str(self) -> &'static str {
        match self {
            Hold::Silence => "silence",
            Hold::Maintenance => "maintenance",
            Hold::Uplink => "uplink",
        }
    }
}

/// What holds a service's alerts back at one look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The window's, or a word.
    pub id: String,
    pub by: Hold,
    pub from: UnixMs,
    pub until: UnixMs,
}

/// All of it, as read at one look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operator {
    /// By incident id.
    pub acknowledgements: BTreeMap<String, Acknowledgement>,
    /// By their own id.
    pub windows: BTreeMap<String, Window>,
}

/// No window is longer: a silence that is forgotten is a monitor that is off.
pub const WINDOW_MAX: Duration = Duration::from_secs(31 * 86_400);

impl Operator {
    /// The window that holds the service's alerts back now. Maintenance goes before silence:
    /// it says more.
    pub fn hold(&self, service: &str, now: UnixMs) -> Option<Held> {
        let covers = |w: &Window| {
            (w.service.is_empty() || w.service == service) && w.from <= now && now < w.until
        };
        let open = self.windows.iter().filter(|(_, w)| covers(w));
        let (id, window) = open.min_by_key(|(_, w)| w.hold != Hold::Maintenance)?;
        Some(Held {
            id: id.clone(),
            by: window.hold,
            from: window.from,
            until: window.until,
        })
    }
}
