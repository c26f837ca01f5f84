//! Keys as Headscale writes them.

pub fn encode(bytes: &[u8]) -> String {
    let digit = |b: u8| char::from(b"0123456789abcdef".get(usize::from(b)).map_or(b'?', |d| *d));
    bytes
        .iter()
        .flat_map(|b| [digit(b >> 4), digit(b & 15)])
        .collect()
}

/// Exactly 32 bytes, in lower-case digits.
pub fn key(text: &str) -> Option<[u8; 32]> {
    let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() != 64 || !text.bytes().all(lower) {
        return None;
    }
    let mut key = [0; 32];
    for (byte, pair) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_key_is_64_lower_case_digits() {
        let text = "00ff".repeat(16);
        let key = super::key(&text).unwrap();
        assert_eq!(key[..2], [0, 255]);
        assert_eq!(super::encode(&key), text);
        let (upper, long) = (text.to_uppercase(), format!("{text}0"));
        for bad in ["", "00", &upper, &long, &"+f".repeat(32), &"é".repeat(32)] {
            assert_eq!(super::key(bad), None, "{bad:?}");
        }
    }
}
