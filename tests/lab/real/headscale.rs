//! Headscale itself, built from the pinned `tests/real/go.mod`.

use std::fs::File;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::SystemTime;

use tempfile::TempDir;

use super::process::Process;
use crate::chain::AUTHORITY;
use crate::port::Port;
use crate::{skip, wait};

static BINARY: LazyLock<Result<PathBuf, String>> = LazyLock::new(build);

/// The binary, or why there is none.
pub fn binary() -> Result<&'static Path, String> {
    BINARY.as_deref().map_err(Clone::clone)
}

pub enum Database {
    Sqlite,
    /// Where PostgreSQL listens.
    Postgres(SocketAddr),
}

pub struct Headscale {
    process: Option<Process>,
    port: Port,
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
        binary()?;
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        prepare(&data);
        let port = Port::reserve();
        let (chain, key) = AUTHORITY.files();
        std::fs::write(dir.path().join("cert.pem"), chain).unwrap();
        std::fs::write(dir.path().join("key.pem"), key).unwrap();
        let config = config(dir.path(), &data, port.addr, database);
        std::fs::write(dir.path().join("config.yaml"), config).unwrap();
        let mut headscale = Self {
            process: None,
            port,
            dir,
            data,
        };
        headscale.run();
        Ok(headscale)
    }

    pub fn addr(&self) -> SocketAddr {
        self.port.addr
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
        let mut command = Command::new(binary().unwrap());
        command
            .args(["serve", "--config"])
            .arg(self.dir.path().join("config.yaml"))
            .current_dir(self.dir.path());
        Process::start(command, &self.dir.path().join("headscale.log"))
    }
}

fn config(dir: &Path, data: &Path, addr: SocketAddr, database: &Database) -> String {
    let (dir, data) = (dir.display(), data.display());
    // Only for STUN, which no check of the lab asks; it wants a number of its own.
    let stun = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let database = match database {
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
  server: {{enabled: true, private_key_path: {data}/derp.key, stun_listen_addr: "{stun}", verify_clients: false}}
  urls: []
  auto_update_enabled: false
disable_check_updates: true
database: {database}
dns: {{base_domain: tail.lab.test, override_local_dns: false, magic_dns: false}}
unix_socket: {dir}/hs.sock
"#
    )
}

fn build() -> Result<PathBuf, String> {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("real");
    let binary = module.join("bin/headscale");
    if is_newer(&binary, &["go.mod", "go.sum"].map(|name| module.join(name))) {
        return Ok(binary);
    }
    let go = skip::program(&["go", "/usr/local/go/bin/go"])
        .ok_or("no go on PATH to build headscale with")?;
    let status = Command::new(go)
        .args(["build", "-o", "bin/headscale"])
        .arg("github.com/juanfont/headscale/cmd/headscale")
        .current_dir(&module)
        .status()
        .map_err(|e| format!("building headscale: {e}"))?;
    if !status.success() {
        return Err(format!("building headscale: {status}"));
    }
    // Go leaves a binary alone that would come out the same.
    let built = File::options().append(true).open(&binary);
    built
        .and_then(|file| file.set_modified(SystemTime::now()))
        .map_err(|e| format!("dating headscale: {e}"))?;
    Ok(binary)
}

/// Whether it exists, and has been made after all of its sources.
fn is_newer(made: &Path, sources: &[PathBuf]) -> bool {
    let at = |path: &Path| path.metadata().and_then(|m| m.modified());
    at(made).is_ok_and(|made| sources.iter().all(|s| at(s).is_ok_and(|s| s <= made)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn another_version_asked_for_is_another_binary() {
        let dir = tempfile::tempdir().unwrap();
        let made = dir.path().join("headscale");
        let sources = ["go.mod", "go.sum"].map(|name| dir.path().join(name));
        let now = SystemTime::now();
        let touch = |path: &Path, after_s| {
            let file = File::create(path).unwrap();
            file.set_modified(now + Duration::from_secs(after_s))
                .unwrap();
        };
        sources.iter().for_each(|source| touch(source, 0));
        assert!(!is_newer(&made, &sources), "there is none");
        touch(&made, 1);
        assert!(is_newer(&made, &sources), "made after both");
        for source in &sources {
            touch(source, 2);
            assert!(!is_newer(&made, &sources), "{source:?} has changed");
            touch(source, 0);
        }
    }
}
