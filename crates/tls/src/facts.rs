//! The facts of a probe as JSON, known even when the certificate is bad.

use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};

use crate::certificate::{CHAIN_MAX, Certificate, fingerprint};
use crate::handshake::Negotiated;

/// Whole days until `not_after_unix_s`, rounded down; negative once past.
pub fn days_left(not_after_unix_s: i64, now_unix_s: i64) -> i64 {
    not_after_unix_s
        .saturating_sub(now_unix_s)
        .div_euclid(86_400)
}

/// What was seen. What could not be read is null; nothing at all gives `{}`.
pub fn facts(negotiated: &Negotiated, now_unix_s: i64) -> Value {
    let Some(leaf_der) = negotiated.chain.first() else {
        return json!({});
    };
    let leaf = Certificate::read(leaf_der).ok();
    let leaf = leaf.as_ref();
    json!({
        "subject": leaf.map(|c| &c.subject),
        "names": leaf.map(|c| &c.names),
        "issuer": leaf.map(|c| &c.issuer),
        "serial": leaf.map(|c| &c.serial),
        "sha256": fingerprint(leaf_der),
        "not_before_unix_s": leaf.map(|c| c.not_before_unix_s),
        "not_after_unix_s": leaf.map(|c| c.not_after_unix_s),
        "days_left": leaf.map(|c| days_left(c.not_after_unix_s, now_unix_s)),
        "chain": chain(&negotiated.chain),
        "tls_version": negotiated.version,
        "cipher": negotiated.cipher,
    })
}

/// As served, without a derper's key certificate: it is no part of the chain.
fn chain(ders: &[CertificateDer<'_>]) -> Vec<Value> {
    ders.iter()
        .take(CHAIN_MAX)
        .enumerate()
        .filter_map(|(at, der)| match Certificate::read(der) {
            Ok(c) if at > 0 && c.is_derp_key() => None,
            Ok(c) => Some(json!({
                "subject": c.subject,
                "issuer": c.issuer,
                "sha256": c.sha256,
                "not_after_unix_s": c.not_after_unix_s,
            })),
            Err(_) => Some(json!({
                "subject": null,
                "issuer": null,
                "sha256": fingerprint(der),
                "not_after_unix_s": null,
            })),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_left_are_whole_and_rounded_down() {
        for (left_s, want) in [
            (0, 0),
            (86_399, 0),
            (86_400, 1),
            (30 * 86_400, 30),
            (30 * 86_400 - 1, 29),
            (-1, -1),
            (-86_400, -1),
            (-86_401, -2),
        ] {
            assert_eq!(days_left(1_000_000 + left_s, 1_000_000), want, "{left_s}");
        }
    }
}
