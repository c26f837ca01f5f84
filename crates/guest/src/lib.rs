//! The thin shell that components share: what touches the host, and nothing that decides.

pub mod deadline;

pub use deadline::{Deadline, Expired};
