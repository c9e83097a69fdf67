//! ConsumerGroupHeartbeat (KIP-848): joining, leaving and following in one. 1 the member makes its own id; patterns.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use uuid::Uuid;

use crate::broker::access::Operation;
use crate::broker::call::{Call, Step, text};
use crate::broker::consumers::{Beat, Told};
use crate::broker::core::Core;
use crate::broker::groups::{Kind, Place};

/// group.consumer.heartbeat.interval.ms.
const INTERVAL_MS: i32 = 5_000;

pub(crate) fn handle(core: &mut Core, call: &Call, request: ConsumerGroupHeartbeatRequest) -> Step {
    let mut id = request.member_id.to_string();
    if id.is_empty() {
        id = core.groups.new_member_id(&call.client_id);
    }
    let answer = ConsumerGroupHeartbeatResponse::default().with_heartbeat_interval_ms(INTERVAL_MS);
    call.reply(&match beat(core, call, &id, request) {
        Ok((epoch, given)) => answer
            .with_member_id(Some(text(id)))
            .with_member_epoch(epoch)
            .with_assignment(given.map(|places| assignment(core, &places))),
        Err(code) => answer.with_error_code(code.code()),
    })
}

fn beat(core: &mut Core, call: &Call, id: &str, request: ConsumerGroupHeartbeatRequest) -> Result<Told, ResponseError> {
    let name = request.group_id.to_string();
    super::offsets_topic(core);
    super::check_coordinator(core, call, &name)?;
    if !core.access.may(Operation::ReadGroup, &name) {
        return Err(ResponseError::GroupAuthorizationFailed);
    }
    let partitions: BTreeMap<String, i32> =
        core.topics.iter().map(|(name, topic)| (name.clone(), topic.partitions.len() as i32)).collect();
    let owned = request.topic_partitions.map(|topics| {
        let places = topics.iter().filter_map(|topic| {
            let name = core.topic_named(topic.topic_id.as_u128())?;
            Some(topic.partitions.iter().map(|index| (name.to_owned(), *index)))
        });
        places.flatten().collect::<BTreeSet<Place>>()
    });
    let now = core.now;
    let group = core.groups.entry(&name);
    if !group.members.is_empty() {
        return Err(ResponseError::GroupIdNotFound);
    }
    group.kind = Kind::Consumer;
    if request.member_epoch < 0 {
        return group.consumers.leave(id, &partitions).map(|()| (request.member_epoch, None));
    }
    let topics = request.subscribed_topic_names;
    let beat = Beat {
        epoch: request.member_epoch,
        instance: request.instance_id.map(|id| id.to_string()),
        client_id: call.client_id.clone(),
        topics: topics.map(|topics| topics.iter().map(|name| name.to_string()).collect()),
        owned,
    };
    group.consumers.beat(now, id, beat, &partitions)
}

fn assignment(core: &Core, places: &BTreeSet<Place>) -> Assignment {
    let mut topics: BTreeMap<u128, Vec<i32>> = BTreeMap::new();
    for (name, index) in places {
        if let Some(topic) = core.topics.get(name) {
            topics.entry(topic.id).or_default().push(*index);
        }
    }
    let topics = topics.into_iter().map(|(id, partitions)| {
        TopicPartitions::default().with_topic_id(Uuid::from_u128(id)).with_partitions(partitions)
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
