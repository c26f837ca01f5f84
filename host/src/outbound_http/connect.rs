//! TCP and TLS to the server of a request, with Spin's error for each way to fail.
//!
//! A new connection for every request, also where the runtime config asks for pooling:
//! a check that reuses one sees neither DNS nor TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wasmtime_wasi_http::Error;

pub enum Connection {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// Whether the server chose HTTP/2 in the handshake.
    pub fn is_h2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(super::tls::ALPN_H2),
        }
    }
}

/// Resolves and connects. The time limit is on connecting alone, as on Spin.
pub async fn tcp(
    authority: &Authority,
    tls: bool,
    is_blocked: impl Fn(SocketAddr) -> bool,
    timeout: Duration,
) -> Result<TcpStream, Error> {
    let addresses = resolve(authority, tls).await?;
    let found = addresses.len();
    let addresses: Vec<SocketAddr> = addresses.into_iter().filter(|a| !is_blocked(*a)).collect();
    if addresses.is_empty() && found > 0 {
        return Err(Error::DestinationIpProhibited);
    }
    let stream = tokio::time::timeout(timeout, TcpStream::connect(&*addresses))
        .await
        .map_err(|_| Error::ConnectionTimeout)?
        .map_err(|error| match error.kind() {
            io::ErrorKind::AddrNotAvailable => dns_error("address not available"),
            // Unreachable too: Spin does not tell them apart.
            _ => Error::ConnectionRefused,
        })?;
    // A request is written whole; waiting for more of it would only add delay.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// TLS over `stream`. Every failure is `TlsProtocolError`: whatever is wrong with a
/// certificate is for the certificate check to say.
pub async fn tls(
    stream: TcpStream,
    host: &str,
    config: Arc<ClientConfig>,
) -> Result<Connection, Error> {
    let name = server_name(host).ok_or_else(|| dns_error("invalid dns name"))?;
    let stream = TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(|_| Error::TlsProtocolError)?;
    Ok(Connection::Tls(Box::new(stream)))
}

async fn resolve(authority: &Authority, tls: bool) -> Result<Vec<SocketAddr>, Error> {
    let port = match authority.port() {
        // As written: port 0 and 65536 fail where Spin's do.
        Some(port) => port
            .as_str()
            .parse()
            .map_err(|_| dns_error("address not available"))?,
        None if tls => 443,
        None => 80,
    };
    let host = authority
        .as_str()
        .strip_suffix(&format!(":{port}"))
        .unwrap_or(authority.as_str());
    if let Ok(ip) = unbracketed(host).parse() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let addresses = tokio::net::lookup_host((host, port))
        .await
        .map_err(|_| dns_error("address not available"))?;
    Ok(addresses.collect())
}

/// Spin hands rustls an IPv6 address with its brackets, which fails as a DNS error;
/// here it works, one of the places where this runtime does more (docs/architecture.md).
fn server_name(host: &str) -> Option<ServerName<'static>> {
    Some(ServerName::try_from(unbracketed(host)).ok()?.to_owned())
}

fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host)
}

fn dns_error(text: &str) -> Error {
    Error::DnsError {
        rcode: Some(text.to_owned()),
        info_code: Some(0),
    }
}
