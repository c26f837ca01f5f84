//! `/metrics`, and all that is written about it: both formats, both sights, rules, dashboard.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use support::*;
use watchbell_core::monitor::Health;
use watchbell_status::metrics::{FAMILIES, Format, Kind, metrics};
use watchbell_status::view::{self, Sight};

const SIGHTS: [(Sight, &str); 2] = [(Sight::Public, "public"), (Sight::Full, "full")];

/// The samples as `name{labels}` with their values.
fn samples(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|l| !l.starts_with('#'));
    let pairs = lines.map(|l| l.rsplit_once(' ').unwrap());
    pairs
        .map(|(series, value)| (series.to_owned(), value.to_owned()))
        .collect()
}

fn full() -> BTreeMap<String, String> {
    samples(&metrics(&records(), Sight::Full, Format::Prometheus))
}

fn name(series: &str) -> &str {
    series.split('{').next().unwrap()
}

#[test]
fn every_text_is_what_it_was() {
    for (sight, name) in SIGHTS {
        for (format, ending) in [
            (Format::Prometheus, "txt"),
            (Format::OpenMetrics, "openmetrics"),
        ] {
            let text = metrics(&records(), sight, format);
            golden(&format!("metrics/{name}.{ending}"), &text);
        }
    }
}

#[test]
fn a_value_is_what_the_records_hold() {
    let got = full();
    let of = |check: &str| format!("check=\"{check}\",service=\"headscale\"");
    for (series, want) in [
        (format!("probe_success{{{}}}", of("health")), "1"),
        (format!("probe_success{{{}}}", of("relay")), "1"),
        (format!("probe_success{{{}}}", of("control")), "0"),
        (
            format!("probe_duration_seconds{{{}}}", of("health")),
            "0.041",
        ),
        (format!("probe_http_status_code{{{}}}", of("health")), "200"),
        (
            format!("probe_dns_lookup_time_seconds{{{}}}", of("certificate")),
            "0.004",
        ),
        (
            format!(
                "probe_http_duration_seconds{{{},phase=\"exchange\"}}",
                of("health")
            ),
            "0.038",
        ),
        (
            format!(
                "probe_http_duration_seconds{{{},phase=\"processing\"}}",
                of("control")
            ),
            "0.009",
        ),
        (
            format!("probe_failed_due_to_regex{{{}}}", of("health")),
            "0",
        ),
        // The chain's, nine days from now, and not the leaf's.
        (
            format!("probe_ssl_earliest_cert_expiry{{{}}}", of("certificate")),
            "1795777600",
        ),
        (
            format!(
                "probe_tls_version_info{{{},version=\"TLS 1.3\"}}",
                of("certificate")
            ),
            "1",
        ),
        (
            format!(
                "watchbell_probe_phase_duration_seconds{{{},phase=\"upgrade\"}}",
                of("control")
            ),
            "0.027",
        ),
        (
            format!("watchbell_check_consecutive_failures{{{}}}", of("control")),
            "32",
        ),
        (
            format!("watchbell_check_failure_threshold{{{}}}", of("control")),
            "2",
        ),
        (
            format!("watchbell_check_transitions_total{{{}}}", of("health")),
            "4",
        ),
        (
            format!(
                "watchbell_check_last_run_timestamp_seconds{{{}}}",
                of("health")
            ),
            "1794999988",
        ),
        (
            format!("watchbell_check_run_age_seconds{{{}}}", of("silent")),
            "3600",
        ),
        (
            format!("watchbell_check_interval_seconds{{{}}}", of("health")),
            "60",
        ),
        (format!("watchbell_check_flapping{{{}}}", of("relay")), "1"),
        (format!("watchbell_check_off{{{}}}", of("stun")), "1"),
        (
            "watchbell_incidents_open{service=\"headscale\",severity=\"critical\"}".into(),
            "1",
        ),
        (
            "watchbell_incidents_open{service=\"headscale\",severity=\"warning\"}".into(),
            "0",
        ),
        (
            "watchbell_incidents_open{service=\"watchbell\",severity=\"critical\"}".into(),
            "0",
        ),
        (
            "watchbell_incident_failing_since_timestamp_seconds{service=\"headscale\"}".into(),
            "1794999388",
        ),
        (
            "watchbell_incidents_total{service=\"headscale\"}".into(),
            "3",
        ),
        (
            "watchbell_incidents_total{service=\"watchbell\"}".into(),
            "0",
        ),
        ("watchbell_records_unreadable".into(), "1"),
        (
            "watchbell_deliveries_total{channel=\"slack\",result=\"delivered\"}".into(),
            "3",
        ),
        (
            "watchbell_deliveries_total{channel=\"slack\",result=\"failed\"}".into(),
            "2",
        ),
        ("watchbell_messages_waiting{channel=\"ntfy\"}".into(), "1"),
        ("watchbell_messages_waiting{channel=\"slack\"}".into(), "0"),
        (
            "watchbell_dead_letters_total{channel=\"slack\"}".into(),
            "1",
        ),
        ("watchbell_dead_letters_kept{channel=\"slack\"}".into(), "1"),
        (
            "watchbell_alert_last_run_timestamp_seconds".into(),
            "1794999975",
        ),
    ] {
        assert_eq!(got.get(&series).map(String::as_str), Some(want), "{series}");
    }
}

#[test]
fn a_check_is_in_one_state() {
    let mut by_check: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (series, value) in full()
        .iter()
        .filter(|(s, _)| name(s) == "watchbell_check_state")
    {
        let (check, state) = series.split_once(",service=").unwrap();
        let states = by_check.entry(check.to_owned()).or_default();
        if value == "1" {
            let (_, state) = state.rsplit_once("state=\"").unwrap();
            states.push(state.trim_end_matches("\"}").to_owned());
        }
    }
    let want = [
        ("certificate", "up"),
        ("control", "down"),
        ("health", "up"),
        ("lost", "unknown"),
        ("new", "unknown"),
        ("relay", "degraded"),
        ("silent", "unknown"),
        ("stun", "up"),
        ("words", "pending"),
    ];
    let want = want.map(|(check, state)| {
        (
            format!("watchbell_check_state{{check=\"{check}\""),
            vec![state.to_owned()],
        )
    });
    assert_eq!(by_check, want.into());
}

/// A check that stopped while all was well would go on saying that it is.
#[test]
fn of_a_check_that_does_not_run_no_old_outcome_is_shown() {
    let shown = |text: &BTreeMap<String, String>, check: &str| -> BTreeSet<String> {
        let label = format!("check=\"{check}\"");
        let of = text.keys().filter(|s| s.contains(&label));
        of.map(|s| name(s).to_owned())
            .filter(|n| n.contains("probe_"))
            .collect()
    };
    for check in ["silent", "new", "stun", "lost"] {
        assert_eq!(shown(&full(), check), BTreeSet::new(), "{check}");
    }
    // On the boundary: three intervals and a minute.
    for (seconds, there) in [(239, true), (240, true), (241, false)] {
        let mut records = records();
        records.monitors = vec![probed(monitor("edge", "http"), seconds, Health::Up)];
        let text = samples(&metrics(&records, Sight::Full, Format::Prometheus));
        assert_eq!(!shown(&text, "edge").is_empty(), there, "{seconds} s");
    }
}

#[test]
fn what_cannot_be_read_is_not_zero() {
    let mut records = records();
    records.lost = vec![watchbell_core::store::LEDGER.to_owned()];
    let got = samples(&metrics(&records, Sight::Full, Format::Prometheus));
    assert_eq!(got["watchbell_records_unreadable"], "2");
    for gone in [
        "watchbell_incidents_open",
        "watchbell_messages_waiting",
        "watchbell_alert",
    ] {
        let there: Vec<&String> = got.keys().filter(|s| s.starts_with(gone)).collect();
        assert_eq!(there, Vec::<&String>::new(), "{gone}");
    }
}

#[test]
fn without_the_token_nothing_is_shown_but_states() {
    let public = metrics(&records(), Sight::Public, Format::OpenMetrics);
    let full = metrics(&records(), Sight::Full, Format::OpenMetrics);
    for secret in [
        SECRET,
        "slack",
        "ntfy",
        "phase=",
        "TLS 1.3",
        "probe_http",
        "regex",
        "upgrade",
    ] {
        assert!(!public.contains(secret), "{secret} in {public}");
    }
    assert!(
        !full.contains(SECRET),
        "a target, a detail or an error in {full}"
    );
    let names = |text: &str| -> BTreeSet<String> {
        samples(text).keys().map(|s| name(s).to_owned()).collect()
    };
    let of = |sights: &[Sight]| -> BTreeSet<String> {
        let metrics = FAMILIES.iter().filter(|m| sights.contains(&m.sight));
        metrics.map(|m| m.family.name.to_owned()).collect()
    };
    assert_eq!(names(&public), of(&[Sight::Public]));
    assert_eq!(
        names(&full),
        of(&[Sight::Public, Sight::Full]),
        "the fixture has all families"
    );
}

#[test]
fn both_formats_say_the_same() {
    for (sight, name) in SIGHTS {
        let plain = metrics(&records(), sight, Format::Prometheus);
        let open = metrics(&records(), sight, Format::OpenMetrics);
        assert_eq!(samples(&plain), samples(&open), "{name}");
        assert!(open.ends_with("\n# EOF\n") && open.matches("# EOF").count() == 1);
        assert!(!plain.contains("# EOF") && !plain.contains("# UNIT"));
    }
}

/// OpenMetrics: two families never share a name, and a unit stands in the name.
#[test]
fn a_family_is_named_as_both_formats_want() {
    let mut bases = BTreeSet::new();
    for metric in FAMILIES {
        let family = &metric.family;
        assert!(bases.insert(family.base()), "{} twice", family.base());
        let ending = [("_total", Kind::Counter), ("_info", Kind::Info)];
        for (ending, kind) in ending {
            assert_eq!(
                family.name.ends_with(ending),
                family.kind == kind,
                "{}",
                family.name
            );
        }
        for ending in ["_count", "_sum", "_bucket", "_created", "_ms"] {
            assert!(!family.name.ends_with(ending), "{}", family.name);
        }
        assert!(
            !family.help.is_empty() && !family.help.ends_with('.'),
            "{}",
            family.name
        );
        let labels: BTreeSet<_> = family.labels.iter().collect();
        assert_eq!(labels.len(), family.labels.len(), "{}", family.name);
    }
}

#[test]
fn the_format_is_the_one_that_is_asked_for() {
    let prometheus_2 = "application/openmetrics-text;version=1.0.0,\
        application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
        application/openmetrics-text;version=0.0.1;q=0.5,\
        text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    for (accept, want) in [
        (prometheus_2, Format::OpenMetrics),
        (prometheus_3, Format::OpenMetrics),
        ("application/openmetrics-text", Format::OpenMetrics),
        (
            "Application/OpenMetrics-Text; Version=\"1.0.0\"; q=0.3",
            Format::OpenMetrics,
        ),
        (
            "application/openmetrics-text, text/plain",
            Format::OpenMetrics,
        ),
        (
            "application/openmetrics-text;q=0.5, */*;q=0.5",
            Format::OpenMetrics,
        ),
        ("", Format::Prometheus),
        ("*/*", Format::Prometheus),
        (
            "text/html,application/xhtml+xml,*/*;q=0.8",
            Format::Prometheus,
        ),
        (
            "application/openmetrics-text;version=0.0.1",
            Format::Prometheus,
        ),
        ("application/openmetrics-text;q=0", Format::Prometheus),
        ("application/openmetrics-text;q=x", Format::Prometheus),
        (
            "application/openmetrics-text;q=0.4, text/plain;q=0.5",
            Format::Prometheus,
        ),
        // The more specific range counts, whatever stands first.
        (
            "*/*;q=0.9, application/openmetrics-text;q=0.5, text/plain;q=0.1",
            Format::OpenMetrics,
        ),
        (
            "text/plain;q=0.1, application/openmetrics-text;q=0.5, */*;q=0.9",
            Format::OpenMetrics,
        ),
        (
            "text/*;q=0.6, application/openmetrics-text;q=0.5, */*;q=0.1",
            Format::Prometheus,
        ),
    ] {
        assert_eq!(Format::negotiated(accept), want, "{accept}");
    }
}

fn docs() -> std::path::PathBuf {
    Path::new("../../docs").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(docs().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Name, kind, unit, labels and who sees it; the order too.
#[test]
fn the_documentation_names_what_there_is() {
    let page = read("metrics.md");
    let rows = page
        .lines()
        .filter(|l| l.starts_with("| `probe_") || l.starts_with("| `watchbell_"));
    let cells = rows.map(|l| {
        let cells = l.trim_matches('|').split('|').map(|c| c.trim().to_owned());
        cells.take(5).collect::<Vec<_>>()
    });
    let want = FAMILIES.iter().map(|m| {
        let family = &m.family;
        let kind = format!("{:?}", family.kind).to_lowercase();
        let labels: Vec<String> = family.labels.iter().map(|l| format!("`{l}`")).collect();
        // The one whose name does not say it.
        let unit = match family.name {
            "probe_ssl_earliest_cert_expiry" => "seconds",
            _ => family.unit().unwrap_or(""),
        };
        let seen = match m.sight {
            Sight::Public => "all",
            Sight::Full => "token",
        };
        vec![
            format!("`{}`", family.name),
            kind,
            unit.to_owned(),
            labels.join(", "),
            seen.to_owned(),
        ]
    });
    assert_eq!(cells.collect::<Vec<_>>(), want.collect::<Vec<_>>());
}

/// Of a PromQL expression the metrics that it names, and the labels that it groups by.
fn named(expr: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    const GROUPS: [&str; 6] = [
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "group_right",
    ];
    const WORDS: [&str; 5] = ["and", "or", "unless", "offset", "bool"];
    let (mut metrics, mut labels) = (BTreeSet::new(), BTreeSet::new());
    // An aggregation: `sum by (…) (…)`.
    let grouped = |more: &str| {
        let next = more.trim_start();
        next.starts_with("by ") || next.starts_with("without ")
    };
    let mut rest = expr;
    while let Some(c) = rest.chars().next() {
        let word: usize = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':')
            .unwrap_or(rest.len());
        match c {
            '{' | '[' => {
                let end = if c == '{' { '}' } else { ']' };
                let inside = &rest[1..rest.find(end).unwrap()];
                if c == '{' {
                    let names = inside.split(',').filter_map(|m| m.split(['=', '!']).next());
                    labels.extend(names.map(|n| n.trim().to_owned()));
                }
                rest = &rest[inside.len() + 2..];
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let (found, more) = rest.split_at(word);
                rest = more;
                let called = more.trim_start().strip_prefix('(');
                if GROUPS.contains(&found) {
                    let Some(list) = called else { continue };
                    let (list, more) = list.split_once(')').unwrap();
                    let list = list.split(',').map(|l| l.trim().to_owned());
                    labels.extend(list.filter(|l| !l.is_empty()));
                    rest = more;
                } else if called.is_none() && !grouped(more) && !WORDS.contains(&found) {
                    metrics.insert(found.to_owned());
                }
            }
            _ => rest = &rest[word.max(c.len_utf8())..],
        }
    }
    labels.remove("");
    (metrics, labels)
}

#[test]
fn names_are_found_in_an_expression() {
    let expr = "sum by (service, x) (rate(a_total{y=\"b_total\",z!~\"c\"}[5m])) * on (i) group_left (s) \
                d_info offset 1h > 0 unless (e - time()) < 14 * 86400 or absent(f{})";
    let set = |words: &str| words.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(
        named(expr),
        (set("a_total d_info e f"), set("i s service x y z"))
    );
}

fn assert_exists(expr: &str, place: &str) {
    let (metrics, labels) = named(expr);
    // What Prometheus adds, and the one that it makes of every scrape.
    let mut known_labels: BTreeSet<&str> = ["instance", "job"].into();
    known_labels.extend(FAMILIES.iter().flat_map(|m| m.family.labels));
    let known = |n: &str| n == "up" || FAMILIES.iter().any(|m| m.family.name == n);
    for metric in metrics {
        assert!(known(&metric), "{place}: {metric} does not exist: {expr}");
    }
    for label in labels {
        assert!(
            known_labels.contains(label.as_str()),
            "{place}: no label {label}: {expr}"
        );
    }
}

#[test]
fn the_rules_name_what_there_is() {
    let rules = read("prometheus/rules.yml");
    let exprs: Vec<&str> = rules
        .lines()
        .filter_map(|l| l.trim().strip_prefix("expr: "))
        .collect();
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|l| l.trim().strip_prefix("- alert: "))
        .collect();
    assert!(!alerts.is_empty());
    assert_eq!(exprs.len(), alerts.len(), "an expression is one line");
    for (expr, alert) in exprs.iter().zip(&alerts) {
        assert_exists(expr, alert);
    }
    let tests = read("prometheus/rules_test.yml");
    for alert in alerts {
        // Fires in one test, and is silent in another.
        let label = format!("alertname: {alert}\n");
        let cases: Vec<&str> = tests.split(&label).skip(1).collect();
        let fires = |c: &&&str| {
            !c.lines()
                .next()
                .unwrap_or_default()
                .contains("exp_alerts: []")
        };
        assert!(
            cases.iter().any(|c| fires(&c)),
            "{alert} never fires in a test"
        );
        assert!(
            !cases.iter().all(|c| fires(&c)),
            "{alert} is never silent in a test"
        );
    }
}

#[test]
fn the_dashboard_names_what_there_is() {
    let text = read("grafana/watchbell.json");
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut exprs = Vec::new();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "{title}: an id twice"
        );
        for target in panel["targets"].as_array().into_iter().flatten() {
            exprs.push((title, target["expr"].as_str().unwrap().to_owned()));
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<&str> = variables
        .iter()
        .map(|v| v["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["datasource", "service"]);
    let query = variables[1]["definition"].as_str().unwrap();
    let inside = query
        .strip_prefix("label_values(")
        .unwrap()
        .strip_suffix(", service)")
        .unwrap();
    assert_exists(inside, "variable service");
    assert!(exprs.len() >= 8);
    for (title, expr) in exprs {
        // A variable of Grafana's own stands for a time or a label's value.
        assert_exists(
            &expr
                .replace("$__rate_interval", "5m")
                .replace("$__range", "1d"),
            title,
        );
    }
}

/// Not installed is no failure, unless `WATCHBELL_REQUIRE=1` says that it must be.
fn promtool(args: &[&str], stdin: &str) {
    let spawned = Command::new("promtool")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(why) if std::env::var("WATCHBELL_REQUIRE").as_deref() == Ok("1") => {
            panic!("promtool: {why}")
        }
        Err(_) => return println!("skipped: promtool is not on PATH"),
    };
    let mut to = child.stdin.take().unwrap();
    // A reader that has seen enough may close it first.
    _ = to.write_all(stdin.as_bytes());
    drop(to);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "promtool {args:?}: {told}{said}");
    // A lint is told and may be no failure.
    if args[1] == "metrics" {
        assert_eq!((&*told, &*said), ("", ""), "promtool {args:?}");
    }
}

#[test]
fn promtool_has_nothing_to_say_of_the_text() {
    for (sight, _) in SIGHTS {
        promtool(
            &["check", "metrics"],
            &metrics(&records(), sight, Format::Prometheus),
        );
    }
}

#[test]
fn promtool_accepts_the_rules_and_each_fires_when_it_should() {
    let rules = docs().join("prometheus/rules.yml");
    promtool(&["check", "rules", rules.to_str().unwrap()], "");
    let tests = docs().join("prometheus/rules_test.yml");
    promtool(&["test", "rules", tests.to_str().unwrap()], "");
}

/// What everybody sees is read from what everybody may see.
#[test]
fn a_state_is_the_same_here_and_in_the_status() {
    let records = records();
    let status = view::status(&records, Sight::Public);
    let got = samples(&metrics(&records, Sight::Public, Format::Prometheus));
    let readable = |c: &&view::Check| c.service == "headscale";
    for check in status
        .services
        .iter()
        .flat_map(|s| &s.checks)
        .filter(readable)
    {
        let (id, state) = (&check.check, check.state.as_str());
        let series = format!(
            "watchbell_check_state{{check=\"{id}\",service=\"headscale\",state=\"{state}\"}}"
        );
        assert_eq!(got[&series], "1", "{series}");
    }
}
