//! Proof that what was written is what was read.
//!
//! [`Extent`] is what a lane claims: these source offsets became that many records in those target offsets. Level
//! `offsets` checks the claim against the offsets that the target itself tells. That the content is right too is vouched
//! for by the CRC chain: the checksum that the target's broker checked was derived from the one the source had stored,
//! not recomputed (`batch::pass`).
//!
//! The levels `digest` and `records` read both sides again ([`compare()`]): a `Reader` for each side hands what it reads
//! to a `Comparison`, which knows no sockets. What one side lost to retention or compaction since is told from what is
//! wrong. A topic that is not the one of the copy any more ([`Gone`]) is neither read nor judged by its records.

mod compare;
mod comparison;
mod content;
mod extent;
mod fate;
mod findings;
mod level;
mod offsets;
mod reader;
mod search;
mod sequence;
#[cfg(test)]
mod tests;
mod walk;

pub use compare::{Options, PARALLELISM, Progress, compare};
pub use extent::Extent;
pub use fate::Gone;
pub use findings::{Findings, Mismatch, Verdict, VerifyError, What};
pub use level::{Level, UnknownLevel};
pub use offsets::Tail;
