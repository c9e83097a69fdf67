//! Waiting for a state, never for a time.

use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The moment at which patience ends.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// The moment `limit` from now.
    #[allow(clippy::disallowed_methods)] // Real brokers and processes live in real time.
    pub fn after(limit: Duration) -> Self {
        Self(Instant::now() + limit)
    }

    /// What is left until then; zero once it has passed.
    #[allow(clippy::disallowed_methods)]
    pub fn left(&self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    pub fn passed(&self) -> bool {
        self.left().is_zero()
    }
}

/// Asks `state` again and again until it answers; its last refusal is the error.
///
/// # Errors
/// The last refusal, when `limit` has passed.
pub fn attempt<T, E>(limit: Duration, mut state: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let deadline = Deadline::after(limit);
    loop {
        match state() {
            Ok(value) => return Ok(value),
            Err(refusal) if deadline.passed() => return Err(refusal),
            Err(_) => sleep(Duration::from_millis(20)),
        }
    }
}

/// Waits until `state` answers, and panics with `what` when `limit` has passed.
#[track_caller]
pub fn until<T>(what: &str, limit: Duration, mut state: impl FnMut() -> Option<T>) -> T {
    match attempt(limit, || state().ok_or(())) {
        Ok(value) => value,
        Err(()) => panic!("waited {limit:?} in vain: {what}"),
    }
}

/// The time of day in milliseconds since 1970, for record timestamps.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock set after 1970");
    i64::try_from(since.as_millis()).expect("a clock set before the year 292,000,000")
}
