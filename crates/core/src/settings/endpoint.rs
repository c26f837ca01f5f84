//! Where a check opens its own TLS: what `certificate-check` and the checks of Headscale's
//! protocols share.

use super::Reader;
use super::tcp::{Family, Host, Resolver, parse_host, read_target};

/// A server, the way to it, and whom it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `scheme`: `https` (default) or `http`, without TLS.
    pub tls: bool,
    /// `host`, `port`, `dns_resolver`, `family`: where to connect.
    pub host: Host,
    pub port: u16,
    pub resolvers: Vec<Resolver>,
    pub family: Family,
    /// `server_name`: what is sent as SNI and must stand in the certificate; default `host`.
    pub server_name: Host,
    /// `ca_certificates`: PEM of private roots, added to Mozilla's. Empty for none.
    pub ca_certificates: String,
}

impl Endpoint {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        let tls = r.parsed("scheme", true, "https or http", |t| match t {
            "https" => Some(true),
            "http" => Some(false),
            _ => None,
        });
        let (host, port, resolvers, family) = read_target(r);
        let server_name = r.parsed(
            "server_name",
            host.clone(),
            "a DNS name or an IP address",
            parse_host,
        );
        Self {
            tls,
            host,
            port,
            resolvers,
            family,
            server_name,
            ca_certificates: r.text("ca_certificates").unwrap_or_default(),
        }
    }

    /// What HTTP's `Host` says: the port only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => self.server_name.to_string(),
            (_, port) => format!("{}:{port}", self.server_name),
        }
    }
}

/// As alerts show it.
impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
