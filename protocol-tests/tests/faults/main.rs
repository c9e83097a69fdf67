//! What a run does when brokers or the way to them fail under it. Whatever happens, a record is on the target once or
//! not at all; what can't be borne ends with exit code 1 and a last line that says what, where, and what to do.
#![allow(clippy::expect_used, clippy::panic, reason = "all of this file is tests and their helpers")]

mod copy;
mod state;
mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use protocol_tests::broker::batch::OVERHEAD;
use protocol_tests::broker::build::RecordBatchBuilder;
use protocol_tests::broker::faults::Action;
use protocol_tests::broker::serve::now_ms;
use protocol_tests::broker::{Embedded, NewRecord, Version};
use protocol_tests::lab::kferry::{Call, Kferry};
use protocol_tests::lab::wait;
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_kferry-under-test");
/// Records in a batch of these tests, and batches in a partition.
const RECORDS: i64 = 10;
const BATCHES: i64 = 40;

/// No test waits longer for anything.
const LIMIT: Duration = Duration::from_secs(60);

/// A batch that is large enough to go as it is, and unlike all others.
fn large() -> Bytes {
    static NEXT: AtomicI64 = AtomicI64::new(0);
    let first = NEXT.fetch_add(RECORDS, Ordering::Relaxed);
    let record = |n: i64| NewRecord::new(now_ms(), (first + n).to_string(), vec![b'v'; 4_000]);
    RecordBatchBuilder::new().records((0..RECORDS).map(record)).build()
}

/// Two clusters; the source holds one topic that group `g` has not begun to read.
struct Stage {
    source: Embedded,
    target: Embedded,
}

impl Stage {
    fn new(nodes: usize, partitions: i32) -> Self {
        Self::holding(nodes, partitions, large)
    }

    fn holding(nodes: usize, partitions: i32, batch: fn() -> Bytes) -> Self {
        let start = || Embedded::start(Version::V4_1, nodes).expect("an embedded cluster");
        let stage = Self { source: start(), target: start() };
        stage.source.with_core(|core| {
            core.create_topic("t", partitions, &[]).expect("a topic");
            for partition in 0..partitions {
                for _ in 0..BATCHES {
                    assert!(core.append("t", partition, batch()));
                }
                core.commit("g", "t", partition, 0);
            }
        });
        stage
    }

    fn run(&self) -> Call {
        let [source, target] = [&self.source, &self.target].map(|cluster| cluster.bootstrap().join(","));
        let arguments = ["run", "--yes", "--source", &source, "--target", &target];
        Kferry::new(BINARY).call(arguments).within(LIMIT)
    }

    /// Runs to a failure; the last line on stderr and the result.
    #[track_caller]
    fn fails(&self) -> (String, Value) {
        let (outcome, result) = self.run().json();
        assert_eq!(outcome.code, 1, "{outcome}");
        assert_eq!(result["outcome"], "failed", "{result:#}");
        (outcome.stderr.lines().last().unwrap_or_default().to_owned(), result)
    }

    #[track_caller]
    fn succeeds(&self) -> Value {
        let (outcome, result) = self.run().json();
        outcome.expect_code(0);
        result
    }

    /// A run that takes some seconds.
    fn slowly(&self) -> Call {
        self.run().args(["--rate", "500kB/s", "--output", "json"])
    }

    /// Waits until more has arrived.
    fn goes_on(&self) {
        let before = self.end(0);
        wait::until("more arrives", LIMIT, || (self.end(0) > before).then_some(()));
    }

    /// Counts what the target is asked of this kind, if no fault meets it.
    fn counts(&self, api: ApiKey) -> Arc<AtomicU32> {
        let [asked] = self.counts_each([api]);
        asked
    }

    /// Counts what the target is asked of each of these kinds, if no fault meets it.
    fn counts_each<const KINDS: usize>(&self, apis: [ApiKey; KINDS]) -> [Arc<AtomicU32>; KINDS] {
        let asked = apis.map(|_| Arc::new(AtomicU32::new(0)));
        let counts = asked.clone();
        self.target.with_core(|core| {
            core.faults.hook(move |call, _| {
                for (api, count) in apis.iter().zip(&counts) {
                    count.fetch_add(u32::from(call.api == *api), Ordering::SeqCst);
                }
                None::<Action>
            });
        });
        asked
    }

    /// Every batch of the partition is on the target once, and in order.
    #[track_caller]
    fn is_copied(&self, partition: i32) {
        let [source, target] = [&self.source, &self.target].map(|cluster| {
            cluster.with_core(|core| -> Vec<Bytes> {
                let log = &core.partition("t", partition).expect("a partition").log;
                log.batches().map(|stored| stored.bytes.slice(OVERHEAD..)).collect()
            })
        });
        let place = |batch: &Bytes| source.iter().position(|sent| sent == batch);
        let places: Vec<_> = target.iter().map(place).collect();
        assert_eq!(places, (0..source.len()).map(Some).collect::<Vec<_>>(), "t/{partition}: places on the source");
    }

    /// Where the target's partition ends.
    fn end(&self, partition: i32) -> i64 {
        self.target.with_core(|core| core.partition("t", partition).map_or(0, |found| found.log.end()))
    }
}

/// Waits until something was counted so often.
fn until_counted(what: &str, counted: &AtomicU32, times: u32) {
    wait::until(what, LIMIT, || (counted.load(Ordering::SeqCst) >= times).then_some(()));
}

fn records_written(result: &Value, partition: usize) -> i64 {
    result["partitions"][partition]["records_written"].as_i64().expect("a count")
}
