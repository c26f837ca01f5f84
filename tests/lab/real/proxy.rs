//! nginx, Caddy and HAProxy before Headscale, right and wrong in every way that operators
//! have found: a row of `docs/proxies.md` each.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::process::Process;
use crate::chain::AUTHORITY;
use crate::port::Port;
use crate::{skip, wait};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Nginx,
    Caddy,
    Haproxy,
}

impl Program {
    /// As its makers write it.
    pub fn name(self) -> &'static str {
        match self {
            Program::Nginx => "nginx",
            Program::Caddy => "Caddy",
            Program::Haproxy => "HAProxy",
        }
    }
}

/// What a configuration needs to know.
pub struct Place {
    dir: String,
    listen: SocketAddr,
    /// A Headscale with TLS.
    backend: SocketAddr,
    /// Another one, with other keys.
    other: SocketAddr,
    /// Where nothing listens.
    dead: SocketAddr,
}

/// One way to configure a proxy.
pub struct Way {
    pub program: Program,
    /// As the table says it.
    pub words: &'static str,
    /// What is the program's own around it, [`text`] adds.
    config: fn(&Place) -> String,
}

/// A proxy that runs.
pub struct Proxy {
    _process: Process,
    port: Port,
    _dead: Port,
    _dir: TempDir,
}

impl Proxy {
    /// An error is a reason to skip.
    pub fn start(way: &Way, backend: SocketAddr, other: SocketAddr) -> Result<Self, String> {
        let names: &[&str] = match way.program {
            Program::Nginx => &["nginx", "/usr/sbin/nginx"],
            Program::Caddy => &["caddy"],
            Program::Haproxy => &["haproxy", "/usr/sbin/haproxy"],
        };
        let program = skip::program(names).ok_or(format!("no {} is installed", names[0]))?;
        let dir = tempfile::tempdir().unwrap();
        let (port, dead) = (Port::reserve(), Port::reserve());
        let (chain, key) = AUTHORITY.files();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("both.pem"), format!("{chain}{key}")).unwrap();
        std::fs::write(at("cert.pem"), chain).unwrap();
        std::fs::write(at("key.pem"), key).unwrap();
        std::fs::create_dir(at("ui")).unwrap();
        std::fs::write(at("ui/index.html"), "<html>Sign in</html>").unwrap();
        let place = Place {
            dir: dir.path().display().to_string(),
            listen: port.addr,
            backend,
            other,
            dead: dead.addr,
        };
        std::fs::write(at("config"), text(way, &place)).unwrap();
        let command = command(way.program, &program, dir.path());
        let mut process = Process::start(command, &at("proxy.log"));
        wait::until("the proxy to listen", || {
            process.must_run();
            TcpStream::connect(port.addr).ok()
        });
        Ok(Self {
            _process: process,
            port,
            _dead: dead,
            _dir: dir,
        })
    }

    pub fn addr(&self) -> SocketAddr {
        self.port.addr
    }
}

fn command(program: Program, path: &Path, dir: &Path) -> Command {
    let mut command = Command::new(path);
    let config = dir.join("config");
    match program {
        Program::Nginx => {
            command.arg("-p").arg(dir).arg("-c").arg(config);
            command.args(["-e", "stderr"]);
        }
        Program::Caddy => {
            command.args(["run", "--adapter", "caddyfile", "--config"]);
            command.arg(config);
        }
        Program::Haproxy => {
            command.arg("-db").arg("-f").arg(config);
        }
    }
    command
        .current_dir(dir)
        .env("HOME", dir)
        .env("XDG_DATA_HOME", dir)
        .env("XDG_CONFIG_HOME", dir);
    command
}

/// The whole configuration.
fn text(way: &Way, place: &Place) -> String {
    let Place {
        dir,
        listen,
        backend,
        ..
    } = place;
    let own = (way.config)(place);
    match way.program {
        Program::Nginx => format!(
            r#"
daemon off;
worker_processes 1;
pid {dir}/nginx.pid;
events {{ worker_connections 128; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
  map $http_upgrade $websocket_only {{ default ''; websocket websocket; }}
  server {{
    ssl_certificate {dir}/cert.pem;
    ssl_certificate_key {dir}/key.pem;
    proxy_buffering off;
    {own}
  }}
}}
"#
        ),
        Program::Caddy => format!(
            r#"
{{
  admin off
  auto_https off
}}
https://{listen} {{
  tls {dir}/cert.pem {dir}/key.pem
  {own}
}}
"#
        ),
        Program::Haproxy => format!(
            r#"
global
  maxconn 128
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
frontend front
  bind {listen} ssl crt {dir}/both.pem alpn h2,http/1.1
  default_backend headscale
  {own}
backend headscale
  server headscale {backend} ssl verify none
"#
        ),
    }
}

/// nginx before TLS of its own: what every server block has.
fn nginx(place: &Place, offer: &str, headers: &str) -> String {
    format!(
        "listen {} ssl{offer};\nlocation / {{ proxy_pass https://{}; {headers} }}",
        place.listen, place.backend
    )
}

const HTTP_1_1: &str = "proxy_http_version 1.1; proxy_set_header Host $host;";
const UPGRADE: &str = "proxy_http_version 1.1; proxy_set_header Host $host; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;";

fn nginx_with(place: &Place, more: &str) -> String {
    format!("{more}\n{}", nginx(place, "", UPGRADE))
}

/// Caddy before a backend with TLS.
fn caddy(matcher: &str, backend: SocketAddr, more: &str) -> String {
    format!(
        "reverse_proxy {matcher} https://{backend} {{\n transport http {{\n tls_insecure_skip_verify\n }}\n {more}\n }}"
    )
}

fn haproxy_split(place: &Place, path: &str) -> String {
    format!(
        "use_backend other if {{ path {path} }}\nbackend other\n  server other {} ssl verify none",
        place.other
    )
}

/// Every row, those that are well first.
pub const WAYS: &[Way] = &[
    Way {
        program: Program::Nginx,
        words: "passes `Upgrade` and `Connection`",
        config: |p| nginx(p, "", UPGRADE),
    },
    Way {
        program: Program::Nginx,
        words: "the same, offering HTTP/2",
        config: |p| nginx(p, " http2", UPGRADE),
    },
    Way {
        program: Program::Nginx,
        words: "without `proxy_http_version 1.1`",
        config: |p| {
            nginx(
                p,
                "",
                "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;",
            )
        },
    },
    Way {
        program: Program::Nginx,
        words: "without `Connection`",
        config: |p| {
            nginx(
                p,
                "",
                "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;",
            )
        },
    },
    Way {
        program: Program::Nginx,
        words: "an idle limit of 2 s",
        config: |p| {
            let idle = "proxy_read_timeout 2s; proxy_send_timeout 2s;";
            nginx(p, "", &format!("{UPGRADE} {idle}"))
        },
    },
    Way {
        program: Program::Caddy,
        words: "`reverse_proxy`",
        config: |p| caddy("", p.backend, ""),
    },
    Way {
        program: Program::Haproxy,
        words: "`mode http`",
        config: |_| String::new(),
    },
    Way {
        program: Program::Haproxy,
        words: "`option http-server-close`",
        config: |_| "option http-server-close".to_owned(),
    },
    Way {
        program: Program::Haproxy,
        words: "`option httpclose`",
        config: |_| "option httpclose".to_owned(),
    },
    Way {
        program: Program::Haproxy,
        words: "`http-reuse always`",
        config: |p| {
            format!(
                "use_backend reused\nbackend reused\n  http-reuse always\n  server headscale {} ssl verify none",
                p.backend
            )
        },
    },
    Way {
        program: Program::Nginx,
        words: "does not pass `Upgrade`",
        config: |p| nginx(p, "", HTTP_1_1),
    },
    Way {
        program: Program::Nginx,
        words: "passes only `Upgrade: websocket`",
        config: |p| {
            let headers = "proxy_set_header Upgrade $websocket_only; proxy_set_header Connection $connection_upgrade;";
            nginx(p, "", &format!("{HTTP_1_1} {headers}"))
        },
    },
    Way {
        program: Program::Nginx,
        words: "forces `Upgrade: websocket`",
        config: |p| {
            let headers =
                "proxy_set_header Upgrade websocket; proxy_set_header Connection upgrade;";
            nginx(p, "", &format!("{HTTP_1_1} {headers}"))
        },
    },
    Way {
        program: Program::Nginx,
        words: "a UI at `/`, only API paths proxied",
        config: |p| {
            format!(
                "listen {} ssl;\nroot {}/ui;\nlocation / {{ try_files $uri /index.html; }}\nlocation ~ ^/(health|key|version|api) {{ proxy_pass https://{}; {UPGRADE} }}",
                p.listen, p.dir, p.backend
            )
        },
    },
    Way {
        program: Program::Nginx,
        words: "`/key` answered with 404",
        config: |p| nginx_with(p, "location /key { return 404; }"),
    },
    Way {
        program: Program::Nginx,
        words: "`/key` to a dead backend",
        config: |p| {
            let dead = format!("location /key {{ proxy_pass http://{}; }}", p.dead);
            nginx_with(p, &dead)
        },
    },
    Way {
        program: Program::Nginx,
        words: "`/key` answered with a page",
        config: |p| {
            nginx_with(
                p,
                "location /key { default_type text/html; return 200 '<html>Sign in</html>'; }",
            )
        },
    },
    Way {
        program: Program::Nginx,
        words: "`/key` to another Headscale",
        config: |p| {
            let key = format!(
                "location /key {{ proxy_pass https://{}; {UPGRADE} }}",
                p.other
            );
            nginx_with(p, &key)
        },
    },
    Way {
        program: Program::Nginx,
        words: "plain HTTP to a Headscale with TLS",
        config: |p| {
            format!(
                "listen {} ssl;\nlocation / {{ proxy_pass http://{}; {UPGRADE} }}",
                p.listen, p.backend
            )
        },
    },
    Way {
        program: Program::Nginx,
        words: "its backend is down",
        config: |p| {
            format!(
                "listen {} ssl;\nlocation / {{ proxy_pass http://{}; {UPGRADE} }}",
                p.listen, p.dead
            )
        },
    },
    Way {
        program: Program::Caddy,
        words: "deletes `Upgrade`",
        config: |p| caddy("", p.backend, "header_up -Upgrade"),
    },
    Way {
        program: Program::Caddy,
        words: "changes `Connection`",
        config: |p| caddy("", p.backend, "header_up Connection keep-alive"),
    },
    Way {
        program: Program::Caddy,
        words: "no route but for `/health`",
        config: |p| caddy("/health", p.backend, ""),
    },
    Way {
        program: Program::Caddy,
        words: "`/ts2021` to another Headscale",
        config: |p| {
            let other = caddy("/ts2021", p.other, "");
            format!("{other}\n{}", caddy("", p.backend, ""))
        },
    },
    Way {
        program: Program::Caddy,
        words: "plain HTTP to a Headscale with TLS",
        config: |p| format!("reverse_proxy http://{}", p.backend),
    },
    Way {
        program: Program::Caddy,
        words: "its backend is down",
        config: |p| caddy("", p.dead, ""),
    },
    Way {
        program: Program::Haproxy,
        words: "deletes `Upgrade`",
        config: |_| "http-request del-header Upgrade".to_owned(),
    },
    Way {
        program: Program::Haproxy,
        words: "passes only `Upgrade: websocket`",
        config: |_| {
            "http-request del-header Upgrade unless { req.hdr(Upgrade) -i websocket }".to_owned()
        },
    },
    Way {
        program: Program::Haproxy,
        words: "`/key` to another Headscale",
        config: |p| haproxy_split(p, "/key"),
    },
    Way {
        program: Program::Haproxy,
        words: "plain HTTP to a Headscale with TLS",
        config: |p| {
            format!(
                "use_backend plain\nbackend plain\n  server headscale {}",
                p.backend
            )
        },
    },
    Way {
        program: Program::Haproxy,
        words: "its backend is down",
        config: |p| {
            format!(
                "use_backend gone\nbackend gone\n  server headscale {} ssl verify none",
                p.dead
            )
        },
    },
];
