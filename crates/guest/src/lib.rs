//! The thin shell that components share: what touches the host, and nothing that decides.

pub mod check;
pub mod clock;
pub mod deadline;
pub mod entry;
pub mod log;
pub mod outgoing;
pub mod ring;
pub mod store;
pub mod variables;

pub use check::{Check, Report};
pub use deadline::{Deadline, Expired};

/// What [`export!`] needs from the outside, so that a component names only this crate.
#[doc(hidden)]
pub mod __private {
    pub use spin_sdk;
    pub use wasi;
}
