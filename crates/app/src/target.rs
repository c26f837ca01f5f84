//! Where an application may run, and what each place gives and refuses.
//!
//! Measured, or taken from the platforms' own documentation (November 2026). A place that
//! promises nothing gives nothing here: what is not documented may go without notice.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A place to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// `spin up` with the cron plugin, on a machine of one's own; the embedded runtime too.
    Spin,
    /// Kubernetes with the Spin operator: containerd-shim-spin has no cron trigger.
    Spinkube,
    FermyonCloud,
    /// Akamai Functions, once Fermyon Wasm Functions.
    Akamai,
}

/// What a target allows. `None` is no limit that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `[[trigger.cron]]`. Without it something outside calls the HTTP entries.
    pub cron: bool,
    /// Templates in `allowed_outbound_hosts`.
    pub permission_templates: bool,
    /// Hosts `<component>.spin.internal`, for what an HTTP trigger runs.
    pub service_chaining: bool,
    /// TCP and UDP.
    pub sockets: bool,
    /// A runtime config, and with it other stores than `default`, providers of variables and
    /// client TLS.
    pub runtime_config: bool,
    /// Key-value beyond get and set: delete, exists, get-keys.
    pub lists_keys: bool,
    /// Two triggers with one route; elsewhere the later one wins.
    pub duplicate_routes: bool,
    pub key_bytes_max: Option<usize>,
    pub value_bytes_max: Option<usize>,
    pub keys_max: Option<usize>,
    /// Of the whole application.
    pub writes_per_second_max: Option<u32>,
    /// Of the whole application.
    pub outbound_requests_per_hour_max: Option<u32>,
    /// What runs longer is cut.
    pub request_max: Option<Duration>,
    /// Of one instance.
    pub memory_bytes_max: Option<u64>,
    /// Whether what calls at set times there can send the token in a header.
    pub scheduler_sends_headers: bool,
    /// How often its scheduler, or the one that is usual there, can call at most.
    pub schedule_min: Duration,
}

impl Target {
    pub const ALL: [Self; 4] = [Self::Spin, Self::Spinkube, Self::FermyonCloud, Self::Akamai];

    /// As the command line has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spin => "spin",
            Self::Spinkube => "spinkube",
            Self::FermyonCloud => "fermyon-cloud",
            Self::Akamai => "akamai",
        }
    }

    /// As a sentence has it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Spin => "Spin",
            Self::Spinkube => "SpinKube",
            Self::FermyonCloud => "Fermyon Cloud",
            Self::Akamai => "Akamai Functions",
        }
    }

    pub fn limits(self) -> Limits {
        let own_machine = Limits {
            cron: true,
            permission_templates: true,
            service_chaining: true,
            sockets: true,
            runtime_config: true,
            lists_keys: true,
            duplicate_routes: true,
            key_bytes_max: None,
            value_bytes_max: None,
            keys_max: None,
            writes_per_second_max: None,
            outbound_requests_per_hour_max: None,
            request_max: None,
            memory_bytes_max: None,
            scheduler_sends_headers: true,
            schedule_min: Duration::from_secs(1),
        };
        // A cron expression of five fields: minutes are its finest.
        let minutes = Limits {
            cron: false,
            schedule_min: Duration::from_secs(60),
            ..own_machine
        };
        match self {
            Self::Spin => own_machine,
            Self::Spinkube => minutes,
            Self::FermyonCloud => Limits {
                permission_templates: false,
                service_chaining: false,
                sockets: false,
                runtime_config: false,
                lists_keys: false,
                duplicate_routes: false,
                key_bytes_max: Some(255),
                value_bytes_max: Some(1_000_000),
                keys_max: Some(1_024),
                outbound_requests_per_hour_max: Some(500),
                request_max: Some(Duration::from_secs(30)),
                ..minutes
            },
            Self::Akamai => Limits {
                sockets: false,
                runtime_config: false,
                value_bytes_max: Some(1_000_000),
                writes_per_second_max: Some(50),
                request_max: Some(Duration::from_secs(30)),
                memory_bytes_max: Some(128 << 20),
                scheduler_sends_headers: false,
                ..minutes
            },
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|t| t.name() == text);
        known.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.into_iter().map(Self::name).collect();
            format!("want one of: {}", names.join(", "))
        })
    }
}
