//! True programs, each on loopback and of its own: Headscale (v0.29, v0.26) with embedded
//! DERP and TLS, its PostgreSQL, derper, the proxies before them, a Redis for the
//! application's own state, and an Alertmanager. Whatever is not installed is a reason to
//! skip.

mod alertmanager;
mod axe;
mod derper;
mod go;
mod headscale;
pub mod kubernetes;
mod nginx;
mod postgres;
pub(crate) mod process;
mod proxy;
mod redis;

pub use alertmanager::Alertmanager;
pub use axe::axe;
pub use derper::Derper;
pub use headscale::{Database, Headscale, Options, Release, binary as headscale_binary};
pub use nginx::{KeyRoute, Nginx};
pub use postgres::Postgres;
pub use proxy::{Program, Proxy, WAYS, Way};
pub use redis::{PASSWORD as REDIS_PASSWORD, Redis};
