//! A webhook's other end: takes alerts and hands them over.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver as Queue, Sender, channel};
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

/// A message of ours has about 1 KB.
const BODY_BYTES_MAX: usize = 65_536;

/// Listens until the process ends.
pub struct Receiver {
    url: String,
    queue: Queue<Value>,
}

impl Receiver {
    pub fn start() -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind("127.0.0.1:0").context("starting the webhook's receiver")?;
        let url = format!(
            "http://{}/hook",
            listener
                .local_addr()
                .context("starting the webhook's receiver")?
        );
        let (sender, queue) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // What is no request of ours is not answered; the sender tries again.
                let _ = take(stream, &sender);
            }
        });
        Ok(Self { url, queue })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn next(&self, time: Duration) -> anyhow::Result<Value> {
        self.queue
            .recv_timeout(time)
            .context("no alert came in time")
    }
}

fn take(mut stream: TcpStream, sender: &Sender<Value>) -> anyhow::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut length, mut chunked) = (0, false);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse::<usize>()?.min(BODY_BYTES_MAX);
        }
        chunked |= lower.starts_with("transfer-encoding:");
        line.clear();
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size)?;
            let size = usize::from_str_radix(size.trim(), 16)?.min(BODY_BYTES_MAX);
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk)?;
            body.extend_from_slice(&chunk[..size]);
            if size == 0 || body.len() > BODY_BYTES_MAX {
                break;
            }
        }
    } else {
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
    }
    let alert = serde_json::from_slice(&body)?;
    stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")?;
    sender.send(alert)?;
    Ok(())
}
