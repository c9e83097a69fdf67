//! Limits.

use kafka_protocol::error::ResponseError::{MessageTooLarge, RecordListTooLarge};
use protocol_tests::broker::Codec;
use protocol_tests::lab::batch::Batch;
use protocol_tests::lab::{Record, Scenario, Site};
use protocol_tests::on_a_site;

use super::{refused, send, three};

pub(super) fn scenarios() -> Vec<Scenario> {
    on_a_site!["produce":
        max_message_bytes_is_the_whole_batch_and_inclusive,
        a_batch_that_grows_too_large_when_the_topic_unpacks_it_is_refused,
        a_batch_that_would_shrink_below_the_limit_is_refused_all_the_same,
        a_batch_above_the_segment_size_is_refused,
    ]
}

/// One record of `size` bytes that every codec makes small.
fn smooth(size: usize) -> Batch {
    Batch::of([Record::new(1_700_000_000_000, "key", vec![b'a'; size])])
}

fn max_message_bytes_is_the_whole_batch_and_inclusive(site: &Site) {
    let size = three().encode().len();
    let limit = |bytes: usize| site.new_topic("limit", 1, &[("max.message.bytes", &bytes.to_string())]);
    assert_eq!(send(site, &limit(size), &three()), Ok(0));
    assert_eq!(send(site, &limit(size - 1), &three()), refused(MessageTooLarge));
}

fn a_batch_that_grows_too_large_when_the_topic_unpacks_it_is_refused(site: &Site) {
    let topic = site.new_topic("grows", 1, &[("compression.type", "uncompressed"), ("max.message.bytes", "2000")]);
    let batch = smooth(4_000).packed(Codec::Lz4);
    assert!(batch.encode().len() < 300);
    assert_eq!(send(site, &topic, &batch), refused(MessageTooLarge));
    assert_eq!(send(site, &topic, &smooth(1_000).packed(Codec::Lz4)), Ok(0));
}

fn a_batch_that_would_shrink_below_the_limit_is_refused_all_the_same(site: &Site) {
    let topic = site.new_topic("shrinks", 1, &[("compression.type", "lz4"), ("max.message.bytes", "2000")]);
    assert_eq!(send(site, &topic, &smooth(4_000)), refused(MessageTooLarge));
}

fn a_batch_above_the_segment_size_is_refused(site: &Site) {
    let topic = site.new_topic("segment", 1, &[("segment.bytes", "1048576"), ("max.message.bytes", "4194304")]);
    assert_eq!(send(site, &topic, &smooth(2 << 20)), refused(RecordListTooLarge));
    assert_eq!(send(site, &topic, &smooth(1 << 19)), Ok(0));
}
