//! Every folder of the corpus is a configuration with one mistake (or a few), and
//! `expected.txt` the messages that an operator gets, word for word.
//!
//! `UPDATE_EXPECT=1` writes them anew.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use watchbell_app::{App, Finding, Level, LoadOptions, Target, validate, validate_for};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/bad-config")
}

/// The folder's files: `spin.toml`, and where there are any `runtime-config.toml`,
/// `variables` (one `--variable` a line), `environment` (one `NAME=value` a line), `target`.
fn options(folder: &Path) -> LoadOptions {
    let lines = |name: &str| -> Vec<String> {
        fs::read_to_string(folder.join(name))
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    };
    let pair = |line: String| {
        let (name, value) = line.split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    };
    LoadOptions {
        manifest: "spin.toml".into(),
        runtime_config_file: folder
            .join("runtime-config.toml")
            .is_file()
            .then(|| "runtime-config.toml".into()),
        variables: lines("variables"),
        cwd: folder.to_owned(),
        env: lines("environment").into_iter().map(pair).collect(),
        fill: BTreeMap::new(),
        ..LoadOptions::default()
    }
}

/// What the file `target` names, Spin without one.
fn target(folder: &Path) -> Target {
    match fs::read_to_string(folder.join("target")) {
        Ok(name) => name.trim().parse().unwrap(),
        Err(_) => Target::Spin,
    }
}

fn found(folder: &Path) -> Vec<Finding> {
    validate_for(&options(folder), target(folder))
}

fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(corpus())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

#[test]
fn each_mistake_has_its_message() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut wrong = Vec::new();
    for folder in folders() {
        let findings = found(&folder);
        let starts = App::load_for(&options(&folder), target(&folder)).is_ok();
        assert_eq!(
            starts,
            !findings.iter().any(|f| f.stops_start),
            "{}: loading and validating agree",
            folder.display()
        );
        let mut text = String::new();
        for finding in &findings {
            text.push_str(&format!("{finding}\n"));
        }
        text.push_str(if starts {
            "(starts)\n"
        } else {
            "(does not start)\n"
        });
        let path = folder.join("expected.txt");
        if update {
            fs::write(&path, &text).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != text {
            wrong.push(format!("{}:\n{text}", folder.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_folder_shows_a_mistake_and_no_secret() {
    let folders = folders();
    assert!(folders.len() >= 30, "{} folders", folders.len());
    for folder in folders {
        let findings = found(&folder);
        assert!(!findings.is_empty(), "{}", folder.display());
        let json = serde_json::to_string(&findings).unwrap();
        let shown = format!("{json}{findings:?}{:?}", App::load(&options(&folder)));
        assert!(!shown.contains("hunter2"), "{}: {shown}", folder.display());
    }
}

/// A rule that no folder breaks is a rule that no test has seen.
#[test]
fn every_rule_has_a_folder_that_breaks_it() {
    let mut broken = BTreeSet::new();
    for folder in folders() {
        broken.extend(found(&folder).into_iter().map(|f| f.id));
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let missing: Vec<String> = rules(&source)
        .into_iter()
        .filter(|id| !broken.contains(id.as_str()))
        .collect();
    assert!(missing.is_empty(), "no folder breaks {missing:?}");
}

/// The ids in `report.stop("id", …)` and its kin, found in the sources.
fn rules(folder: &Path) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            ids.extend(rules(&path));
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for call in [
            "report.stop(",
            "report.error(",
            "report.warning(",
            "denied(component,",
        ] {
            for (at, _) in text.match_indices(call) {
                let rest = text[at + call.len()..].trim_start();
                if let Some(rest) = rest.strip_prefix('"') {
                    ids.extend(rest.split('"').next().map(str::to_owned));
                }
            }
        }
    }
    ids
}

#[test]
fn the_shipped_application_has_no_mistake() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let config = root.join("runtime-config");
    for entry in fs::read_dir(config).unwrap() {
        let file = entry.unwrap().path();
        let options = LoadOptions {
            manifest: "spin.toml".into(),
            runtime_config_file: Some(file.clone()),
            variables: vec!["headscale_host=hs.example.com".to_owned()],
            cwd: root.clone(),
            ..LoadOptions::default()
        };
        let findings: Vec<String> = validate(&options).iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "{}: {findings:#?}", file.display());
        assert!(App::load(&options).is_ok());
    }
}

#[test]
fn a_warning_never_keeps_it_from_starting() {
    for folder in folders() {
        for finding in found(&folder) {
            assert!(
                finding.level == Level::Error || !finding.stops_start,
                "{}: {finding}",
                folder.display()
            );
        }
    }
}
