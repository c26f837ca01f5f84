//! `/metrics`: what is known now, for Prometheus and its kin (docs/metrics.md).
//!
//! What blackbox_exporter measures too bears its names, so that rules and dashboards that were
//! made for it read this as well. Each family is one row of [`FAMILIES`].

mod exposition;

use std::collections::{BTreeMap, BTreeSet};

use watchbell_core::ledger::{Ledger, NODE};
use watchbell_core::monitor::Monitor;
use watchbell_core::outbox::Outbox;
use watchbell_core::outcome::{Kind as Failure, Status as Verdict};
use watchbell_core::settings::Severity;
use watchbell_core::store::LEDGER;

use crate::records::Records;
use crate::view::{self, Check, Incident, Sight, State};
use exposition::{Exposition, Sample};
pub use exposition::{Family, Format, Kind};

/// All that `sight` may see.
pub fn metrics(records: &Records, sight: Sight, format: Format) -> String {
    let look = Look::new(records);
    let mut out = Exposition::new(format);
    let shown = |m: &&Metric| m.sight == Sight::Public || sight == Sight::Full;
    for metric in FAMILIES.iter().filter(shown) {
        out.family(&metric.family, &(metric.read)(&look));
    }
    out.finish()
}

/// A family, who sees it, and where it comes from.
pub struct Metric {
    pub family: Family,
    /// `Public`: everybody. `Full`: who bears the token.
    pub sight: Sight,
    read: fn(&Look<'_>) -> Vec<Sample>,
}

const NONE: &[&str] = &[];
const CHECK: &[&str] = &["check", "service"];
const PHASE: &[&str] = &["check", "service", "phase"];
const SERVICE: &[&str] = &["service"];
const CHANNEL: &[&str] = &["channel"];

/// In the order in which they are shown.
pub const FAMILIES: &[Metric] = &[
    gauge(
        "probe_success",
        CHECK,
        "Whether the last probe found the target well, degraded included",
        |look| look.probes(|m| Some(flag(verdict(m) != Some(Verdict::Failed)))),
    ),
    gauge(
        "probe_duration_seconds",
        CHECK,
        "How long the last probe took, from its beginning to its verdict",
        |look| look.probes(|m| Some(seconds(m.measured.duration_ms))),
    ),
    gauge(
        "probe_dns_lookup_time_seconds",
        CHECK,
        "How long the last probe's DNS lookup took",
        |look| look.probes(|m| m.measured.phases_ms.get("dns").map(|ms| seconds(*ms))),
    )
    .with_the_token(),
    gauge(
        "probe_http_status_code",
        CHECK,
        "The HTTP status of the last probe's answer",
        |look| look.probes(|m| m.measured.http_status.map(f64::from)),
    )
    .with_the_token(),
    gauge(
        "probe_http_duration_seconds",
        PHASE,
        "How long the last probe's first HTTP request took, by step",
        |look| look.phases(|m, phase| http_phase(&m.definition.probe, phase).map(str::to_owned)),
    )
    .with_the_token(),
    gauge(
        "probe_failed_due_to_regex",
        CHECK,
        "Whether the last probe failed because the body or a header was not as expected",
        |look| look.probes(failed_due_to_regex),
    )
    .with_the_token(),
    gauge(
        "probe_ssl_earliest_cert_expiry",
        CHECK,
        "When the first certificate of the chain ends, in Unix seconds",
        |look| {
            let ends = |m: &Monitor| Some(m.measured.certificate.as_ref()?.chain_not_after_unix_s);
            look.probes(|m| ends(m).map(|at| at as f64))
        },
    ),
    info(
        "probe_tls_version_info",
        &["check", "service", "version"],
        "The TLS version that the last probe agreed on",
        |look| {
            look.probes_by(|m| {
                // As blackbox_exporter writes it: `TLS 1.3`.
                let version = m
                    .measured
                    .tls_version
                    .as_ref()
                    .map(|v| v.replace("TLSv", "TLS "));
                version.map(|v| (v, 1.0)).into_iter().collect()
            })
        },
    )
    .with_the_token(),
    gauge(
        "watchbell_probe_phase_duration_seconds",
        PHASE,
        "How long each step of the last probe took",
        |look| look.phases(|_, phase| Some(phase.to_owned())),
    )
    .with_the_token(),
    info(
        "watchbell_check_info",
        &["check", "service", "label", "probe", "severity"],
        "What the check is",
        |look| {
            let of = |c: &Check| {
                let labels =
                    [&c.check, &c.service, &c.label, &c.probe, &c.severity].map(String::as_str);
                sample(labels, 1.0)
            };
            look.readable().map(of).collect()
        },
    ),
    gauge(
        "watchbell_check_state",
        &["check", "service", "state"],
        "1 for the state that the check is in, 0 for every other",
        |look| {
            let of = |c: &Check, state: State| {
                sample(
                    [&c.check, &c.service, state.as_str()],
                    flag(c.state == state),
                )
            };
            let each = |c| State::ALL.map(|state| of(c, state));
            look.checks.iter().flat_map(|(_, c)| each(c)).collect()
        },
    ),
    gauge(
        "watchbell_check_off",
        CHECK,
        "Whether the check is switched off: nothing is asked, and its state is up",
        |look| look.each(|c| Some(flag(c.off))),
    ),
    gauge(
        "watchbell_check_flapping",
        CHECK,
        "Whether the check goes up and down too often to be told each time",
        |look| look.each(|c| Some(flag(c.flapping))),
    ),
    gauge(
        "watchbell_check_consecutive_failures",
        CHECK,
        "Failed probes in a row",
        |look| look.each(|c| Some(c.consecutive_failures.into())),
    ),
    gauge(
        "watchbell_check_failure_threshold",
        CHECK,
        "Failed probes in a row before the check is down",
        |look| look.each(|c| c.last.as_ref().map(|_| c.failure_threshold.into())),
    ),
    counter(
        "watchbell_check_transitions_total",
        CHECK,
        "What the check had to tell: down, up again, flapping, a certificate that ends",
        |look| {
            let of = |(m, c): &(Option<&Monitor>, Check)| {
                Some(sample([&c.check, &c.service], (*m)?.sequence as f64))
            };
            look.checks.iter().filter_map(of).collect()
        },
    ),
    gauge(
        "watchbell_check_last_run_timestamp_seconds",
        CHECK,
        "When the last probe began, in Unix seconds",
        |look| look.each(|c| c.last.as_ref().map(|l| seconds(l.at.0.0))),
    ),
    gauge(
        "watchbell_check_run_age_seconds",
        CHECK,
        "How long ago the last probe began, by Watchbell's own clock",
        |look| {
            let now = look.records.now;
            look.each(|c| c.last.as_ref().map(|l| now.since(l.at.0).as_secs_f64()))
        },
    ),
    gauge(
        "watchbell_check_interval_seconds",
        CHECK,
        "Between two probes of a target that is well, or down",
        |look| look.each(|c| Some(c.interval_s)),
    ),
    gauge(
        "watchbell_incidents_open",
        &["service", "severity"],
        "Open incidents, by the highest severity that they have had",
        |look| {
            let count = |service: &String, severity: &str| {
                let open = look.open.iter();
                let open = open.filter(|i| i.service == *service && i.severity == severity);
                open.count() as f64
            };
            let of = |service: &String| {
                [Severity::Critical, Severity::Warning, Severity::Info].map(|severity| {
                    let severity = severity.as_str();
                    sample([service, severity], count(service, severity))
                })
            };
            // What cannot be read is not zero.
            let known = look.ledger().map(|_| look.services.iter());
            known.into_iter().flatten().flat_map(of).collect()
        },
    ),
    gauge(
        "watchbell_incident_failing_since_timestamp_seconds",
        SERVICE,
        "When the first failure of the service's open incident was, in Unix seconds",
        |look| {
            let open = look.open.iter();
            open.map(|i| sample([&i.service], seconds(i.failing_since.0.0)))
                .collect()
        },
    ),
    counter(
        "watchbell_incidents_total",
        SERVICE,
        "Incidents that are over",
        |look| {
            let over = &look.records.past.count;
            // A service's first incident is a rise from zero, which only a zero before it shows.
            let of = |service: &String| {
                let count = over.get(service).copied().unwrap_or(0);
                sample([service], count as f64)
            };
            look.services.iter().map(of).collect()
        },
    ),
    gauge(
        "watchbell_records_unreadable",
        NONE,
        "Records of checks and of the alert component that are there and cannot be read",
        |look| {
            let kept = look.records.lost.len();
            vec![sample([], (look.records.unreadable.len() + kept) as f64)]
        },
    ),
    info("watchbell_info", &["version"], "What answers here", |_| {
        vec![sample([env!("CARGO_PKG_VERSION")], 1.0)]
    }),
    counter(
        "watchbell_deliveries_total",
        &["channel", "result"],
        "Attempts to deliver a message, by whether the receiver took it",
        |look| {
            look.outbox(|outbox, channel| {
                let known = outbox.channels.get(channel);
                let (delivered, failed) = known.map_or((0, 0), |c| (c.delivered, c.failed));
                vec![
                    sample([channel, "delivered"], delivered as f64),
                    sample([channel, "failed"], failed as f64),
                ]
            })
        },
    )
    .with_the_token(),
    gauge(
        "watchbell_messages_waiting",
        CHANNEL,
        "Messages that the channel has not got yet",
        |look| {
            look.outbox(|outbox, channel| {
                let waiting = outbox.messages.iter().filter(|m| m.waits_for(channel));
                vec![sample([channel], waiting.count() as f64)]
            })
        },
    )
    .with_the_token(),
    counter(
        "watchbell_dead_letters_total",
        CHANNEL,
        "Messages that the channel refused for good, or had no room for",
        |look| {
            look.outbox(|outbox, channel| {
                let dead = outbox.channels.get(channel).map_or(0, |c| c.dead);
                vec![sample([channel], dead as f64)]
            })
        },
    )
    .with_the_token(),
    // Not `watchbell_dead_letters`: in OpenMetrics that is the counter's family.
    gauge(
        "watchbell_dead_letters_kept",
        CHANNEL,
        "Dead letters that can be sent again",
        |look| {
            look.outbox(|outbox, channel| {
                let kept = outbox.dead.iter().filter(|d| d.channel == channel);
                vec![sample([channel], kept.count() as f64)]
            })
        },
    )
    .with_the_token(),
    gauge(
        "watchbell_alert_last_run_timestamp_seconds",
        NONE,
        "When the alert component last ran, noted once a minute, in Unix seconds",
        |look| {
            let awake = look.ledger().and_then(|l| l.awake);
            awake
                .map(|a| sample([], seconds(a.seen.0)))
                .into_iter()
                .collect()
        },
    )
    .with_the_token(),
];

type Read = fn(&Look<'_>) -> Vec<Sample>;
type Labels = &'static [&'static str];

const fn gauge(name: &'static str, labels: Labels, help: &'static str, read: Read) -> Metric {
    metric(name, Kind::Gauge, labels, help, read)
}

const fn counter(name: &'static str, labels: Labels, help: &'static str, read: Read) -> Metric {
    metric(name, Kind::Counter, labels, help, read)
}

const fn info(name: &'static str, labels: Labels, help: &'static str, read: Read) -> Metric {
    metric(name, Kind::Info, labels, help, read)
}

const fn metric(
    name: &'static str,
    kind: Kind,
    labels: Labels,
    help: &'static str,
    read: Read,
) -> Metric {
    Metric {
        family: Family {
            name,
            kind,
            labels,
            help,
        },
        sight: Sight::Public,
        read,
    }
}

impl Metric {
    /// It says what was asked, what was answered, or what becomes of messages.
    const fn with_the_token(mut self) -> Self {
        self.sight = Sight::Full;
        self
    }
}

/// All that the families are read from.
struct Look<'a> {
    records: &'a Records,
    /// As everybody sees them: what this leaves out comes from families with the token alone.
    checks: Vec<(Option<&'a Monitor>, Check)>,
    open: Vec<Incident>,
    /// With checks or incidents, this node among them.
    services: BTreeSet<String>,
}

impl<'a> Look<'a> {
    fn new(records: &'a Records) -> Self {
        let status = view::status(records, Sight::Public);
        // Of a check that cannot be read the service is not known either.
        let readable = |s: &&view::Service| s.checks.iter().any(|c| !c.unreadable);
        let of_checks = status.services.iter().filter(readable);
        let of_checks = of_checks.map(|s| s.service.clone());
        let of_incidents = status.incidents.iter().map(|i| i.service.clone());
        let past = records.past.count.keys().cloned();
        let monitors = records.monitors.iter();
        let by_id: BTreeMap<&str, &Monitor> =
            monitors.map(|m| (m.definition.check.as_str(), m)).collect();
        let services = of_checks
            .chain(of_incidents)
            .chain(past)
            .chain([NODE.to_owned()]);
        let services = services.collect();
        let with_monitor = |c: Check| (by_id.get(c.check.as_str()).copied(), c);
        let checks = status.services.into_iter().flat_map(|s| s.checks);
        Self {
            records,
            services,
            checks: checks.map(with_monitor).collect(),
            open: status.incidents,
        }
    }

    fn ledger(&self) -> Option<&'a Ledger> {
        (!self.records.loses(LEDGER)).then_some(&self.records.ledger)
    }

    /// Of an unreadable one nothing but its state is known, and that is unknown.
    fn readable(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().map(|(_, c)| c).filter(|c| !c.unreadable)
    }

    /// A sample a check, where there is one.
    fn each(&self, value: impl Fn(&Check) -> Option<f64>) -> Vec<Sample> {
        let of = |c: &Check| Some(sample([&c.check, &c.service], value(c)?));
        self.readable().filter_map(of).collect()
    }

    /// As [`Look::each`], of checks whose last probe tells how the target is now. One
    /// that is unknown or switched off has none: a check that stopped while all was well would
    /// go on saying `probe_success 1`, and a rule on it would never fire. Left out, the series
    /// ends, as it does where blackbox_exporter is not asked any more.
    fn probes(&self, value: impl Fn(&Monitor) -> Option<f64>) -> Vec<Sample> {
        let of = |(m, c): (&Monitor, &Check)| Some(sample([&c.check, &c.service], value(m)?));
        self.probed().filter_map(of).collect()
    }

    /// As [`Look::probes`], with the values of one label more.
    fn probes_by(&self, values: impl Fn(&Monitor) -> Vec<(String, f64)>) -> Vec<Sample> {
        let of = |(m, c): (&Monitor, &Check)| {
            let values = values(m).into_iter();
            let samples = values.map(|(label, v)| sample([&c.check, &c.service, &label], v));
            samples.collect::<Vec<_>>()
        };
        self.probed().flat_map(of).collect()
    }

    fn probed(&self) -> impl Iterator<Item = (&Monitor, &Check)> {
        let tells = self
            .checks
            .iter()
            .filter(|(_, c)| c.state != State::Unknown && !c.off);
        tells.filter_map(|(m, c)| Some(((*m)?, c)))
    }

    /// A sample a step, under the name that it is given; none of a step that is given none.
    fn phases(&self, name: impl Fn(&Monitor, &str) -> Option<String>) -> Vec<Sample> {
        self.probes_by(|m| {
            let named = |(phase, ms): (&String, &u64)| Some((name(m, phase)?, seconds(*ms)));
            m.measured.phases_ms.iter().filter_map(named).collect()
        })
    }

    /// Of every channel that a message was or is for.
    fn outbox(&self, samples: impl Fn(&Outbox, &str) -> Vec<Sample>) -> Vec<Sample> {
        let Some(ledger) = self.ledger() else {
            return Vec::new();
        };
        let outbox = &ledger.outbox;
        let channels = outbox.names().into_iter();
        channels.flat_map(|c| samples(outbox, c)).collect()
    }
}

/// blackbox_exporter's word for a step of a probe's first request, of those that speak HTTP;
/// nothing for a step that comes after it. The host of an HTTP check does not tell its steps
/// apart: the whole of it, redirects included, is one that blackbox_exporter does not have.
fn http_phase(probe: &str, phase: &str) -> Option<&'static str> {
    Some(match (probe, phase) {
        ("http", "http_duration") => "exchange",
        ("control" | "derp", "dns") => "resolve",
        ("control" | "derp", "connect") => "connect",
        ("control" | "derp", "tls") => "tls",
        ("control", "key") | ("derp", "probe") => "processing",
        _ => return None,
    })
}

/// Only an HTTP check has such expectations; `kind` does not tell a keyword, a regex, a JSON
/// assertion and a header apart.
fn failed_due_to_regex(monitor: &Monitor) -> Option<f64> {
    let last = monitor
        .last
        .as_ref()
        .filter(|_| monitor.definition.probe == "http")?;
    let failed = last.status == Verdict::Failed && last.kind == Some(Failure::Body);
    Some(flag(failed))
}

fn verdict(monitor: &Monitor) -> Option<Verdict> {
    monitor.last.as_ref().map(|l| l.status)
}

fn sample<const N: usize>(labels: [&str; N], value: f64) -> Sample {
    Sample {
        labels: labels.map(str::to_owned).to_vec(),
        value,
    }
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}
