//! What follows an upgrade: the control protocol's handshake, and the relay.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use watchbell_protocol::derp::server::{self as relay, Said};
use watchbell_protocol::noise::server as noise;
use watchbell_protocol::{Buffered, control};

use crate::wire::{Request, Stream};

/// The relay's private key.
const RELAY: [u8; 32] = [0x52; 32];
/// A client's thread looks this often for what others send to it.
const TURN: Duration = Duration::from_millis(5);

pub fn is_control(request: &Request) -> bool {
    request.header("upgrade") == Some(control::PROTOCOL)
        && request.header("x-tailscale-handshake").is_some()
}

/// The 101, and after it the handshake with that private key. A client that means another
/// one, or is older than `version_min`, is closed upon, as Headscale does.
pub fn enter(
    stream: &mut dyn Stream,
    request: &Request,
    private: &[u8; 32],
    version_min: u16,
) -> io::Result<()> {
    stream.write_all(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tailscale-control-protocol\r\nConnection: upgrade\r\n\r\n",
    )?;
    stream.flush()?;
    let header = request.header("x-tailscale-handshake").unwrap_or_default();
    let Ok(initiation) = STANDARD.decode(header) else {
        return Ok(());
    };
    let new_enough = noise::version(&initiation).is_some_and(|v| v >= version_min);
    let Some((answer, mut transport)) = noise::respond(private, &initiation).filter(|_| new_enough)
    else {
        return Ok(());
    };
    let mut stream = Buffered::new(stream);
    stream.send(&answer)?;
    let early = transport.write(&mut stream, &control::early());
    early.map_err(|fault| io::Error::other(fault.detail))?;
    // The client has seen what it came for.
    match stream.fill() {
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(()),
        other => other,
    }
}

/// Who is connected, by key.
#[derive(Default)]
pub struct Relay {
    clients: Mutex<HashMap<[u8; 32], Sender<Vec<u8>>>>,
}

/// How the relay does its work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Carries,
    /// Takes packets and hands none over.
    Mute,
}

impl Relay {
    /// The 101, the key, and then one client until it leaves. `tcp` is the stream's own.
    pub fn serve(
        &self,
        mut stream: &mut dyn Stream,
        tcp: &TcpStream,
        manner: Manner,
    ) -> io::Result<()> {
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\nConnection: Upgrade\r\nDerp-Version: 2\r\n\r\n";
        stream.write_all(&[head.as_bytes(), &relay::greeting(&RELAY)].concat())?;
        stream.flush()?;
        tcp.set_read_timeout(Some(TURN))?;
        let (sender, inbox) = channel();
        let mut client = None;
        let ended = self.attend(&mut stream, manner, &sender, &inbox, &mut client);
        if let Some(client) = client {
            self.clients.lock().unwrap().remove(&client);
        }
        tcp.set_read_timeout(None)?;
        ended
    }

    fn attend(
        &self,
        stream: &mut dyn Stream,
        manner: Manner,
        sender: &Sender<Vec<u8>>,
        inbox: &Receiver<Vec<u8>>,
        client: &mut Option<[u8; 32]>,
    ) -> io::Result<()> {
        let mut come = Vec::new();
        loop {
            if more(stream, &mut come)?.is_none() {
                return Ok(());
            }
            while let Some((said, length)) = relay::read(&RELAY, &come) {
                come.drain(..length);
                let answer = self.heed(said, manner, sender, client);
                stream.write_all(&answer)?;
            }
            for frame in inbox.try_iter() {
                stream.write_all(&frame)?;
            }
            stream.flush()?;
        }
    }

    /// What is answered to a frame.
    fn heed(
        &self,
        said: Said,
        manner: Manner,
        sender: &Sender<Vec<u8>>,
        client: &mut Option<[u8; 32]>,
    ) -> Vec<u8> {
        match (said, *client) {
            (Said::Info(key, _), _) => {
                *client = Some(key);
                self.clients.lock().unwrap().insert(key, sender.clone());
                relay::info(&RELAY, &key)
            }
            (Said::Packet(to, packet), Some(from)) if manner == Manner::Carries => {
                match self.clients.lock().unwrap().get(&to) {
                    // Its thread may be ending: then the packet is lost, as on a network.
                    Some(other) => drop(other.send(relay::packet(&from, &packet))),
                    None => return relay::gone(&to),
                }
                Vec::new()
            }
            (Said::Ping(ping), _) => relay::pong(&ping),
            _ => Vec::new(),
        }
    }
}

/// Reads what is there; `None` at the end.
fn more(stream: &mut dyn Stream, come: &mut Vec<u8>) -> io::Result<Option<()>> {
    let mut chunk = [0; 4096];
    match stream.read(&mut chunk) {
        Ok(0) => Ok(None),
        Ok(n) => {
            come.extend_from_slice(&chunk[..n]);
            Ok(Some(()))
        }
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(Some(())),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headscale::{KEY, OTHER_KEY, OTHER_PRIVATE, PRIVATE};

    #[test]
    fn the_keys_belong_together() {
        for (private, public) in [(PRIVATE, KEY), (OTHER_PRIVATE, OTHER_KEY)] {
            let key = control::ServerKey(noise::public(&private));
            assert_eq!(key.to_string(), public);
        }
    }
}
