//! A true Headscale v0.29 with embedded DERP and TLS, its PostgreSQL, and nginx before
//! it, each on loopback and of its own; whatever is not installed is a reason to skip.

mod headscale;
mod nginx;
mod postgres;
mod process;

pub use headscale::{Database, Headscale};
pub use nginx::{KeyRoute, Nginx};
pub use postgres::Postgres;
