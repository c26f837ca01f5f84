//! The control protocol as a client opens it: `/key`, then `POST /ts2021` with a Noise
//! initiation, then what the server says first.
//!
//! Nothing is registered: a client that leaves after this was never more than a connection.

use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use watchbell_core::outcome::Kind;
use watchbell_core::settings::ControlSettings;

use crate::buffered::Buffered;
use crate::fault::{Fault, excerpt};
use crate::hex;
use crate::http1::{self, Body, Head};
use crate::noise::{Initiation, Transport};
use crate::reason::Reason;
use crate::upgrade::{self, Declined, Upgrade};

/// What the check passes for unless it is told otherwise.
pub const VERSION: u16 = ControlSettings::CAPABILITY_VERSION;
/// Newer than any server can ask for.
pub const VERSION_MAX: u16 = u16::MAX;
pub const PROTOCOL: &str = "tailscale-control-protocol";
const HANDSHAKE_HEADER: &str = "X-Tailscale-Handshake";
const PATH: &str = "/ts2021";
const KEY_PREFIX: &str = "mkey:";

/// Before HTTP/2 the server sends this, a length (u32, big-endian) and JSON.
const EARLY_MAGIC: [u8; 5] = *b"\xff\xff\xffTS";
/// The JSON holds one key of 72 characters.
const EARLY_BYTES_MAX: usize = 16 * 1024;
/// It comes in one or two; records without content would be read for ever.
const EARLY_RECORDS_MAX: usize = 64;
/// A frame of HTTP/2 begins with nine bytes, which is also all that the early payload has
/// before its JSON.
const FIRST_BYTES: usize = 9;

/// The server's public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerKey(pub [u8; 32]);

impl std::fmt::Display for ServerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{KEY_PREFIX}{}", hex::encode(&self.0))
    }
}

impl ServerKey {
    /// `mkey:` and 64 digits, not all of them zero.
    pub fn parse(text: &str) -> Option<Self> {
        let key = hex::key(text.strip_prefix(KEY_PREFIX)?)?;
        (key != [0; 32]).then_some(Self(key))
    }
}

/// The path of the key for that capability version.
pub fn key_path(version: u16) -> String {
    format!("/key?v={version}")
}

/// The key in an answer to `GET /key`.
pub fn read_key(head: &Head, body: &Body) -> Result<ServerKey, Fault> {
    let doing = "asking for /key";
    if head.status != 200 {
        let fault = http1::unexpected(head, &body.bytes, doing, "200");
        let fault = fault.of_a_plain_proxy(head, &body.bytes);
        // 502 to 504 are the proxy's own: the service behind it is not reached.
        let reason = match head.status {
            502..=504 => None,
            _ => fault.reason.or(Some(Reason::NoKey)),
        };
        return Err(Fault { reason, ..fault });
    }
    let no_key = |what: &str| {
        let detail = format!("{doing}: {what}, got {}", excerpt(&body.bytes));
        Fault::new(Kind::Body, Reason::NoKey, detail)
    };
    let value: Value =
        serde_json::from_slice(&body.bytes).map_err(|_| no_key("the body is not JSON"))?;
    let key = value.get("publicKey").and_then(Value::as_str);
    key.and_then(ServerKey::parse)
        .ok_or_else(|| no_key("want /publicKey to be mkey: and 64 hex digits, not all zero"))
}

/// The version in an answer to `GET /version`, where it is offered (v0.27 on).
pub fn read_version(head: &Head, body: &Body) -> Option<String> {
    let value: Value = serde_json::from_slice(&body.bytes).ok()?;
    let version = value.get("version")?.as_str()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    let fits = head.status == 200 && (1..=64).contains(&version.len());
    (fits && version.chars().all(plain)).then(|| version.to_owned())
}

/// What a request to `/ts2021` came to.
pub enum Opened {
    /// Upgraded; the handshake waits for its answer.
    Upgraded(Box<Initiation>),
    /// The server did not upgrade, and this is why.
    Refused(Fault),
}

/// Sends the upgrade with a true initiation for that key.
pub fn open<S: Read + Write>(
    stream: &mut Buffered<S>,
    authority: &str,
    version: u16,
    key: &ServerKey,
) -> Result<Opened, Fault> {
    let initiation = Initiation::new(version, &key.0)?;
    let handshake = STANDARD.encode(initiation.message());
    let request = Upgrade {
        method: "POST",
        authority,
        path: PATH,
        to: PROTOCOL,
        headers: &[(HANDSHAKE_HEADER, &handshake)],
    };
    Ok(match upgrade::ask(stream, &request)? {
        Ok(_) => Opened::Upgraded(Box::new(initiation)),
        Err(declined) => Opened::Refused(refused(&declined)),
    })
}

/// Headscale's own words for what is missing, as measured on v0.26 and v0.29.
fn refused(declined: &Declined) -> Fault {
    let because = |reason, why: &str| Fault {
        kind: Kind::Protocol,
        reason: Some(reason),
        ..declined.unexpected(PATH).and(why)
    };
    match declined.head.status {
        500 if declined.says("Internal error") => because(
            Reason::UpgradeStripped,
            "Headscale is reached without Upgrade: a proxy strips it",
        ),
        400 if declined.says("missing Tailscale handshake header") => because(
            Reason::HeaderStripped,
            "a proxy strips X-Tailscale-Handshake",
        ),
        400 if declined.says("unknown next protocol") => {
            because(Reason::UpgradeChanged, "a proxy changes Upgrade")
        }
        // Headscale's answer to websocket; a static page's 405 is HTML.
        405 if !declined.is_html() => because(
            Reason::UpgradeChanged,
            "a proxy makes it Upgrade: websocket",
        ),
        _ => declined.fault(PATH),
    }
}

/// What the server sends first: its challenge, or HTTP/2 at once.
///
/// `Ok(false)` where a server sends no early payload.
pub fn read_early<S: Read>(
    transport: &mut Transport,
    stream: &mut Buffered<S>,
) -> Result<bool, Fault> {
    let mut content = Vec::new();
    let mut records = 0;
    let mut more = |content: &mut Vec<u8>, want: usize| -> Result<(), Fault> {
        while content.len() < want {
            records += 1;
            if records > EARLY_RECORDS_MAX {
                let detail = "reading what the server says first: it says too little at a time";
                return Err(Fault::protocol(Reason::Handshake, detail));
            }
            content.extend(transport.read(stream)?);
        }
        Ok(())
    };
    more(&mut content, FIRST_BYTES)?;
    let (magic, length) = content.split_at(EARLY_MAGIC.len());
    if magic != EARLY_MAGIC {
        return Ok(false);
    }
    let length: [u8; 4] = length
        .get(..4)
        .and_then(|l| l.try_into().ok())
        .unwrap_or_default();
    let length = u32::from_be_bytes(length) as usize;
    let malformed = |what: String| {
        let detail = format!("reading what the server says first: {what}");
        Fault::protocol(Reason::Handshake, detail)
    };
    if length > EARLY_BYTES_MAX {
        return Err(malformed(format!(
            "{length} bytes are announced, want at most {EARLY_BYTES_MAX}"
        )));
    }
    more(&mut content, FIRST_BYTES + length)?;
    let json = content
        .get(FIRST_BYTES..FIRST_BYTES + length)
        .unwrap_or_default();
    match serde_json::from_slice::<Value>(json) {
        Ok(value) if value.is_object() => Ok(true),
        _ => Err(malformed(format!("want JSON, got {}", excerpt(json)))),
    }
}

/// The early payload as Headscale sends it, for the lab.
#[cfg(any(test, feature = "server"))]
pub fn early() -> Vec<u8> {
    let json = format!(r#"{{"nodeKeyChallenge":"chalpub:{}"}}"#, "5a".repeat(32));
    let length = (json.len() as u32).to_be_bytes();
    [&EARLY_MAGIC[..], &length, json.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::server;
    use crate::scripted::Scripted;

    const PRIVATE: [u8; 32] = [3; 32];
    const AUTHORITY: &str = "hs.example.com";

    fn key() -> ServerKey {
        ServerKey(server::public(&PRIVATE))
    }

    fn answer(text: &str) -> (Head, Body) {
        let mut stream = Buffered::new(Scripted::new(text));
        let head = http1::read_head(&mut stream).unwrap();
        let body = http1::read_body(&mut stream, &head).unwrap();
        (head, body)
    }

    #[test]
    fn a_key_is_read_or_what_came_is_told() {
        let zeros = "0".repeat(64);
        let ok = |body: &str| format!("HTTP/1.1 200 OK\r\n\r\n{body}");
        let good = format!(
            r#"{{"legacyPublicKey":"mkey:{zeros}","publicKey":"{}"}}"#,
            key()
        );
        let (head, body) = answer(&ok(&good));
        assert_eq!(read_key(&head, &body).unwrap(), key());
        for (text, kind, reason, part) in [
            (ok(""), Kind::Body, Some(Reason::NoKey), "not JSON"),
            (ok("<html>"), Kind::Body, Some(Reason::NoKey), "\"<html>\""),
            (
                ok(r#"{"publicKey":1}"#),
                Kind::Body,
                Some(Reason::NoKey),
                "64 hex",
            ),
            (
                ok(&format!(r#"{{"publicKey":"mkey:{zeros}"}}"#)),
                Kind::Body,
                Some(Reason::NoKey),
                "not all zero",
            ),
            (
                "HTTP/1.1 404 N\r\n\r\nno".into(),
                Kind::Status,
                Some(Reason::NoKey),
                "status 404, want 200",
            ),
            (
                "HTTP/1.1 502 B\r\n\r\n".into(),
                Kind::Status,
                None,
                "status 502",
            ),
            (
                "HTTP/1.0 400 B\r\n\r\nClient sent an HTTP request to an HTTPS server.\n".into(),
                Kind::Protocol,
                Some(Reason::PlainHttpToTls),
                "status 400",
            ),
        ] {
            let (head, body) = answer(&text);
            let fault = read_key(&head, &body).unwrap_err();
            assert_eq!((fault.kind, fault.reason), (kind, reason), "{text}");
            assert!(fault.detail.contains(part), "{}", fault.detail);
        }
    }

    #[test]
    fn a_version_is_read_where_there_is_one() {
        let version = |text: &str| {
            let (head, body) = answer(text);
            read_version(&head, &body)
        };
        let ok = |body: &str| format!("HTTP/1.1 200 OK\r\n\r\n{body}");
        assert_eq!(
            version(&ok(r#"{"version":"v0.29.2"}"#)).as_deref(),
            Some("v0.29.2")
        );
        for text in [
            "HTTP/1.1 404 N\r\n\r\n{\"version\":\"v1\"}".to_owned(),
            ok(""),
            ok(r#"{"version":""}"#),
            ok(r#"{"version":"<script>"}"#),
        ] {
            assert_eq!(version(&text), None, "{text}");
        }
    }

    /// The answers of headscale.md's tables, and what each of them means.
    #[test]
    fn a_refusal_says_what_the_proxy_did() {
        for (text, kind, reason) in [
            (
                "HTTP/1.1 500 E\r\nContent-Type: text/plain\r\n\r\nInternal error\n",
                Kind::Protocol,
                Some(Reason::UpgradeStripped),
            ),
            (
                "HTTP/1.1 400 B\r\n\r\nmissing Tailscale handshake header\ninternal server error\n",
                Kind::Protocol,
                Some(Reason::HeaderStripped),
            ),
            (
                "HTTP/1.1 400 B\r\n\r\nunknown next protocol\ninternal server error\n",
                Kind::Protocol,
                Some(Reason::UpgradeChanged),
            ),
            (
                "HTTP/1.1 405 M\r\n\r\n",
                Kind::Protocol,
                Some(Reason::UpgradeChanged),
            ),
            (
                "HTTP/1.1 405 M\r\nContent-Type: text/html\r\n\r\n<html>",
                Kind::Status,
                Some(Reason::WrongAnswer),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                Kind::Protocol,
                Some(Reason::UpgradeChanged),
            ),
            (
                "HTTP/1.1 200 OK\r\n\r\n<html>",
                Kind::Status,
                Some(Reason::WrongAnswer),
            ),
            (
                "HTTP/1.1 400 B\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
                Kind::Protocol,
                Some(Reason::PlainHttpToTls),
            ),
            ("HTTP/1.1 502 B\r\n\r\n<html>", Kind::Status, None),
        ] {
            let mut stream = Buffered::new(Scripted::new(text));
            let Opened::Refused(fault) = open(&mut stream, AUTHORITY, VERSION, &key()).unwrap()
            else {
                panic!("{text}")
            };
            assert_eq!((fault.kind, fault.reason), (kind, reason), "{text}");
            assert!(fault.http_status.is_some());
            let two =
                fault.detail.contains("another server") && fault.detail.contains("a proxy strips");
            assert!(!two, "one explanation: {}", fault.detail);
        }
        let websocket = "HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n";
        let mut stream = Buffered::new(Scripted::new(websocket));
        let fault = open(&mut stream, AUTHORITY, VERSION, &key()).err().unwrap();
        assert_eq!(fault.reason, Some(Reason::UpgradeChanged));
    }

    /// Both ends of a true handshake, with the early payload cut in two records.
    #[test]
    fn what_the_server_says_first_is_read() {
        let early = early();
        for (contents, want) in [
            (vec![early.clone()], Ok(true)),
            (vec![early[..6].to_vec(), early[6..].to_vec()], Ok(true)),
            (vec![b"\0\0\x18\x04\0\0\0\0\0SETTINGS".to_vec()], Ok(false)),
            (
                vec![[&EARLY_MAGIC[..], &[0xff; 4]].concat()],
                Err("4294967295 bytes are announced"),
            ),
            (
                vec![[&EARLY_MAGIC[..], &[0, 0, 0, 2], b"no"].concat()],
                Err("want JSON, got \"no\""),
            ),
            (vec![b"\xff".to_vec()], Err("the connection was closed")),
        ] {
            let initiation = Initiation::new(VERSION, &key().0).unwrap();
            let (answer, mut theirs) = server::respond(&PRIVATE, initiation.message()).unwrap();
            let mut out = Buffered::new(Scripted::new(""));
            for content in &contents {
                theirs.write(&mut out, content).unwrap();
            }
            let script = [answer, std::mem::take(&mut out.stream_mut().written)].concat();
            let mut stream = Buffered::new(Scripted::in_pieces(script, 5));
            let mut ours = initiation.finish(&mut stream).unwrap();
            match (read_early(&mut ours, &mut stream), want) {
                (Ok(got), Ok(want)) => assert_eq!(got, want),
                (Err(got), Err(part)) => assert!(got.detail.contains(part), "{}", got.detail),
                (got, want) => panic!("got {got:?}, want {want:?}"),
            }
        }
    }

    #[test]
    fn the_request_is_the_clients() {
        let mut stream = Buffered::new(Scripted::new(
            "HTTP/1.1 101 S\r\nUpgrade: Tailscale-Control-Protocol\r\n\r\n",
        ));
        let opened = open(&mut stream, AUTHORITY, VERSION, &key()).unwrap();
        assert!(matches!(opened, Opened::Upgraded(_)));
        let sent = String::from_utf8(std::mem::take(&mut stream.stream_mut().written)).unwrap();
        assert!(sent.starts_with("POST /ts2021 HTTP/1.1\r\nHost: hs.example.com\r\n"));
        for line in [
            "Connection: Upgrade",
            "Upgrade: tailscale-control-protocol",
            "Content-Length: 0",
        ] {
            assert!(sent.contains(&format!("\r\n{line}\r\n")), "{sent}");
        }
        let (_, rest) = sent.split_once("X-Tailscale-Handshake: ").unwrap();
        let initiation = STANDARD.decode(rest.lines().next().unwrap()).unwrap();
        assert_eq!(server::version(&initiation), Some(VERSION));
    }
}
