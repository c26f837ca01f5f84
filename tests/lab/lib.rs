//! The lab: local servers that play every state of the monitored system, and the
//! harness that runs the shipped wasm against them.
//!
//! | module | plays |
//! |---|---|
//! | [`alone`] | nothing: the network, and the mount table, that a test has to itself |
//! | [`firewall`] | a packet filter, before one port |
//! | [`guide`] | a machine to follow an installation guide on |
//! | [`headscale`] | Headscale, its proxies and their mistakes |
//! | [`browser`] | nothing: it looks at the pages, as people do |
//! | [`bundle`] | a node that has a bundle and nothing else |
//! | [`chain`] | certificate chains, valid and faulty in one way each |
//! | [`client`] | a client that trusts them |
//! | [`dns`] | a DNS server over UDP and TCP, honest or not |
//! | [`stun`] | a relay's STUN server |
//! | [`receivers`] | who receives what any channel sends |
//! | [`webhook`] | who receives the alerts, and checks their signature |
//! | [`port`] | a port that is open, refused or dropped |
//! | [`runtime`] | the application itself, on the embedded runtime or on Spin |
//! | [`command`] | `watchbell check`, and the other commands that end |
//! | [`scenario`] | all of them together: break one thing, read the alerts |
//! | [`real`] | a true Headscale, PostgreSQL, nginx and Redis, where they are installed |
//!
//! Every server binds port 0 on loopback and ends when dropped. Threads, not tasks:
//! a server that is to answer wrongly is easiest to read as blocking code.

// What fails here fails the test that uses it: there is nobody to hand an error to.
#![allow(clippy::unwrap_used)]

pub mod alone;
pub mod browser;
pub mod bundle;
pub mod chain;
pub mod client;
pub mod command;
pub mod dns;
pub mod firewall;
pub mod guide;
pub mod headscale;
pub mod leash;
pub mod manifest;
pub mod port;
pub mod real;
pub mod receivers;
pub mod runtime;
pub mod scenario;
pub mod server;
pub mod skip;
pub mod state;
pub mod stun;
pub mod wait;
pub mod wasm;
pub mod webhook;
pub mod wire;
