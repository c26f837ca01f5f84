//! Verdicts, asked for and compared in short.
#![allow(dead_code, clippy::unwrap_used)]

use watchbell_core::settings::{Host, parse_host};
use watchbell_tls::{CertificateDer, Roots, Verdict, judge};

use super::{Authority, NOW};

pub fn verdict(chain: &[CertificateDer<'_>], host: &str, roots: &Roots) -> Verdict {
    at(chain, host, roots, NOW)
}

pub fn at(chain: &[CertificateDer<'_>], host: &str, roots: &Roots, now: i64) -> Verdict {
    let host = parse_host(host).unwrap_or_else(|| Host::Name(host.to_owned()));
    judge(chain, &host, roots, now).verdict
}

/// `valid`, `valid, warned`, `unsupported`, or the reason.
pub fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Valid { warnings } if warnings.is_empty() => "valid",
        Verdict::Valid { .. } => "valid, warned",
        Verdict::Unsupported { .. } => "unsupported",
        Verdict::Invalid { reason, .. } => reason.as_str(),
    }
}

#[track_caller]
pub fn expect(law: &str, verdict: &Verdict, want: &str) {
    assert_eq!(word(verdict), want, "{law}: {verdict:?}");
}

#[track_caller]
pub fn says(verdict: &Verdict, parts: &[&str]) {
    let text = format!("{verdict:?}").replace('\\', "");
    for part in parts {
        assert!(text.contains(part), "want {part:?} in {text}");
    }
}

pub fn roots(authorities: &[&Authority]) -> Roots {
    let all: String = authorities.iter().map(|a| a.pem()).collect();
    Roots::read(&all).unwrap()
}
