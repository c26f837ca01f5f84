//! `spin.toml`, manifest version 2, read as written: nothing is resolved here.
//!
//! Keys as Spin 4.0 has them. What Spin refuses is refused; what Spin has and this
//! runtime has not is refused with that reason; what only other tools read is passed over.

mod component;
mod trigger;

use std::collections::BTreeMap;

pub(crate) use component::ComponentEntry;
pub(crate) use trigger::{CronEntry, HttpEntry};

use crate::document::{Source, Table};
use crate::finding::{Place, Report, quoted};
use crate::names::{KEBAB_WANT, VARIABLE_WANT, is_kebab, is_variable};
use crate::variables::Declared;

/// The manifest; what could not be read is left out, and reported.
#[derive(Default)]
pub(crate) struct Manifest {
    pub name: String,
    pub version: String,
    pub variables: Vec<Declared>,
    pub http: Vec<HttpEntry>,
    pub cron: Vec<CronEntry>,
    /// In the order of the file, inline ones last.
    pub components: Vec<ComponentEntry>,
}

const VERSION_KEY: &str = "spin_manifest_version";

impl Manifest {
    pub fn read(source: &Source, report: &mut Report) -> Self {
        let root = source.parse(report);
        root.only(
            &[
                VERSION_KEY,
                "application",
                "variables",
                "trigger",
                "component",
            ],
            report,
        );
        match root.get(VERSION_KEY) {
            Some(item) if item.is_number(2) => {}
            Some(item) => report.stop("manifest-version", &item.place, &item.shown(), "2"),
            None => {
                let place = root.place().key(VERSION_KEY);
                report.stop("missing-key", &place, "nothing", "2");
            }
        }
        let mut manifest = Self::default();
        manifest.read_application(&root, report);
        if let Some(table) = root.table("variables", report) {
            manifest.variables = variables(&table, report);
        }
        if let Some(table) = root.table("component", report) {
            for (id, item) in table.items() {
                if !is_kebab(&id) {
                    report.stop("component-id", &item.place, &quoted(&id), KEBAB_WANT);
                }
                if let Some(table) = item.table(report) {
                    manifest
                        .components
                        .push(component::read(id, &table, report));
                }
            }
        }
        manifest.read_triggers(&root, report);
        manifest
    }

    fn read_application(&mut self, root: &Table<'_>, report: &mut Report) {
        let Some(table) = root.get("application").and_then(|i| i.table(report)) else {
            if root.get("application").is_none() {
                let place = root.place().key("application");
                report.stop("missing-key", &place, "nothing", "a table with a name");
            }
            return;
        };
        table.only(
            &[
                "name",
                "version",
                "description",
                "authors",
                "targets",
                "trigger",
                "tool",
            ],
            report,
        );
        let name = table.required_text("name", "the application's name", report);
        self.name = name.map(|(name, _)| name).unwrap_or_default();
        let version = table.text("version", report);
        self.version = version.map(|(version, _)| version).unwrap_or_default();
        table.text("description", report);
        table.texts("authors", report);
        if let Some(http) = table
            .table("trigger", report)
            .and_then(|t| t.table("http", report))
            && let Some((base, place)) = http.text("base", report)
            && base != "/"
        {
            let want = "no base: put it in front of each route";
            report.stop("http-base", &place, &quoted(&base), want);
        }
    }

    fn read_triggers(&mut self, root: &Table<'_>, report: &mut Report) {
        let Some(table) = root.table("trigger", report) else {
            if root.get("trigger").is_none() {
                let want = "at least one [[trigger.cron]] or [[trigger.http]]";
                report.stop("missing-key", &root.place().key("trigger"), "nothing", want);
            }
            return;
        };
        let mut inline = Inline::default();
        for (kind, item) in table.items() {
            match kind.as_str() {
                "http" => {
                    for table in table.tables("http", report) {
                        let entry = trigger::read_http(&table, &mut inline, self, report);
                        self.http.extend(entry);
                    }
                }
                "cron" => {
                    for table in table.tables("cron", report) {
                        let entry = trigger::read_cron(&table, &mut inline, self, report);
                        self.cron.extend(entry);
                    }
                }
                _ => report.stop(
                    "trigger-unsupported",
                    &item.place,
                    &format!("{}, not supported by the embedded runtime", quoted(&kind)),
                    "http or cron",
                ),
            }
        }
    }

    /// Takes in a component that a trigger writes out instead of naming it.
    fn add_inline(&mut self, natural: String, mut component: ComponentEntry) -> String {
        let taken = |id: &str| self.components.iter().any(|c| c.id == id);
        let mut id = natural;
        let mut counter = 1;
        while taken(&id) || !is_kebab(&id) {
            id = format!("inline-component{counter}");
            counter += 1;
        }
        component.id.clone_from(&id);
        self.components.push(component);
        id
    }
}

/// Triggers without an id, counted by type: an inline component is named after it.
#[derive(Default)]
pub(crate) struct Inline {
    counters: BTreeMap<&'static str, u32>,
}

impl Inline {
    fn trigger_id(&mut self, kind: &'static str) -> String {
        let counter = self.counters.entry(kind).or_insert(0);
        *counter += 1;
        format!("{kind}-trigger{counter}")
    }
}

fn variables(table: &Table<'_>, report: &mut Report) -> Vec<Declared> {
    let mut declared = Vec::new();
    for (name, item) in table.items() {
        if !is_variable(&name) {
            report.stop("variable-name", &item.place, &quoted(&name), VARIABLE_WANT);
        }
        let Some(table) = item.table(report) else {
            continue;
        };
        table.only(&["description", "required", "default", "secret"], report);
        table.text("description", report);
        let flag = |name, report: &mut Report| table.flag(name, report).is_some_and(|(f, _)| f);
        let variable = Declared {
            required: flag("required", report),
            secret: flag("secret", report),
            default: table.text("default", report).map(|(text, _)| text),
            place: table.place(),
            name,
        };
        // A default of the wrong type is one mistake, not two.
        if variable.required == variable.default.is_some()
            && !(table.get("default").is_some() && variable.default.is_none())
        {
            let (got, want) = if variable.required {
                ("both", "required = true or a default, not both")
            } else {
                ("neither", "required = true or a default")
            };
            report.stop("variable-default", &variable.place, got, want);
        }
        declared.push(variable);
    }
    declared
}

/// A text and where it stands.
pub(crate) type Placed = (String, Place);
