//! The names of TLS alerts as RFC 8446, section 6, and IANA have them.

use rustls::AlertDescription;

/// The alert's name, or its number when it has none.
pub fn name(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::Unknown(number) => format!("alert {number}"),
        // Where rustls' spelling does not turn into the registered one.
        AlertDescription::UnknownCA => "unknown_ca".to_owned(),
        AlertDescription::UnrecognisedName => "unrecognized_name".to_owned(),
        AlertDescription::UnknownPSKIdentity => "unknown_psk_identity".to_owned(),
        AlertDescription::EncryptedClientHelloRequired => "ech_required".to_owned(),
        other => snake(&format!("{other:?}")),
    }
}

/// What an operator should think of first, for alerts that say little.
pub fn hint(alert: AlertDescription) -> Option<&'static str> {
    Some(match alert {
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            "no cipher, group or signature algorithm in common, or a client certificate is wanted"
        }
        AlertDescription::ProtocolVersion => "the server speaks neither TLS 1.2 nor TLS 1.3",
        AlertDescription::UnrecognisedName => "the server does not serve this name",
        AlertDescription::InternalError => {
            "a fault of the server, such as a certificate that could not be issued for this name"
        }
        AlertDescription::CertificateRequired => "a client certificate is wanted",
        AlertDescription::NoApplicationProtocol => "no application protocol (ALPN) in common",
        _ => return None,
    })
}

/// `HandshakeFailure` as `handshake_failure`.
fn snake(camel: &str) -> String {
    let mut out = String::new();
    for c in camel.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_has_its_registered_name() {
        for (number, want) in [
            (40, "handshake_failure"),
            (70, "protocol_version"),
            (80, "internal_error"),
            (86, "inappropriate_fallback"),
            (48, "unknown_ca"),
            (112, "unrecognized_name"),
            (115, "unknown_psk_identity"),
            (116, "certificate_required"),
            (120, "no_application_protocol"),
            (121, "ech_required"),
            (200, "alert 200"),
        ] {
            assert_eq!(name(AlertDescription::from(number)), want);
        }
    }
}
