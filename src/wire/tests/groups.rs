use super::{answer, as_read_by_a_broker, text, unwritable, versions};
use crate::kafka::{BrokerId, ErrorCode, GroupId, LeaderEpoch, Offset, TopicPartition};
use crate::wire::Request;
use crate::wire::messages::*;
use bytes::{BufMut, Bytes};
use kafka_protocol::messages as kafka;
use kafka_protocol::messages::consumer_group_describe_response as consumer;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup as Classic, DescribedGroupMember};
use kafka_protocol::messages::find_coordinator_response::Coordinator as Found;
use kafka_protocol::messages::list_groups_response::ListedGroup as Listed;
use kafka_protocol::messages::offset_fetch_response as fetched;

fn ids(names: &[&str]) -> Vec<GroupId> {
    names.iter().map(|name| GroupId::from(*name)).collect()
}

#[test]
fn groups_are_listed_in_every_version() {
    for version in versions::<ListGroups>() {
        let mut group = Listed::default().with_group_id(text("g").into()).with_protocol_type(text("consumer"));
        if version >= 4 {
            group = group.with_group_state(text("Stable"));
        }
        if version >= 5 {
            group = group.with_group_type(text("classic"));
        }
        let read = answer::<ListGroups>(&kafka::ListGroupsResponse::default().with_groups(vec![group]), version);
        let expected = ListedGroup {
            id: GroupId::from("g"),
            protocol_type: "consumer".to_owned(),
            state: (version >= 4).then(|| "Stable".to_owned()),
            kind: (version >= 5).then(|| "classic".to_owned()),
        };
        assert_eq!((read.error, read.groups), (ErrorCode::NONE, vec![expected]));
        let _: kafka::ListGroupsRequest = as_read_by_a_broker(&ListGroups, version);
    }
}

#[test]
fn classic_groups_are_described_in_every_version() {
    let request = DescribeGroups { groups: ids(&["g", "h"]) };
    for version in versions::<DescribeGroups>() {
        let read: kafka::DescribeGroupsRequest = as_read_by_a_broker(&request, version);
        assert_eq!(read.groups.len(), 2);
        let mut member = DescribedGroupMember::default()
            .with_member_id(text("m-1"))
            .with_client_id(text("app"))
            .with_client_host(text("/10.0.0.7"))
            .with_member_metadata(Bytes::from_static(b"host=a"));
        if version >= 4 {
            member = member.with_group_instance_id(Some(text("static")));
        }
        let group = Classic::default()
            .with_group_id(text("g").into())
            .with_group_state(text("Stable"))
            .with_protocol_type(text("kferry"))
            .with_members(vec![member]);
        let read =
            answer::<DescribeGroups>(&kafka::DescribeGroupsResponse::default().with_groups(vec![group]), version);
        let [group] = read.groups.as_slice() else { panic!("one group") };
        assert_eq!((group.id.as_str(), group.state.as_str(), group.protocol_type.as_str()), ("g", "Stable", "kferry"));
        let member = Member {
            id: "m-1".to_owned(),
            client_id: "app".to_owned(),
            host: "/10.0.0.7".to_owned(),
            metadata: Bytes::from_static(b"host=a"),
        };
        assert_eq!(group.members, [member]);
    }
}

#[test]
fn consumer_groups_are_described() {
    let request = ConsumerGroupDescribe { groups: ids(&["g"]) };
    let read: kafka::ConsumerGroupDescribeRequest = as_read_by_a_broker(&request, 0);
    assert_eq!(read.group_ids.len(), 1);
    let topics = consumer::TopicPartitions::default().with_topic_name(text("t").into()).with_partitions(vec![0, 1]);
    let assignment = consumer::Assignment::default().with_topic_partitions(vec![topics]);
    let member = consumer::Member::default()
        .with_member_id(text("m-1"))
        .with_client_id(text("app"))
        .with_client_host(text("/10.0.0.7"))
        .with_subscribed_topic_names(vec![text("t").into()])
        .with_assignment(assignment.clone())
        .with_target_assignment(assignment);
    let group = consumer::DescribedGroup::default()
        .with_group_id(text("g").into())
        .with_group_state(text("Stable"))
        .with_assignor_name(text("uniform"))
        .with_members(vec![member.clone(), member]);
    let absent = consumer::DescribedGroup::default().with_group_id(text("h").into()).with_error_code(69);
    let response = kafka::ConsumerGroupDescribeResponse::default().with_groups(vec![group, absent]);
    let read = answer::<ConsumerGroupDescribe>(&response, 0);
    let [group, absent] = read.groups.as_slice() else { panic!("two groups") };
    assert_eq!((group.state.as_str(), group.members.len()), ("Stable", 2));
    assert_eq!((group.members[1].client_id.as_str(), group.members[1].host.as_str()), ("app", "/10.0.0.7"));
    assert_eq!(absent.error, ErrorCode::GROUP_ID_NOT_FOUND);
}

/// No library knows this message yet: the bytes follow the schema of Apache Kafka 4.1.
fn streams_group() -> Vec<u8> {
    let mut out = Vec::new();
    let text = |out: &mut Vec<u8>, text: &str| {
        out.put_u8(u8::try_from(text.len() + 1).expect("short"));
        out.put_slice(text.as_bytes());
    };
    out.put_i32(0); // throttle_time_ms
    out.put_u8(2); // one group
    out.put_i16(0);
    out.put_u8(0); // no message
    text(&mut out, "g");
    text(&mut out, "Stable");
    out.put_slice(&[0, 0, 0, 1, 0, 0, 0, 1]); // epochs
    out.put_i8(1); // a topology
    out.put_i32(1);
    out.put_u8(2); // one subtopology
    text(&mut out, "0");
    out.put_u8(2);
    text(&mut out, "in");
    out.put_u8(1); // no sink topics
    out.put_u8(2); // one changelog
    text(&mut out, "log");
    out.put_slice(&[0, 0, 0, 0, 0, 3, 2]); // partitions, replication factor, one config
    text(&mut out, "k");
    text(&mut out, "v");
    out.put_slice(&[0, 0]); // tags of config and changelog
    out.put_slice(&[1, 0, 0]); // no repartition topics, tags of subtopology and topology
    out.put_u8(2); // one member
    text(&mut out, "m-1");
    out.put_slice(&[0, 0, 0, 1, 0, 0]); // epoch, no instance, no rack
    text(&mut out, "app");
    text(&mut out, "/10.0.0.7");
    out.put_i32(1);
    text(&mut out, "process");
    out.put_i8(1); // an endpoint
    text(&mut out, "host");
    out.put_slice(&[0x23, 0x84, 0]);
    out.put_slice(&[1, 1, 1]); // no client tags, no offsets
    out.put_u8(2); // one active task
    text(&mut out, "0");
    out.put_slice(&[2, 0, 0, 0, 5, 0]); // partition 5
    out.put_slice(&[1, 1, 0]); // no standby, no warm-up tasks
    out.put_slice(&[1, 1, 1, 0]); // the target assignment
    out.put_slice(&[0, 0]); // not classic
    out.put_i32(i32::MIN);
    out.put_slice(&[0, 0]);
    out
}

#[test]
fn streams_groups_are_described() {
    let read = StreamsGroupDescribe::decode(0, Bytes::from(streams_group())).expect("it can be read");
    let [group] = read.groups.as_slice() else { panic!("one group") };
    assert_eq!((group.id.as_str(), group.state.as_str(), group.protocol_type.as_str()), ("g", "Stable", "streams"));
    assert_eq!((group.members[0].id.as_str(), group.members[0].client_id.as_str()), ("m-1", "app"));
}

#[test]
fn coordinators_are_found_one_by_one_or_together() {
    let one = FindCoordinator { groups: ids(&["g"]) };
    for version in 0..=3 {
        let read: kafka::FindCoordinatorRequest = as_read_by_a_broker(&one, version);
        assert_eq!((read.key.as_str(), read.key_type), ("g", 0));
        let mut response =
            kafka::FindCoordinatorResponse::default().with_node_id(3.into()).with_host(text("kafka-3")).with_port(9092);
        if version >= 1 {
            response = response.with_error_message(Some(text("fine")));
        }
        let read = answer::<FindCoordinator>(&response, version);
        let [found] = read.coordinators.as_slice() else { panic!("one coordinator") };
        assert_eq!((found.group.as_ref(), found.broker, found.host.as_str()), (None, BrokerId(3), "kafka-3"));
    }
    let two = FindCoordinator { groups: ids(&["g", "h"]) };
    assert_eq!(unwritable(&two, 3), "the request can't be written: version 3 asks for one group at a time");
    let read: kafka::FindCoordinatorRequest = as_read_by_a_broker(&two, 4);
    assert_eq!(read.coordinator_keys.len(), 2);
    let found = Found::default().with_key(text("h")).with_node_id(4.into()).with_host(text("kafka-4")).with_port(1);
    let lost = Found::default().with_key(text("g")).with_error_code(15).with_error_message(Some(text("wait")));
    let response = kafka::FindCoordinatorResponse::default().with_coordinators(vec![found, lost]);
    let read = answer::<FindCoordinator>(&response, 4);
    assert_eq!(read.coordinators[0].group, Some(GroupId::from("h")));
    assert_eq!(read.coordinators[1].error, ErrorCode::COORDINATOR_NOT_AVAILABLE);
    assert_eq!(read.coordinators[1].message.as_deref(), Some("wait"));
}

#[test]
fn all_commits_of_a_group_are_asked_for() {
    let ask = |names: &[&str]| OffsetFetch { groups: ids(names), partitions: None, require_stable: true };
    let one = ask(&["g"]);
    for version in 2..=7 {
        let read: kafka::OffsetFetchRequest = as_read_by_a_broker(&one, version);
        assert_eq!((read.group_id.as_str(), read.topics), ("g", None));
        assert_eq!(read.require_stable, version >= 7);
    }
    let two = ask(&["g", "h"]);
    assert_eq!(unwritable(&two, 7), "the request can't be written: version 7 asks for one group at a time");
    let read: kafka::OffsetFetchRequest = as_read_by_a_broker(&two, 8);
    assert!(read.require_stable && read.groups.iter().all(|group| group.topics.is_none()));
}

#[test]
fn partitions_are_named_where_brokers_must_be_told() {
    let named = ["a", "a", "b"].iter().zip([0, 4, 1]).map(|(topic, number)| TopicPartition::new(*topic, number));
    let partitions = Some(named.collect());
    let ask = OffsetFetch { groups: ids(&["g"]), partitions, require_stable: false };
    let read: kafka::OffsetFetchRequest = as_read_by_a_broker(&ask, 1);
    let topics = read.topics.expect("topics");
    let named: Vec<_> = topics.iter().map(|topic| (topic.name.as_str(), topic.partition_indexes.as_slice())).collect();
    assert_eq!(named, [("a", &[0, 4][..]), ("b", &[1][..])]);
    let all = OffsetFetch { partitions: None, ..ask };
    let refused =
        "the request can't be written: version 1 must name partitions; brokers from 0.10.2 on need not be told";
    assert_eq!(unwritable(&all, 1), refused);
}

#[test]
fn the_commits_of_an_answer_share_the_names_of_their_topics() {
    let group = |id: &'static str| {
        let partition = fetched::OffsetFetchResponsePartitions::default();
        let topic = fetched::OffsetFetchResponseTopics::default().with_name(text("t").into());
        let topics = vec![topic.with_partitions(vec![partition.clone(), partition])];
        fetched::OffsetFetchResponseGroup::default().with_group_id(text(id).into()).with_topics(topics)
    };
    let response = kafka::OffsetFetchResponse::default().with_groups(vec![group("a"), group("b")]);
    let read = answer::<OffsetFetch>(&response, 8);
    let names = read.groups.iter().flat_map(|group| &group.offsets).map(|commit| commit.at.topic.as_str());
    let places: Vec<*const u8> = names.map(str::as_ptr).collect();
    assert_eq!(places, [places[0]; 4]);
}

#[test]
fn commits_are_read_in_every_version() {
    for version in versions::<OffsetFetch>() {
        let partition = |index| {
            let epoch = if version >= 5 { 9 } else { -1 };
            (index, 3_713_i64, epoch, Some(text("note")))
        };
        let response = if version >= 8 {
            let (index, offset, epoch, note) = partition(7);
            let partition = fetched::OffsetFetchResponsePartitions::default()
                .with_partition_index(index)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(epoch)
                .with_metadata(note);
            let topic = fetched::OffsetFetchResponseTopics::default().with_name(text("t").into());
            let group = fetched::OffsetFetchResponseGroup::default()
                .with_group_id(text("g").into())
                .with_topics(vec![topic.with_partitions(vec![partition])]);
            kafka::OffsetFetchResponse::default().with_groups(vec![group])
        } else {
            let (index, offset, epoch, note) = partition(7);
            let partition = fetched::OffsetFetchResponsePartition::default()
                .with_partition_index(index)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(epoch)
                .with_metadata(note);
            let topic = fetched::OffsetFetchResponseTopic::default().with_name(text("t").into());
            kafka::OffsetFetchResponse::default().with_topics(vec![topic.with_partitions(vec![partition])])
        };
        let read = answer::<OffsetFetch>(&response, version);
        let [group] = read.groups.as_slice() else { panic!("one group") };
        assert_eq!(group.group, (version >= 8).then(|| GroupId::from("g")));
        let commit = CommittedOffset {
            at: TopicPartition::new("t", 7),
            error: ErrorCode::NONE,
            offset: Offset(3_713),
            leader_epoch: (version >= 5).then_some(LeaderEpoch(9)),
            metadata: Some("note".to_owned()),
        };
        assert_eq!((group.error, group.offsets.as_slice()), (ErrorCode::NONE, &[commit][..]));
    }
}
