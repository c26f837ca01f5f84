//! Guests' standard output and error: `<component>_{stdout,stderr}.txt`, and the terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// A log file is moved to `<name>.old` at this size: a guest that talks must not fill the disk.
const LOG_BYTES_MAX: u64 = 16 << 20;
/// What a guest may write at once.
const WRITE_BYTES_MAX: usize = 64 << 10;

pub struct ComponentLogs {
    pub stdout: LogStream,
    pub stderr: LogStream,
}

impl ComponentLogs {
    /// Opens both files in `dir`; with no directory, output goes to the terminal only, as on Spin.
    pub fn open(dir: Option<&Path>, component: &str, follow: bool) -> anyhow::Result<Self> {
        let stream = |name: &str| -> anyhow::Result<LogStream> {
            let path = dir.map(|dir| dir.join(format!("{}_{name}.txt", file_name(component))));
            let log = match path {
                Some(path) => Some(Log::open(path)?),
                None => None,
            };
            Ok(LogStream(Arc::new(Mutex::new(Sink {
                follow: follow || log.is_none(),
                log,
            }))))
        };
        Ok(Self {
            stdout: stream("stdout")?,
            stderr: stream("stderr")?,
        })
    }
}

/// One stream of one component, shared by its instances.
#[derive(Clone)]
pub struct LogStream(Arc<Mutex<Sink>>);

struct Sink {
    log: Option<Log>,
    follow: bool,
}

struct Log {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Log {
    fn open(path: PathBuf) -> anyhow::Result<Self> {
        let opened = (|| {
            if let Some(dir) = path.parent() {
                std::fs::create_dir_all(dir)?;
            }
            append(&path)
        })();
        let (file, bytes) =
            opened.with_context(|| format!("opening log file {:?}", path.display()))?;
        Ok(Self { path, file, bytes })
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        if self.bytes.saturating_add(text.len() as u64) > LOG_BYTES_MAX {
            let mut old = self.path.clone().into_os_string();
            old.push(".old");
            std::fs::rename(&self.path, old)?;
            (self.file, self.bytes) = append(&self.path)?;
        }
        self.file.write_all(text)?;
        self.bytes += text.len() as u64;
        Ok(())
    }
}

impl Sink {
    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        if let Some(log) = &mut self.log {
            log.write(text)?;
        }
        if self.follow {
            // A closed terminal is not the guest's fault.
            let _ = io::stderr().lock().write_all(text);
        }
        Ok(())
    }
}

impl LogStream {
    fn write_all(&self, text: &[u8]) -> io::Result<()> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write(text)
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

impl OutputStream for LogStream {
    fn write(&mut self, text: Bytes) -> StreamResult<()> {
        // A full disk must not end a check: its outcome goes to key-value, not to the log.
        if let Err(error) = self.write_all(&text) {
            crate::say::debug(&format!("writing a component's log: {error}"));
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

impl AsyncWrite for LogStream {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        text: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        std::task::Poll::Ready(self.write_all(text).map(|()| text.len()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

fn append(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

/// Component ids are kebab-case; whatever is not is replaced, so that an id never leaves the directory.
fn file_name(component: &str) -> String {
    component
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') {
                c
            } else {
                '_'
            }
        })
        .collect()
}
