//! A TCP server whose port can be open, refused or dropped, switched at run time.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::port::{Dropping, Port};

/// Before connections are cut, those that are nearly through may end: a probe sees the
/// old state or the new one, and none is torn in the middle by chance.
const GRACE: Duration = Duration::from_secs(1);

/// What a connection attempt meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Accepted and served.
    Open,
    /// Reset: nothing listens, or a firewall rejects.
    Refused,
    /// Not answered: a firewall drops.
    Dropped,
}

type Handler = Arc<dyn Fn(TcpStream) + Send + Sync>;

pub struct Server {
    port: Port,
    handler: Handler,
    live: Arc<Live>,
    gate: Mutex<Behind>,
}

/// What stands behind the gate.
enum Behind {
    Open {
        stop: Arc<AtomicBool>,
        acceptor: JoinHandle<()>,
    },
    Refused,
    Dropped {
        _queue: Dropping,
    },
}

/// The connections being served, by number: a process that dies takes them with it.
#[derive(Default)]
struct Live {
    streams: Mutex<HashMap<u64, TcpStream>>,
    fewer: Condvar,
    next: AtomicU64,
}

impl Live {
    /// Serves one connection, and closes it whoever else still holds a handle.
    fn serve(&self, stream: TcpStream, handler: &Handler) {
        let Ok(copy) = stream.try_clone() else { return };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.streams.lock().unwrap().insert(number, copy);
        handler(stream);
        if let Some(stream) = self.streams.lock().unwrap().remove(&number) {
            // The client may have closed it already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.fewer.notify_all();
    }

    /// Cuts what is still served after the grace.
    fn cut(&self) {
        let streams = self.streams.lock().unwrap();
        let (mut streams, _) = self
            .fewer
            .wait_timeout_while(streams, GRACE, |s| !s.is_empty())
            .unwrap();
        for (_, stream) in streams.drain() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Server {
    /// Opens a port on 127.0.0.1; `handler` runs on a thread of its own per connection.
    pub fn start(handler: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), handler)
    }

    /// As [`start`](Self::start), at another address of this machine; port 0 for any.
    pub fn start_at(at: SocketAddr, handler: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let server = Self {
            port: Port::reserve_at(at),
            handler: Arc::new(handler),
            live: Arc::default(),
            gate: Mutex::new(Behind::Refused),
        };
        server.gate(Gate::Open);
        server
    }

    pub fn addr(&self) -> SocketAddr {
        self.port.addr
    }

    /// Switches the gate; connections being served end, or are cut.
    pub fn gate(&self, gate: Gate) {
        let mut behind = self.gate.lock().unwrap();
        self.close(std::mem::replace(&mut behind, Behind::Refused));
        *behind = match gate {
            Gate::Open => self.open(),
            Gate::Refused => Behind::Refused,
            Gate::Dropped => Behind::Dropped {
                _queue: self.port.drop_packets(),
            },
        };
    }

    fn open(&self) -> Behind {
        let listener = self.port.listen();
        let stop = Arc::new(AtomicBool::new(false));
        let (handler, live, stopped) = (self.handler.clone(), self.live.clone(), stop.clone());
        let acceptor = std::thread::spawn(move || accept(&listener, &handler, &live, &stopped));
        Behind::Open { stop, acceptor }
    }

    fn close(&self, behind: Behind) {
        if let Behind::Open { stop, acceptor } = behind {
            stop.store(true, Ordering::SeqCst);
            // Wakes the acceptor, which then sees that it is to stop.
            let _ = TcpStream::connect(self.port.addr);
            acceptor.join().unwrap();
        }
        self.live.cut();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.gate(Gate::Refused);
    }
}

fn accept(listener: &TcpListener, handler: &Handler, live: &Arc<Live>, stop: &AtomicBool) {
    for stream in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        // Answers leave at once: an alert's latency is measured here.
        let _ = stream.set_nodelay(true);
        let (handler, live) = (handler.clone(), live.clone());
        std::thread::spawn(move || live.serve(stream, &handler));
    }
}
