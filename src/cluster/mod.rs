//! A Kafka cluster as its clients see it.
//!
//! [`Cluster`] is a cheap handle. It knows the brokers, keeps connections to them, remembers leaders and coordinators
//! until a broker says otherwise, and repeats the calls that may be repeated by one rule ([`retry`]). A call about many
//! things (partitions, groups, topics) asks each broker once for all of its share, and answers for each thing by itself:
//! one partition without a leader does not fail the others.
//!
//! Fetch and Produce go over a [`Connection`] of the caller's own, so that long polls never hold up other calls, and are
//! never repeated here: whatever happens is the caller's to judge. [`ClusterError::sent`] says whether a broker may have
//! seen the request.

mod calls;
mod client;
mod connection;
mod coordinator;
mod error;
mod gather;
mod metadata;
pub mod retry;

pub use calls::commit::Stored;
pub use calls::commits::{Commits, Committed};
pub use calls::configs::{ConfigNames, Configs, TopicValues};
pub use calls::groups::{Group, GroupDescription, GroupList};
pub use calls::membership::{Joined, Joining};
pub use calls::offsets::{Edge, ListedOffset, Moment};
pub use client::{Cluster, Options};
pub use connection::{Connection, Use};
pub use error::{ClusterError, ErrorKind, Node, Place, Subject};
pub use metadata::{Broker, Leader, Partition, Topic, Topics};

pub use crate::net::Dial;
pub use crate::wire::fetch::{
    AbortedTransaction, FetchAnswer, FetchPartition, FetchRequest, FetchedPartition, Isolation,
};
pub use crate::wire::messages::{CommitOffset, ConfigEntry, ConfigSource, CreatedTopic, Member, MemberOf, NewTopic};
pub use crate::wire::produce::{ProduceAnswer, ProducePartition, ProduceRequest, ProducedPartition, RecordError};

#[cfg(test)]
mod tests;
