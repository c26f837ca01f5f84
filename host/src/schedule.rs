//! `watchbell schedule` and `watchbell kustomize`: what calls an application where it has no
//! cron trigger, written to standard output or into a directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use watchbell_app::{App, LoadOptions, application_variables};
use watchbell_core::settings::parse_duration;
use watchbell_deploy::kustomize::{self, Base, DEFAULT_NAMESPACE, Variable};
use watchbell_deploy::schedule::{Schedule, Scheduler};
use watchbell_deploy::{Entries, File, Origin};

use crate::cli::{AppArgs, EXIT_FAILED};
use crate::say::{self, out};
use crate::{terminal, validate};

#[derive(Args)]
pub struct ScheduleArgs {
    #[command(flatten)]
    app: AppArgs,
    /// What calls: akamai, kubernetes, systemd, github-actions or crontab
    #[arg(long, value_name = "SCHEDULER")]
    target: Scheduler,
    /// The application's address, without a path; not for akamai
    #[arg(long, value_name = "URL")]
    url: Option<Origin>,
    /// How often; default 60s, on GitHub 5m
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    every: Option<Duration>,
    /// Write the files into this directory, not to standard output
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

#[derive(Args)]
pub struct KustomizeArgs {
    #[command(flatten)]
    app: AppArgs,
    /// The application in a registry, as `spin registry push` put it there
    #[arg(long, value_name = "REFERENCE")]
    image: String,
    /// The namespace that it is for
    #[arg(long, value_name = "NAME", default_value = DEFAULT_NAMESPACE)]
    namespace: String,
    /// Write the files into this directory
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
}

/// What a manifest for SpinKube does not declare.
const ALERT_URL: &str = "alert_url";

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "want a duration such as 20s, 60s or 5m".to_owned())
}

pub fn schedule(args: &ScheduleArgs) -> anyhow::Result<ExitCode> {
    let application = args.app.from.application()?;
    let options = args.app.load_options(&application, Default::default())?;
    let app = match load(&options) {
        Ok(app) => app,
        Err(code) => return Ok(code),
    };
    let origin = args.url.as_ref().filter(|_| !args.target.is_inside());
    if origin.is_some_and(Origin::is_clear) && args.target != Scheduler::Kubernetes {
        let text = "--url: got http, want https: the token crosses the network in clear";
        say::warn(text);
    }
    let entries = Entries::of(&app)?;
    let schedule = Schedule {
        entries: &entries,
        origin,
        every: args.every.unwrap_or_else(|| args.target.every()),
    };
    let files = schedule.files(args.target)?;
    match &args.output {
        Some(dir) => write(dir, &files)?,
        None => print(&files),
    }
    Ok(ExitCode::SUCCESS)
}

pub fn kustomize(args: &KustomizeArgs) -> anyhow::Result<ExitCode> {
    // For reading alone: there a check rings inside the application.
    let origin = kustomize::origin(&args.namespace)?;
    let alert_url = (ALERT_URL.to_owned(), origin.to_string());
    let application = args.app.from.application()?;
    let options = args.app.load_options(&application, [alert_url].into())?;
    let app = match load(&options) {
        Ok(app) => app,
        Err(code) => return Ok(code),
    };
    // Its findings are among those of the application, which have been told.
    let (variables, _) = application_variables(&options);
    let variables: Vec<Variable<'_>> = variables
        .iter()
        .filter(|(name, _)| *name != ALERT_URL)
        .map(|(name, variable)| Variable {
            name,
            value: variable.value.as_deref(),
            secret: variable.secret,
        })
        .collect();
    let base = Base {
        app: &app,
        variables: &variables,
        image: &args.image,
        namespace: &args.namespace,
    };
    write(&args.output, &base.files()?)?;
    Ok(ExitCode::SUCCESS)
}

/// The application; what runs it elsewhere has its own say about what this runtime lacks.
fn load(options: &LoadOptions) -> Result<App, ExitCode> {
    App::load(options).map_err(|findings| {
        validate::print(&findings);
        ExitCode::from(EXIT_FAILED)
    })
}

/// One file as it is; of several, each under a line with its name.
fn print(files: &[File]) {
    for file in files {
        if files.len() > 1 {
            out!("# ---- {}", file.name);
        }
        terminal::stdout(file.text.as_bytes());
    }
}

fn write(dir: &Path, files: &[File]) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("making the directory {dir:?}"))?;
    for file in files {
        let path = dir.join(file.name);
        // A link at that name would put the text elsewhere.
        if path.is_symlink() {
            return Err(anyhow!(
                "writing {path:?}: got a symbolic link, want a file or nothing"
            ));
        }
        fs::write(&path, &file.text).with_context(|| format!("writing {path:?}"))?;
        say::info(&path.display().to_string());
    }
    Ok(())
}
