//! One component of the application, ready to be instantiated any number of times.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::Context;
use wasmtime::Engine;
use wasmtime::component::{Component as Wasm, InstancePre, Linker};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use watchbell_app::{App, BlockedNetworks, Variables};

use crate::bindings::cron::SpinCronPre;
use crate::engine;
use crate::event::{self, Event};
use crate::imitation::Imitation;
use crate::key_value::Stores;
use crate::logs::ComponentLogs;
use crate::outbound_http::OutboundHttp;
use crate::sockets::Permissions;

/// What an instance of the component gets from us, and nothing else.
pub struct Component {
    pub id: String,
    pub environment: Vec<(String, String)>,
    pub variables: Variables,
    pub stores: Stores,
    pub permissions: Arc<Permissions>,
    pub outbound_http: Arc<OutboundHttp>,
    pub logs: ComponentLogs,
    pub memory_bytes_max: usize,
    pub imitation: Arc<Imitation>,
}

/// A component with its code linked.
pub struct Program {
    pub component: Arc<Component>,
    pub pre: InstancePre<Event>,
    /// There if it exports `handle-cron-event`.
    pub cron: Option<SpinCronPre<Event>>,
    /// There if it exports `wasi:http/incoming-handler`.
    pub http: Option<ProxyPre<Event>>,
}

impl Program {
    fn new(component: Component, pre: InstancePre<Event>) -> Self {
        Self {
            // A component that lacks the export is only wrong if a trigger names it.
            cron: SpinCronPre::new(pre.clone()).ok(),
            http: ProxyPre::new(pre.clone()).ok(),
            component: Arc::new(component),
            pre,
        }
    }
}

/// What all components of one run share.
pub struct Shared {
    pub blocked: Arc<BlockedNetworks>,
    pub stores: BTreeMap<String, crate::key_value::Backend>,
    /// Where `self` and relative requests go; cron-only applications have none.
    pub http_origin: Option<String>,
    pub imitation: Arc<Imitation>,
    /// Component output to the terminal too.
    pub follow: bool,
}

/// Links the components with these ids.
pub fn programs<'a>(
    engine: &Engine,
    app: &App,
    ids: impl IntoIterator<Item = &'a str>,
    shared: &Shared,
    code: impl Fn(&std::path::Path) -> anyhow::Result<Wasm>,
) -> anyhow::Result<HashMap<String, Arc<Program>>> {
    let linker = event::linker(engine)?;
    // Components that share a wasm file share its code.
    let mut by_source: HashMap<std::path::PathBuf, Wasm> = HashMap::new();
    let requests = app
        .outbound_http
        .max_concurrent_requests
        .map(|n| Arc::new(tokio::sync::Semaphore::new(n)));
    let mut programs = HashMap::new();
    for id in ids {
        let from = app.components.get(id).with_context(|| {
            format!("starting component {id:?}: the manifest has none of that name")
        })?;
        let wasm = match by_source.get(&from.source) {
            Some(wasm) => wasm.clone(),
            None => {
                let wasm = code(&from.source)?;
                by_source.insert(from.source.clone(), wasm.clone());
                wasm
            }
        };
        let pre = link(&linker, &wasm).with_context(|| {
            format!(
                "linking component {id:?} ({}): it imports what this runtime does not offer",
                from.source.display()
            )
        })?;
        let component = component(app, from, shared, requests.clone())?;
        programs.insert(id.to_owned(), Arc::new(Program::new(component, pre)));
    }
    Ok(programs)
}

fn link(linker: &Linker<Event>, wasm: &Wasm) -> anyhow::Result<InstancePre<Event>> {
    Ok(linker.instantiate_pre(wasm)?)
}

fn component(
    app: &App,
    from: &watchbell_app::Component,
    shared: &Shared,
    requests: Option<Arc<tokio::sync::Semaphore>>,
) -> anyhow::Result<Component> {
    let permissions = Arc::new(Permissions::new(
        &from.id,
        &from.allowed_outbound_hosts,
        shared.blocked.clone(),
        shared.imitation.clone(),
    ));
    let given = shared.imitation.limits.memory_bytes_max;
    Ok(Component {
        id: from.id.clone(),
        environment: from
            .environment
            .iter()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
        variables: from.variables.clone(),
        stores: Stores::new(&from.key_value_stores, &shared.stores),
        outbound_http: Arc::new(OutboundHttp::new(
            permissions.clone(),
            &app.client_tls,
            shared.http_origin.clone(),
            requests,
        )?),
        permissions,
        logs: ComponentLogs::new(app.log_dir.as_deref(), &from.id, shared.follow),
        memory_bytes_max: engine::memory_bytes_max(app.max_instance_memory_bytes, given),
        imitation: shared.imitation.clone(),
    })
}
