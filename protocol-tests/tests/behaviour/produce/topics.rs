//! Topics that take batches their own way: compacted, of an old format, re-created.

use std::time::Duration;

use kafka_protocol::error::ResponseError::{InvalidRecord, UnknownTopicId, UnsupportedForMessageFormat};
use protocol_tests::lab::probe::Produce;
use protocol_tests::lab::{Scenario, Site, Version, wait};
use protocol_tests::on_a_site;

use super::{producer, refused, send, three};

pub(super) fn scenarios() -> Vec<Scenario> {
    let everywhere = on_a_site!["produce": a_compacted_topic_refuses_a_null_key_and_says_which];
    let old = on_a_site!["produce": a_topic_of_an_old_format_converts_batches_and_refuses_stamped_ones];
    let new = on_a_site!["produce": a_re_created_topic_is_another_topic_by_id_and_the_same_by_name];
    [
        everywhere,
        old.into_iter().map(|scenario| scenario.before(Version::of(3, 0, 0)).with_java()).collect(),
        new.into_iter().map(|scenario| scenario.since(Version::of(4, 0, 0))).collect(),
    ]
    .concat()
}

fn a_compacted_topic_refuses_a_null_key_and_says_which(site: &Site) {
    let topic = site.new_topic("compacted", 1, &[("cleanup.policy", "compact")]);
    let mut batch = three();
    batch.records[1].key = None;
    let request = Produce::new(&topic.name, 0, batch.encode()).version(8);
    let answer = site.client().leader(&topic.name, 0).unwrap().produce(&request).unwrap();
    assert_eq!(answer[0].result, Err(InvalidRecord));
    assert_eq!(answer[0].record_errors, [1]);
}

fn a_topic_of_an_old_format_converts_batches_and_refuses_stamped_ones(site: &Site) {
    // The probe reads batches of format v2 only.
    let site = &site.by_java();
    let topic = site.new_topic("old-format", 1, &[("message.format.version", "0.10.2")]);
    let sent = three();
    assert_eq!(send(site, &topic, &sent), Ok(0));
    let stored = site.stored(&topic, 0, 0);
    assert_eq!(stored[16], 1, "stored as messages of format v1");
    assert_eq!(site.read(&topic, 0), sent.records);
    assert_eq!(send(site, &topic, &sent.stamped(producer(site), 0, 0)), refused(UnsupportedForMessageFormat));
}

fn a_re_created_topic_is_another_topic_by_id_and_the_same_by_name(site: &Site) {
    let topic = site.new_topic("re-created", 1, &[]);
    let old = site.client().topic_id(&topic.name).unwrap();
    site.delete_topic(&topic);
    wait::until("the topic can be created again", Duration::from_secs(30), || {
        site.client().create_topic(&topic.name, 1, 1, &[]).ok()
    });
    let by_id = Produce { topic_id: old, ..Produce::new(&topic.name, 0, three().encode()) }.version(13);
    assert_eq!(site.append_by(&by_id), refused(UnknownTopicId));
    assert_eq!(send(site, &topic, &three()), Ok(0));
}
