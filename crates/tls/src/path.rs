//! Every way from the leaf upwards through what the server sent, by name and
//! signature alone: where a validator says only "unknown issuer", this says why.

use rustls::pki_types::TrustAnchor;

use crate::certificate::{Certificate, Key};
use crate::der;
use crate::provider::CERTIFICATE_ALGORITHMS;
use crate::roots::Roots;

/// Signatures checked for one diagnosis: a hostile chain of equal names must not
/// buy more work than an honest one needs.
const SIGNATURES_MAX: usize = 64;
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
    let mut explorer = Explorer {
        certificates,
        roots,
        signatures_left: SIGNATURES_MAX,
        found: Vec::new(),
    };
    if !certificates.is_empty() {
        explorer.climb(&mut vec![0], None);
    }
    explorer.found
}

struct Explorer<'c, 'd, 'r> {
    certificates: &'c [Certificate<'d>],
    roots: &'r Roots,
    signatures_left: usize,
    found: Vec<Path<'r>>,
}

enum Link {
    Holds,
    Broken,
    /// Not checked, for lack of this.
    Unverified(String),
}

impl<'r> Explorer<'_, '_, 'r> {
    fn climb(&mut self, path: &mut Vec<usize>, unverified: Option<&str>) {
        let Some(top) = path.last().and_then(|at| self.certificates.get(*at)) else {
            return;
        };
        let mut end = End::Missing;
        let mut went_on = false;
        let roots: &'r Roots = self.roots;
        for anchor in roots.anchors() {
            if anchor.subject.as_ref() != top.issuer_der {
                continue;
            }
            match self.link(top, anchor.subject_public_key_info.as_ref()) {
                Link::Broken => end = End::OtherRoot,
                Link::Holds => {
                    went_on = true;
                    self.keep(path, End::Anchor(anchor), unverified);
                }
                Link::Unverified(what) => {
                    went_on = true;
                    self.keep(path, End::Anchor(anchor), unverified.or(Some(&what)));
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
            let what = match self.link(top, issuer.spki) {
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
            self.climb(path, unverified.or(what.as_deref()));
            path.pop();
        }
        if went_on {
            return;
        }
        if top.is_self_issued() && !matches!(self.link(top, top.spki), Link::Broken) {
            end = End::SelfSigned;
        }
        self.keep(path, end, unverified);
    }

    fn keep(&mut self, path: &[usize], end: End<'r>, unverified: Option<&str>) {
        if self.found.len() < PATHS_MAX {
            self.found.push(Path {
                certificates: path.to_vec(),
                end,
                unverified: unverified.map(str::to_owned),
            });
        }
    }

    /// Whether the key signed the certificate.
    fn link(&mut self, signed: &Certificate<'_>, spki: &[u8]) -> Link {
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
        let Some(algorithm) = algorithms.find(|a| a.public_key_alg_id().as_ref() == key_id) else {
            return Link::Broken;
        };
        if self.signatures_left == 0 {
            return Link::Broken;
        }
        self.signatures_left -= 1;
        match algorithm.verify_signature(key, signed.signed, signed.signature) {
            Ok(()) => Link::Holds,
            Err(_) => Link::Broken,
        }
    }
}
