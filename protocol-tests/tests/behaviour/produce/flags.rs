//! Attribute bits: control, transactional, append time, delete horizon.

use kafka_protocol::error::ResponseError::{
    InvalidRecord, InvalidTimestamp, NotEnoughReplicas, TransactionalIdAuthorizationFailed,
};
use protocol_tests::broker::Codec;
use protocol_tests::lab::batch::{APPEND_TIME, Batch, CONTROL, DELETE_HORIZON, HEADER, TRANSACTIONAL};
use protocol_tests::lab::probe::Produce;
use protocol_tests::lab::{Record, Scenario, Site, wait};
use protocol_tests::on_a_site;

use super::{is_from, log, producer, refused, send, three};

pub(super) fn scenarios() -> Vec<Scenario> {
    on_a_site!["produce":
        a_control_batch_is_refused,
        a_transactional_batch_without_an_id_refuses_every_partition_of_the_request,
        a_transactional_batch_of_an_unknown_id_is_refused_from_3_6_on_and_hangs_before,
        a_plain_batch_may_come_with_a_transactional_id,
        the_append_time_bit_is_refused_before_3_6_and_dropped_after,
        the_append_time_bit_is_refused_where_the_topic_stamps_its_own_time,
        a_topic_that_stamps_its_own_time_rewrites_only_the_header,
        the_delete_horizon_bit_is_kept,
        without_the_delete_horizon_bit_its_base_timestamp_is_one_like_any_other,
    ]
}

const APPEND_TIME_TOPIC: &[(&str, &str)] = &[("message.timestamp.type", "LogAppendTime")];

fn a_control_batch_is_refused(site: &Site) {
    let topic = site.new_topic("control", 1, &[]);
    let control = three().stamped(producer(site), 0, 0).flagged(CONTROL);
    assert_eq!(send(site, &topic, &control), refused(InvalidRecord));
    let marker = control.flagged(TRANSACTIONAL);
    assert_eq!(send(site, &topic, &marker), refused(TransactionalIdAuthorizationFailed));
}

fn a_transactional_batch_without_an_id_refuses_every_partition_of_the_request(site: &Site) {
    let topic = site.new_topic("transactional", 2, &[]);
    let transactional = three().stamped(producer(site), 0, 0).flagged(TRANSACTIONAL);
    let request = Produce::new(&topic.name, 0, three().encode()).and(1, transactional.encode());
    let mut leader = site.client().leader(&topic.name, 0).unwrap();
    for answer in leader.produce(&request).unwrap() {
        assert_eq!(answer.result, Err(TransactionalIdAuthorizationFailed), "partition {}", answer.partition);
    }
    assert_eq!(site.bounds(&topic, 0), (0, 0));
}

fn a_transactional_batch_of_an_unknown_id_is_refused_from_3_6_on_and_hangs_before(site: &Site) {
    let topic = site.new_topic("hanging", 1, &[]);
    let batch = three().stamped(producer(site), 0, 0).flagged(TRANSACTIONAL).encode();
    let request = Produce { transactional_id: Some("nobody".into()), ..Produce::new(&topic.name, 0, batch) };
    if is_from(site, 3, 6) {
        assert_eq!(site.append_by(&request), refused(NotEnoughReplicas));
        return;
    }
    assert_eq!(site.append_by(&request), Ok(0));
    assert_eq!(send(site, &topic, &three()), Ok(3));
    let stable = site.client().list_offset(&topic.name, 0, -1, true).unwrap();
    assert_eq!(stable, 0, "the last stable offset stays in front of a transaction that nobody can end");
}

fn a_plain_batch_may_come_with_a_transactional_id(site: &Site) {
    let topic = site.new_topic("plain-with-id", 1, &[]);
    let request = Produce::new(&topic.name, 0, three().encode());
    assert_eq!(site.append_by(&Produce { transactional_id: Some("nobody".into()), ..request }), Ok(0));
}

fn the_append_time_bit_is_refused_before_3_6_and_dropped_after(site: &Site) {
    let topic = site.new_topic("append-bit", 1, &[]);
    let created = wait::now_ms() - 1_000_000;
    let batch = Batch { max_timestamp: Some(created + 500_000), ..Batch::small(3, created) }.flagged(APPEND_TIME);
    if !is_from(site, 3, 6) {
        assert_eq!(send(site, &topic, &batch), refused(InvalidTimestamp));
        return;
    }
    assert_eq!(send(site, &topic, &batch), Ok(0));
    let stored = log(site, &topic);
    assert_eq!(stored[0].attributes & APPEND_TIME, 0);
    let shown = site.read(&topic, 0);
    assert!(shown.iter().all(|record| record.timestamp == created && !record.append_time), "{shown:?}");
}

fn the_append_time_bit_is_refused_where_the_topic_stamps_its_own_time(site: &Site) {
    let topic = site.new_topic("append-bit-append-topic", 1, APPEND_TIME_TOPIC);
    assert_eq!(send(site, &topic, &three().flagged(APPEND_TIME)), refused(InvalidTimestamp));
}

fn a_topic_that_stamps_its_own_time_rewrites_only_the_header(site: &Site) {
    let topic = site.new_topic("append-topic", 1, APPEND_TIME_TOPIC);
    let begin = wait::now_ms();
    for codec in [Codec::None, Codec::Lz4] {
        let batch = Batch::small(3, 1_000).packed(codec).encode();
        let base = site.append(&topic, 0, batch.clone()).unwrap();
        let stored = site.stored(&topic, 0, base);
        assert_eq!(stored[HEADER..], batch[HEADER..], "{}", codec.name());
        let stored = &Batch::read_all(&stored)[0];
        assert_eq!(stored.attributes & APPEND_TIME, APPEND_TIME);
        assert!(stored.max_timestamp >= Some(begin), "{:?} is not the append time", stored.max_timestamp);
    }
    assert!(site.read(&topic, 0).iter().all(|record| record.append_time && record.timestamp >= begin));
}

/// A tombstone of `created` in a batch whose base timestamp says when it may be purged.
fn tombstone(created: i64, horizon: i64) -> Batch {
    let record = Record { value: None, ..Record::new(created, "key", "") };
    Batch { base_timestamp: Some(horizon), ..Batch::of([record]) }
}

fn the_delete_horizon_bit_is_kept(site: &Site) {
    let topic = site.new_topic("horizon", 1, &[("cleanup.policy", "compact")]);
    let batch = tombstone(wait::now_ms(), wait::now_ms() + 3_600_000).flagged(DELETE_HORIZON);
    assert_eq!(send(site, &topic, &batch), Ok(0));
    assert_eq!(log(site, &topic)[0].attributes, DELETE_HORIZON);
}

fn without_the_delete_horizon_bit_its_base_timestamp_is_one_like_any_other(site: &Site) {
    let topic = site.new_topic("no-horizon", 1, &[("cleanup.policy", "compact")]);
    let created = wait::now_ms();
    let batch = tombstone(created, created + 3_600_000).encode();
    assert_eq!(site.append(&topic, 0, batch.clone()), Ok(0));
    assert_eq!(site.stored(&topic, 0, 0)[HEADER - 40..], batch[HEADER - 40..]);
    assert_eq!(site.read(&topic, 0)[0].timestamp, created);
}
