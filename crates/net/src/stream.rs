//! A connected socket as `std::io::{Read, Write}`, which never wait beyond the deadline.

use std::io::{Error, ErrorKind, IoSlice, Read, Result, Write};

use wasi::io::streams::{InputStream, OutputStream, StreamError};
use wasi::sockets::tcp::TcpSocket;
use watchbell_guest::{Deadline, Expired};

/// An error of kind `TimedOut` is the deadline's, `ConnectionReset` the peer's.
pub struct TcpStream {
    // Dropped in this order: the host wants a socket's streams gone before the socket.
    input: InputStream,
    output: OutputStream,
    _socket: TcpSocket,
    deadline: Deadline,
}

impl TcpStream {
    pub(crate) fn new(
        socket: TcpSocket,
        input: InputStream,
        output: OutputStream,
        deadline: Deadline,
    ) -> Self {
        Self {
            input,
            output,
            _socket: socket,
            deadline,
        }
    }

    /// From now on waits until then.
    pub fn set_deadline(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }
}

impl Read for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            // A peer that always has something ready would never be waited for.
            if self.deadline.remaining().is_zero() {
                return Err(expired(Expired));
            }
            match self.input.read(buffer.len() as u64) {
                Ok(chunk) if chunk.is_empty() => self
                    .deadline
                    .wait(&self.input.subscribe())
                    .map_err(expired)?,
                Ok(chunk) => {
                    let n = chunk.len().min(buffer.len());
                    buffer[..n].copy_from_slice(&chunk[..n]);
                    return Ok(n);
                }
                Err(StreamError::Closed) => return Ok(0),
                Err(StreamError::LastOperationFailed(_)) => return Err(reset()),
            }
        }
    }
}

impl Write for TcpStream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let room = self.room()?;
        let n = bytes.len().min(room);
        self.output.write(&bytes[..n]).map_err(|_| reset())?;
        Ok(n)
    }

    /// In one write: small ones in a row would each wait for the peer to acknowledge the one
    /// before.
    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> Result<usize> {
        let all: Vec<u8> = buffers.iter().flat_map(|b| b.iter().copied()).collect();
        self.write(&all)
    }

    fn flush(&mut self) -> Result<()> {
        self.output.flush().map_err(|_| reset())?;
        self.room().map(drop)
    }
}

impl TcpStream {
    /// Waits until the host takes bytes, and says how many.
    fn room(&mut self) -> Result<usize> {
        loop {
            match self.output.check_write() {
                Ok(0) => self
                    .deadline
                    .wait(&self.output.subscribe())
                    .map_err(expired)?,
                Ok(n) => return Ok(usize::try_from(n).unwrap_or(usize::MAX)),
                Err(_) => return Err(reset()),
            }
        }
    }
}

fn expired(_: Expired) -> Error {
    Error::from(ErrorKind::TimedOut)
}

fn reset() -> Error {
    Error::from(ErrorKind::ConnectionReset)
}
