//! What one probe found: `up`, `degraded` or `failed`, and why.
//!
//! Rules branch on [`Kind`] (and [`Outcome::reason`], which refines it);
//! [`Outcome::detail`] is bounded text for people.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A detail longer than this is cut: it travels in KV records, webhooks and
/// terminals, and a hostile server decides what stands in it.
pub const DETAIL_CHARS_MAX: usize = 300;

/// The verdict over one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Everything expected was seen.
    Up,
    /// It works, and something about it wants attention: slow, expiring, weak.
    Degraded,
    /// An expectation was not met.
    Failed,
}

impl Status {
    /// The word in JSON, logs and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Up => "up",
            Status::Degraded => "degraded",
            Status::Failed => "failed",
        }
    }
}

/// The class of a failure (or of what degrades).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The name could not be resolved. Reasons: `nxdomain`, `no-address`,
    /// `servfail`, `no-answer`, or null where the host does not tell.
    Dns,
    /// The connection was refused: nothing listens, or a firewall rejects.
    ConnectRefused,
    /// No answer to the connection attempt: dropped by a firewall, or host down.
    ConnectTimeout,
    /// The network says that there is no way there.
    Unreachable,
    /// TLS could not be agreed on; nothing is said about the certificate.
    Tls,
    /// The certificate is the fault. Reasons: `expired`, `not-yet-valid`,
    /// `wrong-host`, `self-signed`, `untrusted-root`, `incomplete-chain`,
    /// `malformed`, `other`.
    Certificate,
    /// Connected, and no complete answer within the timeout.
    Timeout,
    /// Another HTTP status than expected.
    Status,
    /// The body (or a header) is not as expected.
    Body,
    /// The answer took longer than its bound.
    Latency,
    /// The peer does not speak the protocol as it should.
    Protocol,
    /// The host denied the permission: a mistake in `allowed_outbound_hosts`.
    Denied,
    /// A fault of ours: configuration, store, or a bug.
    Internal,
}

impl Kind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Kind; 13] = [
        Kind::Dns,
        Kind::ConnectRefused,
        Kind::ConnectTimeout,
        Kind::Unreachable,
        Kind::Tls,
        Kind::Certificate,
        Kind::Timeout,
        Kind::Status,
        Kind::Body,
        Kind::Latency,
        Kind::Protocol,
        Kind::Denied,
        Kind::Internal,
    ];

    /// The word in JSON, logs and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Dns => "dns",
            Kind::ConnectRefused => "connect-refused",
            Kind::ConnectTimeout => "connect-timeout",
            Kind::Unreachable => "unreachable",
            Kind::Tls => "tls",
            Kind::Certificate => "certificate",
            Kind::Timeout => "timeout",
            Kind::Status => "status",
            Kind::Body => "body",
            Kind::Latency => "latency",
            Kind::Protocol => "protocol",
            Kind::Denied => "denied",
            Kind::Internal => "internal",
        }
    }
}

/// What a certificate probe saw of the leaf, as far as the expiry rule needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateSeen {
    /// SHA-256 of the DER, lower-case hex.
    pub sha256: String,
    pub not_before_unix_s: i64,
    pub not_after_unix_s: i64,
}

/// A value that must stay what it is, and where in the answer it stands: another place
/// is another thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// A JSON pointer.
    pub pointer: String,
    pub value: String,
}

/// The result of one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub status: Status,
    /// `None` exactly when up.
    pub kind: Option<Kind>,
    /// Refines the kind; a lower-case word with hyphens.
    pub reason: Option<Cow<'static, str>>,
    /// One line for people, at most [`DETAIL_CHARS_MAX`] characters, no control characters.
    pub detail: String,
    /// The leaf certificate, when the probe saw one, valid or not.
    pub certificate: Option<CertificateSeen>,
    /// A value that the check remembers between probes (Headscale's public key),
    /// when this probe saw one.
    pub identity: Option<Identity>,
    /// Whether the optional part that this check watches was seen to be there:
    /// `Some(true)` once seen, `None` when the probe says nothing about it.
    pub present: Option<bool>,
    /// The answer's HTTP status, where another was wanted.
    pub http_status: Option<u16>,
    /// Nothing was asked: the check is switched off.
    pub off: bool,
}

impl Outcome {
    /// Everything as expected; `detail` may be empty.
    pub fn up(detail: impl AsRef<str>) -> Self {
        Self::new(Status::Up, None, None, detail.as_ref())
    }

    /// Nothing was asked, and `why`.
    pub fn switched_off(why: impl AsRef<str>) -> Self {
        Self {
            off: true,
            ..Self::up(format!("switched off: {}", why.as_ref()))
        }
    }

    /// Nothing was asked, for the place where this runs does not let it; `why`.
    pub fn not_offered(why: impl AsRef<str>) -> Self {
        Self {
            off: true,
            ..Self::up(format!("not offered: {}", why.as_ref()))
        }
        .reason("not-offered")
    }

    /// It works, but wants attention.
    pub fn degraded(kind: Kind, detail: impl AsRef<str>) -> Self {
        Self::new(Status::Degraded, Some(kind), None, detail.as_ref())
    }

    /// An expectation was not met.
    pub fn failed(kind: Kind, detail: impl AsRef<str>) -> Self {
        Self::new(Status::Failed, Some(kind), None, detail.as_ref())
    }

    /// Refines the kind.
    pub fn reason(mut self, reason: impl Into<Cow<'static, str>>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Appends to the detail, within its bound.
    pub fn and(mut self, more: impl AsRef<str>) -> Self {
        let joined = if self.detail.is_empty() {
            more.as_ref().to_owned()
        } else {
            format!("{}; {}", self.detail, more.as_ref())
        };
        self.detail = one_line(&joined, DETAIL_CHARS_MAX);
        self
    }

    /// Appends an operator's hint, where there is one.
    pub fn and_hint(self, hint: &str) -> Self {
        match hint {
            "" => self,
            _ => self.and(hint),
        }
    }

    fn new(
        status: Status,
        kind: Option<Kind>,
        reason: Option<Cow<'static, str>>,
        detail: &str,
    ) -> Self {
        Self {
            status,
            kind,
            reason,
            detail: one_line(detail, DETAIL_CHARS_MAX),
            certificate: None,
            identity: None,
            present: None,
            http_status: None,
            off: false,
        }
    }
}

/// `text` on one line of at most `chars_max` characters: control characters and
/// the characters that reorder text become spaces or vanish, runs of white space
/// become one, and what is cut ends in `…`.
pub fn one_line(text: &str, chars_max: usize) -> String {
    let mut out = String::new();
    let mut chars = 0;
    let mut space = false;
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            space = chars > 0;
            continue;
        }
        // Bidirectional controls and zero-width characters: they make a message
        // read as something that it does not say.
        if matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        {
            continue;
        }
        let wanted = 1 + usize::from(space);
        if chars + wanted > chars_max {
            while chars + 1 > chars_max && out.pop().is_some() {
                chars -= 1;
            }
            out.push('…');
            return out;
        }
        if space {
            out.push(' ');
            space = false;
        }
        out.push(c);
        chars += wanted;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_one_bounded_line() {
        for (given, max, want) in [
            ("plain", 10, "plain"),
            ("two\r\n\tlines", 20, "two lines"),
            ("  trimmed  ", 20, "trimmed"),
            ("1234567890", 10, "1234567890"),
            ("12345678901", 10, "123456789…"),
            ("a\u{202e}b\u{1b}[31m", 20, "ab [31m"),
            ("123456789 x", 10, "123456789…"),
            ("日本語テキスト", 4, "日本語…"),
        ] {
            assert_eq!(one_line(given, max), want, "{given:?}");
            assert!(one_line(given, max).chars().count() <= max);
        }
    }

    #[test]
    fn a_kind_has_one_word_everywhere() {
        for kind in Kind::ALL {
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{}\"", kind.as_str()));
        }
    }
}
