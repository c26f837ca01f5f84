//! The application as the operator wrote it: `spin.toml`, variables, runtime config.
//!
//! Everything here is read and checked, and nothing runs. Reading goes on after a
//! mistake, so that the operator sees every one of them at once; what Spin refuses
//! is refused, and what Spin denies is denied.

mod app;
mod document;
mod finding;
mod manifest;
mod names;
mod permissions;
mod route;
mod runtime_config;
mod schedule;
mod target;
mod template;
mod validate;
mod variables;

pub use app::{App, Build, Component, CronTrigger, HttpTrigger, LoadOptions};
pub use finding::{Finding, Level};
pub use permissions::{AllowedHosts, BlockedNetworks, PermissionError};
pub use route::route_pattern;
pub use runtime_config::{ClientCertificate, ClientTls, ClientTlsEntry, OutboundHttp, Store};
pub use schedule::{Period, Schedule, ScheduleError};
pub use target::{Limits, Target};
pub use template::{Template, Unclosed};
pub use validate::{Demand, Kind, application_variables, validate, validate_for, validate_text};
pub use variables::{ApplicationVariable, Variables};
