//! What can go wrong with the lock and the state.

use super::Holder;
use crate::cluster::ClusterError;
use crate::kafka::{GroupId, TopicPartition};

/// Why the lock can't be had or is lost, or the state can't be read or stored.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process runs this migration.
    #[error("migration {name} is being run by {holder}")]
    Held {
        /// The migration.
        name: String,
        /// The other process.
        holder: Holder,
    },
    /// The group that would be the lock is in use for something else.
    #[error(
        "group {group} on the target has members of another kind ({protocol}): it can't hold the state of a migration"
    )]
    NotOurs {
        /// The group.
        group: GroupId,
        /// Its members' protocol.
        protocol: String,
    },
    /// Another process has taken over.
    #[error("migration {name} was taken over by {holder}; nothing more is written from here")]
    Lost {
        /// The migration.
        name: String,
        /// The process that has it now.
        holder: Holder,
    },
    /// While this process had lost the lock, another one had it.
    #[error(
        "the state of {at} in group {group} on the target was changed by another process while this one had lost touch; nothing more is written from here"
    )]
    Changed {
        /// The group.
        group: GroupId,
        /// A partition whose state is not what this process stored.
        at: TopicPartition,
    },
    /// The target refused the state of a partition.
    #[error("cannot store the state of {at}: {cause}")]
    Refused {
        /// The partition.
        at: TopicPartition,
        /// The refusal.
        cause: ClusterError,
    },
    /// A call to the target failed for longer than it is repeated.
    #[error("{0}")]
    Cluster(ClusterError),
    /// The lock was given back.
    #[error("migration {name} was closed")]
    Closed {
        /// The migration.
        name: String,
    },
}

impl StoreError {
    /// What a person can do about it; `None` where the text already says all there is.
    pub fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Held { .. } => "wait until it has ended, or run with --take-over, which stops it".to_owned(),
            Self::NotOurs { .. } => "choose another --name".to_owned(),
            Self::Lost { .. } | Self::Changed { .. } => {
                "see how far it is with `kferry status`; to stop that one and go on here, run with --take-over"
                    .to_owned()
            }
            Self::Refused { cause, .. } | Self::Cluster(cause) => return cause.advice(),
            Self::Closed { .. } => return None,
        })
    }
}
