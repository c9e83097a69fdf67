//! Record batches: what one holds, whether it may pass as it is, and how it is rewritten where it may not.
//!
//! The record bytes of a Fetch answer are cut into [`Piece`]s by [`batches`]: a [`RawBatch`], or a [`MessageSet`] of an old
//! format, whose checksum is right. For each the answer's [`Judge`] gives a [`Verdict`]: then [`pass`] patches the 61
//! bytes of its header, or it joins a [`Run`] of neighbours that [`rebuild()`] opens, to write the records that belong to
//! the [`Span`](crate::kafka::Span) being copied anew. Both make [`Outgoing`] batches, which are stamped and handed to
//! Produce. [`open`] is for whoever wants to look at the records themselves.
//!
//! All of it is pure, and none of it trusts what it reads: no byte of a batch can make it panic or hold more memory
//! than the bytes that are there and the caps of [`Rules`] allow.

#![deny(clippy::indexing_slicing)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod aborted;
mod builder;
#[cfg(test)]
mod captures;
mod codec;
mod crc;
mod entry;
mod error;
mod header;
mod join;
mod judge;
mod legacy;
mod origin;
mod patch;
mod pieces;
mod rebuild;
mod records;
mod sums;
#[cfg(test)]
pub(crate) mod testing;

pub use codec::{Codec, CodecError, CodecFault, CodecSet};
pub use crc::crc32c;
pub use entry::Entry;
pub use error::{BatchError, BatchErrorKind};
pub use header::{Attributes, BatchHeader, HEADER_SIZE};
pub use join::{Broken, Joining, Made, Run};
pub use judge::{AppendTime, DropReason, Judge, RewriteReason, Rules, UnsupportedReason, Verdict};
pub use legacy::MessageSet;
pub use patch::{Outgoing, pass};
pub use pieces::{Ahead, Batches, Piece, RawBatch, batches, batches_of};
pub use rebuild::rebuild;
pub use records::{Headers, Opened, Record, Records, open};
pub use sums::{Summed, Summing};
