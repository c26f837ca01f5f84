//! `watchbell demo`: a stand-in for Headscale, broken twice, and the alerts that come.
//!
//! The shipped application runs as `watchbell up` runs it, in a process of its own,
//! only at the pace of seconds: the same wasm, the same rules, another `spin.toml`.

mod receiver;
mod stand_in;

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use toml::{Table, Value};
use watchbell_app::LoadOptions;

use crate::cli::{LISTEN_VARIABLE, MANIFEST_NAME, RUNTIME_CONFIG_VARIABLE};
use crate::demo::receiver::Receiver;
use crate::demo::stand_in::StandIn;
use crate::{build_step, run, say};

/// For every step of the demo: far more than the seconds that it takes.
const STEP_MAX: Duration = Duration::from_secs(40);
/// Of what the application said when the demo failed, this much is shown.
const SAID_BYTES_MAX: usize = 8 << 10;
/// What begins so is the value of a variable.
const VARIABLE_PREFIX: &[u8] = b"SPIN_VARIABLE_";
const TRIGGERED: &str = "alert.triggered";
const RESOLVED: &str = "alert.resolved";
const EVERY_SECOND: &str = "* * * * * *";
const PACE: [(&str, &str); 4] = [
    ("interval", "2s"),
    ("retry_interval", "1s"),
    ("firing_interval", "1s"),
    ("timeout", "900ms"),
];

/// Runs the demo over the application of this manifest.
pub fn main(shipped: &Path) -> anyhow::Result<ExitCode> {
    let stand_in = StandIn::start()?;
    let receiver = Receiver::start()?;
    let variables = [
        "headscale_host=127.0.0.1".to_owned(),
        format!("headscale_port={}", stand_in.port()),
        "headscale_scheme=http".to_owned(),
        format!("webhook_url={}", receiver.url()),
    ];
    let dir = tempfile::tempdir().context("creating a folder for the demo")?;
    let manifest = dir.path().join(MANIFEST_NAME);
    write_manifest(shipped, &manifest)?;
    // Without the environment, and where no `.env` is: they speak of a real application,
    // and a runtime config of its real state.
    let options = LoadOptions {
        manifest,
        variables: variables.to_vec(),
        cwd: dir.path().to_owned(),
        ..LoadOptions::default()
    };
    let app = match run::load(&options) {
        Ok(app) => app,
        Err(code) => return Ok(code),
    };
    build_step::run(&app, false)?;
    build_step::warn_of_stale(&app);

    let mut application = Application::start(dir.path(), &variables)?;
    let result = play(&stand_in, &receiver, &mut application);
    if result.is_err() {
        say::info(&format!("The application said:\n{}", application.said()));
    }
    result.map(|()| ExitCode::SUCCESS)
}

fn play(
    stand_in: &StandIn,
    receiver: &Receiver,
    application: &mut Application,
) -> anyhow::Result<()> {
    say::info(
        "A stand-in for Headscale runs, and seven checks watch it (every 2 s here, every 60 s as shipped).",
    );
    ensure!(
        stand_in.wait_for_requests(6, STEP_MAX),
        "running the demo: the checks did not start: {}",
        application.status()
    );

    say::info("\nIts database goes down: /health answers 500 from now on.");
    stand_in.database(false);
    tell(receiver, TRIGGERED, "database")?;
    say::info("\nThe database is back.");
    stand_in.database(true);
    tell(receiver, RESOLVED, "database")?;

    say::info("\nThe process crashes: nothing listens any more.");
    stand_in.crash()?;
    tell(receiver, TRIGGERED, "process-down")?;
    say::info("\nIt is started again.");
    stand_in.restart()?;
    tell(receiver, RESOLVED, "process-down")?;
    say::info(
        "\nThat was the demo. Point it at your own: watchbell up --variable headscale_host=…",
    );
    Ok(())
}

/// Waits for a message of this type and cause, and prints it.
fn tell(receiver: &Receiver, kind: &str, cause: &str) -> anyhow::Result<()> {
    loop {
        let alert = receiver
            .next(STEP_MAX)
            .with_context(|| format!("waiting for {kind} ({cause}): nothing more came"))?;
        let data = &alert["data"];
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let got = text(&alert["type"]);
        let color = if got == RESOLVED { "1;32" } else { "1;31" };
        let summary = text(&data["summary"]);
        say::info(&format!("  {} {summary}", say::painted(&got, color)));
        if got != RESOLVED {
            for evidence in data["evidence"].as_array().into_iter().flatten() {
                say::info(&format!("      · {}", text(evidence)));
            }
            let action = text(&data["action"]);
            say::info(&format!("      → {action} ({})", text(&data["cause"])));
        }
        if got == kind && data["cause"] == cause {
            return Ok(());
        }
    }
}

/// `watchbell up` on the demo's manifest. Nothing of it goes on after the demo: dropped, it
/// is killed; and where the demo itself is killed, its standard input ends, and it with it.
struct Application {
    child: Child,
    stderr: PathBuf,
}

impl Application {
    fn start(dir: &Path, variables: &[String]) -> anyhow::Result<Self> {
        let stderr = dir.join("stderr.txt");
        let file = File::create(&stderr).context("creating a file for the demo")?;
        let environment = std::env::vars_os().map(|(name, _)| name);
        let child = command(dir, variables, environment)?
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .context("starting the application")?;
        Ok(Self { child, stderr })
    }

    fn status(&mut self) -> String {
        match self.child.try_wait() {
            Ok(Some(status)) => format!("the application ended with {status}"),
            _ => "the application runs".to_owned(),
        }
    }

    /// The end of what it and its components said.
    fn said(&self) -> String {
        let text = std::fs::read(&self.stderr).unwrap_or_default();
        let from = text.len().saturating_sub(SAID_BYTES_MAX);
        String::from_utf8_lossy(&text[from..]).into_owned()
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// With state in memory only, and of the environment nothing that would change the application.
fn command(
    dir: &Path,
    variables: &[String],
    environment: impl Iterator<Item = OsString>,
) -> anyhow::Result<Command> {
    let me = std::env::current_exe().context("finding this program")?;
    let mut command = Command::new(me);
    command
        .args(["up", "--quiet", "--until-stdin-ends"])
        .args(["--listen", "127.0.0.1:0", "--state-dir", "", "--from"])
        .arg(dir)
        .current_dir(dir)
        .env_remove(RUNTIME_CONFIG_VARIABLE)
        .env_remove(LISTEN_VARIABLE);
    for name in environment {
        if name.as_encoded_bytes().starts_with(VARIABLE_PREFIX) {
            command.env_remove(name);
        }
    }
    for variable in variables {
        command.arg("--variable").arg(variable);
    }
    Ok(command)
}

/// The shipped manifest at the pace of seconds, its files where they are.
fn write_manifest(shipped: &Path, to: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(shipped)
        .with_context(|| format!("reading {:?}", shipped.display()))?;
    let mut manifest: Table = text
        .parse()
        .with_context(|| format!("reading {:?}", shipped.display()))?;
    let dir = shipped.parent().unwrap_or(Path::new(""));
    let cron = manifest.get_mut("trigger").and_then(|t| t.get_mut("cron"));
    for trigger in cron.and_then(Value::as_array_mut).into_iter().flatten() {
        replace(trigger, "cron_expression", EVERY_SECOND);
    }
    let components = manifest.get_mut("component").and_then(Value::as_table_mut);
    for (_, component) in components.into_iter().flatten() {
        below(component, "source", dir)?;
        if let Some(build) = component.get_mut("build").and_then(Value::as_table_mut) {
            build.entry("workdir").or_insert_with(|| "".into());
            below(&mut component["build"], "workdir", dir)?;
        }
        if let Some(variables) = component.get_mut("variables") {
            for (name, value) in PACE {
                replace(variables, name, value);
            }
        }
    }
    std::fs::write(to, manifest.to_string()).context("writing the demo's manifest")
}

/// In place of what is there; nothing where nothing is.
fn replace(table: &mut Value, key: &str, value: &str) {
    if let Some(old) = table.get_mut(key) {
        *old = value.into();
    }
}

/// Makes a path absolute.
fn below(table: &mut Value, key: &str, dir: &Path) -> anyhow::Result<()> {
    let path = table
        .get(key)
        .and_then(Value::as_str)
        .map(|path| dir.join(path));
    if let Some(path) = path {
        let text = path.to_str().with_context(|| {
            format!(
                "writing the demo's manifest: got {:?}, want a path that is text",
                path.display()
            )
        })?;
        replace(table, key, text);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn the_demo_is_the_shipped_application_however_it_is_written() {
        let dir = tempfile::tempdir().expect("a folder");
        let shipped = dir.path().join("shipped.toml");
        let text = r#"
            [[trigger.cron]]
            component = "health" # cron_expression = "as shipped"
            cron_expression = '0 * * * * *'
            [component]
            health = { source = "a.wasm", variables = { interval = "60s", timeout = '10s', label = "x = y" } }
            [component.alert]
            source = "/b.wasm"
            build.command = """
interval = "none of this""""
        "#;
        std::fs::write(&shipped, text).expect("writes");
        let to = dir.path().join("spin.toml");
        write_manifest(&shipped, &to).expect("writes");
        let written = std::fs::read_to_string(to).expect("reads");
        let written: Table = written.parse().expect("is TOML");
        let at = |path: &str| dir.path().join(path).display().to_string();
        let want = format!(
            r#"
            [[trigger.cron]]
            component = "health"
            cron_expression = "* * * * * *"
            [component.health]
            source = {:?}
            variables = {{ interval = "2s", timeout = "900ms", label = "x = y" }}
            [component.alert]
            source = "/b.wasm"
            build = {{ command = "interval = \"none of this\"", workdir = {:?} }}
            "#,
            at("a.wasm"),
            at(""),
        );
        assert_eq!(written, want.parse::<Table>().expect("is TOML"));
    }

    #[test]
    fn the_demo_takes_nothing_of_a_real_application_from_the_environment() {
        let own = ["SPIN_VARIABLE_WEBHOOK_URL", "PATH"].map(OsString::from);
        let command = command(Path::new("/"), &[], own.into_iter()).expect("a command");
        let removed: Vec<&OsStr> = command.get_envs().map(|(name, _)| name).collect();
        let want = [
            "RUNTIME_CONFIG_FILE",
            "SPIN_HTTP_LISTEN_ADDR",
            "SPIN_VARIABLE_WEBHOOK_URL",
        ];
        assert_eq!(removed, want);
        assert!(command.get_envs().all(|(_, value)| value.is_none()));
    }
}
