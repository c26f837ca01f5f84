//! A request and its answer, whatever carries them.

use sha2::{Digest, Sha256};

use crate::view::Sight;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Get,
    Head,
    Post,
    Other,
}

/// Headers that are absent are empty.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub verb: Verb,
    pub path: &'a str,
    pub query: &'a str,
    pub authorization: &'a str,
    pub cookie: &'a str,
    pub accept: &'a str,
    pub if_none_match: &'a str,
    /// It came over TLS.
    pub secure: bool,
    pub body: &'a [u8],
}

impl Request<'_> {
    /// A parameter of the query; the first of that name.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let mut all = form_urlencoded::parse(self.query.as_bytes());
        all.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    }

    /// Asked by a program, which gets its errors as JSON.
    pub fn by_program(&self) -> bool {
        self.path.starts_with("/api/")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// What may be asked of the browser: only what this application serves.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub const HTML: &str = "text/html; charset=utf-8";
pub const ATOM: &str = "application/atom+xml; charset=utf-8";
pub const SVG: &str = "image/svg+xml; charset=utf-8";
pub const JSON: &str = "application/json";
pub const TEXT: &str = "text/plain; charset=utf-8";

/// Shared caches may keep what everybody may see; shorter than checks run.
const PUBLIC_CACHE: &str = "public, max-age=10";
const PAGE_CACHE: &str = "public, no-cache";
const PRIVATE_CACHE: &str = "private, no-cache";

impl Response {
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = [
            ("content-type", content_type),
            ("content-security-policy", POLICY),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
        ];
        Self {
            status,
            headers: headers
                .map(|(name, value)| (name, value.to_owned()))
                .to_vec(),
            body: body.into(),
        }
    }

    /// Why there is nothing else: JSON for programs, a line for people.
    pub fn error(request: &Request<'_>, status: u16, why: &str) -> Self {
        let response = match request.by_program() {
            true => {
                let body = serde_json::json!({ "error": why });
                Self::new(status, JSON, body.to_string())
            }
            false => Self::new(status, TEXT, format!("{why}\n")),
        };
        response.with("cache-control", "no-store")
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// As it is shown to those who see that much, and not at all to who has it already.
    pub fn cached(self, request: &Request<'_>, sight: Sight) -> Self {
        let page = self.headers.contains(&("content-type", HTML.to_owned()));
        let control = match sight {
            // Who reloads a page wants to know how it is now.
            Sight::Public if page => PAGE_CACHE,
            Sight::Public => PUBLIC_CACHE,
            Sight::Full => PRIVATE_CACHE,
        };
        let tag = etag(&self.body);
        let mut response = self
            .with("cache-control", control)
            .with("vary", "authorization, cookie, accept")
            .with("etag", tag.clone());
        if has(request.if_none_match, &tag) {
            response.status = 304;
            response.body.clear();
            response.headers.retain(|(name, _)| *name != "content-type");
        }
        response
    }
}

fn etag(body: &[u8]) -> String {
    let mut tag = String::from("\"");
    for byte in &Sha256::digest(body)[..12] {
        tag.push_str(&format!("{byte:02x}"));
    }
    tag.push('"');
    tag
}

/// `If-None-Match` (RFC 9110, section 13.1.2), compared weakly: a proxy may have weakened it.
fn has(if_none_match: &str, tag: &str) -> bool {
    let mut known = if_none_match.split(',').map(str::trim);
    known.any(|k| k == "*" || k.strip_prefix("W/").unwrap_or(k) == tag)
}
