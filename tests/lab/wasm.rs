//! The programs under test: the shipped wasm files and the `watchbell` binary,
//! built once per test process as everybody builds them.

use std::collections::BTreeSet;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// What is shipped, by package.
pub const GUESTS: [&str; 8] = [
    "http-check",
    "tcp-check",
    "certificate-check",
    "control-check",
    "derp-check",
    "stun-check",
    "alert",
    "status",
];

/// The repository's top directory.
pub static REPOSITORY: LazyLock<PathBuf> = LazyLock::new(|| {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap().to_owned()
});

/// Where the guests' wasm files lie. `WATCHBELL_GUESTS` names a directory of built
/// ones; without it they are built, each on its own: built together, cargo would
/// unify their features and the files would not be those that are shipped.
pub static GUESTS_DIR: LazyLock<PathBuf> = LazyLock::new(|| {
    if let Some(dir) = std::env::var_os("WATCHBELL_GUESTS") {
        return std::path::absolute(dir).unwrap();
    }
    build_commands().iter().for_each(|command| build(command));
    target_dir().join("wasm32-wasip2/guest")
});

/// The guest that does what no component of ours would.
pub static HOSTILE_GUEST: LazyLock<PathBuf> = LazyLock::new(|| {
    build("cargo build --profile guest --target wasm32-wasip2 -p hostile-guest");
    target_dir().join("wasm32-wasip2/guest/hostile_guest.wasm")
});

/// The embedded runtime and CLI. `WATCHBELL_BIN` names a built one.
pub static WATCHBELL: LazyLock<PathBuf> = LazyLock::new(|| {
    if let Some(bin) = std::env::var_os("WATCHBELL_BIN") {
        return std::path::absolute(bin).unwrap();
    }
    // As `cargo test --workspace` has built it: by itself its features are fewer, and wasmtime
    // would be built once more.
    build("cargo build --workspace --tests --bin watchbell");
    target_dir().join("debug/watchbell")
});

/// The other runtime, where it is installed: `WATCHBELL_SPIN`, or `spin` on PATH.
pub static SPIN: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    if let Some(bin) = std::env::var_os("WATCHBELL_SPIN") {
        return Some(bin.into());
    }
    crate::skip::program(&["spin"])
});

/// Compiled modules, shared by every runtime of the lab: compiling takes seconds, and a
/// scenario starts with an empty state directory.
pub static COMPILED_DIR: LazyLock<PathBuf> = LazyLock::new(|| {
    let dir = target_dir().join("lab-compiled");
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .unwrap();
    dir
});

/// The shipped manifest's, each once.
fn build_commands() -> BTreeSet<String> {
    let manifest = std::fs::read_to_string(REPOSITORY.join("spin.toml")).unwrap();
    let manifest: toml_edit::DocumentMut = manifest.parse().unwrap();
    let components = manifest["component"].as_table().unwrap().iter();
    let command =
        |(_, c): (&str, &toml_edit::Item)| c["build"]["command"].as_str().map(str::to_owned);
    components.filter_map(command).collect()
}

pub(crate) fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => REPOSITORY.join(dir),
        None => REPOSITORY.join("target"),
    }
}

fn build(command: &str) {
    let status = Command::new("/bin/sh")
        .args(["-c", command])
        .env("CARGO_TERM_QUIET", "true")
        .current_dir(&*REPOSITORY)
        .status()
        .unwrap();
    assert!(status.success(), "building by {command:?}: {status}");
}
