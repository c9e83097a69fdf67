//! Brokers that answer wrongly or not at all, that move, or that refuse.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use protocol_tests::broker::access::Operation;
use protocol_tests::broker::build::RecordBatchBuilder;
use protocol_tests::broker::core::Core;
use protocol_tests::broker::faults::{Action, Rule};
use protocol_tests::broker::serve::now_ms;
use protocol_tests::lab::wait;

use super::{BATCHES, RECORDS, Stage, records_written};
#[test]
fn an_answer_that_is_lost_after_the_append_is_looked_up_in_the_log_and_nothing_is_sent_twice() {
    let stage = Stage::new(1, 1);
    stage.target.with_core(|core| core.faults.add(Rule::api(ApiKey::Produce).after(3), Action::CutAfter));
    let result = stage.succeeds();
    assert_eq!((records_written(&result, 0), stage.end(0)), (400, 400));
}

#[test]
fn an_answer_that_is_garbage_proves_nothing_and_the_log_tells() {
    let stage = Stage::new(1, 1);
    let garbage = Action::Raw(Bytes::from_static(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    stage.target.with_core(|core| core.faults.add(Rule::api(ApiKey::Produce), garbage));
    let result = stage.succeeds();
    assert_eq!((records_written(&result, 0), stage.end(0)), (400, 400));
}

#[test]
fn fetches_that_are_lost_are_asked_again_and_every_record_arrives_once() {
    let stage = Stage::new(1, 3);
    stage.source.with_core(|core| {
        core.faults.add(Rule::api(ApiKey::Fetch), Action::CutAfter);
        core.faults.add(Rule::api(ApiKey::Fetch).after(1), Action::CutBefore);
    });
    let result = stage.succeeds();
    for partition in 0..3 {
        assert_eq!(records_written(&result, partition), BATCHES * RECORDS);
        assert_eq!(stage.end(partition as i32), BATCHES * RECORDS);
    }
}

#[test]
fn bytes_that_change_on_the_way_are_asked_for_again() {
    let stage = Stage::new(1, 1);
    let flip = Action::reply(|answer| {
        let mut changed = BytesMut::from(&answer[..]);
        let last = changed.len() - 5;
        changed[last] ^= 0x40; // in the last batch's records
        changed.freeze()
    });
    stage.source.with_core(|core| core.faults.add(Rule::api(ApiKey::Fetch), flip));
    let result = stage.succeeds();
    assert_eq!((records_written(&result, 0), stage.end(0)), (400, 400));
}

#[test]
fn a_limit_that_may_not_be_read_is_learnt_from_refusals() {
    for configs in [&[("max.message.bytes", "12000")][..], &[("segment.bytes", "12000")]] {
        let stage = Stage::new(1, 1);
        stage.target.with_core(|core| {
            core.create_topic("t", 1, configs).expect("a topic");
            core.access.deny(Operation::DescribeConfigs, "*");
        });
        let result = stage.succeeds();
        assert_eq!((records_written(&result, 0), stage.end(0)), (BATCHES * RECORDS, BATCHES * RECORDS));
        let rewritten = &result["partitions"][0]["batches"]["rewritten"];
        assert_eq!((&rewritten[0]["reason"], &rewritten[0]["batches"]), (&"too_large".into(), &BATCHES.into()));
        assert!(result["warnings"].to_string().contains("configs_hidden"), "{result:#}");
    }
}

#[test]
fn a_record_that_the_target_refuses_for_its_size_is_named_with_the_setting_to_raise() {
    let stage = Stage::new(1, 1);
    stage.target.with_core(|core| {
        core.create_topic("t", 1, &[("max.message.bytes", "3000")]).expect("a topic");
        core.access.deny(Operation::DescribeConfigs, "*");
    });
    let (last, _) = stage.fails();
    assert!(last.contains("t/0: the target refused the batch of source offsets [0, 1), 4,0"), "{last}");
    assert!(last.contains("raise max.message.bytes of the target topic to at least 40"), "{last}");
    assert_eq!(stage.end(0), 0);
}

#[test]
fn a_source_leader_that_moves_is_followed() {
    let stage = Stage::new(3, 2);
    let moves = |core: &mut Core| {
        let leader = core.partition("t", 0).and_then(|found| found.leader).expect("a leader");
        core.elect("t", 0, leader % 3 + 1);
    };
    // Between the plan and the first record: the run has read the metadata already.
    let begun = stage.run().args(["--rate", "2MB/s", "--output", "json"]).start();
    wait::until("something arrives", Duration::from_secs(30), || (stage.end(0) > 0).then_some(()));
    stage.source.with_core(moves);
    begun.wait().expect_code(0);
    assert_eq!((stage.end(0), stage.end(1)), (BATCHES * RECORDS, BATCHES * RECORDS));
}

#[test]
fn a_target_that_may_not_be_written_is_named_with_the_right_that_is_missing() {
    let stage = Stage::new(1, 2);
    stage.target.with_core(|core| {
        core.create_topic("t", 2, &[]).expect("a topic");
        core.access.deny(Operation::WriteTopic, "t");
    });
    let (last, _) = stage.fails();
    assert!(last.contains("t/") && last.contains("TOPIC_AUTHORIZATION_FAILED") && last.contains("Write"), "{last}");
    assert_eq!((stage.end(0), stage.end(1)), (0, 0));
}

#[test]
fn a_target_without_enough_replicas_is_refused_before_anything_is_written() {
    let stage = Stage::new(3, 1);
    stage.target.with_core(|core| {
        core.create_topic_with("t", 1, Some(3), &[("min.insync.replicas", "2")]).expect("a topic");
        for node in 1..=3 {
            if core.partition("t", 0).and_then(|found| found.leader) != Some(node) {
                core.set_following(node, false);
                core.shrink_isr("t", 0, node);
            }
        }
    });
    let (last, result) = stage.fails();
    assert!(last.contains("min_isr: t: min.insync.replicas is 2, but 1 of 3 replicas are in sync"), "{last}");
    assert_eq!((&result["partitions"], stage.end(0)), (&serde_json::json!([]), 0));
}

#[test]
fn lanes_that_fail_leave_the_others_alone() {
    let stage = Stage::new(1, 2);
    stage.source.with_core(|core| {
        core.create_topic("u", 1, &[]).expect("a topic");
        assert!(core.append("u", 0, RecordBatchBuilder::of(5, now_ms()).build()));
        core.commit("g", "u", 0, 0);
    });
    stage.target.with_core(|core| {
        core.create_topic("u", 1, &[]).expect("a topic");
        core.access.deny(Operation::WriteTopic, "u");
    });
    let (last, result) = stage.fails();
    assert!(last.contains("u/0") && !last.contains("t/"), "{last}");
    assert_eq!((records_written(&result, 0), records_written(&result, 1)), (BATCHES * RECORDS, BATCHES * RECORDS));
    assert_eq!((stage.end(0), stage.end(1)), (BATCHES * RECORDS, BATCHES * RECORDS));
}

#[test]
fn partitions_that_wait_long_for_room_in_an_answer_are_not_taken_for_empty_ones() {
    const PARTITIONS: i32 = 120;
    let stage = Stage::holding(1, PARTITIONS, || RecordBatchBuilder::of(RECORDS as usize, now_ms()).build());
    // The rate keeps answers so small that each has room for a few partitions only.
    let (outcome, result) = stage.run().args(["--rate", "200KB/s"]).json();
    outcome.expect_code(0);
    for partition in 0..PARTITIONS {
        assert_eq!(records_written(&result, partition as usize), BATCHES * RECORDS);
        assert_eq!(stage.end(partition), BATCHES * RECORDS);
    }
}

#[test]
fn a_source_that_may_not_be_read_is_named() {
    let stage = Stage::new(1, 2);
    stage.source.with_core(|core| core.access.deny(Operation::ReadTopic, "t"));
    let (outcome, result) = stage.run().json();
    assert_eq!((outcome.code, &result["outcome"]), (1, &"failed".into()), "{outcome}");
    let last = outcome.stderr.lines().last().unwrap_or_default();
    assert!(last.contains("t/") && last.contains("TOPIC_AUTHORIZATION_FAILED"), "{last}");
    assert_eq!((stage.end(0), stage.end(1)), (0, 0));
}

#[test]
fn a_target_leader_that_moved_before_the_first_batch_is_followed() {
    let stage = Stage::new(3, 4);
    stage.target.with_core(|core| core.create_topic_with("t", 4, Some(3), &[]).map(drop).expect("a topic"));
    // The last question before the copy is for the producer id; the leader moves before it is answered.
    let moved = Arc::new(AtomicBool::new(false));
    let seen = moved.clone();
    stage.target.with_core(|core| {
        core.faults.hook(move |call, _| {
            (call.api == ApiKey::InitProducerId && !seen.swap(true, Ordering::SeqCst))
                .then_some(Action::DelayReply(1_500))
        });
    });
    let running = stage.run().args(["--output", "json"]).start();
    wait::until("the producer id is asked for", Duration::from_secs(30), || moved.load(Ordering::SeqCst).then_some(()));
    stage.target.with_core(|core| {
        for partition in 0..4 {
            let leader = core.partition("t", partition).and_then(|found| found.leader).expect("a leader");
            core.elect("t", partition, leader % 3 + 1);
        }
    });
    running.wait().expect_code(0);
    assert!((0..4).all(|partition| stage.end(partition) == BATCHES * RECORDS));
}

#[test]
fn a_target_that_never_takes_anything_is_borne_with_until_somebody_stops_it() {
    let stage = Stage::new(1, 1);
    let tried = Arc::new(AtomicU32::new(0));
    let seen = tried.clone();
    stage.target.with_core(|core| {
        core.faults.hook(move |call, _| {
            let sent = call.api == ApiKey::Produce;
            seen.fetch_add(u32::from(sent), Ordering::SeqCst);
            sent.then_some(Action::CutBefore)
        });
    });
    // A batch that was lost before stamps were seen is not sent again while it may still arrive.
    let running = stage.run().file("kferry.toml", "[run]\nlate_bound = \"1s\"").start();
    let limit = Duration::from_secs(30);
    wait::until("it tries again", limit, || (tried.load(Ordering::SeqCst) > 3).then_some(()));
    running.signal("INT");
    let limit = wait::Deadline::after(Duration::from_secs(2));
    let outcome = running.wait().expect_code(130);
    assert!(!limit.passed(), "{outcome}");
    assert_eq!(stage.end(0), 0);
}
