//! What a migration remembers: it lives on the target, in the offsets of the group `kferry-<name>`; there is no local file.
//!
//! Each partition has one [`Checkpoint`]: the committed offset is the target offset, so that lag monitors make sense, and
//! the rest is JSON in the commit's metadata. A [`Journal`] in it names, ahead of sending, how the next records are cut
//! into batches: whoever resumes, from whatever host, looks up where the target's log ends and knows which source offset
//! comes next.

mod checkpoint;
mod journal;
mod metadata;
mod skipped;

pub use checkpoint::{Checkpoint, Created, Place, Writer};
pub use journal::{Cut, Journal};
pub use metadata::{MetadataError, decode, encode};
pub use skipped::{SkipReason, Skipped};
