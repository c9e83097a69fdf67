//! OffsetFetch. 1 from the coordinator; 2 null topics mean all, top-level error; 3 throttle time; 5 leader epochs;
//! 6 flexible; 7 require_stable; 8 several groups at once; 9 KIP-848 members.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse, TopicName};
use std::collections::BTreeMap;

use crate::broker::access::Operation;
use crate::broker::call::{Call, Step, text};
use crate::broker::core::Core;
use crate::broker::groups::{Committed, Group, Place};

/// Topic and partition numbers, as asked; `None` is all of the group's.
type Asked = Option<Vec<(String, Vec<i32>)>>;

pub(crate) fn handle(core: &mut Core, call: &Call, request: OffsetFetchRequest) -> Step {
    if call.version >= 8 {
        let stable = request.require_stable;
        let groups = request.groups.into_iter().map(|group| {
            let named = |topics: Vec<_>| topics.into_iter().map(names_many).collect();
            let (topics, code) = fetch(core, call, &group.group_id, group.topics.map(named), stable);
            OffsetFetchResponseGroup::default().with_group_id(group.group_id).with_topics(topics).with_error_code(code)
        });
        return call.reply(&OffsetFetchResponse::default().with_groups(groups.collect()));
    }
    let named = |topics: Vec<_>| topics.into_iter().map(names_one).collect();
    let asked = request.topics.map(named);
    if asked.is_none() && call.version < 2 {
        return Step::Close;
    }
    let (topics, code) = fetch(core, call, &request.group_id, asked, request.require_stable);
    let topics = topics.into_iter().map(|topic| single(topic, if call.version < 2 { code } else { 0 }));
    call.reply(&OffsetFetchResponse::default().with_topics(topics.collect()).with_error_code(code))
}

fn names_one(topic: kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic) -> (String, Vec<i32>) {
    (topic.name.to_string(), topic.partition_indexes)
}

fn names_many(topic: kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopics) -> (String, Vec<i32>) {
    (topic.name.to_string(), topic.partition_indexes)
}

/// The answer of the versions that know one group only; `code` is each partition's where there is none for the group.
fn single(topic: OffsetFetchResponseTopics, code: i16) -> OffsetFetchResponseTopic {
    let partitions = topic.partitions.into_iter().map(|partition| {
        OffsetFetchResponsePartition::default()
            .with_partition_index(partition.partition_index)
            .with_committed_offset(partition.committed_offset)
            .with_committed_leader_epoch(partition.committed_leader_epoch)
            .with_metadata(partition.metadata)
            .with_error_code(if code == 0 { partition.error_code } else { code })
    });
    OffsetFetchResponseTopic::default().with_name(topic.name).with_partitions(partitions.collect())
}

fn fetch(core: &Core, call: &Call, group: &str, asked: Asked, stable: bool) -> (Vec<OffsetFetchResponseTopics>, i16) {
    let refused = super::check_coordinator(core, call, group).err().or_else(|| {
        (!core.access.may(Operation::DescribeGroup, group)).then_some(ResponseError::GroupAuthorizationFailed)
    });
    if let Some(code) = refused {
        // Version 1 has no place for the code but the partitions.
        let empty = if call.version < 2 { describe(core, group, asked.unwrap_or_default(), false) } else { Vec::new() };
        return (empty, code.code());
    }
    match asked {
        Some(asked) => (describe(core, group, asked, stable), 0),
        None => (all(core, group, stable), 0),
    }
}

/// Every partition that the group has an offset for, decided or not.
fn all(core: &Core, group: &str, stable: bool) -> Vec<OffsetFetchResponseTopics> {
    let Some(known) = core.groups.get(group) else { return Vec::new() };
    let pending = known.pending.values().flat_map(BTreeMap::keys).map(|place| (place, None));
    let decided = known.offsets.iter().map(|(place, committed)| (place, Some(committed)));
    let places: BTreeMap<&Place, Option<&Committed>> = pending.chain(decided).collect();
    let places: Vec<_> = places.into_iter().collect();
    let topics = places.chunk_by(|((a, _), _), ((b, _), _)| a == b).filter_map(|places| {
        let ((topic, _), _) = places.first()?;
        let told = places.iter().map(|&(place, committed)| told(place.1, unstable(known, place, stable), committed));
        core.access.may(Operation::DescribeTopic, topic).then(|| named(topic.clone(), told.collect()))
    });
    topics.collect()
}

fn describe(core: &Core, group: &str, asked: Vec<(String, Vec<i32>)>, stable: bool) -> Vec<OffsetFetchResponseTopics> {
    let known = core.groups.get(group);
    let topics = asked.into_iter().map(|(topic, partitions)| {
        let visible = core.access.may(Operation::DescribeTopic, &topic);
        let partitions = partitions.into_iter().map(|index| {
            let place = (topic.clone(), index);
            let code = match known {
                _ if !visible => ResponseError::TopicAuthorizationFailed.code(),
                Some(known) => unstable(known, &place, stable),
                None => 0,
            };
            told(index, code, known.and_then(|known| known.offsets.get(&place)))
        });
        let partitions = partitions.collect();
        named(topic, partitions)
    });
    topics.collect()
}

/// The code of a partition whose next offset is not decided, where the client wants to know.
fn unstable(known: &Group, place: &Place, stable: bool) -> i16 {
    if stable && known.is_unstable(place) { ResponseError::UnstableOffsetCommit.code() } else { 0 }
}

fn told(index: i32, code: i16, committed: Option<&Committed>) -> OffsetFetchResponsePartitions {
    let committed = committed.filter(|_| code == 0);
    OffsetFetchResponsePartitions::default()
        .with_partition_index(index)
        .with_error_code(code)
        .with_committed_offset(committed.map_or(-1, |committed| committed.offset))
        .with_committed_leader_epoch(committed.map_or(-1, |committed| committed.leader_epoch))
        .with_metadata(Some(text(committed.map_or("", |committed| &committed.metadata))))
}

fn named(topic: String, partitions: Vec<OffsetFetchResponsePartitions>) -> OffsetFetchResponseTopics {
    OffsetFetchResponseTopics::default().with_name(TopicName(text(topic))).with_partitions(partitions)
}
