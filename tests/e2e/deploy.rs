//! The variants for places without cron, as they are written, run as the place would run them
//! and called as the schedule that is written for them calls.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

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
        let told = self.webhook.wait_for(1);
        let [message] = told.as_slice() else {
            panic!("want one message, got {told:#?}");
        };
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
