//! Certificate chains: a valid one, and one for each way to be wrong.
//!
//! Root → intermediate → leaf, ECDSA P-256, as a public authority has it.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, LazyLock};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};

/// The name that the lab's Headscale is known by, beside localhost and its addresses.
pub const NAME: &str = "hs.lab.test";
/// As a public authority issues them.
const LIFETIME_DAYS: i64 = 90;

/// What the server presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// Leaf and intermediate, 60 days left.
    Valid,
    /// As valid, with this many days left (and twelve hours, so that a day's end is far).
    DaysLeft(i64),
    Expired,
    NotYetValid,
    /// Valid, for another name.
    WrongHost,
    SelfSigned,
    /// Complete, from an authority that nobody trusts.
    UntrustedRoot,
    /// The leaf alone.
    MissingIntermediate,
    /// Leaf, root, intermediate: out of order, and with a certificate too many.
    WrongOrder,
}

/// The lab's authority: the same for every server of one process.
pub struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
    intermediate: CertifiedIssuer<'static, KeyPair>,
    stranger: CertifiedIssuer<'static, KeyPair>,
}

/// The authority that the application is told to trust.
pub static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);

impl Authority {
    fn new() -> Self {
        let root = issuer("Watchbell Lab Root", None);
        let intermediate = issuer("Watchbell Lab Intermediate", Some(&root));
        let stranger = issuer("Somebody's Root", None);
        Self {
            root,
            intermediate,
            stranger,
        }
    }

    /// PEM of the root: what `ca_certificates` and `[[client_tls]]` are given.
    pub fn root_pem(&self) -> String {
        self.root.pem()
    }

    /// PEM of a valid chain and of its key, for servers that read files.
    pub fn files(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let leaf = leaf(Chain::Valid)
            .signed_by(&key, &self.intermediate)
            .unwrap();
        let chain = format!("{}{}", leaf.pem(), self.intermediate.pem());
        (chain, key.serialize_pem())
    }

    /// What a server needs to present `chain`. HTTP/1.1 only, as the checks ask for.
    pub fn server(&self, chain: Chain, tls_1_2_only: bool) -> Arc<ServerConfig> {
        let (certificates, key) = self.issue(chain);
        let versions: &[&rustls::SupportedProtocolVersion] = if tls_1_2_only {
            &[&rustls::version::TLS12]
        } else {
            &[&rustls::version::TLS13, &rustls::version::TLS12]
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }

    fn issue(&self, chain: Chain) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let params = leaf(chain);
        let leaf = match chain {
            Chain::SelfSigned => params.self_signed(&key),
            Chain::UntrustedRoot => params.signed_by(&key, &self.stranger),
            _ => params.signed_by(&key, &self.intermediate),
        }
        .unwrap();
        let mut certificates = vec![leaf.der().clone()];
        match chain {
            Chain::SelfSigned | Chain::MissingIntermediate => {}
            Chain::UntrustedRoot => certificates.push(self.stranger.der().clone()),
            Chain::WrongOrder => {
                certificates.push(self.root.der().clone());
                certificates.push(self.intermediate.der().clone());
            }
            _ => certificates.push(self.intermediate.der().clone()),
        }
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        (certificates, key)
    }
}

fn leaf(chain: Chain) -> CertificateParams {
    let now = OffsetDateTime::now_utc();
    let mut params = CertificateParams::default();
    params.subject_alt_names = if chain == Chain::WrongHost {
        vec![SanType::DnsName("other.lab.test".try_into().unwrap())]
    } else {
        vec![
            SanType::DnsName(NAME.try_into().unwrap()),
            SanType::DnsName("localhost".try_into().unwrap()),
            SanType::IpAddress(Ipv4Addr::LOCALHOST.into()),
            SanType::IpAddress(Ipv6Addr::LOCALHOST.into()),
        ]
    };
    let days_left = match chain {
        Chain::DaysLeft(days) => days,
        Chain::Expired => -2,
        Chain::NotYetValid => LIFETIME_DAYS + 1,
        _ => 60,
    };
    params.not_after = now + Duration::days(days_left) + Duration::hours(12);
    params.not_before = params.not_after - Duration::days(LIFETIME_DAYS);
    params.distinguished_name.push(DnType::CommonName, NAME);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

fn issuer(
    name: &str,
    by: Option<&CertifiedIssuer<'static, KeyPair>>,
) -> CertifiedIssuer<'static, KeyPair> {
    let now = OffsetDateTime::now_utc();
    let mut params = CertificateParams::default();
    params.not_before = now - Duration::days(365);
    params.not_after = now + Duration::days(3650);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = by.is_some();
    let key = KeyPair::generate().unwrap();
    match by {
        None => CertifiedIssuer::self_signed(params, key),
        Some(by) => CertifiedIssuer::signed_by(params, key, by),
    }
    .unwrap()
}
