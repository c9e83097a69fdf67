//! Which Apache Kafka the broker behaves like: what it advertises, and where the versions judge batches differently.

use kafka_protocol::messages::ApiKey;

/// A column of the behaviour tables: one version of Apache Kafka.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Version {
    /// 0.10.0.1, from before record batches: as a source only.
    V0_10,
    /// 2.8.2, with ZooKeeper.
    V2_8,
    /// 4.1.0, KRaft.
    V4_1,
}

/// One advertised API: key, lowest and highest version.
pub type Served = (ApiKey, i16, i16);

const V4_1: &[Served] = &[
    // 4.1 advertises 0 to 13 for the sake of old librdkafka and closes the connection on 0 to 2.
    (ApiKey::Produce, 0, 13),
    (ApiKey::Fetch, 4, 18),
    (ApiKey::ListOffsets, 1, 10),
    (ApiKey::Metadata, 0, 13),
    (ApiKey::OffsetCommit, 2, 9),
    (ApiKey::OffsetFetch, 1, 9),
    (ApiKey::FindCoordinator, 0, 6),
    (ApiKey::JoinGroup, 0, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 6),
    (ApiKey::ListGroups, 0, 5),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::InitProducerId, 0, 5),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
    (ApiKey::AddPartitionsToTxn, 0, 5),
    (ApiKey::AddOffsetsToTxn, 0, 4),
    (ApiKey::EndTxn, 0, 5),
    (ApiKey::TxnOffsetCommit, 0, 5),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::AlterConfigs, 0, 2),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::DescribeCluster, 0, 2),
    (ApiKey::DescribeProducers, 0, 0),
    (ApiKey::ConsumerGroupHeartbeat, 0, 1),
    (ApiKey::ConsumerGroupDescribe, 0, 1),
];

const V2_8: &[Served] = &[
    (ApiKey::Produce, 0, 9),
    (ApiKey::Fetch, 0, 12),
    (ApiKey::ListOffsets, 0, 6),
    (ApiKey::Metadata, 0, 11),
    (ApiKey::OffsetCommit, 0, 8),
    (ApiKey::OffsetFetch, 0, 7),
    (ApiKey::FindCoordinator, 0, 3),
    (ApiKey::JoinGroup, 0, 7),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 4),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 5),
    (ApiKey::ListGroups, 0, 4),
    (ApiKey::ApiVersions, 0, 3),
    (ApiKey::CreateTopics, 0, 7),
    (ApiKey::DeleteTopics, 0, 6),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::InitProducerId, 0, 4),
    (ApiKey::OffsetForLeaderEpoch, 0, 4),
    (ApiKey::AddPartitionsToTxn, 0, 3),
    (ApiKey::AddOffsetsToTxn, 0, 3),
    (ApiKey::EndTxn, 0, 3),
    (ApiKey::TxnOffsetCommit, 0, 3),
    (ApiKey::DescribeConfigs, 0, 4),
    (ApiKey::AlterConfigs, 0, 2),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::DescribeCluster, 0, 0),
    (ApiKey::DescribeProducers, 0, 0),
];

const V0_10: &[Served] = &[
    (ApiKey::Produce, 0, 2),
    (ApiKey::Fetch, 0, 2),
    (ApiKey::ListOffsets, 0, 0),
    (ApiKey::Metadata, 0, 1),
    (ApiKey::OffsetCommit, 0, 2),
    (ApiKey::OffsetFetch, 0, 1),
    (ApiKey::FindCoordinator, 0, 0),
    (ApiKey::JoinGroup, 0, 0),
    (ApiKey::Heartbeat, 0, 0),
    (ApiKey::LeaveGroup, 0, 0),
    (ApiKey::SyncGroup, 0, 0),
    (ApiKey::DescribeGroups, 0, 0),
    (ApiKey::ListGroups, 0, 0),
    (ApiKey::ApiVersions, 0, 0),
];

impl Version {
    /// As Apache Kafka names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V0_10 => "0.10.0.1",
            Self::V2_8 => "2.8.2",
            Self::V4_1 => "4.1.0",
        }
    }

    /// What ApiVersions answers. The oldest versions that 2.8 and 0.10 advertise are older than our codec: a request in
    /// one of them closes the connection (Produce 2 excepted, and on 0.10 Fetch and ListOffsets).
    pub const fn served(self) -> &'static [Served] {
        match self {
            Self::V0_10 => V0_10,
            Self::V2_8 => V2_8,
            Self::V4_1 => V4_1,
        }
    }

    /// Whether a request of this kind is answered at all.
    pub(crate) fn serves(self, key: ApiKey, version: i16) -> bool {
        self.served().iter().any(|(served, low, high)| *served == key && (*low..=*high).contains(&version))
    }

    /// KIP-890: coordinators verify that a partition is part of the transaction before a batch is appended.
    pub(crate) const fn verifies_transactions(self) -> bool {
        matches!(self, Self::V4_1)
    }

    /// Since 3.6 the append-time bit of a batch for a CreateTime topic is cleared instead of refused.
    pub(crate) const fn clears_append_time(self) -> bool {
        matches!(self, Self::V4_1)
    }

    /// How long a producer is remembered after its last record's timestamp, ms.
    pub(crate) const fn producer_expiry_ms(self) -> i64 {
        match self {
            // transactional.id.expiration.ms ruled both until producer.id.expiration.ms came with 3.4.
            Self::V0_10 | Self::V2_8 => 7 * 86_400_000,
            Self::V4_1 => 86_400_000,
        }
    }
}
