//! The words that the reason of an outcome may be; `docs/webhook.md` is tested against all
//! of them.

/// Why a check of Headscale's protocols fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The server was reached and saw no `Upgrade`.
    UpgradeStripped,
    /// Another `Upgrade` arrived than was sent, or its answer did not come back.
    UpgradeChanged,
    /// `Upgrade` arrived, and `X-Tailscale-Handshake` did not.
    HeaderStripped,
    /// A proxy speaks plain HTTP to a port with TLS.
    PlainHttpToTls,
    /// `/key` gives no key.
    NoKey,
    /// Something answers that is not Headscale, or not a relay.
    WrongAnswer,
    /// `/key` and `/ts2021` are served by servers with different keys.
    SplitBackends,
    /// The server wants clients that are newer than this check.
    VersionRefused,
    /// The answer to the Noise handshake does not fit.
    Handshake,
    /// The connection was closed before its time.
    Closed,
    /// Bytes that break the protocol's rules.
    Malformed,
    /// The relay took a packet and did not hand it over.
    NotRelayed,
    /// Two connections to one relay led to two relays.
    SplitRelays,
    /// The relay says of itself that it is not well.
    Unhealthy,
}

impl Reason {
    pub const ALL: &[Self] = &[
        Self::UpgradeStripped,
        Self::UpgradeChanged,
        Self::HeaderStripped,
        Self::PlainHttpToTls,
        Self::NoKey,
        Self::WrongAnswer,
        Self::SplitBackends,
        Self::VersionRefused,
        Self::Handshake,
        Self::Closed,
        Self::Malformed,
        Self::NotRelayed,
        Self::SplitRelays,
        Self::Unhealthy,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::UpgradeStripped => "upgrade-stripped",
            Self::UpgradeChanged => "upgrade-changed",
            Self::HeaderStripped => "header-stripped",
            Self::PlainHttpToTls => "plain-http-to-tls",
            Self::NoKey => "no-key",
            Self::WrongAnswer => "wrong-answer",
            Self::SplitBackends => "split-backends",
            Self::VersionRefused => "version-refused",
            Self::Handshake => "handshake",
            Self::Closed => "closed",
            Self::Malformed => "malformed",
            Self::NotRelayed => "not-relayed",
            Self::SplitRelays => "split-relays",
            Self::Unhealthy => "unhealthy",
        }
    }
}
