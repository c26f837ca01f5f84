//! One certificate, read into what the judgement and the facts need.

use rustls::pki_types::{CertificateDer, alg_id};
use sha2::{Digest, Sha256};
use watchbell_core::outcome::one_line;
use x509_parser::certificate::{X509Certificate, X509CertificateParser};
use x509_parser::extensions::{
    AuthorityInfoAccess, AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, GeneralName,
    KeyUsage, SubjectAlternativeName, X509Extension,
};
use x509_parser::nom::Parser;
use x509_parser::oid_registry as oids;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

use crate::der;

/// A name is cut here: it travels in records and messages, and whoever made the
/// certificate decides how long it is.
const NAME_CHARS_MAX: usize = 255;
/// More alternative names than this are counted by nobody; the checks on names
/// do not use this list.
const NAMES_MAX: usize = 100;

/// Certificates of a chain beyond this are not looked at: no path is longer than eight.
pub const CHAIN_MAX: usize = 20;

/// A key's kind, as far as it decides anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    Rsa {
        bits: usize,
    },
    P256,
    P384,
    Ed25519,
    /// Not verified here; the text names it.
    Other(String),
}

impl Key {
    /// From an algorithm identifier and the key, as they stand in a SubjectPublicKeyInfo.
    pub fn read(id: &[u8], key: &[u8]) -> Self {
        match id {
            _ if id == alg_id::RSA_ENCRYPTION.as_ref() => match der::rsa_bits(key) {
                Some(bits) => Key::Rsa { bits },
                None => Key::Other("an unreadable RSA key".to_owned()),
            },
            _ if id == alg_id::ECDSA_P256.as_ref() => Key::P256,
            _ if id == alg_id::ECDSA_P384.as_ref() => Key::P384,
            _ if id == alg_id::ED25519.as_ref() => Key::Ed25519,
            _ if id == alg_id::ECDSA_P521.as_ref() => Key::Other("an ECDSA P-521 key".to_owned()),
            _ if id == alg_id::ED448.as_ref() => Key::Other("an Ed448 key".to_owned()),
            _ => Key::Other(format!("a key of algorithm {}", der::oid(id))),
        }
    }

    /// What stands in the way of verifying with this key, if anything.
    pub fn unsupported(&self) -> Option<String> {
        match self {
            Key::Rsa { bits } if *bits > crate::RSA_BITS_MAX => {
                Some(format!("an RSA key of {bits} bits"))
            }
            Key::Other(text) => Some(text.clone()),
            _ => None,
        }
    }
}

/// What of a certificate is looked at.
pub struct Certificate<'a> {
    /// SHA-256 over the DER, lower-case hex.
    pub sha256: String,
    pub subject: String,
    pub issuer: String,
    /// Content of the Name, for comparing byte by byte as path builders do.
    pub subject_der: &'a [u8],
    pub issuer_der: &'a [u8],
    pub issuer_organization: Option<String>,
    /// The issuer's issuer, where authorityKeyIdentifier tells (content of the Name).
    pub issuer_s_issuer_der: Option<&'a [u8]>,
    /// Whether authorityInfoAccess tells where to fetch the issuer's certificate by HTTP.
    pub issuer_over_http: bool,
    /// Lower-case hex, without leading zero bytes.
    pub serial: String,
    /// DNS names and IP addresses of subjectAltName.
    pub names: Vec<String>,
    pub has_names: bool,
    pub not_before_unix_s: i64,
    pub not_after_unix_s: i64,
    /// Content of the SubjectPublicKeyInfo.
    pub spki: &'a [u8],
    pub key: Key,
    /// What is signed, with which algorithm (content of its identifier), and how.
    pub signed: &'a [u8],
    pub signature_id: &'a [u8],
    pub signature: &'a [u8],
    /// basicConstraints, when there: whether a CA, and how many more below it.
    pub ca: Option<(bool, Option<u32>)>,
    /// keyUsage, when there.
    pub usage: Option<Usage>,
    /// Whether extendedKeyUsage, when there, allows servers.
    pub for_servers: bool,
}

/// The bits of keyUsage that are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub digital_signature: bool,
    pub key_encipherment: bool,
    pub key_agreement: bool,
    pub key_cert_sign: bool,
}

/// SHA-256 over the DER, lower-case hex.
pub fn fingerprint(der: &[u8]) -> String {
    hex(&Sha256::digest(der))
}

impl<'a> Certificate<'a> {
    /// The reason is for people.
    pub fn read(der: &'a CertificateDer<'_>) -> Result<Self, String> {
        let der: &'a [u8] = der.as_ref();
        // Of the extensions only those that `note` asks for are read.
        let mut parser = X509CertificateParser::new().with_deep_parse_extensions(false);
        let (rest, parsed) = parser.parse(der).map_err(|e| unreadable(&e))?;
        if !rest.is_empty() {
            return Err(format!("{} bytes follow the certificate", rest.len()));
        }
        Self::take(der, &parsed).ok_or_else(|| "its outer structure is not DER".to_owned())
    }

    fn take(der: &'a [u8], parsed: &X509Certificate<'a>) -> Option<Self> {
        let (body, _) = der::expect(der, der::SEQUENCE)?;
        let (tbs, rest) = der::next(body)?;
        let (signature_id, rest) = der::expect(rest, der::SEQUENCE)?;
        let (spki, _) = der::expect(parsed.subject_pki.raw, der::SEQUENCE)?;
        let (key_id, key) = der::public_key(spki)?;
        let (subject_der, _) = der::expect(parsed.subject.as_raw(), der::SEQUENCE)?;
        let (issuer_der, _) = der::expect(parsed.issuer.as_raw(), der::SEQUENCE)?;
        let mut certificate = Self {
            sha256: fingerprint(der),
            subject: distinguished(&parsed.subject),
            issuer: distinguished(&parsed.issuer),
            subject_der,
            issuer_der,
            issuer_organization: parsed
                .issuer
                .iter_organization()
                .next()
                .and_then(|o| o.as_str().ok())
                .map(str::to_owned),
            issuer_s_issuer_der: None,
            issuer_over_http: false,
            serial: serial(parsed.raw_serial()),
            names: Vec::new(),
            has_names: false,
            not_before_unix_s: parsed.validity.not_before.timestamp(),
            not_after_unix_s: parsed.validity.not_after.timestamp(),
            spki,
            key: Key::read(key_id, key),
            signed: tbs.raw,
            signature_id,
            signature: der::bits(rest)?,
            ca: None,
            usage: None,
            for_servers: true,
        };
        for extension in parsed.extensions() {
            certificate.note(extension);
        }
        Some(certificate)
    }

    /// An extension that cannot be read counts as absent.
    fn note(&mut self, extension: &X509Extension<'a>) {
        let (id, value) = (&extension.oid, extension.value);
        if *id == oids::OID_X509_EXT_SUBJECT_ALT_NAME {
            if let Ok((_, names)) = SubjectAlternativeName::from_der(value) {
                self.has_names = true;
                let shown = names.general_names.iter().filter_map(shown);
                self.names = shown.take(NAMES_MAX).collect();
            }
        } else if *id == oids::OID_X509_EXT_BASIC_CONSTRAINTS {
            if let Ok((_, constraints)) = BasicConstraints::from_der(value) {
                self.ca = Some((constraints.ca, constraints.path_len_constraint));
            }
        } else if *id == oids::OID_X509_EXT_KEY_USAGE {
            if let Ok((_, usage)) = KeyUsage::from_der(value) {
                self.usage = Some(Usage {
                    digital_signature: usage.digital_signature(),
                    key_encipherment: usage.key_encipherment(),
                    key_agreement: usage.key_agreement(),
                    key_cert_sign: usage.key_cert_sign(),
                });
            }
        } else if *id == oids::OID_X509_EXT_EXTENDED_KEY_USAGE {
            if let Ok((_, usage)) = ExtendedKeyUsage::from_der(value) {
                self.for_servers = usage.server_auth || usage.any;
            }
        } else if *id == oids::OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER {
            if let Ok((_, id)) = AuthorityKeyIdentifier::from_der(value) {
                let names = id.authority_cert_issuer.iter().flatten();
                self.issuer_s_issuer_der = { names }.find_map(|name| match name {
                    GeneralName::DirectoryName(name) => {
                        Some(der::expect(name.as_raw(), der::SEQUENCE)?.0)
                    }
                    _ => None,
                });
            }
        } else if *id == oids::OID_PKIX_AUTHORITY_INFO_ACCESS
            && let Ok((_, access)) = AuthorityInfoAccess::from_der(value)
        {
            self.issuer_over_http = access.iter().any(|a| {
                a.access_method == oids::OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS
                    && matches!(a.access_location, GeneralName::URI(at) if at.starts_with("http:"))
            });
        }
    }

    /// Its issuer's name is its own.
    pub fn is_self_issued(&self) -> bool {
        self.subject_der == self.issuer_der
    }

    /// The short name for messages: the common name, else the whole subject.
    pub fn called(&self) -> &str {
        called(&self.subject)
    }

    /// The same of its issuer.
    pub fn issuer_called(&self) -> &str {
        called(&self.issuer)
    }

    /// derper adds a certificate that carries its DERP key as a name and proves nothing
    /// else; it lives 60 days and must not be taken for part of the chain.
    pub fn is_derp_key(&self) -> bool {
        self.is_self_issued() && self.called().starts_with("derpkey")
    }
}

fn called(distinguished: &str) -> &str {
    let name = distinguished
        .rsplit(", ")
        .find_map(|part| part.strip_prefix("CN="));
    match (name, distinguished) {
        (Some(name), _) => name,
        (None, "") => "(no name)",
        (None, all) => all,
    }
}

fn shown(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(one_line(name, NAME_CHARS_MAX)),
        GeneralName::IPAddress(bytes) => {
            if let Ok(v4) = <[u8; 4]>::try_from(*bytes) {
                Some(std::net::Ipv4Addr::from(v4).to_string())
            } else {
                let v6 = <[u8; 16]>::try_from(*bytes).ok()?;
                Some(std::net::Ipv6Addr::from(v6).to_string())
            }
        }
        _ => None,
    }
}

/// `C=US, O=Example, CN=example.com`, in the order of the encoding.
fn distinguished(name: &X509Name<'_>) -> String {
    let mut out = String::new();
    for attribute in name.iter_attributes() {
        if !out.is_empty() {
            out.push_str(", ");
        }
        let kind = attribute.attr_type();
        let short = SHORT.iter().find(|(oid, _)| oid == kind);
        match short {
            Some((_, short)) => out.push_str(short),
            None => out.push_str(&kind.to_id_string()),
        }
        out.push('=');
        match attribute.as_str() {
            Ok(text) => out.push_str(text),
            Err(_) => out.push_str(&format!("#{}", hex(attribute.as_slice()))),
        }
        if out.len() > NAME_CHARS_MAX {
            break;
        }
    }
    one_line(&out, NAME_CHARS_MAX)
}

/// RFC 4514, section 3.
static SHORT: [(oids::Oid<'static>, &str); 8] = [
    (oids::OID_X509_COMMON_NAME, "CN"),
    (oids::OID_X509_ORGANIZATION_NAME, "O"),
    (oids::OID_X509_ORGANIZATIONAL_UNIT, "OU"),
    (oids::OID_X509_COUNTRY_NAME, "C"),
    (oids::OID_X509_STATE_OR_PROVINCE_NAME, "ST"),
    (oids::OID_X509_LOCALITY_NAME, "L"),
    (oids::OID_X509_SERIALNUMBER, "serialNumber"),
    (oids::OID_DOMAIN_COMPONENT, "DC"),
];

fn unreadable(error: &x509_parser::nom::Err<x509_parser::error::X509Error>) -> String {
    use x509_parser::nom::Err;
    match error {
        Err::Incomplete(_) => "it is cut short".to_owned(),
        Err::Error(e) | Err::Failure(e) => one_line(&e.to_string(), 100),
    }
}

fn serial(raw: &[u8]) -> String {
    let start = raw.iter().position(|b| *b != 0);
    hex(raw.get(start.unwrap_or(0)..).unwrap_or_default())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut out, b| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{b:02x}");
        out
    })
}
