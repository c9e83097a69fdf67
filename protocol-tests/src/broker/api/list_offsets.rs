//! ListOffsets. 0 many offsets per partition, by segments; 1 one offset per partition; 2 isolation level; 4 leader epochs; 6 flexible; 7 the largest timestamp (-3);
//! 8, 9 tiered storage (-4, -5); 10 time-out.
//!
//! Replica id -2, the debugging client, sees the log end instead of the high watermark, on any replica.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use crate::broker::access::Operation;
use crate::broker::call::{Call, Step};
use crate::broker::core::Core;
use crate::broker::version::Version;

use super::fetch::{old_string, put_old_string};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const DEBUGGING: i32 = -2;

pub(crate) fn handle(core: &mut Core, call: &Call, request: ListOffsetsRequest) -> Step {
    let asker = Asker { debugging: request.replica_id.0 == DEBUGGING, committed_only: request.isolation_level == 1 };
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let answer = ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
            match find(core, call, &asker, topic.name.as_str(), asked) {
                Ok((timestamp, offset, epoch)) => {
                    let epoch = if call.version >= 4 { epoch } else { -1 };
                    answer.with_timestamp(timestamp).with_offset(offset).with_leader_epoch(epoch)
                }
                Err(code) => answer.with_error_code(code.code()).with_timestamp(-1).with_offset(-1),
            }
        });
        let partitions = partitions.collect();
        ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    call.reply(&ListOffsetsResponse::default().with_topics(topics.collect()))
}

/// Version 0, which kafka-protocol doesn't know.
pub(crate) fn handle_first(core: &mut Core, call: &Call, mut body: Bytes) -> Step {
    match first(core, call, &mut body) {
        Ok(answer) if core.version == Version::V0_10 => call.reply_by_hand(&answer),
        _ => Step::Close,
    }
}

/// A time finds the segments that were written before it; there is one segment, and it was written just now.
fn first(core: &Core, call: &Call, body: &mut Bytes) -> Result<BytesMut, bytes::TryGetError> {
    let asker = Asker { debugging: body.try_get_i32()? == DEBUGGING, committed_only: false };
    let mut out = BytesMut::new();
    let topics = body.try_get_i32()?;
    out.put_i32(topics);
    for _ in 0..topics {
        let topic = old_string(body)?;
        let partitions = body.try_get_i32()?;
        put_old_string(&mut out, &topic);
        out.put_i32(partitions);
        for _ in 0..partitions {
            let asked = ListOffsetsPartition::default()
                .with_partition_index(body.try_get_i32()?)
                .with_current_leader_epoch(-1)
                .with_timestamp(body.try_get_i64()?);
            let most = body.try_get_i32()?;
            let found = find(core, call, &asker, &topic, &asked);
            out.put_i32(asked.partition_index);
            out.put_i16(found.as_ref().err().map_or(0, ResponseError::code));
            match found {
                Ok((_, offset, _)) if asked.timestamp < 0 && most > 0 => {
                    out.put_i32(1);
                    out.put_i64(offset);
                }
                _ => out.put_i32(0),
            }
        }
    }
    Ok(out)
}

struct Asker {
    debugging: bool,
    committed_only: bool,
}

type Found = (i64, i64, i32);

fn find(
    core: &Core,
    call: &Call,
    asker: &Asker,
    topic: &str,
    asked: &ListOffsetsPartition,
) -> Result<Found, ResponseError> {
    if !core.access.may(Operation::DescribeTopic, topic) {
        return Err(ResponseError::TopicAuthorizationFailed);
    }
    let partition = core.partition(topic, asked.partition_index).ok_or(ResponseError::UnknownTopicOrPartition)?;
    let holds = partition.replicas.iter().any(|replica| replica.node == call.node);
    if !(asker.debugging && holds) {
        partition.check_leader(call.node, asked.current_leader_epoch)?;
    }
    let log = &partition.log;
    let end = match (asker.debugging, asker.committed_only) {
        (true, _) => log.end(),
        (false, true) => log.last_stable_offset(),
        (false, false) => log.high_watermark(),
    };
    let found = match asked.timestamp {
        LATEST => return Ok((-1, end, partition.leader_epoch)),
        EARLIEST | EARLIEST_LOCAL => return Ok((-1, log.start(), log.epoch_at(log.start()))),
        LATEST_TIERED => None,
        MAX_TIMESTAMP if call.version >= 7 => log.max_time(),
        negative if negative < 0 => return Err(ResponseError::UnsupportedVersion),
        timestamp => log.at_time(timestamp),
    };
    let found = found.filter(|(_, offset)| *offset < end);
    Ok(found.map_or((-1, -1, -1), |(timestamp, offset)| (timestamp, offset, log.epoch_at(offset))))
}
