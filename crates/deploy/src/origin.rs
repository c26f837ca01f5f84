//! Where the application is reached.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// `https://host[:port]`: no path, and of characters that need no quoting anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    text: String,
    clear: bool,
}

impl Origin {
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the token crosses a network unencrypted.
    pub fn is_clear(&self) -> bool {
        self.clear
    }
}

const WANT: &str = "an http:// or https:// address with a host, perhaps a port, and no path, \
                    such as \"https://watchbell.example.com\"";

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A password in it must not come back in a message.
        let url = Url::parse(text).map_err(|error| format!("{error}, want {WANT}"))?;
        let got = if !matches!(url.scheme(), "http" | "https") {
            Some(format!("scheme {:?}", url.scheme()))
        } else if !url.username().is_empty() || url.password().is_some() {
            Some("a user name or a password".to_owned())
        } else if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            Some("a path, a query or a fragment".to_owned())
        } else if !url.host_str().is_some_and(is_plain) {
            Some(format!("host {:?}", url.host_str().unwrap_or_default()))
        } else {
            None
        };
        if let Some(got) = got {
            return Err(format!("got {got}, want {WANT}"));
        }
        let loopback = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        Ok(Self {
            clear: url.scheme() == "http" && !loopback,
            text: url.origin().ascii_serialization(),
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What the standard lets through is more than a name: `$`, quotes, `;` among it.
fn is_plain(host: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:[]".contains(c);
    host.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_a_port() {
        for (text, want) in [
            (
                "https://watchbell.example.com",
                "https://watchbell.example.com",
            ),
            (
                "https://watchbell.example.com/",
                "https://watchbell.example.com",
            ),
            (
                "HTTPS://Watchbell.Example.com:443",
                "https://watchbell.example.com",
            ),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            (
                "http://watchbell.monitoring.svc",
                "http://watchbell.monitoring.svc",
            ),
        ] {
            let origin: Result<Origin, String> = text.parse();
            assert_eq!(origin.unwrap().as_str(), want, "{text:?}");
        }
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_refused_without_its_secret() {
        for (text, want) in [
            ("", "relative URL without a base"),
            ("watchbell.example.com", "relative URL without a base"),
            ("ftp://watchbell.example.com", "scheme \"ftp\""),
            (
                "https://u:hunter2@watchbell.example.com",
                "a user name or a password",
            ),
            (
                "https://watchbell.example.com/x",
                "a path, a query or a fragment",
            ),
            (
                "https://watchbell.example.com/?a",
                "a path, a query or a fragment",
            ),
            (
                "https://watchbell.example.com/#a",
                "a path, a query or a fragment",
            ),
            ("https://a$(id)b", "host \"a$(id)b\""),
            ("https://a'b", "host \"a'b\""),
            ("https://a;b", "host \"a;b\""),
            ("https://", "empty host"),
        ] {
            let origin: Result<Origin, String> = text.parse();
            let error = origin.unwrap_err();
            assert!(error.contains(want), "{text:?}: {error}");
            assert!(
                error.contains("want an http:// or https:// address"),
                "{error}"
            );
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_token_in_clear_is_known() {
        for (text, want) in [
            ("https://watchbell.example.com", false),
            ("http://watchbell.example.com", true),
            ("http://localhost:3000", false),
            ("http://127.0.0.2:3000", false),
            ("http://[::1]:3000", false),
        ] {
            let origin: Origin = text.parse().unwrap();
            assert_eq!(origin.is_clear(), want, "{text:?}");
        }
    }
}
