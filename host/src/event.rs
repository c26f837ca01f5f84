//! One event: a fresh store and instance, with nothing in it but what the stanza grants.

use std::sync::Arc;

use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::bindings::{cron, spin};
use crate::chain::Chain;
use crate::component::{Component, Program};
use crate::engine::{self, Deadline};
use crate::imitation::Memory;
use crate::outbound_http::{self, Hooks};
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
    memory: Memory,
}

/// What started the event. `self` requests and service chaining work from HTTP components
/// only, as on Spin.
#[derive(Clone)]
pub enum Origin {
    Cron,
    Http(Chain),
}

/// Everything that a component may import: WASI 0.2, `wasi:http`, Spin's key-value and variables.
pub fn linker(engine: &Engine) -> anyhow::Result<Linker<Event>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    sockets::deny_at_start(&mut linker, |event: &Event| &event.component.permissions)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    outbound_http::trap_at_answer(&mut linker, |event: &Event| event.hooks.fault())?;
    spin::Imports::add_to_linker::<_, HasSelf<Event>>(&mut linker, |event| event)?;
    Ok(linker)
}

/// A store for one event.
pub fn store(program: &Program, origin: Origin, deadline: Deadline) -> Store<Event> {
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
        memory: Memory::new(component),
        component: component.clone(),
    };
    let mut store = Store::new(program.pre.engine(), event);
    store.limiter(|event| &mut event.memory);
    engine::bound(&mut store, deadline);
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
    let deadline = Deadline::after(program.component.imitation.event_max());
    let call = async {
        let mut store = store(program, Origin::Cron, deadline);
        let instance = pre.instantiate_async(&mut store).await?;
        let metadata = cron::fermyon::spin_cron::cron_types::Metadata {
            timestamp: timestamp_unix_s,
        };
        instance.call_handle_cron_event(&mut store, metadata).await
    };
    let returned = tokio::time::timeout_at(deadline.at.into(), call)
        .await
        .map_err(|_| deadline.time_up())??;
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
