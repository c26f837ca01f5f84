//! The HTTP trigger: a request, its route, a fresh instance, its response.

mod connections;

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http::header::{HOST, HeaderName, HeaderValue};
use http::uri::{PathAndQuery, Scheme};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot, watch};
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme as WasiScheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{Error, WasiHttpView};

use crate::chain::{Chain, Services};
use crate::component::Program;
use crate::engine::{Deadline, HTTP_EVENTS_MAX, Running};
use crate::event::{self, Origin};
use crate::imitation::Refusal;
use crate::routes::{Match, Routes, WELL_KNOWN_PREFIX};
use crate::say;
use connections::{Connections, Place};

/// Open connections. Ours come from our own checks, a browser, a scraper.
const CONNECTIONS_MAX: u32 = 256;
/// From accepting a connection, or the last response on it, to the end of the next request's headers.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(30);
/// After the signal to stop, for a request whose beginning is there.
const REST_OF_REQUEST: Duration = Duration::from_secs(1);
/// A request's line and headers.
const HEADERS_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 100;
/// After a failure to accept (no file descriptors left), before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Reply = Response<HyperOutgoingBody>;

pub struct Server {
    pub routes: Routes,
    services: Arc<Services>,
    events: Arc<Semaphore>,
    name: String,
    version: String,
}

impl Server {
    /// Every route's component must have the export.
    pub fn new(
        app: &watchbell_app::App,
        mut programs: HashMap<String, Arc<Program>>,
        running: Running,
    ) -> anyhow::Result<Self> {
        let routes = Routes::new(&app.http)?;
        programs.retain(|id, _| app.http.iter().any(|trigger| trigger.component == *id));
        for route in &routes.listed {
            let program = programs.get(&route.component);
            if program.is_none_or(|p| p.http.is_none()) {
                return Err(anyhow!(
                    "starting route {:?}: component {:?} does not export wasi:http/incoming-handler",
                    route.raw,
                    route.component
                ));
            }
        }
        Ok(Self {
            routes,
            services: Services::new(programs, running),
            events: Arc::new(Semaphore::new(HTTP_EVENTS_MAX)),
            name: app.name.clone(),
            version: app.version.clone(),
        })
    }

    /// Serves until `stop`; then takes no more, and returns when the open requests have ended.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        let connections = Connections::new(CONNECTIONS_MAX as usize);
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &connections) => accepted,
                _ = stop.wait_for(|stopped| *stopped) => break,
            };
            let (stream, client, place) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    say::warn(&format!("accepting a connection: {error:#}"));
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let server = self.clone();
            let stop = stop.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = server.connection(stream, client, place.clone(), stop) => {}
                    () = place.makes_room() => {
                        say::debug(&format!("{client} made room for another connection"));
                    }
                }
            });
        }
        drop(listener);
        connections.all_ended(CONNECTIONS_MAX).await;
    }

    async fn connection(
        self: Arc<Self>,
        stream: tokio::net::TcpStream,
        client: SocketAddr,
        place: Arc<Place>,
        mut stop: watch::Receiver<bool>,
    ) {
        let of_requests = place.clone();
        let service = service_fn(move |request| {
            let (server, place) = (self.clone(), of_requests.clone());
            async move {
                place.works();
                let reply = server.handle(request, client).await;
                place.waits();
                Ok::<_, Infallible>(reply)
            }
        });
        let mut connection = std::pin::pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADERS_TIMEOUT)
                .max_buf_size(HEADERS_BYTES_MAX)
                .max_headers(HEADERS_MAX)
                .serve_connection(TokioIo::new(stream), service)
        );
        let ended = tokio::select! {
            ended = &mut connection => Some(ended),
            _ = stop.wait_for(|stopped| *stopped) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                // An idle connection ends at once, a busy one with its response, and one that
                // has sent half a request is not waited for.
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection => ended,
                    () = place.still_waits_after(REST_OF_REQUEST) => return,
                }
            }
        };
        if let Err(error) = ended {
            say::debug(&format!("serving {client}: {error}"));
        }
    }

    async fn handle<B>(&self, request: Request<B>, client: SocketAddr) -> Reply
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Error>,
    {
        let path = request.uri().path().to_owned();
        if let Some(name) = path.strip_prefix(WELL_KNOWN_PREFIX) {
            return self.well_known(name);
        }
        let Some(found) = self.routes.find(&path) else {
            return status(StatusCode::NOT_FOUND);
        };
        let Some(program) = self.services.get(&found.route.component).cloned() else {
            return status(StatusCode::NOT_FOUND);
        };
        let request = match prepare(request, &found, client) {
            Ok(request) => request,
            Err(error) => {
                say::debug(&format!("reading a request from {client}: {error:#}"));
                return status(StatusCode::BAD_REQUEST);
            }
        };
        // Closed it never is.
        let Ok(permit) = self.events.clone().acquire_owned().await else {
            return status(StatusCode::SERVICE_UNAVAILABLE);
        };
        let guard = (permit, self.services.running.enter());
        answer(program, request, self.services.chain(), guard).await
    }

    fn well_known(&self, name: &str) -> Reply {
        match name {
            "health" => Response::new(full("OK")),
            "info" => {
                let info = serde_json::json!({ "name": self.name, "version": self.version });
                let mut reply = Response::new(full(&format!("{info:#}")));
                reply.headers_mut().insert(
                    http::header::CONTENT_TYPE,
                    HeaderValue::from_static("application/json"),
                );
                reply
            }
            _ => status(StatusCode::NOT_FOUND),
        }
    }
}

/// As [`respond`]; where the component fails, its failure is logged and its status is 500.
pub async fn answer<B, G>(
    program: Arc<Program>,
    request: Request<B>,
    chain: Chain,
    guard: G,
) -> Reply
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Error>,
    G: Send + 'static,
{
    match respond(program.clone(), request, chain, guard).await {
        Ok(reply) => reply,
        Err(error) => {
            say::error(&format!(
                "component {:?}: {}",
                program.component.id,
                crate::cron::one_line(&error)
            ));
            status(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// Runs the component's HTTP handler; gives its response as soon as it is there. The guest may
/// go on after it, until it returns or its time is up; `guard` is dropped then.
pub async fn respond<B, G>(
    program: Arc<Program>,
    request: Request<B>,
    chain: Chain,
    guard: G,
) -> anyhow::Result<Reply>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Error>,
    G: Send + 'static,
{
    let deadline = Deadline::after(program.component.imitation.event_max());
    let (sender, response) = oneshot::channel::<Result<Reply, ErrorCode>>();
    let mut store = event::store(&program, Origin::Http(chain), deadline);
    let incoming = store
        .data_mut()
        .http()
        .new_incoming_request(WasiScheme::Http, request)?;
    let outparam = store.data_mut().http().new_response_outparam(sender)?;
    let component = program.clone();
    let guest = tokio::spawn(async move {
        let pre = program
            .http
            .as_ref()
            .context("the component does not export wasi:http/incoming-handler")?;
        let call = async {
            let proxy = pre.instantiate_async(&mut store).await?;
            proxy
                .wasi_http_incoming_handler()
                .call_handle(&mut store, incoming, outparam)
                .await
        };
        let ended = tokio::time::timeout_at(deadline.at.into(), call).await;
        drop(store);
        drop(guard);
        let component = &program.component;
        if component.imitation.limits.request_max.is_some() && deadline.has_passed() {
            // Who waits for it reads a status, without words.
            component.imitation.refuse(&component.id, Refusal::Duration);
        }
        ended.map_err(|_| deadline.time_up())??;
        anyhow::Ok(())
    });
    match response.await {
        Ok(response) => {
            tokio::spawn(async move {
                let failed = match guest.await {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => crate::cron::one_line(&error),
                    Err(error) => error.to_string(),
                };
                say::error(&format!(
                    "component {:?}, after its response: {failed}",
                    component.component.id
                ));
            });
            response.map_err(|code| anyhow!("the guest answered with an error: {code}"))
        }
        Err(_) => {
            guest.await.context("running the guest")??;
            Err(anyhow!("the guest returned without a response"))
        }
    }
}

async fn accept(
    listener: &TcpListener,
    connections: &Connections,
) -> anyhow::Result<(tokio::net::TcpStream, SocketAddr, Arc<Place>)> {
    let (stream, client) = listener.accept().await?;
    let place = connections.admit().await.context("no place")?;
    // Responses are small and written whole.
    let _ = stream.set_nodelay(true);
    Ok((stream, client, place))
}

/// Absolute URL and Spin's own headers.
pub fn prepare<B>(
    mut request: Request<B>,
    found: &Match<'_>,
    client: SocketAddr,
) -> anyhow::Result<Request<B>> {
    let uri = absolute(&request)?;
    let headers = request.headers_mut();
    // Spin tells the host of this header, which a chained request has none of.
    let host = match headers.get(HOST) {
        Some(host) => host.to_str()?,
        None => "localhost",
    };
    let path_and_query = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let full_url = format!("http://{host}{path_and_query}");
    let route = &found.route;
    let mut own = vec![
        ("spin-path-info".to_owned(), found.path_info.clone()),
        ("spin-full-url".to_owned(), full_url),
        ("spin-matched-route".to_owned(), route.raw.clone()),
        ("spin-base-path".to_owned(), "/".to_owned()),
        ("spin-raw-component-route".to_owned(), route.raw.clone()),
        ("spin-component-route".to_owned(), route.prefix().to_owned()),
        ("spin-client-addr".to_owned(), client.to_string()),
    ];
    for (name, value) in &found.named {
        own.push((
            format!("spin-path-match-{}", name.to_ascii_lowercase()),
            value.clone(),
        ));
    }
    for (name, value) in own {
        // In place of what the client may have sent under that name.
        headers.insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
    }
    *request.uri_mut() = uri;
    Ok(request)
}

fn absolute<B>(request: &Request<B>) -> anyhow::Result<Uri> {
    let mut parts = request.uri().clone().into_parts();
    let named = match request.headers().get(HOST) {
        Some(host) => Some(host.to_str()?.parse().context("reading Host")?),
        None => None,
    };
    parts.authority = match (named, parts.authority) {
        (Some(host), Some(authority)) if host != authority => {
            return Err(anyhow!("got Host {host}, want {authority} as in the URL"));
        }
        (host, authority) => Some(host.or(authority).context("got no Host")?),
    };
    parts.scheme = Some(Scheme::HTTP);
    Ok(Uri::from_parts(parts)?)
}

fn status(code: StatusCode) -> Reply {
    let mut reply = Response::new(full(""));
    *reply.status_mut() = code;
    reply
}

fn full(text: &str) -> HyperOutgoingBody {
    Full::new(Bytes::copy_from_slice(text.as_bytes()))
        .map_err(|never| match never {})
        .boxed_unsync()
}
