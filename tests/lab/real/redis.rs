//! A Redis of its own, on a port of its own, which keeps what it was told over a kill.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use tempfile::TempDir;

use super::process::Process;
use crate::port::Port;
use crate::{skip, wait};

/// Who does not know it is turned away; it stands in the URL that the runtime config bears.
pub const PASSWORD: &str = "the-labs-redis";

pub struct Redis {
    process: Option<Process>,
    port: Port,
    dir: TempDir,
}

impl Redis {
    /// An error is a reason to skip.
    pub fn start() -> Result<Self, String> {
        let mut redis = Self {
            process: None,
            port: Port::reserve(),
            dir: tempfile::tempdir().unwrap(),
        };
        program()?;
        redis.run();
        Ok(redis)
    }

    pub fn addr(&self) -> SocketAddr {
        self.port.addr
    }

    pub fn url(&self) -> String {
        format!("redis://:{PASSWORD}@{}/0", self.port.addr)
    }

    pub fn run(&mut self) {
        let mut command = Command::new(program().unwrap());
        command
            .args(["--bind", "127.0.0.1", "--port"])
            .arg(self.port.addr.port().to_string())
            .args(["--requirepass", PASSWORD])
            .args(["--appendonly", "yes", "--appendfsync", "always"])
            .arg("--dir")
            .arg(self.dir.path());
        let mut process = Process::start(command, &self.dir.path().join("redis.log"));
        wait::until("Redis to listen", || {
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

fn program() -> Result<std::path::PathBuf, String> {
    let program = skip::program(&["redis-server", "/usr/bin/redis-server"]);
    program.ok_or_else(|| "no Redis server is installed".to_owned())
}
