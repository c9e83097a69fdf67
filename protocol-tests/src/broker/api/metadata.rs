//! Metadata. 0 an empty topic list means all; 1 null means all, controller, rack, internal; 2 cluster id; 5 offline
//! replicas; 7 leader epochs; 8-10 authorised operations; 10 topic ids; 12 topics by id; 13 top-level error.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use uuid::Uuid;

use crate::broker::access::Operation;
use crate::broker::call::{Call, Step, text};
use crate::broker::core::Core;
use crate::broker::topic::Topic;

pub(crate) fn handle(core: &mut Core, call: &Call, request: MetadataRequest) -> Step {
    let asked = request.topics.filter(|topics| call.version > 0 || !topics.is_empty());
    let topics = match asked {
        None => all(core),
        Some(asked) => asked
            .into_iter()
            .map(|topic| match topic.name {
                Some(name) => by_name(core, name.as_str(), request.allow_auto_topic_creation),
                None => by_id(core, topic.topic_id),
            })
            .collect(),
    };
    let up = core.nodes.iter().filter(|(_, node)| node.up);
    let brokers = up.map(|(id, node)| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(*id))
            .with_host(text(&node.host))
            .with_port(i32::from(node.port))
            .with_rack(node.rack.as_ref().map(text))
    });
    let brokers: Vec<_> = brokers.collect();
    let controller = brokers.first().map_or(BrokerId(-1), |broker| broker.node_id);
    call.reply(
        &MetadataResponse::default()
            .with_cluster_id(Some(text(&core.cluster_id)))
            .with_controller_id(controller)
            .with_brokers(brokers)
            .with_topics(topics),
    )
}

fn all(core: &Core) -> Vec<MetadataResponseTopic> {
    let visible = core.topics.iter().filter(|(name, _)| core.access.may(Operation::DescribeTopic, name));
    visible.map(|(name, topic)| describe(core, name, topic)).collect()
}

fn by_name(core: &mut Core, name: &str, create: bool) -> MetadataResponseTopic {
    let failed = |code: ResponseError| {
        let name = Some(TopicName(text(name)));
        MetadataResponseTopic::default().with_name(name).with_error_code(code.code())
    };
    if !core.access.may(Operation::DescribeTopic, name) {
        return failed(ResponseError::TopicAuthorizationFailed);
    }
    if let Some(topic) = core.topics.get(name) {
        return describe(core, name, topic);
    }
    if create && core.broker_config("auto.create.topics.enable") == "true" {
        let partitions = core.broker_config("num.partitions").parse().unwrap_or(1);
        return match core.create_topic(name, partitions, &[]) {
            Ok(()) => failed(ResponseError::LeaderNotAvailable),
            Err((code, _)) => failed(code),
        };
    }
    failed(ResponseError::UnknownTopicOrPartition)
}

fn by_id(core: &Core, id: Uuid) -> MetadataResponseTopic {
    let known = core.topics.iter().find(|(_, topic)| topic.id == id.as_u128());
    match known.filter(|(name, _)| core.access.may(Operation::DescribeTopic, name)) {
        Some((name, topic)) => describe(core, name, topic),
        None => MetadataResponseTopic::default()
            .with_name(None)
            .with_topic_id(id)
            .with_error_code(ResponseError::UnknownTopicId.code()),
    }
}

fn describe(core: &Core, name: &str, topic: &Topic) -> MetadataResponseTopic {
    let partitions = topic.partitions.iter().zip(0..).map(|(partition, index)| {
        let code = if partition.leader.is_none() { ResponseError::LeaderNotAvailable.code() } else { 0 };
        let nodes = partition.replicas.iter().map(|replica| BrokerId(replica.node));
        let offline = nodes.clone().filter(|id| core.nodes.get(&id.0).is_some_and(|node| !node.up));
        MetadataResponsePartition::default()
            .with_error_code(code)
            .with_partition_index(index)
            .with_leader_id(BrokerId(partition.leader.unwrap_or(-1)))
            .with_leader_epoch(partition.leader_epoch)
            .with_isr_nodes(partition.isr.iter().map(|id| BrokerId(*id)).collect())
            .with_offline_replicas(offline.collect())
            .with_replica_nodes(nodes.collect())
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(name))))
        .with_topic_id(Uuid::from_u128(topic.id))
        .with_is_internal(topic.internal)
        .with_partitions(partitions.collect())
}
