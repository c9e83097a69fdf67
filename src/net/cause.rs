//! Why a connection ended, and what that means for a request on it.

use crate::kafka::units;
use crate::wire::frame::FrameError;
use crate::wire::{ApiKey, WireError};
use std::sync::Arc;
use std::time::Duration;

/// Why a connection ended. Everything that waited on it gets this one cause.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Cause {
    /// The broker closed before it answered anything.
    #[error("the connection was closed before anything was answered (a TLS port, or a proxy in between?)")]
    ClosedAtOnce,
    /// The broker closed after it had answered before.
    #[error("the broker closed the connection")]
    Closed,
    /// The operating system's error.
    #[error("{reason}")]
    Failed {
        /// What it said.
        reason: String,
    },
    /// The oldest request waited too long without any progress of the connection.
    #[error("no answer to {api} and no progress for {}", units::Span(*.waited))]
    TimedOut {
        /// The request's API.
        api: ApiKey,
        /// How long nothing moved.
        waited: Duration,
    },
    /// The first bytes can't be from a broker.
    #[error("answered with {bytes} bytes that are not Kafka's protocol (a TLS or HTTP port?)")]
    NotKafka {
        /// How many bytes came.
        bytes: usize,
    },
    /// An answer's length can't be.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// An answer belongs to no request, or not to the oldest one.
    #[error("answer {got} came where {} was due", .due.map_or_else(|| "none".to_owned(), |due| due.to_string()))]
    OutOfOrder {
        /// The correlation id of the oldest request.
        due: Option<i32>,
        /// The correlation id of the answer.
        got: i32,
    },
    /// We closed it.
    #[error("the connection was closed by kferry")]
    Dropped,
}

/// Why a request has no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError {
    /// The connection ended first.
    #[error("{cause}")]
    Lost {
        /// Why; shared by all requests of the connection.
        cause: Arc<Cause>,
        /// Whether any byte of the request may have left: only `false` is certain.
        sent: bool,
    },
    /// The request can't be written: nothing was sent.
    #[error(transparent)]
    Unwritable(WireError),
    /// The answer came and can't be read.
    #[error(transparent)]
    Unreadable(WireError),
}
