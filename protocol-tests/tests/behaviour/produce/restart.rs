//! What a broker remembers of producers when it comes back: it forgets them by the timestamps of their records.

use kafka_protocol::error::ResponseError::OutOfOrderSequenceNumber;
use protocol_tests::lab::batch::Batch;
use protocol_tests::lab::{Scenario, Site, Topic, wait};
use protocol_tests::on_an_own_site;

use super::{producer, refused, send};

pub(super) fn scenarios() -> Vec<Scenario> {
    on_an_own_site!["produce", 1:
        after_a_restart_only_the_last_batch_of_a_producer_is_recognised,
        after_a_restart_a_producer_of_old_records_is_forgotten,
        a_topic_that_stamps_its_own_time_keeps_producers_of_old_records,
    ]
}

const DAY: i64 = 86_400_000;

/// Batches of three records, numbered as one producer sends them.
struct Sent<'a> {
    site: &'a Site,
    topic: Topic,
    producer: i64,
    time: i64,
}

impl<'a> Sent<'a> {
    /// Two batches are in.
    fn two(site: &'a Site, topic: Topic, time: i64) -> Self {
        let sent = Self { site, topic, producer: producer(site), time };
        assert_eq!(sent.again(0), Ok(0));
        assert_eq!(sent.again(1), Ok(3));
        sent
    }

    fn again(&self, index: i32) -> super::Answer {
        send(self.site, &self.topic, &Batch::small(3, self.time).stamped(self.producer, 0, index * 3))
    }
}

fn after_a_restart_only_the_last_batch_of_a_producer_is_recognised(site: &Site) {
    let sent = Sent::two(site, site.new_topic("recent", 1, &[]), wait::now_ms());
    site.restart();
    assert_eq!(sent.again(1), Ok(3), "the last batch again");
    assert_eq!(sent.again(0), refused(OutOfOrderSequenceNumber), "the batch before it again");
    assert_eq!(sent.again(2), Ok(6), "the next");
}

fn after_a_restart_a_producer_of_old_records_is_forgotten(site: &Site) {
    let old = wait::now_ms() - 40 * DAY;
    let sent = Sent::two(site, site.new_topic("old", 1, &[("retention.ms", "-1")]), old);
    assert_eq!(sent.again(1), Ok(3), "recognised as long as it runs");
    site.restart();
    assert_eq!(sent.again(1), Ok(6), "appended once more");
    assert_eq!(sent.again(2), Ok(9));
}

fn a_topic_that_stamps_its_own_time_keeps_producers_of_old_records(site: &Site) {
    let old = wait::now_ms() - 40 * DAY;
    let topic = site.new_topic("append-time", 1, &[("message.timestamp.type", "LogAppendTime")]);
    let sent = Sent::two(site, topic, old);
    site.restart();
    assert_eq!(sent.again(1), Ok(3));
    assert_eq!(sent.again(2), Ok(6));
}
