//! From an endpoint to a connection over TLS: resolve, connect, shake hands, and judge the
//! certificate as every client does.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use watchbell_core::outcome::{Kind, Outcome, Status};
use watchbell_core::settings::{Endpoint, Family, Threshold};
use watchbell_core::time::UnixMs;
use watchbell_guest::{Deadline, Phases, clock};
use watchbell_net::{Connected, TcpStream, connect, resolve};
use watchbell_tls::{Failure, Handshake, Roots, Stop, TlsStream, outcome, plain};

/// A peer that has said nothing by then is asked in plain HTTP, over a second
/// connection, while the first goes on waiting.
const SILENCE: Duration = Duration::from_secs(3);

/// An endpoint whose addresses and roots are known.
pub struct Dial<'a> {
    endpoint: &'a Endpoint,
    roots: Roots,
    addresses: Vec<IpAddr>,
    deadline: Deadline,
}

/// Bytes to and from the endpoint, over TLS unless its scheme is `http`.
pub enum Connection {
    Plain(TcpStream),
    // Boxed: its buffers are large, and one is moved about.
    Tls(Box<TlsStream<TcpStream>>),
}

impl<'a> Dial<'a> {
    /// Reads the roots and resolves the name. Adds `dns_ms` to the phases.
    pub fn new(
        endpoint: &'a Endpoint,
        deadline: Deadline,
        phases: &mut Phases,
    ) -> Result<Self, Outcome> {
        let roots = roots(endpoint)?;
        let (host, family) = (&endpoint.host, endpoint.family);
        let addresses = resolve(host, family, &endpoint.resolvers, deadline)?;
        phases.end("dns_ms");
        Ok(Self {
            endpoint,
            roots,
            addresses,
            deadline,
        })
    }

    /// One connection, over which nothing is said unless the certificate is good. Adds
    /// `connect_ms`, `tls_ms` and `peer` to the phases, the first time.
    pub fn connect(&self, phases: &mut Phases) -> Result<Connection, Outcome> {
        if !self.endpoint.tls {
            return Ok(Connection::Plain(self.open(phases)?.stream));
        }
        // Over HTTP/2 there is no Upgrade: a proxy that offers both is held to HTTP/1.1.
        let shaken = self.shake(&[b"http/1.1"], phases)?;
        // When it expires is the certificate check's affair.
        let judged = self.judge(&shaken, &[], clock::now());
        match shaken {
            Ok(stream) if judged.status != Status::Failed => Ok(Connection::Tls(Box::new(stream))),
            _ => Err(judged),
        }
    }

    /// One handshake, whatever certificate is shown. The outer error is of the way there, the
    /// inner one of TLS.
    pub fn shake(
        &self,
        alpn: &[&[u8]],
        phases: &mut Phases,
    ) -> Result<Result<TlsStream<TcpStream>, Failure>, Outcome> {
        let connected = self.open(phases)?;
        let shaken = shake(
            self.endpoint,
            connected.stream,
            connected.peer,
            alpn,
            self.deadline,
        );
        phases.end("tls_ms");
        Ok(shaken)
    }

    /// What a handshake, and the certificate shown in it, come to.
    pub fn judge(
        &self,
        shaken: &Result<TlsStream<TcpStream>, Failure>,
        thresholds: &[Threshold],
        now: UnixMs,
    ) -> Outcome {
        let shaken = shaken.as_ref().map(TlsStream::negotiated);
        let name = &self.endpoint.server_name;
        outcome(shaken, name, &self.roots, thresholds, now)
    }

    fn open(&self, phases: &mut Phases) -> Result<Connected, Outcome> {
        let Endpoint { port, family, .. } = *self.endpoint;
        let connected = connect(&self.addresses, port, family, self.deadline)?;
        phases.end("connect_ms");
        phases.fact("peer", connected.peer.to_string());
        Ok(connected)
    }
}

/// Mozilla's roots and the operator's.
fn roots(endpoint: &Endpoint) -> Result<Roots, Outcome> {
    Roots::read(&endpoint.ca_certificates).map_err(|why| {
        let detail = format!("reading variable \"ca_certificates\": {why}");
        Outcome::failed(Kind::Internal, detail).reason("configuration")
    })
}

/// Shakes hands over a connection to `peer`, and tells a port of plain HTTP from a silent one.
fn shake(
    endpoint: &Endpoint,
    stream: TcpStream,
    peer: SocketAddr,
    alpn: &[&[u8]],
    deadline: Deadline,
) -> Result<TlsStream<TcpStream>, Failure> {
    let mut handshake = Handshake::new(stream, &endpoint.server_name, alpn)?;
    let half = deadline.remaining() / 2;
    handshake
        .stream_mut()
        .set_deadline(deadline.within(half.min(SILENCE)));
    let mut end = handshake.run();
    if end.is_err() && !handshake.heard() {
        let until = deadline.within(deadline.remaining() / 2);
        let other = connect(&[peer.ip()], peer.port(), Family::Any, until);
        if other.is_ok_and(|mut c| plain::answers(&mut c.stream)) {
            return Err(handshake.plain_http());
        }
    }
    if matches!(end, Err(Stop::TimedOut)) {
        handshake.stream_mut().set_deadline(deadline);
        end = handshake.run();
    }
    match end {
        Ok(()) => {
            handshake.stream_mut().set_deadline(deadline);
            handshake.finish()
        }
        Err(Stop::TimedOut) => Err(handshake.timed_out()),
        Err(Stop::Failed(failure)) => Err(failure),
    }
}

impl Connection {
    /// From now on waits until then.
    pub fn set_deadline(&mut self, deadline: Deadline) {
        match self {
            Connection::Plain(stream) => stream.set_deadline(deadline),
            Connection::Tls(stream) => stream.get_mut().set_deadline(deadline),
        }
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Connection::Plain(stream) => stream.read(buffer),
            Connection::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Connection::Plain(stream) => stream.write(bytes),
            Connection::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Connection::Plain(stream) => stream.flush(),
            Connection::Tls(stream) => stream.flush(),
        }
    }
}
