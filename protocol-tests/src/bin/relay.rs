//! A plain TCP relay: reads into a buffer and writes it out. What moving bytes through a process costs at least, for the
//! benchmark to compare with.
//!
//!     relay FROM TO       connects to both, copies until FROM ends

use std::env;
use std::io::{self, Read, Write};
use std::net::TcpStream;

const BUFFER: usize = 256 * 1024;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let usage = || io::Error::new(io::ErrorKind::InvalidInput, "usage: relay FROM TO");
    let [from, to] = arguments.as_slice() else { return Err(usage()) };
    let mut from = TcpStream::connect(from)?;
    let mut to = TcpStream::connect(to)?;
    to.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(buffer.get(..count).unwrap_or_default())?;
    }
}
