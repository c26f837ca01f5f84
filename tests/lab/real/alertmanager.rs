//! A true Prometheus Alertmanager, which sends what it makes of alerts to a webhook.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::process::Process;
use crate::port::Port;
use crate::{skip, wait, wire};

pub struct Alertmanager {
    _process: Process,
    port: Port,
    _dir: TempDir,
}

impl Alertmanager {
    /// Groups by service, and tells `receiver` (a URL) at once. An error is a reason to skip.
    pub fn start(receiver: &str) -> Result<Self, String> {
        let program = skip::program(&["prometheus-alertmanager", "alertmanager"])
            .ok_or("no Alertmanager is installed")?;
        let port = Port::reserve();
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("alertmanager.yml");
        let text = format!(
            "route: {{ receiver: lab, group_by: [service], group_wait: 0s, group_interval: 1s }}\n\
             receivers: [{{ name: lab, webhook_configs: [{{ url: {receiver:?}, send_resolved: true }}] }}]\n"
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.path={}",
                dir.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={}", port.addr))
            // Alone: no gossip with others.
            .arg("--cluster.listen-address=");
        let mut process = Process::start(command, &dir.path().join("alertmanager.log"));
        wait::until("Alertmanager to listen", || {
            process.must_run();
            TcpStream::connect(port.addr).ok()
        });
        Ok(Self {
            _process: process,
            port,
            _dir: dir,
        })
    }

    pub fn addr(&self) -> SocketAddr {
        self.port.addr
    }

    /// The alerts that fire, as its API lists them.
    pub fn firing(&self) -> Vec<Value> {
        let path = "/api/v2/alerts?active=true";
        let answer = wire::send(self.port.addr, "GET", path, &[]).unwrap();
        let all: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        all.as_array().cloned().unwrap_or_default()
    }
}
