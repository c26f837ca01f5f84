//! Resolve, connect, read and write over `wasi:sockets`, under one deadline.
//!
//! `std` loses what matters here (a refused connection looks connected, see
//! `docs/architecture.md`), and the host resolves no names for sockets, so both are
//! done with the host's own calls and codes.

pub mod dns;

mod address;
mod connect;
mod resolve;
mod stream;

pub use connect::{Attempt, Connected, connect};
pub use resolve::resolve;
pub use stream::TcpStream;
