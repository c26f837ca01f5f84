//! The application as the operator wrote it: `spin.toml`, variables, runtime config.
//!
//! Everything here is data that has been read and checked; nothing runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// A Spin manifest (version 2), as far as this runtime implements it.
pub struct App {
    /// The manifest's own path, absolute.
    pub manifest: PathBuf,
    /// The manifest's directory: relative paths start here.
    pub dir: PathBuf,
    pub name: String,
    pub version: String,
    /// By component id.
    pub components: BTreeMap<String, Component>,
    pub http: Vec<HttpTrigger>,
    pub cron: Vec<CronTrigger>,
}

pub struct Component {
    pub id: String,
    /// The wasm file, absolute.
    pub source: PathBuf,
    /// `[component.<id>.environment]`.
    pub environment: BTreeMap<String, String>,
    /// As written, templates included.
    pub allowed_outbound_hosts: Vec<String>,
    /// Labels that the component may open.
    pub key_value_stores: Vec<String>,
    /// `[component.<id>.variables]`, as written, templates included.
    pub variables: BTreeMap<String, String>,
    pub build: Option<Build>,
}

pub struct Build {
    pub command: String,
    /// Absolute.
    pub workdir: PathBuf,
}

pub struct HttpTrigger {
    /// Spin's route syntax: exact, `/x/...`, `/x/:name`.
    pub route: String,
    pub component: String,
}

pub struct CronTrigger {
    /// Six fields, seconds first, UTC.
    pub expression: String,
    pub component: String,
}
