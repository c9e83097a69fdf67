//! ConsumerGroupDescribe (KIP-848). 1 member types.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_describe_response::{Assignment, DescribedGroup, Member, TopicPartitions};
use kafka_protocol::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, TopicName};
use uuid::Uuid;

use crate::broker::access::Operation;
use crate::broker::call::{Call, Step, text};
use crate::broker::consumers::{Consumer, Consumers};
use crate::broker::core::Core;
use crate::broker::groups::{Kind, Place};

pub(crate) fn handle(core: &mut Core, call: &Call, request: ConsumerGroupDescribeRequest) -> Step {
    let groups = request.group_ids.into_iter().map(|id| {
        let answer = DescribedGroup::default().with_group_id(id.clone());
        match find(core, call, &id) {
            Ok(consumers) => described(core, call, answer, consumers),
            Err(code) => answer.with_error_code(code.code()),
        }
    });
    let groups = groups.collect();
    call.reply(&ConsumerGroupDescribeResponse::default().with_groups(groups))
}

fn find<'a>(core: &'a Core, call: &Call, id: &str) -> Result<&'a Consumers, ResponseError> {
    super::check_coordinator(core, call, id)?;
    if !core.access.may(Operation::DescribeGroup, id) {
        return Err(ResponseError::GroupAuthorizationFailed);
    }
    let group = core.groups.get(id).filter(|group| group.kind == Kind::Consumer);
    group.map(|group| &group.consumers).ok_or(ResponseError::GroupIdNotFound)
}

fn described(core: &Core, call: &Call, answer: DescribedGroup, consumers: &Consumers) -> DescribedGroup {
    let members = consumers.iter().map(|(id, member)| {
        let Consumer { instance, client_id, epoch, topics, target, current, .. } = member;
        Member::default()
            .with_member_id(text(id))
            .with_instance_id(instance.as_ref().map(text))
            .with_member_epoch(*epoch)
            .with_client_id(text(client_id))
            .with_client_host(text("/127.0.0.1"))
            .with_subscribed_topic_names(topics.iter().map(|name| TopicName(text(name))).collect())
            .with_assignment(assignment(core, current))
            .with_target_assignment(assignment(core, target))
            .with_member_type(if call.version >= 1 { 1 } else { -1 })
    });
    answer
        .with_group_state(text(consumers.state()))
        .with_group_epoch(consumers.epoch())
        .with_assignment_epoch(consumers.epoch())
        .with_assignor_name(text("uniform"))
        .with_members(members.collect())
}

fn assignment(core: &Core, places: &BTreeSet<Place>) -> Assignment {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (name, index) in places {
        topics.entry(name).or_default().push(*index);
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        let id = core.topics.get(name).map_or(0, |topic| topic.id);
        TopicPartitions::default()
            .with_topic_id(Uuid::from_u128(id))
            .with_topic_name(TopicName(text(name)))
            .with_partitions(partitions)
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
