//! What goes to the terminal: directly, or, once events run, from threads of their own.
//!
//! Events share one thread, and a write to a pipe that nobody reads (a stopped pager, a
//! wedged log shipper) blocks the one that it is made on: every check would stop with it.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// What may wait for a reader: a thousand checks that fail at once say about half of it.
const PENDING_BYTES_MAX: usize = 256 << 10;
/// How long the end of the process waits for its last words to be read.
const FLUSH_MAX: Duration = Duration::from_secs(1);

static STDERR: OnceLock<Arc<Writer>> = OnceLock::new();
static STDOUT: OnceLock<Arc<Writer>> = OnceLock::new();

/// From now on nobody waits for a reader.
pub fn detach() -> io::Result<()> {
    for (writer, out) in [
        (&STDERR, Box::new(io::stderr()) as Box<dyn Write + Send>),
        (&STDOUT, Box::new(io::stdout())),
    ] {
        let started = Writer::start(out)?;
        writer.get_or_init(|| started);
    }
    // Its own way would be to write to standard error itself.
    std::panic::set_hook(Box::new(|panic| crate::say::error(&panic.to_string())));
    Ok(())
}

/// To standard error. That it is gone is no reason to stop watching.
pub fn stderr(text: &[u8]) {
    match STDERR.get() {
        Some(writer) => writer.write(text),
        None => drop(io::stderr().lock().write_all(text)),
    }
}

/// To standard output, by the same rules.
pub fn stdout(text: &[u8]) {
    match STDOUT.get() {
        Some(writer) => writer.write(text),
        None => drop(io::stdout().lock().write_all(text)),
    }
}

/// Waits until all is written, for a moment. For the end of the process.
pub fn flush() {
    let until = Instant::now() + FLUSH_MAX;
    for writer in [&STDOUT, &STDERR] {
        if let Some(writer) = writer.get() {
            writer.flush(until);
        }
    }
}

#[derive(Default)]
struct Writer {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Default)]
struct Pending {
    text: Vec<u8>,
    /// Lines that came when there was no more room. What comes after them is dropped too,
    /// so that the reader learns where the gap is.
    dropped: Option<usize>,
    /// Some was taken and is not written yet.
    writing: bool,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.text.is_empty() && self.dropped.is_none()
    }
}

impl Writer {
    fn start(out: impl Write + Send + 'static) -> io::Result<Arc<Self>> {
        let writer = Arc::new(Self::default());
        let run = writer.clone();
        std::thread::Builder::new()
            .name("terminal".to_owned())
            .spawn(move || run.run(out))?;
        Ok(writer)
    }

    fn write(&self, text: &[u8]) {
        let mut pending = self.lock();
        let room = PENDING_BYTES_MAX.saturating_sub(pending.text.len());
        if pending.dropped.is_none() && text.len() <= room {
            pending.text.extend_from_slice(text);
        } else {
            let lines = text.iter().filter(|byte| **byte == b'\n').count();
            *pending.dropped.get_or_insert(0) += lines;
        }
        drop(pending);
        self.changed.notify_all();
    }

    fn run(&self, mut out: impl Write) {
        loop {
            let mut pending = self
                .changed
                .wait_while(self.lock(), |pending| pending.is_empty())
                .unwrap_or_else(PoisonError::into_inner);
            pending.writing = true;
            let text = std::mem::take(&mut pending.text);
            let dropped = pending.dropped.take();
            drop(pending);
            // Closed, it takes nothing: what was for it is gone.
            let _ = out.write_all(&text);
            if let Some(lines) = dropped {
                let end = if text.ends_with(b"\n") { "" } else { "\n" };
                let _ = writeln!(
                    out,
                    "{end}warning: {lines} line(s) dropped here: nobody read them in time"
                );
            }
            let _ = out.flush();
            self.lock().writing = false;
            self.changed.notify_all();
        }
    }

    fn flush(&self, until: Instant) {
        let time = until.saturating_duration_since(Instant::now());
        let _ = self
            .changed
            .wait_timeout_while(self.lock(), time, |pending| {
                pending.writing || !pending.is_empty()
            });
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    /// More than a pipe and the queue hold together.
    const LINES: usize = 100_000;
    /// Only a test that fails waits for so long.
    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn a_reader_that_stalls_stops_nobody_and_learns_how_many_lines_it_missed() {
        let (reader, pipe) = io::pipe().expect("a pipe");
        let writer = Writer::start(pipe).expect("starts");
        // Nobody reads, and all of it returns.
        for n in 0..LINES {
            writer.write(format!("line {n}\n").as_bytes());
        }
        let mut lines = BufReader::new(reader)
            .lines()
            .map(|line| line.expect("a line"));
        let mut shown = 0;
        let notice = loop {
            let line = lines.next().expect("a line");
            if line != format!("line {shown}") {
                break line;
            }
            shown += 1;
        };
        let missed = LINES - shown;
        assert!(missed > 0);
        assert_eq!(
            notice,
            format!("warning: {missed} line(s) dropped here: nobody read them in time")
        );
        writer.write(b"after it\n");
        assert_eq!(lines.next().as_deref(), Some("after it"));
    }

    #[test]
    fn what_was_said_last_is_written_before_the_end() {
        let (reader, pipe) = io::pipe().expect("a pipe");
        let writer = Writer::start(pipe).expect("starts");
        writer.write(b"last words\n");
        writer.flush(Instant::now() + PATIENCE);
        assert!(writer.lock().is_empty() && !writer.lock().writing);
        drop(reader);
    }
}
