//! What an application needs where it is deployed, made from the application itself: texts
//! for other programs to read. Nothing here runs, asks the network or writes a file.

pub mod budget;
pub mod bundle;
pub mod entries;
mod fill;
pub mod kustomize;
pub mod manifest;

pub mod origin;
pub mod schedule;

use std::fmt;

pub use entries::{Entries, Entry};
pub use origin::Origin;

/// A file to write, by its name in the directory that the operator chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub name: &'static str,
    pub text: String,
}

/// Why nothing is written: each mistake on a line of its own, with what would be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub Vec<String>);

impl Refused {
    fn one(why: String) -> Self {
        Self(vec![why])
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Refused {}
