//! A peer whose every byte is written down, for tests.

use std::io::{self, Read, Write};

/// Reads give the script in pieces of at most `piece` bytes, then the end; writes are kept.
pub struct Scripted {
    script: Vec<u8>,
    at: usize,
    piece: usize,
    pub written: Vec<u8>,
}

impl Scripted {
    pub fn new(script: impl Into<Vec<u8>>) -> Self {
        Self::in_pieces(script, usize::MAX)
    }

    pub fn in_pieces(script: impl Into<Vec<u8>>, piece: usize) -> Self {
        Self {
            script: script.into(),
            at: 0,
            piece,
            written: Vec::new(),
        }
    }
}

impl Read for Scripted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.script.get(self.at..).unwrap_or_default();
        let n = rest.len().min(buffer.len()).min(self.piece);
        buffer[..n].copy_from_slice(&rest[..n]);
        self.at += n;
        Ok(n)
    }
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
