//! `watchbell validate`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use watchbell_app::{Finding, Level, Target};

use crate::cli::ValidateArgs;
use crate::{output, say, up};

const EXIT_WARNINGS: u8 = 1;
pub const EXIT_ERRORS: u8 = 2;

pub fn main(args: &ValidateArgs) -> anyhow::Result<ExitCode> {
    // What `up` fills in, with the address that it listens at unless told otherwise; elsewhere
    // nothing does.
    let fill = match args.target {
        Target::Spin => up::fill(Some(up::DEFAULT_LISTEN)),
        _ => BTreeMap::new(),
    };
    let application = args.app.from.application()?;
    let options = args.app.load_options(&application, fill)?;
    let findings = watchbell_app::validate_for(&options, args.target);
    if args.json {
        output::text(&format!("{}\n", serde_json::to_string(&findings)?))?;
    } else {
        print(&findings);
        if findings.is_empty() {
            output::text(&format!("{}: no mistake found\n", application.name()))?;
        }
    }
    let code = match findings.iter().map(|f| f.level).min() {
        None => 0,
        Some(Level::Warning) => EXIT_WARNINGS,
        Some(Level::Error) => EXIT_ERRORS,
    };
    Ok(ExitCode::from(code))
}

/// One line a finding, on standard error.
pub fn print(findings: &[Finding]) {
    for finding in findings {
        let text = finding.to_string();
        let (place, rest) = text.split_once(": ").unwrap_or(("", &text));
        let colour = match finding.level {
            Level::Error => "31",
            Level::Warning => "33",
        };
        let place = say::painted(&format!("{place}:"), "1");
        say::info(&format!("{place} {}", say::painted(rest, colour)));
    }
}
