//! The layout of one batch: offsets, counts, checksum, magic.

use kafka_protocol::error::ResponseError::{CorruptMessage, InvalidRecord, UnknownServerError};
use protocol_tests::broker::Codec;
use protocol_tests::lab::batch::{Batch, legacy_message};
use protocol_tests::lab::{Record, Scenario, Site};
use protocol_tests::on_a_site;

use super::{log, refused, send, three};

pub(super) fn scenarios() -> Vec<Scenario> {
    on_a_site!["produce":
        a_batch_must_begin_at_offset_0,
        offsets_with_holes_are_refused,
        a_batch_without_its_first_record_is_refused,
        a_last_offset_delta_that_is_too_small_is_refused,
        a_forged_last_offset_delta_over_holes_is_stored_and_corrupts_offsets,
        a_forged_last_offset_delta_of_a_compressed_batch_is_an_unknown_error,
        a_count_that_is_not_the_number_of_records_is_refused,
        an_empty_batch_is_refused,
        a_wrong_checksum_is_corruption,
        an_unknown_magic_is_corruption,
        messages_of_old_formats_are_refused_from_produce_v3_on,
        the_partition_leader_epoch_is_the_broker_s,
        garbage_under_a_right_checksum_is_an_unknown_error,
    ]
}

/// Records at these offsets relative to the batch.
fn at(offsets: &[i64]) -> Batch {
    Batch::holed(offsets.iter().map(|offset| Record::new(1_700_000_000_000, "key", "value").at(*offset)).collect())
}

fn a_batch_must_begin_at_offset_0(site: &Site) {
    let topic = site.new_topic("base-offset", 1, &[]);
    for codec in [Codec::None, Codec::Gzip, Codec::Lz4] {
        for base_offset in [777, -5] {
            let batch = Batch { base_offset, ..three() }.packed(codec);
            assert_eq!(send(site, &topic, &batch), refused(InvalidRecord), "{base_offset} {}", codec.name());
        }
    }
}

fn offsets_with_holes_are_refused(site: &Site) {
    let topic = site.new_topic("holes", 1, &[]);
    for codec in [Codec::None, Codec::Lz4] {
        assert_eq!(send(site, &topic, &at(&[0, 2, 5]).packed(codec)), refused(InvalidRecord), "{}", codec.name());
    }
}

fn a_batch_without_its_first_record_is_refused(site: &Site) {
    let topic = site.new_topic("no-first", 1, &[]);
    for codec in [Codec::None, Codec::Lz4] {
        assert_eq!(send(site, &topic, &at(&[1, 2]).packed(codec)), refused(InvalidRecord), "{}", codec.name());
    }
}

fn a_last_offset_delta_that_is_too_small_is_refused(site: &Site) {
    let topic = site.new_topic("small-delta", 1, &[]);
    for codec in [Codec::None, Codec::Lz4] {
        let batch = Batch { last_offset_delta: Some(1), ..three() }.packed(codec);
        assert_eq!(send(site, &topic, &batch), refused(InvalidRecord), "{}", codec.name());
    }
}

fn a_forged_last_offset_delta_over_holes_is_stored_and_corrupts_offsets(site: &Site) {
    let topic = site.new_topic("forged-delta", 1, &[]);
    let forged = Batch { last_offset_delta: Some(2), ..at(&[0, 2, 5]) };
    assert_eq!(send(site, &topic, &forged), Ok(0));
    assert_eq!(send(site, &topic, &at(&[0, 1])), Ok(3));
    let stored = log(site, &topic);
    let offsets: Vec<Vec<i64>> =
        stored.iter().map(|batch| batch.records.iter().map(|record| record.offset).collect()).collect();
    assert_eq!(offsets, [vec![0, 2, 5], vec![3, 4]]);
}

fn a_forged_last_offset_delta_of_a_compressed_batch_is_an_unknown_error(site: &Site) {
    let topic = site.new_topic("forged-delta-lz4", 1, &[]);
    let forged = Batch { last_offset_delta: Some(2), ..at(&[0, 2, 5]) }.packed(Codec::Lz4);
    assert_eq!(send(site, &topic, &forged), refused(UnknownServerError));
    assert_eq!(site.bounds(&topic, 0), (0, 0));
}

fn a_count_that_is_not_the_number_of_records_is_refused(site: &Site) {
    let topic = site.new_topic("count", 1, &[]);
    for codec in [Codec::None, Codec::Lz4] {
        for count in [2, 4] {
            let batch = Batch { count: Some(count), ..three() }.packed(codec);
            assert_eq!(send(site, &topic, &batch), refused(InvalidRecord), "{count} {}", codec.name());
        }
    }
}

fn an_empty_batch_is_refused(site: &Site) {
    let topic = site.new_topic("empty", 1, &[]);
    for delta in [-1, 0, 4] {
        let batch = Batch { last_offset_delta: Some(delta), ..at(&[]) };
        assert_eq!(send(site, &topic, &batch), refused(InvalidRecord), "last offset delta {delta}");
    }
}

fn a_wrong_checksum_is_corruption(site: &Site) {
    let topic = site.new_topic("checksum", 1, &[]);
    assert_eq!(send(site, &topic, &Batch { crc: Some(1), ..three() }), refused(CorruptMessage));
}

fn an_unknown_magic_is_corruption(site: &Site) {
    let topic = site.new_topic("magic-3", 1, &[]);
    assert_eq!(send(site, &topic, &Batch { magic: 3, ..three() }), refused(CorruptMessage));
}

fn messages_of_old_formats_are_refused_from_produce_v3_on(site: &Site) {
    let topic = site.new_topic("old-formats", 1, &[]);
    for magic in [0, 1] {
        let message = legacy_message(magic, 0, 1_500_000_000_000, Some(b"key"), Some(b"value"));
        assert_eq!(site.append(&topic, 0, message), refused(InvalidRecord), "magic {magic}");
    }
}

fn the_partition_leader_epoch_is_the_broker_s(site: &Site) {
    let topic = site.new_topic("leader-epoch", 1, &[]);
    for leader_epoch in [-1, 0, 7] {
        assert!(send(site, &topic, &Batch { leader_epoch, ..three() }).is_ok(), "{leader_epoch}");
    }
    let epochs: Vec<_> = log(site, &topic).iter().map(|batch| batch.leader_epoch).collect();
    assert_eq!(epochs, [0, 0, 0]);
}

fn garbage_under_a_right_checksum_is_an_unknown_error(site: &Site) {
    let topic = site.new_topic("garbage", 1, &[]);
    for codec in [Codec::Gzip, Codec::Lz4] {
        let batch = Batch { payload: Some(vec![0xAB; 60]), ..three() }.packed(codec);
        assert_eq!(send(site, &topic, &batch), refused(UnknownServerError), "{}", codec.name());
    }
    let unknown_codec = three().flagged(5);
    assert_eq!(send(site, &topic, &unknown_codec), refused(UnknownServerError), "codec 5");
}
