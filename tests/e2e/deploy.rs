//! The variants for places without cron, as they are written, run as the place would run them
//! and called as the schedule that is written for them calls.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use watchbell_lab::command::Answer;
use watchbell_lab::headscale::{Headscale, Speaks, State};
use watchbell_lab::manifest::{self, Changes, Pace};
use watchbell_lab::runtime::{AppSpec, CHECK_TOKEN, Host, Runtime, hosts};
use watchbell_lab::skip::{program, skip};
use watchbell_lab::wasm::WATCHBELL;
use watchbell_lab::webhook::Webhook;

/// Stands in a URL: letters, digits, - and _ alone.
const SCHEDULE_KEY: &str = "the_scheduler_of_the_lab";

/// Something that runs without cron, and a server for it to watch.
struct Deployed {
    runtime: Runtime,
    webhook: Webhook,
    headscale: Headscale,
    /// What a schedule is written from.
    source: PathBuf,
    /// As the manifest was written with it.
    budget: String,
    _dir: TempDir,
}

impl Deployed {
    /// `watchbell manifest --target` from the application in the lab, and then what it wrote:
    /// on the embedded runtime with the target's refusals, or on Spin.
    fn to(host: Host, target: &'static str) -> Self {
        let headscale = Headscale::start(Speaks::Http);
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("spin.toml");
        let changes = Changes {
            pace: Pace {
                interval: "60s",
                retry_interval: "20s",
                firing_interval: "1s",
                timeout: "5s",
            },
            // One round is to be enough: neither a second failure is waited for, nor what the
            // other checks say to the first.
            variables: vec![
                ("health", "failure_threshold", "1".to_owned()),
                ("alert", "settling_time", "0".to_owned()),
            ],
            ..Changes::default()
        };
        manifest::write(&source, &changes);
        let written = Answer::of(
            watchbell("manifest", &source)
                .args(["--target", target])
                .args(watched(&headscale)),
        );
        assert_eq!(written.exit, 0, "{}", written.said);
        let webhook = Webhook::start();
        let mut variables = vec![
            ("check_token", CHECK_TOKEN.to_owned()),
            ("webhook_url", webhook.url()),
            ("webhook_secret", Webhook::secret()),
        ];
        if target == "akamai" {
            variables.push(("schedule_key", SCHEDULE_KEY.to_owned()));
        }
        if target != "fermyon-cloud" {
            // Permissions stay templates elsewhere.
            let port = headscale.addr().port().to_string();
            variables.push(("headscale_host", "127.0.0.1".to_owned()));
            variables.push(("headscale_port", port));
            variables.push(("headscale_scheme", "http".to_owned()));
        }
        let spec = AppSpec {
            manifest: Some(written.text),
            target: (host == Host::Embedded).then_some(target),
            variables,
            ..AppSpec::default()
        };
        let runtime = Runtime::start(host, spec);
        runtime.serving();
        Self {
            runtime,
            webhook,
            headscale,
            source,
            budget: written.said,
            _dir: dir,
        }
    }

    /// `watchbell schedule`, for the address at which it runs here if any is asked for.
    fn schedule(&self, scheduler: &str) -> PathBuf {
        let out = self.source.with_file_name(scheduler);
        let mut schedule = watchbell("schedule", &self.source);
        schedule
            .args(["--target", scheduler, "--output"])
            .arg(&out)
            .args(watched(&self.headscale));
        if scheduler != "akamai" {
            schedule.args(["--url", &self.runtime.url()]);
        }
        let answer = Answer::of(&mut schedule);
        assert_eq!(answer.exit, 0, "{}", answer.said);
        out
    }

    /// One round of the script that cron, a timer or a pod runs.
    fn call(&self, script: &Path) {
        let token = self.source.with_file_name("check-token");
        fs::write(&token, CHECK_TOKEN).unwrap();
        let called = Answer::of(
            Command::new("sh")
                .arg(script)
                .env("WATCHBELL_TOKEN_FILE", &token),
        );
        assert_eq!((called.exit, called.said.as_str()), (0, ""), "{called:?}");
    }

    /// One round of calls is enough to hear of it.
    fn tells_of_an_outage(&self, mut round: impl FnMut()) {
        self.headscale.state(State::DatabaseDown);
        round();
        // What the other checks say to it may follow in another: nothing is waited for here.
        let message = &self.webhook.wait_for(1)[0];
        assert_eq!(message.kind, "alert.triggered", "{:#}", message.body);
        assert_ne!(message.check("health"), &Value::Null, "{:#}", message.body);
    }
}

fn watchbell(command: &str, source: &Path) -> Command {
    let mut watchbell = Command::new(&*WATCHBELL);
    watchbell.args([command, "-f"]).arg(source);
    watchbell
}

fn watched(headscale: &Headscale) -> [String; 6] {
    let port = headscale.addr().port();
    [
        "--variable".to_owned(),
        "headscale_host=127.0.0.1".to_owned(),
        "--variable".to_owned(),
        format!("headscale_port={port}"),
        "--variable".to_owned(),
        "headscale_scheme=http".to_owned(),
    ]
}

fn with_curl(test: &str, scenario: impl Fn(Host)) {
    if program(&["curl"]).is_none() {
        return skip(
            test,
            "no curl is installed, which the written schedules call",
        );
    }
    hosts(test).into_iter().for_each(scenario);
}

#[test]
fn fermyon_cloud_called_by_a_crontab_tells_of_an_outage() {
    with_curl(
        "fermyon_cloud_called_by_a_crontab_tells_of_an_outage",
        |host| {
            let there = Deployed::to(host, "fermyon-cloud");
            let script = there.schedule("crontab").join("watchbell-call.sh");
            there.tells_of_an_outage(|| there.call(&script));
            let (keys, _) = there.budget.split_once(" of 1024 keys").unwrap();
            let (_, keys) = keys.rsplit_once(' ').unwrap();
            let (budget, kept): (u32, u32) = (keys.parse().unwrap(), there.runtime.state().keys());
            assert!((9..=budget).contains(&kept), "{kept} of {budget} keys");
        },
    );
}

#[test]
fn spinkube_called_by_its_cron_job_tells_of_an_outage() {
    with_curl(
        "spinkube_called_by_its_cron_job_tells_of_an_outage",
        |host| {
            let there = Deployed::to(host, "spinkube");
            let written = there.schedule("kubernetes").join("watchbell-schedule.yaml");
            let text = fs::read_to_string(written).unwrap();
            let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
            let map = documents.iter().find(|d| d["kind"] == "ConfigMap").unwrap();
            let script = there.source.with_file_name("call.sh");
            let text = map["data"]["watchbell-call.sh"].as_str().unwrap();
            fs::write(&script, text).unwrap();
            there.tells_of_an_outage(|| there.call(&script));
        },
    );
}

/// `spin aka` as far as the script needs it: it keeps what it is to call.
const SPIN_AKA: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in
    --path-and-query) printf '%s\n' "$2" >>"$CALLS" ;;
    esac
    shift
done
"#;

#[test]
fn akamai_called_by_its_cron_tells_of_an_outage() {
    for host in hosts("akamai_called_by_its_cron_tells_of_an_outage") {
        let there = Deployed::to(host, "akamai");
        let script = there.schedule("akamai").join("akamai.sh");
        let bin = there.source.with_file_name("bin");
        fs::create_dir(&bin).unwrap();
        fs::write(bin.join("spin"), SPIN_AKA).unwrap();
        fs::set_permissions(bin.join("spin"), fs::Permissions::from_mode(0o755)).unwrap();
        let calls = there.source.with_file_name("calls");
        let path = std::env::var("PATH").unwrap();
        let created = Answer::of(
            Command::new("sh")
                .arg(script)
                .env("PATH", format!("{}:{path}", bin.display()))
                .env("CALLS", &calls)
                .env("WATCHBELL_SCHEDULE_KEY", SCHEDULE_KEY),
        );
        assert_eq!(created.exit, 0, "{}", created.said);
        let calls = fs::read_to_string(&calls).unwrap();
        assert_eq!(
            calls.lines().count(),
            9,
            "eight checks and the sweep: {calls}"
        );
        there.tells_of_an_outage(|| {
            for call in calls.lines() {
                let answer = there.runtime.request(call, &[]).unwrap();
                // A check says nothing to who bears the key alone, a sweep that it is done.
                let want = if call.starts_with("/run/") { 204 } else { 202 };
                assert_eq!(answer.status, want, "{call}");
            }
        });
    }
}

/// A directory with the application, and what a command says of it.
struct Written {
    dir: TempDir,
}

impl Written {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        manifest::write(&dir.path().join("spin.toml"), &Changes::default());
        Self { dir }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `watchbell` with these arguments, in the directory.
    fn command(&self, line: &str) -> Command {
        let mut words = line.split(' ');
        let mut command = Command::new(&*WATCHBELL);
        command
            .arg(words.next().unwrap())
            .args(["--variable", "headscale_host=hs.example.com"])
            .args(words)
            .current_dir(self.dir.path());
        command
    }

    fn run(&self, line: &str) -> Answer {
        Answer::of(&mut self.command(line))
    }
}

#[test]
fn what_watchbell_has_not_written_is_not_written_over() {
    let there = Written::new();
    let source = fs::read(there.at("spin.toml")).unwrap();
    fs::create_dir(there.at("k8s")).unwrap();
    fs::write(there.at("k8s/.gitignore"), "/target\n").unwrap();
    std::os::unix::fs::symlink("spin.toml", there.at("link.toml")).unwrap();
    for line in [
        "manifest --target akamai --output spin.toml",
        "manifest --target akamai --output ./././spin.toml",
        "manifest --target akamai --output link.toml",
        "manifest --target akamai --output k8s",
        "kustomize --image example.com/w:1 --output k8s",
    ] {
        let answer = there.run(line);
        assert_eq!(answer.exit, 1, "{line}: {answer:?}");
        assert!(answer.said.contains("want "), "{line}: {answer:?}");
    }
    assert_eq!(fs::read(there.at("spin.toml")).unwrap(), source);
    // One that says so of itself is no other.
    let named = "# What is written by `watchbell manifest --target akamai` goes to new/.\n";
    fs::write(there.at("named.toml"), [named.as_bytes(), &source].concat()).unwrap();
    let answer = there.run("manifest --target akamai -f named.toml --output named.toml");
    assert_eq!(answer.exit, 1, "{answer:?}");
    let left: Vec<_> = fs::read_dir(there.at("k8s")).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "nothing of it: {left:?}");
    // What it has written itself it writes anew, and the same into a directory that it has to
    // make as into one that is there.
    let write = || {
        let answer = there.run("manifest --target akamai --output new/spin.toml");
        assert_eq!(answer.exit, 0, "{answer:?}");
        fs::read_to_string(there.at("new/spin.toml")).unwrap()
    };
    let first = write();
    assert_eq!(write(), first);
    for line in [
        "schedule --target akamai -f new --output calls",
        "schedule --target akamai -f new --output calls",
        "kustomize --image example.com/w:1 --output base",
        "kustomize --image example.com/w:1 --output base",
        "manifest --target akamai --output /dev/stdout",
    ] {
        let answer = there.run(line);
        assert_eq!(answer.exit, 0, "{line}: {answer:?}");
    }
    let file = there.at("new/spin.toml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    write();
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(
        mode & 0o777,
        0o600,
        "who may read it is the operator's to say"
    );
    // Of another place there is nothing to call it by.
    for line in [
        "schedule --target akamai -f other",
        "kustomize --image example.com/w:1 -f new --output base",
    ] {
        let other = there.run("manifest --target spinkube --output other/spin.toml");
        assert_eq!(other.exit, 0, "{other:?}");
        let answer = there.run(line);
        assert_eq!(answer.exit, 2, "{line}: {answer:?}");
        assert!(
            answer.said.contains("got a manifest written for "),
            "{line}: {answer:?}"
        );
    }
}

#[test]
fn a_refusal_shows_no_secret_and_is_an_exit_code_of_its_own() {
    let there = Written::new();
    for (line, want) in [
        (
            "schedule --target systemd --url https://u:hunter2@example.com",
            "--url: got a user name or a password",
        ),
        ("schedule --target systemd", "--url: got nothing"),
        (
            "schedule --target crontab --url https://example.com --every 7m",
            "--every: got 7m",
        ),
        (
            "schedule --target akamai --url https://example.com",
            "--url: got an address, want none",
        ),
        (
            "schedule --target akamai --variable headscale_host=https://example.com",
            "variables.headscale_host: got",
        ),
        (
            "kustomize --image example.com/w:1 --output base --variable headscale_port=99999",
            "got \"99999\"",
        ),
        (
            "kustomize --image example.com/w: --output base",
            "image: got \"example.com/w:\"",
        ),
        (
            "kustomize --image example.com/w:1 --namespace A --output base",
            "namespace: got \"A\"",
        ),
        (
            "manifest --target akamai --every 20s",
            "--every: got 20s, want whole minutes",
        ),
    ] {
        let answer = there.run(line);
        assert_eq!(answer.exit, 2, "{line}: {answer:?}");
        assert!(answer.said.contains(want), "{line}: {answer:?}");
        assert!(!answer.said.contains("hunter2"), "{line}: {answer:?}");
    }
    assert!(!there.at("base").exists());
}

#[test]
fn output_that_cannot_be_written_is_no_success() {
    let there = Written::new();
    for line in [
        "manifest --target akamai",
        "schedule --target akamai",
        "validate",
    ] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = there.command(line);
        command.stdout(full).stderr(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}: {said}");
        let want = "writing to standard output: ";
        assert!(said.contains(want), "{line}: {said}");
        assert!(!said.contains("panicked"), "{line}: {said}");
    }
}
