//! One exchange, redirects included.

use serde_json::json;
use watchbell_core::monitor::Memory;
use watchbell_core::outcome::{Kind, Outcome};
use watchbell_core::response::{Response, judge};
use watchbell_core::settings::{HttpSettings, Presence};
use watchbell_core::target::Url;
use watchbell_guest::outgoing::{Request, send};
use watchbell_guest::{Deadline, Report};

/// Asks, follows redirects as far as they are allowed, and judges.
pub fn probe(settings: &HttpSettings, memory: &Memory, deadline: Deadline) -> Report {
    if settings.presence == Presence::Off {
        return Report {
            outcome: Outcome::switched_off("presence is off"),
            facts: json!({}),
        };
    }
    match exchange(settings, deadline) {
        Err(outcome) => Report {
            outcome,
            facts: json!({}),
        },
        Ok((response, redirects)) => Report {
            outcome: judge(settings, memory, &response),
            facts: json!({
                "http_status": response.status,
                "http_duration_ms": u64::try_from(response.elapsed.as_millis()).unwrap_or(u64::MAX),
                "body_bytes": response.body.len(),
                "body_truncated": response.truncated,
                "redirects": redirects,
            }),
        },
    }
}

fn exchange(settings: &HttpSettings, deadline: Deadline) -> Result<(Response, u32), Outcome> {
    let allowed = deadline.remaining();
    let mut url = settings.url.clone();
    let mut method = settings.method.as_str();
    let mut body = settings.body.as_bytes();
    let mut headers = settings.headers.clone();
    for redirects in 0.. {
        let request = Request {
            method,
            url: &url,
            headers: &headers,
            body,
        };
        let mut response = send(&request, settings.body_bytes_max as usize, deadline)?;
        let next = match redirect(settings, &url, &response) {
            Some(_) if redirects == settings.redirects_max => {
                let detail = format!(
                    "redirected more than {} times, last to {:?}",
                    settings.redirects_max,
                    url.authority()
                );
                return Err(Outcome::failed(Kind::Status, detail));
            }
            Some(next) => next?,
            None => {
                response.elapsed = allowed.saturating_sub(deadline.remaining());
                return Ok((response, redirects));
            }
        };
        // As browsers do (RFC 9110, section 15.4): 303 always becomes GET, 301 and 302 do for POST.
        if response.status == 303 || (method == "POST" && matches!(response.status, 301 | 302)) {
            (method, body) = ("GET", &[]);
        }
        if next.host != url.host || next.port != url.port || next.tls != url.tls {
            // What was meant for one origin is not told to another: any header may hold
            // a token, and so may the body.
            headers.clear();
            if !body.is_empty() {
                let detail = format!(
                    "redirected with a body to {:?}, another origin",
                    next.authority()
                );
                return Err(Outcome::failed(Kind::Status, detail));
            }
        }
        url = next;
    }
    unreachable!("the loop returns at redirects_max")
}

/// Where the answer sends us, when redirects are followed at all and this status is not what is expected.
fn redirect(
    settings: &HttpSettings,
    url: &Url,
    response: &Response,
) -> Option<Result<Url, Outcome>> {
    if settings.redirects_max == 0 || !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    if settings.expect_status.contains(response.status) {
        return None;
    }
    let (_, location) = response
        .headers
        .iter()
        .find(|(name, _)| name == "location")?;
    Some(url.join(location).ok_or_else(|| {
        Outcome::failed(
            Kind::Protocol,
            "following a redirect: the location is no http or https URL",
        )
    }))
}
