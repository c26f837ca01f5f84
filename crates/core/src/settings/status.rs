//! What the status component reads.

use std::time::Duration;

use super::alert::sweep_interval;
use super::{AlertSettings, Mistake, Reader};
use crate::outcome::one_line;

/// The variables of the status component.
#[derive(Clone, PartialEq, Eq)]
pub struct StatusSettings {
    /// `title`: what the page is called; default `Watchbell`, at most 60 characters.
    pub title: String,
    /// `status_token`: who bears it sees targets, details and errors. Without one nobody does.
    pub token: Option<String>,
    /// `public`: `on` (default) shows states to everybody, `off` nothing without the token.
    pub public: bool,
    /// `sweep_interval`: the alert component's.
    pub sweep_interval: Duration,
}

impl StatusSettings {
    pub const TITLE: &str = "Watchbell";
    const TITLE_CHARS_MAX: usize = 60;
    /// A shorter one is guessed.
    pub const TOKEN_CHARS_MIN: usize = 16;

    pub fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<Mistake>> {
        let mut r = Reader::new(get);
        let title = r.text("title").unwrap_or_else(|| Self::TITLE.to_owned());
        let token = r.text("status_token");
        if let Some(token) = &token
            && token.chars().count() < Self::TOKEN_CHARS_MIN
        {
            let got = format!("a secret of {} characters", token.chars().count());
            let want = format!("at least {} characters", Self::TOKEN_CHARS_MIN);
            r.mistake("status_token", &got, &want);
        }
        let public = r.parsed("public", true, "on or off", |t| match t {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        });
        if !public && token.is_none() {
            r.mistake(
                "public",
                "off without a status_token",
                "one, or nobody sees anything",
            );
        }
        let sweep_interval = sweep_interval(&mut r);
        r.finish(Self {
            title: one_line(&title, Self::TITLE_CHARS_MAX),
            token,
            public,
            sweep_interval,
        })
    }

    /// Where its variables are mistaken: nothing is shown to anybody.
    pub fn closed() -> Self {
        Self {
            title: Self::TITLE.to_owned(),
            token: None,
            public: false,
            sweep_interval: AlertSettings::SWEEP_INTERVAL,
        }
    }
}
