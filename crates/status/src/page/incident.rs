//! An incident: as a card of the overview, as a line of it, and as a page.

use maud::{Markup, html};
use watchbell_core::notice::said;

use super::words::{
    NAME_CHARS_MAX, TEXT_CHARS_MAX, encoded, fact, foreign, lasting, mark, time, what_to_do,
};
use crate::view::{Affected, Incident, State};

/// On the overview; its page has all.
const EVIDENCE_MAX: usize = 6;
/// On its page: a service has seldom more checks.
const CHECKS_MAX: usize = 50;

/// On the overview, of one that is open. `told` is what the page has said already.
pub fn card(incident: &Incident, told: &str) -> Markup {
    html! {
        article.card.incident.down id={ "incident-" (encoded(&incident.incident)) } data-part {
            h3 {
                (mark(State::Down))
                a href=(address(incident)) { "Incident of " (foreign(&incident.service, NAME_CHARS_MAX)) }
            }
            p.tags { (tags(incident)) }
            @if incident.summary != told { p.lead { (foreign(&incident.summary, TEXT_CHARS_MAX)) } }
            p.facts {
                span { "Failing since " (time(incident.failing_since)) ", for " (lasting(incident.duration_s)) }
            }
            (facts(incident, EVIDENCE_MAX))
        }
    }
}

/// On the overview.
pub fn line(incident: &Incident) -> Markup {
    html! {
        li {
            (time(incident.failing_since)) " "
            span.small { (foreign(&incident.severity, 20)) " " }
            a href=(address(incident)) { (foreign(&incident.summary, TEXT_CHARS_MAX)) }
        }
    }
}

fn address(incident: &Incident) -> String {
    format!("/incident/{}", encoded(&incident.incident))
}

fn tags(incident: &Incident) -> Markup {
    html! {
        (foreign(&incident.severity, 20))
        @if incident.acknowledged {
            " · acknowledged"
            @if let Some(by) = &incident.acknowledged_by { " by " (foreign(by, NAME_CHARS_MAX)) }
        }
        @if let Some(by) = &incident.held_by {
            " · alerts " (if incident.resolved_at.is_some() { "were held" } else { "held" }) ": "
            (foreign(by, NAME_CHARS_MAX))
        }
    }
}

/// Why, on what grounds, and what to do.
fn facts(incident: &Incident, evidence_max: usize) -> Markup {
    let evidence = incident.evidence.as_deref().unwrap_or_default();
    let more = evidence.len().saturating_sub(evidence_max);
    let url = incident.runbook_url.as_deref();
    html! {
        dl.facts {
            @if let Some(text) = incident.cause_text.as_ref().or(incident.cause.as_ref()) {
                (fact("Cause", foreign(text, TEXT_CHARS_MAX)))
            }
            @if !evidence.is_empty() {
                (fact("Evidence", html! {
                    ul {
                        @for line in evidence.iter().take(evidence_max) {
                            li { (foreign(line, TEXT_CHARS_MAX)) }
                        }
                        @if more > 0 { li { "and " (more) " more" } }
                    }
                }))
            }
            @if let Some(what_to_do) = what_to_do(incident.action.as_deref(), url) {
                (fact("What to do", what_to_do))
            }
        }
    }
}

/// `/incident/<id>`.
pub fn body(incident: &Incident) -> Markup {
    let (state, word) = match incident.resolved_at {
        Some(_) => (State::Up, "resolved"),
        None => (State::Down, "open"),
    };
    let more = incident.checks.len().saturating_sub(CHECKS_MAX);
    html! {
        section #state.banner.(state.as_str()) data-part {
            h1 {
                (mark(state)) span.word { (word) } " Incident of "
                (foreign(&incident.service, NAME_CHARS_MAX))
            }
            p { (foreign(&incident.summary, TEXT_CHARS_MAX)) }
            p { (tags(incident)) }
        }
        section #incident.card data-part {
            h2 { "What is known" }
            dl.facts {
                (fact("Failing since", time(incident.failing_since)))
                (fact("Opened", time(incident.opened_at)))
                @if let Some(at) = incident.resolved_at { (fact("Resolved", time(at))) }
                (fact("Duration", html! { (lasting(incident.duration_s)) }))
                (fact("Id", html! { code { (foreign(&incident.incident, NAME_CHARS_MAX)) } }))
            }
            (facts(incident, CHECKS_MAX))
        }
        section #checks.card data-part {
            h2 { "Its checks" }
            ul.lines {
                @for affected in incident.checks.iter().take(CHECKS_MAX) { (self::affected(affected)) }
                @if more > 0 { li { "and " (more) " more" } }
            }
        }
    }
}

fn affected(affected: &Affected) -> Markup {
    let over = affected.recovered_at.is_some();
    let detail = affected.detail.as_deref().unwrap_or_default();
    let said = said(affected.kind.as_deref(), affected.reason.as_deref(), detail);
    html! {
        li {
            (mark(if over { State::Up } else { State::Down }))
            @if over { "recovered " } @else { "down " }
            a href={ "/check/" (encoded(&affected.check)) } {
                (foreign(&affected.label, NAME_CHARS_MAX))
            }
            @if !said.is_empty() { ": " (foreign(&said, TEXT_CHARS_MAX)) }
            div.small {
                "failing since " (time(affected.failing_since))
                @if let Some(at) = affected.recovered_at { ", recovered " (time(at)) }
            }
        }
    }
}
