//! The words of the Kafka protocol: identifiers, error codes, a checked reader of bytes, units for people.
//!
//! Nothing here does I/O or knows about clusters; every other room builds on it.

pub mod code;
pub mod cursor;
pub mod ids;
pub mod units;

pub use code::{ErrorCode, Retry};
pub use cursor::{Cursor, CursorError, put_varint, varint_len};
pub use ids::{
    BrokerId, GroupId, HostPort, LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId, Sequence, Side, Span,
    Stamp, TopicId, TopicName, TopicPartition,
};
