//! `watchbell`: the embedded runtime and operator CLI.

mod app;

fn main() {}
