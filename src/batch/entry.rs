//! What follows each other in a log, whichever format it is of, and the records in it.

use crate::batch::codec::Codec;
use crate::batch::error::BatchError;
use crate::batch::legacy::{MessageSet, Messages, OpenSet};
use crate::batch::pieces::RawBatch;
use crate::batch::records::{Opened, Record, Records, open, plain};
use crate::kafka::Offset;

/// A record batch, or a message set of an old format.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A record batch of magic 2.
    Batch(RawBatch),
    /// A message set of magic 0 or 1.
    Set(MessageSet),
}

impl Entry {
    /// The offset behind it.
    pub fn next_offset(&self) -> Offset {
        match self {
            Self::Batch(batch) => batch.header().next_offset(),
            Self::Set(set) => set.next_offset(),
        }
    }

    /// Bytes of the whole entry as the source stored it.
    pub fn size(&self) -> usize {
        match self {
            Self::Batch(batch) => batch.bytes().len(),
            Self::Set(set) => set.size(),
        }
    }

    /// The codec of its records.
    ///
    /// # Errors
    /// Codec bits that stand for none that Kafka has.
    pub fn codec(&self) -> Result<Codec, BatchError> {
        match self {
            Self::Batch(batch) => batch.codec(),
            Self::Set(set) => Ok(set.codec()),
        }
    }

    /// Decompresses its records into at most `cap` bytes and shows them in their order.
    ///
    /// # Errors
    /// A codec or record that is wrong; the records in front of it were shown.
    pub fn visit(&self, cap: usize, mut see: impl FnMut(&Record<'_>)) -> Result<(), BatchError> {
        self.open(cap)?.records().try_for_each(|record| record.map(|record| see(&record)))
    }

    pub(super) fn open(&self, cap: usize) -> Result<OpenEntry<'_>, BatchError> {
        match self {
            Self::Batch(batch) if batch.header().codec() == Ok(Codec::None) => Ok(OpenEntry::Plain(batch)),
            Self::Batch(batch) => open(batch, cap).map(OpenEntry::Batch),
            Self::Set(set) => set.open(cap).map(OpenEntry::Set),
        }
    }
}

/// An entry whose records are decompressed.
pub(super) enum OpenEntry<'a> {
    Plain(&'a RawBatch),
    Batch(Opened),
    Set(OpenSet),
}

impl OpenEntry<'_> {
    pub(super) fn records(&self) -> EntryRecords<'_> {
        match self {
            Self::Plain(batch) => EntryRecords::Batch(plain(batch)),
            Self::Batch(opened) => EntryRecords::Batch(opened.records()),
            Self::Set(opened) => EntryRecords::Set(opened.messages()),
        }
    }
}

/// The records of an entry in their order.
pub(super) enum EntryRecords<'a> {
    Batch(Records<'a>),
    Set(Messages<'a>),
}

impl<'a> Iterator for EntryRecords<'a> {
    type Item = Result<Record<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Batch(records) => records.next(),
            Self::Set(messages) => messages.next(),
        }
    }
}
