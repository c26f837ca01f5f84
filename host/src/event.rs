//! One event: a fresh store and instance, with nothing in it but what the stanza grants.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime::{Engine, Store, StoreLimits};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::bindings::{cron, spin};
use crate::component::{Component, Program};
use crate::engine::{self, EVENT_DURATION_MAX, TimeUp};
use crate::outbound_http::Hooks;
use crate::sockets;

/// What the host functions of one event see.
pub struct Event {
    pub component: Arc<Component>,
    pub table: ResourceTable,
    /// Stores that the guest holds open.
    pub open_stores: usize,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    limits: StoreLimits,
}

/// What started the event. `self` requests work from HTTP components only, as on Spin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Cron,
    Http,
}

/// Everything that a component may import: WASI 0.2, `wasi:http`, Spin's key-value and variables.
pub fn linker(engine: &Engine) -> anyhow::Result<Linker<Event>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    sockets::deny_at_start(&mut linker, |event: &Event| &event.component.permissions)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    spin::Imports::add_to_linker::<_, HasSelf<Event>>(&mut linker, |event| event)?;
    Ok(linker)
}

/// A store for one event, which ends at `until`.
pub fn store(program: &Program, origin: Origin, until: Instant) -> Store<Event> {
    let component = &program.component;
    let mut wasi = WasiCtx::builder();
    wasi.envs(&component.environment)
        .stdout(component.logs.stdout.clone())
        .stderr(component.logs.stderr.clone());
    sockets::permit(&mut wasi, component.permissions.clone());
    let event = Event {
        table: ResourceTable::new(),
        open_stores: 0,
        wasi: wasi.build(),
        http: WasiHttpCtx::new(),
        hooks: Hooks::new(component.outbound_http.clone(), origin),
        limits: engine::limits(component.memory_bytes_max),
        component: component.clone(),
    };
    let mut store = Store::new(program.pre.engine(), event);
    store.limiter(|event| &mut event.limits);
    engine::bound(&mut store, until);
    store
}

/// Runs the cron handler once. The outer error is a trap, a lack of slots or the time limit;
/// the inner one is what the guest returned.
pub async fn run_cron(
    program: &Program,
    timestamp_unix_s: u64,
) -> anyhow::Result<Result<(), String>> {
    let Some(pre) = &program.cron else {
        anyhow::bail!("the component does not export handle-cron-event");
    };
    let call = async {
        let mut store = store(program, Origin::Cron, Instant::now() + EVENT_DURATION_MAX);
        let instance = pre.instantiate_async(&mut store).await?;
        let metadata = cron::fermyon::spin_cron::cron_types::Metadata {
            timestamp: timestamp_unix_s,
        };
        instance.call_handle_cron_event(&mut store, metadata).await
    };
    let returned = tokio::time::timeout(EVENT_DURATION_MAX, call)
        .await
        .map_err(|_| TimeUp)??;
    Ok(returned.map_err(|error| match error {
        cron::Error::Other(text) => text,
    }))
}

impl WasiView for Event {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Event {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}
