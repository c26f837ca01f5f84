//! Secrets that are compared.

use subtle::ConstantTimeEq;

/// Compares without telling by its time how far two texts agree.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// The token of an `authorization` header, whose scheme's name may be in any case (RFC 9110,
/// section 11.1); `None` for another scheme.
pub fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(BEARER.len())?;
    scheme.eq_ignore_ascii_case(BEARER).then_some(token)
}

const BEARER: &[u8] = b"Bearer ";

/// The key of a query `key=…`, taken literally; `None` without one, and where there are two.
pub fn key_in(query: &str) -> Option<&str> {
    let mut keys = query.split('&').filter_map(|p| p.strip_prefix("key="));
    let key = keys.next()?;
    keys.next().is_none().then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_borne_under_any_spelling_of_its_scheme() {
        for (header, want) in [
            ("Bearer abc", Some("abc")),
            ("bearer abc", Some("abc")),
            ("BEARER ", Some("")),
            ("Bearer", None),
            ("Basic abc", None),
            ("", None),
        ] {
            assert_eq!(
                bearer(header.as_bytes()),
                want.map(str::as_bytes),
                "{header:?}"
            );
        }
    }

    #[test]
    fn a_query_has_one_key_or_none() {
        for (query, want) in [
            ("key=abc", Some("abc")),
            ("a=b&key=abc&c", Some("abc")),
            ("key=", Some("")),
            ("key=abc&key=abc", None),
            ("monkey=abc", None),
            ("", None),
        ] {
            assert_eq!(key_in(query), want, "{query:?}");
        }
    }

    #[test]
    fn only_the_same_is_the_same() {
        for (a, b, want) in [
            ("abc", "abc", true),
            ("abc", "abd", false),
            ("abc", "ab", false),
            ("", "", true),
        ] {
            assert_eq!(same(a.as_bytes(), b.as_bytes()), want, "{a:?} {b:?}");
        }
    }
}
