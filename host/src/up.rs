//! `watchbell up`: the application, until a signal.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use rustix::process::{Resource, getpid, getrlimit, kill_process, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use wasmtime::Engine;
use watchbell_app::{App, Target};

use crate::cli::{Application, MANIFEST_NAME, UpArgs};
use crate::component::{self, Program, Shared};
use crate::engine::{self, Running};
use crate::http_server::Server;
use crate::imitation::Imitation;
use crate::key_value::{Backend, Mode};
use crate::{build_step, chain, compiled, cron, resolv, run, say, terminal, validate};

pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3000);
/// After a signal, what runs may go on for so long: most checks end within their 10 s.
const FINISH_MAX: Duration = Duration::from_secs(30);
/// Threads that look up names; the system's resolver blocks the one it is called on.
const BLOCKING_THREADS_MAX: usize = 16;

pub fn main(args: &UpArgs) -> anyhow::Result<ExitCode> {
    terminal::detach()?;
    raise_open_files();
    // Before the application: with port 0, variables depend on which one it became.
    let listener = bind(args.listen);
    let address = listener
        .as_ref()
        .map_or(args.listen, |(_, address)| *address);
    let application = args.app.from.application()?;
    if application.is_carried() {
        say_carried();
    }
    let target = args.imitated();
    // Elsewhere nobody knows it better.
    let fill = match target {
        Target::Spin => fill(Some(address)),
        _ => BTreeMap::new(),
    };
    let options = args.app.run_options(&application, fill)?;
    let mut app = match run::load_for(&options, target) {
        Ok(app) => app,
        Err(code) => return Ok(code),
    };
    validate::print(&app.findings);
    add_environment(&mut app, &args.env)?;
    let listener = if app.http.is_empty() {
        None
    } else {
        Some(listener?)
    };
    build_step::run(&app, args.build)?;
    build_step::warn_of_stale(&app);
    if args.until_stdin_ends {
        end_with_stdin()?;
    }

    // One thread: an event is a few hundred microseconds of work, and handing it between
    // threads would cost a good part of that again.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()?;
    let result = runtime.block_on(serve(&app, application, args, listener));
    // A name lookup that hangs must not keep the process.
    runtime.shutdown_background();
    result.map(|()| ExitCode::SUCCESS)
}

/// Which application it is, where somebody could take it for another.
fn say_carried() {
    say::info("Running the application in this program");
    if Path::new(MANIFEST_NAME).exists() {
        say::info(&format!(
            "The {MANIFEST_NAME} in the current directory is another one: -f . runs that"
        ));
    }
}

/// What the runtime knows better than a manifest's default.
pub fn fill(listen: Option<SocketAddr>) -> BTreeMap<String, String> {
    let resolver = resolv::system().map(|servers| ("dns_resolver".to_owned(), servers));
    let alert = listen.map(|address| ("alert_url".to_owned(), origin(address)));
    resolver.into_iter().chain(alert).collect()
}

async fn serve(
    app: &App,
    files: Application,
    args: &UpArgs,
    listener: Option<(TcpListener, SocketAddr)>,
) -> anyhow::Result<()> {
    let _locks = run::lock(app)?;
    let imitation = Arc::new(Imitation::of(args.imitated()));
    let given = imitation.limits.memory_bytes_max;
    let memory_bytes_max = engine::memory_bytes_max(app.max_instance_memory_bytes, given);
    let other_events = app.cron.len() + chain::events_max(app);
    let engine = engine::engine(other_events, memory_bytes_max)?;
    let running = Running::default();
    let stores = run::stores(app, Mode::Run)?;
    let shared = Shared {
        blocked: Arc::new(app.blocked_networks.clone()),
        stores: stores.clone(),
        http_origin: listener.as_ref().map(|(_, address)| origin(*address)),
        imitation,
        follow: !args.quiet,
    };
    let programs = programs(&engine, app, &shared)?;
    // The code is loaded. What was unpacked for it would outlive a kill.
    drop(files);
    let triggers = cron_triggers(app, &programs)?;
    let server = Arc::new(Server::new(app, programs, running.clone())?);
    engine::start_ticker(&engine, &running)?;

    let mut signals = Signals {
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
    };
    if let Some(target) = args.target {
        say::info(&format!(
            "Imitating {}: what it refuses is refused here",
            target.title()
        ));
    }
    announce(app, &server, listener.as_ref().map(|(_, address)| *address));
    let (stop_cron, cron_stopped) = watch::channel(false);
    let (stop_http, mut http_stopped) = watch::channel(false);
    let mut cron = tokio::spawn(cron::run(triggers, running.clone(), cron_stopped));
    let mut http = match listener {
        Some((listener, _)) => {
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tokio::spawn(server.serve(listener, http_stopped))
        }
        None => tokio::spawn(async move {
            // Without a listener there is as little to do as with one that nobody uses.
            let _ = http_stopped.wait_for(|stopped| *stopped).await;
        }),
    };

    let result = tokio::select! {
        () = signals.next() => Ok(()),
        error = died(&mut cron, &mut http) => Err(error),
    };
    if result.is_ok() {
        stop_cron.send_replace(true);
        // The doorbell stays open: a check that ends now may have to ring.
        let finishing = async {
            running.none().await;
            stop_http.send_replace(true);
            // It has ended, or it died: either way it serves nobody any more.
            let _ = http.await;
            // What a guest does after its response.
            running.none().await;
        };
        finish(&running, finishing, &mut signals).await;
    }
    close(&stores);
    result
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Waits for one of the two to end, which neither does before it is told to: nothing would
/// be watched any more, and nobody would know.
async fn died(cron: &mut JoinHandle<()>, http: &mut JoinHandle<()>) -> anyhow::Error {
    let (what, ended): (&str, Result<(), JoinError>) = tokio::select! {
        ended = cron => ("cron triggers", ended),
        ended = http => ("HTTP trigger", ended),
    };
    match ended {
        Ok(()) => anyhow!("running the {what}: ended by itself"),
        Err(error) => anyhow!("running the {what}: {error}"),
    }
}

/// A signal to ourselves when standard input ends.
fn end_with_stdin() -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(|| {
            // Whether it ended or broke, nobody holds it any more.
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            kill_process(getpid(), rustix::process::Signal::TERM)
        })
        .map(drop)
}

/// As many open files as the operator may have: every check that connects holds one, and
/// the usual soft limit of 1,024 is there for programs that use select(2).
fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        say::debug(&format!("raising the limit of open files: {error}"));
    }
}

/// Every component that a trigger names.
fn programs(
    engine: &Engine,
    app: &App,
    shared: &Shared,
) -> anyhow::Result<HashMap<String, Arc<Program>>> {
    let cache = compiled::Cache::open(app.state_dir.as_deref());
    let http = app.http.iter().map(|t| t.component.as_str());
    let ids: BTreeSet<&str> = http
        .chain(app.cron.iter().map(|t| t.component.as_str()))
        .collect();
    let programs = component::programs(engine, app, ids, shared, |source| {
        cache.load(engine, source)
    })?;
    cache.prune();
    Ok(programs)
}

fn cron_triggers(
    app: &App,
    programs: &HashMap<String, Arc<Program>>,
) -> anyhow::Result<Vec<cron::Trigger>> {
    app.cron
        .iter()
        .map(|trigger| {
            let program = programs
                .get(&trigger.component)
                .filter(|program| program.cron.is_some())
                .with_context(|| {
                    format!(
                        "starting cron trigger {:?}: component {:?} does not export handle-cron-event",
                        trigger.expression, trigger.component
                    )
                })?;
            Ok(cron::Trigger { schedule: trigger.schedule.clone(), program: program.clone() })
        })
        .collect()
}

/// Says what `spin up` says.
fn announce(app: &App, server: &Server, address: Option<SocketAddr>) {
    if let Some(dir) = &app.log_dir {
        say::info(&format!(
            "Logging component stdio to {:?}",
            dir.join("").display()
        ));
    }
    if app
        .components
        .values()
        .any(|c| c.key_value_stores.iter().any(|label| label == "default"))
    {
        match app.key_value_stores.get("default") {
            Some(watchbell_app::Store::Sqlite { path: Some(path) }) => {
                say::info(&format!(
                    "Storing default key-value data to {:?}.",
                    path.display()
                ));
            }
            Some(watchbell_app::Store::Sqlite { path: None }) => {
                say::info("Storing default key-value data to a temporary in-memory store.");
            }
            // Where a Redis is says its URL, which may hold a password.
            Some(watchbell_app::Store::Redis { .. }) => {
                say::info("Storing default key-value data to Redis.")
            }
            None => {}
        }
    }
    let mut lines = Vec::new();
    if let Some(address) = address {
        lines.push(format!("\nServing http://{address}"));
        lines.push("Available Routes:".to_owned());
        for route in &server.routes.listed {
            lines.push(format!("  {}: http://{address}{route}", route.component));
        }
    }
    if !app.cron.is_empty() {
        lines.push("Cron Triggers:".to_owned());
        for trigger in &app.cron {
            lines.push(format!("  {}: {}", trigger.component, trigger.expression));
        }
    }
    // For the last line's end.
    lines.push(String::new());
    terminal::stdout(lines.join("\n").as_bytes());
}

/// Waits for what runs, unless told a second time.
async fn finish(running: &Running, finishing: impl Future<Output = ()>, signals: &mut Signals) {
    if running.count() > 0 {
        say::info(&format!(
            "Finishing {} running event(s); a second signal cuts them",
            running.count()
        ));
    }
    tokio::select! {
        ended = tokio::time::timeout(FINISH_MAX, finishing) => if ended.is_err() {
            say::warn(&format!(
                "{} event(s) and what requests were open after {} s are cut",
                running.count(),
                FINISH_MAX.as_secs()
            ));
        },
        () = signals.next() => {}
    }
}

fn close(stores: &BTreeMap<String, Backend>) {
    for (label, store) in stores {
        if let Err(error) = store.close() {
            say::warn(&format!("closing key-value store {label:?}: {error}"));
        }
    }
}

fn bind(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener =
        TcpListener::bind(address).map_err(|error| anyhow!("listening on {address}: {error}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// How the application reaches itself: through the loopback where it listens on every address.
fn origin(mut address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    format!("http://{address}")
}

fn add_environment(app: &mut App, entries: &[String]) -> anyhow::Result<()> {
    for entry in entries {
        let (name, value) = entry
            .split_once('=')
            .with_context(|| format!("reading --env: got {entry:?}, want name=value"))?;
        for component in app.components.values_mut() {
            component
                .environment
                .insert(name.to_owned(), value.to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_trigger_that_dies_ends_the_runtime_with_its_reason() {
        let mut cron = tokio::spawn(std::future::pending());
        let mut http = tokio::spawn(async { panic!("a bug of ours") });
        let error = died(&mut cron, &mut http).await.to_string();
        assert!(error.starts_with("running the HTTP trigger: "), "{error}");
        assert!(error.contains("a bug of ours"), "{error}");
        let mut http = tokio::spawn(std::future::pending());
        let mut cron = tokio::spawn(async {});
        let error = died(&mut cron, &mut http).await.to_string();
        assert_eq!(error, "running the cron triggers: ended by itself");
    }

    #[test]
    fn up_may_open_as_many_files_as_the_system_allows() {
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum.map(|most| most - 1).or(Some(4_096));
        setrlimit(Resource::Nofile, limit).expect("lowers");
        raise_open_files();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
