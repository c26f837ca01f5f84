//! `fermyon:spin/variables`: a component sees the variables of its own stanza only.

use crate::bindings::spin::fermyon::spin::variables::{Error, Host};
use crate::event::Event;

impl Host for Event {
    fn get(&mut self, name: String) -> wasmtime::Result<Result<String, Error>> {
        if !is_name(&name) {
            return Ok(Err(Error::InvalidName(format!(
                "reading variable {name:?}: want a letter, then lower-case letters, digits and underscores"
            ))));
        }
        Ok(match self.component.variables.get(&name) {
            Some(value) => Ok(value.to_owned()),
            None => Err(Error::Undefined(format!(
                "no variable {name:?} for component {:?}",
                self.component.id
            ))),
        })
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !name.ends_with('_')
        && !name.contains("__")
}
