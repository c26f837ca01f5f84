//! Builds what is not built, by the commands of the manifest.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use watchbell_app::{App, Component};

use crate::say;

/// What the guests are compiled for.
const RUST_TARGET: &str = "wasm32-wasip2";

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
    }
    Ok(())
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
