//! Service chaining: what a component sends to `http://<component>.spin.internal` goes to that
//! component within the process, by Spin's rules (spinframework/spin v4.0.2,
//! `crates/trigger-http/src/outbound_http.rs`).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::uri::Authority;
use http::{Request, Response};
use tokio::sync::Semaphore;
use wasmtime_wasi_http::{Error, WasiBody};
use watchbell_app::App;

use crate::component::Program;
use crate::engine::Running;
use crate::http_server;
use crate::routes::Match;

/// How many components may wait for one another. Spin has no bound: a component that calls
/// itself takes instances there until none is left for anybody.
pub const DEPTH_MAX: usize = 4;
/// Chained events that may run at once, at each depth; more wait. Each depth has its own, so
/// that what waits for one holds none that could be waited for: no circle.
const EVENTS_PER_DEPTH_MAX: usize = 8;
const DOMAIN: &str = "spin.internal";
/// Who has called, as the callee is told on Spin.
const CALLER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// The components that answer.
pub struct Services {
    /// Those with an HTTP trigger, by id.
    programs: HashMap<String, Arc<Program>>,
    pub running: Running,
    /// One for each depth.
    events: [Arc<Semaphore>; DEPTH_MAX],
}

/// The services as one event sees them.
#[derive(Clone)]
pub struct Chain {
    services: Arc<Services>,
    /// How many callers wait for this event.
    depth: usize,
}

/// Why there is no answer.
pub enum Failed {
    /// No such component has an HTTP trigger. On Spin the caller traps.
    Unknown,
    TooDeep,
    Error(Error),
}

/// The component that an authority names; on any port and with either scheme, as on Spin.
pub fn service(authority: &Authority) -> Option<&str> {
    let (service, domain) = authority.host().split_once('.')?;
    (domain == DOMAIN).then_some(service)
}

/// Chained events that may run at once.
pub fn events_max(app: &App) -> usize {
    let may = |c: &watchbell_app::Component| {
        let hosts = c.allowed_outbound_hosts.as_ref();
        hosts.is_ok_and(|hosts| hosts.allows_some_service())
    };
    match app.components.values().any(may) {
        true => DEPTH_MAX * EVENTS_PER_DEPTH_MAX,
        false => 0,
    }
}

impl Services {
    pub fn new(programs: HashMap<String, Arc<Program>>, running: Running) -> Arc<Self> {
        Arc::new(Self {
            programs,
            running,
            events: std::array::from_fn(|_| Arc::new(Semaphore::new(EVENTS_PER_DEPTH_MAX))),
        })
    }

    pub fn get(&self, id: &str) -> Option<&Arc<Program>> {
        self.programs.get(id)
    }

    /// For an event that somebody outside has asked for.
    pub fn chain(self: &Arc<Self>) -> Chain {
        Chain {
            services: self.clone(),
            depth: 0,
        }
    }
}

impl Chain {
    /// The component's answer, as soon as it is there; what it does afterwards, and what it
    /// does when the caller leaves, goes on until its own time is up.
    pub async fn call(
        &self,
        service: &str,
        request: Request<WasiBody>,
    ) -> Result<Response<WasiBody>, Failed> {
        let services = &self.services;
        let program = services.get(service).ok_or(Failed::Unknown)?.clone();
        let events = services.events.get(self.depth).ok_or(Failed::TooDeep)?;
        let found = Match::service(service, request.uri().path());
        let request = http_server::prepare(request, &found, CALLER)
            .map_err(|_| Failed::Error(Error::HttpRequestUriInvalid))?;
        // Closed it never is.
        let permit = events.clone().acquire_owned().await;
        let guard = (permit, services.running.enter());
        let chain = Self {
            services: services.clone(),
            depth: self.depth + 1,
        };
        Ok(http_server::answer(program, request, chain, guard).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_one_name_under_the_domain() {
        for (authority, want) in [
            ("alert.spin.internal", Some("alert")),
            ("alert.spin.internal:8080", Some("alert")),
            ("user@alert.spin.internal", Some("alert")),
            ("a.alert.spin.internal", None),
            ("spin.internal", None),
            (".spin.internal", Some("")),
            ("alert.spin.internal.", None),
            ("alert.spin.internal.example", None),
            // As written: Spin takes these for another host.
            ("alert.Spin.internal", None),
        ] {
            let parsed: Authority = authority.parse().expect(authority);
            assert_eq!(service(&parsed), want, "{authority:?}");
        }
    }
}
