//! A plain TCP relay: reads into buffers and writes them out. What moving bytes through a process costs at least, for the
//! benchmark to compare with.
//!
//!     relay FROM TO [HELD]        connects to both, copies until FROM ends; up to HELD bytes wait before they go on

use std::collections::VecDeque;
use std::env;
use std::io::{self, Read, Write};
use std::net::TcpStream;

const BUFFER: usize = 256 * 1024;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let usage = || io::Error::new(io::ErrorKind::InvalidInput, "usage: relay FROM TO [HELD]");
    let [from, to, held @ ..] = arguments.as_slice() else { return Err(usage()) };
    let held: usize = held.first().map_or(Ok(0), |held| held.parse().map_err(|_| usage()))?;
    let from = TcpStream::connect(from)?;
    let mut to = TcpStream::connect(to)?;
    to.set_nodelay(true)?;
    let (mut waiting, mut free) = (VecDeque::new(), Vec::new());
    loop {
        let mut buffer: Vec<u8> = free.pop().unwrap_or_else(|| Vec::with_capacity(BUFFER));
        let count = (&from).take(BUFFER as u64).read_to_end(&mut buffer)?;
        waiting.push_back(buffer);
        let is_over = count == 0;
        while is_over || waiting.len() * BUFFER > held {
            let Some(mut oldest) = waiting.pop_front() else { return Ok(()) };
            to.write_all(&oldest)?;
            oldest.clear();
            free.push(oldest);
        }
    }
}
