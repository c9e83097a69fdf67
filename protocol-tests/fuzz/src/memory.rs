//! An allocator with a limit: what reserves memory by a number that it read, instead of by bytes that are there, does not
//! get it and ends the process, which the fuzzer reports.

use cap::Cap;
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Runs `work`, during which no more than `budget` bytes may be held in addition to what is held before.
pub fn within<T>(budget: usize, work: impl FnOnce() -> T) -> T {
    let limit = ALLOCATOR.allocated().saturating_add(budget);
    ALLOCATOR.set_limit(limit).expect("above what is held");
    let result = work();
    ALLOCATOR.set_limit(usize::MAX).expect("there is no larger limit");
    result
}

/// What reading an input of `length` bytes may hold: a small multiple of it, and something for messages and the like.
pub fn multiple(length: usize, factor: usize) -> usize {
    length.saturating_mul(factor).saturating_add(64 << 10)
}
