//! Compression, and what topics do about it.

use kafka_protocol::error::ResponseError::UnsupportedCompressionType;
use protocol_tests::broker::Codec;
use protocol_tests::lab::batch::{Batch, HEADER};
use protocol_tests::lab::probe::Produce;
use protocol_tests::lab::{Scenario, Site, Topic};
use protocol_tests::on_a_site;

use super::{log, producer, refused, three};

pub(super) fn scenarios() -> Vec<Scenario> {
    on_a_site!["produce":
        a_batch_in_the_topic_s_own_codec_is_stored_as_it_came,
        a_topic_with_another_codec_repacks_a_batch_and_keeps_its_stamp,
        zstd_needs_produce_v7,
        a_patched_header_leaves_every_codec_readable,
    ]
}

fn topic_with_codec(site: &Site, codec: &str) -> Topic {
    site.new_topic("codec", 1, &[("compression.type", codec)])
}

/// zstd is taken from v7 on.
fn stamped(site: &Site, topic: &Topic, codec: Codec) -> (Batch, Result<i64, impl std::fmt::Debug + use<>>) {
    let batch = three().packed(codec).stamped(producer(site), 0, 40);
    let answer = site.append_by(&Produce::new(&topic.name, 0, batch.encode()).version(7));
    (batch, answer)
}

fn a_batch_in_the_topic_s_own_codec_is_stored_as_it_came(site: &Site) {
    for codec in Codec::ALL {
        let own = if codec == Codec::None { "uncompressed" } else { codec.name() };
        for setting in ["producer", own] {
            let topic = topic_with_codec(site, setting);
            let (batch, answer) = stamped(site, &topic, codec);
            assert_eq!(answer.unwrap(), 0);
            // From the CRC on: everything but base offset and leader epoch.
            let [sent, stored] = [batch.encode(), site.stored(&topic, 0, 0)];
            assert_eq!(stored[17..], sent[17..], "{} to a topic with {setting}", codec.name());
        }
    }
}

fn a_topic_with_another_codec_repacks_a_batch_and_keeps_its_stamp(site: &Site) {
    for (sent, own) in [(Codec::Lz4, Codec::Gzip), (Codec::None, Codec::Lz4), (Codec::Zstd, Codec::Snappy)] {
        let topic = topic_with_codec(site, own.name());
        let (batch, answer) = stamped(site, &topic, sent);
        assert_eq!(answer.unwrap(), 0);
        let stored = &log(site, &topic)[0];
        assert_eq!(stored.codec, own);
        let stamp = |batch: &Batch| (batch.producer_id, batch.producer_epoch, batch.base_sequence);
        assert_eq!(stamp(stored), stamp(&batch));
        assert_eq!((stored.last_offset_delta, stored.count), (Some(2), Some(3)));
        assert_eq!(stored.records, batch.records);
    }
}

fn zstd_needs_produce_v7(site: &Site) {
    let topic = site.new_topic("zstd", 1, &[]);
    let request = Produce::new(&topic.name, 0, three().packed(Codec::Zstd).encode());
    for version in [3, 6] {
        assert_eq!(
            site.append_by(&request.clone().version(version)),
            refused(UnsupportedCompressionType),
            "v{version}"
        );
    }
    assert_eq!(site.append_by(&request.version(7)), Ok(0));
}

fn a_patched_header_leaves_every_codec_readable(site: &Site) {
    for codec in Codec::ALL {
        let topic = site.new_topic("patched", 1, &[]);
        let original = three().packed(codec);
        let patched = original.clone().stamped(producer(site), 0, 0);
        assert_eq!(original.encode()[HEADER..], patched.encode()[HEADER..], "only the header differs");
        let request = Produce::new(&topic.name, 0, patched.encode()).version(7);
        assert_eq!(site.append_by(&request), Ok(0), "{}", codec.name());
        assert_eq!(site.read(&topic, 0), original.records, "{}", codec.name());
    }
}
