//! A STUN server as a relay has one, which can fall silent.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use watchbell_protocol::stun::server;

/// How often it looks whether it is to end.
const TURN: Duration = Duration::from_millis(50);

pub struct Stun {
    addr: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    silent: AtomicBool,
    ended: AtomicBool,
}

impl Stun {
    pub fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(TURN)).unwrap();
        let addr = socket.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let theirs = shared.clone();
        let thread = std::thread::spawn(move || serve(&socket, &theirs));
        Self {
            addr,
            shared,
            thread: Some(thread),
        }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A firewall that drops.
    pub fn silent(&self, silent: bool) {
        self.shared.silent.store(silent, Ordering::SeqCst);
    }
}

impl Drop for Stun {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn serve(socket: &UdpSocket, shared: &Shared) {
    let mut datagram = [0; 1500];
    while !shared.ended.load(Ordering::SeqCst) {
        // Nothing came in this turn, or ICMP tells of a client that is gone.
        let Ok((length, from)) = socket.recv_from(&mut datagram) else {
            continue;
        };
        if shared.silent.load(Ordering::SeqCst) {
            continue;
        }
        if let Some(answer) = server::respond(&datagram[..length], from) {
            let _ = socket.send_to(&answer, from);
        }
    }
}
