//! A small blocking Kafka client of the tests' own, over `std::net`.
//!
//! [`Probe`] is one connection: frames in, frames out, nothing hidden, so that a scenario sees a closed connection as
//! such. `raw` produces hand-made bytes and fetches what a broker has on disk. [`Client`] is the same for a whole
//! cluster: it asks for leaders and coordinators and does what a scenario needs to set its stage. The message structs
//! come from kafka-protocol; record batches are made and read by [`super::batch`].

mod client;
mod connection;
mod hand;
mod member;
mod raw;

pub use client::Client;
pub use connection::{Failure, Probe};
pub use hand::ProbeHand;
pub use raw::{Appended, Fetched, Produce};

use kafka_protocol::messages::{GroupId, TopicName, TransactionalId};
use kafka_protocol::protocol::StrBytes;

/// The versions that every broker from 0.11 to 4.3 speaks; those of what a source of 0.10.2 is asked, that one too.
pub mod versions {
    /// ApiVersions.
    pub const API_VERSIONS: i16 = 0;
    /// Metadata. The lab's brokers create no topic for being asked about it.
    pub const METADATA: i16 = 1;
    /// Produce; zstd needs 7.
    pub const PRODUCE: i16 = 3;
    /// Fetch; zstd needs 10.
    pub const FETCH: i16 = 4;
    /// ListOffsets; the last stable offset needs 2.
    pub const LIST_OFFSETS: i16 = 1;
    /// CreateTopics.
    pub const CREATE_TOPICS: i16 = 2;
    /// DeleteTopics.
    pub const ALTER_CLIENT_QUOTAS: i16 = 0;
    pub const DELETE_GROUPS: i16 = 0;
    pub const DELETE_TOPICS: i16 = 1;
    /// DeleteRecords.
    pub const DELETE_RECORDS: i16 = 0;
    /// FindCoordinator; that of a transaction needs 1.
    pub const FIND_COORDINATOR: i16 = 0;
    /// OffsetCommit.
    pub const OFFSET_COMMIT: i16 = 2;
    /// OffsetFetch.
    pub const OFFSET_FETCH: i16 = 2;
    /// DescribeConfigs, from 1.1 on.
    pub const DESCRIBE_CONFIGS: i16 = 1;
    /// InitProducerId.
    pub const INIT_PRODUCER_ID: i16 = 0;
    /// AddPartitionsToTxn.
    pub const ADD_PARTITIONS_TO_TXN: i16 = 0;
    /// EndTxn.
    pub const END_TXN: i16 = 0;
    /// JoinGroup.
    pub const JOIN_GROUP: i16 = 1;
    /// SyncGroup.
    pub const SYNC_GROUP: i16 = 0;
    /// LeaveGroup.
    pub const LEAVE_GROUP: i16 = 0;
}

fn text(from: &str) -> StrBytes {
    StrBytes::from_string(from.to_owned())
}

fn topic_name(from: &str) -> TopicName {
    text(from).into()
}

fn group_id(from: &str) -> GroupId {
    text(from).into()
}

fn transactional_id(from: &str) -> TransactionalId {
    text(from).into()
}
