//! Builds what is not built, by the commands of the manifest, and tells what is out of date.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, bail};
use glob::{MatchOptions, Pattern};
use watchbell_app::{App, Build, Component};

use crate::say;

/// What the guests are compiled for.
const RUST_TARGET: &str = "wasm32-wasip2";
/// Files that are looked at for one wasm file: a pattern that takes in a target directory
/// must not hold the start up.
const WATCHED_FILES_MAX: usize = 10_000;

/// Runs the build commands of components whose wasm file is missing, or of all with `every`.
/// A command that several components share runs once.
pub fn run(app: &App, every: bool) -> anyhow::Result<()> {
    let mut done: Vec<(&String, &Path)> = Vec::new();
    for component in app.components.values() {
        if !every && component.source.exists() {
            continue;
        }
        let Some(build) = &component.build else {
            if every && component.source.exists() {
                continue;
            }
            bail!(
                "starting component {:?}: {:?} does not exist, and the manifest has no [component.{}.build]",
                component.id,
                component.source.display(),
                component.id
            );
        };
        for command in &build.command {
            let step = (command, build.workdir.as_path());
            if done.contains(&step) {
                continue;
            }
            step_of(component, command, &build.workdir)?;
            done.push(step);
        }
        if !component.source.exists() {
            bail!(
                "building component {:?}: the command ended well and {:?} does not exist",
                component.id,
                component.source.display()
            );
        }
        // Also where the command found nothing to do: it is not out of date.
        let _ = File::open(&component.source).and_then(|f| f.set_modified(SystemTime::now()));
    }
    Ok(())
}

/// Warns of wasm files that are older than what they are built from, by the patterns of
/// `watch`: what was changed is then not what runs.
pub fn warn_of_stale(app: &App) {
    let mut looked_at: BTreeSet<&Path> = BTreeSet::new();
    for component in app.components.values() {
        // Those that share a wasm file are built by one command.
        if !looked_at.insert(&component.source) {
            continue;
        }
        let newer = component.build.as_ref().and_then(|build| {
            let built = component.source.metadata().and_then(|m| m.modified());
            newer_than(built.ok()?, build)
        });
        if let Some(newer) = newer {
            say::warn(&format!(
                "component {:?}: {:?} was changed after {:?} was built, which runs all the same; to build it: watchbell up --build",
                component.id,
                newer.display(),
                component.source.display()
            ));
        }
    }
}

/// A watched file that was changed after `built`.
fn newer_than(built: SystemTime, build: &Build) -> Option<PathBuf> {
    let dir = Pattern::escape(build.workdir.to_str()?);
    // `*` within a directory, `**` across them, nothing hidden: as Spin's own watching.
    let options = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    build
        .watch
        .iter()
        // A pattern that cannot be read watches nothing, there as here.
        .filter_map(|pattern| glob::glob_with(&format!("{dir}/{pattern}"), options).ok())
        .flatten()
        .take(WATCHED_FILES_MAX)
        // What cannot be read cannot have been built from either.
        .flatten()
        .find(|path| {
            let metadata = path.metadata();
            metadata.is_ok_and(|m| m.is_file() && m.modified().is_ok_and(|at| at > built))
        })
}

fn step_of(component: &Component, command: &str, workdir: &Path) -> anyhow::Result<()> {
    if command.contains(RUST_TARGET) {
        add_rust_target(workdir);
    }
    say::info(&format!(
        "Building component {} with `{command}`",
        component.id
    ));
    // Its own words are the progress; standard output stays a plugin's.
    let status = Command::new("/bin/sh")
        .args(["-c", command])
        .current_dir(workdir)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .with_context(|| {
            format!(
                "building component {:?} in {:?}",
                component.id,
                workdir.display()
            )
        })?;
    if !status.success() {
        bail!(
            "building component {:?}: `{command}` ended with {status}",
            component.id
        );
    }
    Ok(())
}

/// Where rustup manages the toolchain, gives it the target; elsewhere the build itself says what is missing.
fn add_rust_target(workdir: &Path) {
    let rustup = |args: &[&str]| {
        Command::new("rustup")
            .args(args)
            .current_dir(workdir)
            .stdin(Stdio::null())
            .output()
            .ok()
    };
    let Some(installed) = rustup(&["target", "list", "--installed"]) else {
        return;
    };
    let installed = String::from_utf8_lossy(&installed.stdout)
        .lines()
        .any(|l| l.trim() == RUST_TARGET);
    if !installed {
        say::info(&format!("Adding the Rust target {RUST_TARGET}"));
        let added = rustup(&["target", "add", RUST_TARGET]);
        if added.is_none_or(|output| !output.status.success()) {
            say::warn(&format!(
                "`rustup target add {RUST_TARGET}` failed; building may, too"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_watched_file_that_was_changed_after_the_build_is_found() {
        let dir = tempfile::tempdir().expect("a directory");
        // A name that is a pattern itself.
        let workdir = dir.path().join("app[1]");
        let built = SystemTime::now();
        let write = |name: &str, age: i32| {
            let path = workdir.join(name);
            fs::create_dir_all(path.parent().expect("a directory")).expect("creates");
            let file = File::create(&path).expect("creates");
            let hour = Duration::from_secs(3_600);
            let at = if age > 0 { built - hour } else { built + hour };
            file.set_modified(at).expect("sets");
            path
        };
        let build = Build {
            command: Vec::new(),
            workdir: workdir.clone(),
            watch: vec!["Cargo.toml".to_owned(), "src/**/*.rs".to_owned()],
        };
        write("Cargo.toml", 1);
        write("src/lib.rs", 1);
        write("src/deep/er/notes.md", -1);
        write("target/new.rs", -1);
        assert_eq!(newer_than(built, &build), None);
        let newer = write("src/deep/er/mod.rs", -1);
        assert_eq!(newer_than(built, &build), Some(newer));
    }
}
