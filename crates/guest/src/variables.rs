//! The component's variables.

use std::cell::RefCell;

use spin_sdk::variables;

use crate::{Failed, log};

/// Runs `read` over the variables. A provider that fails is an error, and not a
/// variable that is absent: defaults in its place would send alerts nowhere.
pub fn reading<T>(read: impl FnOnce(&dyn Fn(&str) -> Option<String>) -> T) -> Result<T, Failed> {
    let failure = RefCell::new(None);
    let value = read(&|key| match variables::get(key) {
        Ok(value) => Some(value),
        Err(variables::Error::Undefined(_)) => None,
        Err(e) => {
            // The text may hold a provider's address, never the value.
            failure
                .borrow_mut()
                .get_or_insert_with(|| format!("reading variable {key:?}: {e}"));
            None
        }
    });
    match failure.into_inner() {
        Some(why) => Err(why),
        None => Ok(value),
    }
}

/// One value; `None` when the stanza has no such variable, or its provider fails.
pub fn get(key: &str) -> Option<String> {
    reading(|get| get(key)).unwrap_or_else(|why| {
        log::line(&why);
        None
    })
}
