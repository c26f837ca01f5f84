//! `watchbell demo`: a stand-in for Headscale, broken twice, and the alerts that come.
//!
//! The shipped application runs as `watchbell up` runs it, in a process of its own,
//! only at the pace of seconds: the same wasm, the same rules, another `spin.toml`.

mod receiver;
mod stand_in;

use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use watchbell_app::LoadOptions;

use crate::demo::receiver::Receiver;
use crate::demo::stand_in::StandIn;
use crate::{build_step, run, say};

/// For every step of the demo: far more than the seconds that it takes.
const STEP_MAX: Duration = Duration::from_secs(40);

/// Runs the demo over the application that `options` names.
pub fn main(mut options: LoadOptions) -> anyhow::Result<ExitCode> {
    let stand_in = StandIn::start()?;
    let receiver = Receiver::start()?;
    let variables = [
        "headscale_host=127.0.0.1".to_owned(),
        format!("headscale_port={}", stand_in.port()),
        "headscale_scheme=http".to_owned(),
        format!("webhook_url={}", receiver.url()),
    ];
    options.variables.extend(variables.iter().cloned());
    let app = match run::load(&options) {
        Ok(app) => app,
        Err(code) => return Ok(code),
    };
    build_step::run(&app, false)?;

    let dir = tempfile::tempdir().context("creating a folder for the demo")?;
    write_manifest(&app.manifest, &app.dir, dir.path())?;
    let mut child = start(dir.path(), &variables)?;
    let result = play(&stand_in, &receiver, &mut child);
    // Its own process: nothing of the demo goes on after it.
    child.kill().context("ending the demo's application")?;
    child.wait().context("ending the demo's application")?;
    result.map(|()| ExitCode::SUCCESS)
}

fn play(stand_in: &StandIn, receiver: &Receiver, child: &mut Child) -> anyhow::Result<()> {
    say::info(
        "A stand-in for Headscale runs, and five checks watch it (every 2 s here, every 60 s as shipped).",
    );
    ensure!(
        stand_in.wait_for_requests(6, STEP_MAX),
        "running the demo: the checks did not start: {}",
        ended(child)
    );

    say::info("\nIts database goes down: /health answers 500 from now on.");
    stand_in.database(false);
    tell(receiver, 1)?;
    say::info("\nThe database is back.");
    stand_in.database(true);
    tell(receiver, 1)?;

    say::info("\nThe process crashes: nothing listens any more.");
    stand_in.crash()?;
    tell(receiver, 4)?;
    say::info("\nIt is started again.");
    stand_in.restart()?;
    tell(receiver, 4)?;
    say::info(
        "\nThat was the demo. Point it at your own: watchbell up --variable headscale_host=…",
    );
    Ok(())
}

/// Prints alerts as they come, until there were so many.
fn tell(receiver: &Receiver, alerts: usize) -> anyhow::Result<()> {
    for n in 0..alerts {
        let alert = receiver
            .next(STEP_MAX)
            .with_context(|| format!("waiting for alerts: got {n}, want {alerts}"))?;
        let data = &alert["data"];
        let check = &data["checks"][0];
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        say::info(&format!(
            "  {} {}: {}",
            text(&alert["type"]),
            text(&check["label"]),
            text(&check["detail"])
        ));
        match alert["type"].as_str() {
            Some("alert.triggered") => say::info(&format!(
                "      → {} ({})",
                text(&data["action"]),
                text(&check["kind"])
            )),
            _ => say::info(&format!("      over after {} s", data["duration_s"])),
        }
    }
    Ok(())
}

fn start(dir: &Path, variables: &[String]) -> anyhow::Result<Child> {
    let me = std::env::current_exe().context("finding this program")?;
    let mut command = Command::new(me);
    command
        .args(["up", "--quiet", "--listen", "127.0.0.1:0", "--from"])
        .arg(dir);
    for variable in variables {
        command.arg("--variable").arg(variable);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("starting the application")
}

fn ended(child: &mut Child) -> String {
    match child.try_wait() {
        Ok(Some(status)) => format!("the application ended with {status}"),
        _ => "the application runs".to_owned(),
    }
}

/// The shipped manifest at the pace of seconds, its wasm files where they are.
fn write_manifest(manifest: &Path, dir: &Path, to: &Path) -> anyhow::Result<()> {
    let text =
        std::fs::read_to_string(manifest).with_context(|| format!("reading {manifest:?}"))?;
    let mut fast = String::with_capacity(text.len());
    for line in text.lines() {
        let key = line.split('=').next().unwrap_or_default().trim();
        match key {
            "cron_expression" => fast.push_str("cron_expression = \"* * * * * *\""),
            "interval" => fast.push_str("interval = \"2s\""),
            "retry_interval" => fast.push_str("retry_interval = \"1s\""),
            "firing_interval" => fast.push_str("firing_interval = \"1s\""),
            "timeout" => fast.push_str("timeout = \"900ms\""),
            "source" => {
                let relative = line.split('"').nth(1).unwrap_or_default();
                fast.push_str(&format!(
                    "source = {:?}",
                    dir.join(relative).display().to_string()
                ));
            }
            _ => fast.push_str(line),
        }
        fast.push('\n');
    }
    std::fs::write(to.join("spin.toml"), fast).context("writing the demo's manifest")
}
