//! ConsumerGroupDescribe (KIP-848) and StreamsGroupDescribe (KIP-1071): groups whose members the broker itself assigns.
//!
//! Both answer GROUP_ID_NOT_FOUND for a group of another protocol. What a member reads is stepped over: kferry wants to
//! know who is active.

use super::{DescribeGroupsAnswer, DescribedGroup, Member, owned, string, write};
use crate::kafka::GroupId;
use crate::wire::{ApiKey, Reader, Request, Rope, WireError};
use bytes::Bytes;
use kafka_protocol::messages::ConsumerGroupDescribeRequest;

/// Asks a coordinator about groups of the consumer protocol.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerGroupDescribe {
    /// The groups.
    pub groups: Vec<GroupId>,
}

/// Asks a coordinator about groups of the streams protocol.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamsGroupDescribe {
    /// The groups.
    pub groups: Vec<GroupId>,
}

type Read<T> = Result<T, WireError>;

impl Request for ConsumerGroupDescribe {
    const API: ApiKey = ApiKey::ConsumerGroupDescribe;
    type Answer = DescribeGroupsAnswer;

    fn encode(&self, version: i16) -> Read<Rope> {
        ask(&self.groups, version)
    }

    fn decode(version: i16, body: Bytes) -> Read<DescribeGroupsAnswer> {
        let mut reader = super::reader::<Self>(version, &body);
        reader.throttle()?;
        let groups = reader.array("groups", |reader| {
            group(reader, "consumer", |reader| reader.text("assignor_name").map(drop), consumer_member)
        })?;
        Ok(DescribeGroupsAnswer { groups })
    }
}

impl Request for StreamsGroupDescribe {
    const API: ApiKey = ApiKey::StreamsGroupDescribe;
    type Answer = DescribeGroupsAnswer;

    fn encode(&self, version: i16) -> Read<Rope> {
        ask(&self.groups, version)
    }

    fn decode(version: i16, body: Bytes) -> Read<DescribeGroupsAnswer> {
        let mut reader = super::reader::<Self>(version, &body);
        reader.throttle()?;
        let groups = reader.array("groups", |reader| group(reader, "streams", topology, streams_member))?;
        Ok(DescribeGroupsAnswer { groups })
    }
}

/// Both requests have the same fields.
fn ask(groups: &[GroupId], version: i16) -> Read<Rope> {
    let groups = groups.iter().map(|group| string(group.as_str()).into()).collect();
    write(&ConsumerGroupDescribeRequest::default().with_group_ids(groups), version)
}

fn group(
    reader: &mut Reader<'_>,
    protocol_type: &str,
    between: impl Fn(&mut Reader<'_>) -> Read<()>,
    member: impl Fn(&mut Reader<'_>) -> Read<Member>,
) -> Read<DescribedGroup> {
    let error = reader.code()?;
    let message = owned(reader.nullable_text("error_message")?);
    let id = GroupId::from(reader.text("group_id")?);
    let state = reader.text("group_state")?.to_owned();
    reader.i32("group_epoch")?;
    reader.i32("assignment_epoch")?;
    between(reader)?;
    let members = reader.array("members", member)?;
    reader.i32("authorized_operations")?;
    reader.tags()?;
    Ok(DescribedGroup { id, error, message, state, protocol_type: protocol_type.to_owned(), members })
}

fn consumer_member(reader: &mut Reader<'_>) -> Read<Member> {
    let id = reader.text("member_id")?.to_owned();
    reader.nullable_text("instance_id")?;
    reader.nullable_text("rack_id")?;
    reader.i32("member_epoch")?;
    let client_id = reader.text("client_id")?.to_owned();
    let host = reader.text("client_host")?.to_owned();
    reader.array("subscribed_topic_names", |reader| reader.text("topic").map(drop))?;
    reader.nullable_text("subscribed_topic_regex")?;
    for what in ["assignment", "target_assignment"] {
        reader.array(what, |reader| {
            reader.topic_id()?;
            reader.text("topic")?;
            reader.numbers("partitions", drop)?;
            reader.tags()
        })?;
        reader.tags()?;
    }
    reader.tags()?;
    Ok(Member { id, client_id, host, metadata: Bytes::new() })
}

fn streams_member(reader: &mut Reader<'_>) -> Read<Member> {
    let id = reader.text("member_id")?.to_owned();
    reader.i32("member_epoch")?;
    reader.nullable_text("instance_id")?;
    reader.nullable_text("rack_id")?;
    let client_id = reader.text("client_id")?.to_owned();
    let host = reader.text("client_host")?.to_owned();
    reader.i32("topology_epoch")?;
    reader.text("process_id")?;
    if reader.present("user_endpoint")? {
        reader.text("host")?;
        reader.i16("port")?;
        reader.tags()?;
    }
    key_values(reader, "client_tags")?;
    for what in ["task_offsets", "task_end_offsets"] {
        reader.array(what, |reader| {
            reader.text("subtopology_id")?;
            reader.i32("partition")?;
            reader.i64("offset")?;
            reader.tags()
        })?;
    }
    for _assignment in ["current", "target"] {
        for what in ["active_tasks", "standby_tasks", "warmup_tasks"] {
            reader.array(what, |reader| {
                reader.text("subtopology_id")?;
                reader.numbers("partitions", drop)?;
                reader.tags()
            })?;
        }
        reader.tags()?;
    }
    reader.bool("is_classic")?;
    reader.tags()?;
    Ok(Member { id, client_id, host, metadata: Bytes::new() })
}

fn topology(reader: &mut Reader<'_>) -> Read<()> {
    if !reader.present("topology")? {
        return Ok(());
    }
    reader.i32("topology epoch")?;
    reader.array("subtopologies", |reader| {
        reader.text("subtopology_id")?;
        for what in ["source_topics", "repartition_sink_topics"] {
            reader.array(what, |reader| reader.text("topic").map(drop))?;
        }
        for what in ["state_changelog_topics", "repartition_source_topics"] {
            reader.array(what, |reader| {
                reader.text("topic")?;
                reader.i32("partitions")?;
                reader.i16("replication_factor")?;
                key_values(reader, "topic_configs")?;
                reader.tags()
            })?;
        }
        reader.tags()
    })?;
    reader.tags()
}

fn key_values(reader: &mut Reader<'_>, what: &'static str) -> Read<()> {
    let pairs: Vec<()> = reader.array(what, |reader| {
        reader.text("key")?;
        reader.text("value")?;
        reader.tags()
    })?;
    drop(pairs);
    Ok(())
}
