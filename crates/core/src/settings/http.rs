//! What `http-check` reads: the request, and what the answer must be.

use std::time::Duration;

use regex_lite::Regex;
use serde_json::Value;

use super::common::duration;
use super::{Mistake, Presence, Reader, common::Common};
use crate::json;

/// A body is read up to this unless `body_bytes_max` says otherwise.
const BODY_BYTES_DEFAULT: u32 = 65_536;
/// A guest has a few MiB in all.
const BODY_BYTES_MAX: u32 = 1_048_576;
/// Browsers follow 20; a check that needs more has found a loop.
const REDIRECTS_MAX: u32 = 10;
/// Header lines sent, header assertions, JSON assertions.
const LINES_MAX: usize = 32;

/// `200`, `200,204`, `200-299, 304`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusSet(Vec<(u16, u16)>);

impl StatusSet {
    pub fn parse(text: &str) -> Option<Self> {
        let code = |t: &str| {
            t.trim()
                .parse::<u16>()
                .ok()
                .filter(|c| (100..=599).contains(c))
        };
        text.split(',')
            .map(|part| match part.split_once('-') {
                None => code(part).map(|c| (c, c)),
                Some((a, b)) => Some((code(a)?, code(b)?)).filter(|(a, b)| a <= b),
            })
            .collect::<Option<Vec<_>>>()
            .map(Self)
    }

    pub fn contains(&self, status: u16) -> bool {
        self.0
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&status))
    }
}

impl std::fmt::Display for StatusSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<String> = self
            .0
            .iter()
            .map(|(a, b)| {
                if a == b {
                    a.to_string()
                } else {
                    format!("{a}-{b}")
                }
            })
            .collect();
        f.write_str(&parts.join(","))
    }
}

/// What a value must be.
#[derive(Clone, Debug)]
pub enum JsonTest {
    Equals(Value),
    Matches(Regex),
}

impl JsonTest {
    /// Numbers are compared by value. A regex is looked for in a text itself, and in the
    /// JSON of everything else.
    pub fn holds(&self, value: &Value) -> bool {
        match (self, value) {
            (JsonTest::Equals(want), got) => json::same(want, got),
            (JsonTest::Matches(regex), Value::String(text)) => regex.is_match(text),
            (JsonTest::Matches(regex), other) => regex.is_match(&json::text(other)),
        }
    }
}

/// What would be accepted.
impl std::fmt::Display for JsonTest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            JsonTest::Equals(value) => f.write_str(&json::text(value)),
            JsonTest::Matches(regex) => write!(f, "a match of {}", regex.as_str()),
        }
    }
}

/// One alternative: a JSON pointer (RFC 6901), or a header's name, and its test.
#[derive(Clone, Debug)]
pub struct Assertion {
    pub subject: String,
    pub test: JsonTest,
}

/// The variables of an HTTP check.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    pub common: Common,
    /// `url`: http or https; an IPv6 address may lack its brackets.
    pub url: crate::target::Url,
    /// `method`: default GET.
    pub method: String,
    /// `headers`: one `name: value` a line. May hold secrets: never shown.
    pub headers: Vec<(String, String)>,
    /// `body`: sent as it is.
    pub body: String,
    /// `expect_status`: default 200-299.
    pub expect_status: StatusSet,
    /// `expect_keyword`, `reject_keyword`: a text that must, must not stand in the body.
    pub expect_keyword: Option<String>,
    pub reject_keyword: Option<String>,
    /// `expect_regex`: must match somewhere in the body.
    pub expect_regex: Option<Regex>,
    /// `expect_json`: one assertion a line, `/pointer = <JSON>` or `/pointer ~ <regex>`;
    /// alternatives on one line are separated by ` or `.
    pub expect_json: Vec<Vec<Assertion>>,
    /// `expect_header`: one `name`, `name = text` or `name ~ regex` a line.
    pub expect_header: Vec<Assertion>,
    /// `degraded_above`: a slower answer is *degraded*.
    pub degraded_above: Option<Duration>,
    /// `redirects_max`: 0 (default) takes a redirect as the answer.
    pub redirects_max: u32,
    /// `body_bytes_max`: a longer body is cut for the tests on text and a failure
    /// for the tests on JSON.
    pub body_bytes_max: u32,
    /// `remember`: the JSON pointer of a value that must stay what it was when first seen.
    pub remember: Option<String>,
    /// `remember_pinned`: what that value must be, instead of what was first seen.
    pub pinned: Option<String>,
    /// `remember_reject`: what that value must never be (a key of zeros, say): a regex.
    pub remember_reject: Option<Regex>,
    /// `remember_hint`: added to the detail when that value changed: how to accept it.
    pub remember_hint: String,
    /// `presence`: `required` (default), `auto`, `off`.
    pub presence: Presence,
    /// `absent_status`: the answers that say *not offered* (with `presence` `auto`).
    pub absent_status: Option<StatusSet>,
    /// `hint`: added to the detail of a failure that concerns the watched thing itself.
    pub hint: String,
}

impl HttpSettings {
    pub fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<Mistake>> {
        let mut r = Reader::new(get);
        let common = Common::read(&mut r);
        let url_text = r.required("url", URL_WANT);
        let url = crate::target::Url::parse(&url_text).unwrap_or_else(|| {
            if !url_text.is_empty() {
                // Only the part before credentials or query could be shown safely; show none.
                r.mistake("url", "something else", URL_WANT);
            }
            crate::target::Url::default()
        });
        let method = r.parsed(
            "method",
            "GET".to_owned(),
            "an HTTP method such as GET or POST",
            |t| {
                let upper = t.to_ascii_uppercase();
                (upper.len() <= 16 && upper.bytes().all(|b| b.is_ascii_uppercase() || b == b'-'))
                    .then_some(upper)
            },
        );
        let headers = headers(&mut r);
        let settings = Self {
            common,
            url,
            method,
            headers,
            body: get("body").unwrap_or_default(),
            expect_status: r.parsed(
                "expect_status",
                StatusSet(vec![(200, 299)]),
                STATUS_WANT,
                StatusSet::parse,
            ),
            expect_keyword: r.text("expect_keyword"),
            reject_keyword: r.text("reject_keyword"),
            expect_regex: r.parsed("expect_regex", None, REGEX_WANT, |t| {
                Regex::new(t).ok().map(Some)
            }),
            expect_json: r.parsed("expect_json", Vec::new(), JSON_WANT, |t| {
                lines(t, json_alternatives)
            }),
            expect_header: r.parsed("expect_header", Vec::new(), HEADER_WANT, |t| {
                lines(t, header_assertion)
            }),
            degraded_above: r
                .text("degraded_above")
                .map(|_| duration(&mut r, "degraded_above", Duration::from_secs(1))),
            redirects_max: r.parsed("redirects_max", 0, "a number from 0 to 10", |t| {
                t.parse().ok().filter(|n| *n <= REDIRECTS_MAX)
            }),
            body_bytes_max: r.parsed(
                "body_bytes_max",
                BODY_BYTES_DEFAULT,
                "a number from 1 to 1048576",
                |t| t.parse().ok().filter(|n| (1..=BODY_BYTES_MAX).contains(n)),
            ),
            remember: r.parsed("remember", None, "a JSON pointer such as /publicKey", |t| {
                t.starts_with('/').then(|| Some(t.to_owned()))
            }),
            pinned: r.text("remember_pinned"),
            remember_reject: r.parsed("remember_reject", None, REGEX_WANT, |t| {
                Regex::new(t).ok().map(Some)
            }),
            remember_hint: r.text("remember_hint").unwrap_or_default(),
            presence: Presence::read(&mut r),
            absent_status: r.parsed("absent_status", None, STATUS_WANT, |t| {
                StatusSet::parse(t).map(Some)
            }),
            hint: r.text("hint").unwrap_or_default(),
        };
        settings.check_pinned(&mut r);
        r.finish(settings)
    }

    /// A pinned value that the answer's own rules refuse would never be met.
    fn check_pinned(&self, r: &mut Reader<'_>) {
        let (Some(pointer), Some(pinned)) = (&self.remember, &self.pinned) else {
            return;
        };
        let value = Value::String(pinned.clone());
        let about = |line: &&Vec<Assertion>| line.iter().all(|a| a.subject == *pointer);
        let refused = self
            .expect_json
            .iter()
            .filter(about)
            .any(|line| !line.iter().any(|a| a.test.holds(&value)));
        let rejected = self
            .remember_reject
            .as_ref()
            .is_some_and(|regex| regex.is_match(pinned));
        if refused || rejected {
            let want = format!("a value that expect_json and remember_reject let {pointer} have");
            r.mistake("remember_pinned", &format!("{pinned:?}"), &want);
        }
    }
}

const URL_WANT: &str = "an http or https URL with a host, without user name and fragment";
const STATUS_WANT: &str = "HTTP status codes and ranges, such as 200,201-204";
const REGEX_WANT: &str =
    "a regular expression (the syntax of Rust's regex, without Unicode classes)";
const JSON_WANT: &str =
    "lines such as: /status = \"pass\", or: /publicKey ~ ^mkey:, alternatives separated by ' or '";
const HEADER_WANT: &str =
    "lines such as: content-type ~ json, or: x-served-by = edge, or a header's name alone";

fn headers(r: &mut Reader<'_>) -> Vec<(String, String)> {
    let Some(text) = r.text("headers") else {
        return Vec::new();
    };
    let parsed = lines(&text, |line| {
        let (name, value) = line.split_once(':')?;
        is_token(name.trim()).then(|| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
    });
    let Some(list) = parsed else {
        // A header often carries a token: the value is not repeated.
        r.mistake(
            "headers",
            "a text that is not shown",
            "one 'name: value' a line, at most 32",
        );
        return Vec::new();
    };
    for (name, _) in &list {
        if HEADERS_OF_THE_HOST.contains(&name.as_str()) {
            r.mistake(
                "headers",
                name,
                "no header that belongs to the connection or to the body's length",
            );
        }
    }
    list
}

/// What wasmtime-wasi-http refuses to a guest (its `DEFAULT_FORBIDDEN_HEADERS`, in 48.0),
/// and the length, which the guest shell sets from the body.
const HEADERS_OF_THE_HOST: [&str; 10] = [
    "connection",
    "content-length",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Every non-blank line parsed, or nothing if one does not parse or there are too many.
fn lines<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    let list = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .map(parse)
        .collect::<Option<Vec<_>>>()?;
    (list.len() <= LINES_MAX).then_some(list)
}

fn json_alternatives(line: &str) -> Option<Vec<Assertion>> {
    line.split(" or /")
        .enumerate()
        .map(|(i, part)| {
            let part = if i == 0 {
                part.to_owned()
            } else {
                format!("/{part}")
            };
            let (pointer, test) = part.split_once([' ', '='])?;
            let test = test.trim_start();
            let test = if let Some(regex) = test.strip_prefix('~') {
                JsonTest::Matches(Regex::new(regex.trim()).ok()?)
            } else {
                let value = test.strip_prefix('=').unwrap_or(test).trim();
                JsonTest::Equals(serde_json::from_slice(value.as_bytes()).ok()?)
            };
            pointer.starts_with('/').then(|| Assertion {
                subject: pointer.to_owned(),
                test,
            })
        })
        .collect()
}

fn header_assertion(line: &str) -> Option<Assertion> {
    let (name, test) = match line.split_once([' ', '=', '~']) {
        None => (line, JsonTest::Matches(Regex::new("").ok()?)),
        Some((name, _)) => {
            let test = line[name.len()..].trim_start();
            let test = match test.strip_prefix('~') {
                Some(regex) => JsonTest::Matches(Regex::new(regex.trim()).ok()?),
                None => JsonTest::Equals(Value::String(test.strip_prefix('=')?.trim().to_owned())),
            };
            (name, test)
        }
    };
    is_token(name).then(|| Assertion {
        subject: name.to_ascii_lowercase(),
        test,
    })
}

impl HttpSettings {
    /// The URL as alerts show it: a query may hold a token, so only its presence is shown.
    pub fn shown_url(&self) -> String {
        let text = self.url.to_string();
        match text.split_once('?') {
            Some((before, _)) => format!("{before}?…"),
            None => text,
        }
    }
}
