//! Idempotent producers: ids, epochs, sequences, duplicates.

use kafka_protocol::error::ResponseError::{InvalidProducerEpoch, InvalidRecord, OutOfOrderSequenceNumber};
use protocol_tests::lab::batch::Batch;
use protocol_tests::lab::probe::Produce;
use protocol_tests::lab::{Scenario, Site, wait};
use protocol_tests::on_a_site;

use super::{log, producer, refused, send, three};

pub(super) fn scenarios() -> Vec<Scenario> {
    on_a_site!["produce":
        an_unknown_producer_may_begin_at_any_sequence,
        a_producer_id_needs_a_sequence_but_not_the_other_way_round,
        a_gap_in_the_sequence_is_refused,
        the_last_five_batches_of_a_producer_are_recognised,
        a_known_first_sequence_with_another_extent_is_refused,
        a_known_sequence_range_with_other_records_is_taken_for_the_known_one,
        a_duplicate_shows_in_the_append_time_of_its_answer,
        two_connections_may_continue_one_sequence,
        a_raised_epoch_begins_at_sequence_0_and_fences_the_old_one,
        sequences_wrap_after_2_to_the_31,
    ]
}

fn an_unknown_producer_may_begin_at_any_sequence(site: &Site) {
    let topic = site.new_topic("first-sequence", 1, &[]);
    assert_eq!(send(site, &topic, &three().stamped(producer(site), 0, 500)), Ok(0));
    assert_eq!(send(site, &topic, &three().stamped(producer(site), 0, 0)), Ok(3));
}

fn a_producer_id_needs_a_sequence_but_not_the_other_way_round(site: &Site) {
    let topic = site.new_topic("half-stamped", 1, &[]);
    assert_eq!(send(site, &topic, &three().stamped(producer(site), 0, -1)), refused(InvalidRecord));
    assert_eq!(send(site, &topic, &three().stamped(-1, -1, 7)), Ok(0));
}

fn a_gap_in_the_sequence_is_refused(site: &Site) {
    let topic = site.new_topic("gap", 1, &[]);
    let id = producer(site);
    assert_eq!(send(site, &topic, &three().stamped(id, 0, 0)), Ok(0));
    assert_eq!(send(site, &topic, &three().stamped(id, 0, 4)), refused(OutOfOrderSequenceNumber));
    assert_eq!(send(site, &topic, &three().stamped(id, 0, 3)), Ok(3));
}

fn the_last_five_batches_of_a_producer_are_recognised(site: &Site) {
    let topic = site.new_topic("duplicates", 1, &[]);
    let id = producer(site);
    for index in 0..6 {
        assert_eq!(send(site, &topic, &three().stamped(id, 0, index * 3)), Ok(i64::from(index) * 3));
    }
    for index in 1..6 {
        let again = send(site, &topic, &three().stamped(id, 0, index * 3));
        assert_eq!(again, Ok(i64::from(index) * 3), "batch {index} again");
    }
    assert_eq!(send(site, &topic, &three().stamped(id, 0, 0)), refused(OutOfOrderSequenceNumber));
    assert_eq!(site.bounds(&topic, 0), (0, 18));
}

fn a_known_first_sequence_with_another_extent_is_refused(site: &Site) {
    let topic = site.new_topic("extent", 1, &[]);
    let id = producer(site);
    assert_eq!(send(site, &topic, &three().stamped(id, 0, 0)), Ok(0));
    let longer = Batch::small(4, wait::now_ms()).stamped(id, 0, 0);
    assert_eq!(send(site, &topic, &longer), refused(OutOfOrderSequenceNumber));
}

fn a_known_sequence_range_with_other_records_is_taken_for_the_known_one(site: &Site) {
    let topic = site.new_topic("other-payload", 1, &[]);
    let id = producer(site);
    let first = three().stamped(id, 0, 0);
    assert_eq!(send(site, &topic, &first), Ok(0));
    let mut other = first.clone();
    other.records[0].value = Some(b"something else".to_vec());
    assert_eq!(send(site, &topic, &other), Ok(0));
    let stored = log(site, &topic);
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].records, first.records, "the other records are dropped");
}

fn a_duplicate_shows_in_the_append_time_of_its_answer(site: &Site) {
    let topic = site.new_topic("visible", 1, &[]);
    let created = wait::now_ms() - 5_000;
    let batch = Batch::small(3, created).stamped(producer(site), 0, 0);
    let request = Produce::new(&topic.name, 0, batch.encode());
    let mut leader = site.client().leader(&topic.name, 0).unwrap();
    let times: Vec<_> = (0..2).map(|_| leader.produce(&request).unwrap()[0].log_append_time).collect();
    assert_eq!(times, [-1, created]);
}

fn two_connections_may_continue_one_sequence(site: &Site) {
    let topic = site.new_topic("two-connections", 1, &[]);
    let id = producer(site);
    let mut leaders = [0, 1].map(|_| site.client().leader(&topic.name, 0).unwrap());
    for index in 0..4 {
        let batch = three().stamped(id, 0, index * 3).encode();
        let answer = leaders[index as usize % 2].produce(&Produce::new(&topic.name, 0, batch)).unwrap();
        assert_eq!(answer[0].result, Ok(i64::from(index) * 3));
    }
    let again = Produce::new(&topic.name, 0, three().stamped(id, 0, 9).encode());
    assert_eq!(leaders[0].produce(&again).unwrap()[0].result, Ok(9), "a duplicate of the other connection's batch");
}

fn a_raised_epoch_begins_at_sequence_0_and_fences_the_old_one(site: &Site) {
    let topic = site.new_topic("epochs", 1, &[]);
    let id = producer(site);
    assert_eq!(send(site, &topic, &three().stamped(id, 0, 0)), Ok(0));
    assert_eq!(send(site, &topic, &three().stamped(id, 1, 5)), refused(OutOfOrderSequenceNumber));
    assert_eq!(send(site, &topic, &three().stamped(id, 0, 3)), Ok(3), "nothing of the new epoch is in yet");
    assert_eq!(send(site, &topic, &three().stamped(id, 1, 0)), Ok(6));
    assert_eq!(send(site, &topic, &three().stamped(id, 0, 6)), refused(InvalidProducerEpoch));
}

fn sequences_wrap_after_2_to_the_31(site: &Site) {
    let topic = site.new_topic("wrap", 1, &[]);
    let id = producer(site);
    assert_eq!(send(site, &topic, &Batch::small(1, wait::now_ms()).stamped(id, 0, i32::MAX - 1)), Ok(0));
    assert_eq!(send(site, &topic, &three().stamped(id, 0, i32::MAX)), Ok(1));
    assert_eq!(send(site, &topic, &three().stamped(id, 0, i32::MAX)), Ok(1), "a duplicate");
    assert_eq!(send(site, &topic, &three().stamped(id, 0, 3)), refused(OutOfOrderSequenceNumber));
    assert_eq!(send(site, &topic, &three().stamped(id, 0, 2)), Ok(4));
}
