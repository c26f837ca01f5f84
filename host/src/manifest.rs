//! `watchbell manifest`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use serde::Serialize;
use watchbell_app::{Finding, Target};
use watchbell_deploy::budget::Budget;
use watchbell_deploy::manifest::{Wish, Written, write};

use crate::cli::{AppArgs, duration};
use crate::{output, say, validate};

#[derive(Args)]
pub struct ManifestArgs {
    #[command(flatten)]
    app: AppArgs,
    /// Where it is to run: spin, spinkube, fermyon-cloud or akamai
    #[arg(long)]
    target: Target,
    /// Write it there, paths changed to fit, not to standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How often something will call each entry; default the most that is usual there
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    every: Option<Duration>,
    /// Try checks that open sockets also where the place promises none
    #[arg(long)]
    sockets: bool,
    /// Say what was changed, the budget and any finding as one JSON object on standard error
    #[arg(long)]
    json: bool,
}

/// What is told beside the manifest, for programs.
#[derive(Serialize)]
struct Told<'a> {
    notes: &'a [String],
    findings: &'a [Finding],
    budget: Option<Budget>,
}

pub fn main(args: &ManifestArgs) -> anyhow::Result<ExitCode> {
    // Nothing is filled in: what holds on this machine does not hold there.
    let application = args.app.from.application()?;
    ensure!(
        !application.is_carried(),
        "--from: got nothing, want the hand-written manifest: the wasm files of the one that this program carries are inside it"
    );
    let options = args.app.load_options(&application, Default::default())?;
    let wish = Wish {
        target: args.target,
        every: args.every,
        sockets: args.sockets,
        directory: args
            .output
            .as_deref()
            .map(|file| output::directory(file).to_owned()),
    };
    match write(&options, &wish) {
        Ok(written) => {
            match &args.output {
                Some(path) => output::file(path, &written.text)?,
                None => output::text(&written.text)?,
            }
            tell(args, &written)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(findings) => {
            refuse(args, &findings)?;
            Ok(ExitCode::from(validate::EXIT_ERRORS))
        }
    }
}

fn tell(args: &ManifestArgs, written: &Written) -> anyhow::Result<()> {
    if args.json {
        return json(&Told {
            notes: &written.notes,
            findings: &written.warnings,
            budget: Some(written.budget),
        });
    }
    validate::print(&written.warnings);
    for note in &written.notes {
        say::info(&format!("changed: {note}"));
    }
    say::info(&written.budget.to_string());
    Ok(())
}

fn refuse(args: &ManifestArgs, findings: &[Finding]) -> anyhow::Result<()> {
    if args.json {
        return json(&Told {
            notes: &[],
            findings,
            budget: None,
        });
    }
    validate::print(findings);
    Ok(())
}

fn json(told: &Told<'_>) -> anyhow::Result<()> {
    say::info(&serde_json::to_string(told)?);
    Ok(())
}
