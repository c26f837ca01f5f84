//! `watchbell`: the embedded runtime and operator CLI.
//!
//! It reads what Spin reads and runs what Spin runs, on wasmtime, and allows nothing that
//! Spin would deny.

mod ask;
mod bindings;
mod build_step;
mod bundle;
mod chain;
mod check;
mod cli;
mod compiled;
mod component;
mod cron;
mod demo;
mod engine;
mod event;
mod http_server;
mod imitation;
mod key_value;
mod lock;
mod logs;
mod manifest;
mod nagios;
mod operate;
mod outbound_http;
mod output;
mod payload;
mod resolv;
mod routes;
mod run;
mod say;
mod schedule;
mod sockets;
mod status;
mod terminal;
mod up;
mod validate;
mod variables;

fn main() -> std::process::ExitCode {
    cli::main()
}
