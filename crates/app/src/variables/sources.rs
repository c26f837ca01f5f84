//! Where values come from: the command line, the runtime config's providers, the
//! environment, `.env`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::document::Source;
use crate::finding::{Place, Report, quoted};
use crate::names::suggest;
use crate::runtime_config::Provider;

/// Spin's, unless an `env` provider says otherwise.
const ENV_PREFIX: &str = "SPIN_VARIABLE";
/// Spin's own `env` provider opens it by this name: in the working directory, wherever
/// the manifest lies.
const DOTENV: &str = ".env";
/// The names that messages give to the environment and to the command line.
const ENVIRONMENT: &str = "environment";
const COMMAND_LINE: &str = "--variable";

/// All values given, first come first.
pub(crate) struct Sources {
    layers: Vec<BTreeMap<String, String>>,
}

/// What the sources are asked for, and where relative paths start.
pub(crate) struct Wanted<'a> {
    pub names: &'a BTreeSet<String>,
    pub env: &'a BTreeMap<String, String>,
    pub cwd: &'a Path,
}

impl Sources {
    pub fn read(
        command_line: &[String],
        providers: Vec<Provider>,
        wanted: &Wanted<'_>,
        report: &mut Report,
    ) -> Self {
        let mut layers = vec![command_line_values(command_line, wanted, report)];
        for provider in providers {
            layers.push(match provider {
                Provider::Static(values) => values
                    .into_iter()
                    .map(|(name, (value, place))| {
                        known(&name, &place, wanted, report);
                        (name, value)
                    })
                    .collect(),
                Provider::Env { prefix, dotenv } => {
                    let prefix = prefix.unwrap_or_else(|| ENV_PREFIX.to_owned());
                    environment(&prefix, dotenv.as_deref(), wanted, report)
                }
            });
        }
        let dotenv = wanted.cwd.join(DOTENV);
        layers.push(environment(ENV_PREFIX, Some(&dotenv), wanted, report));
        Self { layers }
    }

    pub fn get(&self, name: &str) -> Option<&String> {
        self.layers.iter().find_map(|layer| layer.get(name))
    }
}

/// `name=value`, `name=@file`, `@file.json`, `@file.toml`; the last one wins.
fn command_line_values(
    texts: &[String],
    wanted: &Wanted<'_>,
    report: &mut Report,
) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for text in texts {
        let place = Place::file(COMMAND_LINE);
        if let Some(path) = text.strip_prefix('@') {
            for (name, value) in file_of_values(path, wanted, &place, report) {
                known(&name, &place.key(name.clone()), wanted, report);
                values.insert(name, value);
            }
            continue;
        }
        let Some((name, value)) = text.split_once('=') else {
            // Not shown: it may be a secret whose name was forgotten.
            let want = "name=value, name=@file, @file.json or @file.toml";
            report.stop("variable-option", &place, "a text without =", want);
            continue;
        };
        let place = place.key(name);
        known(name, &place, wanted, report);
        let value = match value.strip_prefix('@') {
            None => value.to_owned(),
            Some(path) => match std::fs::read_to_string(wanted.cwd.join(path)) {
                Ok(text) => text,
                Err(err) => {
                    unreadable(&place, path, &err, report);
                    continue;
                }
            },
        };
        values.insert(name.to_owned(), value);
    }
    values
}

fn file_of_values(
    path: &str,
    wanted: &Wanted<'_>,
    place: &Place,
    report: &mut Report,
) -> BTreeMap<String, String> {
    let full = wanted.cwd.join(path);
    let extension = full.extension().and_then(|e| e.to_str());
    let json = match extension {
        Some("json") => true,
        Some("toml") => false,
        _ => {
            let want = "a file of values that ends in .json or .toml";
            report.stop("variable-file", place, &quoted(path), want);
            return BTreeMap::new();
        }
    };
    let text = match std::fs::read_to_string(&full) {
        Ok(text) => text,
        Err(err) => {
            unreadable(place, path, &err, report);
            return BTreeMap::new();
        }
    };
    if json {
        serde_json::from_str(&text).unwrap_or_else(|_| {
            // serde's message would quote the value at fault.
            let want = "a JSON object of names and texts";
            report.stop("variable-file", place, &quoted(path), want);
            BTreeMap::new()
        })
    } else {
        let source = Source::new(path, text);
        let entries = source.parse(report).text_entries(report);
        entries.into_iter().map(|(n, v, _)| (n, v)).collect()
    }
}

/// The environment before the file, name by name, as Spin's `env` provider.
fn environment(
    prefix: &str,
    dotenv: Option<&Path>,
    wanted: &Wanted<'_>,
    report: &mut Report,
) -> BTreeMap<String, String> {
    let file = dotenv
        .map(|path| dotenv_values(path, report))
        .unwrap_or_default();
    let dotenv = dotenv.and_then(Path::file_name);
    let dotenv = dotenv.map_or(DOTENV.into(), |name| name.to_string_lossy());
    for (keys, source) in [(wanted.env, ENVIRONMENT), (&file, &*dotenv)] {
        let names = keys.keys().filter_map(|key| {
            let name = key.strip_prefix(prefix)?.strip_prefix('_')?;
            Some((key, name.to_ascii_lowercase()))
        });
        for (key, name) in names {
            known(&name, &Place::file(source).key(key), wanted, report);
        }
    }
    let value = |name: &String| {
        let key = format!("{prefix}_{}", name.to_ascii_uppercase());
        let value = wanted.env.get(&key).or_else(|| file.get(&key))?;
        Some((name.clone(), value.clone()))
    };
    wanted.names.iter().filter_map(value).collect()
}

/// A file that is not there is no mistake: Spin looks for one always. Of a name that
/// stands there twice the last counts. As on Spin, `$NAME` in a value is replaced from
/// the process's own environment: the one thing that is read ambiently here.
fn dotenv_values(path: &Path, report: &mut Report) -> BTreeMap<String, String> {
    let Ok(bytes) = std::fs::read(path) else {
        return BTreeMap::new();
    };
    let mut values = BTreeMap::new();
    for line in dotenvy::from_read_iter(bytes.as_slice()) {
        match line {
            Ok((name, value)) => {
                values.insert(name, value);
            }
            Err(_) => {
                // Without the line: it may be a secret's.
                let name = path.file_name().unwrap_or(path.as_os_str());
                let place = Place::file(name.to_string_lossy());
                let want = "lines such as SPIN_VARIABLE_HEADSCALE_HOST=hs.example.com";
                report.stop("dotenv-syntax", &place, "a line that is not one", want);
                break;
            }
        }
    }
    values
}

fn known(name: &str, place: &Place, wanted: &Wanted<'_>, report: &mut Report) {
    if !wanted.names.contains(name) {
        report.warning(
            "variable-undeclared",
            place,
            &format!("the undeclared variable {name:?}"),
            &suggest(name, wanted.names.iter().map(String::as_str)),
        );
    }
}

fn unreadable(place: &Place, path: &str, err: &std::io::Error, report: &mut Report) {
    let got = format!("{path:?} ({})", err.kind());
    report.stop("file-unreadable", place, &got, "a readable text file");
}
