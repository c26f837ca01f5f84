//! The application's variables and what each component sees of them.
//!
//! Spin's precedence: `--variable`, the providers of the runtime config in their
//! order, `SPIN_VARIABLE_<NAME>`, `.env` in the working directory, then what the
//! runtime fills in, then the manifest's default.

mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv6Addr;

pub(crate) use sources::{Sources, Wanted};

use crate::finding::{Place, Report};

/// A component's variables, resolved. Any of them may be a secret: `Debug` shows names.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for Variables {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A variable of `[variables]` with the value that it has now. `Debug` shows none.
pub struct ApplicationVariable {
    pub value: Option<String>,
    pub secret: bool,
}

impl fmt::Debug for ApplicationVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApplicationVariable")
            .field("has_value", &self.value.is_some())
            .field("secret", &self.secret)
            .finish()
    }
}

/// One entry of `[variables]`.
pub(crate) struct Declared {
    pub name: String,
    pub place: Place,
    pub required: bool,
    pub default: Option<String>,
    pub secret: bool,
}

/// An IPv6 address in brackets, wherever it came from: the one way to write it that
/// URLs and permissions read too. Spin takes what it is given, and then denies it.
fn bracketed(value: &str) -> String {
    match value.parse::<Ipv6Addr>() {
        Ok(_) => format!("[{value}]"),
        Err(_) => value.to_owned(),
    }
}

/// Every application variable that has a value.
#[derive(Default)]
pub(crate) struct Values {
    pub values: BTreeMap<String, String>,
    /// Names of the secret ones.
    pub secret: BTreeSet<String>,
    /// Names that have no value though required: reported once, not per use.
    pub missing: BTreeSet<String>,
}

impl Values {
    /// Values for what is declared; what is required and has none is reported.
    pub fn resolve(
        declared: &[Declared],
        sources: &Sources,
        fill: &BTreeMap<String, String>,
        report: &mut Report,
    ) -> Self {
        let mut resolved = Self::default();
        for variable in declared {
            let Declared { name, default, .. } = variable;
            if variable.secret {
                resolved.secret.insert(name.clone());
            }
            let value = sources
                .get(name)
                .or_else(|| fill.get(name))
                .or(default.as_ref());
            match value {
                Some(value) => {
                    resolved.values.insert(name.clone(), bracketed(value));
                }
                None => {
                    resolved.missing.insert(name.clone());
                    if variable.required {
                        let want = format!(
                            "a value from --variable {name}=…, SPIN_VARIABLE_{} or the runtime config",
                            name.to_ascii_uppercase()
                        );
                        report.stop("variable-required", &variable.place, "nothing", &want);
                    }
                }
            }
        }
        resolved
    }

    /// The values that no message may show.
    pub fn secrets(&self) -> Vec<&str> {
        let value = |name| self.values.get(name).map(String::as_str);
        self.secret.iter().filter_map(value).collect()
    }
}
