//! The two ends of a relay: a thread that writes a number of bytes into a socket, and one that reads them.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::process::now;

const PIECE: usize = 1 << 20;

/// Both ends, each listening for the relay.
pub struct Wires {
    /// Where the relay reads.
    pub from: String,
    /// Where it writes.
    pub to: String,
    source: JoinHandle<io::Result<()>>,
    sink: JoinHandle<io::Result<Passed>>,
}

/// What came through.
#[derive(Clone, Copy, Debug)]
pub struct Passed {
    /// Bytes.
    pub bytes: u64,
    /// When the first of them came.
    pub first: Instant,
    /// When the last of them came.
    pub last: Instant,
}

impl Wires {
    /// Lays them, for `bytes` bytes.
    ///
    /// # Errors
    /// When there is no socket.
    pub fn lay(bytes: u64) -> io::Result<Self> {
        let [source, sink] =
            [TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?];
        let (from, to) = (source.local_addr()?.to_string(), sink.local_addr()?.to_string());
        let source = thread::spawn(move || write(&source, bytes));
        let sink = thread::spawn(move || read(&sink));
        Ok(Self { from, to, source, sink })
    }

    /// What came through, once the relay has ended.
    ///
    /// # Errors
    /// When a socket broke.
    pub fn passed(self) -> io::Result<Passed> {
        let gone = || io::Error::other("an end of the relay panicked");
        let passed = self.sink.join().map_err(|_| gone())?;
        self.source.join().map_err(|_| gone())??;
        passed
    }
}

fn write(listener: &TcpListener, bytes: u64) -> io::Result<()> {
    let (mut stream, _) = listener.accept()?;
    let piece = vec![b'x'; PIECE];
    let mut left = bytes;
    while left > 0 {
        let part = piece.get(..left.min(PIECE as u64) as usize).unwrap_or_default();
        stream.write_all(part)?;
        left -= part.len() as u64;
    }
    Ok(())
}

fn read(listener: &TcpListener) -> io::Result<Passed> {
    let (mut stream, _) = listener.accept()?;
    let mut piece = vec![0; PIECE];
    let mut passed = Passed { bytes: 0, first: now(), last: now() };
    loop {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Ok(passed);
        }
        passed.last = now();
        if passed.bytes == 0 {
            passed.first = passed.last;
        }
        passed.bytes += count as u64;
    }
}
