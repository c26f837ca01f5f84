//! The command line.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use watchbell_app::{LoadOptions, Target};
use watchbell_core::settings::parse_duration;

use crate::bundle::{self, BundleArgs};
use crate::payload::{self, Unpacked};
use crate::{
    check, compiled, demo, manifest, operate, say, schedule, status, terminal, up, validate,
};

/// A command that could not do what it was asked.
pub const EXIT_FAILED: u8 = 1;

const CHECK_COMMAND: &str = "check";
pub const MANIFEST_NAME: &str = "spin.toml";
const CARRIED_NAME: &str = "spin.toml (in this program)";
/// What the environment may say in an option's place.
pub const RUNTIME_CONFIG_VARIABLE: &str = "RUNTIME_CONFIG_FILE";
pub const LISTEN_VARIABLE: &str = "SPIN_HTTP_LISTEN_ADDR";

/// Watches a self-hosted network control plane from outside.
#[derive(Parser)]
#[command(name = "watchbell", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the application: its cron and HTTP triggers, until SIGINT or SIGTERM
    Up(UpArgs),
    /// Run one check once, beside the stored state, and print its outcome as a Nagios plugin
    ///
    /// Exit code 0: up, 1: degraded or a warning, 2: failed, 3: could not be run.
    #[command(name = CHECK_COMMAND)]
    Check(CheckArgs),
    /// Find every mistake in the manifest, the variables and the runtime config
    ///
    /// Exit code 0: none, 1: warnings, 2: errors.
    Validate(ValidateArgs),
    /// Write the manifest for a place to run, made from spin.toml
    ///
    /// What was changed, and what the place allows of what is asked of it, is told on standard
    /// error. Exit code 0: written, 1: it cannot be written, 2: refused, with every reason.
    Manifest(manifest::ManifestArgs),
    /// Write what calls the application where nothing fires its cron triggers
    ///
    /// Exit code 0: written, 1: it cannot be written, 2: refused, with every reason.
    Schedule(schedule::ScheduleArgs),
    /// Write a Kustomize base: the application on SpinKube
    ///
    /// Exit code 0: written, 1: it cannot be written, 2: refused, with every reason.
    Kustomize(schedule::KustomizeArgs),
    /// Watch a stand-in for Headscale that is broken twice, and see the alerts
    Demo(DemoArgs),
    /// Make a directory with all that a node needs to run the application, offline
    Bundle(BundleArgs),
    #[command(flatten)]
    Look(status::Look),
    #[command(flatten)]
    Operate(operate::Wish),
    #[command(name = compiled::COMPILE_COMMAND, hide = true)]
    Compile { source: PathBuf, target: PathBuf },
}

/// Where the application is.
#[derive(Args)]
pub struct FromArgs {
    /// The manifest, or the directory that holds spin.toml; default: the application that this
    /// program carries (`watchbell bundle`), or else that of the current directory
    #[arg(
        short = 'f',
        long = "from",
        visible_alias = "from-file",
        value_name = "PATH"
    )]
    from: Option<PathBuf>,
}

/// What says which application to run, as for `spin up`.
#[derive(Args)]
pub struct AppArgs {
    #[command(flatten)]
    pub from: FromArgs,
    /// Set a variable: name=value, name=@file, @file.json or @file.toml; may be repeated
    #[arg(long = "variable", value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// Runtime config: key-value stores, variable providers, outbound HTTP, client TLS
    // As for --state-dir; in the environment, empty is how a deployment says none.
    #[arg(long, value_name = "FILE", env = RUNTIME_CONFIG_VARIABLE)]
    runtime_config_file: Option<OsString>,
    /// Where logs and key-value data go, empty for none; default: .spin beside the manifest,
    /// and for the application that this program carries the directory that systemd gives,
    /// or watchbell in the user's state directory
    // A PathBuf's parser would refuse the empty one.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<OsString>,
}

#[derive(Args)]
pub struct UpArgs {
    #[command(flatten)]
    pub app: AppArgs,
    /// Where the HTTP trigger listens; port 0 for any free one
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value_t = up::DEFAULT_LISTEN,
        value_parser = listen_address,
        env = LISTEN_VARIABLE
    )]
    pub listen: SocketAddr,
    /// Refuse what this place to run refuses: spin, spinkube, fermyon-cloud or akamai
    #[arg(long)]
    pub target: Option<Target>,
    /// Set an environment variable of every component; may be repeated
    #[arg(short = 'e', long = "env", value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Build every component first, not only those that are not built
    #[arg(long)]
    pub build: bool,
    /// Keep the components' output off the terminal
    #[arg(short = 'q', long)]
    pub quiet: bool,
    /// End as at SIGTERM when standard input does: however who holds it ends
    #[arg(long, hide = true)]
    pub until_stdin_ends: bool,
}

impl UpArgs {
    /// Whose refusals hold; Spin has none beside the runtime's own.
    pub fn imitated(&self) -> Target {
        self.target.unwrap_or(Target::Spin)
    }
}

#[derive(Args)]
pub struct CheckArgs {
    /// The check's component id
    pub id: String,
    #[command(flatten)]
    pub app: AppArgs,
    /// Print one JSON object instead
    #[arg(long)]
    pub json: bool,
}

/// Nothing but the application: state, variables and addresses are the demo's own.
#[derive(Args)]
pub struct DemoArgs {
    #[command(flatten)]
    from: FromArgs,
}

#[derive(Args)]
pub struct ValidateArgs {
    #[command(flatten)]
    pub app: AppArgs,
    /// Where it is to run: spin, spinkube, fermyon-cloud or akamai
    #[arg(long, default_value_t = Target::Spin)]
    pub target: Target,
    /// Print one JSON array instead
    #[arg(long)]
    pub json: bool,
}

/// An address or a name with a port; empty, as a variable of the environment may be, counts
/// as not given. Of a name's addresses 127.0.0.1 before the first, as on Spin: `localhost` is
/// often `::1` too, and whoever asks for it may not be.
fn listen_address(given: &str) -> Result<SocketAddr, String> {
    if given.is_empty() {
        return Ok(up::DEFAULT_LISTEN);
    }
    let addresses: Vec<SocketAddr> = given
        .to_socket_addrs()
        .map_err(|error| format!("{error}, want an address or a name with a port"))?
        .collect();
    let loopback = addresses.iter().find(|a| a.ip() == Ipv4Addr::LOCALHOST);
    loopback
        .or(addresses.first())
        .copied()
        .ok_or_else(|| "the name has no address".to_owned())
}

pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Not `args()`, which panics at one that is not text.
            let arguments = std::env::args_os().skip(1);
            let arguments: Vec<String> = arguments
                .map(|argument| argument.to_string_lossy().into_owned())
                .collect();
            return usage(&error, &arguments);
        }
    };
    let result = match cli.command {
        Command::Up(args) => up::main(&args),
        // Its exit codes are a plugin's, also for what went wrong before the check.
        Command::Check(args) => return check::main(&args),
        Command::Validate(args) => validate::main(&args),
        Command::Manifest(args) => manifest::main(&args),
        Command::Schedule(args) => schedule::schedule(&args),
        Command::Kustomize(args) => schedule::kustomize(&args),
        Command::Look(look) => status::main(&look),
        Command::Operate(wish) => operate::main(&wish),
        Command::Demo(args) => args
            .from
            .application()
            .and_then(|application| demo::main(&application.manifest)),
        Command::Bundle(args) => bundle::main(&args),
        Command::Compile { source, target } => {
            compiled::compile(&source, &target).map(|()| ExitCode::SUCCESS)
        }
    };
    let code = result.unwrap_or_else(|error| {
        say::error(&format!("{error:#}"));
        ExitCode::from(EXIT_FAILED)
    });
    terminal::flush();
    code
}

fn current_dir() -> anyhow::Result<PathBuf> {
    std::env::current_dir().context("finding the current directory")
}

/// The manifest itself, or the one in a directory.
fn manifest_at(from: &Path) -> anyhow::Result<PathBuf> {
    let from = current_dir()?.join(from);
    Ok(if from.is_dir() {
        from.join(MANIFEST_NAME)
    } else {
        from
    })
}

/// A mistake in the arguments of `check` is told as a plugin tells it: clap's exit code,
/// 2, would be a critical outcome of the check. Help and version are no mistakes.
fn usage(error: &clap::Error, arguments: &[String]) -> ExitCode {
    match arguments {
        [command, rest @ ..] if command == CHECK_COMMAND && error.use_stderr() => {
            // As far as it can be told where the arguments are wrong.
            let id = rest
                .iter()
                .find(|id| !id.starts_with('-') && !id.contains(['=', '.', '/']));
            let json = rest.iter().any(|argument| argument == "--json");
            check::not_run(id.map_or(CHECK_COMMAND, String::as_str), &said(error), json)
        }
        _ => error.exit(),
    }
}

/// clap's first paragraph on one line; what follows is the usage.
fn said(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    let line = lines.join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

/// An application whose files are there as long as this lives.
pub struct Application {
    pub manifest: PathBuf,
    carried: Option<Unpacked>,
}

impl Application {
    pub fn is_carried(&self) -> bool {
        self.carried.is_some()
    }

    /// What to call the manifest: that of a carried one lies where nobody can look it up.
    pub fn name(&self) -> String {
        match self.carried {
            Some(_) => CARRIED_NAME.to_owned(),
            None => self.manifest.display().to_string(),
        }
    }
}

impl FromArgs {
    /// The one that was asked for, or the one that this program carries, or the one here.
    pub fn application(&self) -> anyhow::Result<Application> {
        if self.from.is_none()
            && let Some(unpacked) = payload::carried()?
        {
            return Ok(Application {
                manifest: unpacked.dir().join(MANIFEST_NAME),
                carried: Some(unpacked),
            });
        }
        Ok(Application {
            manifest: manifest_at(self.from.as_deref().unwrap_or(Path::new(".")))?,
            carried: None,
        })
    }
}

/// Where the state of a carried application goes: beside a manifest in a temporary directory
/// it would be lost, and in the current one it would be another in each directory.
fn state_dir_of_carried() -> anyhow::Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    // systemd's: the unit's StateDirectory=, or several with colons between them.
    if let Some(dirs) = variable("STATE_DIRECTORY")
        && let Some(first) = std::env::split_paths(&dirs).next()
    {
        return Ok(first);
    }
    let of_user = variable("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".local/state")));
    let dir = of_user.context(
        "finding where state goes: got none of STATE_DIRECTORY, XDG_STATE_HOME and HOME, want --state-dir",
    )?;
    Ok(dir.join("watchbell"))
}

impl AppArgs {
    /// As [`load_options`](Self::load_options), for what keeps state.
    pub fn run_options(
        &self,
        application: &Application,
        fill: BTreeMap<String, String>,
    ) -> anyhow::Result<LoadOptions> {
        if self.state_dir.is_none() && application.is_carried() {
            state_dir_of_carried()?;
        }
        self.load_options(application, fill)
    }

    pub fn load_options(
        &self,
        application: &Application,
        fill: BTreeMap<String, String>,
    ) -> anyhow::Result<LoadOptions> {
        let state_dir_default = match (&self.state_dir, application.is_carried()) {
            (None, true) => state_dir_of_carried().ok(),
            _ => None,
        };
        Ok(LoadOptions {
            manifest: application.manifest.clone(),
            manifest_name: application.is_carried().then(|| application.name()),
            state_dir_default,
            runtime_config_file: self
                .runtime_config_file
                .clone()
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            variables: self.variables.clone(),
            state_dir: self.state_dir.clone().map(PathBuf::from),
            cwd: current_dir()?,
            // A name or value that is not text can be no variable of ours.
            env: std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .collect(),
            fill,
        })
    }
}

pub fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "want a duration such as 20s, 60s or 5m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_error_is_said_in_one_line() {
        for (arguments, want) in [
            (
                &["watchbell", "check"][..],
                "the following required arguments were not provided: <ID>",
            ),
            (
                &["watchbell", "check", "health", "--jsn"],
                "unexpected argument '--jsn' found",
            ),
        ] {
            let error = Cli::try_parse_from(arguments).err().expect("a mistake");
            assert_eq!(said(&error), want, "{arguments:?}");
        }
    }

    #[test]
    fn up_listens_at_an_address_or_at_a_name() {
        let listen = |text: &str| listen_address(text).map(|address| address.to_string());
        assert_eq!(listen("localhost:3000").as_deref(), Ok("127.0.0.1:3000"));
        assert_eq!(listen("[::1]:0").as_deref(), Ok("[::1]:0"));
        assert_eq!(listen("").as_deref(), Ok("127.0.0.1:3000"), "as not given");
        assert!(listen("localhost").is_err());
        assert!(listen("localhost:65536").is_err());
    }
}
