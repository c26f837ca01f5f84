//! The component's variables.

use std::cell::RefCell;

use spin_sdk::variables;
use watchbell_core::settings::Mistake;

use crate::log;

/// Runs `read` over the variables. A provider that fails is a mistake, and not a
/// variable that is absent: defaults in its place would send alerts nowhere.
pub fn read<T>(read: impl FnOnce(&dyn Fn(&str) -> Option<String>) -> T) -> (T, Option<Mistake>) {
    let failed = RefCell::new(None);
    let value = read(&|key| match variables::get(key) {
        Ok(value) => Some(value),
        Err(variables::Error::Undefined(_)) => None,
        Err(e) => {
            failed.borrow_mut().get_or_insert_with(|| Mistake {
                key: key.to_owned(),
                // The text may hold a provider's address, never the value.
                got: e.to_string(),
                want: "its provider to answer".to_owned(),
            });
            None
        }
    });
    (value, failed.into_inner())
}

/// One value; `None` when the stanza has no such variable, or its provider fails.
pub fn get(key: &str) -> Option<String> {
    let (value, failed) = read(|get| get(key));
    if let Some(mistake) = failed {
        log::line(&mistake.to_string());
    }
    value
}
