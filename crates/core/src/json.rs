//! JSON as text, on one line.

use serde_json::Value;

/// `Value`'s own `Display` can also be pretty: 3 KB of a guest for what nobody asks.
pub fn text(value: &Value) -> String {
    // Fails for maps whose keys are no texts, which a `Value` cannot hold.
    serde_json::to_string(value).unwrap_or_default()
}
