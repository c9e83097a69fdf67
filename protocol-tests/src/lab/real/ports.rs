//! Free loopback ports for brokers.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range that systems take client ports from: a broker that was killed finds its port free when it restarts.
const LOWEST: u16 = 12_000;
const HIGHEST: u16 = 32_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port that nothing listens on, and that this process has not handed out before.
pub(super) fn free() -> u16 {
    let span = HIGHEST - LOWEST;
    // Processes that run side by side begin at different places.
    let begin = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(span)).unwrap_or(0);
    for _ in 0..span {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % span;
        let port = LOWEST + (u32::from(begin) + u32::from(step)).rem_euclid(u32::from(span)) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {LOWEST} and {HIGHEST}")
}
