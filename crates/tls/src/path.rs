//! Every way from the leaf upwards through what the server sent, by name and
//! signature alone: where a validator says only "unknown issuer", this says why.

use rustls::pki_types::TrustAnchor;

use crate::certificate::{Certificate, Key};
use crate::der;
use crate::provider::CERTIFICATE_ALGORITHMS;
use crate::roots::Roots;

/// Links looked at for one diagnosis, whatever comes of each: look-alikes of one name
/// have more ways than can be counted, and an honest chain has a dozen links.
const LINKS_MAX: usize = 64;
/// Certificates on one path; the validator's own bound is six issuers.
const DEPTH_MAX: usize = 8;
/// Ways kept; a real server's chain has one or two.
const PATHS_MAX: usize = 32;

/// One way upwards.
pub struct Path<'r> {
    /// Indexes of certificates, the leaf (0) first.
    pub certificates: Vec<usize>,
    pub end: End<'r>,
    /// A signature on the way could not be checked, for lack of this.
    pub unverified: Option<String>,
}

/// Where a way ends.
#[derive(Clone, Copy)]
pub enum End<'r> {
    /// At a trusted root.
    Anchor(&'r TrustAnchor<'static>),
    /// At a certificate that signs itself and is not trusted.
    SelfSigned,
    /// A trusted root has the issuer's name and another key.
    OtherRoot,
    /// The server sends a certificate of the issuer's name, with another key.
    OtherIssuer,
    /// Nobody has the issuer's name.
    Missing,
}

/// The leaf is the first certificate.
pub fn explore<'r>(certificates: &[Certificate<'_>], roots: &'r Roots) -> Vec<Path<'r>> {
    let mut explorer = Explorer::new(certificates, roots);
    // What was found before the budget was spent is as true.
    let _ = explorer.climb(&mut vec![0], None);
    explorer.found
}

struct Explorer<'c, 'd, 'r> {
    certificates: &'c [Certificate<'d>],
    roots: &'r Roots,
    /// Asked for so far; one above the budget at most, for the search ends there.
    links: usize,
    found: Vec<Path<'r>>,
}

enum Link {
    Holds,
    Broken,
    /// Not checked, for lack of this.
    Unverified(String),
}

impl<'c, 'd, 'r> Explorer<'c, 'd, 'r> {
    fn new(certificates: &'c [Certificate<'d>], roots: &'r Roots) -> Self {
        Self {
            certificates,
            roots,
            links: 0,
            found: Vec::new(),
        }
    }

    /// `None`: the budget is spent, and so is the search.
    fn climb(&mut self, path: &mut Vec<usize>, unverified: Option<&str>) -> Option<()> {
        let top = self.certificates.get(*path.last()?)?;
        let mut end = End::Missing;
        let mut went_on = false;
        let roots: &'r Roots = self.roots;
        for anchor in roots.anchors() {
            if anchor.subject.as_ref() != top.issuer_der {
                continue;
            }
            match self.link(top, anchor.subject_public_key_info.as_ref())? {
                Link::Broken => end = End::OtherRoot,
                Link::Holds => {
                    went_on = true;
                    self.keep(path, End::Anchor(anchor), unverified)?;
                }
                Link::Unverified(what) => {
                    went_on = true;
                    self.keep(path, End::Anchor(anchor), unverified.or(Some(&what)))?;
                }
            }
        }
        for (at, issuer) in self.certificates.iter().enumerate() {
            if issuer.subject_der != top.issuer_der || path.len() >= DEPTH_MAX {
                continue;
            }
            // The same name and key again would lead in a circle (RFC 4158, section 5.2).
            let circle = path.iter().filter_map(|at| self.certificates.get(*at));
            if { circle }.any(|c| c.subject_der == issuer.subject_der && c.spki == issuer.spki) {
                continue;
            }
            let what = match self.link(top, issuer.spki)? {
                Link::Broken => {
                    if matches!(end, End::Missing) {
                        end = End::OtherIssuer;
                    }
                    continue;
                }
                Link::Holds => None,
                Link::Unverified(what) => Some(what),
            };
            went_on = true;
            path.push(at);
            self.climb(path, unverified.or(what.as_deref()))?;
            path.pop();
        }
        if went_on {
            return Some(());
        }
        if top.is_self_issued() && !matches!(self.link(top, top.spki)?, Link::Broken) {
            end = End::SelfSigned;
        }
        self.keep(path, end, unverified)
    }

    /// `None` when that was the last.
    fn keep(&mut self, path: &[usize], end: End<'r>, unverified: Option<&str>) -> Option<()> {
        self.found.push(Path {
            certificates: path.to_vec(),
            end,
            unverified: unverified.map(str::to_owned),
        });
        (self.found.len() < PATHS_MAX).then_some(())
    }

    /// Whether the key signed the certificate; `None` once the budget is spent.
    fn link(&mut self, signed: &Certificate<'_>, spki: &[u8]) -> Option<Link> {
        self.links += 1;
        (self.links <= LINKS_MAX).then(|| link(signed, spki))
    }
}

fn link(signed: &Certificate<'_>, spki: &[u8]) -> Link {
    let Some((key_id, key)) = der::public_key(spki) else {
        return Link::Broken;
    };
    if let Some(what) = Key::read(key_id, key).unsupported() {
        return Link::Unverified(what);
    }
    let mut algorithms = CERTIFICATE_ALGORITHMS
        .iter()
        .filter(|a| a.signature_alg_id().as_ref() == signed.signature_id)
        .peekable();
    if algorithms.peek().is_none() {
        let what = format!("signature algorithm {}", der::oid(signed.signature_id));
        return Link::Unverified(what);
    }
    // Every hash that is known is known with every key: what is missing here is a key
    // of another kind, which has not signed it.
    let Some(algorithm) = algorithms.find(|a| a.public_key_alg_id().as_ref() == key_id) else {
        return Link::Broken;
    };
    match algorithm.verify_signature(key, signed.signed, signed.signature) {
        Ok(()) => Link::Holds,
        Err(_) => Link::Broken,
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    /// A self-issued certificate, and copies of it with other keys.
    fn look_alikes(pem: &[u8], count: u8) -> Vec<CertificateDer<'static>> {
        let der = CertificateDer::from_pem_slice(pem).unwrap();
        let spki = Certificate::read(&der).unwrap().spki.to_vec();
        let at = der.windows(spki.len()).position(|w| w == spki).unwrap();
        let key_end = at + spki.len() - 1;
        let copies = (0..count).map(|n| {
            let mut copy = der.to_vec();
            copy[key_end] ^= n;
            CertificateDer::from(copy)
        });
        copies.collect()
    }

    #[test]
    fn look_alikes_buy_no_more_work_than_the_budget() {
        let roots = Roots::only("").unwrap();
        for (key, pem) in [
            (
                "P-521",
                &include_bytes!("../tests/fixtures/p521-root.pem")[..],
            ),
            ("P-256", include_bytes!("../tests/fixtures/ec-root.pem")),
        ] {
            let sent = look_alikes(pem, 20);
            let certificates: Vec<_> = { sent.iter() }
                .map(|der| Certificate::read(der).unwrap())
                .collect();
            let mut explorer = Explorer::new(&certificates, &roots);
            let _ = explorer.climb(&mut vec![0], None);
            // Each of the others is asked once at least.
            let counted = 19..=LINKS_MAX + 1;
            assert!(
                counted.contains(&explorer.links),
                "{key}: {}",
                explorer.links
            );
            assert!(explorer.found.len() <= PATHS_MAX, "{key}");
        }
    }
}
