//! The commands that end: what they touch, what they need, and what they exit with.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use watchbell_lab::command::Answer;
use watchbell_lab::headscale::{Headscale, Speaks, State};
use watchbell_lab::manifest::{self, CHECKS, Changes};
use watchbell_lab::scenario::{Lab, Setup, on_each_host};
use watchbell_lab::wasm::{GUESTS, GUESTS_DIR, REPOSITORY, WATCHBELL};

const UP: i32 = 0;
const FAILED: i32 = 2;
const COULD_NOT_RUN: i32 = 3;
/// Debian's `nobody`.
const NOBODY: u32 = 65_534;

// ------------------------------------------------------------ check

/// It reads what is stored (another key than the one remembered is a failure), and
/// leaves every byte as it was, after an orderly end and after a kill.
#[test]
fn check_reads_stored_state_and_touches_none_of_it() {
    on_each_host("check_reads_stored_state_and_touches_none_of_it", |host| {
        let mut lab = Lab::well(host, Setup::default());
        for killed in [false, true] {
            if killed {
                lab.runtime.run();
                lab.wait_for_probes(2);
                lab.runtime.kill();
            } else {
                lab.runtime.stop();
            }
            let before = files(&lab.runtime.state_dir());
            assert!(!before.is_empty());
            for (state, exits) in [
                (State::Healthy, [UP, UP, UP]),
                (State::DatabaseDown, [FAILED, UP, UP]),
                (State::OtherKey, [UP, UP, FAILED]),
                (State::DerpDisabled, [UP, FAILED, UP]),
            ] {
                lab.headscale.state(state);
                for (id, exit) in ["health", "derp", "key"].into_iter().zip(exits) {
                    // Two failures would alert, if they counted.
                    for _ in 0..2 {
                        let answer = lab.runtime.check(id);
                        assert_eq!(answer.exit, exit, "{state:?} {id}: {answer:?}");
                    }
                }
            }
            let after = files(&lab.runtime.state_dir());
            assert!(before == after, "killed: {killed}: {:?}", after.keys());
            lab.headscale.state(State::Healthy);
        }
        assert!(lab.webhook.deliveries().is_empty(), "nobody was rung");
    });
}

/// Every file and its bytes; but for SQLite's shared memory, which holds no data.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && !path.to_string_lossy().ends_with("-shm") {
                found.insert(path.clone(), std::fs::read(path).unwrap());
            }
        }
    }
    found
}

/// State that cannot be read is not "no state": with an empty memory a changed key, or
/// a relay that is gone, would be green.
#[test]
fn state_that_cannot_be_read_is_no_verdict() {
    let other = OtherUser::new();
    let state = other.dir.path().join("state");
    let file = state.join("sqlite_key_value.db");
    let store = rusqlite::Connection::open(&file).unwrap();
    store
        .execute_batch(
            "CREATE TABLE spin_key_value (store TEXT NOT NULL, key TEXT NOT NULL,
             value BLOB NOT NULL, PRIMARY KEY (store, key))",
        )
        .unwrap();
    store.close().unwrap();
    for (what, folder_mode, file_mode, exit) in [
        ("readable", 0o755, 0o644, UP),
        ("an unreadable file", 0o755, 0o000, COULD_NOT_RUN),
        ("an unreadable folder", 0o000, 0o644, COULD_NOT_RUN),
        ("readable again", 0o755, 0o644, UP),
    ] {
        mode(&state, 0o755);
        mode(&file, file_mode);
        mode(&state, folder_mode);
        let answer = other.check("health");
        assert_eq!(answer.exit, exit, "{what}: {answer:?}");
        if exit == COULD_NOT_RUN {
            let error = answer.json()["detail"].as_str().unwrap().to_owned();
            assert!(error.contains("state"), "{what}: {error}");
        }
    }
}

/// A monitoring agent may have no home, and no right to write anywhere but /tmp.
#[test]
fn check_runs_where_nothing_can_be_kept() {
    let other = OtherUser::new();
    let (state, home) = (
        other.dir.path().join("state"),
        other.dir.path().join("home"),
    );
    for folder in [&state, &home] {
        mode(folder, 0o555);
    }
    let answer = other.check("health");
    assert_eq!(answer.exit, UP, "{answer:?}");
    for folder in [state, home] {
        let left = std::fs::read_dir(&folder).unwrap().count();
        assert_eq!(left, 0, "left in {folder:?}");
    }
}

#[test]
fn an_unknown_check_is_told_the_known_ones() {
    let headscale = Headscale::start(Speaks::Http);
    let dir = tempfile::tempdir().unwrap();
    let manifest = dir.path().join("spin.toml");
    manifest::write(&manifest, &Changes::default());
    // The alert component is none of them.
    for id in ["no-such-check", "alert", ""] {
        for json in [false, true] {
            let mut command = Command::new(&*WATCHBELL);
            command
                .args(["check", id, "-f"])
                .arg(&manifest)
                .args(pointed_at(&headscale))
                .args(json.then_some("--json"));
            let answer = Answer::of(&mut command);
            assert_eq!(answer.exit, COULD_NOT_RUN, "{id:?}: {answer:?}");
            let told = if json {
                answer.json()["detail"].as_str().unwrap().to_owned()
            } else {
                answer.text.lines().next().unwrap_or_default().to_owned()
            };
            for check in CHECKS {
                assert!(told.contains(check), "{id:?}: no {check:?} in {told:?}");
            }
        }
    }
}

/// The application with files of its own, run by a user who owns none of them. (Who is
/// not root already is one whom modes bind.)
struct OtherUser {
    headscale: Headscale,
    dir: TempDir,
}

impl OtherUser {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["state", "home", "wasm"] {
            std::fs::create_dir(at(folder)).unwrap();
        }
        mode(dir.path(), 0o755);
        std::fs::copy(&*WATCHBELL, at("watchbell")).unwrap();
        for guest in GUESTS {
            let file = format!("{}.wasm", guest.replace('-', "_"));
            std::fs::copy(GUESTS_DIR.join(&file), at("wasm").join(&file)).unwrap();
        }
        manifest::write(&at("spin.toml"), &Changes::default());
        let text = std::fs::read_to_string(at("spin.toml")).unwrap();
        let ours = at("wasm");
        let text = text.replace(GUESTS_DIR.to_str().unwrap(), ours.to_str().unwrap());
        std::fs::write(at("spin.toml"), text).unwrap();
        Self {
            headscale: Headscale::start(Speaks::Http),
            dir,
        }
    }

    fn check(&self, id: &str) -> Answer {
        let at = |name: &str| self.dir.path().join(name);
        let mut command = Command::new(at("watchbell"));
        command
            .args(["check", id, "--json", "-f"])
            .arg(at("spin.toml"))
            .arg("--state-dir")
            .arg(at("state"))
            .args(pointed_at(&self.headscale))
            .env("HOME", at("home"))
            .env_remove("XDG_CACHE_HOME")
            .current_dir("/");
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        Answer::of(&mut command)
    }
}

impl Drop for OtherUser {
    fn drop(&mut self) {
        // So that the folder can be removed.
        for folder in ["state", "home"] {
            mode(&self.dir.path().join(folder), 0o755);
        }
    }
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn pointed_at(headscale: &Headscale) -> Vec<String> {
    let port = headscale.addr().port();
    [
        "headscale_scheme=http".to_owned(),
        "headscale_host=127.0.0.1".to_owned(),
        format!("headscale_port={port}"),
    ]
    .into_iter()
    .flat_map(|variable| ["--variable".to_owned(), variable])
    .collect()
}

// ------------------------------------------------------------ validate

#[test]
fn validate_exits_with_the_worst_that_it_finds() {
    let dir = tempfile::tempdir().unwrap();
    let pooled = dir.path().join("pooled.toml");
    std::fs::write(&pooled, "[outbound_http]\nconnection_pooling = true\n").unwrap();
    let local = REPOSITORY.join("runtime-config/local.toml");
    let host = ["--variable", "headscale_host=hs.example.com"];
    for (what, config, variables, exit, levels) in [
        ("nothing", &local, &host[..], 0, &[][..]),
        ("a warning", &pooled, &host, 1, &["warning"]),
        ("an error", &local, &[], 2, &["error"]),
        ("both", &pooled, &[], 2, &["error", "warning"]),
    ] {
        let validate = |json: bool| {
            let mut command = Command::new(&*WATCHBELL);
            command
                .args(["validate", "-f"])
                .arg(&*REPOSITORY)
                .arg("--runtime-config-file")
                .arg(config)
                .args(variables)
                .args(json.then_some("--json"))
                .env_remove("SPIN_VARIABLE_HEADSCALE_HOST");
            Answer::of(&mut command)
        };
        let (text, json) = (validate(false), validate(true));
        assert_eq!((text.exit, json.exit), (exit, exit), "{what}: {text:?}");
        let findings = json.json();
        let findings = findings.as_array().unwrap();
        let mut found: Vec<&str> = findings
            .iter()
            .map(|f| f["level"].as_str().unwrap())
            .collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, levels, "{what}: {findings:#?}");
        for finding in findings {
            let keys: Vec<&String> = finding.as_object().unwrap().keys().collect();
            let want = [
                "file",
                "got",
                "id",
                "key",
                "level",
                "line",
                "stops_start",
                "want",
            ];
            assert_eq!(keys, want, "{finding:#}");
            for field in ["file", "got", "id", "key", "want"] {
                assert!(finding[field].is_string(), "{field}: {finding:#}");
            }
            assert!(finding["line"].is_u64() || finding["line"].is_null());
            assert!(finding["stops_start"].is_boolean());
            // The same in words.
            let want = finding["want"].as_str().unwrap();
            assert!(text.said.contains(want), "{what}: {want:?} in {text:?}");
        }
        let clean = text.text.contains("no mistake found");
        assert_eq!(clean, findings.is_empty(), "{what}: {text:?}");
    }
}

// ------------------------------------------------------------ demo

/// It ends by itself, and has shown both outages from end to end: one check's, and then
/// that of everything.
#[test]
fn the_demo_shows_its_alerts_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = dir.path().join("spin.toml");
    manifest::write(&manifest, &Changes::default());
    let mut command = Command::new(&*WATCHBELL);
    command.args(["demo", "-f"]).arg(&manifest);
    let answer = Answer::of(&mut command);
    assert_eq!(answer.exit, 0, "{answer:?}");
    for kind in ["alert.triggered", "alert.resolved"] {
        // Two, or more: on a busy machine a probe may time out, and be told as well.
        assert!(answer.said.matches(kind).count() > 1, "{answer:?}");
    }
}
