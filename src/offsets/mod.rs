//! Where each group goes on reading: its committed offsets of the source become offsets of the target.
//!
//! [`look`] reads what a group has on both sides, [`decide`] says what becomes of each of its commits, by the [`Places`]
//! that are known for certain, and [`commit()`] writes them: all of a group's or none, for a group that goes on in some
//! partitions and begins anew in others is worse off than one that waits.

mod commit;
mod mark;
mod rules;
#[cfg(test)]
mod tests;

pub use commit::{commit, look};
pub use mark::{Places, Translation};
pub use rules::{Decided, GroupOutcome, Moved, Outcome, Replaces, Seen, Uncounted, Write, decide, problem};
