//! A URL as an operator writes it, read without a URL crate in the guest.

use crate::settings::{Host, parse_host};

/// An absolute http or https URL. An IPv6 host may lack its brackets: the
/// manifest's templates put a host and a port together and cannot add them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    pub tls: bool,
    pub host: Host,
    /// The scheme's own when not given.
    pub port: u16,
    /// Starts with `/`; path and query.
    pub path: String,
}

impl Default for Url {
    fn default() -> Self {
        Self {
            tls: false,
            host: Host::Name(String::new()),
            port: 80,
            path: "/".to_owned(),
        }
    }
}

impl Url {
    /// `None` for anything else, credentials and fragments included.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(authority_end);
        let fits = |b: u8| (0x21..=0x7e).contains(&b);
        if authority.contains('@') || path.contains('#') || !path.bytes().all(fits) {
            return None;
        }
        let (host, port) = split_authority(authority)?;
        Some(Self {
            tls,
            host,
            port: port.unwrap_or(if tls { 443 } else { 80 }),
            path: if path.starts_with('/') {
                path.to_owned()
            } else {
                format!("/{path}")
            },
        })
    }

    /// Resolves a `Location` against this URL (RFC 3986, section 5.2). What a URL must not
    /// hold as it is (blanks, letters beyond ASCII) is encoded, as browsers do.
    pub fn join(&self, location: &str) -> Option<Self> {
        let location = encoded(location.split('#').next().unwrap_or_default().trim());
        let mut url = self.joined(&location)?;
        url.path = without_dots(&url.path);
        Some(url)
    }

    fn joined(&self, location: &str) -> Option<Self> {
        if has_scheme(location) {
            return Self::parse(location);
        }
        if location.starts_with("//") {
            return Self::parse(&format!("{}:{location}", self.scheme()));
        }
        let base = format!("{}://{}", self.scheme(), self.authority());
        let path = self.path.split('?').next().unwrap_or("/");
        let folder = &path[..=path.rfind('/').unwrap_or(0)];
        let path = match location.chars().next() {
            None => self.path.clone(),
            Some('/') => location.to_owned(),
            Some('?') => format!("{path}{location}"),
            Some(_) => format!("{folder}{location}"),
        };
        Self::parse(&format!("{base}{path}"))
    }

    pub fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// Host and port, IPv6 in brackets; the scheme's own port is left out.
    pub fn authority(&self) -> String {
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => self.host.to_string(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority(), self.path)
    }
}

/// Whether it begins with a scheme, such as `https:` or `mailto:` (RFC 3986, section 3.1).
fn has_scheme(location: &str) -> bool {
    let end = location.find([':', '/', '?']).unwrap_or(location.len());
    let (scheme, rest) = location.split_at(end);
    rest.starts_with(':')
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// Percent signs for what is no visible ASCII.
fn encoded(location: &str) -> String {
    let mut out = String::with_capacity(location.len());
    for byte in location.bytes() {
        match byte {
            0x21..=0x7e => out.push(byte.into()),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// `/a/b/../c?d` is `/a/c?d` (RFC 3986, section 5.2.4).
fn without_dots(path_and_query: &str) -> String {
    let end = path_and_query.find('?').unwrap_or(path_and_query.len());
    let (path, query) = path_and_query.split_at(end);
    let mut kept: Vec<&str> = Vec::new();
    // The first is what stands before the first slash: nothing.
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            named => kept.push(named),
        }
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        kept.push("");
    }
    format!("/{}{query}", kept.join("/"))
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`, and `v6:port` as templates make it.
fn split_authority(authority: &str) -> Option<(Host, Option<u16>)> {
    let port = |t: &str| t.parse::<u16>().ok().filter(|p| *p > 0);
    if authority.starts_with('[') {
        let end = authority.find(']')?;
        let host = parse_host(&authority[..=end])?;
        return match authority[end + 1..].strip_prefix(':') {
            Some(p) => Some((host, Some(port(p)?))),
            None => (end + 1 == authority.len()).then_some((host, None)),
        };
    }
    // With several colons and no brackets the last group is the port: a template
    // `{{ host }}:{{ port }}` is the only way such a text comes about.
    match authority.rsplit_once(':') {
        Some((host, p)) => Some((parse_host(host)?, Some(port(p)?))),
        None => Some((parse_host(authority)?, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_reads_as_templates_make_it() {
        for (given, want) in [
            (
                "https://hs.example.com:443/health",
                Some("https://hs.example.com/health"),
            ),
            (
                "https://hs.example.com:8443/health",
                Some("https://hs.example.com:8443/health"),
            ),
            ("http://127.0.0.1:80", Some("http://127.0.0.1/")),
            (
                "https://::1:8443/key?v=133",
                Some("https://[::1]:8443/key?v=133"),
            ),
            ("https://[::1]:8443/key", Some("https://[::1]:8443/key")),
            ("https://[2001:db8::1]/", Some("https://[2001:db8::1]/")),
            ("https://2001:db8::1:443/", Some("https://[2001:db8::1]/")),
            (
                "HTTPS://HS.Example.com./x",
                Some("https://hs.example.com/x"),
            ),
            ("https://h?x=1", Some("https://h/?x=1")),
            ("ftp://h/", None),
            ("https://user:pw@h/", None),
            ("https://h/#f", None),
            ("https://h:0/", None),
            ("https://h:65536/", None),
            ("https:///", None),
            ("https://[::1/", None),
            ("https://h/a b", None),
            ("https://1.2.3.4.5/", None),
            ("h/x", None),
            ("", None),
        ] {
            assert_eq!(
                Url::parse(given).map(|u| u.to_string()).as_deref(),
                want,
                "{given:?}"
            );
        }
    }

    #[test]
    fn a_location_resolves_as_in_rfc_3986() {
        let base = Url::parse("https://h:8443/a/b?q=1").unwrap();
        for (location, want) in [
            ("/x", Some("https://h:8443/x")),
            ("c", Some("https://h:8443/a/c")),
            ("../c", Some("https://h:8443/c")),
            ("../../c/./d?e=../f", Some("https://h:8443/c/d?e=../f")),
            ("..", Some("https://h:8443/")),
            ("./", Some("https://h:8443/a/")),
            ("/x/y/..", Some("https://h:8443/x/")),
            ("http://o/x/../y", Some("http://o/y")),
            ("?q=2", Some("https://h:8443/a/b?q=2")),
            ("//o/x", Some("https://o/x")),
            ("http://o:81/x#frag", Some("http://o:81/x")),
            ("ftp://o/", None),
            ("mailto:a@b", None),
            ("http:/x", None),
            (
                "login?next=https://h/x",
                Some("https://h:8443/a/login?next=https://h/x"),
            ),
            ("./c:d", Some("https://h:8443/a/c:d")),
            ("", Some("https://h:8443/a/b?q=1")),
            ("#top", Some("https://h:8443/a/b?q=1")),
            (
                "/caf\u{e9} au lait",
                Some("https://h:8443/caf%C3%A9%20au%20lait"),
            ),
        ] {
            assert_eq!(
                base.join(location).map(|u| u.to_string()).as_deref(),
                want,
                "{location:?}"
            );
        }
    }
}
