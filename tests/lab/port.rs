//! A port on loopback that stays ours whether anything listens there or not.
//!
//! Between closing a listener and opening it again, another test could be given the
//! same number. So a second socket stays bound to it, without listening: the kernel
//! answers connections with a reset (refused), and hands the number to nobody else.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// More than a server of the lab ever has waiting.
const BACKLOG: i32 = 128;
/// A loopback connection that is not answered by then is not answered at all.
const LOOPBACK_ANSWER: Duration = Duration::from_millis(200);
/// A queue of length 0 holds one or two connections, depending on the kernel.
const FILLERS_MAX: usize = 8;

pub struct Port {
    pub addr: SocketAddr,
    _holder: Socket,
}

impl Port {
    /// A free port on 127.0.0.1. Refused until something listens.
    pub fn reserve() -> Self {
        Self::reserve_at((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// As [`reserve`](Self::reserve), at that address; port 0 for any.
    pub fn reserve_at(at: SocketAddr) -> Self {
        let holder = bound(at);
        let addr = holder.local_addr().unwrap().as_socket().unwrap();
        Self {
            addr,
            _holder: holder,
        }
    }

    /// Opens it.
    pub fn listen(&self) -> TcpListener {
        let socket = bound(self.addr);
        socket.listen(BACKLOG).unwrap();
        socket.into()
    }

    /// Makes it drop connection attempts, as a firewall does: the listener's queue is
    /// full, and Linux then ignores a SYN. Needs no privileges and no packet filter.
    pub fn drop_packets(&self) -> Dropping {
        let listener = bound(self.addr);
        listener.listen(0).unwrap();
        let mut fillers = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&self.addr, LOOPBACK_ANSWER) {
            fillers.push(stream);
            assert!(
                fillers.len() < FILLERS_MAX,
                "filling the queue of {}: still accepted after {FILLERS_MAX} connections",
                self.addr
            );
        }
        Dropping {
            _listener: listener,
            _fillers: fillers,
        }
    }
}

/// Drops packets until it is dropped itself.
pub struct Dropping {
    _listener: Socket,
    _fillers: Vec<TcpStream>,
}

/// Bound with SO_REUSEADDR, which lets a listener join the holder, and lets both
/// ignore connections that are still winding down.
fn bound(addr: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket
        .bind(&addr.into())
        .unwrap_or_else(|e| panic!("binding {addr}: {e}"));
    socket
}
