//! Guests' standard output and error: `<component>_{stdout,stderr}.txt`, and the terminal.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::terminal;

/// A log file is moved to `<name>.old` at this size: a guest that talks must not fill the disk.
const LOG_BYTES_MAX: u64 = 16 << 20;
/// What a guest may write at once.
const WRITE_BYTES_MAX: usize = 64 << 10;

pub struct ComponentLogs {
    pub stdout: LogStream,
    pub stderr: LogStream,
}

impl ComponentLogs {
    /// Files in `dir`; with no directory, output goes to the terminal only, as on Spin.
    pub fn new(dir: Option<&Path>, component: &str, follow: bool) -> Self {
        let stream = |name: &str| {
            let file = dir.map(|dir| dir.join(format!("{}_{name}.txt", file_name(component))));
            LogStream(Arc::new(Mutex::new(Sink {
                follow: follow || file.is_none(),
                file,
                failing: false,
            })))
        };
        Self {
            stdout: stream("stdout"),
            stderr: stream("stderr"),
        }
    }
}

/// One stream of one component, shared by its instances.
#[derive(Clone)]
pub struct LogStream(Arc<Mutex<Sink>>);

struct Sink {
    file: Option<PathBuf>,
    follow: bool,
    /// The last write to the file failed, and the operator was told.
    failing: bool,
}

impl Sink {
    /// Writes to the file; whether the terminal shows it, too. A full disk must not end a
    /// check, whose outcome goes to key-value, nor swallow what it says: that is shown
    /// then, whoever follows.
    fn keep(&mut self, text: &[u8]) -> bool {
        if let Some(path) = &self.file {
            let written = append(path, text);
            if let Err(error) = &written
                && !self.failing
            {
                crate::say::warn(&format!(
                    "writing log file {:?}: {error}; until it can be written again, its lines are here alone",
                    path.display()
                ));
            }
            self.failing = written.is_err();
        }
        self.follow || self.failing
    }
}

impl LogStream {
    fn write_all(&self, text: &[u8]) {
        let mut sink = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sink.keep(text) {
            terminal::stderr(text);
        }
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
        self.write_all(&text);
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
        self.write_all(text);
        std::task::Poll::Ready(Ok(text.len()))
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

/// Opened for every write (Spin does it for every instance): two open files a component
/// would be more than a process may have, and what logrotate moved would go on growing.
fn append(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = open(path)?;
    let bytes = file.metadata()?.len();
    if bytes.saturating_add(text.len() as u64) > LOG_BYTES_MAX {
        let mut old = path.to_owned().into_os_string();
        old.push(".old");
        fs::rename(path, old)?;
        file = open(path)?;
    }
    file.write_all(text)
}

fn open(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().create(true).append(true).open(path);
    match (open(), path.parent()) {
        (Err(error), Some(dir)) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(dir)?;
            open()
        }
        (opened, _) => opened,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn stderr_of(dir: &Path) -> (LogStream, PathBuf) {
        let logs = ComponentLogs::new(Some(dir), "health", false);
        (logs.stderr, dir.join("health_stderr.txt"))
    }

    fn text_of(path: &Path) -> String {
        fs::read_to_string(path).expect("a log")
    }

    #[test]
    fn a_log_is_open_only_while_it_is_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let dir = dir.path().canonicalize().expect("a path");
        let (stderr, _) = stderr_of(&dir);
        stderr.write_all(b"a line\n");
        let open = fs::read_dir("/proc/self/fd")
            .expect("lists")
            .flatten()
            .filter_map(|fd| fs::read_link(fd.path()).ok())
            .filter(|path| path.starts_with(&dir));
        assert_eq!(open.count(), 0);
    }

    #[test]
    fn a_log_that_was_moved_away_is_begun_anew() {
        let dir = tempfile::tempdir().expect("a directory");
        let (stderr, path) = stderr_of(&dir.path().join("logs"));
        stderr.write_all(b"before\n");
        fs::rename(&path, dir.path().join("rotated")).expect("moves");
        stderr.write_all(b"after\n");
        assert_eq!(text_of(&path), "after\n");
        assert_eq!(text_of(&dir.path().join("rotated")), "before\n");
    }

    #[test]
    fn a_log_at_its_bound_is_moved_aside() {
        let dir = tempfile::tempdir().expect("a directory");
        let (stderr, path) = stderr_of(dir.path());
        let full = File::create(&path).expect("creates");
        full.set_len(LOG_BYTES_MAX).expect("grows");
        stderr.write_all(b"one more\n");
        assert_eq!(text_of(&path), "one more\n");
        let old = fs::metadata(dir.path().join("health_stderr.txt.old"));
        assert_eq!(old.expect("is kept").len(), LOG_BYTES_MAX);
    }

    #[test]
    fn what_no_file_takes_is_shown() {
        let dir = tempfile::tempdir().expect("a directory");
        let (stderr, path) = stderr_of(dir.path());
        let mut sink = stderr.0.lock().expect("a sink");
        // Root is stopped by this too.
        fs::create_dir(&path).expect("creates");
        assert!(sink.keep(b"shown\n"));
        assert!(sink.failing, "told once, not for every line");
        fs::remove_dir(&path).expect("removes");
        assert!(!sink.keep(b"kept\n"));
        assert_eq!(text_of(&path), "kept\n");
        sink.follow = true;
        fs::remove_file(&path).expect("removes");
        fs::create_dir(&path).expect("creates");
        assert!(sink.keep(b"shown\n"));
    }
}
