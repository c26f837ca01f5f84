//! What Watchbell shows. Reads what checks and the alert component have written, and has no
//! way to write any of it.
//!
//! [`respond`] answers one request. Everything that it shows is one of the types of [`view`],
//! made for who asks ([`access`]).

pub mod access;
pub mod api;
pub mod badge;
pub mod explain;
pub mod feed;
pub mod health;
pub mod metrics;
pub mod page;
pub mod records;
mod routes;
pub mod view;
mod web;
mod xml;

pub use routes::respond;
pub use web::{Request, Response, Verb};
