//! A PostgreSQL cluster of its own, on a port of its own.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::process::Process;
use crate::port::Port;
use crate::{skip, wait};

/// PostgreSQL refuses to run as root; Debian's `nobody` then runs it.
const NOBODY: u32 = 65_534;
/// Where Debian keeps the server programs, newest first.
const DEBIAN: [&str; 4] = [
    "/usr/lib/postgresql/18/bin/postgres",
    "/usr/lib/postgresql/17/bin/postgres",
    "/usr/lib/postgresql/16/bin/postgres",
    "/usr/lib/postgresql/15/bin/postgres",
];

pub struct Postgres {
    process: Option<Process>,
    port: Port,
    programs: PathBuf,
    dir: TempDir,
}

impl Postgres {
    /// Creates a cluster and starts it. An error is a reason to skip.
    pub fn start() -> Result<Self, String> {
        let mut names = DEBIAN.to_vec();
        names.push("postgres");
        let server = skip::program(&names).ok_or("no PostgreSQL server is installed")?;
        let programs = server.parent().unwrap().to_owned();
        let dir = tempfile::tempdir().unwrap();
        give_away(dir.path());
        let password = dir.path().join("password");
        std::fs::write(&password, "lab").unwrap();
        give_away(&password);
        let mut initdb = as_other_user(&programs.join("initdb"));
        initdb
            .args([
                "--no-sync",
                "-U",
                "lab",
                "-A",
                "scram-sha-256",
                "-E",
                "UTF8",
                "--pwfile",
            ])
            .arg(&password)
            .arg("-D")
            .arg(dir.path().join("data"));
        let output = initdb.current_dir(dir.path()).output().unwrap();
        assert!(
            output.status.success(),
            "creating a cluster: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let mut postgres = Self {
            process: None,
            port: Port::reserve(),
            programs,
            dir,
        };
        postgres.run();
        Ok(postgres)
    }

    pub fn addr(&self) -> SocketAddr {
        self.port.addr
    }

    pub fn run(&mut self) {
        let data = self.dir.path().join("data");
        // What a killed server leaves would keep the next one from starting.
        let _ = std::fs::remove_file(data.join("postmaster.pid"));
        let mut command = as_other_user(&self.programs.join("postgres"));
        command
            .arg("-D")
            .arg(&data)
            .args(["-h", "127.0.0.1", "-k", "", "-F", "-p"])
            .arg(self.port.addr.port().to_string())
            .current_dir(self.dir.path());
        let mut process = Process::start(command, &self.dir.path().join("postgres.log"));
        wait::until("PostgreSQL to listen", || {
            process.must_run();
            TcpStream::connect(self.port.addr).ok()
        });
        self.process = Some(process);
    }

    /// SIGKILL, its back ends included.
    pub fn kill(&mut self) {
        self.process = None;
    }
}

fn as_other_user(program: &Path) -> Command {
    let mut command = Command::new(program);
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn give_away(path: &Path) {
    if rustix::process::geteuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}
