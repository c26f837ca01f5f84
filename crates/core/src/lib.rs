//! The rules of Watchbell, pure: no clock, no I/O, no environment, no randomness.
//!
//! A probe finds an [`outcome::Outcome`]; [`monitor::step`] counts it and says what
//! must be told; the [`ledger::Ledger`] turns that into messages and keeps each until
//! it is delivered.

pub mod alerting;
pub mod certificate;
pub mod channel;
pub mod control;
pub mod counting;
pub mod diagnosis;
mod digest;
pub mod history;
pub mod identity;
pub mod incident;
pub mod json;
pub mod ledger;
pub mod measured;
pub mod monitor;
pub mod notice;
pub mod operator;
pub mod outbox;
pub mod outcome;
pub mod past;
pub mod record;
pub mod recurring;
pub mod response;
pub mod secret;
pub mod settings;
pub mod signature;
pub mod store;
pub mod target;
pub mod time;
