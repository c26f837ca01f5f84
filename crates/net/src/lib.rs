//! Resolve, connect, read and write over `wasi:sockets`, under one deadline.
//!
//! `std` loses what matters here (a refused connection looks connected, see
//! `docs/architecture.md`), and the host resolves no names for sockets, so both are
//! done with the host's own calls and codes.

mod address;
mod connect;
mod datagrams;
mod dns;
mod lookup;
mod resolve;
mod stream;

pub use connect::{Attempt, Connected, Unconnected, connect, telling};
pub use datagrams::Datagrams;
pub use lookup::Trouble;
pub use resolve::resolve;
pub use stream::TcpStream;
