//! Why bytes are not an answer, or a request can't become bytes.

use crate::kafka::{CursorError, TopicPartition};

/// A request that can't be written or an answer that can't be read. The caller knows the broker and the API.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WireError {
    /// A field of the answer is cut off or can't be.
    #[error("the answer can't be read: {0}")]
    Malformed(#[from] CursorError),
    /// A string of the answer is not UTF-8.
    #[error("the answer can't be read: {what} is not text")]
    NotText {
        /// The field.
        what: &'static str,
    },
    /// A field of the request does not fit.
    #[error("the request can't be written: {reason}")]
    Unwritable {
        /// Which and why.
        reason: String,
    },
    /// A Produce request names a partition twice: brokers answer once and lose the first batch (measured).
    #[error("the request can't be written: it names {at} twice")]
    Twice {
        /// The partition.
        at: TopicPartition,
    },
}
