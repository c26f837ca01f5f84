//! Plain HTTP where TLS was expected.

use std::io::{Read, Write};

/// What is asked when a server does not answer to TLS at all. Most servers of plain
/// HTTP wait for the end of a line that a ClientHello holds only by chance, so that
/// nothing but a real request makes them speak.
const QUESTION: &[u8] = b"GET / HTTP/1.0\r\n\r\n";
/// Enough for a status line and the sentence that matters.
const ANSWER_BYTES_MAX: usize = 2_048;

/// Whether the first bytes are an answer of plain HTTP. Old servers answer what they
/// do not understand without a status line.
pub fn is_http(opening: &[u8]) -> bool {
    let start = opening.trim_ascii_start();
    starts(start, b"HTTP/") || starts(start, b"<!doctype html") || starts(start, b"<html")
}

/// Asks over a fresh connection. `false` also when it fails or nothing comes.
pub fn answers(stream: &mut (impl Read + Write)) -> bool {
    if stream
        .write_all(QUESTION)
        .and_then(|()| stream.flush())
        .is_err()
    {
        return false;
    }
    let mut answer = [0; ANSWER_BYTES_MAX];
    let mut filled = 0;
    while let Some(room) = answer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match stream.read(room) {
            Ok(0) | Err(_) => break,
            Ok(n) => filled += n,
        }
    }
    let answer = answer.get(..filled).unwrap_or_default();
    is_http(answer) && !wants_tls(answer)
}

/// Go, nginx and Apache tell a plain request that it should have been HTTPS: a server
/// of TLS, whatever its trouble.
fn wants_tls(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    ["https server", "https port", "ssl-enabled server port"]
        .iter()
        .any(|told| text.contains(told))
}

fn starts(text: &[u8], with: &[u8]) -> bool {
    text.get(..with.len())
        .is_some_and(|t| t.eq_ignore_ascii_case(with))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_told_by_its_first_bytes() {
        for (opening, want) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], true),
            (b"http/1.0 400", true),
            (b"\r\nHTTP/1.1 400", true),
            (b"<!DOCTYPE HTML><html>", true),
            (b"<html>", true),
            (b"HTTP", false),
            (b"SSH-2.0-OpenSSH_9.2\r\n", false),
            (b"\x15\x03\x01\x00\x02\x02\x28", false),
            (b"", false),
        ] {
            assert_eq!(is_http(opening), want, "{opening:?}");
        }
    }

    #[test]
    fn a_server_that_asks_for_https_is_not_plain() {
        assert!(wants_tls(
            b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
        ));
        assert!(wants_tls(b"The plain HTTP request was sent to HTTPS port"));
        assert!(!wants_tls(
            b"HTTP/1.0 302 Found\r\nLocation: https://h/\r\n\r\n"
        ));
    }
}
