//! The host and the port of a permission, and of what is asked for.

use std::ops::Range;

use ip_network::IpNetwork;
use url::Host;

use super::Refused;

/// Names under it are the application's own components.
pub(super) const SERVICE_CHAINING_SUFFIX: &str = ".spin.internal";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostRule {
    Any,
    /// With its leading dot.
    Suffix(String),
    /// The application itself.
    Own,
    Host(Host),
    Network(IpNetwork),
}

impl HostRule {
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let text = text.trim();
        match text {
            "*" => return Ok(Self::Any),
            "self" | "self.alt" => return Ok(Self::Own),
            _ => {}
        }
        if let Ok(network) = IpNetwork::from_str_truncate(text) {
            return Ok(Self::Network(network));
        }
        let text = text.trim_end_matches('/');
        let bad = |want: &str| Err(Refused::part(want, text));
        if text.starts_with('{') {
            return bad("one host (a list of hosts takes one entry each)");
        }
        if text.contains('/') {
            return bad("a host without a path, or a network such as 192.0.2.0/24");
        }
        if let Some(domain) = text.strip_prefix("*.")
            && !domain.contains('*')
        {
            return Ok(Self::Suffix(format!(".{domain}")));
        }
        if text.contains('*') {
            return bad("* alone, or in front as in *.example.com");
        }
        match Host::parse(text) {
            Ok(host) => Ok(Self::Host(host)),
            Err(_) if text.parse::<std::net::Ipv6Addr>().is_ok() => {
                bad("an IPv6 address in brackets")
            }
            Err(_) => bad("a host name, an IP address (IPv6 in brackets), a network, * or self"),
        }
    }

    pub fn allows(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Suffix(suffix), Host::Domain(name)) => name.ends_with(suffix),
            (Self::Host(allowed), host) => allowed == host,
            (Self::Network(network), Host::Ipv4(ip)) => network.contains(*ip),
            (Self::Network(network), Host::Ipv6(ip)) => network.contains(*ip),
            (Self::Suffix(_), _) | (Self::Network(_), Host::Domain(_)) | (Self::Own, _) => false,
        }
    }

    /// Every host, or every address of a family.
    pub fn allows_any(&self) -> bool {
        match self {
            Self::Any => true,
            Self::Network(network) => network.netmask() == 0,
            Self::Suffix(_) | Self::Own | Self::Host(_) => false,
        }
    }

    pub fn allows_some_address(&self) -> bool {
        match self {
            Self::Any | Self::Network(_) => true,
            Self::Host(host) => !matches!(host, Host::Domain(_)),
            Self::Suffix(_) | Self::Own => false,
        }
    }

    pub fn allows_relative(&self) -> bool {
        matches!(self, Self::Any | Self::Own)
    }

    /// Some name under the components' own.
    pub fn allows_some_service(&self) -> bool {
        match self {
            Self::Any => true,
            Self::Suffix(suffix) => SERVICE_CHAINING_SUFFIX.ends_with(suffix),
            _ => self.is_service_chaining(),
        }
    }

    pub fn is_service_chaining(&self) -> bool {
        match self {
            Self::Host(Host::Domain(name)) => name.ends_with(SERVICE_CHAINING_SUFFIX),
            Self::Suffix(suffix) => suffix == SERVICE_CHAINING_SUFFIX,
            _ => false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PortRule {
    Any,
    /// The end is excluded.
    Range(Range<u16>),
    One(u16),
}

impl PortRule {
    pub fn parse(text: &str, scheme: &str) -> Result<Self, Refused> {
        let number = |t: &str| {
            let port = t.parse::<u16>();
            port.map_err(|_| Refused::part(PORT_WANT, text))
        };
        match text {
            "" => port_of_scheme(scheme).map(Self::One).ok_or_else(|| {
                Refused::whole("a port after the host, since the scheme has none of its own")
            }),
            "*" => Ok(Self::Any),
            _ => match text.split_once("..") {
                Some((start, end)) => Ok(Self::Range(number(start)?..number(end)?)),
                None => number(text).map(Self::One),
            },
        }
    }

    pub fn allows(&self, port: Option<u16>) -> bool {
        match (self, port) {
            (Self::Any, _) => true,
            (Self::Range(range), Some(port)) => range.contains(&port),
            (Self::One(one), Some(port)) => *one == port,
            (_, None) => false,
        }
    }
}

const PORT_WANT: &str = "a port, a range such as 8000..9000 (its end excluded), or *";

/// The schemes whose port Spin knows.
pub(super) fn port_of_scheme(scheme: &str) -> Option<u16> {
    Some(match scheme {
        "postgres" => 5432,
        "mysql" => 3306,
        "redis" => 6379,
        "mqtt" => 1883,
        "http" => 80,
        "https" => 443,
        _ => return None,
    })
}

/// What is asked for, as far as permissions look at it.
#[derive(Debug)]
pub(super) struct Url {
    pub scheme: String,
    pub host: Host,
    /// `None` when not given, or when it is the scheme's own.
    pub port: Option<u16>,
}

impl Url {
    /// A URL, or `host:port` under the given scheme.
    pub fn parse(text: &str, default_scheme: &str) -> Option<Self> {
        let text = without_credentials(text);
        let url = url::Url::parse(&text)
            .ok()
            .filter(url::Url::has_host)
            .or_else(|| url::Url::parse(&format!("{default_scheme}://{text}")).ok())?;
        Some(Self {
            scheme: url.scheme().to_owned(),
            // Parsed once more from its text: for schemes that are not the web's the
            // URL keeps an address as a name, and a network would never match it.
            host: Host::parse(url.host_str()?).ok()?,
            port: url.port(),
        })
    }
}

/// Passwords may hold `#` and `?` unescaped, which would end the host early. Spin
/// escapes them; the host is the same when they are left out.
fn without_credentials(text: &str) -> String {
    let start = text.find("://").map_or(0, |at| at + 3);
    let end = text[start..].find('/').map_or(text.len(), |at| at + start);
    match text.find('@') {
        Some(at) if (start..end).contains(&at) => {
            format!("{}{}", &text[..start], &text[at + 1..])
        }
        _ => text.to_owned(),
    }
}
