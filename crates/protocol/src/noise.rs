//! Tailscale's transport under the control protocol: Noise IK over an upgraded connection
//! (`control/controlbase` in Tailscale's sources).
//!
//! An initiation travels in the request that upgrades; what follows are messages of one
//! byte of type, two of length (big-endian) and content.

use std::io::{Read, Write};

use snow::params::NoiseParams;
use snow::{Builder, HandshakeState, StatelessTransportState};
use watchbell_core::outcome::Kind;

use crate::buffered::Buffered;
use crate::fault::{Fault, excerpt};
use crate::random;
use crate::reason::Reason;

const PATTERN: &str = "Noise_IK_25519_ChaChaPoly_BLAKE2s";
/// With version, type and length before the Noise message.
pub const INITIATION_BYTES: usize = 101;
const INITIATION_NOISE_BYTES: usize = INITIATION_BYTES - 5;
const RESPONSE_NOISE_BYTES: usize = 48;
const TAG_BYTES: usize = 16;
/// A whole message: Tailscale's own bound.
const MESSAGE_BYTES_MAX: usize = 4_096;
const HEADER_BYTES: usize = 3;

const INITIATION: u8 = 1;
const RESPONSE: u8 = 2;
const ERROR: u8 = 3;
const RECORD: u8 = 4;

/// A handshake of which the first half has been made.
pub struct Initiation {
    state: HandshakeState,
    message: Vec<u8>,
}

impl Initiation {
    /// To the server with that public key, from a machine key that is used this once.
    pub fn new(version: u16, server: &[u8; 32]) -> Result<Self, Fault> {
        let machine: [u8; 32] = random::bytes()?;
        let prologue = prologue(version);
        let builder = Builder::new(params()?)
            .prologue(&prologue)
            .and_then(|b| b.local_private_key(&machine))
            .and_then(|b| b.remote_public_key(server));
        let mut state = builder
            .and_then(Builder::build_initiator)
            .map_err(|_| ours())?;
        let mut noise = [0; INITIATION_NOISE_BYTES];
        let n = state.write_message(&[], &mut noise).map_err(|_| ours())?;
        let mut message = version.to_be_bytes().to_vec();
        frame(&mut message, INITIATION, noise.get(..n).unwrap_or_default());
        Ok(Self { state, message })
    }

    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Reads the server's half.
    pub fn finish<S: Read>(mut self, stream: &mut Buffered<S>) -> Result<Transport, Fault> {
        let doing = "waiting for the answer to the Noise handshake";
        let wrong = |detail: String| Fault::protocol(Reason::Handshake, detail);
        let (kind, content) = read_message(stream, doing)?;
        match kind {
            RESPONSE if content.len() == RESPONSE_NOISE_BYTES => {}
            ERROR => {
                let detail = format!("{doing}: the server says {}", excerpt(&content));
                return Err(wrong(detail));
            }
            other => {
                let detail = format!(
                    "{doing}: got a message of type {other} with {} bytes, want type 2 with 48",
                    content.len()
                );
                return Err(wrong(detail));
            }
        }
        if self.state.read_message(&content, &mut [0; 64]).is_err() {
            let detail = "the server's answer to the Noise handshake does not prove its key";
            return Err(wrong(detail.to_owned()));
        }
        Transport::new(self.state)
    }
}

/// An agreed connection's keys and counters.
pub struct Transport {
    state: StatelessTransportState,
    sent: u64,
    received: u64,
}

impl Transport {
    fn new(state: HandshakeState) -> Result<Self, Fault> {
        Ok(Self {
            state: state.into_stateless_transport_mode().map_err(|_| ours())?,
            sent: 0,
            received: 0,
        })
    }

    /// The content of the next record.
    pub fn read<S: Read>(&mut self, stream: &mut Buffered<S>) -> Result<Vec<u8>, Fault> {
        let (kind, sealed) = read_message(stream, "reading a record")?;
        let wrong = |detail| Fault::protocol(Reason::Handshake, detail);
        if kind != RECORD {
            return Err(wrong(format!(
                "reading a record: got a message of type {kind}, want type 4"
            )));
        }
        let mut content = vec![0; sealed.len()];
        let nonce = nonce(self.received);
        let Ok(n) = self.state.read_message(nonce, &sealed, &mut content) else {
            return Err(wrong(
                "a record of the server cannot be decrypted".to_owned(),
            ));
        };
        self.received += 1;
        content.truncate(n);
        Ok(content)
    }

    /// Sends a record, of at most 4,077 bytes.
    pub fn write<S: Write>(
        &mut self,
        stream: &mut Buffered<S>,
        content: &[u8],
    ) -> Result<(), Fault> {
        let mut sealed = vec![0; content.len() + TAG_BYTES];
        let nonce = nonce(self.sent);
        let n = self.state.write_message(nonce, content, &mut sealed);
        let n = n.map_err(|_| ours())?;
        self.sent += 1;
        let mut message = Vec::new();
        frame(&mut message, RECORD, sealed.get(..n).unwrap_or_default());
        let sent = stream.send(&message);
        sent.map_err(|e| Fault::io("sending a record", &e))
    }
}

/// Tailscale counts big-endian where Noise has the counter little-endian.
fn nonce(count: u64) -> u64 {
    count.swap_bytes()
}

fn frame(out: &mut Vec<u8>, kind: u8, content: &[u8]) {
    out.push(kind);
    // At most 4,093 bytes: the cast is exact.
    out.extend((content.len() as u16).to_be_bytes());
    out.extend(content);
}

fn read_message<S: Read>(stream: &mut Buffered<S>, doing: &str) -> Result<(u8, Vec<u8>), Fault> {
    let header: [u8; HEADER_BYTES] = stream.array().map_err(|e| Fault::io(doing, &e))?;
    let [kind, high, low] = header;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if HEADER_BYTES + length > MESSAGE_BYTES_MAX {
        let detail = format!("{doing}: a message of {length} bytes, want at most 4093");
        return Err(Fault::protocol(Reason::Handshake, detail));
    }
    let content = stream.take(length).map_err(|e| Fault::io(doing, &e))?;
    Ok((kind, content))
}

fn prologue(version: u16) -> Vec<u8> {
    format!("Tailscale Control Protocol v{version}").into_bytes()
}

fn params() -> Result<NoiseParams, Fault> {
    PATTERN.parse().map_err(|_| ours())
}

fn ours() -> Fault {
    Fault::new(Kind::Internal, None, "preparing the Noise handshake failed")
}

/// The server's half, for the lab.
#[cfg(any(test, feature = "server"))]
pub mod server {
    use super::*;

    /// The public key to a private one.
    pub fn public(private: &[u8; 32]) -> [u8; 32] {
        let secret = crypto_box::SecretKey::from(*private);
        *secret.public_key().as_bytes()
    }

    /// The version that a client's initiation names.
    pub fn version(initiation: &[u8]) -> Option<u16> {
        Some(u16::from_be_bytes(initiation.get(..2)?.try_into().ok()?))
    }

    /// Reads an initiation; gives the answer to send and the keys, or nothing when the
    /// client means another key, or breaks the rules.
    pub fn respond(private: &[u8; 32], initiation: &[u8]) -> Option<(Vec<u8>, Transport)> {
        let version = version(initiation)?;
        let noise = initiation.get(5..INITIATION_BYTES)?;
        let prologue = prologue(version);
        let builder = Builder::new(params().ok()?).prologue(&prologue).ok()?;
        let builder = builder.local_private_key(private).ok()?;
        let mut state = builder.build_responder().ok()?;
        state.read_message(noise, &mut [0; 64]).ok()?;
        let mut answer = [0; RESPONSE_NOISE_BYTES];
        let n = state.write_message(&[], &mut answer).ok()?;
        let mut message = Vec::new();
        frame(&mut message, RESPONSE, answer.get(..n)?);
        Some((message, Transport::new(state).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;

    const PRIVATE: [u8; 32] = [7; 32];

    fn initiation() -> Initiation {
        Initiation::new(133, &server::public(&PRIVATE)).unwrap()
    }

    #[test]
    fn two_ends_agree_and_count_records_alike() {
        let initiation = initiation();
        let message = initiation.message().to_vec();
        assert_eq!(message.len(), INITIATION_BYTES);
        assert_eq!(message[..5], [0, 133, 1, 0, 96]);
        let (answer, mut theirs) = server::respond(&PRIVATE, &message).unwrap();
        assert_eq!(answer.len(), 51);
        let mut out = Buffered::new(Scripted::new(""));
        // 300 records: the counter's second byte is used.
        for n in 0..300_u16 {
            theirs.write(&mut out, &n.to_be_bytes()).unwrap();
        }
        let script = [answer, std::mem::take(&mut out.stream_mut().written)].concat();
        let mut stream = Buffered::new(Scripted::in_pieces(script, 7));
        let mut ours = initiation.finish(&mut stream).unwrap();
        for n in 0..300_u16 {
            assert_eq!(ours.read(&mut stream).unwrap(), n.to_be_bytes());
        }
        assert!(ours.read(&mut stream).unwrap_err().is_closed());
    }

    /// The nonces of the second record on are Tailscale's, not Noise's: `00…00 | 1` as
    /// big-endian is what little-endian would call 2^56.
    #[test]
    fn the_counter_is_big_endian() {
        assert_eq!(nonce(1).to_le_bytes(), [0, 0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn a_server_without_the_key_cannot_answer() {
        assert!(server::respond(&[8; 32], initiation().message()).is_none());
        let mut other = initiation().message().to_vec();
        other[1] = 134;
        assert!(server::respond(&PRIVATE, &other).is_none(), "the prologue");
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let answer = |bytes: &[u8]| {
            initiation()
                .finish(&mut Buffered::new(bytes))
                .err()
                .unwrap()
        };
        for (bytes, part) in [
            (&b""[..], "the connection was closed"),
            (b"\x03\x00\x05nope!", "the server says \"nope!\""),
            (b"\x02\x00\x01x", "type 2 with 1 bytes"),
            (b"\x04\x00\x01x", "type 4 with 1 bytes"),
            (b"\x02\xff\xff", "a message of 65535 bytes"),
            (
                &[&b"\x02\x00\x30"[..], &[9; 48]].concat(),
                "does not prove its key",
            ),
        ] {
            let fault = answer(bytes);
            assert_eq!(fault.kind, Kind::Protocol);
            assert!(fault.detail.contains(part), "{}", fault.detail);
        }
    }
}
