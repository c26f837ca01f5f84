//! `watchbell schedule` and `watchbell kustomize`: what calls an application where it has no
//! cron trigger, written to standard output or into a directory.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use watchbell_app::{App, Finding, LoadOptions, Target, application_variables};
use watchbell_deploy::kustomize::{self, Base, DEFAULT_NAMESPACE, Variable};
use watchbell_deploy::schedule::{Schedule, Scheduler};
use watchbell_deploy::{Entries, Origin, Refused, manifest};

use crate::cli::{AppArgs, duration};
use crate::{output, say, validate};

#[derive(Args)]
pub struct ScheduleArgs {
    #[command(flatten)]
    app: AppArgs,
    /// What calls: akamai, kubernetes, systemd, github-actions or crontab
    #[arg(long, value_name = "SCHEDULER")]
    target: Scheduler,
    /// The application's address, without a path; not for akamai
    #[arg(long, value_name = "URL")]
    // Parsed later: clap repeats what it refuses, and there may be a password in it.
    url: Option<String>,
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

pub fn schedule(args: &ScheduleArgs) -> anyhow::Result<ExitCode> {
    let application = args.app.from.application()?;
    let options = args.app.load_options(&application, Default::default())?;
    // Where another scheduler calls, the application may be anywhere: its entries are the same.
    let target = (args.target == Scheduler::Akamai).then_some(Target::Akamai);
    let text = match manifest::at(&options, target) {
        Ok(text) => text,
        Err(findings) => return Ok(refuse_all(&findings)),
    };
    let origin = match args.url.as_deref().map(str::parse::<Origin>).transpose() {
        Ok(origin) => origin,
        Err(why) => return Ok(refuse(&Refused(vec![format!("--url: {why}")]))),
    };
    if origin.as_ref().is_some_and(Origin::is_clear) && args.target != Scheduler::Kubernetes {
        let text = "--url: got http, want https: the token crosses the network in clear";
        say::warn(text);
    }
    let files = Entries::read(&text).and_then(|entries| {
        let schedule = Schedule {
            entries: &entries,
            origin: origin.as_ref(),
            every: args.every.unwrap_or_else(|| args.target.every()),
        };
        schedule.files(args.target)
    });
    match (files, &args.output) {
        (Ok(files), Some(dir)) => output::files(dir, &files)?,
        (Ok(files), None) => output::texts(&files)?,
        (Err(refused), _) => return Ok(refuse(&refused)),
    }
    Ok(ExitCode::SUCCESS)
}

pub fn kustomize(args: &KustomizeArgs) -> anyhow::Result<ExitCode> {
    let origin = match kustomize::origin(&args.namespace) {
        Ok(origin) => origin,
        Err(refused) => return Ok(refuse(&refused)),
    };
    let application = args.app.from.application()?;
    let options = args.app.load_options(&application, Default::default())?;
    // What runs there is made of it: what is wrong with that is wrong here.
    if let Err(findings) = manifest::at(&options, Some(Target::Spinkube)) {
        return Ok(refuse_all(&findings));
    }
    // For reading alone: there a check rings inside the application.
    let alert_url = (ALERT_URL.to_owned(), origin.to_string());
    let options = LoadOptions {
        fill: [alert_url].into(),
        ..options
    };
    let app = match App::load(&options) {
        Ok(app) => app,
        Err(findings) => return Ok(refuse_all(&findings)),
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
    match base.files() {
        Ok(files) => output::files(&args.output, &files)?,
        Err(refused) => return Ok(refuse(&refused)),
    }
    say::info(&format!(
        "No secret is written: secrets.env wants values for {}",
        base.secrets_wanted().join(", ")
    ));
    Ok(ExitCode::SUCCESS)
}

fn refuse(refused: &Refused) -> ExitCode {
    for mistake in &refused.0 {
        say::error(mistake);
    }
    ExitCode::from(validate::EXIT_ERRORS)
}

fn refuse_all(findings: &[Finding]) -> ExitCode {
    validate::print(findings);
    ExitCode::from(validate::EXIT_ERRORS)
}
