//! How long a lane bears with failures: the one retry rule, started anew by every success.

use std::sync::Arc;
use std::time::Duration;

use crate::cluster::retry::{Attempts, Jitter, RetryPolicy};

/// Counts failures in a row.
#[derive(Clone, Debug)]
pub struct Patience {
    jitter: Jitter,
    attempts: Attempts,
    since: Option<Duration>,
}

impl Patience {
    /// No failure yet. Lanes with different seeds come back at different times; one policy serves them all.
    pub fn new(policy: impl Into<Arc<RetryPolicy>>, seed: u64) -> Self {
        Self { jitter: Jitter::new(seed), attempts: Attempts::new(policy), since: None }
    }

    /// It failed again: when to try next, or `None` to give up.
    pub(super) fn failed(&mut self, now: Duration) -> Option<Duration> {
        let since = *self.since.get_or_insert(now);
        let wait = self.attempts.failed(now.saturating_sub(since), &mut self.jitter)?;
        Some(now + wait)
    }

    /// Failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.attempts.made()
    }

    /// It worked.
    pub(super) fn reset(&mut self) {
        self.attempts.start_over();
        self.since = None;
    }
}
