//! The rules of Watchbell, pure: no clock, no I/O, no environment, no randomness.
//!
//! A probe finds an [`outcome::Outcome`]; [`monitor::step`] counts it and says what
//! must be told; the [`ledger::Ledger`] turns that into messages and keeps each until
//! it is delivered.

pub mod certificate;
pub mod json;
pub mod ledger;
pub mod monitor;
pub mod outcome;
pub mod record;
pub mod response;
pub mod settings;
pub mod signature;
pub mod target;
pub mod time;
