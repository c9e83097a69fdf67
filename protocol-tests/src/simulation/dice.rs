//! The one source of chance of a simulation.

use std::time::Duration;

use crate::model::choices::Seeded;

/// A generator: the same seed throws the same.
#[derive(Clone, Debug)]
pub struct Dice(Seeded);

impl Dice {
    /// A generator with its seed.
    pub fn new(seed: u64) -> Self {
        Self(Seeded(seed))
    }

    /// A number below `limit`; 0 where that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.0.word() % limit.max(1) as u64) as usize
    }

    /// A number from `low` up to and with `high`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1).max(1) as usize) as i64
    }

    /// Yes in one of `times` cases.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())]
    }

    /// A time from `low` up to and with `high` ms.
    pub fn ms(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low as i64, high as i64) as u64)
    }
}
