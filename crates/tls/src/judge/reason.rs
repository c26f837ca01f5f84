//! Which class of bad certificates is mended first, and the validator's own objections.

use super::Fault;
use crate::reasons::Reason;

/// Lower is told first.
pub fn rank(reason: Reason) -> u8 {
    match reason {
        Reason::Malformed => 0,
        Reason::SelfSigned | Reason::UntrustedRoot | Reason::IncompleteChain => 1,
        Reason::WrongHost => 2,
        Reason::Expired => 3,
        Reason::NotYetValid => 4,
        Reason::Other => 5,
    }
}

/// What the validator alone objects to.
pub fn left_over(refused: &webpki::Error) -> Fault {
    use webpki::Error as E;
    let (reason, text) = match refused {
        E::NameConstraintViolation => (
            Reason::Other,
            "the name constraints of an issuer do not allow its names",
        ),
        E::CaUsedAsEndEntity => (
            Reason::Other,
            "it is the certificate of a CA (basic constraints), not of a server",
        ),
        E::UnsupportedCriticalExtension => (
            Reason::Other,
            "it has a critical extension that is not understood",
        ),
        E::UnsupportedCertVersion => (Reason::Other, "it is not of X.509 version 3"),
        E::MaximumPathDepthExceeded
        | E::MaximumPathBuildCallsExceeded
        | E::MaximumSignatureChecksExceeded
        | E::MaximumNameConstraintComparisonsExceeded => {
            (Reason::Other, "its chain is too tangled to follow")
        }
        E::InvalidCertValidity => (Reason::Malformed, "its validity ends before it begins"),
        E::BadDer
        | E::BadDerTime
        | E::ExtensionValueInvalid
        | E::InvalidSerialNumber
        | E::MalformedExtensions
        | E::MalformedDnsIdentifier
        | E::SignatureAlgorithmMismatch
        | E::TrailingData(_) => (Reason::Malformed, "its encoding is wrong"),
        _ => (
            Reason::Other,
            "it is refused by the rules of certificate paths",
        ),
    };
    Fault::new(reason, text)
}
