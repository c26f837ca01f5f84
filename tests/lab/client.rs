//! A client with TLS that trusts the lab's authority: for comparing servers.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::chain::AUTHORITY;
use crate::wire::{Response, read_response};

/// One request over TLS, with `host` as SNI and as the name to verify.
pub fn ask(addr: SocketAddr, host: &str, method: &str, path: &str) -> Result<Response, String> {
    let mut stream = connect(config(), addr, host).map_err(|e| e.to_string())?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    stream
        .write_all(request.as_bytes())
        .map_err(|e| e.to_string())?;
    read_response(&mut stream).map_err(|e| e.to_string())
}

/// A connection over TLS, with `host` as SNI and as the name to verify.
pub fn connect(
    config: Arc<ClientConfig>,
    addr: SocketAddr,
    host: &str,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let connection = ClientConnection::new(config, name).unwrap();
    Ok(StreamOwned::new(connection, TcpStream::connect(addr)?))
}

/// Trusts the lab's authority alone.
pub fn config() -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(AUTHORITY.root_pem().as_bytes()).unwrap();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}
