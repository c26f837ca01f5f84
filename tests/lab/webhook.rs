//! Who receives the alerts: verifies each signature as Standard Webhooks says, with
//! code of its own, and keeps everything that came, with what was answered.

use std::collections::{BTreeSet, HashSet};
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::server::{Gate, Server};
use crate::wait::PATIENCE;
use crate::wire::{Request, Response, read_request};

/// The bytes of the shared secret.
const SECRET: &[u8] = b"the lab's secret, 32 bytes long.";
/// Standard Webhooks: a timestamp further off than this is a replay.
const TOLERANCE: Duration = Duration::from_secs(300);

const HALF_AN_ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{}";

/// What the receiver does with a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    Ok,
    Status(u16),
    /// 200, after this long.
    Slow(Duration),
    /// 200, and of the body that it announces only a part.
    OkThenBreaksOff,
    /// The same, and then nothing more until the sender gives up.
    OkThenHangs,
    /// Takes it, and closes in the middle of the status line.
    BreaksOff,
    /// Takes it, and closes without a word: the answer is lost on the way.
    Lost,
    /// Never answers.
    Hangs,
    /// Answers when it is told to, and as it is told then.
    Held,
}

/// One delivery as it arrived.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub id: String,
    /// `type` of the body.
    pub kind: String,
    pub body: Value,
    pub at: Instant,
    /// Whether a 2xx was sent back whole.
    pub accepted: bool,
}

impl Delivery {
    /// A field of `data`.
    pub fn data(&self, field: &str) -> &Value {
        &self.body["data"][field]
    }

    /// What the message says of that check.
    pub fn check(&self, id: &str) -> &Value {
        let checks = self.data("checks").as_array().into_iter().flatten();
        let found = checks.into_iter().find(|c| c["check"] == id);
        found.unwrap_or(&Value::Null)
    }

    /// The ids of the checks that it is about.
    pub fn checks(&self) -> BTreeSet<&str> {
        let checks = self.data("checks").as_array().into_iter().flatten();
        checks.filter_map(|c| c["check"].as_str()).collect()
    }
}

pub struct Webhook {
    server: Server,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    arrived: Condvar,
}

#[derive(Default)]
struct Inbox {
    answers: Option<Answers>,
    deliveries: Vec<Delivery>,
    /// What no receiver should get: unsigned, wrongly signed, not as documented.
    faults: Vec<String>,
    /// Requests that have arrived whole and wait for their answer.
    held: usize,
}

impl Webhook {
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        Self {
            server: Server::start(move |stream| theirs.serve(stream)),
            shared,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook?from=lab", self.server.addr())
    }

    pub fn secret() -> String {
        format!("whsec_{}", STANDARD.encode(SECRET))
    }

    pub fn answers(&self, answers: Answers) {
        self.shared.inbox.lock().unwrap().answers = Some(answers);
        self.shared.arrived.notify_all();
    }

    /// Waits until a request has arrived and waits for its answer ([`Answers::Held`]).
    pub fn wait_for_held(&self) {
        let inbox = self.shared.inbox.lock().unwrap();
        let arrived = &self.shared.arrived;
        let (_inbox, late) = arrived
            .wait_timeout_while(inbox, PATIENCE, |i| i.held == 0)
            .unwrap();
        assert!(!late.timed_out(), "waiting for a request at the webhook");
    }

    /// Opens, refuses or drops.
    pub fn gate(&self, gate: Gate) {
        self.server.gate(gate);
    }

    /// Every delivery so far, repetitions included.
    ///
    /// # Panics
    /// When anything came that was not signed and formed as documented.
    pub fn deliveries(&self) -> Vec<Delivery> {
        let inbox = self.shared.inbox.lock().unwrap();
        inbox.check();
        inbox.deliveries.clone()
    }

    /// Every message that was accepted, once: what a receiver that heeds the
    /// idempotency key makes of it.
    pub fn messages(&self) -> Vec<Delivery> {
        messages(&self.deliveries())
    }

    /// Waits until so many deliveries were attempted, accepted or not.
    pub fn wait_for_attempts(&self, attempts: usize) -> Vec<Delivery> {
        self.wait_until(&format!("{attempts} attempts"), |all| all.len() >= attempts)
    }

    /// Waits until `enough` messages were accepted.
    ///
    /// # Panics
    /// After the lab's patience, with what did come.
    pub fn wait_for(&self, enough: usize) -> Vec<Delivery> {
        let what = format!("{enough} messages");
        self.wait_until(&what, |all| messages(all).len() >= enough);
        self.messages()
    }

    /// Waits until the deliveries satisfy `enough`.
    pub fn wait_until(&self, what: &str, enough: impl Fn(&[Delivery]) -> bool) -> Vec<Delivery> {
        let inbox = self.shared.inbox.lock().unwrap();
        let (inbox, late) = self
            .shared
            .arrived
            .wait_timeout_while(inbox, PATIENCE, |i| {
                i.faults.is_empty() && !enough(&i.deliveries)
            })
            .unwrap();
        inbox.check();
        assert!(
            !late.timed_out(),
            "waiting for {what} at the webhook: got only {:#?}",
            inbox.deliveries
        );
        inbox.deliveries.clone()
    }
}

fn messages(deliveries: &[Delivery]) -> Vec<Delivery> {
    let mut seen = HashSet::new();
    let accepted = deliveries.iter().filter(|d| d.accepted);
    accepted
        .filter(|d| seen.insert(d.id.clone()))
        .cloned()
        .collect()
}

impl Inbox {
    fn check(&self) {
        assert!(self.faults.is_empty(), "at the webhook: {:#?}", self.faults);
    }
}

impl Shared {
    fn serve(&self, mut tcp: TcpStream) {
        let Ok(request) = read_request(&mut tcp) else {
            return;
        };
        let at = Instant::now();
        let answers = self.answers();
        let accepted = respond(&mut tcp, answers);
        let _ = tcp.shutdown(Shutdown::Both);
        let mut inbox = self.inbox.lock().unwrap();
        match read(&request) {
            Err(fault) => inbox.faults.push(fault),
            Ok((id, body)) => inbox.deliveries.push(Delivery {
                id,
                kind: body["type"].as_str().unwrap_or_default().to_owned(),
                body,
                at,
                accepted,
            }),
        }
        self.arrived.notify_all();
    }
}

impl Shared {
    /// What to answer, once that is known.
    fn answers(&self) -> Answers {
        let mut inbox = self.inbox.lock().unwrap();
        inbox.held += 1;
        self.arrived.notify_all();
        let held = |i: &mut Inbox| i.answers == Some(Answers::Held);
        let (mut inbox, _) = self
            .arrived
            .wait_timeout_while(inbox, PATIENCE, held)
            .unwrap();
        inbox.held -= 1;
        inbox.answers.unwrap_or(Answers::Ok)
    }
}

/// True when a whole 2xx went out.
fn respond(tcp: &mut TcpStream, answers: Answers) -> bool {
    let ok = Response::new(200, "application/json", "{}").to_bytes();
    match answers {
        Answers::Ok => tcp.write_all(&ok).is_ok(),
        Answers::Slow(by) => {
            std::thread::sleep(by);
            tcp.write_all(&ok).is_ok()
        }
        Answers::OkThenBreaksOff => tcp.write_all(HALF_AN_ANSWER).is_ok(),
        Answers::OkThenHangs => {
            let taken = tcp.write_all(HALF_AN_ANSWER).is_ok();
            let _ = std::io::copy(tcp, &mut std::io::sink());
            taken
        }
        Answers::Status(status) => {
            let answer = Response::new(status, "text/plain", "not now").to_bytes();
            tcp.write_all(&answer).is_ok() && (200..300).contains(&status)
        }
        Answers::BreaksOff => {
            let _ = tcp.write_all(b"HTTP/1.1 20");
            false
        }
        Answers::Lost => false,
        Answers::Hangs | Answers::Held => {
            // Until the sender gives up.
            let _ = std::io::copy(tcp, &mut std::io::sink());
            false
        }
    }
}

/// The id and the body, or what is wrong with them.
fn read(request: &Request) -> Result<(String, Value), String> {
    let header = |name| {
        request
            .header(name)
            .ok_or(format!("reading a delivery: no header {name:?}"))
    };
    let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
    let mut signed = format!("{id}.{timestamp}.").into_bytes();
    signed.extend_from_slice(&request.body);
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).map_err(|e| e.to_string())?;
    mac.update(&signed);
    let want = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    let got = header("webhook-signature")?;
    if !got.split(' ').any(|one| one == want) {
        return Err(format!(
            "verifying delivery {id:?}: got {got:?}, want {want:?}"
        ));
    }
    let sent: u64 = timestamp
        .parse()
        .map_err(|_| format!("reading a delivery: timestamp {timestamp:?}"))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    if now.abs_diff(Duration::from_secs(sent)) > TOLERANCE {
        return Err(format!("reading a delivery: timestamp {sent}, now {now:?}"));
    }
    let body: Value = serde_json::from_slice(&request.body)
        .map_err(|e| format!("reading a delivery's body: {e}"))?;
    match missing(&body) {
        Some(field) => Err(format!("reading a delivery: no {field:?} in {body}")),
        None => Ok((id.to_owned(), body)),
    }
}

/// The first documented field that the body lacks.
fn missing(body: &Value) -> Option<&'static str> {
    let lacks =
        |at: &Value, fields: &[&'static str]| fields.iter().copied().find(|f| at.get(*f).is_none());
    let data = &body["data"];
    let of_data = [
        "version",
        "service",
        "summary",
        "test",
        "severity",
        "failing_since",
        "duration_s",
        "action",
        "runbook_url",
        "checks",
    ];
    let of_check = ["check", "label", "kind", "reason", "detail", "target"];
    lacks(body, &["type", "timestamp", "data"])
        .or_else(|| lacks(data, &of_data))
        .or_else(|| lacks(data["checks"].get(0)?, &of_check))
}
