//! The words that an outcome's reason may be, each in one place: code names the
//! variant, and `docs/webhook.md` is tested against all of them.

use watchbell_core::outcome::Kind;

/// An enum of reasons with their words, and the list of all of them.
macro_rules! reasons {
    ($(#[$about:meta])* $name:ident { $($variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($variant,)+
        }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

reasons! {
    /// Why there is no TLS.
    Cause {
        PlainHttp = "plain-http",
        Alert = "alert",
        Unsupported = "unsupported",
        BadSignature = "bad-signature",
        NoCertificate = "no-certificate",
        Decrypt = "decrypt",
        Closed = "closed",
        Reset = "reset",
        NotTls = "not-tls",
        Malformed = "malformed",
        Endless = "endless",
    }
}

impl Cause {
    /// `tls` where the peer speaks TLS or should, `protocol` where it does not.
    pub fn kind(self) -> Kind {
        match self {
            Cause::PlainHttp
            | Cause::Alert
            | Cause::Unsupported
            | Cause::BadSignature
            | Cause::NoCertificate
            | Cause::Decrypt => Kind::Tls,
            Cause::Closed | Cause::Reset | Cause::NotTls | Cause::Malformed | Cause::Endless => {
                Kind::Protocol
            }
        }
    }
}

reasons! {
    /// The class of a bad certificate.
    Reason {
        Expired = "expired",
        NotYetValid = "not-yet-valid",
        WrongHost = "wrong-host",
        SelfSigned = "self-signed",
        UntrustedRoot = "untrusted-root",
        IncompleteChain = "incomplete-chain",
        Malformed = "malformed",
        Other = "other",
    }
}
