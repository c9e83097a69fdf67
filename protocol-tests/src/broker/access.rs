//! What clients may not do. Everything is allowed until a test denies it.

use std::collections::BTreeSet;

/// Something a client does, on a topic, a group or the cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Operation {
    /// Fetch, and offsets of a topic.
    ReadTopic,
    /// Produce.
    WriteTopic,
    /// Metadata, ListOffsets.
    DescribeTopic,
    /// CreateTopics.
    CreateTopic,
    /// DeleteTopics, DeleteRecords.
    DeleteTopic,
    /// DescribeConfigs.
    DescribeConfigs,
    /// AlterConfigs.
    AlterConfigs,
    /// Join, commit.
    ReadGroup,
    /// ListGroups, DescribeGroups, OffsetFetch.
    DescribeGroup,
    /// DeleteGroups.
    DeleteGroup,
    /// A transactional id.
    WriteTransaction,
    /// InitProducerId without one; the name is `kafka-cluster`.
    IdempotentWrite,
}

/// See the module.
#[derive(Clone, Default, Debug)]
pub struct Access {
    denied: BTreeSet<(Operation, String)>,
}

impl Access {
    /// Denies an operation on `name`, or on everything with `*`.
    pub fn deny(&mut self, operation: Operation, name: &str) {
        self.denied.insert((operation, name.to_owned()));
    }

    /// Takes one denial back.
    pub fn allow(&mut self, operation: Operation, name: &str) {
        self.denied.remove(&(operation, name.to_owned()));
    }

    /// Whether a client may.
    pub fn may(&self, operation: Operation, name: &str) -> bool {
        let denied = |name: &str| self.denied.contains(&(operation, name.to_owned()));
        self.denied.is_empty() || !(denied(name) || denied("*"))
    }
}
