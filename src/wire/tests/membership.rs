use super::{answer, as_read_by_a_broker, text, versions};
use crate::kafka::{ErrorCode, GroupId, Offset, TopicPartition};
use crate::wire::messages::*;
use bytes::Bytes;
use kafka_protocol::messages as kafka;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use std::time::Duration;

fn member() -> MemberOf {
    MemberOf { id: "m-1".to_owned(), generation: 7 }
}

fn commit(topic: &str, partition: i32, offset: i64) -> CommitOffset {
    CommitOffset { at: TopicPartition::new(topic, partition), offset: Offset(offset), metadata: "note".to_owned() }
}

#[test]
fn offsets_are_committed_in_every_version_by_a_member_or_by_none() {
    let offsets = vec![commit("a", 0, 5), commit("a", 4, 6), commit("b", 1, 7)];
    for version in versions::<OffsetCommit>() {
        for (by, expected) in [(Some(member()), ("m-1", 7)), (None, ("", -1))] {
            let request = OffsetCommit { group: GroupId::from("g"), member: by, offsets: offsets.clone() };
            let read: kafka::OffsetCommitRequest = as_read_by_a_broker(&request, version);
            assert_eq!((read.member_id.as_str(), read.generation_id_or_member_epoch), expected);
            assert_eq!((read.group_id.as_str(), read.retention_time_ms), ("g", -1));
            let stored = read.topics.iter().flat_map(|topic| {
                let name = topic.name.as_str();
                topic.partitions.iter().map(move |it| {
                    let metadata = it.committed_metadata.as_deref();
                    (name, it.partition_index, it.committed_offset, it.committed_leader_epoch, metadata)
                })
            });
            let expected = [("a", 0, 5), ("a", 4, 6), ("b", 1, 7)].map(|(t, p, o)| (t, p, o, -1, Some("note")));
            assert_eq!(stored.collect::<Vec<_>>(), expected);
        }
    }
}

#[test]
fn each_partition_s_answer_to_a_commit_is_read_in_every_version() {
    for version in versions::<OffsetCommit>() {
        let partition =
            |index, code| OffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(code);
        let topic = OffsetCommitResponseTopic::default()
            .with_name(text("a").into())
            .with_partitions(vec![partition(0, 0), partition(4, 12)]);
        let read = answer::<OffsetCommit>(&kafka::OffsetCommitResponse::default().with_topics(vec![topic]), version);
        let [first, second] = [(0, ErrorCode::NONE), (4, ErrorCode::OFFSET_METADATA_TOO_LARGE)]
            .map(|(partition, code)| (TopicPartition::new("a", partition), code));
        assert_eq!(read.partitions, [first, second]);
    }
}

#[test]
fn a_group_is_joined_in_every_version() {
    let request = JoinGroup {
        group: GroupId::from("g"),
        member: "m-1".to_owned(),
        protocol: "kferry".to_owned(),
        metadata: Bytes::from_static(b"{}"),
        session: Duration::from_secs(10),
        rebalance: Duration::from_secs(20),
    };
    for version in versions::<JoinGroup>() {
        let read: kafka::JoinGroupRequest = as_read_by_a_broker(&request, version);
        assert_eq!((read.group_id.as_str(), read.member_id.as_str()), ("g", "m-1"));
        assert_eq!((read.session_timeout_ms, read.rebalance_timeout_ms), (10_000, 20_000));
        assert_eq!((read.protocol_type.as_str(), read.protocols[0].name.as_str()), ("kferry", "kferry"));
        assert_eq!(read.protocols[0].metadata, "{}");
        let other = JoinGroupResponseMember::default()
            .with_member_id(text("m-2"))
            .with_metadata(Bytes::from_static(b"{\"pid\":1}"));
        let response = kafka::JoinGroupResponse::default()
            .with_error_code(79)
            .with_generation_id(3)
            .with_protocol_name(Some(text("kferry")))
            .with_leader(text("m-2"))
            .with_member_id(text("m-1"))
            .with_members(vec![other]);
        let read = answer::<JoinGroup>(&response, version);
        assert_eq!((read.error, read.generation), (ErrorCode::MEMBER_ID_REQUIRED, 3));
        assert_eq!((read.leader.as_str(), read.member.as_str()), ("m-2", "m-1"));
        assert_eq!(read.members, [("m-2".to_owned(), Bytes::from_static(b"{\"pid\":1}"))]);
    }
}

#[test]
fn a_member_syncs_beats_and_leaves_in_every_version() {
    let group = GroupId::from("g");
    let sync = SyncGroup { group: group.clone(), member: member(), assigned: vec!["m-1".to_owned()] };
    for version in versions::<SyncGroup>() {
        let read: kafka::SyncGroupRequest = as_read_by_a_broker(&sync, version);
        assert_eq!((read.group_id.as_str(), read.member_id.as_str(), read.generation_id), ("g", "m-1", 7));
        assert_eq!(read.assignments[0].member_id.as_str(), "m-1");
        let response =
            kafka::SyncGroupResponse::default().with_error_code(27).with_assignment(Bytes::from_static(b"x"));
        assert_eq!(answer::<SyncGroup>(&response, version).error, ErrorCode::REBALANCE_IN_PROGRESS);
    }
    let beat = Heartbeat { group: group.clone(), member: member() };
    for version in versions::<Heartbeat>() {
        let read: kafka::HeartbeatRequest = as_read_by_a_broker(&beat, version);
        assert_eq!((read.group_id.as_str(), read.member_id.as_str(), read.generation_id), ("g", "m-1", 7));
        let response = kafka::HeartbeatResponse::default().with_error_code(22);
        assert_eq!(answer::<Heartbeat>(&response, version).error, ErrorCode::ILLEGAL_GENERATION);
    }
    let leave = LeaveGroup { group, member: "m-1".to_owned() };
    for version in versions::<LeaveGroup>() {
        let read: kafka::LeaveGroupRequest = as_read_by_a_broker(&leave, version);
        assert_eq!((read.group_id.as_str(), read.member_id.as_str()), ("g", "m-1"));
        let response = kafka::LeaveGroupResponse::default().with_error_code(25);
        assert_eq!(answer::<LeaveGroup>(&response, version).error, ErrorCode::UNKNOWN_MEMBER_ID);
    }
}
