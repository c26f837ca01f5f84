//! One mistake of the operator's: where it is, what stands there, what would be accepted.

use std::fmt;

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something will not work as written.
    Error,
    /// It works, and probably not as meant.
    Warning,
}

/// One mistake in the manifest, the variables or the runtime config.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// As the operator named it: a path, `--variable`, or `environment`.
    pub file: String,
    /// From 1, where known.
    pub line: Option<u32>,
    /// Such as `component.health.variables.interval`; empty for the file itself.
    pub key: String,
    /// Stable name of the rule, for tests and tools.
    pub id: &'static str,
    pub level: Level,
    /// What stands there, or a word for it (`nothing`, `a secret`); never a secret's value.
    pub got: String,
    /// What would be accepted.
    pub want: String,
    /// Whether the application cannot start with it: Spin refuses it, or this runtime lacks it.
    pub stops_start: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        f.write_str(": ")?;
        if self.level == Level::Warning {
            f.write_str("warning: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "got {}, want {}", self.got, self.want)
    }
}

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub file: String,
    pub line: Option<u32>,
    pub key: String,
}

impl Place {
    /// A whole file, or a source that has no lines.
    pub fn file(name: impl Into<String>) -> Self {
        Self {
            file: name.into(),
            line: None,
            key: String::new(),
        }
    }

    /// The same line, another key.
    pub fn key(&self, key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            ..self.clone()
        }
    }
}

/// What a finding shows of a value is cut here: it may be a whole PEM file.
const GOT_CHARS_MAX: usize = 120;

/// Everything found so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    findings: Vec<Finding>,
}

impl Report {
    /// Spin refuses to start with it, or this runtime does.
    pub fn stop(&mut self, id: &'static str, place: &Place, got: &str, want: &str) {
        self.push(id, Level::Error, true, place, got, want);
    }

    /// The application starts, and something in it will not work.
    pub fn error(&mut self, id: &'static str, place: &Place, got: &str, want: &str) {
        self.push(id, Level::Error, false, place, got, want);
    }

    pub fn warning(&mut self, id: &'static str, place: &Place, got: &str, want: &str) {
        self.push(id, Level::Warning, false, place, got, want);
    }

    pub fn stops_start(&self) -> bool {
        self.findings.iter().any(|f| f.stops_start)
    }

    /// By file and line, each once. `secrets` are values that must not be shown,
    /// whichever way one came into a message.
    pub fn finish(mut self, secrets: &[&str]) -> Vec<Finding> {
        for finding in &mut self.findings {
            for text in [&mut finding.got, &mut finding.want] {
                for secret in secrets.iter().filter(|s| s.len() >= SECRET_BYTES_MIN) {
                    if text.contains(secret) {
                        *text = text.replace(secret, "[secret]");
                    }
                }
            }
        }
        self.findings.sort();
        self.findings.dedup();
        self.findings
    }

    fn push(
        &mut self,
        id: &'static str,
        level: Level,
        stops_start: bool,
        place: &Place,
        got: &str,
        want: &str,
    ) {
        let mut got: String = got.chars().take(GOT_CHARS_MAX + 1).collect();
        if got.chars().count() > GOT_CHARS_MAX {
            got.pop();
            got.push('…');
        }
        self.findings.push(Finding {
            file: place.file.clone(),
            line: place.line,
            key: place.key.clone(),
            id,
            level,
            got,
            want: want.to_owned(),
            stops_start,
        });
    }
}

/// A shorter secret is not searched for: it would blot out ordinary words.
const SECRET_BYTES_MIN: usize = 4;

/// A value as messages show it: quoted, control characters escaped.
pub(crate) fn quoted(text: &str) -> String {
    format!("{text:?}")
}
