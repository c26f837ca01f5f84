//! `watchbell` as a command that ends; `watchbell check <id>` above all: one check, once,
//! without touching what is stored.

use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::chain::AUTHORITY;
use crate::manifest::{self, Changes};
use crate::wasm::{COMPILED_DIR, WATCHBELL};

/// What a command tells: `check` as a Nagios plugin does.
#[derive(Debug)]
pub struct Answer {
    pub exit: i32,
    pub text: String,
    /// On standard error.
    pub said: String,
}

impl Answer {
    /// Runs the command to its end.
    pub fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let Some(exit) = output.status.code() else {
            panic!("running {command:?}: ended by {:?}", output.status);
        };
        if exit == 3 || text.is_empty() {
            eprintln!("{said}");
        }
        Self { exit, text, said }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|e| panic!("reading {:?} as JSON: {e}", self.text))
    }
}

/// What an operator says to the application at that URL.
pub fn operator(url: &str, token: &str, arguments: &[&str]) -> Answer {
    let mut command = Command::new(&*WATCHBELL);
    command
        .args(arguments)
        .args(["--url", url])
        .env("WATCHBELL_OPERATOR_TOKEN", token);
    Answer::of(&mut command)
}

/// Runs the check on a derived manifest.
pub fn check(id: &str, json: bool, changes: &Changes, variables: &[(&str, String)]) -> Answer {
    let dir = tempfile::tempdir().unwrap();
    let manifest = dir.path().join("spin.toml");
    let ca = dir.path().join("ca.pem");
    let runtime = dir.path().join("runtime.toml");
    manifest::write(&manifest, changes);
    std::fs::create_dir(dir.path().join("state")).unwrap();
    symlink(&*COMPILED_DIR, dir.path().join("state/compiled")).unwrap();
    std::fs::write(&ca, AUTHORITY.root_pem()).unwrap();
    let client_tls = format!(
        "[outbound_http]\nconnection_pooling = false\n\n[[client_tls]]\ncomponent_ids = [\"health\", \"derp\", \"key\"]\nhosts = [\"127.0.0.1\", \"localhost\"]\nca_roots_file = {ca:?}\nca_use_webpki_roots = true\n"
    );
    std::fs::write(&runtime, client_tls).unwrap();
    let mut command = Command::new(&*WATCHBELL);
    command
        .args(["check", id, "-f"])
        .arg(&manifest)
        .arg("--runtime-config-file")
        .arg(&runtime)
        .arg("--state-dir")
        .arg(dir.path().join("state"))
        .args(["--variable", &format!("ca_certificates=@{}", ca.display())]);
    for (name, value) in variables {
        command.args(["--variable", &format!("{name}={value}")]);
    }
    if json {
        command.arg("--json");
    }
    Answer::of(&mut command)
}
