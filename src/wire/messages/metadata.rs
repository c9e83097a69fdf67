//! Metadata: brokers, topics, partitions and their leaders; and what kferry may do in the cluster.
//!
//! Version 2 added the cluster id, 4 the promise not to create topics, 7 the leader epoch, 10 the topic id (KIP-516).

use super::{owned, string, write};
use crate::kafka::{BrokerId, ErrorCode, LeaderEpoch, PartitionId, TopicId, TopicName};
use crate::wire::{ApiKey, Reader, Request, Rope, VersionRange, WireError};
use bytes::Bytes;
use kafka_protocol::messages::{MetadataRequest, metadata_request::MetadataRequestTopic};

/// Asks about some topics or all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Metadata {
    /// The topics; `None` for all there are. Before version 4 always all: those versions create the topics they name.
    pub topics: Option<Vec<TopicName>>,
}

/// A broker's answer to [`Metadata`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetadataAnswer {
    /// The brokers that are up.
    pub brokers: Vec<MetadataBroker>,
    /// The cluster's id.
    pub cluster_id: Option<String>,
    /// The controller, or any broker where brokers forward (KRaft).
    pub controller: Option<BrokerId>,
    /// The topics asked for.
    pub topics: Vec<MetadataTopic>,
}

/// A broker as [`MetadataAnswer`] names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetadataBroker {
    /// Its node id.
    pub id: BrokerId,
    /// The host it advertises.
    pub host: String,
    /// The port it advertises.
    pub port: i32,
    /// Its rack.
    pub rack: Option<String>,
}

/// A topic as [`MetadataAnswer`] names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetadataTopic {
    /// Its name.
    pub name: TopicName,
    /// Its id.
    pub id: Option<TopicId>,
    /// Why the rest is missing, or NONE.
    pub error: ErrorCode,
    /// Whether Kafka itself keeps state in it.
    pub internal: bool,
    /// Its partitions in the broker's order.
    pub partitions: Vec<MetadataPartition>,
}

/// A partition as [`MetadataAnswer`] names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetadataPartition {
    /// Its number.
    pub id: PartitionId,
    /// LEADER_NOT_AVAILABLE and the like, or NONE.
    pub error: ErrorCode,
    /// The leader, where there is one.
    pub leader: Option<BrokerId>,
    /// The leader's epoch.
    pub leader_epoch: Option<LeaderEpoch>,
    /// All replicas.
    pub replicas: Vec<BrokerId>,
    /// The replicas that are in sync.
    pub in_sync: Vec<BrokerId>,
}

impl Request for Metadata {
    const API: ApiKey = ApiKey::Metadata;
    type Answer = MetadataAnswer;

    fn encode(&self, version: i16) -> Result<Rope, WireError> {
        let topic = |name: &TopicName| MetadataRequestTopic::default().with_name(Some(string(name.as_str()).into()));
        let named = self.topics.as_ref().filter(|_| version >= 4);
        let topics = named.map(|topics| topics.iter().map(topic).collect());
        // The library refuses `false` where the field does not exist.
        let request = MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(version < 4);
        write(&request, version)
    }

    fn decode(version: i16, body: Bytes) -> Result<MetadataAnswer, WireError> {
        let mut reader = super::reader::<Self>(version, &body);
        if version >= 3 {
            reader.throttle()?;
        }
        let brokers = reader.array("brokers", broker)?;
        let cluster_id = if version >= 2 { owned(reader.nullable_text("cluster_id")?) } else { None };
        let controller = node(reader.i32("controller_id")?);
        let topics = reader.array("topics", |reader| topic(version, reader))?;
        Ok(MetadataAnswer { brokers, cluster_id, controller, topics })
    }
}

/// Asks what kferry's user may do with the cluster as a whole. Only the versions 8 to 10 say (brokers from 2.3 on).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterRights;

/// A broker's answer to [`ClusterRights`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterRightsAnswer {
    /// Whether the user may describe the cluster: without that right brokers leave groups out of their lists in silence.
    /// A broker that does not say counts as a yes.
    pub describe: bool,
}

/// The number of the operation DESCRIBE among the rights.
const DESCRIBE: i32 = 8;
/// What stands where a broker does not say.
const OMITTED: i32 = i32::MIN;

impl Request for ClusterRights {
    const API: ApiKey = ApiKey::Metadata;
    const VERSIONS: VersionRange = VersionRange { min: 8, max: 10 };
    type Answer = ClusterRightsAnswer;

    fn encode(&self, version: i16) -> Result<Rope, WireError> {
        let request = MetadataRequest::default()
            .with_topics(Some(Vec::new()))
            .with_allow_auto_topic_creation(false)
            .with_include_cluster_authorized_operations(true);
        write(&request, version)
    }

    fn decode(version: i16, body: Bytes) -> Result<ClusterRightsAnswer, WireError> {
        let mut reader = super::reader::<Self>(version, &body);
        reader.throttle()?;
        reader.array("brokers", broker)?;
        reader.nullable_text("cluster_id")?;
        reader.i32("controller_id")?;
        reader.array("topics", |reader| topic(version, reader))?;
        let rights = reader.i32("cluster_authorized_operations")?;
        Ok(ClusterRightsAnswer { describe: rights == OMITTED || rights & (1 << DESCRIBE) != 0 })
    }
}

fn broker(reader: &mut Reader<'_>) -> Result<MetadataBroker, WireError> {
    let id = BrokerId(reader.i32("node_id")?);
    let host = reader.text("host")?.to_owned();
    let port = reader.i32("port")?;
    let rack = owned(reader.nullable_text("rack")?);
    reader.tags()?;
    Ok(MetadataBroker { id, host, port, rack })
}

fn topic(version: i16, reader: &mut Reader<'_>) -> Result<MetadataTopic, WireError> {
    let error = reader.code()?;
    // From version 12 on the name may be null: only for topics asked for by id, which we never do.
    let name = TopicName::from(reader.text("topic name")?);
    let id = if version >= 10 { reader.topic_id()? } else { None };
    let internal = reader.bool("is_internal")?;
    let partitions = reader.array("partitions", |reader| partition(version, reader))?;
    if version >= 8 {
        reader.i32("topic_authorized_operations")?;
    }
    reader.tags()?;
    Ok(MetadataTopic { name, id, error, internal, partitions })
}

fn partition(version: i16, reader: &mut Reader<'_>) -> Result<MetadataPartition, WireError> {
    let error = reader.code()?;
    let id = PartitionId(reader.i32("partition_index")?);
    let leader = node(reader.i32("leader_id")?);
    let epoch = if version >= 7 { reader.i32("leader_epoch")? } else { -1 };
    let replicas = reader.numbers("replica_nodes", BrokerId)?;
    let in_sync = reader.numbers("isr_nodes", BrokerId)?;
    if version >= 5 {
        reader.numbers("offline_replicas", BrokerId)?;
    }
    reader.tags()?;
    let leader_epoch = (epoch >= 0).then_some(LeaderEpoch(epoch));
    Ok(MetadataPartition { id, error, leader, leader_epoch, replicas, in_sync })
}

fn node(id: i32) -> Option<BrokerId> {
    (id >= 0).then_some(BrokerId(id))
}
