//! `watchbell manifest`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use watchbell_app::{Finding, Target};
use watchbell_core::settings::parse_duration;
use watchbell_deploy::budget::Budget;
use watchbell_deploy::manifest::{Wish, Written, write};

use crate::cli::AppArgs;
use crate::{say, terminal, validate};

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

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "want a duration such as 60s or 5m".to_owned())
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
    let application = args.app.from.on_disk()?;
    let options = args.app.load_options(&application, Default::default())?;
    let wish = Wish {
        target: args.target,
        every: args.every,
        sockets: args.sockets,
        directory: args.output.as_deref().map(directory),
    };
    match write(&options, &wish) {
        Ok(written) => {
            put(args.output.as_deref(), &written.text)?;
            tell(args, &written)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(findings) => {
            refuse(args, &findings)?;
            Ok(ExitCode::from(validate::EXIT_ERRORS))
        }
    }
}

fn directory(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn put(output: Option<&Path>, text: &str) -> anyhow::Result<()> {
    match output {
        Some(path) => {
            let dir = directory(path);
            fs::create_dir_all(&dir).with_context(|| format!("making the directory {dir:?}"))?;
            fs::write(path, text).with_context(|| format!("writing {path:?}"))
        }
        None => {
            terminal::stdout(text.as_bytes());
            Ok(())
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
