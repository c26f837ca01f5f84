//! What a component may reach: `allowed_outbound_hosts`, by Spin's rules
//! (spinframework/spin v4.0.2, crates/outbound-networking-config; v3.5.0 has the same),
//! and the networks that the runtime config blocks for all.

mod blocked;
mod host;

use std::fmt;
use std::net::SocketAddr;

pub use blocked::BlockedNetworks;
use host::{HostRule, PortRule, SERVICE_CHAINING_SUFFIX, Url, port_of_scheme};

use crate::template::Template;

/// The permissions of one component, templates resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts(Vec<Rule>);

/// Why an entry cannot be read. One such entry denies the component everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermissionError {
    /// Which entry, from 0.
    pub index: usize,
    /// The entry as written, templates unresolved: it can hold no secret.
    pub entry: String,
    /// What would be accepted. Of a template's value nothing is repeated.
    pub want: String,
}

/// What an entry should be, and the part of it that is not.
pub(crate) struct Refused {
    want: String,
    part: Option<String>,
}

impl Refused {
    fn whole(want: impl Into<String>) -> Self {
        Self {
            want: want.into(),
            part: None,
        }
    }

    fn part(want: impl Into<String>, part: &str) -> Self {
        Self {
            want: want.into(),
            part: Some(part.to_owned()),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.want)?;
        match &self.part {
            Some(part) => write!(f, ", not {part:?}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for PermissionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reading permission {:?}: want {}", self.entry, self.want)
    }
}

impl std::error::Error for PermissionError {}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    /// `None` for any.
    scheme: Option<String>,
    host: HostRule,
    port: PortRule,
}

impl AllowedHosts {
    /// Reads the entries; `resolve` gives the value of a variable, or says why there is none.
    pub fn parse(
        entries: &[String],
        resolve: impl Fn(&str) -> Result<String, String>,
    ) -> Result<Self, PermissionError> {
        let one = |(index, entry): (usize, &String)| {
            let error = |want: String| PermissionError {
                index,
                entry: entry.clone(),
                want,
            };
            let template =
                Template::parse(entry).map_err(|_| error("}} after each {{".to_owned()))?;
            let text = template.resolve_with(&resolve).map_err(error)?;
            Rule::parse(&text).map_err(|refused| {
                error(if template.is_literal() {
                    refused.to_string()
                } else {
                    // Without the value: a variable in it may be a secret.
                    format!("a template that gives {}", refused.want)
                })
            })
        };
        entries
            .iter()
            .enumerate()
            .map(one)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a URL (or `host:port`, with the given scheme) may be reached.
    pub fn allows_url(&self, url: &str, default_scheme: &str) -> bool {
        Url::parse(url, default_scheme).is_some_and(|url| {
            self.0.iter().any(|rule| {
                rule.allows_scheme(&url.scheme)
                    && rule.host.allows(&url.host)
                    && rule
                        .port
                        .allows(url.port.or_else(|| port_of_scheme(&url.scheme)))
            })
        })
    }

    /// Whether a socket may connect or send to an address (`tcp`, `udp`), or, for
    /// `udp`, bind to one. TCP is never bound, whatever the permissions.
    pub fn allows_socket(&self, scheme: &str, address: SocketAddr) -> bool {
        self.allows_url(&address.to_string(), scheme)
    }

    /// Whether a socket may reach any address at all at a port.
    pub(crate) fn allows_some_address(&self, scheme: &str, port: u16) -> bool {
        self.0.iter().any(|rule| {
            rule.allows_scheme(scheme)
                && rule.port.allows(Some(port))
                && rule.host.allows_some_address()
        })
    }

    /// Whether relative URLs (requests to the application itself) may be asked for.
    pub fn allows_relative(&self, schemes: &[&str]) -> bool {
        self.0.iter().any(|rule| {
            rule.host.allows_relative() && schemes.iter().any(|s| rule.allows_scheme(s))
        })
    }

    /// Whether an entry leaves the host open to requests over HTTP.
    pub(crate) fn allows_any_host_over_http(&self) -> bool {
        self.0.iter().any(|rule| {
            rule.host.allows_any() && ["http", "https"].iter().any(|s| rule.allows_scheme(s))
        })
    }

    /// Whether an entry names another component of the application, which only
    /// components with HTTP triggers may call (and then not from cron).
    pub fn has_service_chaining(&self) -> bool {
        self.0.iter().any(|rule| rule.host.is_service_chaining())
    }

    /// Whether an entry lets requests through to some component, by name or as any host.
    pub fn allows_some_service(&self) -> bool {
        self.0.iter().any(|rule| {
            rule.host.allows_some_service()
                && ["http", "https"].iter().any(|s| rule.allows_scheme(s))
        })
    }

    /// The components that entries name, each as `<component>` of `<component>.spin.internal`.
    pub(crate) fn services(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|rule| match &rule.host {
            HostRule::Host(url::Host::Domain(name)) => name.strip_suffix(SERVICE_CHAINING_SUFFIX),
            _ => None,
        })
    }

    /// With `*.spin.internal` as Spin reads it: one entry for each of these components, and
    /// none for a name that is nobody's.
    pub(crate) fn naming_services(self, ids: &[&str]) -> Self {
        let one = |rule: Rule| match &rule.host {
            HostRule::Suffix(suffix) if suffix == SERVICE_CHAINING_SUFFIX => {
                let named = |id: &&str| Rule {
                    host: HostRule::Host(url::Host::Domain(format!("{id}{suffix}"))),
                    ..rule.clone()
                };
                ids.iter().map(named).collect()
            }
            _ => vec![rule],
        };
        Self(self.0.into_iter().flat_map(one).collect())
    }
}

impl Rule {
    /// `scheme://host[:port]`, or what would be accepted instead.
    fn parse(text: &str) -> Result<Self, Refused> {
        let text = text.trim();
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(Refused::whole(format!("{RULE_WANT}; a scheme is missing")));
        };
        let (host, port) = rest.rsplit_once(':').unwrap_or((rest, ""));
        let port = match port.split_once('/') {
            Some((port, "")) => port,
            Some(_) => return Err(Refused::whole(format!("{RULE_WANT}, without a path"))),
            None => port,
        };
        if scheme != "*" && !scheme.chars().all(char::is_alphabetic) {
            return Err(Refused::part("a scheme of letters, or *", scheme));
        }
        Ok(Self {
            port: PortRule::parse(port, scheme)?,
            host: HostRule::parse(host)?,
            scheme: (scheme != "*").then(|| scheme.to_owned()),
        })
    }

    fn allows_scheme(&self, scheme: &str) -> bool {
        self.scheme.as_deref().is_none_or(|s| s == scheme)
    }
}

const RULE_WANT: &str =
    "scheme://host or scheme://host:port, such as https://hs.example.com or tcp://192.0.2.0/24:443";

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(entries: &[&str]) -> AllowedHosts {
        let entries: Vec<String> = entries.iter().map(|e| (*e).to_owned()).collect();
        AllowedHosts::parse(&entries, |name| Err(format!("a value for {name}"))).unwrap()
    }

    #[test]
    fn an_entry_allows_what_spin_allows() {
        for (entry, url, scheme, want) in [
            ("https://a.example", "https://a.example/x", "https", true),
            ("https://a.example", "https://a.example:443", "https", true),
            (
                "https://a.example",
                "https://a.example:8443",
                "https",
                false,
            ),
            ("https://a.example", "http://a.example", "http", false),
            ("https://a.example", "https://b.a.example", "https", false),
            ("https://A.example/", "https://a.EXAMPLE", "https", true),
            (
                "https://a.example:8443/",
                "https://a.example:8443",
                "https",
                true,
            ),
            // Only a trailing dot differs, and that is another host to Spin.
            ("https://a.example", "https://a.example.", "https", false),
            ("*://a.example:8443", "http://a.example:8443", "http", true),
            ("*://a.example:*", "tcp://a.example:1", "tcp", true),
            ("http://*:80", "http://anything", "http", true),
            ("http://*:80", "http://[::1]", "http", true),
            ("http://*.a.example", "http://b.a.example", "http", true),
            ("http://*.a.example", "http://c.b.a.example", "http", true),
            ("http://*.a.example", "http://a.example", "http", false),
            ("http://*.a.example", "http://ba.example", "http", false),
            ("https://192.0.2.1", "https://192.0.2.1", "https", true),
            ("https://192.0.2.0/24", "https://192.0.2.255", "https", true),
            ("https://192.0.2.0/24", "https://192.0.3.0", "https", false),
            // Bits after the prefix are cut, not refused.
            ("https://192.0.2.7/24", "https://192.0.2.9", "https", true),
            ("https://192.0.2.0/24", "https://a.example", "https", false),
            ("tcp://[::1]:443", "tcp://[::1]:443", "tcp", true),
            ("tcp://::1/128:443", "tcp://[::1]:443", "tcp", true),
            (
                "tcp://2001:db8::/32:443",
                "tcp://[2001:db8::9]:443",
                "tcp",
                true,
            ),
            ("tcp://a.example:10..20", "tcp://a.example:10", "tcp", true),
            ("tcp://a.example:10..20", "tcp://a.example:19", "tcp", true),
            ("tcp://a.example:10..20", "tcp://a.example:20", "tcp", false),
            ("tcp://a.example:10..20", "tcp://a.example:9", "tcp", false),
            ("http://self", "http://self", "http", false),
            ("redis://h", "redis://h:6379", "redis", true),
            ("*://*:*", "a.example:99", "tcp", true),
            ("tcp://a.example:99", "a.example:99", "tcp", true),
            (
                "https://a.example",
                "https://user:pw@a.example",
                "https",
                true,
            ),
            (
                "https://a.example",
                "https://user#x@a.example",
                "https",
                true,
            ),
            ("https://a.example", "not a url", "https", false),
            ("https://a.example", "", "https", false),
        ] {
            assert_eq!(
                allowed(&[entry]).allows_url(url, scheme),
                want,
                "{entry:?} for {url:?}"
            );
        }
    }

    #[test]
    fn a_socket_is_matched_by_its_address() {
        let v4: SocketAddr = "192.0.2.1:443".parse().unwrap();
        let v6: SocketAddr = "[2001:db8::1]:443".parse().unwrap();
        let bind: SocketAddr = "0.0.0.0:0".parse().unwrap();
        for (entry, scheme, address, want) in [
            ("tcp://192.0.2.1:443", "tcp", v4, true),
            ("tcp://192.0.2.1:443", "udp", v4, false),
            ("tcp://192.0.2.1:80", "tcp", v4, false),
            ("*://*:443", "tcp", v4, true),
            ("*://*:443", "tcp", v6, true),
            // The scheme is http: what a socket asks for is tcp.
            ("https://192.0.2.1", "tcp", v4, false),
            ("tcp://[2001:db8::1]:443", "tcp", v6, true),
            ("tcp://2001:db8::/32:443", "tcp", v6, true),
            // A name never matches a socket.
            ("tcp://hs.example.com:443", "tcp", v4, false),
            ("udp://192.0.2.1:443", "udp", bind, false),
            ("udp://0.0.0.0:0", "udp", bind, true),
            ("udp://*:*", "udp", bind, true),
        ] {
            assert_eq!(
                allowed(&[entry]).allows_socket(scheme, address),
                want,
                "{entry:?} for {scheme} {address}"
            );
        }
    }

    #[test]
    fn relative_urls_want_self_or_any_host() {
        for (entry, want) in [
            ("http://self", true),
            ("https://self.alt", true),
            ("*://*:*", true),
            ("http://*:80", true),
            ("tcp://self:80", false),
            ("http://a.example", false),
        ] {
            assert_eq!(
                allowed(&[entry]).allows_relative(&["http", "https"]),
                want,
                "{entry:?}"
            );
        }
        assert!(!AllowedHosts::default().allows_relative(&["http"]));
    }

    #[test]
    fn any_component_is_one_of_the_applications() {
        let hosts = allowed(&["http://*.spin.internal"]).naming_services(&["alert", "status"]);
        for (url, want) in [
            ("http://alert.spin.internal/x", true),
            ("http://status.spin.internal", true),
            ("http://nobody.spin.internal", false),
            ("http://a.alert.spin.internal", false),
            ("https://alert.spin.internal", false),
            ("http://alert.spin.internal:8080", false),
        ] {
            assert_eq!(hosts.allows_url(url, "https"), want, "{url:?}");
        }
        assert!(hosts.has_service_chaining());
        assert_eq!(hosts.services().collect::<Vec<_>>(), ["alert", "status"]);
        for (entry, want) in [
            ("http://alert.spin.internal", true),
            ("http://*.internal", true),
            ("https://*:*", true),
            ("tcp://*:*", false),
            ("http://*.example.com", false),
            ("http://192.0.2.0/24", false),
        ] {
            assert_eq!(allowed(&[entry]).allows_some_service(), want, "{entry:?}");
        }
        // Another domain's suffix stays what it is.
        let others = allowed(&["http://*.internal"]).naming_services(&["alert"]);
        assert!(others.allows_url("http://nobody.spin.internal", "https"));
        assert!(!others.has_service_chaining());
    }

    #[test]
    fn any_host_is_open_to_http_only_by_its_schemes() {
        for (entry, want) in [
            ("https://*:*", true),
            ("http://*", true),
            ("*://*:*", true),
            ("*://*:443", true),
            ("https://0.0.0.0/0", true),
            ("tcp://*:*", false),
            ("udp://*:*", false),
            ("https://hs.example.com", false),
            ("https://*.example.com", false),
            ("https://192.0.2.0/24", false),
        ] {
            assert_eq!(
                allowed(&[entry]).allows_any_host_over_http(),
                want,
                "{entry:?}"
            );
        }
    }

    #[test]
    fn an_entry_that_spin_refuses_is_refused() {
        for entry in [
            "*",
            ":",
            "",
            "a.example",
            "a.example:443",
            "https://",
            "https://:443",
            "tcp://a.example",
            "*://a.example",
            "https://a.example/path",
            "https://a.example:443/path",
            "https://a.example:port",
            "https://a.example:65536",
            "https://a.example:1..x",
            "https://a.example:{80,443}",
            "{http,https}://a.example",
            "https://{a,b}",
            "https://a.*",
            "https://*.*.example",
            "https://a b",
            // Only a network may do without brackets.
            "tcp://::1:443",
            "h2://a.example:1",
            "insecure:allow-all",
        ] {
            assert!(
                AllowedHosts::parse(&[entry.to_owned()], |_| Err(String::new())).is_err(),
                "{entry:?}"
            );
        }
    }

    #[test]
    fn a_template_is_resolved_before_it_is_read() {
        let entries = ["https://{{ host }}:{{ port }}".to_owned()];
        for (host, url, want) in [
            ("a.example", "https://a.example:8443", Some(true)),
            ("a.example", "https://b.example:8443", Some(false)),
            ("::1", "https://[::1]:8443", None),
            ("[::1]", "https://[::1]:8443", Some(true)),
            ("*", "https://b.example:8443", Some(true)),
            ("", "https://a.example:8443", None),
            ("a/b", "https://a.example:8443", None),
        ] {
            let hosts = AllowedHosts::parse(&entries, |name| match name {
                "host" => Ok(host.to_owned()),
                _ => Ok("8443".to_owned()),
            });
            assert_eq!(
                hosts.ok().map(|h| h.allows_url(url, "https")),
                want,
                "{host:?}"
            );
        }
    }

    #[test]
    fn one_unreadable_entry_fails_them_all() {
        let entries = ["https://a.example".to_owned(), "nonsense".to_owned()];
        let error = AllowedHosts::parse(&entries, |_| Err(String::new())).unwrap_err();
        assert_eq!((error.index, error.entry.as_str()), (1, "nonsense"));
    }
}
