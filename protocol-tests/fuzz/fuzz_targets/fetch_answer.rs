//! An answer to Fetch, at any version that is spoken. What was read, written by an independent codec and read again, is
//! the same.
#![no_main]

use bytes::Bytes;
use kafka_protocol::messages::FetchResponse;
use kafka_protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use kafka_protocol::protocol::{Encodable, StrBytes};
use kferry::wire::Request;
use kferry::wire::fetch::{FetchAnswer, FetchRequest, FetchedPartition};
use kferry_fuzz::input::Input;
use kferry_fuzz::memory::{multiple, within};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let versions = FetchRequest::VERSIONS;
    let version = versions.min + (input.number(1) as i16) % (versions.max - versions.min + 1);
    let body = Bytes::copy_from_slice(input.0);
    // An aborted transaction takes 16 bytes here and there; a partition takes 26 at least, and 100 or so there.
    let Ok(answer) = within(multiple(body.len(), 32), || FetchRequest::decode(version, body.clone())) else { return };
    let held: usize = answer.partitions.iter().map(|partition| partition.records.len()).sum();
    assert!(held <= body.len(), "records that were not there");
    if version < 4 {
        return; // the independent codec begins there
    }
    let again = FetchRequest::decode(version, written(&answer, version));
    assert_eq!(again, Ok(answer));
});

fn written(answer: &FetchAnswer, version: i16) -> Bytes {
    let response = FetchResponse::default()
        .with_throttle_time_ms(i32::try_from(answer.throttle.as_millis()).expect("it was an INT32"))
        .with_error_code(answer.error.0)
        .with_responses(answer.partitions.iter().map(|partition| topic(partition, version)).collect());
    let mut out = Vec::new();
    response.encode(&mut out, version).expect("it has the fields of its version");
    out.into()
}

fn topic(partition: &FetchedPartition, version: i16) -> FetchableTopicResponse {
    let aborted = partition.aborted.iter().map(|transaction| {
        AbortedTransaction::default()
            .with_producer_id(transaction.producer.0.into())
            .with_first_offset(transaction.first_offset.0)
    });
    let mut data = PartitionData::default()
        .with_partition_index(partition.at.partition.0)
        .with_error_code(partition.error.0)
        .with_high_watermark(partition.high_watermark.0)
        .with_last_stable_offset(partition.last_stable.map_or(-1, |offset| offset.0))
        .with_aborted_transactions(Some(aborted.collect()))
        .with_records(Some(partition.records.clone()));
    if version >= 5 {
        data = data.with_log_start_offset(partition.log_start.map_or(-1, |offset| offset.0));
    }
    if version >= 11 {
        data = data.with_preferred_read_replica(partition.preferred_replica.map_or(-1, |id| id.0).into());
    }
    let name = StrBytes::from_string(partition.at.topic.as_str().to_owned());
    FetchableTopicResponse::default().with_topic(name.into()).with_partitions(vec![data])
}
