//! One HTTP/1.1 message at a time, over any stream.

use std::io::{self, Read, Write};
use std::time::Duration;

/// An event of the runtime's ends after 60 s; nothing in the lab takes longer to answer.
const ANSWER_MAX: Duration = Duration::from_secs(90);
/// Heads and bodies beyond this are no client of the lab.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
const HEADERS_MAX: usize = 64;

/// A connection, plain or TLS.
pub trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// With its query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".into(), content_type.into())],
            body: body.into(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// As it goes over the wire; every answer of the lab ends its connection.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = format!("HTTP/1.1 {} Lab\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        let length = self.body.len();
        out.extend_from_slice(
            format!("Content-Length: {length}\r\nConnection: close\r\n\r\n").as_bytes(),
        );
        out.extend_from_slice(&self.body);
        out
    }
}

/// Reads one request, its body included (by length or in chunks).
pub fn read_request(stream: &mut dyn Stream) -> io::Result<Request> {
    let mut buffer = Vec::new();
    loop {
        let mut slots = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut slots);
        if let httparse::Status::Complete(head) = parsed.parse(&buffer).map_err(invalid)? {
            let mut request = Request {
                method: parsed.method.unwrap_or_default().into(),
                path: parsed.path.unwrap_or_default().into(),
                headers: owned(parsed.headers),
                body: Vec::new(),
            };
            request.body = read_body(stream, &request.headers, buffer.split_off(head))?;
            return Ok(request);
        }
        more(stream, &mut buffer)?;
    }
}

/// Sends one request on a fresh connection, over plain HTTP, and reads the answer.
pub fn send(
    addr: std::net::SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> io::Result<Response> {
    let mut stream = std::net::TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("Content-Length: 0\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    read_response(&mut stream)
}

pub fn read_response(stream: &mut dyn Stream) -> io::Result<Response> {
    let mut buffer = Vec::new();
    loop {
        let mut slots = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut slots);
        if let httparse::Status::Complete(head) = parsed.parse(&buffer).map_err(invalid)? {
            let mut response = Response {
                status: parsed.code.unwrap_or_default(),
                headers: owned(parsed.headers),
                body: Vec::new(),
            };
            response.body = read_body(stream, &response.headers, buffer.split_off(head))?;
            return Ok(response);
        }
        more(stream, &mut buffer)?;
    }
}

fn read_body(
    stream: &mut dyn Stream,
    headers: &[(String, String)],
    mut buffer: Vec<u8>,
) -> io::Result<Vec<u8>> {
    if find(headers, "transfer-encoding").is_none_or(|v| !v.contains("chunked")) {
        let length = find(headers, "content-length").map_or(0, |v| v.parse().unwrap_or(0));
        while buffer.len() < length {
            more(stream, &mut buffer)?;
        }
        buffer.truncate(length);
        return Ok(buffer);
    }
    let mut body = Vec::new();
    loop {
        match httparse::parse_chunk_size(&buffer).map_err(|_| invalid("chunk size"))? {
            httparse::Status::Complete((at, size)) => {
                let end = at + usize::try_from(size).unwrap_or(usize::MAX);
                if end > MESSAGE_BYTES_MAX {
                    return Err(invalid("chunk too large"));
                }
                // The chunk and the line end behind it.
                while buffer.len() < end + 2 {
                    more(stream, &mut buffer)?;
                }
                if size == 0 {
                    return Ok(body);
                }
                body.extend_from_slice(&buffer[at..end]);
                buffer.drain(..end + 2);
            }
            httparse::Status::Partial => more(stream, &mut buffer)?,
        }
    }
}

fn more(stream: &mut dyn Stream, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; 8192];
    let n = stream.read(&mut chunk)?;
    if n == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    buffer.extend_from_slice(&chunk[..n]);
    if buffer.len() > MESSAGE_BYTES_MAX {
        return Err(invalid("message too large"));
    }
    Ok(())
}

fn owned(headers: &[httparse::Header<'_>]) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|h| {
            let value = String::from_utf8_lossy(h.value).into_owned();
            (h.name.to_ascii_lowercase(), value)
        })
        .collect()
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, v)| v.as_str())
}

fn invalid(what: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}
