//! The page for people: rendered here, whole without JavaScript.
//!
//! Three rules hold in all of it. What comes from a server, a label or a certificate is
//! written by `words::foreign` only: it may be hostile. There is no inline style or script,
//! for the content security policy allows none. And a state is never told by its colour
//! alone: beside it stands its word, or its shape is its own.

mod bars;
mod certificate;
mod chart;
mod check;
mod incident;
mod overview;
mod words;

use std::collections::BTreeMap;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use watchbell_core::history::Span;
use watchbell_core::time::UnixMs;

use crate::records::History;
use crate::view::{Detail, Incident, Sight, State, Status};
use words::{foreign, plain};

/// `/style.css`.
pub const STYLE: &str = include_str!("page/style.css");
/// `/script.js`: keeps a page current that is whole without it.
pub const SCRIPT: &str = include_str!("page/script.js");

/// What all pages have in common.
pub struct Site<'a> {
    /// What it is called; `Watchbell` by default.
    pub title: &'a str,
    pub sight: Sight,
    /// A token is configured: there is a form for it, or a way out.
    pub closable: bool,
    /// When this is rendered: where charts end.
    pub now: UnixMs,
}

/// `/`. `drawn` holds the checks that are drawn in full, by id; of others only the state is
/// shown. `past` is what is over, the newest first.
pub fn overview(
    site: &Site<'_>,
    status: &Status,
    drawn: &BTreeMap<String, (Detail, History)>,
    past: &[Incident],
) -> String {
    let page = Page {
        state: Some(status.state),
        subject: status.state.as_str(),
        live: true,
        way: Way::In,
    };
    page.render(site, &overview::body(site, status, drawn, past))
}

/// `/check/<id>`: everything of one check. `hours` are its history's, oldest first.
pub fn check(site: &Site<'_>, detail: &Detail, history: &History, hours: &[Span]) -> String {
    let subject = format!("{}: {}", words::state(&detail.check), detail.check.label);
    let page = Page {
        state: Some(words::look(&detail.check)),
        subject: &subject,
        live: true,
        way: Way::In,
    };
    page.render(site, &check::body(site, detail, history, hours))
}

/// `/incident/<id>`, of one that is open or over.
pub fn incident(site: &Site<'_>, incident: &Incident) -> String {
    let (word, state) = match incident.resolved_at {
        Some(_) => ("resolved", State::Up),
        None => ("open", State::Down),
    };
    let subject = format!("{word}: incident of {}", incident.service);
    let page = Page {
        state: Some(state),
        subject: &subject,
        live: incident.resolved_at.is_none(),
        way: Way::In,
    };
    page.render(site, &incident::body(incident))
}

/// What the form for the token is there for.
#[derive(Clone, Copy)]
pub struct SignIn<'a> {
    /// After a token that was not it.
    pub wrong: bool,
    /// The page that was asked for.
    pub to: &'a str,
}

impl<'a> SignIn<'a> {
    pub fn to(to: &'a str) -> Self {
        Self { wrong: false, to }
    }
}

/// The form for the token, at `/session` and wherever nothing is shown without it.
pub fn sign_in(site: &Site<'_>, SignIn { wrong, to }: SignIn<'_>) -> String {
    let page = Page {
        state: None,
        subject: if wrong { "wrong token" } else { "sign in" },
        live: false,
        way: Way::Here,
    };
    let described = wrong.then_some("wrong");
    let form = html! {
        form.card.sign-in method="post" action="/session" {
            h1 { "Sign in" }
            p { "With the token you see targets, errors, causes and delivery too." }
            @if to != "/" { input type="hidden" name="to" value=(to); }
            label for="token" { "Token" }
            input #token type="password" name="token" required autocomplete="current-password"
                spellcheck="false" aria-invalid=[wrong.then_some("true")]
                aria-describedby=[described];
            @if wrong {
                p #wrong.error { (words::mark(State::Down)) "That is not the token" }
            }
            button type="submit" { "Sign in" }
        }
    };
    page.render(site, &form)
}

/// `what` was asked for: `a check "headscale"`.
pub fn not_found(site: &Site<'_>, what: &str) -> String {
    let page = Page {
        state: None,
        subject: "not found",
        live: false,
        way: Way::In,
    };
    let body = html! {
        section.card {
            h1 { "Not found" }
            p { "Not here: " (foreign(what, 120)) }
            p { a href="/" { "To the overview" } }
        }
    };
    page.render(site, &body)
}

/// What stands around the body.
struct Page<'a> {
    /// Told by the icon too.
    state: Option<State>,
    /// The title's beginning.
    subject: &'a str,
    /// It changes while it is looked at.
    live: bool,
    way: Way,
}

#[derive(PartialEq)]
enum Way {
    /// To the form for the token, or out.
    In,
    /// This is the form.
    Here,
}

impl Page<'_> {
    fn render(&self, site: &Site<'_>, body: &Markup) -> String {
        let title = format!("{} – {}", plain(self.subject, 120), plain(site.title, 60));
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width,initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="referrer" content="same-origin";
                    title { (words::capital(&title)) }
                    link #icon rel="icon" type="image/svg+xml" href=(icon(self.state));
                    link rel="stylesheet" href="/style.css";
                    @if self.live { script src="/script.js" defer {} }
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    (shapes())
                    header #header {
                        a.site href="/" { (foreign(site.title, 60)) }
                        (self.way(site))
                    }
                    @if self.live { p #stale role="status" {} }
                    main #main tabindex="-1" { (body) }
                    footer {
                        p { "Times are UTC · " a href="/api/v1/status" { "JSON" } }
                    }
                }
            }
        }
        .into_string()
    }

    fn way(&self, site: &Site<'_>) -> Markup {
        html! {
            @if site.closable && self.way == Way::In {
                div #session data-part {
                    @match site.sight {
                        Sight::Public => a href="/session" { "Sign in" },
                        Sight::Full => form method="post" action="/session/end" {
                            button type="submit" { "Sign out" }
                        },
                    }
                }
            }
        }
    }
}

/// The outline of a state's mark and what is drawn in it, in a square of 16.
fn shape(state: State) -> (&'static str, &'static str) {
    const DISC: &str = "M8 0a8 8 0 1 0 0 16a8 8 0 1 0 0-16z";
    match state {
        State::Up => (DISC, "M4.5 8.5l2.5 2.5 4.5-5"),
        State::Unknown => (DISC, "M6 6.2a2 2 0 1 1 3 1.7c-.7.4-1 .7-1 1.4M8 12v.1"),
        State::Degraded => ("M8 0l8 15.5H0z", "M8 6v4M8 12.7v.1"),
        State::Pending => (DISC, "M8 4v4.3l2.8 1.8"),
        State::Down => ("M5 0h6l5 5v6l-5 5H5l-5-5V5z", "M5 5l6 6M11 5l-6 6"),
    }
}

/// Once a page, for [`words::mark`].
fn shapes() -> Markup {
    html! {
        svg.shapes aria-hidden="true" width="0" height="0" {
            @for state in State::ALL {
                @let (outline, inner) = shape(state);
                symbol id=(state.as_str()) viewBox="0 0 16 16" {
                    path d=(outline) stroke="none" {}
                    path d=(inner) fill="none" stroke-width="1.8" stroke-linecap="round" {}
                }
            }
        }
    }
}

/// As a `data:` address: one request less, and it changes with the state.
fn icon(state: Option<State>) -> PreEscaped<String> {
    let state = state.unwrap_or(State::Up);
    let colour = match state {
        State::Up => "1a7f37",
        State::Unknown => "59636e",
        State::Degraded => "9a6700",
        State::Pending => "0969da",
        State::Down => "cf222e",
    };
    let (outline, inner) = shape(state);
    PreEscaped(format!(
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
         %3Cpath fill='%23{colour}' d='{outline}'/%3E\
         %3Cpath fill='none' stroke='white' stroke-width='1.8' d='{inner}'/%3E%3C/svg%3E"
    ))
}
