//! How fast the source may be read: a bucket of bytes that fills at the configured rate.

use std::time::Duration;

/// How much the bucket holds, as time at the full rate: what a pause may save up.
const BURST: Duration = Duration::from_millis(100);

/// The shortest wait.
const LEAST: Duration = Duration::from_millis(1);

/// Paces reading. What is asked for counts as taken until it is known what came, so that many requests at once don't exceed
/// the rate by as many times; the bucket may go below zero, and nothing new begins before it is above again.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    rate: Option<f64>,
    bytes: f64,
    filled: Duration,
}

impl Pace {
    /// `rate` in bytes a second; `None`: as fast as both clusters allow.
    pub(super) fn new(rate: Option<u64>) -> Self {
        Self { rate: rate.map(|rate| rate as f64), bytes: 0.0, filled: Duration::ZERO }
    }

    /// The most bytes that one request should ask for, so that it does not exceed the rate by much.
    pub(super) fn at_once(&self) -> Option<usize> {
        self.rate.map(|rate| (rate * BURST.as_secs_f64()).max(1.0) as usize)
    }

    /// When reading may go on; `None`: now.
    pub(super) fn wait(&mut self, now: Duration) -> Option<Duration> {
        let rate = self.rate?;
        let since = now.saturating_sub(self.filled).as_secs_f64();
        self.filled = now;
        self.bytes = (self.bytes + rate * since).min(rate * BURST.as_secs_f64());
        // What is left over by rounding must not make it a wait of no time at all.
        (self.bytes < 0.0).then(|| now + Duration::from_secs_f64(-self.bytes / rate).max(LEAST))
    }

    /// So many bytes more than the rate gives may be taken.
    pub(super) fn earn(&mut self, bytes: usize) {
        self.bytes += bytes as f64;
    }

    /// So many bytes came.
    pub(super) fn took(&mut self, bytes: usize) {
        self.bytes -= bytes as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds_over_ten_seconds() {
        let mut pace = Pace::new(Some(1_000_000));
        let (mut now, mut bytes) = (Duration::ZERO, 0);
        while now < Duration::from_secs(10) {
            match pace.wait(now) {
                Some(later) => now = later,
                None => {
                    pace.took(200_000);
                    bytes += 200_000;
                    now += Duration::from_millis(1);
                }
            }
        }
        assert!((9_500_000..10_500_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn what_is_earned_shortens_the_wait() {
        let mut pace = Pace::new(Some(1_000));
        pace.took(3_000);
        assert_eq!(pace.wait(Duration::ZERO), Some(Duration::from_secs(3)));
        pace.earn(1_000);
        assert_eq!(pace.wait(Duration::ZERO), Some(Duration::from_secs(2)));
        pace.earn(1_000_000);
        pace.wait(Duration::ZERO);
        pace.took(1_000);
        assert!(pace.wait(Duration::ZERO).is_some(), "no more than a burst is saved up");
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let mut pace = Pace::new(None);
        pace.took(usize::MAX);
        assert_eq!(pace.wait(Duration::ZERO), None);
        assert_eq!(pace.at_once(), None);
    }

    #[test]
    fn a_pause_saves_up_no_more_than_a_burst() {
        let mut pace = Pace::new(Some(1_000));
        assert_eq!(pace.wait(Duration::from_secs(60)), None);
        pace.took(251);
        assert!(pace.wait(Duration::from_secs(60)).is_some());
    }
}
