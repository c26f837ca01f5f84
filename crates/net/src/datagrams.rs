//! A UDP socket that speaks to one peer.

use std::net::SocketAddr;
use std::time::Duration;

use wasi::sockets::instance_network::instance_network;
use wasi::sockets::network::ErrorCode;
use wasi::sockets::udp::{
    IncomingDatagramStream, OutgoingDatagram, OutgoingDatagramStream, UdpSocket,
};
use wasi::sockets::udp_create_socket::create_udp_socket;
use watchbell_core::outcome::Kind;
use watchbell_guest::{Deadline, Expired};

use crate::address;
use crate::lookup::Trouble;

/// Between two looks at a socket that says it is ready, and has nothing.
const READY_AND_EMPTY: Duration = Duration::from_millis(50);
/// Datagrams taken from the host at once.
const RECEIVE_MAX: u64 = 16;

/// Connected to its peer: the host drops what comes from any other address or port
/// (`stream` in wasi:sockets/udp), and passes on what ICMP says.
pub struct Datagrams {
    // Dropped before the socket that they belong to.
    incoming: IncomingDatagramStream,
    outgoing: OutgoingDatagramStream,
    _socket: UdpSocket,
}

impl Datagrams {
    /// From a port that the host picks at random, a fresh one each time.
    pub fn open(peer: SocketAddr) -> Result<Self, Trouble> {
        let family = address::family(peer.ip());
        let socket = create_udp_socket(family).map_err(trouble)?;
        // Spin asks for a permission to bind, too, which is easily forgotten.
        let any = address::any(family);
        bind(&socket, any).map_err(|code| match trouble(code) {
            denied if denied.kind == Kind::Denied => Trouble {
                kind: Kind::Denied,
                words: format!("binding to {:?}: {}", format!("udp://{any}"), denied.words),
            },
            other => other,
        })?;
        let (incoming, outgoing) = socket
            .stream(Some(address::to_host(peer)))
            .map_err(trouble)?;
        Ok(Self {
            incoming,
            outgoing,
            _socket: socket,
        })
    }

    pub fn send(&self, bytes: &[u8], deadline: Deadline) -> Result<(), Trouble> {
        while self.outgoing.check_send().map_err(on_the_way)? == 0 {
            deadline
                .wait(&self.outgoing.subscribe())
                .map_err(|Expired| trouble(ErrorCode::Timeout))?;
        }
        let datagram = OutgoingDatagram {
            data: bytes.to_vec(),
            remote_address: None,
        };
        // What the host could not take is sent again soon, as what the network loses.
        self.outgoing
            .send(&[datagram])
            .map(drop)
            .map_err(on_the_way)
    }

    /// What came from the peer by then; empty when nothing did.
    ///
    /// On Spin 4.0 (wasmtime 44) a socket that ICMP has told of a refusal is ready for ever
    /// and never has anything: only the next send tells. So what is ready and empty is
    /// waited for by the clock.
    pub fn receive(&self, deadline: Deadline) -> Result<Vec<Vec<u8>>, Trouble> {
        let mut woken = false;
        loop {
            let list = self.incoming.receive(RECEIVE_MAX).map_err(on_the_way)?;
            if !list.is_empty() || deadline.remaining().is_zero() {
                return Ok(list.into_iter().map(|d| d.data).collect());
            }
            let waited = match woken {
                true => deadline.within(READY_AND_EMPTY).wait_any(&[]).map(drop),
                false => deadline.wait(&self.incoming.subscribe()),
            };
            woken = waited.is_ok() || woken;
        }
    }
}

fn bind(socket: &UdpSocket, any: SocketAddr) -> Result<(), ErrorCode> {
    socket.start_bind(&instance_network(), address::to_host(any))?;
    loop {
        match socket.finish_bind() {
            // No network is involved: the host binds at once, or says why not.
            Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
            bound => return bound,
        }
    }
}

/// The host's own denial comes when the socket is opened. This one is the network's: a
/// filter of this machine, or ICMPv6 "administratively prohibited".
fn on_the_way(code: ErrorCode) -> Trouble {
    trouble(match code {
        ErrorCode::AccessDenied => ErrorCode::RemoteUnreachable,
        other => other,
    })
}

fn trouble(code: ErrorCode) -> Trouble {
    let (kind, words) = match code {
        ErrorCode::Timeout => (Kind::Timeout, "no answer"),
        other => address::meaning(other),
    };
    Trouble {
        kind,
        words: words.to_owned(),
    }
}
