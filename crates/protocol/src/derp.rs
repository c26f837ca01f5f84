//! DERP, Tailscale's relay protocol (`derp` in Tailscale's sources), as a client speaks it.
//!
//! Frames of one byte of type, four of length (big-endian) and content. The server shows
//! its key; a client says who it is in a NaCl box; packets go by public key.

use std::io::{Read, Write};

use crypto_box::aead::Aead;
use crypto_box::{PublicKey, SalsaBox, SecretKey};
use serde_json::Value;
use watchbell_core::outcome::Kind;

use crate::buffered::Buffered;
use crate::fault::{Fault, excerpt};
use crate::hex;
use crate::http1::Head;
use crate::random;
use crate::reason::Reason;
use crate::upgrade::{self, Declined, Upgrade};

pub const PATH: &str = "/derp";
pub const PROBE_PATH: &str = "/derp/probe";
const PROTOCOL: &str = "DERP";
/// What packets of path discovery begin with: of the peer of one a relay tells the sender
/// that it is gone.
pub const DISCO: [u8; 6] = [b'T', b'S', 0xf0, 0x9f, 0x92, 0xac];
const MAGIC: [u8; 8] = [b'D', b'E', b'R', b'P', 0xf0, 0x9f, 0x94, 0x91];
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
/// With key and flags, the largest that a server relays is 64 KiB.
const FRAME_BYTES_MAX: u32 = 68 * 1024;
/// Frames between the one that is sent and the one that is waited for: a relay that has much
/// to say beside (who is present) says a frame a client, and to us nothing.
const FRAMES_MAX: usize = 200;

const SERVER_KEY: u8 = 0x01;
const CLIENT_INFO: u8 = 0x02;
const SERVER_INFO: u8 = 0x03;
const SEND_PACKET: u8 = 0x04;
const RECV_PACKET: u8 = 0x05;
const PEER_GONE: u8 = 0x08;
const PING: u8 = 0x12;
const PONG: u8 = 0x13;
const HEALTH: u8 = 0x14;
const RESTARTING: u8 = 0x15;

/// A connection to a relay that has shown its key.
pub struct Client<S> {
    stream: Buffered<S>,
    secret: SecretKey,
    server: [u8; KEY_BYTES],
    /// What it said of itself: that it is not well, or that it restarts.
    complaint: Option<String>,
    restarting: bool,
}

/// How a relay took a client that said who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Admitted,
    /// It closed: it verifies its clients, and knows of no such node.
    Turned,
}

/// What a client is waiting for.
enum Awaited<'a> {
    ServerInfo,
    PacketFrom(&'a [u8; KEY_BYTES]),
    Pong([u8; 8]),
}

impl<S: Read + Write> Client<S> {
    /// Upgrades the connection and reads the server's key. A server that does not upgrade
    /// is told by [`refused`].
    pub fn knock(
        mut stream: Buffered<S>,
        authority: &str,
    ) -> Result<Result<Self, Declined>, Fault> {
        let request = Upgrade {
            method: "GET",
            authority,
            path: PATH,
            to: PROTOCOL,
            headers: &[],
        };
        let head = match upgrade::ask(&mut stream, &request)? {
            Ok(head) => head,
            Err(declined) => return Ok(Err(declined)),
        };
        let doing = "waiting for the relay's key";
        let (kind, content) = read_frame(&mut stream, doing)?;
        let server = match (kind, content.split_first_chunk::<8>()) {
            (SERVER_KEY, Some((&MAGIC, rest))) => rest.first_chunk::<KEY_BYTES>().copied(),
            _ => None,
        };
        let Some(server) = server else {
            let detail = format!(
                "{doing}: got a frame of type {kind:#04x} that starts {}",
                excerpt(&content)
            );
            return Err(Fault::protocol(Reason::Malformed, detail));
        };
        announced(&head, &server)?;
        Ok(Ok(Self {
            stream,
            secret: SecretKey::from(random::bytes::<KEY_BYTES>()?),
            server,
            complaint: None,
            restarting: false,
        }))
    }

    /// Says who it is, and waits for the server's word.
    pub fn introduce(&mut self) -> Result<Admission, Fault> {
        let doing = "introducing a client to the relay";
        // A prober: the relay leaves it out of its own statistics.
        let info = br#"{"version":2,"CanAckPings":true,"IsProber":true}"#;
        let nonce: [u8; NONCE_BYTES] = random::bytes()?;
        let sealed = self.to_server().encrypt(&nonce.into(), &info[..]);
        let sealed =
            sealed.map_err(|_| Fault::new(Kind::Internal, None, "sealing a box failed"))?;
        let content = [&self.public()[..], &nonce, &sealed].concat();
        self.send_frame(CLIENT_INFO, &content, doing)?;
        match self.wait_for(&Awaited::ServerInfo, doing) {
            Ok(_) => Ok(Admission::Admitted),
            Err(fault) if fault.is_closed() && !self.restarting => Ok(Admission::Turned),
            Err(fault) => Err(fault),
        }
    }

    /// Hands a packet to the relay.
    pub fn send(&mut self, to: &[u8; KEY_BYTES], packet: &[u8]) -> Result<(), Fault> {
        let content = [&to[..], packet].concat();
        self.send_frame(SEND_PACKET, &content, "handing a packet to the relay")
    }

    /// The next packet from that client.
    pub fn receive(&mut self, from: &[u8; KEY_BYTES]) -> Result<Vec<u8>, Fault> {
        let doing = "waiting for the packet from the relay";
        let content = self.wait_for(&Awaited::PacketFrom(from), doing)?;
        Ok(content.get(KEY_BYTES..).unwrap_or_default().to_vec())
    }

    /// Sends a ping and waits for its pong: what the relay had to say before it is then read.
    pub fn ping(&mut self) -> Result<(), Fault> {
        let doing = "waiting for the relay's pong";
        let ping: [u8; 8] = random::bytes()?;
        self.send_frame(PING, &ping, doing)?;
        self.wait_for(&Awaited::Pong(ping), doing).map(drop)
    }

    fn wait_for(&mut self, awaited: &Awaited<'_>, doing: &str) -> Result<Vec<u8>, Fault> {
        for _ in 0..FRAMES_MAX {
            let (kind, content) = match read_frame(&mut self.stream, doing) {
                Ok(frame) => frame,
                Err(fault) if self.restarting => return Err(fault.and("the relay restarts")),
                Err(fault) => return Err(fault),
            };
            match (kind, awaited) {
                (SERVER_INFO, Awaited::ServerInfo) => return self.open_info(&content),
                (RECV_PACKET, Awaited::PacketFrom(from)) if content.starts_with(&from[..]) => {
                    return Ok(content);
                }
                (PONG, Awaited::Pong(ping)) if content == ping => return Ok(content),
                (PING, _) if content.len() >= 8 => {
                    let payload = content.get(..8).unwrap_or_default().to_vec();
                    self.send_frame(PONG, &payload, "answering the relay's ping")?;
                }
                (HEALTH, _) => {
                    let text = String::from_utf8_lossy(&content).trim().to_owned();
                    self.complaint = (!text.is_empty()).then(|| excerpt(text.as_bytes()));
                }
                (RESTARTING, _) => self.restarting = true,
                (PEER_GONE, Awaited::Pong(_)) => {
                    let detail = "the relay does not know the other client";
                    return Err(Fault::protocol(Reason::NotRelayed, detail));
                }
                // Keep-alives, and what newer relays say beside.
                _ => {}
            }
        }
        let detail = format!("{doing}: {FRAMES_MAX} other frames came");
        Err(Fault::protocol(Reason::Malformed, detail))
    }

    /// What the relay says in its box; whether it is JSON proves that it holds its key.
    fn open_info(&self, content: &[u8]) -> Result<Vec<u8>, Fault> {
        let wrong = |what: &str| {
            let detail = format!("reading what the relay says of itself: {what}");
            Err(Fault::protocol(Reason::Handshake, detail))
        };
        let Some((nonce, sealed)) = content.split_first_chunk::<NONCE_BYTES>() else {
            return wrong("it is too short");
        };
        let nonce: crypto_box::Nonce = (*nonce).into();
        match self.to_server().decrypt(&nonce, sealed) {
            Ok(json) if serde_json::from_slice::<Value>(&json).is_ok() => Ok(json),
            Ok(json) => wrong(&format!("want JSON, got {}", excerpt(&json))),
            Err(_) => wrong("it is not sealed with the key that the relay shows"),
        }
    }

    fn send_frame(&mut self, kind: u8, content: &[u8], doing: &str) -> Result<(), Fault> {
        let sent = self.stream.send(&frame(kind, content));
        sent.map_err(|e| Fault::io(doing, &e))
    }

    fn to_server(&self) -> SalsaBox {
        SalsaBox::new(&PublicKey::from(self.server), &self.secret)
    }
}

impl<S> Client<S> {
    /// The client's own key, fresh for each.
    pub fn public(&self) -> [u8; KEY_BYTES] {
        *self.secret.public_key().as_bytes()
    }

    /// The relay's key, as Headscale writes it.
    pub fn server_key(&self) -> String {
        format!("nodekey:{}", hex::encode(&self.server))
    }

    /// What the relay said of its own trouble, quoted.
    pub fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }

    pub fn restarting(&self) -> bool {
        self.restarting
    }

    /// For its deadline.
    pub fn stream_mut(&mut self) -> &mut S {
        self.stream.stream_mut()
    }
}

/// The key in the answer's header is the frame's: of two relays one would lie.
fn announced(head: &Head, server: &[u8; KEY_BYTES]) -> Result<(), Fault> {
    let Some(text) = head.header("derp-public-key") else {
        return Ok(());
    };
    // Headscale writes `nodekey:` before it, derper nothing.
    let digits = text.strip_prefix("nodekey:").unwrap_or(text);
    if hex::key(digits).as_ref() == Some(server) {
        return Ok(());
    }
    let detail = format!(
        "the relay's key is {} in its header and {} in its first frame",
        excerpt(digits.as_bytes()),
        hex::encode(server)
    );
    Err(Fault::protocol(Reason::Handshake, detail))
}

/// Why a server that was asked for DERP does not speak it.
pub fn refused(declined: &Declined) -> Fault {
    match declined.head.status {
        426 => Fault {
            kind: Kind::Protocol,
            reason: Some(Reason::UpgradeStripped),
            ..declined
                .unexpected(PATH)
                .and("the relay is reached without Upgrade: a proxy strips it")
        },
        _ => declined.fault(PATH),
    }
}

fn frame(kind: u8, content: &[u8]) -> Vec<u8> {
    // What is sent is small: the cast is exact.
    let length = (content.len() as u32).to_be_bytes();
    [&[kind][..], &length, content].concat()
}

fn read_frame<S: Read>(stream: &mut Buffered<S>, doing: &str) -> Result<(u8, Vec<u8>), Fault> {
    let [kind, length @ ..]: [u8; 5] = stream.array().map_err(|e| Fault::io(doing, &e))?;
    let length = u32::from_be_bytes(length);
    if length > FRAME_BYTES_MAX {
        let detail = format!("{doing}: a frame of {length} bytes, want at most {FRAME_BYTES_MAX}");
        return Err(Fault::protocol(Reason::Malformed, detail));
    }
    let content = stream.take(length as usize);
    Ok((kind, content.map_err(|e| Fault::io(doing, &e))?))
}

/// The relay's side, for the lab.
#[cfg(any(test, feature = "server"))]
pub mod server {
    use super::*;

    /// What a client sent.
    #[derive(Debug, PartialEq, Eq)]
    pub enum Said {
        /// Its public key, and what it says of itself.
        Info([u8; KEY_BYTES], Vec<u8>),
        /// To whom, and what.
        Packet([u8; KEY_BYTES], Vec<u8>),
        Ping([u8; 8]),
        Other(u8),
    }

    /// The first frame.
    pub fn greeting(private: &[u8; KEY_BYTES]) -> Vec<u8> {
        let public = crate::noise::server::public(private);
        frame(SERVER_KEY, &[&MAGIC[..], &public].concat())
    }

    /// The answer to a client's info.
    pub fn info(private: &[u8; KEY_BYTES], client: &[u8; KEY_BYTES]) -> Vec<u8> {
        let nonce = [9; NONCE_BYTES];
        let sealed = with(private, client).encrypt(&nonce.into(), &br#"{"version":2}"#[..]);
        let sealed = sealed.unwrap_or_default();
        frame(SERVER_INFO, &[&nonce[..], &sealed].concat())
    }

    pub fn packet(from: &[u8; KEY_BYTES], packet: &[u8]) -> Vec<u8> {
        frame(RECV_PACKET, &[&from[..], packet].concat())
    }

    pub fn pong(ping: &[u8; 8]) -> Vec<u8> {
        frame(PONG, ping)
    }

    pub fn health(text: &str) -> Vec<u8> {
        frame(HEALTH, text.as_bytes())
    }

    pub fn gone(client: &[u8; KEY_BYTES]) -> Vec<u8> {
        frame(PEER_GONE, &[&client[..], &[1]].concat())
    }

    /// The next whole frame in what has come so far, and its length.
    pub fn read(private: &[u8; KEY_BYTES], bytes: &[u8]) -> Option<(Said, usize)> {
        let (head, rest) = bytes.split_first_chunk::<5>()?;
        let [kind, length @ ..] = *head;
        let length = u32::from_be_bytes(length) as usize;
        let content = rest.get(..length)?;
        let said = match kind {
            CLIENT_INFO => {
                let (client, rest) = content.split_first_chunk::<KEY_BYTES>()?;
                let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>()?;
                let nonce: crypto_box::Nonce = (*nonce).into();
                Said::Info(*client, with(private, client).decrypt(&nonce, sealed).ok()?)
            }
            SEND_PACKET => {
                let (to, packet) = content.split_first_chunk::<KEY_BYTES>()?;
                Said::Packet(*to, packet.to_vec())
            }
            PING => Said::Ping(content.try_into().ok()?),
            other => Said::Other(other),
        };
        Some((said, 5 + length))
    }

    fn with(private: &[u8; KEY_BYTES], client: &[u8; KEY_BYTES]) -> SalsaBox {
        SalsaBox::new(&PublicKey::from(*client), &SecretKey::from(*private))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;

    const PRIVATE: [u8; 32] = [5; 32];
    const UPGRADED: &str = "HTTP/1.1 101 S\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n";

    fn knock(script: Vec<u8>) -> Result<Client<Scripted>, Fault> {
        let stream = Buffered::new(Scripted::in_pieces(script, 11));
        match Client::knock(stream, "h")? {
            Ok(client) => Ok(client),
            Err(declined) => Err(refused(&declined)),
        }
    }

    /// A relay that has shown its key and says `more`; the info that it needs the client's
    /// key for is left to the tests over two connections.
    fn greeted(more: &[u8]) -> Client<Scripted> {
        let head = format!("{UPGRADED}\r\n").into_bytes();
        knock([&head[..], &server::greeting(&PRIVATE), more].concat()).unwrap()
    }

    #[test]
    fn the_magic_is_the_word_and_the_key() {
        assert_eq!(MAGIC, *"DERP🔑".as_bytes());
    }

    #[test]
    fn a_relay_shows_one_key() {
        let key = hex::encode(&crate::noise::server::public(&PRIVATE));
        let other = "11".repeat(32);
        for (header, fits) in [
            (String::new(), true),
            (format!("Derp-Public-Key: nodekey:{key}\r\n"), true),
            (format!("Derp-Public-Key: {key}\r\n"), true),
            (format!("Derp-Public-Key: nodekey:{other}\r\n"), false),
            ("Derp-Public-Key: x\r\n".to_owned(), false),
        ] {
            let head = format!("{UPGRADED}{header}\r\n").into_bytes();
            let got = knock([head, server::greeting(&PRIVATE)].concat());
            assert_eq!(got.is_ok(), fits, "{header}");
            if let Ok(client) = got {
                assert_eq!(client.server_key(), format!("nodekey:{key}"));
            }
        }
    }

    #[test]
    fn what_is_no_relay_is_told() {
        for (script, kind, reason, part) in [
            (
                b"HTTP/1.1 426 U\r\n\r\nDERP requires connection upgrade".to_vec(),
                Kind::Protocol,
                Some(Reason::UpgradeStripped),
                "status 426",
            ),
            (
                b"HTTP/1.1 404 N\r\n\r\n".to_vec(),
                Kind::Status,
                Some(Reason::WrongAnswer),
                "404",
            ),
            (
                b"HTTP/1.1 503 N\r\n\r\n".to_vec(),
                Kind::Status,
                None,
                "503",
            ),
            (
                b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n".to_vec(),
                Kind::Protocol,
                Some(Reason::UpgradeChanged),
                "switches to \"websocket\"",
            ),
            (
                format!("{UPGRADED}\r\n").into_bytes(),
                Kind::Protocol,
                Some(Reason::Closed),
                "waiting for the relay's key",
            ),
            (
                format!("{UPGRADED}\r\n\x01\0\0\0\x03abc").into_bytes(),
                Kind::Protocol,
                Some(Reason::Malformed),
                "type 0x01 that starts \"abc\"",
            ),
            (
                [
                    format!("{UPGRADED}\r\n").as_bytes(),
                    &[1, 0xff, 0xff, 0xff, 0xff],
                ]
                .concat(),
                Kind::Protocol,
                Some(Reason::Malformed),
                "a frame of 4294967295 bytes",
            ),
        ] {
            let fault = knock(script).err().unwrap();
            assert_eq!(
                (fault.kind, fault.reason),
                (kind, reason),
                "{}",
                fault.detail
            );
            assert!(fault.detail.contains(part), "{}", fault.detail);
        }
    }

    #[test]
    fn a_client_says_who_it_is_and_a_closed_door_is_verification() {
        let mut client = greeted(b"");
        assert_eq!(client.introduce().unwrap(), Admission::Turned);
        let written = &client.stream_mut().written;
        let at = written.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        let (said, _) = server::read(&PRIVATE, &written[at..]).unwrap();
        let server::Said::Info(key, info) = said else {
            panic!("{said:?}")
        };
        assert_eq!(key, client.public());
        assert!(serde_json::from_slice::<Value>(&info).unwrap()["IsProber"] == true);
        let mut silent = greeted(&server::packet(&[1; 32], b"x").repeat(FRAMES_MAX));
        assert_eq!(
            silent.introduce().unwrap_err().reason,
            Some(Reason::Malformed)
        );
        let mut forged = greeted(&server::info(&[6; 32], &[1; 32]));
        assert!(
            forged
                .introduce()
                .unwrap_err()
                .detail
                .contains("not sealed")
        );
    }

    #[test]
    fn what_comes_beside_the_packet_is_heard() {
        let from = [4; 32];
        let more = [
            frame(0x06, b""),
            server::packet(&[3; 32], b"a stranger's"),
            frame(PING, b"12345678"),
            server::health("on fire"),
            frame(0x77, b"from the future"),
            server::packet(&from, b"mine"),
        ];
        let mut client = greeted(&more.concat());
        assert_eq!(client.receive(&from).unwrap(), b"mine");
        assert_eq!(client.complaint(), Some("\"on fire\""));
        let written = &client.stream_mut().written;
        assert!(written.ends_with(&frame(PONG, b"12345678")));
    }

    #[test]
    fn a_health_that_is_empty_takes_the_complaint_back() {
        let more = [
            server::health("on fire"),
            server::health(""),
            server::packet(&[4; 32], b""),
        ];
        let mut client = greeted(&more.concat());
        client.receive(&[4; 32]).unwrap();
        assert_eq!(client.complaint(), None);
    }

    #[test]
    fn a_relay_that_restarts_does_not_look_like_one_that_verifies() {
        let mut client = greeted(&frame(RESTARTING, &[0; 8]));
        let fault = client.introduce().unwrap_err();
        assert!(
            fault.detail.ends_with("the relay restarts"),
            "{}",
            fault.detail
        );
    }

    #[test]
    fn a_peer_that_is_unknown_is_told_to_the_sender() {
        let fault = greeted(&server::gone(&[4; 32])).ping().unwrap_err();
        assert_eq!(fault.reason, Some(Reason::NotRelayed));
    }
}
