//! What can be wrong with a record batch.

use crate::batch::codec::CodecError;
use crate::batch::judge::UnsupportedReason;
use crate::kafka::units::Count;
use crate::kafka::{CursorError, Offset, Span};

/// A batch that can't be read or rewritten. Whoever read it knows the cluster, the broker and the partition.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("record batch at offset {}: {kind}", Count(.base_offset.0))]
pub struct BatchError {
    /// The base offset the batch gives itself; -1 where its bytes end before it.
    pub base_offset: Offset,
    /// The offset behind the batch, as it says itself; `None` where it does not say. Where the bytes changed it may be
    /// wrong.
    pub next_offset: Option<Offset>,
    /// What is wrong.
    pub kind: BatchErrorKind,
}

/// What is wrong with a batch.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BatchErrorKind {
    /// The header ends early or says something that can't be.
    #[error(transparent)]
    Header(#[from] CursorError),
    /// The format's version is none that Kafka has.
    #[error("magic {0} is not a format that Kafka has")]
    Magic(i8),
    /// The bytes are not those that the CRC was made of.
    #[error("its CRC is {stored:#010x}, its bytes make {computed:#010x}: they changed on disk or on the way")]
    Crc {
        /// What the header says.
        stored: u32,
        /// What the bytes make.
        computed: u32,
    },
    /// The codec bits stand for none that Kafka has.
    #[error("compression codec {0} is none that Kafka has")]
    UnknownCodec(i16),
    /// The records can't be decompressed, or compressed again.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A record ends early or says something that can't be.
    #[error("record {index}: {cause}")]
    Record {
        /// The record's place in the batch, counted from 0.
        index: i32,
        /// What is wrong with it.
        cause: CursorError,
    },
    /// A message of an old format ends early or says something that can't be.
    #[error("message {index}: {cause}")]
    Message {
        /// The message's place in the set, counted from 0.
        index: usize,
        /// What is wrong with it.
        cause: CursorError,
    },
    /// A compressed message set of an old format holds what none may hold.
    #[error("its compressed messages {0}")]
    Nested(&'static str),
    /// Its offsets do not follow those in front of it.
    #[error("it lies behind offset {}", Count(.behind.get()))]
    Order {
        /// The offset behind what is in front of it.
        behind: Offset,
    },
    /// Something follows the last of the records that the header counts.
    #[error("{bytes} bytes follow the last of its {records} records")]
    Trailing {
        /// How many bytes.
        bytes: usize,
        /// How many records the header counts.
        records: i32,
    },
    /// The rewritten batch is one that the target would refuse.
    #[error("rewritten, {0}")]
    Refused(UnsupportedReason),
}

impl BatchErrorKind {
    /// The same error with the batch it belongs to, of which no more is known than where it begins.
    pub fn at(self, base_offset: Offset) -> BatchError {
        BatchError { base_offset, next_offset: None, kind: self }
    }

    /// The same error with the offsets of the batch it belongs to, end exclusive.
    pub fn of(self, span: Span) -> BatchError {
        BatchError { base_offset: span.start, next_offset: Some(span.end), kind: self }
    }
}
