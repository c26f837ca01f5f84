//! Names as Spin has them, and what an unknown one was probably meant to be.

/// A component id: words of lower-case letters and digits (or upper-case ones),
/// each starting with a letter, joined by single hyphens.
pub(crate) fn is_kebab(text: &str) -> bool {
    text.split('-').all(is_word)
}

/// A store label: kebab-case, or the same with underscores.
pub(crate) fn is_label(text: &str) -> bool {
    is_kebab(text) || text.split('_').all(is_word)
}

/// A variable's name: lower-case words joined by single underscores; the words
/// after the first may start with a digit only where the manifest does not name them.
pub(crate) fn is_variable(text: &str) -> bool {
    text.split('_').all(is_word) && !text.bytes().any(|b| b.is_ascii_uppercase())
}

pub(crate) const KEBAB_WANT: &str =
    "lower-case words that start with a letter, joined by single hyphens";
pub(crate) const LABEL_WANT: &str =
    "lower-case words that start with a letter, joined by single hyphens or single underscores";
pub(crate) const VARIABLE_WANT: &str =
    "lower-case words that start with a letter, joined by single underscores";

fn is_word(word: &str) -> bool {
    let Some(first) = word.chars().next() else {
        return false;
    };
    let upper = first.is_ascii_uppercase();
    first.is_ascii_alphabetic()
        && word.chars().all(|c| {
            c.is_ascii_digit() || (c.is_ascii_alphabetic() && c.is_ascii_uppercase() == upper)
        })
}

/// "interval", or a list of what there is when nothing is near.
pub(crate) fn suggest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let mut known: Vec<&str> = known.into_iter().collect();
    known.sort_unstable();
    known.dedup();
    let nearest = known
        .iter()
        .map(|k| (distance(given, k), *k))
        .min()
        .filter(|(d, k)| *d <= 2.max(k.len() / 4) && *d < k.len());
    match nearest {
        Some((_, name)) => format!("{name:?}"),
        None if known.is_empty() => "nothing".to_owned(),
        None => format!("one of {}", known.join(", ")),
    }
}

/// Levenshtein's distance; both texts are keys of a file, short ones.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (
        a.chars().take(NAME_CHARS_MAX).collect(),
        b.chars().take(NAME_CHARS_MAX).collect(),
    );
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Longer names are compared by their beginnings: the distance is quadratic.
const NAME_CHARS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_spin_has_them() {
        for (text, kebab, label, variable) in [
            ("health", true, true, true),
            ("health-two", true, true, false),
            ("health_two", false, true, true),
            ("a-b_c", false, false, false),
            ("HEALTH", true, true, false),
            ("Health", false, false, false),
            ("h2", true, true, true),
            ("2h", false, false, false),
            ("a-2", false, false, false),
            ("a--b", false, false, false),
            ("-a", false, false, false),
            ("a_", false, false, false),
            ("", false, false, false),
            ("é", false, false, false),
        ] {
            assert_eq!(
                (is_kebab(text), is_label(text), is_variable(text)),
                (kebab, label, variable),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_misspelt_name_finds_its_neighbour() {
        let known = ["interval", "timeout", "url"];
        for (given, want) in [
            ("intervall", "\"interval\""),
            ("intreval", "\"interval\""),
            ("uri", "\"url\""),
            ("colour", "one of interval, timeout, url"),
        ] {
            assert_eq!(suggest(given, known), want, "{given:?}");
        }
    }
}
