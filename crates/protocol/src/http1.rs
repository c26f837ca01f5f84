//! HTTP/1.1 as far as these checks need it: a request without body, an answer.
//!
//! `wasi:http` cannot carry an `Upgrade`, so this is spoken over the guest's own socket.

use std::io::{Read, Write};

use watchbell_core::outcome::Kind;

use crate::buffered::Buffered;
use crate::fault::{Fault, excerpt};
use crate::reason::Reason;

/// The heads of Headscale's answers and of proxies' take some hundred bytes and a dozen
/// headers; far more than that is no answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 100;
const BEGINNING: &[u8] = b"HTTP/1.";
/// Informational answers before the real one: a proxy sends one or two (100, 103).
const INFORMATIONAL_MAX: usize = 8;
/// A body is read up to this: a key takes 200 bytes.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// A chunk's size, and its extensions, end within this.
const CHUNK_LINE_BYTES_MAX: usize = 256;

/// A request without a body.
pub struct Request<'a> {
    pub method: &'a str,
    /// `host` or `host:port`, as a URL has it.
    pub authority: &'a str,
    pub path: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
}

/// An answer up to its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// HTTP/1.0 closes unless told otherwise.
    old: bool,
}

/// A body as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    pub bytes: Vec<u8>,
    /// It ended within the bound, as announced.
    pub whole: bool,
    /// The connection can carry another request.
    pub reusable: bool,
}

/// Sends it, in one write.
pub fn send<S: Write>(stream: &mut Buffered<S>, request: &Request<'_>) -> Result<(), Fault> {
    let mut text = format!(
        "{} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: watchbell\r\n",
        request.method, request.path, request.authority
    );
    for (name, value) in request.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if request.method == "POST" {
        // Some proxies answer 411 to a POST without a length.
        text.push_str("Content-Length: 0\r\n");
    }
    text.push_str("\r\n");
    stream
        .send(text.as_bytes())
        .map_err(|e| Fault::io("sending the request", &e))
}

/// Reads the answer's head; bytes behind it stay in the stream.
pub fn read_head<S: Read>(stream: &mut Buffered<S>) -> Result<Head, Fault> {
    for _ in 0..INFORMATIONAL_MAX {
        let head = one_head(stream)?;
        if head.status >= 200 || head.status == 101 {
            return Ok(head);
        }
    }
    let detail = "reading the answer: only informational ones come";
    Err(Fault::protocol(Reason::Malformed, detail))
}

fn one_head<S: Read>(stream: &mut Buffered<S>) -> Result<Head, Fault> {
    let mut seen = 0;
    loop {
        // What cannot be complete is not parsed: a peer that sends byte by byte costs
        // no more than its bytes.
        let ahead = stream.ahead();
        let from = seen.min(ahead.len());
        if ahead.get(from..).unwrap_or_default().contains(&b'\n') {
            match parse(ahead) {
                Err(what) => {
                    let detail = format!("reading the answer: {what}, got {}", excerpt(ahead));
                    return Err(Fault::protocol(Reason::Malformed, detail));
                }
                Ok(Some((head, length))) => {
                    stream.consume(length);
                    return Ok(head);
                }
                Ok(None) => {}
            }
        }
        seen = stream.ahead().len();
        if seen > HEAD_BYTES_MAX {
            let detail =
                format!("reading the answer: its head is longer than {HEAD_BYTES_MAX} bytes");
            return Err(Fault::protocol(Reason::Malformed, detail));
        }
        if seen >= BEGINNING.len() && !stream.ahead().starts_with(BEGINNING) {
            let got = excerpt(stream.ahead());
            let detail = format!("reading the answer: want HTTP, got {got}");
            return Err(Fault::protocol(Reason::Malformed, detail));
        }
        if let Err(e) = stream.fill() {
            let fault = Fault::io("waiting for the answer", &e);
            return Err(match stream.ahead().len() {
                0 => fault,
                n => fault.and(&format!("of its head, {n} bytes came")),
            });
        }
    }
}

/// The head and its length, once it is complete.
fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, String> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Partial) => return Ok(None),
        Ok(httparse::Status::Complete(length)) => length,
        Err(httparse::Error::TooManyHeaders) => {
            return Err(format!("more than {HEADERS_MAX} headers"));
        }
        Err(_) => return Err("no valid HTTP".to_owned()),
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).trim().to_owned();
    let headers = response
        .headers
        .iter()
        .map(|h| (h.name.to_ascii_lowercase(), text(h.value)));
    let head = Head {
        headers: headers.collect(),
        status: response.code.unwrap_or_default(),
        old: response.version == Some(0),
    };
    Ok(Some((head, length)))
}

impl Head {
    /// The first header of that name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        all.find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Whether a comma-separated header holds the token, in any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        let values = self.headers.iter().filter(|(n, _)| n == name);
        values
            .flat_map(|(_, v)| v.split(','))
            .any(|t| t.trim().eq_ignore_ascii_case(token))
    }

    fn keeps_alive(&self) -> bool {
        match self.old {
            true => self.has_token("connection", "keep-alive"),
            false => !self.has_token("connection", "close"),
        }
    }
}

/// Reads the body of an answer to a request that is no HEAD, up to [`BODY_BYTES_MAX`].
///
/// # Errors
/// When it breaks off, does not come in time, or its framing cannot be read.
pub fn read_body<S: Read>(stream: &mut Buffered<S>, head: &Head) -> Result<Body, Fault> {
    if matches!(head.status, 204 | 304) {
        return Ok(Body {
            whole: true,
            reusable: head.keeps_alive(),
            ..Body::default()
        });
    }
    if head.has_token("transfer-encoding", "chunked") {
        return chunked(stream, head);
    }
    let doing = "reading the body";
    let Some(length) = head.header("content-length") else {
        return to_the_end(stream);
    };
    let Ok(length) = length.parse::<u64>() else {
        let detail = format!("{doing}: its length is {}", excerpt(length.as_bytes()));
        return Err(Fault::protocol(Reason::Malformed, detail));
    };
    let wanted = usize::try_from(length).unwrap_or(usize::MAX);
    let bytes = stream.take(wanted.min(BODY_BYTES_MAX));
    let bytes = bytes.map_err(|e| Fault::io(doing, &e))?;
    let whole = bytes.len() == wanted;
    Ok(Body {
        bytes,
        whole,
        reusable: whole && head.keeps_alive(),
    })
}

fn to_the_end<S: Read>(stream: &mut Buffered<S>) -> Result<Body, Fault> {
    let mut whole = false;
    while stream.ahead().len() < BODY_BYTES_MAX && !whole {
        match stream.fill() {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => whole = true,
            Err(e) => return Err(Fault::io("reading the body", &e)),
        }
    }
    let mut bytes = stream.ahead().to_vec();
    whole &= bytes.len() <= BODY_BYTES_MAX;
    bytes.truncate(BODY_BYTES_MAX);
    Ok(Body {
        bytes,
        whole,
        reusable: false,
    })
}

fn chunked<S: Read>(stream: &mut Buffered<S>, head: &Head) -> Result<Body, Fault> {
    let doing = "reading the body";
    let malformed = |got: &[u8]| {
        let detail = format!("{doing}: want the size of a chunk, got {}", excerpt(got));
        Fault::protocol(Reason::Malformed, detail)
    };
    let mut bytes = Vec::new();
    loop {
        let size = loop {
            match httparse::parse_chunk_size(stream.ahead()) {
                Ok(httparse::Status::Complete((length, size))) => {
                    stream.consume(length);
                    break size;
                }
                Ok(httparse::Status::Partial) if stream.ahead().len() < CHUNK_LINE_BYTES_MAX => {
                    stream.fill().map_err(|e| Fault::io(doing, &e))?;
                }
                _ => return Err(malformed(stream.ahead())),
            }
        };
        if size == 0 {
            break;
        }
        let room = BODY_BYTES_MAX - bytes.len();
        let wanted = usize::try_from(size).unwrap_or(usize::MAX);
        let piece = stream.take(wanted.min(room));
        bytes.extend(piece.map_err(|e| Fault::io(doing, &e))?);
        if wanted > room {
            return Ok(Body {
                bytes,
                ..Body::default()
            });
        }
        let end: [u8; 2] = stream.array().map_err(|e| Fault::io(doing, &e))?;
        if end != *b"\r\n" {
            return Err(malformed(&end));
        }
    }
    // Trailers, which nobody here reads: only an empty line leaves the stream usable.
    let end: [u8; 2] = stream.array().map_err(|e| Fault::io(doing, &e))?;
    Ok(Body {
        bytes,
        whole: true,
        reusable: end == *b"\r\n" && head.keeps_alive(),
    })
}

/// Sends and reads a whole exchange.
pub fn exchange<S: Read + Write>(
    stream: &mut Buffered<S>,
    request: &Request<'_>,
) -> Result<(Head, Body), Fault> {
    send(stream, request)?;
    let head = read_head(stream)?;
    let body = read_body(stream, &head)?;
    Ok((head, body))
}

/// An answer with another status than was wanted. Its body, as far as it comes, is shown.
pub fn unexpected(head: &Head, body: &[u8], doing: &str, want: &str) -> Fault {
    let mut detail = format!("{doing}: status {}, want {want}", head.status);
    if let Some(to) = head.header("location") {
        // Its query may hold a token.
        let to = to.split(['?', '#']).next().unwrap_or_default();
        detail.push_str(&format!("; redirects to {}", excerpt(to.as_bytes())));
    } else if !body.trim_ascii().is_empty() {
        detail.push_str(&format!("; the body starts {}", excerpt(body)));
    }
    Fault {
        http_status: Some(head.status),
        ..Fault::new(Kind::Status, None, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;

    fn ask(answer: &[u8], piece: usize) -> Result<(Head, Body), Fault> {
        let request = Request {
            method: "GET",
            authority: "h",
            path: "/",
            headers: &[],
        };
        exchange(
            &mut Buffered::new(Scripted::in_pieces(answer, piece)),
            &request,
        )
    }

    #[test]
    fn a_body_is_read_however_it_is_framed_and_cut() {
        for (answer, body, whole, reusable) in [
            (
                &b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd"[..],
                "abc",
                true,
                true,
            ),
            (
                b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nConnection: x, Close\r\n\r\nabc",
                "abc",
                true,
                false,
            ),
            (
                b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
                "abc",
                true,
                false,
            ),
            (b"HTTP/1.1 200 OK\r\n\r\nabc", "abc", true, false),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
                "abc",
                true,
                true,
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
                "abc",
                true,
                false,
            ),
            (b"HTTP/1.1 204 None\r\n\r\nrest", "", true, true),
            (
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                "",
                true,
                true,
            ),
        ] {
            for piece in [1, 3, usize::MAX] {
                let (_, got) = ask(answer, piece).unwrap();
                assert_eq!(got.bytes, body.as_bytes(), "{}", excerpt(answer));
                assert_eq!((got.whole, got.reusable), (whole, reusable));
            }
        }
    }

    #[test]
    fn what_is_no_answer_is_told() {
        for (answer, kind, part) in [
            (
                &b""[..],
                Kind::Protocol,
                "waiting for the answer: the connection was closed",
            ),
            (
                b"HTTP/1.1 200",
                Kind::Protocol,
                "of its head, 12 bytes came",
            ),
            (
                b"SSH-2.0-x\r\n",
                Kind::Protocol,
                "want HTTP, got \"SSH-2.0-",
            ),
            (b"HTTP/1.1 2OO\r\n\r\n", Kind::Protocol, "no valid HTTP"),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
                Kind::Protocol,
                "its length is \"-1\"",
            ),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
                Kind::Protocol,
                "reading the body: the connection was closed",
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                Kind::Protocol,
                "want the size of a chunk",
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
                Kind::Protocol,
                "want the size of a chunk",
            ),
        ] {
            let fault = ask(answer, 2).unwrap_err();
            assert_eq!(fault.kind, kind, "{}", excerpt(answer));
            assert!(fault.detail.contains(part), "{}", fault.detail);
        }
        let continues = b"HTTP/1.1 102 P\r\n\r\n".repeat(20);
        assert!(
            ask(&continues, 9)
                .unwrap_err()
                .detail
                .contains("informational")
        );
    }

    #[test]
    fn what_does_not_end_is_bounded() {
        let long = [&b"HTTP/1.1 200 OK\r\nX: "[..], &vec![b'x'; 1 << 20]].concat();
        assert!(ask(&long, 4096).unwrap_err().detail.contains("longer than"));
        for head in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\n",
        ] {
            let answer = [head.as_bytes(), &vec![b'x'; 1 << 20]].concat();
            let (_, body) = ask(&answer, 4096).unwrap();
            assert_eq!(body.bytes.len(), BODY_BYTES_MAX, "{head}");
            assert!(!body.whole && !body.reusable);
        }
    }

    #[test]
    fn an_unexpected_answer_shows_no_query() {
        let mut head = Head {
            status: 302,
            ..Head::default()
        };
        head.headers.push(("location".into(), "/in?token=s".into()));
        let fault = unexpected(&head, b"", "asking", "200");
        assert_eq!(
            fault.detail,
            "asking: status 302, want 200; redirects to \"/in\""
        );
        assert_eq!(fault.http_status, Some(302));
    }
}
