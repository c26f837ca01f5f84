//! Spin's templates: literal text and `{{ name }}`.

use std::collections::BTreeMap;

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Name(String),
}

/// The one way a template can be malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unclosed;

impl Template {
    pub fn parse(text: &str) -> Result<Self, Unclosed> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or(Unclosed)?;
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            parts.push(Part::Name(name.trim().to_owned()));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    pub fn is_literal(&self) -> bool {
        self.names().next().is_none()
    }

    /// The name, when it is all there is: the value is that variable's, unchanged.
    pub fn only_name(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Part::Name(name)] => Some(name),
            _ => None,
        }
    }

    /// The names in it, in order, repeated as often as they stand there.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// The text with every name replaced, or what the first failing name said.
    pub fn resolve_with<E>(&self, value: impl Fn(&str) -> Result<String, E>) -> Result<String, E> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Name(name) => text.push_str(&value(name)?),
            }
        }
        Ok(text)
    }

    /// The text with every name replaced, or the first name that has no value.
    pub fn resolve(&self, values: &BTreeMap<String, String>) -> Result<String, String> {
        self.resolve_with(|name| values.get(name).cloned().ok_or_else(|| name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_resolves_as_spins() {
        let values = BTreeMap::from([
            ("host".to_owned(), "hs.example.com".to_owned()),
            ("port".to_owned(), "443".to_owned()),
        ]);
        for (text, want) in [
            ("", Ok("")),
            ("plain", Ok("plain")),
            ("{{ host }}", Ok("hs.example.com")),
            ("{{host}}:{{  port }}", Ok("hs.example.com:443")),
            ("https://{{ host }}/x", Ok("https://hs.example.com/x")),
            // Braces that close nothing are text, and a value is not read again.
            ("}} { host }", Ok("}} { host }")),
            ("{{ nobody }}", Err("nobody")),
            ("{{}}", Err("")),
        ] {
            assert_eq!(
                Template::parse(text).unwrap().resolve(&values),
                want.map(str::to_owned).map_err(str::to_owned),
                "{text:?}"
            );
        }
        assert_eq!(Template::parse("{{ host"), Err(Unclosed));
        assert_eq!(Template::parse("a {{ host }} {{"), Err(Unclosed));
    }
}
