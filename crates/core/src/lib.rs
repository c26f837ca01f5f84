//! The rules of Watchbell, pure: no clock, no I/O, no environment, no randomness.

pub mod outcome;
pub mod settings;
pub mod target;
