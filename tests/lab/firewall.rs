//! A true packet filter before one port, in a network of the test's own
//! ([`alone`](crate::alone)).

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::skip::program;

/// What becomes of a connection attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Accept,
    Drop,
    /// Answered as nft writes it: `tcp reset`, `icmp type host-prohibited`.
    Reject(&'static str),
}

pub struct Firewall {
    nft: PathBuf,
    port: u16,
}

impl Firewall {
    /// Stands before `addr`, and accepts. An error is a reason to skip.
    pub fn before(addr: SocketAddr) -> Result<Self, String> {
        let nft = program(&["nft", "/usr/sbin/nft"]).ok_or("no nft (nftables) is installed")?;
        let firewall = Self {
            nft,
            port: addr.port(),
        };
        // With every kind of rule that a test loads, or the kernel has no such modules.
        firewall
            .load(
                "add table inet lab\n\
                 add chain inet lab input { type filter hook input priority 0 ; policy accept ; }\n\
                 add rule inet lab input tcp dport 0 reject with tcp reset\n",
            )
            .map_err(|said| format!("this kernel's packet filter cannot be used: {said}"))?;
        Ok(firewall)
    }

    /// Switches, in one transaction. Only what opens a connection meets the policy: a
    /// probe sees the old state or the new one, and none is torn in the middle.
    pub fn does(&self, policy: Policy) {
        let what = match policy {
            Policy::Accept => "accept".to_owned(),
            Policy::Drop => "drop".to_owned(),
            Policy::Reject(with) => format!("reject with {with}"),
        };
        let port = self.port;
        let rules = format!(
            "flush chain inet lab input\n\
             add rule inet lab input tcp dport {port} tcp flags & (syn | ack) == syn {what}\n",
        );
        let loaded = self.load(&rules);
        // A second panic would end every test of the process.
        if !std::thread::panicking() {
            loaded.unwrap();
        }
    }

    fn load(&self, rules: &str) -> Result<(), String> {
        let mut nft = Command::new(&self.nft)
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = nft.stdin.take().unwrap();
        input.write_all(rules.as_bytes()).unwrap();
        drop(input);
        let output = nft.wait_with_output().unwrap();
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("loading {rules:?}: {said}"))
    }
}

impl Drop for Firewall {
    /// The server behind it ends by a connection of its own.
    fn drop(&mut self) {
        self.does(Policy::Accept);
    }
}
