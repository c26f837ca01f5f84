//! Which of our components a stanza runs, told by its wasm file's name.

use std::path::Path;

use serde::Serialize;
use watchbell_core::channel;
use watchbell_core::settings::{
    AlertSettings, CertificateSettings, ControlSettings, DerpSettings, HttpSettings, Mistake,
    StatusSettings, StunSettings, TcpSettings,
};

use crate::manifest::ComponentEntry;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    HttpCheck,
    TcpCheck,
    CertificateCheck,
    ControlCheck,
    DerpCheck,
    StunCheck,
    Alert,
    Status,
}

impl Kind {
    pub const ALL: [Kind; 8] = [
        Kind::HttpCheck,
        Kind::TcpCheck,
        Kind::CertificateCheck,
        Kind::ControlCheck,
        Kind::DerpCheck,
        Kind::StunCheck,
        Kind::Alert,
        Kind::Status,
    ];

    /// `None` for a component that is not ours, of which only Spin's rules are asked.
    pub(crate) fn of(component: &ComponentEntry) -> Option<Self> {
        Self::of_source(&component.source.as_ref()?.0)
    }

    /// By a wasm file's path.
    pub fn of_source(source: &str) -> Option<Self> {
        let stem = Path::new(source).file_stem()?.to_str()?.replace('-', "_");
        Self::ALL.into_iter().find(|k| k.stem() == stem)
    }

    /// The wasm file's name, as cargo writes it.
    pub fn stem(self) -> &'static str {
        match self {
            Kind::HttpCheck => "http_check",
            Kind::TcpCheck => "tcp_check",
            Kind::CertificateCheck => "certificate_check",
            Kind::ControlCheck => "control_check",
            Kind::DerpCheck => "derp_check",
            Kind::StunCheck => "stun_check",
            Kind::Alert => "alert",
            Kind::Status => "status",
        }
    }

    /// Speaks TLS itself, and reads private roots from its own variable.
    pub fn speaks_tls(self) -> bool {
        matches!(
            self,
            Kind::CertificateCheck | Kind::ControlCheck | Kind::DerpCheck
        )
    }

    /// Opens TCP or UDP sockets of its own.
    pub fn opens_sockets(self) -> bool {
        self.is_check() && self != Kind::HttpCheck
    }

    pub fn is_check(self) -> bool {
        !matches!(self, Kind::Alert | Kind::Status)
    }

    /// The variables that its stanza may carry.
    pub(crate) fn variables(self) -> Vec<String> {
        let own = match self {
            Kind::HttpCheck => [COMMON, SHELL, HTTP].concat(),
            Kind::TcpCheck => [COMMON, SHELL, TARGET, TCP].concat(),
            Kind::CertificateCheck => [COMMON, SHELL, TARGET, TLS, CERTIFICATE].concat(),
            Kind::ControlCheck => [COMMON, SHELL, TARGET, TLS, CONTROL].concat(),
            Kind::DerpCheck => [COMMON, SHELL, TARGET, TLS, OPTIONAL].concat(),
            Kind::StunCheck => [COMMON, SHELL, TARGET, OPTIONAL].concat(),
            Kind::Alert => [ALERT, ALERT_SHELL, LOOKING, channel::VARIABLES].concat(),
            Kind::Status => [STATUS, LOOKING].concat(),
        };
        let mut all: Vec<String> = own.into_iter().map(str::to_owned).collect();
        if self == Kind::Alert {
            for channel in channel::names() {
                all.extend(channel::FILTERS.iter().map(|f| format!("{channel}_{f}")));
            }
        }
        all
    }

    /// What the component itself would say of its variables.
    pub(crate) fn mistakes(self, get: &dyn Fn(&str) -> Option<String>) -> Vec<Mistake> {
        match self {
            Kind::HttpCheck => HttpSettings::read(get).err(),
            Kind::TcpCheck => TcpSettings::read(get).err(),
            Kind::CertificateCheck => CertificateSettings::read(get).err(),
            Kind::ControlCheck => ControlSettings::read(get).err(),
            Kind::DerpCheck => DerpSettings::read(get).err(),
            Kind::StunCheck => StunSettings::read(get).err(),
            Kind::Alert => Some(AlertSettings::read(get).mistakes),
            Kind::Status => StatusSettings::read(get).err(),
        }
        .unwrap_or_default()
    }
}

/// Read by the guest shell, for every check: whom to ring and with what, who may run it
/// over HTTP.
const SHELL: &[&str] = &["alert_url", "check_token", "ring_token", "schedule_key"];

/// Read by the alert component's shell: who may say what an operator says, who may ring.
const ALERT_SHELL: &[&str] = &["operator_token", "ring_token", "schedule_key"];

/// Read by the shell of what looks at every check: which there are.
const LOOKING: &[&str] = &["checks"];

const COMMON: &[&str] = &[
    "check",
    "label",
    "service",
    "severity",
    "role",
    "flapping",
    "runbook",
    "runbook_url",
    "interval",
    "retry_interval",
    "firing_interval",
    "timeout",
    "failure_threshold",
    "success_threshold",
    "not_offered",
];

const HTTP: &[&str] = &[
    "url",
    "method",
    "headers",
    "body",
    "expect_status",
    "expect_keyword",
    "reject_keyword",
    "expect_regex",
    "expect_json",
    "expect_header",
    "degraded_above",
    "redirects_max",
    "body_bytes_max",
    "remember",
    "remember_pinned",
    "remember_reject",
    "remember_hint",
    "presence",
    "absent_status",
    "hint",
];

/// Where a socket is opened to.
const TARGET: &[&str] = &["host", "port", "dns_resolver", "family"];

const TCP: &[&str] = &["send", "expect"];

/// Where TLS is spoken over it.
const TLS: &[&str] = &["scheme", "server_name", "ca_certificates"];

const CERTIFICATE: &[&str] = &["expiry_thresholds"];

const CONTROL: &[&str] = &["capability_version", "public_key", "public_key_hint"];

/// What may be absent.
const OPTIONAL: &[&str] = &["presence", "hint"];

const STATUS: &[&str] = &["title", "status_token", "public", "sweep_interval"];

const ALERT: &[&str] = &[
    "settling_time",
    "sweep_interval",
    "reminder_interval",
    "reminders_max",
    "startup_message",
    "maintenance",
    "webhook_timeout",
    "webhook_retry_interval",
];

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use super::*;

    /// The core's readers say which variables there are; the lists above follow them.
    #[test]
    fn the_known_variables_are_those_that_the_component_reads() {
        for kind in Kind::ALL {
            let asked = RefCell::new(BTreeSet::new());
            let get = |key: &str| {
                asked.borrow_mut().insert(key.to_owned());
                None
            };
            kind.mistakes(&get);
            let mut known: BTreeSet<String> = kind.variables().into_iter().collect();
            let shell = match kind {
                Kind::Status => LOOKING.to_vec(),
                Kind::Alert => [ALERT_SHELL, LOOKING].concat(),
                _ => SHELL.to_vec(),
            };
            for name in shell {
                known.remove(name);
            }
            assert_eq!(known, *asked.borrow(), "{kind:?}");
        }
    }
}
