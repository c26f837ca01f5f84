//! Just enough DER to point into a certificate: tag, length, content.

pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const SEQUENCE: u8 = 0x30;

/// One element.
#[derive(Clone, Copy)]
pub struct Element<'a> {
    pub tag: u8,
    /// With its header.
    pub raw: &'a [u8],
    pub content: &'a [u8],
}

/// The first element and what follows it. Definite lengths of at most four bytes only.
pub fn next(input: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = bytes.iter().fold(0u32, |n, b| (n << 8) | u32::from(*b));
            (usize::try_from(length).ok()?, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    let raw = input.get(..input.len() - rest.len())?;
    Some((Element { tag, raw, content }, rest))
}

/// The content of the first element, when it has this tag; and what follows.
pub fn expect(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (element, rest) = next(input)?;
    (element.tag == tag).then_some((element.content, rest))
}

/// A bit string's bytes, when it is whole bytes.
pub fn bits(input: &[u8]) -> Option<&[u8]> {
    let (content, _) = expect(input, BIT_STRING)?;
    content.strip_prefix(&[0])
}

/// Algorithm identifier and key of the *content* of a SubjectPublicKeyInfo
/// (RFC 5280, section 4.1), both without headers.
pub fn public_key(spki: &[u8]) -> Option<(&[u8], &[u8])> {
    let (id, rest) = expect(spki, SEQUENCE)?;
    Some((id, bits(rest)?))
}

/// Bits of the modulus of an RSAPublicKey (RFC 8017, appendix A.1.1).
pub fn rsa_bits(key: &[u8]) -> Option<usize> {
    let (body, _) = expect(key, SEQUENCE)?;
    let (modulus, _) = expect(body, INTEGER)?;
    let start = modulus.iter().position(|b| *b != 0)?;
    let leading = usize::try_from(modulus.get(start)?.leading_zeros()).ok()?;
    Some((modulus.len() - start) * 8 - leading)
}

/// An object identifier in dots, from an identifier's DER.
pub fn oid(id: &[u8]) -> String {
    let Some((content, _)) = expect(id, 0x06) else {
        return "unknown".to_owned();
    };
    let mut out = String::new();
    let mut arc = 0u64;
    for byte in content.iter().take(32) {
        arc = (arc << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        if out.is_empty() {
            let first = (arc / 40).min(2);
            out = format!("{first}.{}", arc - first * 40);
        } else {
            out.push_str(&format!(".{arc}"));
        }
        arc = 0;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_ends_where_its_length_says() {
        for (given, want) in [
            (&[][..], None),
            (&[0x30], None),
            (&[0x30, 0], Some((0, 0))),
            (&[0x30, 1, 7], Some((1, 0))),
            (&[0x30, 1, 7, 8], Some((1, 1))),
            (&[0x30, 2, 7], None),
            (&[0x30, 0x81, 1, 7], Some((1, 0))),
            (&[0x30, 0x80, 0, 0], None),
            (&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0], None),
            (&[0x30, 0x85, 0, 0, 0, 0, 1, 7], None),
        ] {
            let got = next(given).map(|(e, rest)| (e.content.len(), rest.len()));
            assert_eq!(got, want, "{given:02x?}");
        }
    }

    #[test]
    fn an_oid_reads_in_dots() {
        assert_eq!(oid(&[6, 3, 0x2b, 0x65, 0x70]), "1.3.101.112");
        assert_eq!(
            oid(&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4, 5, 0]),
            "1.2.840.113549.1.1.4"
        );
        assert_eq!(oid(&[6, 1, 0xff]), "");
        assert_eq!(oid(&[5, 0]), "unknown");
    }

    #[test]
    fn rsa_bits_do_not_count_leading_zeros() {
        assert_eq!(rsa_bits(&[0x30, 4, 2, 2, 0, 0x80]), Some(8));
        assert_eq!(rsa_bits(&[0x30, 3, 2, 1, 0x01]), Some(1));
        assert_eq!(rsa_bits(&[0x30, 3, 2, 1, 0x00]), None);
    }
}
