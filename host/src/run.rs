//! What `up` and `check` share: from a loaded application to programs that run.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use watchbell_app::{App, LoadOptions, Store, Target};

use crate::cli::EXIT_FAILED;
use crate::key_value::{Backend, Mode, Overlay, Redis, Sqlite};
use crate::lock::{self, Lock};
use crate::validate;

/// The application, or what is wrong with it, told to the operator. What does not keep it
/// from starting is left in `findings`.
pub fn load(options: &LoadOptions) -> Result<App, ExitCode> {
    load_for(options, Target::Spin)
}

/// As [`load`]; what the target refuses at its deployment keeps it from starting, too.
pub fn load_for(options: &LoadOptions, target: Target) -> Result<App, ExitCode> {
    App::load_for(options, target).map_err(|findings| {
        validate::print(&findings);
        ExitCode::from(EXIT_FAILED)
    })
}

/// The stores that some component lists. Opened once each, though several labels may share a file.
pub fn stores(app: &App, mode: Mode) -> anyhow::Result<BTreeMap<String, Backend>> {
    let mut opened: Vec<(&Store, Backend)> = Vec::new();
    let mut stores = BTreeMap::new();
    for (label, store) in used(app) {
        let known = opened
            .iter()
            .find(|(s, _)| *s == store)
            .map(|(_, backend)| backend.clone());
        let backend = match known {
            Some(backend) => backend,
            None => {
                let backend = open(store, mode)?;
                opened.push((store, backend.clone()));
                backend
            }
        };
        stores.insert(label.clone(), backend);
    }
    Ok(stores)
}

/// Keeps a second runtime off the files that [`stores`] opens for running.
pub fn lock(app: &App) -> anyhow::Result<Vec<Lock>> {
    let files = used(app).filter_map(|(_, store)| match store {
        Store::Sqlite { path } => path.as_deref().map(lock::real_path),
        Store::Redis { .. } => None,
    });
    let files: BTreeSet<_> = files.collect::<Result<_, _>>()?;
    files.iter().map(|file| lock::take(file)).collect()
}

/// The stores that some component lists.
fn used(app: &App) -> impl Iterator<Item = (&String, &Store)> {
    app.key_value_stores.iter().filter(|(label, _)| {
        let mut components = app.components.values();
        components.any(|c| c.key_value_stores.contains(label))
    })
}

fn open(store: &Store, mode: Mode) -> anyhow::Result<Backend> {
    let backend = match store {
        Store::Sqlite { path } => Backend::Sqlite(Sqlite::open(path.as_deref(), mode)?),
        Store::Redis { url } => Backend::Redis(Redis::new(url)?),
    };
    Ok(match mode {
        Mode::Run => backend,
        Mode::Read => Backend::Overlay(Overlay::over(backend)),
    })
}
