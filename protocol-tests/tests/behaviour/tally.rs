//! What really ran.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counts the scenarios on real brokers.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    ran: AtomicUsize,
    skipped: Mutex<BTreeMap<String, usize>>,
}

impl Tally {
    pub(crate) fn ran(&self, real: bool) {
        self.ran.fetch_add(usize::from(real), Ordering::Relaxed);
    }

    pub(crate) fn skipped(&self, real: bool, reason: &str) {
        if real {
            *self.reasons().entry(reason.to_owned()).or_default() += 1;
        }
    }

    fn reasons(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn none_ran(&self) -> bool {
        self.ran.load(Ordering::Relaxed) == 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let skipped = self.reasons();
        let all: usize = skipped.values().sum();
        write!(out, "real: {} run, {all} skipped", self.ran.load(Ordering::Relaxed))?;
        for (reason, count) in skipped.iter() {
            write!(out, " ({count}: {reason})")?;
        }
        Ok(())
    }
}
