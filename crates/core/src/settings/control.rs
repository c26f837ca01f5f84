//! What `control-check` reads.

use super::{Endpoint, Mistake, Reader, common::Common};

/// The variables of a check of the control protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlSettings {
    pub common: Common,
    pub endpoint: Endpoint,
    /// `capability_version`: the Tailscale client's that the check passes for; default 133.
    pub capability_version: u16,
    /// `public_key`: what the server's key must be, instead of what was first seen.
    pub pinned: Option<String>,
    /// `public_key_hint`: added to the detail when the key changed: how to accept it.
    pub hint: String,
}

impl ControlSettings {
    /// A client of 2026: above the minimum of Headscale v0.29, 113.
    pub const CAPABILITY_VERSION: u16 = 133;
    /// `/key` answers nothing to older ones.
    pub const CAPABILITY_VERSION_MIN: u16 = 39;

    pub fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<Mistake>> {
        let mut r = Reader::new(get);
        let settings = Self {
            common: Common::read(&mut r),
            endpoint: Endpoint::read(&mut r),
            capability_version: r.parsed(
                "capability_version",
                Self::CAPABILITY_VERSION,
                "a number from 39 to 65534",
                |t| {
                    let range = Self::CAPABILITY_VERSION_MIN..u16::MAX;
                    t.parse().ok().filter(|v| range.contains(v))
                },
            ),
            pinned: r.parsed("public_key", None, KEY_WANT, |t| {
                is_key(t).then(|| Some(t.to_owned()))
            }),
            hint: r.text("public_key_hint").unwrap_or_default(),
        };
        r.finish(settings)
    }
}

const KEY_WANT: &str = "mkey: and 64 lower-case hex digits, not all of them zero";

fn is_key(text: &str) -> bool {
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.strip_prefix("mkey:")
        .is_some_and(|d| d.len() == 64 && d.bytes().all(digit) && d.bytes().any(|b| b != b'0'))
}
