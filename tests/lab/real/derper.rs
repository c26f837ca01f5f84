//! Tailscale's own relay, built from the pinned `tests/real/derper`.

use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;

use super::go::Program;
use super::process::Process;
use crate::chain::AUTHORITY;
use crate::port::Port;
use crate::wait;

static BINARY: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
    Program {
        module: "real/derper",
        package: "tailscale.com/cmd/derper",
    }
    .build()
});

pub struct Derper {
    _process: Process,
    port: Port,
    stun: SocketAddr,
    _dir: TempDir,
}

impl Derper {
    /// Starts it with the lab's certificate, on ports of its own. An error is a reason to skip.
    pub fn start() -> Result<Self, String> {
        let binary = BINARY.as_deref().map_err(Clone::clone)?;
        let dir = tempfile::tempdir().unwrap();
        let port = Port::reserve();
        let stun = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap();
        let (chain, key) = AUTHORITY.files();
        std::fs::write(dir.path().join("127.0.0.1.crt"), chain).unwrap();
        std::fs::write(dir.path().join("127.0.0.1.key"), key).unwrap();
        let mut command = Command::new(binary);
        command
            .arg("-c")
            .arg(dir.path().join("derper.json"))
            .args(["-a", &port.addr.to_string(), "-http-port", "-1"])
            .args(["-stun", "-stun-port", &stun.port().to_string()])
            .args(["-hostname", "127.0.0.1", "-certmode", "manual"])
            .arg("-certdir")
            .arg(dir.path())
            .current_dir(dir.path());
        let mut process = Process::start(command, &dir.path().join("derper.log"));
        wait::until("derper to listen", || {
            process.must_run();
            TcpStream::connect(port.addr).ok()
        });
        Ok(Self {
            _process: process,
            port,
            stun,
            _dir: dir,
        })
    }

    pub fn addr(&self) -> SocketAddr {
        self.port.addr
    }

    /// Where its STUN server is asked.
    pub fn stun(&self) -> SocketAddr {
        self.stun
    }
}
