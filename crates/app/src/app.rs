//! The application, ready to run: what the runtime needs and nothing of how it was written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::finding::Finding;
use crate::permissions::{AllowedHosts, BlockedNetworks, PermissionError};
use crate::runtime_config::{ClientTls, OutboundHttp, Store};
use crate::schedule::Schedule;
use crate::target::Target;
use crate::validate::Kind;
use crate::variables::Variables;

/// What the operator gave, on the command line and around it.
#[derive(Clone, Default)]
pub struct LoadOptions {
    /// The manifest's path, `spin.toml` as a rule.
    pub manifest: PathBuf,
    /// What messages call the manifest, where its path would say nothing to the operator.
    pub manifest_name: Option<String>,
    /// `--runtime-config-file`.
    pub runtime_config_file: Option<PathBuf>,
    /// The texts after `--variable`, in order.
    pub variables: Vec<String>,
    /// `--state-dir`; empty for none, and then the default store is in memory.
    pub state_dir: Option<PathBuf>,
    /// Where state goes when neither that nor the runtime config says; `.spin` beside the
    /// manifest without.
    pub state_dir_default: Option<PathBuf>,
    /// Where relative paths on the command line start.
    pub cwd: PathBuf,
    /// The environment. Given, never read here: two loads of the same options are equal.
    pub env: BTreeMap<String, String>,
    /// Values that the runtime supplies where the operator gave none, before the
    /// manifest's default: the system's resolver, the application's own address.
    pub fill: BTreeMap<String, String>,
}

/// A checked application.
#[derive(Debug)]
pub struct App {
    /// Absolute.
    pub manifest: PathBuf,
    /// The manifest's directory, absolute.
    pub dir: PathBuf,
    pub name: String,
    pub version: String,
    /// By id.
    pub components: BTreeMap<String, Component>,
    pub http: Vec<HttpTrigger>,
    pub cron: Vec<CronTrigger>,
    /// By label; `default` is always there.
    pub key_value_stores: BTreeMap<String, Store>,
    pub client_tls: ClientTls,
    pub outbound_http: OutboundHttp,
    pub blocked_networks: BlockedNetworks,
    /// Absolute; `None` for none.
    pub state_dir: Option<PathBuf>,
    /// Absolute; `None` for none.
    pub log_dir: Option<PathBuf>,
    pub max_instance_memory_bytes: Option<u64>,
    /// What is wrong and does not keep it from starting.
    pub findings: Vec<Finding>,
}

#[derive(Debug)]
pub struct Component {
    pub id: String,
    /// By the name of the wasm file; `None` for a component that is not ours.
    pub kind: Option<Kind>,
    /// The wasm file, absolute.
    pub source: PathBuf,
    pub environment: BTreeMap<String, String>,
    /// With an error, every outbound call of the component fails, as on Spin.
    pub allowed_outbound_hosts: Result<AllowedHosts, PermissionError>,
    /// Labels that the component may open.
    pub key_value_stores: Vec<String>,
    /// The component's own, templates resolved.
    pub variables: Variables,
    pub build: Option<Build>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// Shell commands, run one after the other.
    pub command: Vec<String>,
    /// Absolute.
    pub workdir: PathBuf,
    /// Patterns of the source files, relative to `workdir`.
    pub watch: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTrigger {
    /// As written, in Spin's syntax: `/x`, `/x/...`, `/x/:name`.
    pub route: String,
    pub component: String,
}

#[derive(Clone, Debug)]
pub struct CronTrigger {
    /// As written: six fields, seconds first, UTC.
    pub expression: String,
    pub schedule: Schedule,
    pub component: String,
}

impl App {
    /// The application, or every finding when one of them keeps it from starting.
    pub fn load(options: &LoadOptions) -> Result<Self, Vec<Finding>> {
        Self::load_for(options, Target::Spin)
    }

    /// As [`App::load`], where the target's refusals keep it from starting, too.
    pub fn load_for(options: &LoadOptions, target: Target) -> Result<Self, Vec<Finding>> {
        let examined = crate::validate::examine(options, target);
        let findings = examined.findings;
        match examined.app {
            Some(app) => Ok(Self { findings, ..app }),
            None => Err(findings),
        }
    }
}
