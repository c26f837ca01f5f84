//! What `up` and `check` share: from a loaded application to programs that run.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use watchbell_app::{App, LoadOptions, Store};

use crate::cli::EXIT_FAILED;
use crate::key_value::{Backend, Mode, Overlay, Redis, Sqlite};
use crate::lock::{self, Lock};
use crate::{say, validate};

/// The application, or what is wrong with it, told to the operator. What does not keep it
/// from starting is left in `findings`.
pub fn load(options: &LoadOptions) -> Result<App, ExitCode> {
    match App::load(options) {
        Ok(app) => {
            for component in app.components.values() {
                // Between components, Spin's own router would be needed.
                if component
                    .allowed_outbound_hosts
                    .as_ref()
                    .is_ok_and(|hosts| hosts.has_service_chaining())
                {
                    say::error(&format!(
                        "component {:?}: got a host *.spin.internal in allowed_outbound_hosts, want none: this runtime has no service chaining",
                        component.id
                    ));
                    return Err(ExitCode::from(EXIT_FAILED));
                }
            }
            Ok(app)
        }
        Err(findings) => {
            validate::print(&findings);
            Err(ExitCode::from(EXIT_FAILED))
        }
    }
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
