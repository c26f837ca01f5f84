//! Why an exchange did not go as the protocol has it.

use std::io;

use watchbell_core::outcome::{Kind, Outcome, one_line};

use crate::http1::Head;
use crate::reason::Reason;

/// Of a peer's text, this much is repeated.
const EXCERPT_CHARS: usize = 60;

/// A failed exchange. `detail` says what was done, what came and what was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: Kind,
    pub reason: Option<Reason>,
    pub detail: String,
    /// The answer's, where another was wanted.
    pub http_status: Option<u16>,
}

impl Fault {
    pub fn new(kind: Kind, reason: impl Into<Option<Reason>>, detail: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.into(),
            detail: detail.into(),
            http_status: None,
        }
    }

    /// The peer breaks the protocol.
    pub fn protocol(reason: Reason, detail: impl Into<String>) -> Self {
        Self::new(Kind::Protocol, reason, detail)
    }

    /// What the stream gave while `doing` something.
    pub fn io(doing: &str, error: &io::Error) -> Self {
        use io::ErrorKind as E;
        match error.kind() {
            E::TimedOut | E::WouldBlock => {
                Self::new(Kind::Timeout, None, format!("{doing}: no answer in time"))
            }
            E::UnexpectedEof | E::ConnectionReset | E::ConnectionAborted | E::BrokenPipe => {
                Self::protocol(
                    Reason::Closed,
                    format!("{doing}: the connection was closed"),
                )
            }
            // TLS records that do not fit; the library's text is about them alone.
            _ => Self::protocol(Reason::Malformed, format!("{doing}: {error}")),
        }
    }

    /// Refined where the answer is Go's to plain HTTP on a port with TLS.
    pub fn of_a_plain_proxy(self, head: &Head, body: &[u8]) -> Self {
        let says = String::from_utf8_lossy(body).contains("HTTP request to an HTTPS server");
        if head.status != 400 || !says {
            return self;
        }
        Self {
            kind: Kind::Protocol,
            reason: Some(Reason::PlainHttpToTls),
            ..self.and("plain HTTP reaches a port with TLS: a proxy speaks so to it, or the scheme is set wrong")
        }
    }

    pub fn is_closed(&self) -> bool {
        self.reason == Some(Reason::Closed)
    }

    /// Appends to the detail.
    pub fn and(mut self, more: &str) -> Self {
        self.detail.push_str("; ");
        self.detail.push_str(more);
        self
    }
}

impl From<Fault> for Outcome {
    fn from(fault: Fault) -> Self {
        let mut outcome = Outcome::failed(fault.kind, fault.detail);
        outcome.http_status = fault.http_status;
        match fault.reason {
            Some(reason) => outcome.reason(reason.as_str()),
            None => outcome,
        }
    }
}

/// A peer's text as a detail repeats it: quoted, on one line, short.
pub(crate) fn excerpt(text: &[u8]) -> String {
    let start = text.get(..4 * EXCERPT_CHARS).unwrap_or(text);
    format!(
        "{:?}",
        one_line(&String::from_utf8_lossy(start), EXCERPT_CHARS)
    )
}
