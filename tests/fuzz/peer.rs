//! A peer that says what the fuzzer has made up, cut as the first byte has it.

use std::io::{self, Read, Write};

use watchbell_protocol::Buffered;

pub struct Peer<'a> {
    script: &'a [u8],
    piece: usize,
}

/// The stream, as the checks read it.
pub fn peer(data: &[u8]) -> Buffered<Peer<'_>> {
    let (first, script) = data.split_first().unwrap_or((&0, &[]));
    let piece = 1 + usize::from(*first);
    Buffered::new(Peer { script, piece })
}

impl Read for Peer<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.script.len().min(buffer.len()).min(self.piece);
        let (now, rest) = self.script.split_at(n);
        buffer[..n].copy_from_slice(now);
        self.script = rest;
        Ok(n)
    }
}

impl Write for Peer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
