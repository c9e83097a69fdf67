//! A long way in a short machine: carries packets between two network devices, each a fixed time late, for the benchmark.
//!
//!     delay-line NEAR FAR MS SECONDS      makes the devices NEAR and FAR in its own network namespace, says `ready`, and
//!                                         carries packets until stdin ends, for SECONDS at most
//!
//! Whoever calls moves one of the devices into another namespace and gives both their addresses. What lies between is a
//! link without a limit but its queue's: TCP's own windows decide what a connection carries, as they do on a real one.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, thread};

use tun_rs::{DeviceBuilder, SyncDevice};

/// A packet of 64 KiB that the kernel has yet to segment, with the header that says so.
const PACKET: usize = 64 * 1024 + 64;
/// Bytes that may be on their way in one direction; what does not fit is lost, as in a router. 25 ms at 100 MB/s are 2.5 MB.
const QUEUE: usize = 64 << 20;

/// Packets on their way, the oldest first.
#[derive(Default)]
struct Line {
    queue: Mutex<Queue>,
    more: Condvar,
}

#[derive(Default)]
struct Queue {
    packets: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
}

fn main() -> io::Result<()> {
    let usage = || io::Error::new(io::ErrorKind::InvalidInput, "usage: delay-line NEAR FAR MS SECONDS");
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [near, far, delay, seconds] = arguments.as_slice() else { return Err(usage()) };
    let [delay, seconds] = [delay, seconds].map(|number| number.parse::<u64>());
    let (delay, seconds) = delay.ok().zip(seconds.ok()).ok_or_else(usage)?;
    let (near, far) = (device(near)?, device(far)?);
    for (from, to) in [(&near, &far), (&far, &near)] {
        let line = Arc::new(Line::default());
        let (from, to, into) = (Arc::clone(from), Arc::clone(to), Arc::clone(&line));
        thread::spawn(move || take(&from, &into, Duration::from_millis(delay)));
        thread::spawn(move || give(&to, &line));
    }
    let end = Arc::new((Mutex::new(false), Condvar::new()));
    let told = Arc::clone(&end);
    thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        *told.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        told.1.notify_all();
    });
    let mut stdout = io::stdout();
    writeln!(stdout, "ready")?;
    stdout.flush()?;
    let ended = end.0.lock().unwrap_or_else(PoisonError::into_inner);
    drop(end.1.wait_timeout_while(ended, Duration::from_secs(seconds), |ended| !*ended));
    Ok(())
}

/// Packets are handed over as large as the kernel makes them: as on a network card, they are segmented behind it.
fn device(name: &str) -> io::Result<Arc<SyncDevice>> {
    DeviceBuilder::new().name(name).offload(true).build_sync().map(Arc::new)
}

/// Takes what a device sends.
fn take(device: &SyncDevice, line: &Line, delay: Duration) {
    let mut packet = vec![0; PACKET];
    // A device without a route to it, or one that is down for the moment, has nothing to send.
    while let Ok(length) = device.recv(&mut packet) {
        let due = now() + delay;
        let mut queue = line.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.bytes + length <= QUEUE {
            queue.bytes += length;
            queue.packets.push_back((due, packet.get(..length).unwrap_or_default().to_vec()));
            line.more.notify_one();
        }
    }
}

/// Hands it to the other one when it is due.
fn give(device: &SyncDevice, line: &Line) {
    loop {
        let queue = line.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut queue =
            line.more.wait_while(queue, |queue| queue.packets.is_empty()).unwrap_or_else(PoisonError::into_inner);
        let Some((due, packet)) = queue.packets.pop_front() else { continue };
        queue.bytes = queue.bytes.saturating_sub(packet.len());
        drop(queue);
        thread::sleep(due.saturating_duration_since(now()));
        // A device that is down loses packets.
        let _ = device.send(&packet);
    }
}

/// The time, which real networks live in.
#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}
