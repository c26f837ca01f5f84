//! A node, its store, its receivers and what they watch, in simulated time: the true counting
//! and the true alerting run in it, and everything around them fails in every way. What comes
//! out is held against the documentation by a checker that shares no rule with them.
//!
//! One seed is one story. `cargo run --release -p watchbell-simulator -- --seed N` tells it
//! again; `--days 1000000` runs that many monitor-days.

mod checker;
mod evidence;
mod node;
mod plan;
mod receiver;
mod story;
mod world;

pub use checker::Violation;
pub use story::{Figures, play};
