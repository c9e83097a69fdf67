//! What a verification does when brokers or the way to them fail under it: it goes on, or says what stands in the way; it
//! never takes a fault for a difference, nor a difference for a fault.
#![allow(clippy::expect_used, clippy::panic, reason = "all of this file is tests and their helpers")]

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use protocol_tests::broker::build::RecordBatchBuilder;
use protocol_tests::broker::faults::{Action, Rule};
use protocol_tests::broker::serve::now_ms;
use protocol_tests::broker::{Embedded, NewRecord, Version};
use protocol_tests::lab::kferry::{Call, Kferry, Outcome};
use protocol_tests::lab::wait;
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_kferry-under-test");
const REPORT: &str = "report.json";
/// Records in a batch of these tests, and batches in a partition.
const RECORDS: i64 = 10;
const BATCHES: i64 = 30;

fn large() -> Bytes {
    let record = |n: i64| NewRecord::new(now_ms(), n.to_string(), vec![b'v'; 4_000]);
    RecordBatchBuilder::new().records((0..RECORDS).map(record)).build()
}

/// Two clusters between which one topic was moved, and the run that did.
struct Stage {
    source: Embedded,
    target: Embedded,
    moved: Option<Outcome>,
}

impl Stage {
    fn new(nodes: usize, partitions: i32) -> Self {
        let start = || Embedded::start(Version::V4_1, nodes).expect("an embedded cluster");
        let mut stage = Self { source: start(), target: start(), moved: None };
        stage.source.with_core(|core| {
            core.create_topic("t", partitions, &[]).expect("a topic");
            for partition in 0..partitions {
                (0..BATCHES).for_each(|_| assert!(core.append("t", partition, large())));
                core.commit("g", "t", partition, 0);
            }
        });
        let run = stage.call("run").args(["--yes", "--no-log", "--report", REPORT]);
        stage.moved = Some(run.run().expect_code(0));
        stage
    }

    fn call(&self, command: &str) -> Call {
        let [source, target] = [&self.source, &self.target].map(|cluster| cluster.bootstrap().join(","));
        Kferry::new(BINARY).call([command, "--source", &source, "--target", &target]).within(Duration::from_secs(60))
    }

    fn verify(&mut self) -> Call {
        let earlier = self.moved.take().expect("a run");
        self.call("verify").args(["--level", "digest", "--report", REPORT]).after(earlier)
    }
}

fn partitions(document: &Value) -> &Vec<Value> {
    document["partitions"].as_array().expect("partitions")
}

/// A verification that must end well, with every record the same.
#[track_caller]
fn is_right(outcome: Outcome, count: usize) {
    let outcome = outcome.expect_code(0);
    let document = outcome.json();
    assert_eq!(partitions(&document).len(), count);
    for lane in partitions(&document) {
        assert_eq!((&lane["verified"], &lane["same"]), (&"digest".into(), &(BATCHES * RECORDS).into()), "{lane:#}");
    }
}

#[test]
fn fetches_that_are_lost_are_asked_again_on_both_sides() {
    let mut stage = Stage::new(1, 12);
    for cluster in [&stage.source, &stage.target] {
        cluster.with_core(|core| {
            core.faults.add(Rule::api(ApiKey::Fetch).after(1), Action::CutAfter);
            core.faults.add(Rule::api(ApiKey::Fetch).after(3), Action::CutBefore);
        });
    }
    let outcome = stage.verify().args(["--output", "json"]).run();
    is_right(outcome, 12);
    let left = [&stage.source, &stage.target].map(|cluster| cluster.with_core(|core| core.faults.left()));
    assert_eq!(left, [0, 0], "every fault was met");
}

#[test]
fn leaders_that_move_are_followed_on_both_sides() {
    let mut stage = Stage::new(3, 4);
    // The leaders are known by then, and nothing was read yet.
    stage.source.with_core(|core| core.faults.add(Rule::api(ApiKey::DescribeConfigs), Action::DelayReply(1_000)));
    let running = stage.verify().args(["--output", "json"]).start();
    wait::until("the configs are asked for", Duration::from_secs(30), || {
        stage.source.with_core(|core| (core.faults.left() == 0).then_some(()))
    });
    for cluster in [&stage.source, &stage.target] {
        cluster.with_core(|core| {
            for partition in 0..4 {
                let leader = core.partition("t", partition).and_then(|found| found.leader).expect("a leader");
                core.elect("t", partition, leader % 3 + 1);
            }
        });
    }
    is_right(running.wait(), 4);
}

#[test]
fn bytes_that_change_on_the_way_are_no_difference() {
    let mut stage = Stage::new(1, 1);
    let flip = || {
        Action::reply(|answer| {
            let mut changed = BytesMut::from(&answer[..]);
            let last = changed.len() - 5;
            changed[last] ^= 0x40; // in the last batch's records
            changed.freeze()
        })
    };
    for cluster in [&stage.source, &stage.target] {
        cluster.with_core(|core| core.faults.add(Rule::api(ApiKey::Fetch), flip()));
    }
    let outcome = stage.verify().args(["--output", "json"]).run();
    is_right(outcome, 1);
}

#[test]
fn bytes_that_changed_where_they_are_stored_are_named_and_the_other_partitions_compared() {
    let mut stage = Stage::new(1, 3);
    assert!(stage.target.with_core(|core| core.corrupt("t", 1, 105)));
    let (outcome, document) = stage.verify().json();
    let outcome = outcome.expect_code(1);
    let said = outcome.stderr.lines().last().unwrap_or_default();
    assert!(said.contains("t/1 on the target: record batch at offset 100: its CRC is"), "{said}");
    let verified: Vec<&Value> = partitions(&document).iter().map(|lane| &lane["verified"]).collect();
    assert_eq!(verified, [&Value::from("digest"), &Value::Null, &Value::from("digest")]);
}

#[test]
fn a_signal_ends_it_in_the_middle_and_says_what_was_compared() {
    let mut stage = Stage::new(1, 1);
    stage.target.with_core(|core| core.faults.add(Rule::api(ApiKey::Fetch), Action::Hold));
    let running = stage.verify().args(["--output", "json"]).start();
    wait::until("the target is read", Duration::from_secs(30), || {
        stage.target.with_core(|core| (core.faults.left() == 0).then_some(()))
    });
    let deadline = wait::Deadline::after(Duration::from_secs(2));
    running.signal("TERM");
    let outcome = running.wait().expect_code(143);
    assert!(!deadline.passed(), "it took more than two seconds");
    let document = outcome.json();
    assert_eq!(document["outcome"], "stopped", "{document:#}");
    assert_eq!(partitions(&document)[0]["verified"], Value::Null, "{document:#}");
}
