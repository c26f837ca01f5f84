//! A stream with what was read from it and not yet used: the bytes of the next protocol
//! often arrive with the last ones of HTTP.

use std::io::{self, ErrorKind, Read, Write};

/// Read from the stream at once.
const FILL_BYTES: usize = 4_096;

/// A stream and its read-ahead.
pub struct Buffered<S> {
    stream: S,
    ahead: Vec<u8>,
}

impl<S> Buffered<S> {
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            ahead: Vec::new(),
        }
    }

    /// For its deadline.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// What is here and unused.
    pub fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// Counts so many of these bytes as used.
    pub fn consume(&mut self, bytes: usize) {
        self.ahead.drain(..bytes.min(self.ahead.len()));
    }
}

impl<S: Read> Buffered<S> {
    /// Waits for more bytes.
    ///
    /// # Errors
    /// The stream's own; `UnexpectedEof` at its end.
    pub fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; FILL_BYTES];
        match self.stream.read(&mut chunk)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            n => {
                self.ahead
                    .extend_from_slice(chunk.get(..n).unwrap_or_default());
                Ok(())
            }
        }
    }

    /// The next `length` bytes. They are kept as they come, so that an announced length
    /// that is not sent takes no memory.
    pub fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < length {
            self.fill()?;
        }
        Ok(self.ahead.drain(..length).collect())
    }

    /// As [`take`](Self::take), into an array.
    pub fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let bytes = self.take(N)?;
        bytes
            .try_into()
            .map_err(|_| ErrorKind::UnexpectedEof.into())
    }
}

impl<S: Write> Buffered<S> {
    /// Writes all of it, and on.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_ahead_comes_first_and_an_end_is_told() {
        let mut stream = Buffered::new(&b"abcdef"[..]);
        stream.fill().unwrap();
        stream.consume(2);
        assert_eq!(stream.ahead(), b"cdef");
        assert_eq!(stream.array::<3>().unwrap(), *b"cde");
        let end = stream.take(2).unwrap_err();
        assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
        assert_eq!(stream.take(1).unwrap(), b"f", "nothing is lost to it");
    }
}
