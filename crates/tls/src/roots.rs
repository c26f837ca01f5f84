//! Whom to trust: Mozilla's roots, and those of `ca_certificates`.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, TrustAnchor};

use crate::certificate::{Certificate, Key};
use crate::der;

/// More private roots than this are a bundle given by mistake (Mozilla's has 150),
/// and every one costs time at each probe.
const PRIVATE_MAX: usize = 64;

/// The trust anchors of a check.
pub struct Roots {
    anchors: Vec<TrustAnchor<'static>>,
    private: Vec<Private>,
}

/// What of a private root a trust anchor does not hold.
struct Private {
    der: Vec<u8>,
    spki: Vec<u8>,
    subject: Vec<u8>,
    /// Whether it vouches for others.
    is_root: bool,
    not_before_unix_s: i64,
    not_after_unix_s: i64,
}

impl Roots {
    /// Mozilla's, and the certificates in `pem`, which may be empty.
    /// The error names what of `ca_certificates` cannot be used.
    pub fn read(pem: &str) -> Result<Self, String> {
        let mut roots = Self::only(pem)?;
        roots
            .anchors
            .extend_from_slice(webpki_roots::TLS_SERVER_ROOTS);
        Ok(roots)
    }

    /// The certificates in `pem` and no others.
    pub fn only(pem: &str) -> Result<Self, String> {
        let mut roots = Self {
            anchors: Vec::new(),
            private: Vec::new(),
        };
        let mut number = 0;
        for item in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            number += 1;
            if number > PRIVATE_MAX {
                return Err(format!("got more than {PRIVATE_MAX} certificates"));
            }
            let der = item.map_err(|_| format!("certificate {number} is not PEM"))?;
            roots
                .add(&der)
                .map_err(|why| format!("certificate {number} cannot be read: {why}"))?;
        }
        if number == 0 && !pem.trim().is_empty() {
            return Err("got no certificate, want PEM".to_owned());
        }
        Ok(roots)
    }

    fn add(&mut self, der: &CertificateDer<'_>) -> Result<(), String> {
        let certificate = Certificate::read(der)?;
        // One that says it is no CA is trusted as a server's own and vouches for no other.
        let is_root = !matches!(certificate.ca, Some((false, _)));
        if is_root {
            let anchor = webpki::anchor_from_trusted_cert(der)
                .map_err(|_| "it is no usable root".to_owned())?;
            self.anchors.push(anchor.to_owned());
        }
        self.private.push(Private {
            der: der.to_vec(),
            spki: certificate.spki.to_vec(),
            subject: certificate.subject_der.to_vec(),
            is_root,
            not_before_unix_s: certificate.not_before_unix_s,
            not_after_unix_s: certificate.not_after_unix_s,
        });
        Ok(())
    }

    pub(crate) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    /// Whether this very certificate was given as trusted: the way to trust a
    /// self-signed server certificate.
    pub(crate) fn holds(&self, der: &[u8]) -> bool {
        self.private.iter().any(|p| p.der == der)
    }

    /// Why an anchor does not count now. Mozilla's carry no dates; of private roots with
    /// the same name and key (a renewed root) one in its time is enough.
    pub(crate) fn out_of_time(
        &self,
        anchor: &TrustAnchor<'_>,
        now_unix_s: i64,
    ) -> Option<OutOfTime> {
        let mut same = self
            .private
            .iter()
            .filter(|p| {
                p.subject == anchor.subject.as_ref()
                    && p.spki == anchor.subject_public_key_info.as_ref()
            })
            .peekable();
        same.peek()?;
        let mut worst = None;
        for private in same {
            if now_unix_s > private.not_after_unix_s {
                worst = Some(OutOfTime::Expired(private.not_after_unix_s));
            } else if now_unix_s < private.not_before_unix_s {
                worst = Some(OutOfTime::NotYet(private.not_before_unix_s));
            } else {
                return None;
            }
        }
        worst
    }

    /// The key of an anchor.
    pub(crate) fn key(anchor: &TrustAnchor<'_>) -> Option<Key> {
        let (id, key) = der::public_key(anchor.subject_public_key_info.as_ref())?;
        Some(Key::read(id, key))
    }

    /// Whether private roots were given.
    pub(crate) fn have_private(&self) -> bool {
        self.private.iter().any(|p| p.is_root)
    }

    /// Whether some root is of this organization.
    pub(crate) fn know_organization(&self, organization: &str) -> bool {
        // The text stands in the DER as it is, in all string types in use, and its length
        // before it: so "Trust" is not "Google Trust Services".
        // One no longer than a country's code would be found everywhere.
        let length = match u8::try_from(organization.len()) {
            Ok(length @ 3..) => length,
            _ => return false,
        };
        let wanted = [&[length], organization.as_bytes()].concat();
        self.anchors.iter().any(|a| {
            let subject: &[u8] = a.subject.as_ref();
            subject.windows(wanted.len()).any(|w| w == wanted)
        })
    }
}

/// Of a certificate or root: when it ended, or when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutOfTime {
    Expired(i64),
    NotYet(i64),
}
