//! The variables of a check's stanza, read into types; every mistake at once.
//!
//! Guests read them at run time through the host's variables, `watchbell validate`
//! reads the same ones from the manifest: one set of rules, one set of messages.

mod alert;
mod certificate;
mod common;
mod control;
mod derp;
mod endpoint;
mod http;
mod presence;
mod status;
mod stun;
mod tcp;

pub use alert::AlertSettings;
pub use certificate::{CertificateSettings, Threshold};
pub use common::{Common, Pace, Severity, parse_duration, show as show_duration};
pub use control::ControlSettings;
pub use derp::DerpSettings;
pub use endpoint::Endpoint;
pub use http::{Assertion, HttpSettings, JsonTest, StatusSet};
pub use presence::Presence;
pub use status::StatusSettings;
pub use stun::StunSettings;
pub use tcp::{Family, Host, Resolver, TcpSettings, parse_host, parse_resolvers};

/// One mistake in one variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The variable's name in the stanza.
    pub key: String,
    /// The value given, or a word for it (`missing`, `a secret`).
    pub got: String,
    /// What would be accepted.
    pub want: String,
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "reading variable {:?}: got {}, want {}",
            self.key, self.got, self.want
        )
    }
}

/// Reads variables one by one and keeps every mistake.
///
/// A variable that does not exist and one that is empty are the same: a template
/// such as `"{{ ca_certificates }}"` gives an empty text where nothing is configured.
pub struct Reader<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
    mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    pub fn new(get: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            get,
            mistakes: Vec::new(),
        }
    }

    /// The value, unless missing or blank. Surrounding white space is dropped.
    pub fn text(&self, key: &str) -> Option<String> {
        (self.get)(key)
            .map(|v| v.trim().to_owned())
            .filter(|v| !v.is_empty())
    }

    /// The value, or a mistake and an empty text.
    pub fn required(&mut self, key: &str, want: &str) -> String {
        self.text(key).unwrap_or_else(|| {
            self.mistake(key, "nothing", want);
            String::new()
        })
    }

    /// The value parsed, the default when missing, or a mistake and the default.
    pub fn parsed<T>(
        &mut self,
        key: &str,
        default: T,
        want: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> T {
        match self.text(key) {
            None => default,
            Some(text) => parse(&text).unwrap_or_else(|| {
                self.mistake(key, &quoted(&text), want);
                default
            }),
        }
    }

    /// How many there are so far.
    pub fn mistakes(&self) -> usize {
        self.mistakes.len()
    }

    /// Keeps a mistake. `got` must not be a secret.
    pub fn mistake(&mut self, key: &str, got: &str, want: &str) {
        self.mistakes.push(Mistake {
            key: key.to_owned(),
            got: crate::outcome::one_line(got, 120),
            want: want.to_owned(),
        });
    }

    /// Every mistake.
    pub fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes
    }

    /// The settings, or every mistake.
    pub fn finish<T>(self, settings: T) -> Result<T, Vec<Mistake>> {
        if self.mistakes.is_empty() {
            Ok(settings)
        } else {
            Err(self.mistakes)
        }
    }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}
