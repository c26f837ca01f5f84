//! Ids derived from content: what one run overwrites, another redoes under the same id.

use sha2::{Digest, Sha256};

/// The prefix and 32 hex digits over what makes a thing this one and no other, and over
/// nothing that an operator may change meanwhile.
pub fn id(prefix: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let mut id = prefix.to_owned();
    for byte in &hash.finalize()[..16] {
        id.push_str(&format!("{byte:02x}"));
    }
    id
}
