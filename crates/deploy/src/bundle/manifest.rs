//! The hand-written manifest, as it stands in a bundle.

use std::collections::BTreeMap;
use std::path::Path;

use toml_edit::{DocumentMut, Item, TableLike, value};

use crate::Refused;
use crate::manifest::written_for;

pub const MANIFEST_NAME: &str = "spin.toml";
/// Where the wasm files lie, beside the manifest.
pub const WASM_DIR: &str = "wasm";

/// An application that needs nothing but the files that are named here.
#[derive(Debug)]
pub struct Application {
    document: DocumentMut,
    version: String,
    /// Each file once, in the order in which components name them.
    pub wasm: Vec<Wasm>,
}

/// One wasm file, which several components may share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wasm {
    /// As the bundle's manifest has it: `wasm/http_check.wasm`.
    pub name: String,
    /// As the hand-written manifest has it: relative to that one's directory.
    pub source: String,
    /// The first component that names it.
    pub component: String,
    /// What makes the file, by that component's `[component.<id>.build]`.
    pub build: Vec<String>,
}

impl Application {
    /// Reads a manifest and points it at the bundle's own files: the rest, comments included,
    /// stays as it is written.
    ///
    /// # Errors
    /// Every component that would need more than its wasm file: a registry, a folder. A manifest
    /// that was written for another place, where something else calls the checks.
    pub fn read(manifest: &str) -> Result<Self, Refused> {
        if let Some(target) = written_for(manifest).filter(|target| !target.limits().cron) {
            return Err(Refused::one(format!(
                "{MANIFEST_NAME}: got the manifest for --target {target}, in which cron runs nothing, want the hand-written one"
            )));
        }
        let mut document: DocumentMut =
            manifest.parse().map_err(|error: toml_edit::TomlError| {
                // Its own text shows the line, and on it what may be a secret.
                Refused::one(format!("{MANIFEST_NAME}: {}", error.message()))
            })?;
        let mut files = Files::default();
        let mut mistakes = Vec::new();
        for (id, component) in components(&mut document) {
            if let Err(mistake) = files.take_in(&id, component) {
                mistakes.push(mistake);
            }
        }
        if !mistakes.is_empty() {
            return Err(Refused(mistakes));
        }
        let version = document.get("application").and_then(|a| a.get("version"));
        let version = version.and_then(Item::as_str).unwrap_or("0").to_owned();
        if !is_directory_name(&version) {
            return Err(Refused::one(format!(
                "{MANIFEST_NAME}: application.version: got {version:?}, want letters, digits, dots, hyphens and plus signs: it names a directory"
            )));
        }
        Ok(Self {
            document,
            version,
            wasm: files.wasm,
        })
    }

    /// The bundle's `spin.toml`.
    pub fn manifest(&self) -> String {
        self.document.to_string()
    }

    pub fn version(&self) -> &str {
        &self.version
    }

    /// Every variable of the application as a line of an environment file, commented out, with
    /// its default.
    pub(super) fn environment(&self) -> String {
        let variables = self.document.get("variables");
        let Some(variables) = variables.and_then(Item::as_table_like) else {
            return String::new();
        };
        let mut text = String::new();
        for (name, variable) in variables.iter() {
            let said = variables.key(name).and_then(|k| k.leaf_decor().prefix());
            let said = said.and_then(|prefix| prefix.as_str()).unwrap_or_default();
            for line in said.lines().map(str::trim).filter(|l| !l.is_empty()) {
                text.push_str(&format!("{line}\n"));
            }
            let default = variable.get("default").and_then(Item::as_str);
            // Commented out too: an empty one would be a value, and nothing would be missed.
            if default.is_none() {
                text.push_str("# Required.\n");
            }
            // A quote ends the quoted text, stands for itself, and begins it again: to a shell,
            // and to systemd.
            let default = default.unwrap_or_default().replace('\'', r"'\''");
            let assignment = format!("SPIN_VARIABLE_{}='{default}'", name.to_uppercase());
            // Every line of it: root sources the file. To systemd a carriage return ends one.
            for line in assignment.split(['\n', '\r']) {
                text.push_str(&format!("#{line}\n"));
            }
        }
        text
    }
}

/// Those of `[component]`, and those that a trigger writes out instead of naming one.
fn components(document: &mut DocumentMut) -> Vec<(String, &mut dyn TableLike)> {
    let mut found: Vec<(String, &mut dyn TableLike)> = Vec::new();
    for (key, item) in document.iter_mut() {
        let Some(table) = item.as_table_like_mut() else {
            continue;
        };
        match key.get() {
            "component" => {
                for (id, component) in table.iter_mut() {
                    if let Some(component) = component.as_table_like_mut() {
                        found.push((id.get().to_owned(), component));
                    }
                }
            }
            "trigger" => {
                for (kind, entries) in table.iter_mut() {
                    let Some(entries) = entries.as_array_of_tables_mut() else {
                        continue;
                    };
                    let inline = entries
                        .iter_mut()
                        .filter_map(|entry| entry.get_mut("component")?.as_table_like_mut());
                    let id = format!("trigger.{}", kind.get());
                    found.extend(inline.map(|component| (id.clone(), component)));
                }
            }
            _ => {}
        }
    }
    found
}

#[derive(Default)]
struct Files {
    wasm: Vec<Wasm>,
    /// By source, the name in the bundle.
    names: BTreeMap<String, String>,
}

impl Files {
    /// Points the component at the bundle's file, and takes away what built it.
    fn take_in(&mut self, id: &str, component: &mut dyn TableLike) -> Result<(), String> {
        let mistake = |key: &str, got: &str, want: &str| {
            format!("{MANIFEST_NAME}: component.{id}.{key}: got {got}, want {want}")
        };
        for key in ["files", "dependencies"] {
            let item = component.get(key);
            let empty = item.is_none_or(|item| match item.as_table_like() {
                Some(table) => table.is_empty(),
                None => item.as_array().is_some_and(toml_edit::Array::is_empty),
            });
            if !empty {
                let want = "none: a bundle carries wasm files alone";
                return Err(mistake(key, "some", want));
            }
        }
        let Some(source) = component.get("source").and_then(Item::as_str) else {
            let want = "the path of a wasm file: a node downloads nothing";
            return Err(mistake("source", "no text", want));
        };
        let source = source.to_owned();
        let build = component.remove("build");
        let name = match self.names.get(&source) {
            Some(name) => name.clone(),
            None => {
                let name = self.free_name(&source);
                self.names.insert(source.clone(), name.clone());
                self.wasm.push(Wasm {
                    name: name.clone(),
                    source,
                    component: id.to_owned(),
                    build: build.map(|build| commands(&build)).unwrap_or_default(),
                });
                name
            }
        };
        // `insert` would put it last and lose the comment before it.
        if let Some(item) = component.get_mut("source") {
            let decor = item.as_value().map(|value| value.decor().clone());
            *item = value(name);
            if let (Some(value), Some(decor)) = (item.as_value_mut(), decor) {
                *value.decor_mut() = decor;
            }
        }
        Ok(())
    }

    /// The file's own name, or with a number where another directory has one of that name.
    fn free_name(&self, source: &str) -> String {
        let stem = Path::new(source).file_stem().unwrap_or_default();
        let stem = stem.to_string_lossy();
        let mut name = format!("{WASM_DIR}/{stem}.wasm");
        let mut number = 1;
        while self.wasm.iter().any(|wasm| wasm.name == name) {
            number += 1;
            name = format!("{WASM_DIR}/{stem}-{number}.wasm");
        }
        name
    }
}

fn commands(build: &Item) -> Vec<String> {
    let Some(command) = build.get("command") else {
        return Vec::new();
    };
    match command.as_array() {
        Some(list) => list
            .iter()
            .filter_map(|c| c.as_str().map(str::to_owned))
            .collect(),
        None => command.as_str().map(str::to_owned).into_iter().collect(),
    }
}

fn is_directory_name(version: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
    version.starts_with(|c: char| c.is_ascii_alphanumeric()) && version.chars().all(plain)
}
