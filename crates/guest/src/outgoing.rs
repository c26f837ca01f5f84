//! One HTTP exchange through the host, under one deadline.
//!
//! `wasi:http` itself rather than the SDK's `send`: that one sets no timeouts, and
//! the host's defaults are 600 s.

use std::time::Duration;

use wasi::http::outgoing_handler::{self, OutgoingRequest, RequestOptions};
use wasi::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, Scheme,
};
use wasi::io::streams::{InputStream, OutputStream, StreamError};
use watchbell_core::alerting::Answer;
use watchbell_core::outcome::{Kind, Outcome};
use watchbell_core::response::Response;
use watchbell_core::settings::Host;
use watchbell_core::target::Url;

use crate::deadline::{Deadline, Expired};

/// What is sent.
pub struct Request<'a> {
    pub method: &'a str,
    pub url: &'a Url,
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
}

/// Sends the request and reads the answer, the body up to `body_bytes_max`.
/// An exchange that fails before its status is an outcome already: what failed, and how.
pub fn send(
    request: &Request<'_>,
    body_bytes_max: usize,
    deadline: Deadline,
) -> Result<Response, Outcome> {
    let allowed = deadline.remaining();
    let response = head(request, deadline)?;
    let headers = response
        .headers()
        .entries()
        .into_iter()
        .map(|(name, value)| {
            (
                name.to_ascii_lowercase(),
                String::from_utf8_lossy(&value).into_owned(),
            )
        })
        .collect();
    let mut body = Vec::new();
    let (truncated, broken) = match read(&response, &mut body, body_bytes_max, deadline) {
        Ok(truncated) => (truncated, None),
        Err(broken) => (false, Some(broken.or_timeout(request.url, allowed))),
    };
    Ok(Response {
        status: response.status(),
        headers,
        body,
        truncated,
        broken,
        elapsed: allowed.saturating_sub(deadline.remaining()),
    })
}

/// Sends the request and waits for the status alone where that is 2xx: whoever has
/// answered so has it, whatever becomes of the answer's body.
pub fn post(request: &Request<'_>, deadline: Deadline) -> Result<Answer, Outcome> {
    let response = head(request, deadline)?;
    let status = response.status();
    let mut answer = Answer {
        status,
        ..Answer::default()
    };
    if !(200..300).contains(&status) {
        let values = response.headers().get(&"retry-after".to_owned());
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        answer.retry_after = values.first().map(text);
        let mut body = Vec::new();
        // What does not come is not missed.
        let _ = read(
            &response,
            &mut body,
            SAID_BYTES_MAX,
            deadline.within(SAID_WITHIN),
        );
        answer.said = text(&body);
    }
    Ok(answer)
}

/// Of why a receiver did not take a message.
const SAID_BYTES_MAX: usize = 1_024;
const SAID_WITHIN: Duration = Duration::from_secs(1);

fn head(request: &Request<'_>, deadline: Deadline) -> Result<IncomingResponse, Outcome> {
    let allowed = deadline.remaining();
    let outgoing = build(request)?;
    let body = outgoing
        .body()
        .map_err(|()| internal("taking the request's body"))?;
    let future = outgoing_handler::handle(outgoing, Some(options(allowed)?))
        .map_err(|e| failure(request.url, &e))?;
    write(body, request.body, deadline).map_err(|e| e.or_timeout(request.url, allowed))?;
    deadline
        .wait(&future.subscribe())
        .map_err(|Expired| timeout(request.url, "an answer", allowed))?;
    future
        .get()
        .and_then(Result::ok)
        .ok_or_else(|| internal("taking the response"))?
        .map_err(|e| failure(request.url, &e))
}

fn build(request: &Request<'_>) -> Result<OutgoingRequest, Outcome> {
    let fields = Fields::new();
    for (name, value) in request.headers {
        fields
            .append(name, &value.clone().into_bytes())
            .map_err(|e| internal(&format!("setting header {name:?}: {e}")))?;
    }
    // The whole body is known; without a length the host would send it in chunks,
    // which not every receiver of webhooks reads.
    if !matches!(request.method, "GET" | "HEAD") || !request.body.is_empty() {
        let length = request.body.len().to_string().into_bytes();
        fields
            .append(&"content-length".to_owned(), &length)
            .map_err(|e| internal(&format!("setting header \"content-length\": {e}")))?;
    }
    let outgoing = OutgoingRequest::new(fields);
    let method = match request.method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    };
    let scheme = if request.url.tls {
        Scheme::Https
    } else {
        Scheme::Http
    };
    outgoing
        .set_method(&method)
        .and_then(|()| outgoing.set_scheme(Some(&scheme)))
        .and_then(|()| outgoing.set_authority(Some(&request.url.authority())))
        .and_then(|()| outgoing.set_path_with_query(Some(&request.url.path)))
        .map_err(|()| internal("building the request"))?;
    Ok(outgoing)
}

/// The host's own timeouts, so that it lets go of what the guest no longer waits
/// for. Connecting ends a little earlier than the rest: only so is "no answer to
/// the connection attempt" told apart from "no answer to the request".
fn options(allowed: Duration) -> Result<RequestOptions, Outcome> {
    let nanos = |d: Duration| Some(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX).max(1));
    let options = RequestOptions::new();
    options
        .set_connect_timeout(nanos(allowed * 9 / 10))
        .and_then(|()| options.set_first_byte_timeout(nanos(allowed)))
        .and_then(|()| options.set_between_bytes_timeout(nanos(allowed)))
        .map_err(|()| internal("setting timeouts"))?;
    Ok(options)
}

enum Broken {
    Expired(&'static str),
    Outcome(Outcome),
}

impl Broken {
    fn or_timeout(self, url: &Url, allowed: Duration) -> Outcome {
        match self {
            Broken::Expired(what) => timeout(url, what, allowed),
            Broken::Outcome(outcome) => outcome,
        }
    }
}

fn write(body: OutgoingBody, mut bytes: &[u8], deadline: Deadline) -> Result<(), Broken> {
    let stream: OutputStream = body
        .write()
        .map_err(|()| Broken::Outcome(internal("opening the request's body")))?;
    while !bytes.is_empty() {
        deadline
            .wait(&stream.subscribe())
            .map_err(|Expired| Broken::Expired("room for the request"))?;
        // A server may answer without reading what it is sent: its answer counts.
        let Ok(room) = stream.check_write() else {
            break;
        };
        let n = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        if stream.write(&bytes[..n]).is_err() {
            break;
        }
        bytes = &bytes[n..];
    }
    // Likewise: what became of the request shows in the response.
    let _ = stream.flush();
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
    Ok(())
}

/// True when the body goes on beyond `bytes_max`. What came before a failure stays in `bytes`.
fn read(
    response: &IncomingResponse,
    bytes: &mut Vec<u8>,
    bytes_max: usize,
    deadline: Deadline,
) -> Result<bool, Broken> {
    let body: IncomingBody = response
        .consume()
        .map_err(|()| Broken::Outcome(internal("opening the response's body")))?;
    let stream: InputStream = body
        .stream()
        .map_err(|()| Broken::Outcome(internal("opening the response's body")))?;
    loop {
        let room = (bytes_max - bytes.len()) as u64;
        // One byte more than is kept tells a body that ends from one that goes on.
        match stream.read((room + 1).min(READ_BYTES)) {
            Ok(chunk) if chunk.is_empty() => {
                deadline
                    .wait(&stream.subscribe())
                    .map_err(|Expired| Broken::Expired("the whole body"))?;
            }
            Ok(chunk) if chunk.len() as u64 > room => {
                bytes.extend_from_slice(&chunk[..usize::try_from(room).unwrap_or(0)]);
                return Ok(true);
            }
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(StreamError::Closed) => return Ok(false),
            Err(StreamError::LastOperationFailed(e)) => {
                let code = wasi::http::types::http_error_code(&e);
                let outcome = match code {
                    Some(ErrorCode::ConnectionReadTimeout | ErrorCode::HttpResponseTimeout) => {
                        return Err(Broken::Expired("the whole body"));
                    }
                    Some(code) => Outcome::failed(
                        Kind::Protocol,
                        format!("reading the body: {}", name(&code)),
                    ),
                    None => {
                        Outcome::failed(Kind::Protocol, "reading the body: the connection broke")
                    }
                };
                return Err(Broken::Outcome(outcome));
            }
        }
    }
}

/// One read's size: a body usually arrives in one.
const READ_BYTES: u64 = 65_537;

fn timeout(url: &Url, what: &str, allowed: Duration) -> Outcome {
    Outcome::failed(
        Kind::Timeout,
        format!(
            "waiting for {what} from {:?}: in vain for {} ms",
            url.authority(),
            allowed.as_millis()
        ),
    )
}

fn internal(what: &str) -> Outcome {
    Outcome::failed(Kind::Internal, format!("{what}: refused by the host"))
}

/// What the host says, as the kinds that rules know. Spin tells connection errors
/// apart coarsely: unreachable comes as refused, every TLS fault as one code.
fn failure(url: &Url, code: &ErrorCode) -> Outcome {
    use ErrorCode as E;
    let authority = url.authority();
    let (kind, what) = match code {
        // Spin (4.0) hands TLS the address with its brackets, and calls that a DNS error.
        E::DnsError(_) if matches!(url.host, Host::Ip(_)) => {
            let detail = format!(
                "asking {authority:?}: this host does no TLS to an IPv6 address, want a name"
            );
            return Outcome::failed(Kind::Internal, detail).reason("configuration");
        }
        E::DnsError(_) | E::DnsTimeout | E::DestinationNotFound => {
            (Kind::Dns, format!("resolving {:?}", url.host.to_string()))
        }
        E::ConnectionRefused => (Kind::ConnectRefused, format!("connecting to {authority:?}")),
        E::ConnectionTimeout => (Kind::ConnectTimeout, format!("connecting to {authority:?}")),
        E::DestinationUnavailable | E::DestinationIpUnroutable => {
            (Kind::Unreachable, format!("connecting to {authority:?}"))
        }
        E::ConnectionReadTimeout | E::ConnectionWriteTimeout | E::HttpResponseTimeout => (
            Kind::Timeout,
            format!("waiting for an answer from {authority:?}"),
        ),
        E::TlsProtocolError | E::TlsAlertReceived(_) => {
            (Kind::Tls, format!("agreeing on TLS with {authority:?}"))
        }
        E::TlsCertificateError => {
            let detail =
                format!("agreeing on TLS with {authority:?}: the certificate is not accepted");
            return Outcome::failed(Kind::Certificate, detail).reason("other");
        }
        E::HttpRequestDenied | E::DestinationIpProhibited => {
            let want = format!(
                "want {}://{authority} in allowed_outbound_hosts",
                url.scheme()
            );
            (Kind::Denied, format!("asking {authority:?} ({want})"))
        }
        E::InternalError(_) | E::ConfigurationError | E::LoopDetected => {
            (Kind::Internal, format!("asking {authority:?}"))
        }
        _ => (Kind::Protocol, format!("asking {authority:?}")),
    };
    Outcome::failed(kind, format!("{what}: {}", name(code)))
}

/// The code's name in words. The payloads are left out: they are the host's free text.
fn name(code: &ErrorCode) -> &'static str {
    use ErrorCode as E;
    match code {
        E::DnsError(_) | E::DestinationNotFound => "the name does not resolve",
        E::DnsTimeout => "no answer from DNS",
        E::ConnectionRefused => "connection refused",
        E::ConnectionTimeout => "no answer to the connection attempt",
        E::DestinationUnavailable | E::DestinationIpUnroutable => "unreachable",
        E::ConnectionTerminated => "the connection was closed",
        E::ConnectionReadTimeout | E::ConnectionWriteTimeout | E::HttpResponseTimeout => {
            "no answer in time"
        }
        E::TlsProtocolError => "TLS failed; the certificate check tells why",
        E::TlsCertificateError => "the certificate is not accepted",
        E::TlsAlertReceived(_) => "the server sent a TLS alert",
        E::HttpRequestDenied | E::DestinationIpProhibited => "the permission is denied",
        E::HttpResponseIncomplete => "the answer is incomplete",
        E::HttpResponseBodySize(_) => "the body has another length than announced",
        E::HttpProtocolError => "closed early, or no HTTP",
        E::InternalError(_) | E::ConfigurationError | E::LoopDetected => "the host failed",
        _ => "no valid HTTP",
    }
}
