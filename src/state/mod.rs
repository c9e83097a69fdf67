//! What a migration remembers, and the lock that guards it. Both live on the target, in the group `kferry-<name>`; there
//! is no local file, so a migration can go on from any host.
//!
//! Being the leader of that group is the lock, and its committed offsets with their metadata are the state. A [`Store`]
//! is opened to hold the lock, loads and commits the state by it, and keeps it by heartbeats until it is closed or lost.
//!
//! Each partition has one [`Checkpoint`]: the committed offset is the target offset, so that lag monitors make sense, and
//! the rest is JSON in the commit's metadata. A [`Journal`] in it names, ahead of sending, how the next records are cut
//! into batches: whoever resumes looks up where the target's log ends and knows which source offset comes next.

mod checkpoint;
mod clock;
mod error;
mod holder;
mod journal;
mod known;
mod lock;
mod metadata;
mod skipped;
mod store;

pub use checkpoint::{Checkpoint, Created, Place, Writer};
pub use clock::{BootClock, Clock};
pub use error::StoreError;
pub use holder::Holder;
pub use journal::{Cut, Journal};
pub use lock::{News, SESSION};
pub use metadata::{MetadataError, decode, decode_all, encode};
pub use skipped::{SkipReason, Skipped};
pub use store::{Entry, Opening, Reading, Refusals, State, Store, group, read};
