//! One batch per partition and request.

use protocol_tests::lab::batch::{Batch, HEADER};
use protocol_tests::lab::codec::Codec;
use protocol_tests::lab::probe::Produce;
use protocol_tests::lab::{Scenario, Site};
use protocol_tests::on_a_site;

pub(super) fn scenarios() -> Vec<Scenario> {
    on_a_site!["produce": a_batch_is_stored_unchanged_from_its_attributes_on_in_every_version]
}

const NOW: i64 = 1_700_000_000_000;

fn a_batch_is_stored_unchanged_from_its_attributes_on_in_every_version(site: &Site) {
    let topic = site.new_topic("shape", 1, &[]);
    let mut end = 0;
    for version in [3, 7, 8, 9] {
        for codec in [Codec::None, Codec::Lz4] {
            let batch = Batch::small(3, NOW).packed(codec).encode();
            let request = Produce::new(&topic.name, 0, batch.clone()).version(version);
            assert_eq!(site.append_by(&request), Ok(end), "v{version} {}", codec.name());
            let stored = site.stored(&topic, 0, end);
            assert_eq!(stored[HEADER - 40..], batch[HEADER - 40..], "v{version} {}", codec.name());
            end += 3;
        }
    }
    let read: Vec<_> = site.read(&topic, 0).into_iter().map(|record| record.value.unwrap()).collect();
    assert_eq!(read.len() as i64, end);
    assert_eq!(read[4], b"value-1");
}
