//! The component's variables.

use spin_sdk::variables;

use crate::log;

/// The value; `None` when the stanza has no such variable.
pub fn get(key: &str) -> Option<String> {
    match variables::get(key) {
        Ok(value) => Some(value),
        Err(variables::Error::Undefined(_)) => None,
        Err(e) => {
            // A provider that fails or a name that cannot be one. The text of a
            // provider's error may hold an address, never the value.
            log::line(&format!("reading variable {key:?}: {e}"));
            None
        }
    }
}
