//! Headscale itself, built from the pinned `tests/real/go.mod`.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;

use super::process::Process;
use crate::chain::AUTHORITY;
use crate::port::Port;
use crate::{skip, wait};

/// The binary, or why there is none.
static BINARY: LazyLock<Result<PathBuf, String>> = LazyLock::new(binary);

pub enum Database {
    Sqlite,
    /// Where PostgreSQL listens.
    Postgres(SocketAddr),
}

pub struct Headscale {
    process: Option<Process>,
    port: Port,
    dir: TempDir,
}

impl Headscale {
    /// Starts it, with TLS from the lab's authority. An error is a reason to skip.
    pub fn start(database: &Database) -> Result<Self, String> {
        BINARY.as_ref()?;
        let dir = tempfile::tempdir().unwrap();
        let port = Port::reserve();
        let (chain, key) = AUTHORITY.files();
        std::fs::write(dir.path().join("cert.pem"), chain).unwrap();
        std::fs::write(dir.path().join("key.pem"), key).unwrap();
        let config = config(dir.path(), port.addr, database);
        std::fs::write(dir.path().join("config.yaml"), config).unwrap();
        let mut headscale = Self {
            process: None,
            port,
            dir,
        };
        headscale.run();
        Ok(headscale)
    }

    pub fn addr(&self) -> SocketAddr {
        self.port.addr
    }

    /// Starts it again, on the data that it left.
    pub fn run(&mut self) {
        let mut command = Command::new(BINARY.as_ref().unwrap());
        command
            .args(["serve", "--config"])
            .arg(self.dir.path().join("config.yaml"))
            .current_dir(self.dir.path());
        let mut process = Process::start(command, &self.dir.path().join("headscale.log"));
        wait::until("headscale to listen", || {
            process.must_run();
            TcpStream::connect(self.port.addr).ok()
        });
        self.process = Some(process);
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }
}

fn config(dir: &Path, addr: SocketAddr, database: &Database) -> String {
    let dir = dir.display();
    // Only for STUN, which no check of the lab asks; it wants a number of its own.
    let stun = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let database = match database {
        Database::Sqlite => format!("{{type: sqlite, sqlite: {{path: {dir}/db.sqlite}}}}"),
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
noise: {{private_key_path: {dir}/noise.key}}
prefixes: {{v4: 100.64.0.0/10}}
derp:
  server: {{enabled: true, private_key_path: {dir}/derp.key, stun_listen_addr: "{stun}", verify_clients: false}}
  urls: []
  auto_update_enabled: false
disable_check_updates: true
database: {database}
dns: {{base_domain: tail.lab.test, override_local_dns: false, magic_dns: false}}
unix_socket: {dir}/hs.sock
"#
    )
}

fn binary() -> Result<PathBuf, String> {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("real");
    let binary = module.join("bin/headscale");
    if binary.is_file() {
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
    if status.success() {
        Ok(binary)
    } else {
        Err(format!("building headscale: {status}"))
    }
}
