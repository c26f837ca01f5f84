//! `watchbell check <id>`: one check, once, beside the stored state.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http::Request;
use http::header::{AUTHORIZATION, HOST};
use http_body_util::{BodyExt, Empty, Limited};
use serde_json::Value;
use watchbell_app::{App, LoadOptions, Target, Variables, route_pattern};
use watchbell_core::settings::parse_duration;

use crate::chain::Services;
use crate::cli::CheckArgs;
use crate::component::{self, Shared};
use crate::engine::{self, Running};
use crate::imitation::Imitation;
use crate::key_value::Mode;
use crate::nagios::{self, Outcome};
use crate::say::out;
use crate::{build_step, compiled, http_server, run, up};

/// What a check answers: facts of a certificate chain at most.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// Bytes of the token that lets this one run in.
const TOKEN_BYTES: usize = 16;
/// The variable that holds it, and the one that says whom to ring.
const TOKEN_VARIABLE: &str = "check_token";
const ALERT_VARIABLE: &str = "alert_url";
/// The one by which it asks now, whatever is due, and counts nothing.
const TRIAL_VARIABLE: &str = "trial";

pub fn main(args: &CheckArgs) -> ExitCode {
    match outcome(args) {
        Ok(outcome) => {
            if args.json {
                out!("{}", outcome.json);
            } else {
                out!("{}", nagios::line(&args.id, &outcome));
            }
            ExitCode::from(nagios::exit_code(&outcome))
        }
        Err(error) => not_run(&args.id, &format!("{error:#}"), args.json),
    }
}

/// A plugin's first line is what its scheduler shows: on standard output, too.
pub fn not_run(id: &str, why: &str, json: bool) -> ExitCode {
    if json {
        out!("{}", nagios::not_run_json(id, why));
    } else {
        out!("{}", nagios::not_run(id, why));
    }
    ExitCode::from(nagios::EXIT_UNKNOWN)
}

fn outcome(args: &CheckArgs) -> anyhow::Result<Outcome> {
    let application = args.app.from.application()?;
    let options = args.app.run_options(&application, up::fill(None))?;
    let mut app = run::load(&options).map_err(|_| misconfigured(&options))?;
    let token = trial(&mut app, &args.id)?;
    build_step::run(&app, false)?;
    build_step::warn_of_stale(&app);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(probe(&app, &args.id, &token));
    runtime.shutdown_background();
    result
}

/// The first of what was told on standard error: a scheduler shows one line.
fn misconfigured(options: &LoadOptions) -> anyhow::Error {
    let findings = watchbell_app::validate(options);
    // After broken syntax the rest follows from it.
    let stops = || findings.iter().filter(|f| f.stops_start);
    let first = stops().find(|f| f.id == "toml-syntax").or(stops().next());
    match first {
        Some(finding) => anyhow!("reading the application's configuration: {finding}"),
        None => anyhow!("reading the application's configuration"),
    }
}

/// Leaves the one component, opens its HTTP entry with a fresh token and takes the alert
/// component's address away: a trial run rings nobody.
fn trial(app: &mut App, id: &str) -> anyhow::Result<String> {
    let checks: Vec<&str> = app
        .components
        .values()
        .filter(|c| c.variables.get("check").is_some())
        .map(|c| c.id.as_str())
        .collect();
    if !checks.contains(&id) {
        bail!("got check {id:?}, want one of: {}", checks.join(", "));
    }
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(|e| anyhow!("making a token: {e}"))?;
    let token: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    app.components.retain(|name, _| name == id);
    // What it prints goes to the terminal; the application's own logs are not its business.
    app.log_dir = None;
    if let Some(component) = app.components.get_mut(id) {
        let kept = component
            .variables
            .iter()
            .filter(|(name, _)| ![TOKEN_VARIABLE, ALERT_VARIABLE].contains(name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let ours = [
            (TOKEN_VARIABLE.to_owned(), token.clone()),
            (ALERT_VARIABLE.to_owned(), String::new()),
            (TRIAL_VARIABLE.to_owned(), "on".to_owned()),
        ];
        component.variables = kept.chain(ours).collect::<Variables>();
    }
    Ok(token)
}

async fn probe(app: &App, id: &str, token: &str) -> anyhow::Result<Outcome> {
    let memory_bytes_max = engine::memory_bytes_max(app.max_instance_memory_bytes, None);
    let engine = engine::engine(0, memory_bytes_max)?;
    let shared = Shared {
        blocked: Arc::new(app.blocked_networks.clone()),
        stores: run::stores(app, Mode::Read)?,
        http_origin: None,
        imitation: Arc::new(Imitation::of(Target::Spin)),
        follow: true,
    };
    let cache = compiled::Cache::open(app.state_dir.as_deref());
    let programs = component::programs(&engine, app, [id], &shared, |source| {
        cache.load(&engine, source)
    })?;
    let program = programs.get(id).context("starting the check")?.clone();
    let running = Running::default();
    engine::start_ticker(&engine, &running)?;

    let timeout = app
        .components
        .get(id)
        .and_then(|c| c.variables.get("timeout"))
        .and_then(parse_duration);
    let route = app
        .http
        .iter()
        .find(|t| t.component == id)
        .map(|t| route_pattern(&t.route));
    let path = route
        .filter(|pattern| !pattern.contains(['*', ':']))
        .unwrap_or_default();
    let request = Request::get(format!("http://localhost{path}"))
        .header(HOST, "localhost")
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .body(Empty::<Bytes>::new())?;
    // It rings nobody, so no other component is there.
    let chain = Services::new(HashMap::new(), running.clone()).chain();
    let started = Instant::now();
    let response = http_server::respond(program, request, chain, running.enter()).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|e| anyhow!("reading the check's answer: {e}"))?
        .to_bytes();
    let value: Value = serde_json::from_slice(&body).with_context(|| {
        format!("reading the check's answer: status {status}, want a JSON object")
    })?;
    Outcome::read(value, started.elapsed(), timeout)
        .with_context(|| format!("reading the check's answer: status {status}"))
}
