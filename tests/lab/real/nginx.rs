//! nginx before Headscale, TLS ended there, its routes switched by a reload.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use super::process::Process;
use crate::chain::AUTHORITY;
use crate::port::Port;
use crate::{skip, wait};

/// Where `/key` leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRoute {
    Headscale,
    /// No such location.
    NotFound,
    /// A backend that is not there.
    DeadBackend,
    /// Somebody's page.
    Page,
}

pub struct Nginx {
    process: Process,
    port: Port,
    dead: Port,
    backend: SocketAddr,
    dir: TempDir,
}

impl Nginx {
    /// Starts it before `backend`, a Headscale with TLS. An error is a reason to skip.
    pub fn start(backend: SocketAddr) -> Result<Self, String> {
        let program =
            skip::program(&["nginx", "/usr/sbin/nginx"]).ok_or("no nginx is installed")?;
        let dir = tempfile::tempdir().unwrap();
        let (port, dead) = (Port::reserve(), Port::reserve());
        let (chain, key) = AUTHORITY.files();
        std::fs::write(dir.path().join("cert.pem"), chain).unwrap();
        std::fs::write(dir.path().join("key.pem"), key).unwrap();
        let config = dir.path().join("nginx.conf");
        let text = text(
            dir.path(),
            port.addr,
            backend,
            dead.addr,
            KeyRoute::Headscale,
        );
        std::fs::write(&config, text).unwrap();
        let log = dir.path().join("nginx.log");
        let mut command = Command::new(program);
        command.arg("-p").arg(dir.path()).arg("-c").arg(&config);
        command.args(["-e", "stderr"]);
        let mut process = Process::start(command, &log);
        wait::until("nginx to listen", || {
            process.must_run();
            TcpStream::connect(port.addr).ok()
        });
        Ok(Self {
            process,
            port,
            dead,
            backend,
            dir,
        })
    }

    pub fn addr(&self) -> SocketAddr {
        self.port.addr
    }

    /// Changes the configuration and reloads; no connection is refused meanwhile.
    pub fn route_key(&self, route: KeyRoute) {
        let dir = self.dir.path();
        let text = text(dir, self.port.addr, self.backend, self.dead.addr, route);
        std::fs::write(dir.join("nginx.conf"), text).unwrap();
        self.process.signal(Signal::HUP);
    }
}

fn text(
    dir: &Path,
    addr: SocketAddr,
    backend: SocketAddr,
    dead: SocketAddr,
    key: KeyRoute,
) -> String {
    let key = match key {
        KeyRoute::Headscale => String::new(),
        KeyRoute::NotFound => "location /key { return 404; }".to_owned(),
        KeyRoute::DeadBackend => format!("location /key {{ proxy_pass http://{dead}; }}"),
        KeyRoute::Page => {
            "location /key { default_type text/html; return 200 '<html>Sign in</html>'; }"
                .to_owned()
        }
    };
    let dir = dir.display();
    format!(
        r#"
daemon off;
worker_processes 1;
pid {dir}/nginx.pid;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
  server {{
    listen {addr} ssl;
    ssl_certificate {dir}/cert.pem;
    ssl_certificate_key {dir}/key.pem;
    {key}
    location / {{
      proxy_pass https://{backend};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header Host $host;
      proxy_buffering off;
    }}
  }}
}}
"#
    )
}
