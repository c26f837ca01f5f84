//! `[[client_tls]]`: whom a component trusts for a host, and as whom it comes.

use std::fmt;
use std::path::Path;

use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::document::Table;
use crate::finding::{Place, Report, quoted};
use crate::names::{KEBAB_WANT, is_kebab};

/// Every entry, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct ClientTls {
    pub entries: Vec<ClientTlsEntry>,
}

impl ClientTls {
    /// The entry for a component and a host (as the URL has it, without a port);
    /// the first one wins. `None`: the public roots, no client certificate.
    pub fn for_host(&self, component: &str, host: &str) -> Option<&ClientTlsEntry> {
        let names = |list: &[String], name: &str| list.iter().any(|n| n == name);
        self.entries
            .iter()
            .find(|e| names(&e.component_ids, component) && names(&e.hosts, host))
    }
}

#[derive(Clone, Debug)]
pub struct ClientTlsEntry {
    pub component_ids: Vec<String>,
    pub hosts: Vec<String>,
    /// `ca_roots_file`, read.
    pub ca_roots: Vec<CertificateDer<'static>>,
    /// `ca_use_webpki_roots`: Mozilla's roots beside `ca_roots`; unless given, only
    /// when there is no `ca_roots_file`.
    pub use_webpki_roots: bool,
    pub client_certificate: Option<ClientCertificate>,
}

/// What the component shows of itself.
pub struct ClientCertificate {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

impl Clone for ClientCertificate {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientCertificate({} in chain)", self.chain.len())
    }
}

const KEYS: &[&str] = &[
    "component_ids",
    "hosts",
    "ca_use_webpki_roots",
    "ca_roots_file",
    "client_cert_file",
    "client_private_key_file",
];

/// Adds one entry; gives its component ids with their places.
pub(super) fn read(
    table: &Table<'_>,
    dir: &Path,
    tls: &mut ClientTls,
    report: &mut Report,
) -> Vec<(String, Place)> {
    if let Some(item) = table.get("ca_use_platform_roots") {
        // Spin 4.0 has it, and the Spin 3.5 inside the cron plugin refuses to start.
        report.stop(
            "platform-roots",
            &item.place,
            "a key that the cron plugin's Spin 3.5 does not know",
            "ca_use_webpki_roots, or ca_roots_file with the platform's file of roots",
        );
    }
    let mut known = KEYS.to_vec();
    known.push("ca_use_platform_roots");
    table.only(&known, report);

    let component_ids = required_texts(table, "component_ids", "at least one component", report);
    for (id, place) in &component_ids {
        if !is_kebab(id) {
            report.stop("component-id", place, &quoted(id), KEBAB_WANT);
        }
    }
    let hosts = required_texts(table, "hosts", "at least one host", report);
    for (host, place) in &hosts {
        if url::Host::parse(host).is_err() {
            let want = "a host name or an IP address, without a port";
            report.stop("client-tls-host", place, &quoted(host), want);
        }
    }

    let roots_file = table.text("ca_roots_file", report);
    let webpki = table.flag("ca_use_webpki_roots", report);
    let use_webpki_roots = webpki
        .as_ref()
        .map_or(roots_file.is_none(), |(flag, _)| *flag);
    if let (None, Some((false, place))) = (&roots_file, &webpki) {
        let want = "true, or a ca_roots_file: with no root nothing is trusted";
        report.stop("client-tls-roots", place, "false", want);
    }
    let ca_roots = roots_file
        .map(|(path, place)| {
            let roots = certificates(&dir.join(&path), &path, &place, report);
            trusted(&roots, &path, &place, report);
            roots
        })
        .unwrap_or_default();

    let names: Vec<String> = component_ids.iter().map(|(id, _)| id.clone()).collect();
    let client_certificate = client_certificate(table, dir, report);
    tls.entries.push(ClientTlsEntry {
        component_ids: names,
        hosts: hosts.into_iter().map(|(host, _)| host).collect(),
        ca_roots,
        use_webpki_roots,
        client_certificate,
    });
    component_ids
}

fn required_texts(
    table: &Table<'_>,
    name: &str,
    want: &str,
    report: &mut Report,
) -> Vec<(String, Place)> {
    match table.get(name) {
        Some(item) if !item.is_empty() => item.texts(report),
        _ => {
            let place = table.place_of(name);
            report.stop("missing-key", &place, "nothing", want);
            Vec::new()
        }
    }
}

fn client_certificate(
    table: &Table<'_>,
    dir: &Path,
    report: &mut Report,
) -> Option<ClientCertificate> {
    let chain = table.text("client_cert_file", report);
    let key = table.text("client_private_key_file", report);
    match (chain, key) {
        (None, None) => None,
        (Some((path, place)), Some((key_path, key_place))) => {
            let chain = certificates(&dir.join(&path), &path, &place, report);
            let Ok(key) = PrivateKeyDer::from_pem_file(dir.join(&key_path)) else {
                let want = "a readable PEM file with a private key";
                report.stop("pem-file", &key_place, &quoted(&key_path), want);
                return None;
            };
            if !chain.is_empty()
                && let Err(error) =
                    CertifiedKey::from_der(chain.clone(), key.clone_key(), &default_provider())
            {
                let got = format!("{key_path:?} beside {path:?} ({error})");
                let want = "the private key of the first certificate in client_cert_file";
                report.stop("client-certificate", &key_place, &got, want);
            }
            Some(ClientCertificate { chain, key })
        }
        (Some((_, place)), None) | (None, Some((_, place))) => {
            let want = "client_cert_file and client_private_key_file together";
            report.stop("client-certificate", &place, "one of the two", want);
            None
        }
    }
}

/// What is PEM may still be no certificate.
fn trusted(roots: &[CertificateDer<'static>], shown: &str, place: &Place, report: &mut Report) {
    for (index, root) in roots.iter().enumerate() {
        if RootCertStore::empty().add(root.clone()).is_err() {
            let got = format!("{shown:?}, whose certificate {} is none", index + 1);
            report.stop("pem-file", place, &got, "certificates to trust, in PEM");
        }
    }
}

fn certificates(
    path: &Path,
    shown: &str,
    place: &Place,
    report: &mut Report,
) -> Vec<CertificateDer<'static>> {
    let read: Option<Vec<_>> = CertificateDer::pem_file_iter(path)
        .ok()
        .and_then(|list| list.collect::<Result<_, _>>().ok());
    match read {
        Some(list) if !list.is_empty() => list,
        _ => {
            let want = "a readable PEM file with at least one certificate";
            report.stop("pem-file", place, &quoted(shown), want);
            Vec::new()
        }
    }
}
