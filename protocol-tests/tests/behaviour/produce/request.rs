//! Requests: versions, several batches or partitions, acks, pipelines.

use bytes::Bytes;
use kafka_protocol::error::ResponseError::{
    CorruptMessage, InvalidRecord, InvalidRequiredAcks, OutOfOrderSequenceNumber,
};
use protocol_tests::broker::Codec;
use protocol_tests::lab::batch::{Batch, HEADER, legacy_message};
use protocol_tests::lab::probe::{Failure, Probe, Produce};
use protocol_tests::lab::site::Refusal;
use protocol_tests::lab::{Record, Scenario, Site, Topic, Version};
use protocol_tests::on_a_site;

use super::{is_from, log, producer, refused, send, three};

pub(super) fn scenarios() -> Vec<Scenario> {
    let converting = on_a_site!["produce": messages_of_old_formats_in_produce_v2_are_converted];
    let converting = converting.into_iter().map(|scenario| scenario.before(Version::of(4, 0, 0)));
    let mut all = on_a_site!["produce":
        a_batch_is_stored_unchanged_from_its_attributes_on_in_every_version,
        produce_v2_is_refused_by_brokers_from_4_0_on,
        two_batches_in_one_partition_of_a_request_are_refused,
        junk_behind_a_batch_is_dropped_silently,
        records_without_a_whole_batch_are_refused,
        other_acks_than_0_1_and_all_are_refused,
        an_unacknowledged_bad_batch_closes_the_connection,
        forty_pipelined_requests_are_appended_in_order,
        behind_a_refused_batch_only_an_idempotent_pipeline_stops,
        good_partitions_of_a_request_are_stored_beside_bad_ones,
        of_one_partition_twice_in_a_request_only_the_last_batch_is_stored,
        a_frame_above_100_mib_closes_the_connection,
    ];
    all.extend(converting);
    all
}

fn leader(site: &Site, topic: &Topic) -> Probe {
    site.client().leader(&topic.name, 0).unwrap_or_else(|failure| panic!("{failure}"))
}

fn a_batch_is_stored_unchanged_from_its_attributes_on_in_every_version(site: &Site) {
    let topic = site.new_topic("versions", 1, &[]);
    let versions: &[i16] = if is_from(site, 4, 0) { &[3, 7, 8, 9, 13] } else { &[3, 7, 8, 9] };
    let id = site.client().topic_id(&topic.name).unwrap();
    let mut end = 0;
    for version in versions {
        for codec in [Codec::None, Codec::Lz4] {
            let batch = three().packed(codec).encode();
            let mut request = Produce::new(&topic.name, 0, batch.clone()).version(*version);
            request.topic_id = id;
            assert_eq!(site.append_by(&request), Ok(end), "v{version} {}", codec.name());
            let stored = site.stored(&topic, 0, end);
            assert_eq!(stored[HEADER - 40..], batch[HEADER - 40..], "v{version} {}", codec.name());
            end += 3;
        }
    }
    let values: Vec<_> = site.read(&topic, 0).into_iter().map(|record| record.value.unwrap()).collect();
    assert_eq!(i64::try_from(values.len()), Ok(end));
    assert_eq!(values[4], b"value-1");
}

fn produce_v2_is_refused_by_brokers_from_4_0_on(site: &Site) {
    let topic = site.new_topic("produce-v2", 1, &[]);
    let answer = site.append_by(&Produce::new(&topic.name, 0, three().encode()).version(2));
    assert_eq!(answer, if is_from(site, 4, 0) { Err(Refusal::Closed) } else { Ok(0) });
}

fn messages_of_old_formats_in_produce_v2_are_converted(site: &Site) {
    let topic = site.new_topic("up-converted", 1, &[]);
    let message = legacy_message(1, 0, 1_500_000_000_000, Some(b"key"), Some(b"old"));
    assert_eq!(site.append_by(&Produce::new(&topic.name, 0, message).version(2)), Ok(0));
    let stored = log(site, &topic);
    assert_eq!(stored[0].magic, 2);
    assert_eq!(stored[0].records, [Record::new(1_500_000_000_000, "key", "old")]);
}

fn two_batches_in_one_partition_of_a_request_are_refused(site: &Site) {
    let topic = site.new_topic("two-batches", 1, &[]);
    let two = [three().encode(), three().encode()].concat();
    assert_eq!(site.append(&topic, 0, two.into()), refused(InvalidRecord));
    assert_eq!(site.bounds(&topic, 0), (0, 0));
}

fn junk_behind_a_batch_is_dropped_silently(site: &Site) {
    let topic = site.new_topic("junk", 1, &[]);
    let batch = three().encode();
    let mut end = 0;
    for tail in [&batch[..40], &batch[..batch.len() - 1], &[7; 16]] {
        assert_eq!(site.append(&topic, 0, [&batch, tail].concat().into()), Ok(end), "{} bytes", tail.len());
        end += 3;
    }
    assert_eq!(site.bounds(&topic, 0), (0, end));
    assert_eq!(log(site, &topic).len(), 3);
}

fn records_without_a_whole_batch_are_refused(site: &Site) {
    let topic = site.new_topic("no-batch", 1, &[]);
    let batch = three().encode();
    for records in [Bytes::new(), batch.slice(..batch.len() - 1), batch.slice(..40)] {
        assert_eq!(site.append(&topic, 0, records.clone()), refused(InvalidRecord), "{} bytes", records.len());
    }
}

fn other_acks_than_0_1_and_all_are_refused(site: &Site) {
    let topic = site.new_topic("acks", 1, &[]);
    let acks = |acks| Produce { acks, ..Produce::new(&topic.name, 0, three().encode()) };
    assert_eq!(site.append_by(&acks(1)), Ok(0));
    assert_eq!(site.append_by(&acks(2)), refused(InvalidRequiredAcks));
    let stamped = three().stamped(producer(site), 0, 0).encode();
    let idempotent = Produce { acks: 1, ..Produce::new(&topic.name, 0, stamped) };
    assert_eq!(site.append_by(&idempotent), Ok(3));
    // acks 0 gets no answer: the next one on the connection belongs to the next request.
    let mut leader = leader(site, &topic);
    leader.send_produce(&acks(0)).unwrap();
    assert_eq!(leader.produce(&acks(-1)).unwrap()[0].result, Ok(9));
}

fn an_unacknowledged_bad_batch_closes_the_connection(site: &Site) {
    let topic = site.new_topic("acks-0-bad", 1, &[]);
    let bad = Batch { crc: Some(1), ..three() };
    let mut leader = leader(site, &topic);
    leader.send_produce(&Produce { acks: 0, ..Produce::new(&topic.name, 0, bad.encode()) }).unwrap();
    assert_eq!(leader.receive_frame(), Err(Failure::Closed));
}

fn forty_pipelined_requests_are_appended_in_order(site: &Site) {
    let topic = site.new_topic("pipeline", 1, &[]);
    let mut leader = leader(site, &topic);
    for index in 0..40 {
        leader.send_produce(&Produce::new(&topic.name, 0, Batch::small(1 + index % 3, 5).encode())).unwrap();
    }
    let mut end = 0;
    for index in 0..40 {
        assert_eq!(leader.receive_produce(3).unwrap()[0].result, Ok(end), "request {index}");
        end += 1 + index % 3;
    }
}

fn behind_a_refused_batch_only_an_idempotent_pipeline_stops(site: &Site) {
    for idempotent in [true, false] {
        let topic = site.new_topic("broken-pipeline", 1, &[]);
        let id = producer(site);
        let mut leader = leader(site, &topic);
        for index in 0..5 {
            let mut batch = three();
            if idempotent {
                batch = batch.stamped(id, 0, index * 3);
            }
            batch.crc = (index == 1).then_some(1);
            leader.send_produce(&Produce::new(&topic.name, 0, batch.encode())).unwrap();
        }
        let answers: Vec<_> = (0..5).map(|_| leader.receive_produce(3).unwrap()[0].result).collect();
        let gap = Err(OutOfOrderSequenceNumber);
        let expected = match idempotent {
            true => [Ok(0), Err(CorruptMessage), gap, gap, gap],
            false => [Ok(0), Err(CorruptMessage), Ok(3), Ok(6), Ok(9)],
        };
        assert_eq!(answers, expected);
    }
}

fn good_partitions_of_a_request_are_stored_beside_bad_ones(site: &Site) {
    let topic = site.new_topic("mixed", 4, &[]);
    let bad = Batch { crc: Some(1), ..three() }.encode();
    let request = Produce::new(&topic.name, 2, three().encode())
        .and(0, bad)
        .and(3, three().encode())
        .and(1, Batch { base_offset: 777, ..three() }.encode());
    let mut answers = leader(site, &topic).produce(&request).unwrap();
    answers.sort_by_key(|answer| answer.partition);
    let results: Vec<_> = answers.into_iter().map(|answer| answer.result).collect();
    assert_eq!(results, [Err(CorruptMessage), Err(InvalidRecord), Ok(0), Ok(0)]);
    let ends: Vec<_> = (0..4).map(|partition| site.bounds(&topic, partition).1).collect();
    assert_eq!(ends, [0, 0, 3, 3]);
}

fn of_one_partition_twice_in_a_request_only_the_last_batch_is_stored(site: &Site) {
    let topic = site.new_topic("twice", 1, &[]);
    let request = Produce::new(&topic.name, 0, Batch::small(1, 1).encode()).and(0, Batch::small(2, 2).encode());
    let answers = leader(site, &topic).produce(&request).unwrap();
    assert_eq!(answers.iter().map(|answer| answer.result).collect::<Vec<_>>(), [Ok(0)]);
    let stored = log(site, &topic);
    assert_eq!(stored.len(), 1, "the other batch is lost without a word");
    assert_eq!(stored[0].records.len(), 2);
    assert_eq!(send(site, &topic, &three()), Ok(2));
}

fn a_frame_above_100_mib_closes_the_connection(site: &Site) {
    let topic = site.new_topic("huge-frame", 1, &[]);
    let mut leader = leader(site, &topic);
    leader.send_length(100 * 1024 * 1024 + 1).unwrap();
    assert_eq!(leader.receive_frame(), Err(Failure::Closed));
}
