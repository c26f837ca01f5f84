//! One request and its response's headers over a fresh connection.

use std::future::Future;
use std::pin::pin;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use wasmtime_wasi_http::{Error, WasiBody};

use super::Driver;
use super::connect::Connection;

/// Headers of a response; hyper's own limit for HTTP/1 is four times that.
const HEADERS_BYTES_MAX: usize = 128 << 10;

type Exchanged = Result<(Response<Incoming>, Driver), Error>;

pub async fn run(connection: Connection, request: Request<WasiBody>) -> Exchanged {
    let h2 = connection.is_h2();
    match connection {
        Connection::Plain(stream) => http1(stream, request).await,
        Connection::Tls(stream) if h2 => {
            let (mut sender, driver) = http2::Builder::new(TokioExecutor::new())
                .max_header_list_size(HEADERS_BYTES_MAX as u32)
                .handshake(TokioIo::new(*stream))
                .await
                .map_err(protocol)?;
            let send = async move { sender.send_request(request).await };
            drive(send, driver).await
        }
        Connection::Tls(stream) => http1(*stream, request).await,
    }
}

async fn http1(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    request: Request<WasiBody>,
) -> Exchanged {
    let (mut sender, driver) = http1::Builder::new()
        .max_buf_size(HEADERS_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(protocol)?;
    let send = async move { sender.send_request(request).await };
    drive(send, driver).await
}

/// Waits for the headers while carrying the connection on, which is then the caller's to carry.
async fn drive(
    send: impl Future<Output = hyper::Result<Response<Incoming>>>,
    driver: impl Future<Output = hyper::Result<()>> + Send + 'static,
) -> Exchanged {
    let mut driver = Box::pin(driver);
    let mut send = pin!(send);
    tokio::select! {
        biased;
        response = &mut send => {
            let response = response.map_err(protocol)?;
            Ok((response, Box::new(async move { driver.await.map_err(protocol) })))
        }
        ended = &mut driver => {
            // The connection is over; if the response was complete before, it is still there.
            let response = send.await.map_err(protocol)?;
            Ok((response, Box::new(std::future::ready(ended.map_err(protocol)))))
        }
    }
}

/// Whatever the server did instead of answering. What the guest's own request body
/// failed with is kept: hyper only carries it.
fn protocol(error: hyper::Error) -> Error {
    use std::error::Error as _;
    match error
        .source()
        .and_then(|source| source.downcast_ref::<Error>())
    {
        Some(Error::HttpRequestBodySize(size)) => Error::HttpRequestBodySize(*size),
        _ => Error::HttpProtocolError,
    }
}
