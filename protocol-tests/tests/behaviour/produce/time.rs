//! Timestamps.

use kafka_protocol::error::ResponseError::InvalidTimestamp;
use protocol_tests::lab::batch::Batch;
use protocol_tests::lab::{Scenario, Site, wait};
use protocol_tests::on_a_site;

use super::{is_from, log, refused, send};

pub(super) fn scenarios() -> Vec<Scenario> {
    on_a_site!["produce":
        times_long_past_and_a_little_ahead_are_stored,
        times_more_than_an_hour_ahead_are_refused_from_4_0_on,
        a_forged_largest_timestamp_is_computed_again,
    ]
}

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// Or the broker deletes what is older than a week.
const KEEP: &[(&str, &str)] = &[("retention.ms", "-1")];

fn times_long_past_and_a_little_ahead_are_stored(site: &Site) {
    let topic = site.new_topic("times", 1, KEEP);
    let now = wait::now_ms();
    let times = [0, -1, -1000, now - 400 * DAY, now + HOUR / 2];
    for time in times {
        assert!(send(site, &topic, &Batch::small(1, time)).is_ok(), "{time}");
    }
    let stored: Vec<_> = log(site, &topic).iter().map(|batch| batch.records[0].timestamp).collect();
    assert_eq!(stored, times);
}

fn times_more_than_an_hour_ahead_are_refused_from_4_0_on(site: &Site) {
    let topic = site.new_topic("ahead", 1, KEEP);
    for ahead in [2 * HOUR, 400 * DAY] {
        let answer = send(site, &topic, &Batch::small(1, wait::now_ms() + ahead));
        if is_from(site, 4, 0) {
            assert_eq!(answer, refused(InvalidTimestamp));
        } else {
            assert!(answer.is_ok(), "{answer:?}");
        }
    }
}

fn a_forged_largest_timestamp_is_computed_again(site: &Site) {
    let topic = site.new_topic("forged-max", 1, KEEP);
    let now = wait::now_ms();
    let batch = Batch { max_timestamp: Some(now + 2 * HOUR), ..Batch::small(3, now) };
    assert_eq!(send(site, &topic, &batch), Ok(0));
    assert_eq!(log(site, &topic)[0].max_timestamp, Some(now));
}
