//! A true Headscale v0.29 with embedded DERP and TLS, its PostgreSQL, nginx before it,
//! a Redis for the application's own state, and an Alertmanager, each on loopback and of its own;
//! whatever is not installed is a reason to skip.

mod alertmanager;
mod headscale;
mod nginx;
mod postgres;
mod process;
mod redis;

pub use alertmanager::Alertmanager;
pub use headscale::{Database, Headscale, binary as headscale_binary};
pub use nginx::{KeyRoute, Nginx};
pub use postgres::Postgres;
pub use redis::{PASSWORD as REDIS_PASSWORD, Redis};
