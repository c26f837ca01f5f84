//! The request that leaves HTTP behind, and what a proxy makes of it.

use std::io::{Read, Write};

use watchbell_core::outcome::Kind;

use crate::buffered::Buffered;
use crate::fault::Fault;
use crate::http1::{self, Head, Request};
use crate::reason::Reason;

/// What is asked for.
pub struct Upgrade<'a> {
    pub method: &'a str,
    pub authority: &'a str,
    pub path: &'a str,
    /// The protocol's token.
    pub to: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
}

/// An answer that is no upgrade, with as much of its body as came.
pub struct Declined {
    pub head: Head,
    pub body: Vec<u8>,
}

/// The answer's head when it is the upgrade that was asked for; the stream then speaks it.
pub fn ask<S: Read + Write>(
    stream: &mut Buffered<S>,
    upgrade: &Upgrade<'_>,
) -> Result<Result<Head, Declined>, Fault> {
    let mut headers = vec![("Connection", "Upgrade"), ("Upgrade", upgrade.to)];
    headers.extend(upgrade.headers);
    let request = Request {
        method: upgrade.method,
        authority: upgrade.authority,
        path: upgrade.path,
        headers: &headers,
    };
    http1::send(stream, &request)?;
    let head = http1::read_head(stream)?;
    if head.status != 101 {
        // The status says what is wrong; what of its body does not come changes nothing.
        let body = match http1::read_body(stream, &head) {
            Ok(body) => body.bytes,
            Err(_) => stream.ahead().to_vec(),
        };
        return Ok(Err(Declined { head, body }));
    }
    if head.has_token("upgrade", upgrade.to) {
        return Ok(Ok(head));
    }
    let to = head.header("upgrade").unwrap_or("nothing").as_bytes();
    let detail = format!(
        "asking {} to upgrade: it switches to {}, want {:?}; a proxy changes Upgrade",
        upgrade.path,
        crate::fault::excerpt(to),
        upgrade.to
    );
    Err(Fault::protocol(Reason::UpgradeChanged, detail))
}

impl Declined {
    pub fn says(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.body).contains(text)
    }

    pub fn is_html(&self) -> bool {
        self.head
            .header("content-type")
            .is_some_and(|t| t.starts_with("text/html"))
    }

    /// What came, and no more.
    pub fn unexpected(&self, path: &str) -> Fault {
        let doing = format!("asking {path} to upgrade");
        http1::unexpected(&self.head, &self.body, &doing, "101")
    }

    /// What such an answer means for any protocol, where it is not the protocol's own word.
    pub fn fault(&self, path: &str) -> Fault {
        let fault = self
            .unexpected(path)
            .of_a_plain_proxy(&self.head, &self.body);
        if fault.reason.is_some() {
            return fault;
        }
        let because = |kind, reason, why: &str| Fault {
            kind,
            reason: Some(reason),
            ..fault.clone().and(why)
        };
        match self.head.status {
            200 if self.body.trim_ascii().is_empty() => because(
                Kind::Protocol,
                Reason::UpgradeChanged,
                "a proxy changes Connection, or has no route for it",
            ),
            // The proxy's own: the service behind it is not reached.
            502..=504 => fault,
            _ => because(
                Kind::Status,
                Reason::WrongAnswer,
                "another server answers, or a proxy does so itself",
            ),
        }
    }
}
