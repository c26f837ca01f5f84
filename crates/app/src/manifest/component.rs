//! `[component.<id>]`.

use super::Placed;
use crate::document::{Item, Table};
use crate::finding::{Place, Report, quoted};
use crate::names::{LABEL_WANT, VARIABLE_WANT, is_label, is_variable};

/// A component as written.
pub(crate) struct ComponentEntry {
    pub id: String,
    pub place: Place,
    pub source: Option<Placed>,
    pub environment: Vec<(String, String)>,
    pub allowed_outbound_hosts: Vec<Placed>,
    pub key_value_stores: Vec<Placed>,
    /// Name, template, place.
    pub variables: Vec<(String, String, Place)>,
    pub build: Option<BuildEntry>,
}

impl ComponentEntry {
    /// Where a variable stands, or would.
    pub fn variable_place(&self, name: &str) -> Place {
        self.variables
            .iter()
            .find(|(n, _, _)| n == name)
            .map_or_else(
                || {
                    self.place
                        .key(format!("{}.variables.{name}", self.place.key))
                },
                |(_, _, place)| place.clone(),
            )
    }
}

pub(crate) struct BuildEntry {
    pub command: Vec<String>,
    pub workdir: Option<String>,
    pub watch: Vec<String>,
}

/// What both know, what Spin has and this runtime has not, what only tools read.
const KEYS: &[&str] = &[
    "source",
    "description",
    "variables",
    "environment",
    "allowed_outbound_hosts",
    "key_value_stores",
    "build",
    "files",
    "exclude_files",
    "allowed_http_hosts",
    "sqlite_databases",
    "ai_models",
    "dependencies",
    "dependencies_inherit_configuration",
    "targets",
    "tool",
    "profile",
];

/// Empty, these change nothing; otherwise a component would run without what it needs.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("files", "no files: the embedded runtime mounts none"),
    (
        "sqlite_databases",
        "no databases: the embedded runtime has key-value stores only",
    ),
    ("ai_models", "no models: the embedded runtime has none"),
    (
        "dependencies",
        "no dependencies: the embedded runtime composes no components",
    ),
    (
        "allowed_http_hosts",
        "allowed_outbound_hosts, which replaces it",
    ),
];

pub(super) fn read(id: String, table: &Table<'_>, report: &mut Report) -> ComponentEntry {
    table.only(KEYS, report);
    table.text("description", report);
    for (key, want) in UNSUPPORTED {
        if let Some(item) = table.get(key)
            && !item.is_empty()
        {
            report.stop("component-unsupported", &item.place, &item.shown(), want);
        }
    }
    let key_value_stores = table.texts("key_value_stores", report);
    for (label, place) in &key_value_stores {
        if !is_label(label) {
            report.stop("store-label", place, &quoted(label), LABEL_WANT);
        }
    }
    let variables = entries(table, "variables", report);
    for (name, _, place) in &variables {
        if !is_variable(name) {
            report.stop("variable-name", place, &quoted(name), VARIABLE_WANT);
        }
    }
    ComponentEntry {
        id,
        place: table.place(),
        source: source(table, report),
        environment: entries(table, "environment", report)
            .into_iter()
            .map(|(name, value, _)| (name, value))
            .collect(),
        allowed_outbound_hosts: table.texts("allowed_outbound_hosts", report),
        key_value_stores,
        variables,
        build: table.table("build", report).and_then(|t| build(&t, report)),
    }
}

fn entries(table: &Table<'_>, name: &str, report: &mut Report) -> Vec<(String, String, Place)> {
    table
        .table(name, report)
        .map(|t| t.text_entries(report))
        .unwrap_or_default()
}

fn source(table: &Table<'_>, report: &mut Report) -> Option<Placed> {
    let want = "the path of a wasm file";
    match table.get("source") {
        Some(item) if item.is_table() => {
            let got = "a URL or a registry, not supported by the embedded runtime";
            report.stop("source-unsupported", &item.place, got, want);
            None
        }
        Some(item) => item.text(report),
        None => table.required_text("source", want, report),
    }
}

fn build(table: &Table<'_>, report: &mut Report) -> Option<BuildEntry> {
    table.only(&["command", "workdir", "watch"], report);
    let command = match table.get("command") {
        Some(item) => commands(&item, report)?,
        None => vec![table.required_text("command", "a shell command", report)?.0],
    };
    Some(BuildEntry {
        command,
        workdir: table.text("workdir", report).map(|(text, _)| text),
        watch: table
            .texts("watch", report)
            .into_iter()
            .map(|(text, _)| text)
            .collect(),
    })
}

/// One command, or a list of them.
fn commands(item: &Item<'_>, report: &mut Report) -> Option<Vec<String>> {
    if item.is_text() {
        return item.text(report).map(|(text, _)| vec![text]);
    }
    let list = item.list(report)?;
    Some(
        list.iter()
            .filter_map(|i| i.text(report))
            .map(|(text, _)| text)
            .collect(),
    )
}
