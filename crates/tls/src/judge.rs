//! Whether a certificate is good for a name at a time, and if not, why.
//!
//! The validator (rustls-webpki) alone decides what is good. When it refuses, the
//! faults are found one by one and told in the order in which an operator has to
//! mend them, as browsers rank them too: first who vouches for the certificate
//! (renewing a self-signed one does not help, and a foreign one is not yours to
//! renew), then whose it is, then when it is valid, then what it is for. The first
//! is the reason; the detail names them all.

mod reason;
mod words;

use std::time::Duration;

use rustls::pki_types::{CertificateDer, DnsName, ServerName, UnixTime};
use watchbell_core::outcome::CertificateSeen;
use watchbell_core::settings::Host;
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter};

use crate::certificate::{CHAIN_MAX, Certificate, Key};
use crate::facts::days_left;
use crate::path::{End, Path, explore};
use crate::provider::CERTIFICATE_ALGORITHMS;
use crate::reasons::Reason;
use crate::roots::{OutOfTime, Roots};
use reason::{left_over, rank};
use words::{date, span};

/// The variable that private roots are given in, as messages name it.
const CA_CERTIFICATES: &str = "\"ca_certificates\"";
/// Names quoted when none of them fits.
const NAMES_QUOTED_MAX: usize = 3;
/// Below this an RSA key counts as weak (CA/Browser Forum, Baseline Requirements 6.1.5).
const RSA_BITS_MIN: usize = 2_048;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Good; what is weak about it wants attention.
    Valid { warnings: Vec<String> },
    /// Bad; the detail names every fault found, the reason's first.
    Invalid { reason: Reason, detail: String },
    /// Nothing is wrong with it as far as can be told, but this stands in the way.
    Unsupported { what: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub verdict: Verdict,
    /// The leaf, when it could be read.
    pub seen: Option<CertificateSeen>,
    /// Who it is for and how long it lasts, for people.
    pub summary: String,
}

struct Fault {
    reason: Reason,
    text: String,
}

impl Fault {
    fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self {
            reason,
            text: text.into(),
        }
    }
}

impl From<Fault> for Verdict {
    fn from(fault: Fault) -> Self {
        Verdict::Invalid {
            reason: fault.reason,
            detail: fault.text,
        }
    }
}

/// Judges what a server sent, the leaf first. `now_unix_s` is the clock.
pub fn judge(
    chain: &[CertificateDer<'_>],
    server_name: &Host,
    roots: &Roots,
    now_unix_s: i64,
) -> Judgement {
    let Some((leaf_der, others)) = chain.split_first() else {
        return malformed("the server sent no certificate");
    };
    let leaf = match Certificate::read(leaf_der) {
        Ok(leaf) => leaf,
        Err(why) => return malformed(&format!("reading the certificate: {why}")),
    };
    let seen = Some(CertificateSeen {
        sha256: leaf.sha256.clone(),
        not_before_unix_s: leaf.not_before_unix_s,
        not_after_unix_s: leaf.not_after_unix_s,
    });
    let summary = format!(
        "{:?} by {:?}, {} days left",
        leaf.called(),
        leaf.issuer_called(),
        days_left(leaf.not_after_unix_s, now_unix_s)
    );
    // What cannot be read is a stray like any other, and so is a derper's key: no way
    // leads over it, and only ways are judged.
    let mut certificates = vec![leaf];
    let mut issuers = Vec::new();
    for der in others.iter().take(CHAIN_MAX - 1) {
        if let Ok(certificate) = Certificate::read(der) {
            certificates.push(certificate);
            issuers.push(der.clone());
        }
    }
    let case = Case {
        leaf_der,
        certificates: &certificates,
        issuers: &issuers,
        server_name,
        roots,
        now_unix_s,
    };
    Judgement {
        verdict: case.verdict(),
        seen,
        summary,
    }
}

fn malformed(detail: &str) -> Judgement {
    Judgement {
        verdict: Fault::new(Reason::Malformed, detail).into(),
        seen: None,
        summary: String::new(),
    }
}

struct Case<'a> {
    leaf_der: &'a CertificateDer<'a>,
    /// The leaf first, then the issuers.
    certificates: &'a [Certificate<'a>],
    issuers: &'a [CertificateDer<'a>],
    server_name: &'a Host,
    roots: &'a Roots,
    now_unix_s: i64,
}

/// A path that holds: its certificates, and the key of the root above them.
struct Valid {
    certificates: Vec<usize>,
    root: Option<Key>,
}

impl Case<'_> {
    fn verdict(&self) -> Verdict {
        let leaf = EndEntityCert::try_from(self.leaf_der);
        let valid = match &leaf {
            Ok(leaf) => self.validate(leaf),
            Err(unreadable) => Err(unreadable.clone()),
        };
        let (mut faults, unverified) = match &valid {
            Ok(valid) => (self.time_faults(&valid.certificates, None), None),
            Err(_) if self.is_pinned() => (self.time_faults(&[0], None), None),
            Err(_) => self.way_faults(),
        };
        match &leaf {
            Ok(leaf) => faults.extend(self.name_fault(leaf)),
            // Trusted or not: no client takes what it cannot read.
            Err(unreadable) => faults.push(left_over(unreadable)),
        }
        faults.extend(self.usage_faults());
        if let Some(verdict) = invalid(faults) {
            return verdict;
        }
        match (valid, unverified) {
            (Ok(valid), _) => Verdict::Valid {
                warnings: self.warnings(&valid),
            },
            (Err(_), Some(what)) => Verdict::Unsupported { what },
            (Err(refused), None) => left_over(&refused).into(),
        }
    }

    /// Whether the leaf itself was given as trusted: nobody need vouch for it.
    fn is_pinned(&self) -> bool {
        self.roots.holds(self.leaf_der)
    }

    /// A path from a root to the leaf that the validator takes, names aside.
    fn validate(&self, leaf: &EndEntityCert<'_>) -> Result<Valid, webpki::Error> {
        if self.is_pinned() {
            return Ok(Valid {
                certificates: vec![0],
                root: None,
            });
        }
        let now_s = u64::try_from(self.now_unix_s).unwrap_or(0);
        let sound = |path: &webpki::VerifiedPath<'_>| self.check_path(path);
        let path = leaf.verify_for_usage(
            CERTIFICATE_ALGORITHMS,
            self.roots.anchors(),
            self.issuers,
            UnixTime::since_unix_epoch(Duration::from_secs(now_s)),
            ForServers,
            None,
            Some(&sound),
        )?;
        let mut certificates = vec![0];
        for issuer in path.intermediate_certificates() {
            let der = issuer.der();
            let at = self.issuers.iter().position(|i| *i == der);
            certificates.extend(at.map(|at| at + 1));
        }
        Ok(Valid {
            certificates,
            root: Roots::key(path.anchor()),
        })
    }

    /// What the validator leaves out: keyUsage of issuers, the time of private roots.
    fn check_path(&self, path: &webpki::VerifiedPath<'_>) -> Result<(), webpki::Error> {
        for issuer in path.intermediate_certificates() {
            let may_sign = Certificate::read(&issuer.der())
                .is_ok_and(|c| c.usage.is_none_or(|usage| usage.key_cert_sign));
            if !may_sign {
                return Err(webpki::Error::EndEntityUsedAsCa);
            }
        }
        match self.roots.out_of_time(path.anchor(), self.now_unix_s) {
            None => Ok(()),
            Some(_) => Err(webpki::Error::UnknownIssuer),
        }
    }

    /// What is wrong with the best way to a trusted root, and what on it could not be
    /// verified; without a way, why there is none.
    fn way_faults(&self) -> (Vec<Fault>, Option<String>) {
        let paths = explore(self.certificates, self.roots);
        let best = paths
            .iter()
            .filter(|path| matches!(path.end, End::Anchor(_)))
            .map(|path| (self.path_faults(path), path.unverified.clone()))
            // Faults first: beside a way that may well be good, the expired one that is
            // verified is not what is wrong.
            .min_by_key(|(faults, unverified)| (faults.len(), unverified.is_some()));
        best.unwrap_or_else(|| {
            let mut faults = vec![self.trust_fault(&paths)];
            faults.extend(self.time_faults(&[0], None));
            (faults, None)
        })
    }

    /// Why no way leads to a trusted root.
    fn trust_fault(&self, paths: &[Path<'_>]) -> Fault {
        let tops = || {
            paths.iter().filter_map(|path| {
                let top = self.certificates.get(*path.certificates.last()?)?;
                Some((path, top))
            })
        };
        if let Some((path, top)) = tops().find(|(p, _)| matches!(p.end, End::SelfSigned)) {
            return if path.certificates.len() == 1 {
                Fault::new(Reason::SelfSigned, "it is self-signed and not trusted")
            } else {
                let text = format!(
                    "its chain ends in root {:?}, which is not trusted: trust a private root \
                     with {CA_CERTIFICATES}",
                    top.called()
                );
                Fault::new(Reason::UntrustedRoot, text)
            };
        }
        if let Some((_, top)) = tops().find(|(p, _)| matches!(p.end, End::OtherRoot)) {
            let text = format!(
                "it is not signed by the trusted root {:?} but by another of that name",
                top.issuer_called()
            );
            return Fault::new(Reason::UntrustedRoot, text);
        }
        let longest = tops().max_by_key(|(path, _)| path.certificates.len());
        let Some((path, top)) = longest else {
            return Fault::new(Reason::Other, "its chain is too tangled to follow");
        };
        let issuer = top.issuer_called();
        if matches!(path.end, End::OtherIssuer) {
            let text = format!("the {issuer:?} that the server sends has not signed it");
            return Fault::new(Reason::IncompleteChain, text);
        }
        let lone = path.certificates.len() == 1 && !top.is_self_issued();
        if self.lacks_intermediate(top, lone) {
            let text = format!(
                "its issuer {issuer:?} is neither trusted nor sent: an intermediate that the \
                 server must send, unless it is a root for {CA_CERTIFICATES}"
            );
            Fault::new(Reason::IncompleteChain, text)
        } else if lone {
            let text = format!(
                "its issuer {issuer:?} is neither trusted nor sent: a root for \
                 {CA_CERTIFICATES}, unless it is an intermediate that the server must send"
            );
            Fault::new(Reason::UntrustedRoot, text)
        } else {
            let text = format!(
                "its chain leads to {issuer:?}, which is not trusted: trust a private root \
                 with {CA_CERTIFICATES}"
            );
            Fault::new(Reason::UntrustedRoot, text)
        }
    }

    /// Whether the issuer of `top`, which nobody has, is an intermediate that the server
    /// should have sent, and not a root that is not trusted. A validator cannot tell
    /// ("unable to get local issuer certificate"), and only what `top` says of its issuer
    /// can: the first of these that speaks decides. `lone`: it is the leaf, sent alone.
    fn lacks_intermediate(&self, top: &Certificate<'_>, lone: bool) -> bool {
        // Proof: an issuer that was issued by another is no root.
        if let Some(above) = top.issuer_s_issuer_der {
            return above != top.issuer_der;
        }
        // An organization that is trusted for another root issues from intermediates.
        let organization = top.issuer_organization.as_deref();
        if organization.is_some_and(|o| self.roots.know_organization(o)) {
            return true;
        }
        // A server leaves out the root as a rule: above an intermediate it is the root
        // that lacks trust.
        if !lone {
            return false;
        }
        // A public authority tells where to fetch the issuer, over HTTP, and its roots
        // issue to no server (CA/Browser Forum, Baseline Requirements 7.1.2.7.7 and 6.1.7).
        if top.issuer_over_http {
            return true;
        }
        // Of a private one it is the operator who knows. Whoever gave roots gave that of
        // this server, and lacks the certificate between, unless it is called a root;
        // whoever gave none has forgotten it.
        let called_root = top.issuer_called().to_ascii_lowercase().contains("root");
        self.roots.have_private() && !called_root
    }

    /// The faults of a way that does lead to a trusted root.
    fn path_faults(&self, path: &Path<'_>) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (below, at) in path.certificates.iter().skip(1).enumerate() {
            let Some(issuer) = self.certificates.get(*at) else {
                continue;
            };
            let name = issuer.called();
            let text = match (issuer.ca, issuer.usage) {
                (None | Some((false, _)), _) => format!("its issuer {name:?} is not a CA"),
                (Some((true, Some(most))), _) if below > usize::try_from(most).unwrap_or(0) => {
                    format!("its issuer {name:?} allows {most} CAs below it, got {below}")
                }
                (_, Some(usage)) if !usage.key_cert_sign => {
                    format!("the key usage of its issuer {name:?} does not allow it to sign")
                }
                _ if !issuer.for_servers => {
                    format!("its issuer {name:?} may not issue for servers")
                }
                _ => continue,
            };
            faults.push(Fault::new(Reason::Other, text));
        }
        let anchor = match path.end {
            End::Anchor(anchor) => self.roots.out_of_time(anchor, self.now_unix_s),
            _ => None,
        };
        faults.extend(self.time_faults(&path.certificates, anchor));
        faults
    }

    fn time_faults(&self, certificates: &[usize], root: Option<OutOfTime>) -> Vec<Fault> {
        let now = self.now_unix_s;
        let of_path = certificates.iter().filter_map(|at| {
            let c = self.certificates.get(*at)?;
            let out = if now > c.not_after_unix_s {
                OutOfTime::Expired(c.not_after_unix_s)
            } else if now < c.not_before_unix_s {
                OutOfTime::NotYet(c.not_before_unix_s)
            } else {
                return None;
            };
            let who = match at {
                0 => "it".to_owned(),
                _ => format!("its issuer {:?}", c.called()),
            };
            Some((who, out))
        });
        let of_root = root.map(|out| ("its root".to_owned(), out));
        let told = of_path.chain(of_root).map(|(who, out)| match out {
            OutOfTime::Expired(at) => Fault::new(
                Reason::Expired,
                format!("{who} expired on {}, {} ago", date(at), span(now - at)),
            ),
            OutOfTime::NotYet(at) => Fault::new(
                Reason::NotYetValid,
                format!(
                    "{who} is not valid before {}, in {}",
                    date(at),
                    span(at - now)
                ),
            ),
        });
        told.collect()
    }

    fn name_fault(&self, leaf: &EndEntityCert<'_>) -> Option<Fault> {
        let wanted = match self.server_name {
            Host::Ip(ip) => ServerName::IpAddress((*ip).into()),
            Host::Name(name) => match DnsName::try_from(name.as_str()) {
                Ok(name) => ServerName::DnsName(name),
                Err(_) => return Some(Fault::new(Reason::WrongHost, "the host is no DNS name")),
            },
        };
        leaf.verify_is_valid_for_subject_name(&wanted).err()?;
        let leaf = self.certificates.first()?;
        let host = match self.server_name {
            Host::Ip(ip) => ip.to_string(),
            Host::Name(name) => name.clone(),
        };
        let text = if leaf.has_names {
            let quoted: Vec<String> = leaf
                .names
                .iter()
                .take(NAMES_QUOTED_MAX)
                .map(|n| format!("{n:?}"))
                .collect();
            let more = match leaf.names.len().saturating_sub(NAMES_QUOTED_MAX) {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            format!("it is for {}{more}, want {host:?}", quoted.join(", "))
        } else {
            format!("it has no alternative names (the common name does not count), want {host:?}")
        };
        Some(Fault::new(Reason::WrongHost, text))
    }

    /// What the leaf itself may be used for.
    fn usage_faults(&self) -> Vec<Fault> {
        let Some(leaf) = self.certificates.first() else {
            return Vec::new();
        };
        let mut faults = Vec::new();
        if !leaf.for_servers {
            let text = "its extended key usage does not allow servers";
            faults.push(Fault::new(Reason::Other, text));
        }
        let usable = leaf
            .usage
            .is_none_or(|u| u.digital_signature || u.key_encipherment || u.key_agreement);
        // A self-signed one that is trusted as such is its own CA.
        if !usable && !self.is_pinned() {
            let text = "its key usage allows neither signatures nor key encipherment";
            faults.push(Fault::new(Reason::Other, text));
        }
        faults
    }

    fn warnings(&self, valid: &Valid) -> Vec<String> {
        let mut warnings = Vec::new();
        for at in &valid.certificates {
            let Some(c) = self.certificates.get(*at) else {
                continue;
            };
            let who = match at {
                0 => "its".to_owned(),
                _ => format!("the issuer {:?}'s", c.called()),
            };
            if let Key::Rsa { bits } = c.key
                && bits < RSA_BITS_MIN
            {
                warnings.push(format!(
                    "{who} RSA key has {bits} bits, want {RSA_BITS_MIN}"
                ));
            }
            // A trusted certificate's signature over itself proves nothing and need not be strong.
            if is_sha1(c.signature_id) && !c.is_self_issued() {
                warnings.push(format!("{who} signature uses SHA-1, want SHA-256"));
            }
        }
        if let Some(Key::Rsa { bits }) = valid.root
            && bits < RSA_BITS_MIN
        {
            warnings.push(format!(
                "its root's RSA key has {bits} bits, want {RSA_BITS_MIN}"
            ));
        }
        let signs = self.certificates.first().and_then(|c| c.usage);
        if signs.is_some_and(|u| !u.digital_signature && u.key_encipherment) {
            // Chrome refuses it, Go's clients (Tailscale's among them) do not look.
            warnings.push("its key usage lacks digital signatures".to_owned());
        }
        warnings
    }
}

/// serverAuth, or any purpose, or none named; for issuers as for the leaf.
struct ForServers;

impl ExtendedKeyUsageValidator for ForServers {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut named = false;
        for purpose in purposes {
            named = true;
            match purpose?.to_decoded_oid().as_slice() {
                [1, 3, 6, 1, 5, 5, 7, 3, 1] | [2, 5, 29, 37, 0] => return Ok(()),
                _ => {}
            }
        }
        if named {
            Err(webpki::Error::EmptyEkuExtension)
        } else {
            Ok(())
        }
    }
}

/// The reason of the weightiest fault, all texts.
fn invalid(mut faults: Vec<Fault>) -> Option<Verdict> {
    // Stable: faults of one rank keep the order from leaf to root.
    faults.sort_by_key(|f| rank(f.reason));
    let reason = faults.first()?.reason;
    let texts: Vec<&str> = faults.iter().map(|f| f.text.as_str()).collect();
    Some(Verdict::Invalid {
        reason,
        detail: texts.join("; "),
    })
}

fn is_sha1(signature_id: &[u8]) -> bool {
    // sha1WithRSAEncryption (with or without its NULL) and ecdsa-with-SHA1.
    signature_id.starts_with(&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5])
        || signature_id == [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1]
}
