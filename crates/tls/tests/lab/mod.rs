//! Certificates made on the spot, with their validity around a fixed time.
// Each test binary uses its part of it; setting up may panic.
#![allow(dead_code, clippy::unwrap_used)]

pub mod server;
pub mod verdict;

use std::path::PathBuf;

use base64::Engine;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType,
};
use watchbell_tls::CertificateDer;
use watchbell_tls::CertificateDer as Der;

/// 2027-01-15, within the fixtures' lives.
pub const NOW: i64 = 1_800_000_000;

pub fn days(n: i64) -> i64 {
    n * 86_400
}

/// `n` days from [`NOW`].
pub fn time(n: i64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(NOW + days(n)).unwrap()
}

pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// A fixture's certificate.
pub fn pem(name: &str) -> Der<'static> {
    use rustls::pki_types::pem::PemObject;
    Der::from_pem_file(fixture(&format!("{name}.pem"))).unwrap()
}

/// A fixture's certificate as text.
pub fn pem_text(name: &str) -> String {
    pem_of(&pem(name))
}

pub fn pem_of(der: &Der<'_>) -> String {
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

pub fn chain<const N: usize>(ders: [&CertificateDer<'static>; N]) -> Vec<Der<'static>> {
    ders.into_iter().cloned().collect()
}

/// A CA: its certificate and what it needs to sign.
pub struct Authority {
    pub der: Der<'static>,
    /// Its issuers' certificates, the nearest first, without the root's.
    pub above: Vec<Der<'static>>,
    params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    pub fn root(name: &str) -> Self {
        Self::root_with(name, |_| ())
    }

    pub fn root_of(organization: &str, name: &str) -> Self {
        Self::root_with(name, |p| {
            p.distinguished_name = dn(Some(organization), name)
        })
    }

    pub fn root_with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = ca(name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().clone();
        Self {
            der,
            above: Vec::new(),
            params,
            key,
        }
    }

    /// The same root, with the same key, changed.
    pub fn again(&self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = self.params.clone();
        change(&mut params);
        let key = KeyPair::from_pem(&self.key.serialize_pem()).unwrap();
        let der = params.self_signed(&key).unwrap().der().clone();
        Self {
            der,
            above: Vec::new(),
            params,
            key,
        }
    }

    pub fn intermediate(&self, name: &str) -> Self {
        self.intermediate_with(name, |_| ())
    }

    pub fn intermediate_of(&self, organization: &str, name: &str) -> Self {
        self.intermediate_with(name, |p| {
            p.distinguished_name = dn(Some(organization), name)
        })
    }

    pub fn constrained(
        &self,
        name: &str,
        permitted: Vec<GeneralSubtree>,
        excluded: Vec<GeneralSubtree>,
    ) -> Self {
        self.intermediate_with(name, |p| {
            p.name_constraints = Some(NameConstraints {
                permitted_subtrees: permitted,
                excluded_subtrees: excluded,
            });
        })
    }

    pub fn intermediate_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let mut params = ca(name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let der = params
            .signed_by(&key, &self.issuer())
            .unwrap()
            .der()
            .clone();
        let mut above = Vec::new();
        if self.params.distinguished_name != dn(None, "Root") {
            above.push(self.der.clone());
            above.extend(self.above.iter().cloned());
        }
        Self {
            der,
            above,
            params,
            key,
        }
    }

    /// Another CA's name and key, signed by this one.
    pub fn cross_sign(&self, other: &Authority) -> Der<'static> {
        self.cross_sign_with(other, |_| ())
    }

    pub fn cross_sign_with(
        &self,
        other: &Authority,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Der<'static> {
        let mut params = other.params.clone();
        change(&mut params);
        let signed = params.signed_by(&other.key, &self.issuer()).unwrap();
        signed.der().clone()
    }

    pub fn leaf(&self, leaf: &Leaf) -> Der<'static> {
        self.leaf_and_key(leaf).0
    }

    pub fn leaf_and_key(&self, leaf: &Leaf) -> (Der<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        (self.sign(leaf, &key), key)
    }

    pub fn sign(&self, leaf: &Leaf, key: &KeyPair) -> Der<'static> {
        leaf.params
            .signed_by(key, &self.issuer())
            .unwrap()
            .der()
            .clone()
    }

    pub fn pem(&self) -> String {
        // Signing anew would give another certificate of an ECDSA key.
        pem_of(&self.der)
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }
}

/// A server's certificate to be.
#[derive(Clone)]
pub struct Leaf {
    params: CertificateParams,
}

impl Leaf {
    /// 90 days, the 30 last of them before [`NOW`].
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names
            .into_iter()
            .map(|name| match name.parse() {
                Ok(ip) => SanType::IpAddress(ip),
                Err(_) => SanType::DnsName(name.try_into().unwrap()),
            })
            .collect();
        params.distinguished_name = dn(None, "leaf");
        params.not_before = time(-30);
        params.not_after = time(60);
        Self { params }
    }

    pub fn called(mut self, name: &str) -> Self {
        self.params.distinguished_name = dn(None, name);
        self
    }

    pub fn valid(mut self, from: i64, to: i64) -> Self {
        self.params.not_before = time(from);
        self.params.not_after = time(to);
        self
    }

    pub fn purposes<const N: usize>(mut self, all: [ExtendedKeyUsagePurpose; N]) -> Self {
        self.params.extended_key_usages = all.to_vec();
        self
    }

    pub fn usages<const N: usize>(mut self, all: [KeyUsagePurpose; N]) -> Self {
        self.params.key_usages = all.to_vec();
        self
    }

    pub fn ca(mut self) -> Self {
        self.params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        self
    }

    pub fn extension(mut self, extension: CustomExtension) -> Self {
        self.params.custom_extensions.push(extension);
        self
    }

    /// Says where its issuer is to be fetched (authorityInfoAccess, caIssuers).
    pub fn issuer_at(self, uri: &str) -> Self {
        let tlv = |tag: u8, content: &[u8]| {
            [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
        };
        let ca_issuers = tlv(6, &[0x2b, 6, 1, 5, 5, 7, 0x30, 2]);
        let one = [ca_issuers, tlv(0x86, uri.as_bytes())].concat();
        let content = tlv(0x30, &tlv(0x30, &one));
        let oid = [1, 3, 6, 1, 5, 5, 7, 1, 1];
        self.extension(CustomExtension::from_oid_content(&oid, content))
    }

    /// With a critical extension that nobody knows.
    pub fn strict(self) -> Self {
        let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        extension.set_criticality(true);
        self.extension(extension)
    }

    pub fn self_signed(self) -> Der<'static> {
        let key = KeyPair::generate().unwrap();
        self.params.self_signed(&key).unwrap().der().clone()
    }
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = dn(None, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = time(-365);
    params.not_after = time(3_650);
    params
}

fn dn(organization: Option<&str>, name: &str) -> rcgen::DistinguishedName {
    let mut dn = rcgen::DistinguishedName::new();
    if let Some(organization) = organization {
        dn.push(DnType::OrganizationName, organization);
    }
    dn.push(DnType::CommonName, name);
    dn
}
