use super::{answer, as_read_by_a_broker, as_written_by_a_broker, text, written};
use crate::kafka::{BrokerId, ErrorCode, LeaderEpoch, Offset, ProducerId, TopicPartition};
use crate::wire::Request;
use crate::wire::fetch::{AbortedTransaction, FetchPartition, FetchRequest, Isolation};
use bytes::{BufMut, Bytes};
use kafka_protocol::messages::fetch_response::{AbortedTransaction as Aborted, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{self, FetchResponse};
use std::ops::RangeInclusive;
use std::time::Duration;

/// The versions that `kafka_protocol` knows; those before are in [`a_fetch_of_an_old_broker_says_less`].
fn known_versions() -> RangeInclusive<i16> {
    4..=FetchRequest::VERSIONS.max
}

fn partition(topic: &str, number: i32) -> FetchPartition {
    FetchPartition {
        at: TopicPartition::new(topic, number),
        leader_epoch: Some(LeaderEpoch(3)),
        offset: Offset(90),
        max_bytes: 1 << 20,
    }
}

fn request(partitions: Vec<FetchPartition>) -> FetchRequest {
    FetchRequest {
        max_wait: Duration::from_millis(500),
        min_bytes: 1,
        max_bytes: 4 << 20,
        isolation: Isolation::ReadCommitted,
        rack: "az-1".to_owned(),
        partitions,
    }
}

#[test]
fn a_fetch_of_version_4_is_these_bytes() {
    let expected = [
        &[0xff, 0xff, 0xff, 0xff][..], // replica_id
        &[0, 0, 1, 0xf4],              // max_wait_ms
        &[0, 0, 0, 1],                 // min_bytes
        &[0, 0x40, 0, 0],              // max_bytes
        &[1],                          // isolation_level
        &[0, 0, 0, 1],                 // topics
        &[0, 1, b't'],                 // topic
        &[0, 0, 0, 1],                 // partitions
        &[0, 0, 0, 7],                 // partition
        &[0, 0, 0, 0, 0, 0, 0, 90],    // fetch_offset
        &[0, 0x10, 0, 0],              // partition_max_bytes
    ];
    assert_eq!(written(&request(vec![partition("t", 7)]), 4), expected.concat());
}

#[test]
fn a_fetch_of_an_old_broker_says_less() {
    let whole = written(&request(vec![partition("t", 7)]), 4);
    let (max_bytes, isolation) = (12..16, 16..17);
    let without = |gone: &[RangeInclusive<usize>]| -> Vec<u8> {
        let kept = whole.iter().enumerate().filter(|(at, _)| !gone.iter().any(|gone| gone.contains(at)));
        kept.map(|(_, byte)| *byte).collect()
    };
    let gone = |range: std::ops::Range<usize>| range.start..=range.end - 1;
    assert_eq!(written(&request(vec![partition("t", 7)]), 3), without(&[gone(isolation.clone())]));
    assert_eq!(written(&request(vec![partition("t", 7)]), 2), without(&[gone(isolation), gone(max_bytes)]));
}

#[test]
fn an_answer_of_an_old_broker_knows_no_transactions() {
    let mut body = Vec::new();
    body.put_i32(20); // throttle_time_ms
    body.put_i32(1);
    body.put_slice(&[0, 1, b't']);
    body.put_i32(1);
    body.put_i32(7);
    body.put_i16(0);
    body.put_i64(100);
    body.put_i32(3);
    body.put_slice(b"set");
    for version in 2..4 {
        let read = FetchRequest::decode(version, Bytes::from(body.clone())).expect("we can read it");
        let [data] = read.partitions.as_slice() else { panic!("one partition") };
        assert_eq!((&data.at, data.error), (&TopicPartition::new("t", 7), ErrorCode::NONE));
        assert_eq!((data.high_watermark, data.last_stable, data.log_start), (Offset(100), None, None));
        assert_eq!((&data.records[..], data.aborted.len()), (&b"set"[..], 0));
    }
}

#[test]
fn a_broker_reads_every_version_of_a_fetch_and_its_order() {
    let ours = request(vec![partition("b", 1), partition("b", 0), partition("a", 0), partition("b", 2)]);
    for version in known_versions() {
        let read: messages::FetchRequest = as_read_by_a_broker(&ours, version);
        assert_eq!((read.max_wait_ms, read.min_bytes, read.max_bytes, read.isolation_level), (500, 1, 4 << 20, 1));
        assert_eq!(read.replica_id.0, -1);
        assert_eq!((read.session_id, read.session_epoch), (0, -1), "no session");
        let order: Vec<_> = read.topics.iter().flat_map(|topic| topic.partitions.iter().map(|p| p.partition)).collect();
        assert_eq!(order, [1, 0, 0, 2]);
        let first = &read.topics[0].partitions[0];
        assert_eq!((first.fetch_offset, first.partition_max_bytes, first.log_start_offset), (90, 1 << 20, -1));
        assert_eq!(first.current_leader_epoch, if version >= 9 { 3 } else { -1 });
        assert_eq!(read.rack_id.as_str(), if version >= 11 { "az-1" } else { "" });
    }
}

fn response(version: i16, records: &Bytes) -> FetchResponse {
    let aborted = Aborted::default().with_producer_id(9.into()).with_first_offset(91);
    let mut data = PartitionData::default()
        .with_partition_index(7)
        .with_error_code(0)
        .with_high_watermark(100)
        .with_last_stable_offset(95)
        .with_aborted_transactions(Some(vec![aborted]))
        .with_records(Some(records.clone()));
    if version >= 5 {
        data = data.with_log_start_offset(5);
    }
    if version >= 11 {
        data = data.with_preferred_read_replica(2.into());
    }
    let refused = PartitionData::default()
        .with_partition_index(8)
        .with_error_code(6)
        .with_high_watermark(-1)
        .with_last_stable_offset(-1)
        .with_aborted_transactions(None)
        .with_records(None);
    let topic = FetchableTopicResponse::default().with_topic(text("t").into()).with_partitions(vec![data, refused]);
    FetchResponse::default().with_throttle_time_ms(20).with_responses(vec![topic])
}

#[test]
fn every_version_of_an_answer_is_read() {
    let records = Bytes::from_static(b"not a batch, but bytes");
    for version in known_versions() {
        let read = answer::<FetchRequest>(&response(version, &records), version);
        assert_eq!((read.throttle, read.error), (Duration::from_millis(20), ErrorCode::NONE));
        let [data, refused] = read.partitions.as_slice() else { panic!("two partitions") };
        assert_eq!((&data.at, data.error), (&TopicPartition::new("t", 7), ErrorCode::NONE));
        assert_eq!((data.high_watermark, data.last_stable), (Offset(100), Some(Offset(95))));
        assert_eq!(data.log_start, (version >= 5).then_some(Offset(5)));
        assert_eq!(data.aborted, [AbortedTransaction { producer: ProducerId(9), first_offset: Offset(91) }]);
        assert_eq!(data.preferred_replica, (version >= 11).then_some(BrokerId(2)));
        assert_eq!(data.records, records);
        assert_eq!((refused.error, refused.last_stable), (ErrorCode::NOT_LEADER_OR_FOLLOWER, None));
        assert!(refused.records.is_empty() && refused.aborted.is_empty() && refused.preferred_replica.is_none());
    }
}

#[test]
fn records_are_a_slice_of_the_frame_and_no_copy() {
    let body = as_written_by_a_broker(&response(11, &Bytes::from(vec![7; 5_000])), 11);
    let frame = body.as_ptr_range();
    let read = FetchRequest::decode(11, body.clone()).expect("we can read it");
    assert!(frame.contains(&read.partitions[0].records.as_ptr()));
}

#[test]
fn an_error_of_the_whole_request_is_told() {
    let read = answer::<FetchRequest>(&FetchResponse::default().with_error_code(71), 7);
    assert_eq!(read.error, ErrorCode::INVALID_FETCH_SESSION_EPOCH);
}
