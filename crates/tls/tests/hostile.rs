//! Peers that do not speak TLS, or not as they should.

mod lab;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

use lab::server::{drain, fails, name, serve};
use watchbell_core::outcome::Kind;
use watchbell_tls::{handshake, plain};

#[test]
fn what_is_not_tls_is_told_by_what_it_says() {
    let say = |text: &'static [u8]| {
        move |mut stream: TcpStream| {
            let _ = stream.write_all(text);
            let _ = stream.shutdown(Shutdown::Write);
            drain(stream);
        }
    };
    for (text, kind, reason) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            Kind::Tls,
            "plain-http",
        ),
        (b"HTTP/1.0 400\r\n", Kind::Tls, "plain-http"),
        (b"<!DOCTYPE HTML>\n<html>", Kind::Tls, "plain-http"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", Kind::Protocol, "not-tls"),
        (b"220 mail ESMTP\r\n", Kind::Protocol, "not-tls"),
        (b"\0\0\0\0\0\0\0\0", Kind::Protocol, "not-tls"),
        (b"SS", Kind::Protocol, "not-tls"),
        (
            b"\x16\x03\x03\x00\x04\xff\0\0\0",
            Kind::Protocol,
            "malformed",
        ),
        (b"\x16\x03\x03\xff\xff", Kind::Protocol, "malformed"),
        (b"\x17\x03\x03\x00\x01\x00", Kind::Protocol, "malformed"),
        (b"\x16\x03", Kind::Protocol, "closed"),
        (b"", Kind::Protocol, "closed"),
    ] {
        let got = fails(say(text));
        assert_eq!(
            (got.kind, got.reason),
            (kind, Some(reason)),
            "{text:?}: {got:?}"
        );
    }
}

#[test]
fn an_alert_is_named() {
    for (number, want) in [
        (40, "handshake_failure"),
        (70, "protocol_version"),
        (80, "internal_error"),
        (112, "unrecognized_name"),
    ] {
        let got = fails(move |mut stream| {
            let _ = stream.write_all(&[0x15, 3, 3, 0, 2, 2, number]);
            drain(stream);
        });
        assert_eq!((got.kind, got.reason), (Kind::Tls, Some("alert")));
        assert!(got.detail.contains(&format!("{want:?}")), "{}", got.detail);
    }
}

/// A peer that said this and is gone: nothing more can be written to it.
struct Gone(&'static [u8]);

impl Read for Gone {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        self.0.read(buffer)
    }
}

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_alert_before_a_reset_is_still_read() {
    for (said, kind, reason) in [
        (&[0x15, 3, 3, 0, 2, 2, 40][..], Kind::Tls, "alert"),
        (&[0x15, 3, 3], Kind::Protocol, "reset"),
        (&[], Kind::Protocol, "reset"),
    ] {
        let got = handshake(Gone(said), &name("lab.test"), &[]).err().unwrap();
        assert_eq!((got.kind, got.reason), (kind, Some(reason)), "{said:?}");
    }
}

#[test]
fn an_old_version_is_unsupported_and_not_a_bad_certificate() {
    // A ServerHello of TLS 1.0 with TLS_RSA_WITH_AES_128_CBC_SHA.
    let mut hello = vec![0x16, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1];
    hello.extend([7; 32]);
    hello.extend([0, 0, 0x2f, 0]);
    let got = fails(move |mut stream| {
        let _ = stream.write_all(&hello);
        drain(stream);
    });
    assert_eq!(
        (got.kind, got.reason),
        (Kind::Tls, Some("unsupported")),
        "{got:?}"
    );
}

/// A peer that never ends, without sockets or threads.
struct Endless(&'static [u8], usize);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for byte in buffer.iter_mut() {
            *byte = self.0[self.1 % self.0.len()];
            self.1 += 1;
        }
        Ok(buffer.len())
    }
}

impl Write for Endless {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn endless_data_ends_within_a_bound() {
    for pattern in [
        &b"\0"[..],
        b"HTTP/1.1 200 OK\r\n",
        b"\x16\x03\x03\x00\x00",
        b"\x16\x03\x03\x00\x01\x02",
        b"\x14\x03\x03\x00\x01\x01",
        b"\x15\x03\x03\x00\x02\x01\x70",
        b"\x17\x03\x03\x40\x00",
        b"\x16\x03\x03\x40\x00\x0b\xff\xff\xff",
    ] {
        let got = handshake(Endless(pattern, 0), &name("lab.test"), &[])
            .err()
            .unwrap();
        assert!(
            matches!(got.kind, Kind::Protocol | Kind::Tls),
            "{pattern:?}: {got:?}"
        );
    }
}

#[test]
fn plain_http_that_waits_for_a_line_is_found_by_asking() {
    for (reply, want) in [
        (&b"HTTP/1.1 200 OK\r\n\r\nhello"[..], true),
        (
            b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
            false,
        ),
        (b"SSH-2.0-x\r\n", false),
        (b"", false),
    ] {
        let (mut client, server) = serve(move |mut stream| {
            let mut request = [0; 512];
            let n = stream.read(&mut request).unwrap();
            assert!(request[..n].starts_with(b"GET / HTTP/1.0\r\n"));
            let _ = stream.write_all(reply);
        });
        assert_eq!(plain::answers(&mut client), want, "{reply:?}");
        server.join().unwrap();
    }
}
