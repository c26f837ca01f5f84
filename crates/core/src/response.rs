//! Judges an HTTP answer against what the check expects.

use std::time::Duration;

use serde_json::Value;

use crate::identity::recognise;
use crate::json;
use crate::monitor::Memory;
use crate::outcome::{Identity, Kind, Outcome, one_line};
use crate::settings::{Assertion, HttpSettings};

/// Of a server's text, this much is repeated in a detail.
const EXCERPT_CHARS: usize = 60;

/// The answer as far as it was read.
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The body went on beyond `body_bytes_max`.
    pub truncated: bool,
    /// Why the body did not come to its end, where it did not.
    pub broken: Option<Outcome>,
    pub elapsed: Duration,
}

/// The first expectation that is not met, or up, or degraded when slow.
pub fn judge(settings: &HttpSettings, memory: &Memory, response: &Response) -> Outcome {
    let status = response.status;
    if !settings.expect_status.contains(status) {
        return unexpected_status(settings, memory, response);
    }
    if let Some(broken) = &response.broken {
        return broken.clone();
    }
    let body = String::from_utf8_lossy(&response.body);
    let found = texts(settings, response, &body)
        .or_else(|| headers(settings, response))
        .map_or_else(|| assertions(settings, memory, response, &body), Err);
    let identity = match found {
        // A changed value has its own hint.
        Err(outcome) if outcome.reason.is_some() => return outcome,
        Err(outcome) => return outcome.and_hint(&settings.hint),
        Ok(identity) => identity,
    };
    let ms = response.elapsed.as_millis();
    let detail = format!("status {status} in {ms} ms");
    let mut outcome = match settings.degraded_above {
        Some(bound) if response.elapsed > bound => Outcome::degraded(
            Kind::Latency,
            format!("{detail}, want at most {} ms", bound.as_millis()),
        ),
        _ => Outcome::up(detail),
    };
    outcome.identity = identity;
    outcome.present = Some(true);
    outcome
}

fn unexpected_status(settings: &HttpSettings, memory: &Memory, response: &Response) -> Outcome {
    let status = response.status;
    let absent = settings
        .absent_status
        .as_ref()
        .is_some_and(|s| s.contains(status));
    if absent && settings.presence.excuses_absence(memory) {
        return Outcome::up(format!("not offered (status {status})")).and_hint(&settings.hint);
    }
    let mut detail = format!("status {status}, want {}", settings.expect_status);
    if (300..400).contains(&status) {
        if let Some((_, to)) = response.headers.iter().find(|(n, _)| n == "location") {
            detail.push_str(&format!(
                "; redirects to {:?}",
                one_line(without_query(to), EXCERPT_CHARS)
            ));
        }
    } else if let Some(text) = excerpt(&response.body) {
        detail.push_str(&format!("; the body starts {text:?}"));
    }
    let mut outcome = Outcome::failed(Kind::Status, detail).and_hint(&settings.hint);
    outcome.http_status = Some(status);
    outcome
}

fn texts(settings: &HttpSettings, response: &Response, body: &str) -> Option<Outcome> {
    if let Some(word) = &settings.expect_keyword
        && !body.contains(word)
    {
        return Some(body_failure(format!("the body has no {word:?}"), body));
    }
    if let Some(word) = &settings.reject_keyword {
        if body.contains(word) {
            return Some(Outcome::failed(
                Kind::Body,
                format!("the body has {word:?}, want none"),
            ));
        }
        if response.truncated {
            return Some(too_long(settings, &format!("no {word:?} in all of it")));
        }
    }
    if let Some(regex) = &settings.expect_regex
        && !regex.is_match(body)
    {
        return Some(body_failure(
            format!("the body does not match {:?}", regex.as_str()),
            body,
        ));
    }
    None
}

fn headers(settings: &HttpSettings, response: &Response) -> Option<Outcome> {
    settings.expect_header.iter().find_map(|assertion| {
        let name = &assertion.subject;
        let mut values = response
            .headers
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, v)| v)
            .peekable();
        if values.peek().is_none() {
            return Some(Outcome::failed(
                Kind::Body,
                format!("the header {name:?} is missing"),
            ));
        }
        if values
            .clone()
            .any(|v| assertion.test.holds(&Value::String(v.clone())))
        {
            return None;
        }
        // Not what it is, nor what it should be: a header may hold a token.
        Some(Outcome::failed(
            Kind::Body,
            format!("the header {name:?} is not as expect_header wants it"),
        ))
    })
}

/// The remembered value when there is one to remember.
fn assertions(
    settings: &HttpSettings,
    memory: &Memory,
    response: &Response,
    body: &str,
) -> Result<Option<Identity>, Outcome> {
    if settings.expect_json.is_empty() && settings.remember.is_none() {
        return Ok(None);
    }
    if response.truncated {
        return Err(too_long(settings, "JSON within it"));
    }
    let value: Value = serde_json::from_slice(&response.body)
        .map_err(|_| body_failure("the body is not JSON".to_owned(), body))?;
    for alternatives in &settings.expect_json {
        let met = |a: &Assertion| value.pointer(&a.subject).is_some_and(|v| a.test.holds(v));
        if alternatives.iter().any(met) {
            continue;
        }
        let Some(first) = alternatives.first() else {
            continue;
        };
        let pointer = &first.subject;
        let got = match value.pointer(pointer) {
            Some(v) => one_line(&json::text(v), EXCERPT_CHARS),
            None => "nothing".to_owned(),
        };
        return Err(Outcome::failed(
            Kind::Body,
            format!("{pointer} is {got}, want {}", first.test),
        ));
    }
    let Some(pointer) = &settings.remember else {
        return Ok(None);
    };
    identity(settings, memory, pointer, value.pointer(pointer)).map(Some)
}

fn identity(
    settings: &HttpSettings,
    memory: &Memory,
    pointer: &str,
    value: Option<&Value>,
) -> Result<Identity, Outcome> {
    let Some(Value::String(got)) = value else {
        return Err(Outcome::failed(
            Kind::Body,
            format!("{pointer} is missing or no text"),
        ));
    };
    if settings
        .remember_reject
        .as_ref()
        .is_some_and(|r| r.is_match(got))
    {
        let got = one_line(got, EXCERPT_CHARS);
        return Err(Outcome::failed(
            Kind::Body,
            format!("{pointer} is {got:?}, which is no real value"),
        ));
    }
    recognise(
        pointer,
        got,
        settings.pinned.as_deref(),
        memory,
        &settings.remember_hint,
    )
}

fn too_long(settings: &HttpSettings, want: &str) -> Outcome {
    let max = settings.body_bytes_max;
    Outcome::failed(
        Kind::Body,
        format!("the body is longer than body_bytes_max, {max}; want {want}"),
    )
}

fn body_failure(what: String, body: &str) -> Outcome {
    let detail = match excerpt(body.as_bytes()) {
        Some(text) => format!("{what}; it starts {text:?}"),
        None => format!("{what}; it is empty"),
    };
    Outcome::failed(Kind::Body, detail)
}

fn excerpt(body: &[u8]) -> Option<String> {
    let start = &body[..body.len().min(4 * EXCERPT_CHARS)];
    let text = one_line(&String::from_utf8_lossy(start), EXCERPT_CHARS);
    (!text.is_empty()).then_some(text)
}

/// A `Location` may carry a token in its query.
fn without_query(location: &str) -> &str {
    location.split('?').next().unwrap_or_default()
}
