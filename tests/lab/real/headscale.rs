//! Headscale itself, built from the pinned modules under `tests/real`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tempfile::TempDir;

use super::go::Program;
use super::process::Process;
use crate::chain::AUTHORITY;
use crate::port::Port;
use crate::wait;

const PACKAGE: &str = "github.com/juanfont/headscale/cmd/headscale";
static V0_29: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| build("real"));
static V0_26: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| build("real/older"));

fn build(module: &'static str) -> Result<PathBuf, String> {
    let package = PACKAGE;
    Program { module, package }.build()
}

/// The newest one's binary, or why there is none.
pub fn binary() -> Result<&'static Path, String> {
    Release::V0_29.binary()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    V0_26,
    V0_29,
}

impl Release {
    fn binary(self) -> Result<&'static Path, String> {
        let built = match self {
            Release::V0_26 => &V0_26,
            Release::V0_29 => &V0_29,
        };
        built.as_deref().map_err(Clone::clone)
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Database {
    Sqlite,
    /// Where PostgreSQL listens.
    Postgres(SocketAddr),
}

/// How it is configured.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub release: Release,
    pub database: Database,
    /// The relay admits its own nodes alone.
    pub verify_clients: bool,
    /// Where STUN is bound: one address, or every one of the machine's, as the example has it.
    pub stun_ip: Ipv4Addr,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            release: Release::V0_29,
            database: Database::Sqlite,
            verify_clients: false,
            stun_ip: Ipv4Addr::LOCALHOST,
        }
    }
}

pub struct Headscale {
    process: Option<Process>,
    release: Release,
    port: Port,
    stun: SocketAddr,
    dir: TempDir,
    /// Database and keys.
    data: PathBuf,
}

impl Headscale {
    /// Starts it, with TLS from the lab's authority. An error is a reason to skip.
    pub fn start(database: &Database) -> Result<Self, String> {
        Self::start_on(database, |_| {})
    }

    /// As [`start`](Self::start), with its data in a folder that `prepare` is shown first.
    pub fn start_on(database: &Database, prepare: impl FnOnce(&Path)) -> Result<Self, String> {
        let options = Options {
            database: *database,
            ..Options::default()
        };
        Self::configured(&options, prepare)
    }

    /// As [`start`](Self::start), configured so.
    pub fn start_with(options: &Options) -> Result<Self, String> {
        Self::configured(options, |_| {})
    }

    fn configured(options: &Options, prepare: impl FnOnce(&Path)) -> Result<Self, String> {
        options.release.binary()?;
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        prepare(&data);
        let port = Port::reserve();
        let (chain, key) = AUTHORITY.files();
        std::fs::write(dir.path().join("cert.pem"), chain).unwrap();
        std::fs::write(dir.path().join("key.pem"), key).unwrap();
        // It wants a number of its own.
        let stun = UdpSocket::bind((options.stun_ip, 0))
            .unwrap()
            .local_addr()
            .unwrap();
        let config = config(dir.path(), &data, port.addr, stun, options);
        std::fs::write(dir.path().join("config.yaml"), config).unwrap();
        let mut headscale = Self {
            process: None,
            release: options.release,
            port,
            stun: (Ipv4Addr::LOCALHOST, stun.port()).into(),
            dir,
            data,
        };
        headscale.run();
        Ok(headscale)
    }

    pub fn addr(&self) -> SocketAddr {
        self.port.addr
    }

    /// Where its STUN server is asked.
    pub fn stun(&self) -> SocketAddr {
        self.stun
    }

    /// What it has logged so far as a warning or worse.
    pub fn complaints(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.log()).unwrap();
        let bad = |line: &&str| {
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            let level = line["level"].as_str().unwrap_or_default();
            ["warn", "error", "fatal", "panic"].contains(&level)
        };
        log.lines().filter(bad).map(str::to_owned).collect()
    }

    /// How many rows each of its tables has (SQLite).
    pub fn rows(&self) -> BTreeMap<String, u64> {
        let path = self.data.join("db.sqlite");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let database = Connection::open_with_flags(path, flags).unwrap();
        let sql = "SELECT name FROM sqlite_master WHERE type = 'table'";
        let mut tables = database.prepare(sql).unwrap();
        let names = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
        names
            .map(|name| {
                let name = name.unwrap();
                let count = format!("SELECT count(*) FROM \"{name}\"");
                let rows = database.query_row(&count, [], |row| row.get::<_, i64>(0));
                (name, rows.unwrap().unsigned_abs())
            })
            .collect()
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("headscale.log")
    }

    /// Where its data lies.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Starts it again, on the data that it left.
    pub fn run(&mut self) {
        let mut process = self.spawn();
        wait::until("headscale to listen", || {
            process.must_run();
            TcpStream::connect(self.port.addr).ok()
        });
        self.process = Some(process);
    }

    /// Starts it again where it cannot: waits until it has given up. Whether it failed.
    pub fn fails_to_run(&mut self) -> bool {
        self.spawn().failed()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    fn spawn(&self) -> Process {
        let mut command = Command::new(self.release.binary().unwrap());
        command
            .args(["serve", "--config"])
            .arg(self.dir.path().join("config.yaml"))
            .current_dir(self.dir.path());
        Process::start(command, &self.log())
    }
}

fn config(
    dir: &Path,
    data: &Path,
    addr: SocketAddr,
    stun: SocketAddr,
    options: &Options,
) -> String {
    let (dir, data) = (dir.display(), data.display());
    let verify_clients = options.verify_clients;
    let database = match options.database {
        Database::Sqlite => format!("{{type: sqlite, sqlite: {{path: {data}/db.sqlite}}}}"),
        Database::Postgres(at) => format!(
            "{{type: postgres, postgres: {{host: {}, port: {}, name: postgres, user: lab, pass: lab, ssl: false}}}}",
            at.ip(),
            at.port()
        ),
    };
    format!(
        r#"
server_url: https://{addr}
listen_addr: {addr}
metrics_listen_addr: 127.0.0.1:0
grpc_listen_addr: 127.0.0.1:0
tls_cert_path: {dir}/cert.pem
tls_key_path: {dir}/key.pem
noise: {{private_key_path: {data}/noise.key}}
prefixes: {{v4: 100.64.0.0/10}}
derp:
  server: {{enabled: true, private_key_path: {data}/derp.key, stun_listen_addr: "{stun}", verify_clients: {verify_clients}}}
  urls: []
  auto_update_enabled: false
disable_check_updates: true
log: {{format: json, level: info}}
database: {database}
dns: {{base_domain: tail.lab.test, override_local_dns: false, magic_dns: false}}
unix_socket: {dir}/hs.sock
"#
    )
}
