//! Every mistake at once: reads all there is, and checks each part against the others.

mod cron;
mod demand;
mod kind;
mod permissions;
mod resolve;
mod settings;
mod target;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub use demand::Demand;
pub use kind::Kind;

use crate::app::{App, Build, Component, CronTrigger, HttpTrigger, LoadOptions};
use crate::document::Source;
use crate::finding::{Finding, Place, Report, quoted};
use crate::manifest::{ComponentEntry, Manifest};
use crate::names::{is_kebab, is_label, suggest};
use crate::route::{self, route_pattern};
use crate::runtime_config::{Provider, RuntimeConfig, Store};
use crate::schedule::Schedule;
use crate::target::Target;
use crate::variables::{ApplicationVariable, Declared, Sources, Values, Wanted};
use resolve::Resolved;
use watchbell_core::settings::parse_host;
use watchbell_core::store::check_ids;
use watchbell_core::target::Url;

/// The label that exists without being configured.
const DEFAULT_STORE: &str = "default";
/// Spin's name for the default store's file, under the state directory.
const DEFAULT_STORE_FILE: &str = "sqlite_key_value.db";
const STATE_DIR: &str = ".spin";
/// The route that checks ring, when `alert_url` has no path.
const ALERT_ROUTE: &str = "/alert";

/// Every mistake in the manifest, the variables and the runtime config, by file and line.
pub fn validate(options: &LoadOptions) -> Vec<Finding> {
    validate_for(options, Target::Spin)
}

/// As [`validate`], and what the target refuses on top.
pub fn validate_for(options: &LoadOptions, target: Target) -> Vec<Finding> {
    examine(options, target).findings
}

/// As [`validate_for`], of a manifest that is not in its file yet, and what it asks of the
/// target. `options.manifest` is the path that it will have.
pub fn validate_text(
    options: &LoadOptions,
    text: String,
    target: Target,
) -> (Demand, Vec<Finding>) {
    let source = Source::new(options.manifest.display().to_string(), text);
    let examined = examine_source(options, Some(source), target, Report::default());
    (examined.demand, examined.findings)
}

/// What reading everything gives.
pub(crate) struct Examined {
    /// Unless something keeps it from starting.
    pub app: Option<App>,
    pub demand: Demand,
    pub findings: Vec<Finding>,
}

pub(crate) fn examine(options: &LoadOptions, target: Target) -> Examined {
    let mut report = Report::default();
    let path = absolute(options.cwd.join(&options.manifest));
    let name = options.manifest_name.as_deref().map(Path::new);
    let source = source(name.unwrap_or(&options.manifest), &path, &mut report);
    examine_source(options, source, target, report)
}

fn examine_source(
    options: &LoadOptions,
    manifest: Option<Source>,
    target: Target,
    mut report: Report,
) -> Examined {
    let path = absolute(options.cwd.join(&options.manifest));
    let dir = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let manifest = manifest.map(|s| Manifest::read(&s, &mut report));
    let mut config = runtime_config(options, &mut report);
    let Some(manifest) = manifest else {
        return Examined {
            app: None,
            demand: Demand::default(),
            findings: report.finish(&[]),
        };
    };

    let providers = std::mem::take(&mut config.providers);
    let sources = sources(options, &manifest, providers, &mut report);
    let values = Values::resolve(&manifest.variables, &sources, &options.fill, &mut report);

    let resolved: Vec<Resolved<'_>> = manifest
        .components
        .iter()
        .map(|c| Resolved::of(c, &manifest.variables, &values, &mut report))
        .collect();
    let state_dir = state_dir(options, &config, &dir);
    let stores = stores(&config, state_dir.as_deref());

    unused_variables(&manifest, &mut report);
    wasm_files(&manifest, &dir, &mut report);
    triggers(&manifest, target, &mut report);
    labels(&manifest, &stores, &mut report);
    runtime(options, &manifest, &config, &mut report);
    for component in &resolved {
        settings::check(component, &manifest, target, &mut report);
        permissions::check(component, &manifest, target, &mut report);
        tokens::check(component, target, &mut report);
    }
    let schedules = cron::check(&manifest, &resolved, target, &mut report);
    alerting(&manifest, &resolved, &mut report);
    showing(&manifest, &resolved, &mut report);
    looking(&resolved, &mut report);
    sweeping(&resolved, &mut report);
    private_roots(&resolved, &config, &mut report);
    let demand = Demand::of(&manifest, &resolved, target);
    target::check(&manifest, &resolved, &demand, target, &mut report);
    target::runtime_config(options.runtime_config_file.as_deref(), target, &mut report);

    let ids: Vec<&str> = manifest.components.iter().map(|c| c.id.as_str()).collect();
    let app = (!report.stops_start()).then(|| App {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        components: resolved
            .into_iter()
            .map(|r| (r.entry.id.clone(), component(r, &ids, &dir)))
            .collect(),
        http: manifest
            .http
            .iter()
            .map(|t| HttpTrigger {
                route: t.route.0.clone(),
                component: t.component.0.clone(),
            })
            .collect(),
        cron: cron_triggers(&manifest, schedules),
        key_value_stores: stores,
        client_tls: config.client_tls,
        outbound_http: config.outbound_http,
        blocked_networks: config.blocked_networks,
        log_dir: match config.log_dir.as_deref() {
            Some("") => None,
            Some(given) => Some(absolute(options.cwd.join(given))),
            None => state_dir.as_ref().map(|d| d.join("logs")),
        },
        state_dir,
        max_instance_memory_bytes: config.max_instance_memory_bytes,
        manifest: path.clone(),
        dir: dir.clone(),
        findings: Vec::new(),
    });
    Examined {
        app,
        demand,
        findings: report.finish(&values.secrets()),
    }
}

/// The application's variables by name, with the values that they have now, and what is
/// wrong with the texts that give them. That a required one has none is not among it.
pub fn application_variables(
    options: &LoadOptions,
) -> (BTreeMap<String, ApplicationVariable>, Vec<Finding>) {
    let mut report = Report::default();
    let path = absolute(options.cwd.join(&options.manifest));
    // The manifest's own mistakes are for `validate` to tell.
    let manifest = source(&options.manifest, &path, &mut Report::default())
        .map(|s| Manifest::read(&s, &mut Report::default()))
        .unwrap_or_default();
    let providers = runtime_config(options, &mut report).providers;
    let sources = sources(options, &manifest, providers, &mut report);
    let declared = &manifest.variables;
    let values = Values::resolve(declared, &sources, &options.fill, &mut Report::default());
    let findings = report.finish(&values.secrets());
    let variable = |d: &Declared| ApplicationVariable {
        value: values.values.get(&d.name).cloned(),
        secret: d.secret,
    };
    let variables = declared.iter().map(|d| (d.name.clone(), variable(d)));
    (variables.collect(), findings)
}

fn sources(
    options: &LoadOptions,
    manifest: &Manifest,
    providers: Vec<Provider>,
    report: &mut Report,
) -> Sources {
    let names: BTreeSet<String> = manifest.variables.iter().map(|v| v.name.clone()).collect();
    let wanted = Wanted {
        names: &names,
        env: &options.env,
        cwd: &options.cwd,
    };
    Sources::read(&options.variables, providers, &wanted, report)
}

fn source(shown: &Path, path: &Path, report: &mut Report) -> Option<Source> {
    let name = shown.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Some(Source::new(name, text)),
        Err(err) => {
            let got = format!("a file that cannot be read ({})", err.kind());
            report.stop("file-unreadable", &Place::file(name), &got, "a text file");
            None
        }
    }
}

/// A path that the caller's `cwd` left relative starts where the process does.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn runtime_config(options: &LoadOptions, report: &mut Report) -> RuntimeConfig {
    let Some(shown) = &options.runtime_config_file else {
        return RuntimeConfig::default();
    };
    let path = absolute(options.cwd.join(shown));
    let dir = path.parent().unwrap_or(Path::new(""));
    source(shown, &path, report)
        .map(|s| RuntimeConfig::read(&s, dir, &options.cwd, report))
        .unwrap_or_default()
}

/// The command line before the runtime config before the default.
fn state_dir(options: &LoadOptions, config: &RuntimeConfig, dir: &Path) -> Option<PathBuf> {
    let configured = config.state_dir.as_ref().map(PathBuf::from);
    match options.state_dir.as_ref().or(configured.as_ref()) {
        Some(given) if given.as_os_str().is_empty() => None,
        Some(given) => Some(absolute(options.cwd.join(given))),
        None => Some(match &options.state_dir_default {
            Some(default) => default.clone(),
            None => dir.join(STATE_DIR),
        }),
    }
}

fn stores(config: &RuntimeConfig, state_dir: Option<&Path>) -> BTreeMap<String, Store> {
    let mut stores = config.stores.clone();
    stores
        .entry(DEFAULT_STORE.to_owned())
        .or_insert_with(|| Store::Sqlite {
            path: state_dir.map(|d| d.join(DEFAULT_STORE_FILE)),
        });
    stores
}

fn component(resolved: Resolved<'_>, ids: &[&str], dir: &Path) -> Component {
    let entry = resolved.entry;
    let source = entry.source.as_ref().map(|(path, _)| path.as_str());
    Component {
        id: entry.id.clone(),
        kind: resolved.kind,
        source: dir.join(source.unwrap_or_default()),
        environment: entry.environment.iter().cloned().collect(),
        allowed_outbound_hosts: resolved
            .allowed_outbound_hosts
            .map(|hosts| hosts.naming_services(ids)),
        key_value_stores: entry
            .key_value_stores
            .iter()
            .map(|(label, _)| label.clone())
            .collect(),
        variables: resolved.variables.into_iter().collect(),
        build: entry.build.as_ref().map(|b| Build {
            command: b.command.clone(),
            workdir: dir.join(b.workdir.as_deref().unwrap_or_default()),
            watch: b.watch.clone(),
        }),
    }
}

fn cron_triggers(manifest: &Manifest, schedules: Vec<Option<Schedule>>) -> Vec<CronTrigger> {
    let entries = manifest.cron.iter().zip(schedules);
    entries
        .filter_map(|(entry, schedule)| {
            Some(CronTrigger {
                expression: entry.expression.0.clone(),
                component: entry.component.0.clone(),
                schedule: schedule?,
            })
        })
        .collect()
}

fn unused_variables(manifest: &Manifest, report: &mut Report) {
    let used: BTreeSet<String> = manifest
        .components
        .iter()
        .flat_map(resolve::names_in)
        .collect();
    for variable in manifest
        .variables
        .iter()
        .filter(|v| !used.contains(&v.name))
    {
        report.warning(
            "variable-unused",
            &variable.place,
            "a variable that no component reads",
            &format!(
                "a use such as \"{{{{ {} }}}}\", or no such variable",
                variable.name
            ),
        );
    }
}

fn wasm_files(manifest: &Manifest, dir: &Path, report: &mut Report) {
    for component in &manifest.components {
        if let (Some((path, place)), None) = (&component.source, &component.build)
            && !dir.join(path).is_file()
        {
            let want = "a wasm file that exists, or a build command that makes it";
            report.stop("source-missing", place, &quoted(path), want);
        }
    }
}

fn triggers(manifest: &Manifest, target: Target, report: &mut Report) {
    let ids: Vec<&str> = manifest.components.iter().map(|c| c.id.as_str()).collect();
    let http = manifest.http.iter().map(|t| &t.component);
    let cron = manifest.cron.iter().map(|t| &t.component);
    for (id, place) in http.chain(cron) {
        if !ids.contains(&id.as_str()) {
            let want = suggest(id, ids.iter().copied());
            report.stop("trigger-component", place, &quoted(id), &want);
        }
    }
    let mut routes = BTreeMap::new();
    for trigger in &manifest.http {
        let (route, place) = &trigger.route;
        if let Some(first) = routes.insert(route_pattern(route), trigger.component.0.as_str()) {
            let want = format!("a route of its own: {first} has it too");
            match target.limits().duplicate_routes {
                true => report.error("route-duplicate", place, &quoted(route), &want),
                false => report.stop("route-duplicate", place, &quoted(route), &want),
            }
        }
    }
}

fn labels(manifest: &Manifest, stores: &BTreeMap<String, Store>, report: &mut Report) {
    for component in &manifest.components {
        for (label, place) in &component.key_value_stores {
            if is_label(label) && !stores.contains_key(label) {
                let known = suggest(label, stores.keys().map(String::as_str));
                let want = format!("{known}, or [key_value_store.{label}] in the runtime config");
                report.stop("store-unknown", place, &quoted(label), &want);
            }
        }
        let opens = |label: &str| component.key_value_stores.iter().any(|(l, _)| l == label);
        if Kind::of(component).is_some() && !opens(DEFAULT_STORE) {
            let place = component
                .place
                .key(format!("{}.key_value_stores", component.place.key));
            let want = "\"default\" among them: it keeps its record there";
            report.error("store-missing", &place, "other stores or none", want);
        }
    }
}

/// What the runtime config says about the network, against the components.
fn runtime(
    options: &LoadOptions,
    manifest: &Manifest,
    config: &RuntimeConfig,
    report: &mut Report,
) {
    let http_check = |c: &ComponentEntry| Kind::of(c) == Some(Kind::HttpCheck);
    let pooling =
        config.outbound_http.connection_pooling && manifest.components.iter().any(http_check);
    // Without a file there is none to mend, and this runtime reuses no connection anyway.
    if let (true, Some(_), Some(place)) = (
        pooling,
        &options.runtime_config_file,
        &config.outbound_http_place,
    ) {
        let want = "false: a check that reuses a connection sees neither DNS nor TLS";
        report.warning("connection-pooling", place, "true", want);
    }
    let ids: Vec<&str> = manifest.components.iter().map(|c| c.id.as_str()).collect();
    for (id, place) in &config.client_tls_components {
        if is_kebab(id) && !ids.contains(&id.as_str()) {
            let want = suggest(id, ids.iter().copied());
            report.error("client-tls-component", place, &quoted(id), &want);
        }
    }
}

/// Private roots reach the certificate check by its variable, the HTTP checks only by the
/// runtime config: with one of them alone a healthy server fails.
fn private_roots(resolved: &[Resolved<'_>], config: &RuntimeConfig, report: &mut Report) {
    let Some(trusting) = resolved
        .iter()
        .find(|r| r.text("ca_certificates").is_some())
    else {
        return;
    };
    let of_that_host = |r: &&Resolved<'_>| {
        let url = r.text("url").and_then(Url::parse);
        let host = trusting.text("host").and_then(parse_host);
        r.kind == Some(Kind::HttpCheck) && url.is_some_and(|u| u.tls && Some(u.host) == host)
    };
    let told = |id: &str| config.client_tls_components.iter().any(|(c, _)| c == id);
    let ids: Vec<&str> = resolved
        .iter()
        .filter(of_that_host)
        .map(|r| r.entry.id.as_str())
        .collect();
    let left: Vec<&str> = ids.into_iter().filter(|id| !told(id)).collect();
    if !left.is_empty() {
        let given = trusting.given_by.get("ca_certificates").cloned();
        let place = given.unwrap_or_else(|| trusting.entry.variable_place("ca_certificates"));
        let got = format!("private roots unknown to {}", left.join(", "));
        let want = "[[client_tls]] with ca_roots_file in the runtime config for them too";
        report.warning("private-roots-unknown", &place, &got, want);
    }
}

/// Whether what the checks find reaches anybody.
fn alerting(manifest: &Manifest, resolved: &[Resolved<'_>], report: &mut Report) {
    let mut checks = resolved
        .iter()
        .filter(|r| r.kind.is_some_and(Kind::is_check));
    let Some(check) = checks.next() else {
        return;
    };
    let Some(alert) = resolved.iter().find(|r| r.kind == Some(Kind::Alert)) else {
        let place = Place {
            key: "component".to_owned(),
            line: None,
            ..check.entry.place.clone()
        };
        report.warning(
            "alert-missing",
            &place,
            "checks alone",
            "an alert component to tell of them",
        );
        return;
    };
    let rings =
        |route: &str| route::parse(route).is_some_and(|spec| spec.matches(ALERT_ROUTE).is_some());
    let rung = manifest
        .http
        .iter()
        .any(|t| t.component.0 == alert.entry.id && rings(&t.route.0));
    if !rung {
        let place = alert.entry.place.clone();
        let want = format!("[[trigger.http]] with route {ALERT_ROUTE:?}, which checks ring");
        report.warning("alert-route", &place, "no such route", &want);
    }
}

/// Its pages name each other, their style and their script from the top.
fn showing(manifest: &Manifest, resolved: &[Resolved<'_>], report: &mut Report) {
    let shows = |r: &&Resolved<'_>| r.kind == Some(Kind::Status);
    for status in resolved.iter().filter(shows) {
        let mut routes = manifest.http.iter();
        let served = routes.any(|t| t.component.0 == status.entry.id && t.route.0 == "/...");
        if !served {
            let place = status.entry.place.clone();
            let want = "[[trigger.http]] with route \"/...\": its pages link from the top";
            report.warning("status-route", &place, "no such route", want);
        }
    }
}

/// Who shows whether alerting runs has to know how often it does.
fn sweeping(resolved: &[Resolved<'_>], report: &mut Report) {
    const NAME: &str = "sweep_interval";
    let of = |kind| resolved.iter().find(|r| r.kind == Some(kind));
    let (Some(alert), Some(status)) = (of(Kind::Alert), of(Kind::Status)) else {
        return;
    };
    let (sweeps, expected) = (alert.text(NAME), status.text(NAME));
    if sweeps != expected {
        let place = status.entry.variable_place(NAME);
        let shown = |text: Option<&str>| text.map_or("nothing".to_owned(), quoted);
        let want = format!("{}, as the alert component has it", shown(sweeps));
        report.warning("sweep-interval", &place, &shown(expected), &want);
    }
}

/// Where keys are not listed, a check that is left out is one that nobody hears of.
fn looking(resolved: &[Resolved<'_>], report: &mut Report) {
    let checks = resolved
        .iter()
        .filter(|r| r.kind.is_some_and(Kind::is_check));
    let ids: BTreeSet<&str> = checks.map(|r| r.entry.id.as_str()).collect();
    for looking in resolved {
        let Some(text) = looking.text("checks") else {
            continue;
        };
        let listed: BTreeSet<&str> = check_ids(text).collect();
        if listed != ids {
            let place = looking.entry.variable_place("checks");
            let want = ids.iter().copied().collect::<Vec<_>>().join(",");
            report.error("checks-listed", &place, &quoted(text), &quoted(&want));
        }
    }
}
