//! Templates: files beside the source, read as what they become, with `@name@` for what
//! differs.

/// Puts each value in the place of its `@name@`. A line that is `@name@` alone is replaced by
/// the value's lines, each with that line's indentation.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for line in template.lines() {
        let word = line.trim_start();
        let indentation = &line[..line.len() - word.len()];
        let whole = values.iter().find(|(name, _)| is_mark(word, name));
        match whole {
            Some((_, value)) => {
                for line in value.lines() {
                    let indentation = if line.is_empty() { "" } else { indentation };
                    text.push_str(&format!("{indentation}{line}\n"));
                }
            }
            None => {
                let mut line = line.to_owned();
                for (name, value) in values {
                    line = line.replace(&format!("@{name}@"), value);
                }
                text.push_str(&line);
                text.push('\n');
            }
        }
    }
    text
}

fn is_mark(word: &str, name: &str) -> bool {
    let inner = word.strip_prefix('@').and_then(|w| w.strip_suffix('@'));
    inner == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_keeps_the_indentation_of_its_mark() {
        let filled = fill(
            "a: |\n  @b@\nc: @d@/@d@\n",
            &[("b", "x\n\n y\n"), ("d", "1")],
        );
        assert_eq!(filled, "a: |\n  x\n\n   y\nc: 1/1\n");
    }
}
