//! A value that must stay what it was: trusted when first seen, or pinned.

use crate::monitor::Memory;
use crate::outcome::{Identity, Kind, Outcome, one_line};

/// All of a key (`mkey:` and 64 digits), to be copied from the alert.
const IDENTITY_CHARS: usize = 80;

/// The value to remember, or the outcome of one that changed. `pointer` says where it
/// stands: another place is another thing.
pub fn recognise(
    pointer: &str,
    got: &str,
    pinned: Option<&str>,
    memory: &Memory,
    hint: &str,
) -> Result<Identity, Outcome> {
    let remembered = memory.identity.as_ref().filter(|i| i.pointer == pointer);
    let known = pinned.or(remembered.map(|i| i.value.as_str()));
    match known {
        Some(known) if known != got => {
            let [got, known] = [got, known].map(|text| one_line(text, IDENTITY_CHARS));
            let detail = format!("{pointer} changed to {got}, want {known}");
            let outcome = Outcome::failed(Kind::Protocol, detail).reason("key-changed");
            Err(outcome.and_hint(hint))
        }
        _ => Ok(Identity {
            pointer: pointer.to_owned(),
            value: got.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_trusted_when_first_seen_and_pinned_above_that() {
        let seen = |value: &str, pointer: &str| Memory {
            identity: Some(Identity {
                pointer: pointer.into(),
                value: value.into(),
            }),
            ..Memory::default()
        };
        for (memory, pinned, fits) in [
            (Memory::default(), None, true),
            (seen("a", "/k"), None, true),
            (seen("b", "/k"), None, false),
            (seen("b", "/other"), None, true),
            (seen("b", "/k"), Some("a"), true),
            (seen("a", "/k"), Some("b"), false),
        ] {
            let got = recognise("/k", "a", pinned, &memory, "accept it so");
            assert_eq!(got.is_ok(), fits, "{memory:?} {pinned:?}");
            if let Err(outcome) = got {
                assert_eq!(outcome.reason.as_deref(), Some("key-changed"));
                assert_eq!(outcome.detail, "/k changed to a, want b; accept it so");
            }
        }
    }
}
