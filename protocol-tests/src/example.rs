//! The example that the vendor's script is explained with: two groups, four topics, one partition whose unread records
//! have expired.

use crate::broker::control::Refused;
use crate::broker::{Codec, Core, NewRecord, RecordBatchBuilder};

/// A partition of the example: where its log starts and ends (exclusive).
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// Its topic.
    pub topic: &'static str,
    /// Its number.
    pub partition: i32,
    /// Log start.
    pub start: i64,
    /// Log end.
    pub end: i64,
    /// What its producer packed with.
    pub codec: Codec,
}

/// Every partition, by topic and number.
pub const LOGS: [Log; 5] = [
    Log { topic: "test1", partition: 0, start: 5_226, end: 5_226, codec: Codec::None },
    Log { topic: "test2", partition: 0, start: 0, end: 1_000, codec: Codec::Gzip },
    Log { topic: "test2", partition: 1, start: 400, end: 2_000, codec: Codec::Zstd },
    Log { topic: "test3", partition: 0, start: 187_000, end: 264_322, codec: Codec::Lz4 },
    Log { topic: "test4", partition: 0, start: 0, end: 4_000, codec: Codec::Snappy },
];

/// Group, topic, partition and the first offset that the group has not read.
pub const COMMITS: [(&str, &str, i32, i64); 6] = [
    ("test123-group", "test1", 0, 3_713),
    ("test123-group", "test2", 0, 1_000),
    ("test123-group", "test2", 1, 1_250),
    ("test123-group", "test3", 0, 187_800),
    ("test34-group", "test3", 0, 201_000),
    ("test34-group", "test4", 0, 2_500),
];

/// Where each partition's unread records begin, for those that have any.
pub const UNREAD: [(&str, i32, i64, i64); 3] =
    [("test2", 1, 1_250, 2_000), ("test3", 0, 187_800, 264_322), ("test4", 0, 2_500, 4_000)];

/// Records to a batch: the unread ones begin in the middle of a batch, as they do in life.
const BATCH: i64 = 500;

/// Lays the example out on an empty cluster; the newest record is an hour old at `now_ms`.
///
/// # Errors
///
/// The cluster already has one of the topics.
pub fn fill(core: &mut Core, now_ms: i64) -> Result<(), Refused> {
    for topic in ["test1", "test2", "test3", "test4"] {
        let partitions = LOGS.iter().filter(|log| log.topic == topic).count();
        core.create_topic(topic, i32::try_from(partitions).unwrap_or(i32::MAX), &[("retention.ms", "259200000")])?;
    }
    for log in LOGS {
        core.set_log_start(log.topic, log.partition, log.start);
        for base in (log.start..log.end).step_by(500) {
            let offsets = base..log.end.min(base + BATCH);
            let records = offsets.map(|offset| record(&log, offset, now_ms - 3_600_000 - (log.end - offset)));
            let batch = RecordBatchBuilder::new().records(records).codec(log.codec).base_offset(base);
            core.append(log.topic, log.partition, batch.build());
        }
    }
    for (group, topic, partition, offset) in COMMITS {
        core.commit(group, topic, partition, offset);
    }
    Ok(())
}

fn record(log: &Log, offset: i64, timestamp: i64) -> NewRecord {
    let customer = offset.wrapping_mul(7_919) % 1_000;
    let value = format!(r#"{{"order":{offset},"customer":{customer},"cents":{},"paid":true}}"#, customer * 37);
    let mut record = NewRecord::new(timestamp, format!("customer-{customer}"), value);
    record.headers = vec![("trace".into(), Some(format!("{}-{offset:x}", log.topic).into()))];
    record
}
