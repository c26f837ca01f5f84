//! JSON as text, on one line.

use serde_json::Value;

/// `Value`'s own `Display` can also be pretty: 3 KB of a guest for what nobody asks.
pub fn text(value: &Value) -> String {
    // Fails for maps whose keys are no texts, which a `Value` cannot hold.
    serde_json::to_string(value).unwrap_or_default()
}

/// Equal as JSON has it, where 1, 1.0 and 1e0 are one number.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        // Two integers are compared as such: not all of them fit a float.
        (Value::Number(a), Value::Number(b)) => {
            a == b || ((a.is_f64() || b.is_f64()) && a.as_f64() == b.as_f64())
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| same(v, w)))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_its_value_however_it_is_written() {
        for (a, b, want) in [
            ("1", "1.0", true),
            ("1e2", "100", true),
            ("[1, {\"a\": 2.0}]", "[1.0, {\"a\": 2}]", true),
            ("1", "1.5", false),
            ("1", "\"1\"", false),
            ("[1]", "[1, 1]", false),
            ("{\"a\": 1}", "{\"b\": 1}", false),
            ("9007199254740993", "9007199254740992", false),
        ] {
            let [a, b]: [Value; 2] = [a, b].map(|t| serde_json::from_str(t).unwrap());
            assert_eq!(same(&a, &b), want, "{a} {b}");
        }
    }
}
