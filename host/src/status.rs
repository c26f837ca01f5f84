//! `watchbell status` and `watchbell explain`: what a running application shows, in a terminal.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::de::DeserializeOwned;
use serde_json::Value;
use watchbell_core::outcome::one_line;
use watchbell_core::time::{UnixMs, for_people};
use watchbell_status::api::Checks;
use watchbell_status::view::{Detail, State, Status, Uptime};

use crate::ask::{Application, ask};
use crate::say::{self, out};

/// Which application.
#[derive(Args)]
pub struct Source {
    #[command(flatten)]
    application: Application,
    /// Its status_token, for targets, details and errors; better in the environment
    #[arg(
        long,
        value_name = "TOKEN",
        env = "WATCHBELL_STATUS_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
}

/// No line of ours is longer.
const TEXT_CHARS_MAX: usize = 600;

#[derive(Subcommand)]
pub enum Look {
    /// Show what a running application shows: every check, its state, latency and uptime
    ///
    /// Exit code 0: all is well, 1: something is down or unknown, or could not be asked.
    Status {
        #[command(flatten)]
        source: Source,
    },
    /// Say why a check is in its state, and what would change it
    Explain {
        /// The check's id
        check: String,
        #[command(flatten)]
        source: Source,
    },
}

pub fn main(look: &Look) -> anyhow::Result<ExitCode> {
    match look {
        Look::Status { source } => status(source),
        Look::Explain { check, source } => explain(source, check),
    }
}

fn get(source: &Source, path: &str) -> anyhow::Result<Value> {
    let url = source.application.at(&format!("api/v1/{path}"));
    let token = source.token.as_deref().filter(|t| !t.is_empty());
    ask(&url, token, None).map_err(|error| match error.to_string().contains("status 401") {
        true => error.context("want its status_token, as --token or WATCHBELL_STATUS_TOKEN"),
        false => error,
    })
}

fn read<T: DeserializeOwned>(answer: Value, what: &str) -> anyhow::Result<T> {
    serde_json::from_value(answer)
        .with_context(|| format!("reading {what}: another version of Watchbell?"))
}

fn status(source: &Source) -> anyhow::Result<ExitCode> {
    let answer = get(source, "status")?;
    let status: Status = read(answer.clone(), "the status")?;
    let well = ![State::Down, State::Unknown].contains(&status.state);
    let code = match well && status.incidents.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    };
    let checks = checks(source)?;
    if source.application.json {
        let mut answer = answer;
        answer["checks"] = serde_json::to_value(&checks)?;
        out!("{answer}");
        return Ok(code);
    }
    out!("{}", painted(status.state, &plain(&status.summary)));
    for incident in &status.incidents {
        let (id, summary) = (plain(&incident.incident), plain(&incident.summary));
        let acknowledged = match (incident.acknowledged, &incident.acknowledged_by) {
            (true, Some(by)) if !by.is_empty() => format!(", acknowledged by {}", plain(by)),
            (true, _) => ", acknowledged".to_owned(),
            (false, _) => String::new(),
        };
        let held = incident.held_by.as_ref();
        let held = held.map_or_else(String::new, |by| format!(", held back by {}", plain(by)));
        out!("\n{id}: {summary}{acknowledged}{held}");
        for line in incident.evidence.iter().flatten() {
            out!("  {}", plain(line));
        }
        for action in incident.action.iter().filter(|a| !a.is_empty()) {
            out!("  to do: {}", plain(action));
        }
    }
    if !checks.is_empty() {
        out!("\n{}", table(&checks, now()));
    }
    let all = status.services.iter().flat_map(|s| &s.checks);
    for check in all.filter(|c| c.unreadable) {
        out!("{}: its record cannot be read", plain(&check.check));
    }
    if let Some(delivery) = &status.delivery {
        for channel in &delivery.channels {
            let error = channel.last_error.as_ref();
            let error = error.map_or_else(String::new, |e| format!("; last: {}", plain(e)));
            out!(
                "channel {}: {} delivered, {} waiting, {} dead letters{error}",
                plain(&channel.channel),
                channel.delivered,
                channel.waiting,
                channel.dead
            );
        }
    }
    Ok(code)
}

fn now() -> UnixMs {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixMs(since_epoch.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
}

/// All of them, however many answers that takes.
fn checks(source: &Source) -> anyhow::Result<Vec<Detail>> {
    let mut all: Vec<Detail> = Vec::new();
    let mut path = "checks".to_owned();
    loop {
        let Checks { checks, next } = read(get(source, &path)?, "the checks")?;
        all.extend(checks);
        match next {
            // Each answer begins after the one before; one that does not would never end.
            Some(next) if all.last().is_some_and(|c| c.check.check == next) => {
                path = format!("checks?after={next}");
            }
            Some(next) => bail!("reading the checks: got {next:?} as the next, want the last"),
            None => return Ok(all),
        }
    }
}

fn table(checks: &[Detail], now: UnixMs) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    let bars = std::io::stdout().is_terminal();
    let mut header = vec!["check", "state", "for", "last", "24 h", "30 d", "90 d"];
    if bars {
        header.push("latency, 24 h");
    }
    table.set_header(header);
    for detail in checks {
        let check = &detail.check;
        let state = match (check.off, check.flapping) {
            (true, _) => "off".to_owned(),
            (_, true) => format!("{}, flapping", check.state.as_str()),
            _ => check.state.as_str().to_owned(),
        };
        let last = check.last.as_ref();
        let mut row = vec![
            Cell::new(plain(&check.check)),
            Cell::new(painted(check.state, &state)),
            right(for_people(now.since(check.since.0))),
            right(last.map_or_else(|| "-".to_owned(), |l| format!("{} ms", l.duration_ms))),
            right(percent(&detail.uptime.day)),
            right(percent(&detail.uptime.month)),
            right(percent(&detail.uptime.quarter)),
        ];
        if bars {
            row.push(Cell::new(sparkline(&detail.hourly_ms)));
        }
        table.add_row(row);
    }
    table
}

/// What an application answers may be anybody's words: nothing of it moves the cursor or
/// turns the text around.
fn plain(text: &str) -> String {
    one_line(text, TEXT_CHARS_MAX)
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn percent(uptime: &Uptime) -> String {
    uptime
        .percent
        .map_or_else(|| "-".to_owned(), |p| format!("{p:.3} %"))
}

/// A bar a value, as high as it is beside the highest; a dot where there is none.
fn sparkline(values: &[Option<u32>]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let highest = values.iter().flatten().copied().max().unwrap_or(0);
    let bar = |value: &Option<u32>| match value {
        None => '·',
        Some(value) => {
            let eighths = u64::from(*value) * 7 / u64::from(highest.max(1));
            BARS[usize::try_from(eighths).unwrap_or(0).min(7)]
        }
    };
    values.iter().map(bar).collect()
}

/// In the state's colour, where standard output has colour.
fn painted(state: State, text: &str) -> String {
    let colour = match state {
        State::Up => "32",
        State::Down => "31",
        State::Pending | State::Degraded => "33",
        State::Unknown => "2",
    };
    say::painted_out(text, colour)
}

fn explain(source: &Source, check: &str) -> anyhow::Result<ExitCode> {
    if !check
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        || check.is_empty()
    {
        bail!("got check {check:?}, want a check's id, as `watchbell status` lists them");
    }
    let answer = get(source, &format!("checks/{check}"))?;
    if source.application.json {
        out!("{answer}");
        return Ok(ExitCode::SUCCESS);
    }
    let detail: Detail = read(answer, "the check")?;
    out!("{} ({check})", plain(&detail.check.label));
    for line in &detail.explanation {
        out!("{}", plain(line));
    }
    let day = &detail.uptime.day;
    if let Some(percent) = day.percent {
        let unknown = match day.unknown_s {
            0 => String::new(),
            s => format!(", {} of it unknown", for_people(Duration::from_secs(s))),
        };
        out!("in the last 24 hours it was up {percent:.3} % of the time{unknown}");
    }
    for action in detail.action.iter().filter(|a| !a.is_empty()) {
        out!("to do when it fails: {}", plain(action));
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_is_as_high_as_its_highest() {
        for (values, want) in [
            (&[][..], ""),
            (&[None], "·"),
            (&[Some(5)], "█"),
            (&[Some(0)], "▁"),
            (&[Some(0), None, Some(50), Some(100)], "▁·▄█"),
            (&[Some(u32::MAX), Some(1)], "█▁"),
        ] {
            assert_eq!(sparkline(values), want, "{values:?}");
        }
    }
}
