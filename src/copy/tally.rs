//! How many batches and bytes a lane passed, rewrote and dropped, and why.

use std::collections::BTreeMap;

/// A number of batches and of their bytes, as the source stored them (61-byte headers included).
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Volume {
    /// Record batches.
    pub batches: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Volume {
    /// One batch of `bytes`.
    pub fn of(bytes: usize) -> Self {
        let mut volume = Self::default();
        volume.add(bytes);
        volume
    }

    /// Counts what another one counted.
    pub fn merge(&mut self, other: Self) {
        self.batches += other.batches;
        self.bytes += other.bytes;
    }

    /// Counts one batch of `bytes`.
    pub fn add(&mut self, bytes: usize) {
        self.batches += 1;
        self.bytes += bytes as u64;
    }
}

/// A lane's batches by verdict; rewritten and dropped ones by reason.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Tally {
    /// Batches that went through with a patched header.
    pub passed: Volume,
    /// Batches that were opened, by reason.
    pub rewritten: BTreeMap<&'static str, Volume>,
    /// Batches that were left out, by reason.
    pub dropped: BTreeMap<&'static str, Volume>,
}

impl Tally {
    /// All bytes read from the source.
    pub fn bytes_read(&self) -> u64 {
        let opened = self.rewritten.values().chain(self.dropped.values());
        opened.map(|volume| volume.bytes).sum::<u64>() + self.passed.bytes
    }
}
