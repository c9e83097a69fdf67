//! The clock that the lock is held by.

use rustix::time::{ClockId, clock_gettime};
use std::fmt;
use std::time::Duration;

/// A clock that also runs while the machine is suspended. Only differences of its times mean anything.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time that has passed since some fixed moment.
    fn now(&self) -> Duration;
}

/// The machine's clock since it was started. Rust's `Instant` stands still during a suspend on Linux: a laptop that was
/// shut for an hour would still believe in a heartbeat that is an hour old.
#[derive(Clone, Copy, Default, Debug)]
pub struct BootClock;

#[cfg(any(target_os = "linux", target_os = "android"))]
const SINCE_BOOT: ClockId = ClockId::Boottime;
/// Elsewhere this one runs on during a suspend.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const SINCE_BOOT: ClockId = ClockId::Monotonic;

impl Clock for BootClock {
    fn now(&self) -> Duration {
        let time = clock_gettime(SINCE_BOOT);
        let part = |value: i64| u64::try_from(value).unwrap_or_default();
        Duration::from_secs(part(time.tv_sec)).saturating_add(Duration::from_nanos(part(time.tv_nsec)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_since_boot_is_never_behind_the_one_that_stops() {
        let stops = clock_gettime(ClockId::Monotonic);
        let before = BootClock.now();
        assert!(before >= Duration::new(stops.tv_sec.unsigned_abs(), 0), "{before:?} of {stops:?}");
        assert!(BootClock.now() >= before);
    }
}
