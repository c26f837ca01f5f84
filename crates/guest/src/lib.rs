//! The thin shell that components share: what touches the host, and nothing that decides.

pub mod check;
pub mod clock;
pub mod deadline;
pub mod entry;
pub mod log;
pub mod outgoing;
pub mod phases;
pub mod ring;
pub mod store;
pub mod variables;

pub use check::{Check, Report};
pub use deadline::{Deadline, Expired};
pub use phases::Phases;

/// Why a run could not be carried out. Not `anyhow::Error`, which costs a guest 12 KB:
/// nobody asks for its causes one by one.
pub use watchbell_core::store::Failed;

/// What [`export!`] needs from the outside, so that a component names only this crate.
#[doc(hidden)]
pub mod __private {
    pub use spin_sdk;
    pub use wasi;
}
