//! What rustls' own servers will not serve, from openssl's.

// Helpers too may panic.
#![allow(clippy::unwrap_used)]

mod lab;

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use lab::fixture;
use lab::server::{TIMEOUT, judged, name};
use watchbell_core::outcome::{Kind, Status};
use watchbell_tls::{Failure, Negotiated, Roots, handshake};

/// A server of openssl, for what rustls' own will not serve.
struct OpenSsl {
    child: Child,
    port: u16,
}

impl OpenSsl {
    /// `None`, said on stderr, without the program.
    fn start(certificate: &str, more: &[&str]) -> Option<Self> {
        // openssl picks no port of its own that it would tell.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let spawned = Command::new("openssl")
            .args([
                "s_server",
                "-accept",
                &format!("127.0.0.1:{port}"),
                "-naccept",
                "1",
            ])
            .arg("-cert")
            .arg(fixture(&format!("{certificate}.pem")))
            .arg("-key")
            .arg(fixture(&format!("{certificate}.key")))
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = spawned else {
            eprintln!("skipped: openssl is not installed");
            return None;
        };
        // It says ACCEPT once it listens.
        let mut said = Vec::new();
        let out = child.stdout.as_mut().unwrap();
        while !said.windows(6).any(|w| w == b"ACCEPT") {
            let mut byte = [0];
            assert_eq!(out.read(&mut byte).unwrap(), 1, "openssl ended");
            said.push(byte[0]);
        }
        Some(Self { child, port })
    }

    fn shake(&self) -> Result<Negotiated, Failure> {
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        client.set_read_timeout(Some(TIMEOUT)).unwrap();
        handshake(client, &name("lab.test"), &[]).map(|stream| {
            let negotiated = stream.negotiated().clone();
            stream.close();
            negotiated
        })
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_openssl_serves_is_told_as_it_is() {
    let roots = ["rsa-root", "ec-root"]
        .map(|n| std::fs::read_to_string(fixture(&format!("{n}.pem"))).unwrap());
    let roots = Roots::only(&roots.concat()).unwrap();
    let weak: &[&str] = &["-cipher", "DEFAULT@SECLEVEL=0"];
    for (law, certificate, more, status, kind, reason, part) in [
        (
            "RSA-1024",
            "rsa-1024",
            &[weak, &["-tls1_2"]].concat(),
            Status::Degraded,
            Some(Kind::Certificate),
            "other",
            "1024 bits",
        ),
        (
            "RSA-2048, 1.2",
            "rsa-2048",
            &vec!["-tls1_2"],
            Status::Up,
            None,
            "",
            "",
        ),
        (
            "RSA-2048, 1.3",
            "rsa-2048",
            &vec!["-tls1_3"],
            Status::Up,
            None,
            "",
            "",
        ),
        (
            "P-521 key, 1.3",
            "p521",
            &vec!["-tls1_3"],
            Status::Failed,
            Some(Kind::Tls),
            "unsupported",
            "P-521",
        ),
        (
            "P-521 key, 1.2",
            "p521",
            &vec!["-tls1_2"],
            Status::Failed,
            Some(Kind::Tls),
            "alert",
            "handshake_failure",
        ),
        (
            "no cipher in common",
            "rsa-2048",
            &vec!["-tls1_2", "-cipher", "AES128-SHA"],
            Status::Failed,
            Some(Kind::Tls),
            "alert",
            "handshake_failure",
        ),
        (
            "TLS 1.1 only",
            "rsa-2048",
            &[weak, &["-tls1_1"]].concat(),
            Status::Failed,
            Some(Kind::Tls),
            "alert",
            "protocol_version",
        ),
        (
            "P-521 group only",
            "rsa-2048",
            &vec!["-groups", "P-521"],
            Status::Failed,
            Some(Kind::Tls),
            "alert",
            "handshake_failure",
        ),
        (
            "after a retry",
            "rsa-2048",
            &vec!["-tls1_3", "-groups", "P-384"],
            Status::Up,
            None,
            "",
            "",
        ),
        (
            "a client certificate wanted, 1.2",
            "rsa-2048",
            &vec!["-tls1_2", "-Verify", "1"],
            Status::Failed,
            Some(Kind::Tls),
            "alert",
            "alert",
        ),
    ] {
        let Some(server) = OpenSsl::start(certificate, more) else {
            return;
        };
        let shaken = server.shake();
        let got = judged(&shaken, "lab.test", &roots);
        assert_eq!(got.status, status, "{law}: {got:?}");
        assert_eq!(got.kind, kind, "{law}: {got:?}");
        assert_eq!(
            got.reason.as_deref().unwrap_or_default(),
            reason,
            "{law}: {got:?}"
        );
        assert!(got.detail.contains(part), "{law}: {got:?}");
    }
}
