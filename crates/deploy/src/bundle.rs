//! What a node needs to run the application by itself, without a registry: the manifest over
//! wasm files that lie beside it, and what the system's own programs read.

mod manifest;

use crate::File;
use crate::fill::fill;

pub use manifest::{Application, MANIFEST_NAME, WASM_DIR, Wasm};

/// What runs the application on the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// `spin up` with the cron plugin.
    Spin,
    /// `watchbell up`, which carries the application in its own file.
    Embedded,
}

/// The systemd unit's file.
pub const UNIT_NAME: &str = "watchbell.service";
pub const LOGROTATE_NAME: &str = "watchbell.logrotate";
pub const ENVIRONMENT_NAME: &str = "watchbell.env.example";
pub const RUNTIME_CONFIG_NAME: &str = "runtime-config.toml";
pub const INSTALL_NAME: &str = "INSTALL.md";

/// One directory a version, and the link that says which of them runs.
pub const INSTALL_DIR: &str = "/opt/watchbell";
/// What the operator writes: no upgrade touches it.
pub const CONFIG_DIR: &str = "/etc/watchbell";
/// What outlives every version: the database, the logs, the compiled code.
pub const STATE_DIR: &str = "/var/lib/watchbell";

/// The memory that the unit may take. Compiling at the first start needs the most of it.
const MEMORY_MAX: &str = "512M";

/// The files beside the application itself.
pub fn files(application: &Application, runtime: Runtime) -> Vec<File> {
    let environment = application.environment();
    let values = [
        ("install_dir", INSTALL_DIR),
        ("config_dir", CONFIG_DIR),
        ("state_dir", STATE_DIR),
        ("memory_max", MEMORY_MAX),
        ("version", application.version()),
        ("variables", &environment),
    ];
    let file = |name, template| File {
        name,
        text: fill(template, &values),
    };
    let mut files = match runtime {
        Runtime::Spin => vec![
            file(UNIT_NAME, include_str!("bundle/spin.service")),
            file(INSTALL_NAME, include_str!("bundle/spin.md")),
        ],
        Runtime::Embedded => vec![
            file(UNIT_NAME, include_str!("bundle/embedded.service")),
            file(INSTALL_NAME, include_str!("bundle/embedded.md")),
        ],
    };
    files.extend([
        file(
            RUNTIME_CONFIG_NAME,
            include_str!("bundle/runtime-config.toml"),
        ),
        file(ENVIRONMENT_NAME, include_str!("bundle/watchbell.env")),
        file(LOGROTATE_NAME, include_str!("bundle/logrotate")),
    ]);
    files
}
