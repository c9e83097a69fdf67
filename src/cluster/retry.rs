//! The one rule for asking again: waits that double from attempt to attempt up to a limit, with jitter, so that many
//! callers who failed together do not come back together; ended by a count and by a total time.

use std::sync::Arc;
use std::time::Duration;

/// How often and how long something is tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryPolicy {
    /// The wait behind the first failed attempt.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
    /// Attempts in all, the first one included.
    pub attempts: u32,
    /// Attempts in all where a broker does not know a topic or partition: it may be new, but mostly it is not there.
    pub unknown: u32,
    /// No new attempt begins later than this after the first one began.
    pub total: Duration,
}

impl Default for RetryPolicy {
    /// Enough for a leader election and a restarting broker: 12 attempts within a minute, and about a second and a half
    /// for what does not exist.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(50),
            most: Duration::from_secs(8),
            attempts: 12,
            unknown: 6,
            total: Duration::from_secs(60),
        }
    }
}

/// Where one call is in its attempts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempts {
    policy: Arc<RetryPolicy>,
    made: u32,
}

impl Attempts {
    /// Before the first attempt.
    pub fn new(policy: impl Into<Arc<RetryPolicy>>) -> Self {
        Self { policy: policy.into(), made: 0 }
    }

    /// Back before the first attempt.
    pub const fn start_over(&mut self) {
        self.made = 0;
    }

    /// Attempts made so far.
    pub const fn made(&self) -> u32 {
        self.made
    }

    /// An attempt failed, `elapsed` after the first one began: how long to wait for the next, or `None` to give up.
    pub fn failed(&mut self, elapsed: Duration, jitter: &mut Jitter) -> Option<Duration> {
        let doubled = self.policy.first.saturating_mul(1_u32.checked_shl(self.made).unwrap_or(u32::MAX));
        self.made = self.made.saturating_add(1);
        let wait = jitter.shorten(doubled.min(self.policy.most));
        let again = self.made < self.policy.attempts && elapsed.saturating_add(wait) <= self.policy.total;
        again.then_some(wait)
    }
}

/// The one generator of jitter of a process (SplitMix64): the same seed gives the same waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// A generator with its seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Between half of `wait` and all of it.
    fn shorten(&mut self, wait: Duration) -> Duration {
        let half = wait / 2;
        let share = u32::try_from(self.next() >> 32).unwrap_or(u32::MAX);
        half + half.mul_f64(f64::from(share) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(seed: u64, policy: RetryPolicy) -> Vec<Duration> {
        let (mut attempts, mut jitter) = (Attempts::new(policy), Jitter::new(seed));
        let mut elapsed = Duration::ZERO;
        let next = || {
            let wait = attempts.failed(elapsed, &mut jitter)?;
            elapsed += wait;
            Some(wait)
        };
        std::iter::from_fn(next).take(1_000).collect()
    }

    #[test]
    fn waits_double_up_to_the_limit_and_stay_above_half() {
        let policy = RetryPolicy::default();
        for (index, wait) in waits(7, policy).iter().enumerate() {
            let full = (policy.first * 2_u32.pow(index as u32)).min(policy.most);
            assert!(*wait <= full && *wait >= full / 2, "wait {index} is {wait:?} of {full:?}");
        }
    }

    #[test]
    fn the_count_and_the_total_time_end_it() {
        let policy = RetryPolicy { attempts: 3, ..RetryPolicy::default() };
        assert_eq!(waits(7, policy).len(), 2, "three attempts have two waits between them");
        let endless = RetryPolicy { attempts: u32::MAX, ..RetryPolicy::default() };
        assert!(waits(7, endless).iter().sum::<Duration>() <= endless.total);
    }

    #[test]
    fn a_seed_gives_the_same_waits_again() {
        assert_eq!(waits(7, RetryPolicy::default()), waits(7, RetryPolicy::default()));
        assert_ne!(waits(7, RetryPolicy::default()), waits(8, RetryPolicy::default()));
    }
}
