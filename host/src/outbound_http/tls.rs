//! Whom a component trusts, built once per component.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore};
use watchbell_app::{ClientTls, ClientTlsEntry};

pub const ALPN_H2: &[u8] = b"h2";
const ALPN_HTTP1: &[u8] = b"http/1.1";

/// By host; the public roots for every other.
pub struct Configs {
    by_host: HashMap<String, Arc<ClientConfig>>,
    public: Arc<ClientConfig>,
}

impl Configs {
    pub fn new(client_tls: &ClientTls, component: &str) -> anyhow::Result<Self> {
        let mut by_host = HashMap::new();
        for entry in &client_tls.entries {
            let is_its = |host: &&String| {
                let chosen = client_tls.for_host(component, host);
                chosen.is_some_and(|chosen| std::ptr::eq(chosen, entry))
            };
            let mut hosts = entry.hosts.iter().filter(is_its).peekable();
            if hosts.peek().is_none() {
                continue;
            }
            let built = configured(entry)
                .with_context(|| format!("reading [[client_tls]] of component {component:?}"))?;
            by_host.extend(hosts.map(|host| (host.clone(), built.clone())));
        }
        Ok(Self {
            by_host,
            public: public()?,
        })
    }

    pub fn for_host(&self, host: &str) -> Arc<ClientConfig> {
        self.by_host.get(host).unwrap_or(&self.public).clone()
    }
}

fn configured(entry: &ClientTlsEntry) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    if entry.use_webpki_roots {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for root in &entry.ca_roots {
        roots
            .add(root.clone())
            .context("reading a certificate of ca_roots_file")?;
    }
    let builder = builder()?.with_root_certificates(roots);
    let config = match &entry.client_certificate {
        Some(certificate) => builder
            .with_client_auth_cert(certificate.chain.clone(), certificate.key.clone_key())
            .context("using the client certificate")?,
        None => builder.with_no_client_auth(),
    };
    Ok(finish(config))
}

/// Mozilla's roots, one configuration for all components.
fn public() -> anyhow::Result<Arc<ClientConfig>> {
    static PUBLIC: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = PUBLIC.get() {
        return Ok(config.clone());
    }
    let roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let config = finish(
        builder()?
            .with_root_certificates(roots)
            .with_no_client_auth(),
    );
    Ok(PUBLIC.get_or_init(|| config).clone())
}

fn builder() -> anyhow::Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let provider = PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider()));
    Ok(ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?)
}

fn finish(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![ALPN_H2.to_vec(), ALPN_HTTP1.to_vec()];
    // A resumed session shows no certificate, and an expired one would go unnoticed.
    config.resumption = Resumption::disabled();
    Arc::new(config)
}
