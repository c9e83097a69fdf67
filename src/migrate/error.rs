//! What ends a run as a whole: before it copies, on the way, or before it is proved.

use crate::cluster::ClusterError;
use crate::kafka::TopicPartition;
use crate::plan::Refusal;
use crate::state::{MetadataError, StoreError};
use crate::topics::TopicsError;

/// Why a run ended early.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum MigrateError {
    /// The plan holds what a run must not do.
    #[error("refused, nothing was written: {}", list(.0))]
    Refused(Vec<Refusal>),
    /// The target's topics could not be made.
    #[error("{0}")]
    Topics(TopicsError),
    /// A call to a cluster failed.
    #[error("{0}")]
    Cluster(ClusterError),
    /// The target did not say where a partition's log ends.
    #[error("cannot look up where {at} ends on the target: {cause}")]
    TargetEnd {
        /// The partition.
        at: TopicPartition,
        /// Why.
        cause: ClusterError,
    },
    /// The lock can't be had or was lost, or the state can't be read or kept.
    #[error("{0}")]
    State(StoreError),
    /// What the target remembers of a partition can't be understood.
    #[error("the state of {at} on the target can't be read: {cause}")]
    Unreadable {
        /// The partition.
        at: TopicPartition,
        /// Why.
        cause: MetadataError,
    },
    /// The target did not show the end of a partition to verify it.
    #[error("everything was copied, but {at} can't be verified: {cause}")]
    Unproved {
        /// The partition.
        at: TopicPartition,
        /// Why.
        cause: String,
    },
    /// The target left a partition out of its answer.
    #[error("the target does not say where {at} ends")]
    NoTargetEnd {
        /// The partition.
        at: TopicPartition,
    },
}

impl From<(TopicPartition, MetadataError)> for MigrateError {
    fn from((at, cause): (TopicPartition, MetadataError)) -> Self {
        Self::Unreadable { at, cause }
    }
}

impl MigrateError {
    /// What a person can do about it; `None` where the text already says all there is.
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Refused(_) | Self::NoTargetEnd { .. } | Self::Unproved { .. } => None,
            Self::State(error) => error.advice(),
            Self::Unreadable { cause: MetadataError::Newer(_), .. } => Some("use the kferry that wrote it".to_owned()),
            Self::Unreadable { .. } => Some("run with another --name".to_owned()),
            Self::Topics(error) => error.advice(),
            Self::Cluster(error) | Self::TargetEnd { cause: error, .. } => error.advice(),
        }
    }
}

fn list(refusals: &[Refusal]) -> String {
    let each: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    each.join("; ")
}
