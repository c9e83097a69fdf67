use super::{answer, as_read_by_a_broker, text, unwritable, versions, written};
use crate::kafka::{ErrorCode, Offset, TopicPartition};
use crate::wire::produce::{ProducePartition, ProduceRequest, RecordError};
use crate::wire::{Request, Rope};
use bytes::Bytes;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{self, ProduceResponse};
use std::time::Duration;

fn partition(topic: &str, number: i32, parts: &[Bytes]) -> ProducePartition {
    let mut records = Rope::new();
    parts.iter().for_each(|part| records.push(part.clone()));
    ProducePartition { at: TopicPartition::new(topic, number), records }
}

fn request(partitions: Vec<ProducePartition>) -> ProduceRequest {
    ProduceRequest { timeout: Duration::from_secs(10), partitions }
}

#[test]
fn a_produce_is_these_bytes() {
    let ours = request(vec![partition("t", 7, &[Bytes::from_static(b"head"), Bytes::from_static(b"payload")])]);
    let expected = [
        &[0xff, 0xff][..], // transactional_id
        &[0xff, 0xff],     // acks
        &[0, 0, 0x27, 0x10],
        &[0, 0, 0, 1],
        &[0, 1, b't'],
        &[0, 0, 0, 1],
        &[0, 0, 0, 7],
        &[0, 0, 0, 11],
        b"headpayload",
    ];
    assert_eq!(written(&ours, 3), expected.concat());
}

#[test]
fn a_broker_reads_every_version_of_a_produce() {
    let part = |text: &'static [u8]| Bytes::from_static(text);
    let ours = request(vec![
        partition("a", 0, &[part(b"first")]),
        partition("a", 1, &[part(b"sec"), part(b"ond")]),
        partition("b", 0, &[part(b"third")]),
    ]);
    for version in versions::<ProduceRequest>() {
        let read: messages::ProduceRequest = as_read_by_a_broker(&ours, version);
        assert_eq!((read.acks, read.timeout_ms, read.transactional_id), (-1, 10_000, None));
        let records = |topic: usize, partition: usize| {
            let data = &read.topic_data[topic].partition_data[partition];
            (data.index, data.records.clone().unwrap_or_default())
        };
        assert_eq!(records(0, 0), (0, part(b"first")));
        assert_eq!(records(0, 1), (1, part(b"second")));
        assert_eq!(records(1, 0), (0, part(b"third")));
    }
}

#[test]
fn no_payload_byte_is_copied() {
    let payload = Bytes::from(vec![7; 100_000]);
    let rope = request(vec![partition("t", 0, std::slice::from_ref(&payload))]).encode(8).expect("it can be written");
    assert!(rope.parts().any(|part| part.as_ptr() == payload.as_ptr() && part.len() == payload.len()));
}

#[test]
fn a_partition_named_twice_is_refused() {
    let twice = request(vec![partition("t", 0, &[]), partition("u", 0, &[]), partition("t", 0, &[])]);
    assert_eq!(unwritable(&twice, 8), "the request can't be written: it names t/0 twice");
}

#[test]
fn every_version_of_an_answer_is_read() {
    for version in versions::<ProduceRequest>() {
        let mut refused = PartitionProduceResponse::default().with_index(7).with_error_code(87).with_base_offset(-1);
        let mut stored = PartitionProduceResponse::default().with_index(8).with_base_offset(41);
        stored = stored.with_log_append_time_ms(1_000);
        if version >= 5 {
            stored = stored.with_log_start_offset(3);
        }
        if version >= 8 {
            let record = BatchIndexAndErrorMessage::default().with_batch_index(2);
            let record = record.with_batch_index_error_message(Some(text("no key")));
            refused = refused.with_record_errors(vec![record]).with_error_message(Some(text("compacted")));
        }
        let topic =
            TopicProduceResponse::default().with_name(text("t").into()).with_partition_responses(vec![refused, stored]);
        let response = ProduceResponse::default().with_responses(vec![topic]).with_throttle_time_ms(30);
        let read = answer::<ProduceRequest>(&response, version);
        assert_eq!(read.throttle, Duration::from_millis(30));
        let [refused, stored] = read.partitions.as_slice() else { panic!("two partitions") };
        assert_eq!((&refused.at, refused.error), (&TopicPartition::new("t", 7), ErrorCode::INVALID_RECORD));
        assert_eq!((refused.base_offset, refused.log_append_time), (Offset(-1), None));
        let expected = RecordError { index: 2, message: Some("no key".to_owned()) };
        assert_eq!(refused.record_errors, if version >= 8 { vec![expected] } else { Vec::new() });
        assert_eq!(refused.message.as_deref(), (version >= 8).then_some("compacted"));
        assert_eq!(
            (stored.error, stored.base_offset, stored.log_append_time),
            (ErrorCode::NONE, Offset(41), Some(1_000))
        );
        assert_eq!(stored.log_start, (version >= 5).then_some(Offset(3)));
    }
}
