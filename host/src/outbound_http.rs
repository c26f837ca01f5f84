//! `wasi:http/outgoing-handler` with Spin's outcomes, case by case.
//!
//! wasmtime-wasi-http's own way of sending is not used: it makes one error of refused,
//! unreachable and unresolved, and its TLS handshake is under no time limit.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, HostFutureIncomingResponse as _};
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostIncomingResponse};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks, WasiHttpView};
use watchbell_app::ClientTls;

use crate::chain::{self, Failed};
use crate::event::Origin;
use crate::say;
use crate::sockets::Permissions;

mod body;
mod connect;
mod exchange;
mod tls;

/// What Spin waits where the guest sets no limit.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);
/// The host name that stands for the application itself where an SDK insists on one.
const SELF_HOST: &str = "self.alt";

/// Outbound HTTP of one component.
pub struct OutboundHttp {
    permissions: Arc<Permissions>,
    tls: tls::Configs,
    /// `http://address` of the application's own listener.
    origin: Option<Uri>,
    requests: Option<Arc<Semaphore>>,
}

impl OutboundHttp {
    pub fn new(
        permissions: Arc<Permissions>,
        client_tls: &ClientTls,
        origin: Option<String>,
        requests: Option<Arc<Semaphore>>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            tls: tls::Configs::new(client_tls, &permissions.component)?,
            permissions,
            origin: origin.map(|origin| origin.parse()).transpose()?,
            requests,
        })
    }
}

/// What one event's requests go through.
pub struct Hooks {
    outbound: Arc<OutboundHttp>,
    event: Origin,
    fault: Arc<OnceLock<String>>,
}

impl Hooks {
    pub fn new(outbound: Arc<OutboundHttp>, event: Origin) -> Self {
        Self {
            outbound,
            event,
            fault: Arc::default(),
        }
    }

    /// Why the guest is to trap when it looks at an answer.
    pub fn fault(&self) -> Option<&str> {
        self.fault.get().map(String::as_str)
    }
}

type Sent = Result<(Response<WasiBody>, Driver), Error>;
/// Carries the connection on while the guest reads the body.
type Driver = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        // What the guest thinks of the response: nothing here depends on it.
        _outcome: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let outbound = self.outbound.clone();
        let event = self.event.clone();
        let fault = self.fault.clone();
        let limits = Limits::from(options);
        Box::new(async move {
            // A refusal, too, comes from the future and not from `handle`.
            let target = outbound.authorise(request.uri(), &event)?;
            let service = chain::service(&target.authority);
            if let (Origin::Http(chain), Some(service)) = (&event, service)
                && outbound.permissions.chains()
            {
                return outbound
                    .chain(chain, service, request, limits, &fault)
                    .await;
            }
            outbound.send(request, target, limits).await
        })
    }

    /// `Host` follows from the URL, when it is known where the request goes.
    fn set_host_header(&mut self) -> bool {
        false
    }
}

struct Limits {
    connect: Duration,
    first_byte: Duration,
    between_bytes: Duration,
}

impl From<Option<RequestOptions>> for Limits {
    fn from(options: Option<RequestOptions>) -> Self {
        let options = options.unwrap_or_default();
        Self {
            connect: options.connect_timeout.unwrap_or(DEFAULT_TIMEOUT),
            first_byte: options.first_byte_timeout.unwrap_or(DEFAULT_TIMEOUT),
            between_bytes: options.between_bytes_timeout.unwrap_or(DEFAULT_TIMEOUT),
        }
    }
}

/// Where a request goes.
struct Target {
    authority: Authority,
    path_and_query: PathAndQuery,
    tls: bool,
}

impl OutboundHttp {
    /// Spin's order: permission first, then whether there is an origin for a relative URL.
    fn authorise(&self, uri: &Uri, event: &Origin) -> Result<Target, Error> {
        let path_and_query = uri
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/"));
        // wasmtime makes `https://:443/path` of a relative URL.
        let authority = uri.authority().filter(|a| !a.host().is_empty());
        match authority {
            Some(authority) if authority.host() != SELF_HOST => {
                if !self.permissions.allows_url(&uri.to_string()) {
                    return Err(Error::HttpRequestDenied);
                }
                let tls = uri.scheme() == Some(&Scheme::HTTPS);
                Ok(Target {
                    authority: authority.clone(),
                    path_and_query,
                    tls,
                })
            }
            _ => {
                if !self.permissions.allows_self() {
                    return Err(Error::HttpRequestDenied);
                }
                let from_http = matches!(event, Origin::Http(_));
                let origin = self.origin.as_ref().filter(|_| from_http);
                let authority = origin
                    .and_then(Uri::authority)
                    .ok_or(Error::HttpRequestUriInvalid)?;
                Ok(Target {
                    authority: authority.clone(),
                    path_and_query,
                    tls: false,
                })
            }
        }
    }

    /// To another component: neither the limits up to the headers nor the number of
    /// requests count, as on Spin.
    async fn chain(
        &self,
        chain: &chain::Chain,
        service: &str,
        mut request: Request<WasiBody>,
        limits: Limits,
        fault: &OnceLock<String>,
    ) -> Sent {
        request.headers_mut().remove(HOST);
        let component = &self.permissions.component;
        match chain.call(service, request).await {
            Ok(response) => {
                let response = response
                    .map(|body| body::Timed::new(body, limits.between_bytes).boxed_unsync());
                Ok((response, Box::new(std::future::ready(Ok(())))))
            }
            Err(Failed::Unknown) => {
                let why = format!("calling component {service:?}: it has no HTTP trigger");
                // Of several, one is enough to trap by.
                let _ = fault.set(why);
                Err(Error::DestinationNotFound)
            }
            Err(Failed::TooDeep) => {
                say::error(&format!(
                    "component {component:?}: calling component {service:?}: {} components wait for one another, want fewer",
                    chain::DEPTH_MAX
                ));
                Err(Error::LoopDetected)
            }
            Err(Failed::Error(error)) => Err(error),
        }
    }

    async fn send(&self, request: Request<WasiBody>, target: Target, limits: Limits) -> Sent {
        if !self.permissions.lets_request_out() {
            // Nobody says what the platform gives; this is the code whose words fit.
            return Err(Error::ConnectionLimitReached);
        }
        let exchange = async {
            let permit = self.permit().await;
            let connection = self.connect(&target, limits.connect).await?;
            let request = addressed(request, &target, connection.is_h2())?;
            let (response, driver) = exchange::run(connection, request).await?;
            Ok::<_, Error>((response, holding(driver, permit)))
        };
        // DNS, connecting, TLS and headers, all of it.
        let (response, driver) = tokio::time::timeout(limits.first_byte, exchange)
            .await
            .map_err(|_| Error::ConnectionReadTimeout)??;
        let response = response.map(|incoming| {
            // Cut short, not chunked as announced: Spin knows one word for it.
            let incoming = incoming.map_err(|_| Error::HttpProtocolError);
            body::Timed::new(incoming, limits.between_bytes).boxed_unsync()
        });
        Ok((response, driver))
    }

    async fn connect(
        &self,
        target: &Target,
        timeout: Duration,
    ) -> Result<connect::Connection, Error> {
        let blocked = |address| self.permissions.is_blocked(address);
        let stream = connect::tcp(&target.authority, target.tls, blocked, timeout).await?;
        if !target.tls {
            return Ok(connect::Connection::Plain(stream));
        }
        let host = target.authority.host();
        connect::tls(stream, host, self.tls.for_host(host)).await
    }

    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        let requests = self.requests.clone()?;
        // Closed it never is.
        requests.acquire_owned().await.ok()
    }
}

/// The request as the protocol of the connection wants it.
fn addressed(
    mut request: Request<WasiBody>,
    target: &Target,
    h2: bool,
) -> Result<Request<WasiBody>, Error> {
    request.headers_mut().remove(HOST);
    let uri = if h2 {
        Uri::builder()
            .scheme(Scheme::HTTPS)
            .authority(target.authority.clone())
    } else {
        let host = HeaderValue::from_str(&host_header(target))
            .map_err(|_| Error::HttpRequestUriInvalid)?;
        request.headers_mut().insert(HOST, host);
        Uri::builder()
    };
    *request.uri_mut() = uri
        .path_and_query(target.path_and_query.clone())
        .build()
        .map_err(|_| Error::HttpRequestUriInvalid)?;
    // The version that the guest's request was built with is not the connection's.
    *request.version_mut() = if h2 {
        http::Version::HTTP_2
    } else {
        http::Version::HTTP_11
    };
    Ok(request)
}

/// Without the port where it is the scheme's own, as clients send it.
fn host_header(target: &Target) -> String {
    let default = if target.tls { 443 } else { 80 };
    match target.authority.port_u16() {
        Some(port) if port != default => format!("{}:{port}", target.authority.host()),
        _ => target.authority.host().to_owned(),
    }
}

/// Keeps the request counted until its connection ends.
fn holding(driver: Driver, permit: Option<OwnedSemaphorePermit>) -> Driver {
    Box::new(async move {
        let _permit = permit;
        Pin::from(driver).await
    })
}

/// Lets a guest trap where it does on Spin: at the answer to a request that failed for good.
/// wasmtime-wasi-http (48.0) lets a hook give codes alone.
pub fn trap_at_answer<T: WasiHttpView + 'static>(
    linker: &mut Linker<T>,
    fault: fn(&T) -> Option<&str>,
) -> anyhow::Result<()> {
    linker.allow_shadowing(true);
    linker.instance(TYPES)?.func_wrap(
        GET_ANSWER,
        move |mut store: StoreContextMut<'_, T>, (future,): (Resource<Pending>,)| {
            let answer = store.data_mut().http().get(future)?;
            match fault(store.data()) {
                Some(why) if answer.is_some() => Err(wasmtime::Error::msg(why.to_owned())),
                _ => Ok::<(Answer,), _>((answer,)),
            }
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

type Pending = HostFutureIncomingResponse;
type Answer = Option<Result<Result<Resource<HostIncomingResponse>, ErrorCode>, ()>>;

/// As wasmtime-wasi-http links it.
const TYPES: &str = "wasi:http/types@0.2.12";
const GET_ANSWER: &str = "[method]future-incoming-response.get";

#[cfg(test)]
mod tests;
