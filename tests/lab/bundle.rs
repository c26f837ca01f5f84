//! A node: an empty folder, what `watchbell bundle` made, and nothing else of ours.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use crate::command::Answer;
use crate::leash::Leash;
use crate::manifest::{self, Changes};
use crate::port::Port;
use crate::state::State;
use crate::wasm::{COMPILED_DIR, SPIN, WATCHBELL};
use crate::{wait, wire};

/// A first start compiles every wasm file, Spin at each: some ten seconds, on a machine that does
/// nothing else.
const COMPILE_PATIENCE: Duration = Duration::from_secs(300);
/// Of a failed node's log, this much is shown.
const LOG_BYTES_SHOWN: usize = 8_000;

/// Makes a bundle of the shipped application, hurried, in that version.
pub fn make(target: &str, version: &str, changes: &Changes, output: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let manifest = dir.path().join("spin.toml");
    manifest::write(&manifest, changes);
    let text = fs::read_to_string(&manifest).unwrap();
    let versioned = text.replacen("version = \"0.1.0\"", &format!("version = {version:?}"), 1);
    assert!(text != versioned || version == "0.1.0", "{text}");
    fs::write(&manifest, versioned).unwrap();
    let answer = bundle(target, &manifest, output);
    assert_eq!(answer.exit, 0, "{answer:?}");
}

/// `watchbell bundle`, of that manifest.
pub fn bundle(target: &str, manifest: &Path, output: &Path) -> Answer {
    let mut command = Command::new(&*WATCHBELL);
    command
        .args(["bundle", "--target", target, "-f"])
        .arg(manifest)
        .arg("--output")
        .arg(output);
    Answer::of(&mut command)
}

/// What runs the bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// The bundle's own file, and what it carries.
    Itself,
    /// The bundle's directory, by `watchbell up -f`.
    Embedded,
    /// The bundle's directory, by `spin up -f`.
    Spin,
}

pub struct Node {
    dir: TempDir,
    listen: Port,
    variables: Vec<(&'static str, String)>,
    child: Option<(Child, Leash)>,
}

impl Node {
    pub fn new(variables: Vec<(&'static str, String)>) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("watchbell-node-")
            .tempdir()
            .unwrap();
        for folder in ["cwd", "state", "tmp", "home"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        symlink(&*COMPILED_DIR, dir.path().join("state/compiled")).unwrap();
        Self {
            dir,
            listen: Port::reserve(),
            variables,
            child: None,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts the bundle, in an empty directory and with an environment that holds what the
    /// unit gives.
    pub fn up(&mut self, bundle: &Path, runs: Runs) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        let mut command = self.command(bundle, runs);
        command
            .arg("up")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0);
        if runs != Runs::Itself {
            let config = fs::read_to_string(bundle.join("runtime-config.toml")).unwrap();
            let state = self.path("state");
            let config = config.replace("/var/lib/watchbell", state.to_str().unwrap());
            fs::write(self.path("runtime-config.toml"), config).unwrap();
            command
                .arg("-f")
                .arg(bundle)
                .arg("--state-dir")
                .arg(state)
                .arg("--runtime-config-file")
                .arg(self.path("runtime-config.toml"));
        }
        let child = command.spawn().unwrap();
        let leash = Leash::hold(&child);
        self.child = Some((child, leash));
        let serving = wait::within(COMPILE_PATIENCE, || {
            self.must_run();
            self.request("/.well-known/spin/health").ok()
        });
        assert!(serving.is_some(), "waiting for the node to serve");
    }

    fn must_run(&mut self) {
        let ended = |(child, _): &mut (Child, Leash)| child.try_wait().unwrap();
        let end = self.child.as_mut().and_then(ended);
        assert_eq!(end, None, "the node has ended by itself");
    }

    /// The program that runs the bundle, without arguments.
    pub fn command(&self, bundle: &Path, runs: Runs) -> Command {
        let mut command = match runs {
            Runs::Itself => Command::new(bundle.join("watchbell")),
            Runs::Embedded => Command::new(&*WATCHBELL),
            Runs::Spin => Command::new(SPIN.as_ref().unwrap()),
        };
        command
            .current_dir(self.path("cwd"))
            .env_clear()
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("STATE_DIRECTORY", self.path("state"))
            .env("SPIN_HTTP_LISTEN_ADDR", self.listen.addr.to_string())
            .env("RES_OPTIONS", "timeout:1 attempts:1");
        if runs == Runs::Spin {
            // Where its plugin is.
            for name in ["PATH", "SPIN_DATA_DIR", "XDG_DATA_HOME", "HOME"] {
                command.envs(std::env::var_os(name).map(|value| (name, value)));
            }
            let url = format!("http://{}", self.listen.addr);
            command.env("SPIN_VARIABLE_ALERT_URL", url);
        }
        for (name, value) in &self.variables {
            command.env(format!("SPIN_VARIABLE_{}", name.to_uppercase()), value);
        }
        command
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) {
        let (mut child, _leash) = self.child.take().unwrap();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        wait::until("the node to end", || child.try_wait().unwrap());
    }

    pub fn state(&self) -> State {
        State::Sqlite(self.path("state/sqlite_key_value.db"))
    }

    /// Waits until the last probe of that check says so.
    pub fn wait_for_status(&mut self, check: &str, status: &str) {
        let state = self.state();
        wait::until(&format!("{check} to be {status}"), || {
            self.must_run();
            state.last(check).filter(|(_, s)| s == status).map(|_| ())
        });
    }

    pub fn request(&self, path: &str) -> std::io::Result<wire::Response> {
        wire::send(self.listen.addr, "GET", path, &[])
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some((mut child, _leash)) = self.child.take() {
            // Gone already is what is wanted.
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(LOG_BYTES_SHOWN);
            let from = (from..log.len()).find(|i| log.is_char_boundary(*i));
            eprintln!("the node's log, its end:\n{}", &log[from.unwrap_or(0)..]);
        }
    }
}
