//! The application, run as an operator runs it: `watchbell up` or `spin up`, with
//! variables on the command line and a runtime config file.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

use crate::chain::AUTHORITY;
use crate::command::Answer;
use crate::leash::Leash;
use crate::manifest::{self, Changes};
use crate::port::Port;
use crate::state::State;
use crate::wasm::{COMPILED_DIR, SPIN, WATCHBELL};
use crate::{skip, wait, wire};

/// Bears the right to run checks over HTTP.
pub const CHECK_TOKEN: &str = "the-lab-may";
/// SIGTERM lets what runs finish; no check of the lab runs longer than this.
const STOP_PATIENCE: Duration = Duration::from_secs(20);
/// Of a failed run's log, this much is shown.
const LOG_BYTES_SHOWN: usize = 8_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// `watchbell up`.
    Embedded,
    /// `spin up` with the cron plugin.
    Spin,
}

/// Fifty scenarios need not say the same.
static SPIN_SKIPPED: AtomicBool = AtomicBool::new(false);

/// The hosts to run `test` on: the embedded one always, Spin where it is installed.
/// `WATCHBELL_RUNTIME=embedded` or `spin` asks for one alone.
pub fn hosts(test: &str) -> Vec<Host> {
    let wanted = std::env::var("WATCHBELL_RUNTIME").unwrap_or_default();
    let mut hosts = Vec::new();
    if wanted != "spin" {
        hosts.push(Host::Embedded);
    }
    if wanted != "embedded" {
        match &*SPIN {
            Some(_) => hosts.push(Host::Spin),
            None => skip::skip_once(
                &SPIN_SKIPPED,
                test,
                "on Spin (and every scenario after it): no spin on PATH, WATCHBELL_SPIN not set",
            ),
        }
    }
    hosts
}

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct AppSpec {
    /// Another application than ours: its whole `spin.toml`.
    pub manifest: Option<String>,
    /// What the embedded runtime imitates; without a runtime config, which no cloud takes.
    pub target: Option<&'static str>,
    pub changes: Changes,
    /// Application variables.
    pub variables: Vec<(&'static str, String)>,
    /// Where state is kept instead of the state directory, and its URL.
    pub redis: Option<(SocketAddr, String)>,
}

pub struct Runtime {
    pub host: Host,
    child: Option<(Child, Leash)>,
    listen: Port,
    dir: TempDir,
    spec: AppSpec,
}

impl Runtime {
    pub fn start(host: Host, spec: AppSpec) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("watchbell-lab-")
            .tempdir()
            .unwrap();
        let mut runtime = Self {
            host,
            child: None,
            listen: Port::reserve(),
            dir,
            spec,
        };
        write_files(runtime.dir.path(), &runtime.spec);
        runtime.run();
        runtime
    }

    /// The process that runs.
    pub fn pid(&self) -> u32 {
        let (child, _) = self.child.as_ref().expect("it runs");
        child.id()
    }

    /// Starts it again, on the state that it left.
    pub fn run(&mut self) {
        assert!(self.child.is_none(), "starting the runtime: it runs");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .unwrap();
        let mut command = command(self.host);
        command
            .args(["up", "-f"])
            .arg(self.dir.path().join("spin.toml"));
        match self.spec.target {
            Some(target) => command.args(["--target", target]),
            None => command
                .arg("--runtime-config-file")
                .arg(self.dir.path().join("runtime.toml")),
        };
        command
            .arg("--state-dir")
            .arg(self.state_dir())
            .args(["--listen", &self.listen.addr.to_string()])
            .args(self.variables())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            // Spin starts a process per trigger type: the group reaches them all.
            .process_group(0);
        let child = command.spawn().unwrap();
        let leash = Leash::hold(&child);
        self.child = Some((child, leash));
    }

    /// `watchbell check <id>` on the same files, beside whatever runs.
    pub fn check(&self, id: &str) -> Answer {
        let mut check = Command::new(&*WATCHBELL);
        check
            .args(["check", id, "--json", "-f"])
            .arg(self.dir.path().join("spin.toml"))
            .arg("--runtime-config-file")
            .arg(self.dir.path().join("runtime.toml"))
            .arg("--state-dir")
            .arg(self.state_dir())
            .args(self.variables());
        Answer::of(&mut check)
    }

    /// `watchbell validate` on the same files.
    pub fn validate(&self) -> Answer {
        let mut validate = Command::new(&*WATCHBELL);
        validate
            .args(["validate", "-f"])
            .arg(self.dir.path().join("spin.toml"))
            .arg("--runtime-config-file")
            .arg(self.dir.path().join("runtime.toml"))
            .args(self.variables());
        Answer::of(&mut validate)
    }

    /// Rewrites the manifest: what the next [`run`](Self::run) starts.
    pub fn change(&mut self, changes: Changes) {
        manifest::write(&self.dir.path().join("spin.toml"), &changes);
        self.spec.changes = changes;
    }

    /// Sets an application variable for the next [`run`](Self::run).
    pub fn set(&mut self, name: &'static str, value: String) {
        self.spec.variables.retain(|(given, _)| *given != name);
        self.spec.variables.push((name, value));
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    /// SIGTERM, without waiting.
    pub fn tell_to_stop(&self) {
        let (child, _) = self.child.as_ref().unwrap();
        signal_group(child, Signal::TERM);
    }

    /// SIGKILL: nothing gets to finish.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    /// Sends the signal, and does not wait.
    pub fn signal(&self, signal: Signal) {
        let (child, _) = self.child.as_ref().unwrap();
        signal_group(child, signal);
    }

    /// Waits until it has ended, by a signal that was sent or by itself.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let (child, _) = self.child.as_mut().unwrap();
        let status = wait::until("the runtime to end", || child.try_wait().unwrap());
        // Only now: one that does not end is still ours to end.
        self.child = None;
        status
    }

    /// Of what it may take at most, what it has taken: the peak of its resident memory.
    pub fn rss_bytes_max(&self) -> u64 {
        let (child, _) = self.child.as_ref().unwrap();
        let file = format!("/proc/{}/status", child.id());
        let text = std::fs::read_to_string(file).unwrap();
        let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kib = line.and_then(|l| l.split_whitespace().next()).unwrap();
        kib.parse::<u64>().unwrap() * 1024
    }

    /// Waits until the HTTP trigger answers, for itself and not through a component.
    pub fn serving(&self) {
        wait::until("the HTTP trigger", || {
            let answer = self.request("/.well-known/spin/health", &[]).ok()?;
            (answer.status == 200).then_some(())
        });
    }

    /// One request, once.
    pub fn request(&self, path: &str, headers: &[(&str, &str)]) -> io::Result<wire::Response> {
        wire::send(self.listen.addr, "GET", path, headers)
    }

    /// Where its HTTP trigger listens.
    pub fn addr(&self) -> SocketAddr {
        self.listen.addr
    }

    /// What the component has printed: `stdout` or `stderr`.
    pub fn printed(&self, component: &str, stream: &str) -> String {
        let file = format!("logs/{component}_{stream}.txt");
        std::fs::read_to_string(self.state_dir().join(file)).unwrap_or_default()
    }

    /// The application's own HTTP trigger.
    pub fn url(&self) -> String {
        format!("http://{}", self.listen.addr)
    }

    /// Runs a check through its HTTP entry. The status and the JSON answer.
    pub fn run_check(&self, check: &str, token: Option<&str>) -> (u16, Value) {
        let bearer = token.map(|t| format!("Bearer {t}"));
        let headers: Vec<_> = bearer
            .iter()
            .map(|b| ("Authorization", b.as_str()))
            .collect();
        let path = format!("/run/{check}");
        let response = wait::until("the HTTP trigger", || {
            wire::send(self.listen.addr, "POST", &path, &headers).ok()
        });
        let json = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
        (response.status, json)
    }

    pub fn state(&self) -> State {
        match &self.spec.redis {
            Some((addr, _)) => State::Redis(*addr),
            None => State::Sqlite(self.state_dir().join("sqlite_key_value.db")),
        }
    }

    /// Everything that the runtime and the components said.
    pub fn log(&self) -> String {
        let mut text = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        let logs = self.state_dir().join("logs");
        for entry in std::fs::read_dir(logs).into_iter().flatten().flatten() {
            let said = std::fs::read_to_string(entry.path()).unwrap_or_default();
            let _ = write!(text, "\n--- {:?}\n{said}", entry.file_name());
        }
        text
    }

    /// Whether it has ended by itself.
    pub fn ended(&mut self) -> bool {
        let Some((child, _)) = &mut self.child else {
            return true;
        };
        child.try_wait().unwrap().is_some()
    }

    fn end(&mut self, signal: Signal) {
        let Some((mut child, _leash)) = self.child.take() else {
            return;
        };
        signal_group(&child, signal);
        if wait::within(STOP_PATIENCE, || child.try_wait().unwrap()).is_none() {
            signal_group(&child, Signal::KILL);
            child.wait().unwrap();
            panic!(
                "ending the runtime: still there {STOP_PATIENCE:?} after {signal:?}\n{}",
                self.log()
            );
        }
        // What `spin up` started and did not outlive it.
        signal_group(&child, Signal::KILL);
    }

    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("runtime.log")
    }

    fn variables(&self) -> Vec<String> {
        let mut variables = Vec::new();
        if self.spec.manifest.is_none() {
            let ca = self.dir.path().join("ca.pem");
            variables.push(("check_token", CHECK_TOKEN.to_owned()));
            variables.push(("ca_certificates", format!("@{}", ca.display())));
        }
        let given = self
            .spec
            .variables
            .iter()
            .any(|(name, _)| *name == "alert_url");
        if self.host == Host::Spin && !given {
            // `watchbell up` fills it in, which is then tested too.
            variables.push(("alert_url", self.url()));
        }
        variables.extend(self.spec.variables.iter().cloned());
        variables
            .into_iter()
            .flat_map(|(name, value)| ["--variable".to_owned(), format!("{name}={value}")])
            .collect()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some((mut child, _leash)) = self.child.take() {
            signal_group(&child, Signal::KILL);
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(LOG_BYTES_SHOWN);
            let from = (from..log.len()).find(|i| log.is_char_boundary(*i));
            eprintln!("the runtime's log, its end:\n{}", &log[from.unwrap_or(0)..]);
        }
    }
}

fn write_files(dir: &Path, spec: &AppSpec) {
    match &spec.manifest {
        Some(text) => std::fs::write(dir.join("spin.toml"), text).unwrap(),
        None => manifest::write(&dir.join("spin.toml"), &spec.changes),
    }
    std::fs::write(dir.join("ca.pem"), AUTHORITY.root_pem()).unwrap();
    std::fs::create_dir(dir.join("state")).unwrap();
    symlink(&*COMPILED_DIR, dir.join("state/compiled")).unwrap();
    std::fs::write(dir.join("runtime.toml"), runtime_config(dir, spec)).unwrap();
}

/// As `runtime-config/local.toml`, with the lab's authority for the HTTP checks.
fn runtime_config(dir: &Path, spec: &AppSpec) -> String {
    let ca = dir.join("ca.pem");
    let mut ids = vec!["health", "derp", "key"];
    let copies = &spec.changes.copies;
    let over_http = copies.iter().filter(|(of, _)| ids.contains(of));
    let over_http: Vec<&str> = over_http.map(|(_, id)| *id).collect();
    ids.extend(over_http);
    let client_tls = match &spec.manifest {
        Some(_) => String::new(),
        None => format!(
            r#"[[client_tls]]
component_ids = {ids:?}
hosts = ["127.0.0.1", "[::1]", "localhost", "hs.lab.test"]
ca_roots_file = {ca:?}
ca_use_webpki_roots = true"#
        ),
    };
    let store = match &spec.redis {
        Some((_, url)) => format!("type = \"redis\"\nurl = {url:?}"),
        None => {
            let file = dir.join("state/sqlite_key_value.db");
            format!("type = \"spin\"\npath = {file:?}")
        }
    };
    format!(
        r#"
[key_value_store.default]
{store}

[outbound_http]
connection_pooling = false

{client_tls}
"#
    )
}

fn command(host: Host) -> Command {
    let mut command = match host {
        Host::Embedded => Command::new(&*WATCHBELL),
        Host::Spin => Command::new(SPIN.as_ref().unwrap()),
    };
    // That a name does not exist must be known within a check's timeout.
    command.env("RES_OPTIONS", "timeout:1 attempts:1");
    command
}

fn signal_group(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .unwrap();
    if let Err(e) = kill_process_group(pid, signal) {
        let gone =
            io::Error::from(e).raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error());
        assert!(gone, "signalling the runtime: {e}");
    }
}
