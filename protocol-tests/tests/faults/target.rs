//! Targets that are full, lack replicas, lose what they had acknowledged, or store batches of their own making.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use kafka_protocol::messages::{ApiKey, ProduceResponse};
use kafka_protocol::protocol::{Decodable, Encodable};
use protocol_tests::broker::access::Operation;
use protocol_tests::broker::call::Call;
use protocol_tests::broker::core::Core;
use protocol_tests::broker::faults::{Action, Rule};
use protocol_tests::lab::kferry::Running;
use protocol_tests::lab::wait;
use serde_json::Value;

use super::{BATCHES, LIMIT, RECORDS, Stage, records_written, until_counted};

/// KAFKA_STORAGE_ERROR.
const STORAGE: i16 = 56;

/// Puts this code into the answer for every partition of a Produce.
fn answering(call: &Call, code: i16) -> Action {
    let version = call.version;
    Action::reply(move |frame| {
        let mut body = frame.clone();
        let head = body.split_to(if version >= 9 { 5 } else { 4 });
        let mut answer = ProduceResponse::decode(&mut body, version).expect("an answer to Produce");
        for partition in answer.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses) {
            (partition.error_code, partition.base_offset) = (code, -1);
        }
        let mut changed = bytes::BytesMut::from(&head[..]);
        answer.encode(&mut changed, version).expect("an answer to Produce");
        changed.freeze()
    })
}

#[test]
fn a_target_that_is_full_for_a_while_is_waited_for() {
    let stage = Stage::new(1, 1);
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let running = stage.slowly().start();
    stage.goes_on();
    stage.target.with_core(|core| {
        core.access.deny(Operation::WriteTopic, "t");
        core.faults.hook(move |call, _| {
            (call.api == ApiKey::Produce).then(|| {
                count.fetch_add(1, Ordering::SeqCst);
                answering(call, STORAGE)
            })
        });
    });
    until_counted("it tries again and again", &asked, 5);
    stage.target.with_core(|core| {
        core.access.allow(Operation::WriteTopic, "t");
        core.faults.clear();
    });
    running.wait().expect_code(0);
    stage.is_copied(0);
}

#[test]
fn a_storage_error_behind_the_append_is_no_reason_to_send_again() {
    let stage = Stage::new(1, 1);
    let asked = AtomicU32::new(0);
    stage.target.with_core(|core| {
        core.faults.hook(move |call, _| {
            let every_third = call.api == ApiKey::Produce && asked.fetch_add(1, Ordering::SeqCst) % 3 == 1;
            every_third.then(|| answering(call, STORAGE))
        });
    });
    stage.succeeds();
    stage.is_copied(0);
}

/// A target of three nodes; with both followers standing still, `t/0` lacks replicas.
fn replicated() -> Stage {
    let stage = Stage::new(3, 1);
    stage.target.with_core(|core| {
        core.create_topic_with("t", 1, Some(3), &[("min.insync.replicas", "2")]).expect("a topic");
    });
    stage
}

fn followers(core: &Core) -> Vec<i32> {
    let leader = core.partition("t", 0).and_then(|found| found.leader);
    (1..=3).filter(|node| Some(*node) != leader).collect()
}

fn follow(stage: &Stage, up: bool, in_sync: bool) {
    stage.target.with_core(|core| {
        for node in followers(core) {
            core.set_following(node, up);
            if !in_sync {
                core.shrink_isr("t", 0, node);
            }
        }
    });
}

#[test]
fn a_target_that_lacks_replicas_for_a_while_is_waited_for() {
    let stage = replicated();
    let running = stage.slowly().start();
    stage.goes_on();
    follow(&stage, false, false);
    until_counted("it tries again and again", &stage.counts(ApiKey::Produce), 5);
    follow(&stage, true, true);
    running.wait().expect_code(0);
    stage.is_copied(0);
}

#[test]
fn what_is_appended_but_not_replicated_in_time_is_neither_taken_for_lost_nor_sent_again() {
    let stage = replicated();
    let running = stage.slowly().start();
    stage.goes_on();
    // Produce is answered REQUEST_TIMED_OUT, and what it appended lies behind the high watermark.
    follow(&stage, false, true);
    until_counted("it asks where the log ends, more than once", &stage.counts(ApiKey::ListOffsets), 4);
    follow(&stage, true, true);
    running.wait().expect_code(0);
    stage.is_copied(0);
}

#[test]
fn what_followers_lack_is_not_sent_again_when_its_answer_is_lost() {
    let stage = replicated();
    let running = stage.slowly().start();
    stage.goes_on();
    follow(&stage, false, true);
    stage.target.with_core(|core| core.faults.add(Rule::api(ApiKey::Produce), Action::CutAfter));
    let [asked, sent] = stage.counts_each([ApiKey::ListOffsets, ApiKey::Produce]);
    until_counted("it asks where the log ends", &asked, 4);
    let before = sent.load(Ordering::SeqCst);
    until_counted("it asks again and again", &asked, 8);
    assert_eq!(sent.load(Ordering::SeqCst), before, "what nobody can read yet is there all the same");
    follow(&stage, true, true);
    running.wait().expect_code(0);
    stage.is_copied(0);
}

/// Elects a follower that stood still since `end`: what was appended behind it is lost, although it was acknowledged.
fn lose_the_tail(core: &mut Core) {
    let node = followers(core)[0];
    core.elect("t", 0, node);
}

fn one_follower_stands_still(stage: &Stage) -> i64 {
    stage.target.with_core(|core| {
        let node = followers(core)[0];
        core.set_follower_up("t", 0, node, false);
        core.shrink_isr("t", 0, node);
        core.partition("t", 0).map_or(0, |found| found.log.end())
    })
}

#[test]
fn what_a_target_loses_after_it_acknowledged_it_is_written_again_and_said() {
    let stage = replicated();
    let running = stage.slowly().start();
    stage.goes_on();
    // The state stays behind the loss, and more is sent than is answered.
    stage.target.with_core(|core| {
        core.faults.add(Rule::api(ApiKey::OffsetCommit).times(u32::MAX), Action::DelayRequest(1_500));
        core.faults.add(Rule::api(ApiKey::Produce).times(u32::MAX), Action::DelayReply(500));
    });
    let kept = one_follower_stands_still(&stage);
    wait::until("more arrives", LIMIT, || (stage.end(0) > kept).then_some(()));
    let asked = stage.counts(ApiKey::ListOffsets);
    stage.target.with_core(lose_the_tail);
    until_counted("it asks where the log ends", &asked, 1);
    stage.target.with_core(|core| core.faults.clear());
    let outcome = running.wait().expect_code(0);
    stage.is_copied(0);
    let warnings = outcome.json()["warnings"].to_string();
    assert!(warnings.contains("\"truncated\"") && warnings.contains("unclean leader election"), "{warnings}");
}

/// A run whose target can lose what even the state says is there; where its log would end then.
fn ahead_of_a_follower(stage: &Stage) -> (Running, i64) {
    let running = stage.slowly().args(["--name", "m"]).start();
    stage.goes_on();
    let kept = one_follower_stands_still(stage);
    wait::until("the state is ahead of the follower", LIMIT, || {
        let stored =
            stage.target.with_core(|core| core.committed("kferry-m", "t", 0).map(|committed| committed.offset));
        (stored > Some(kept)).then_some(())
    });
    (running, kept)
}

#[test]
fn a_loss_that_reaches_behind_the_state_is_written_again_too() {
    let stage = replicated();
    let (running, kept) = ahead_of_a_follower(&stage);
    stage.target.with_core(lose_the_tail);
    let outcome = running.wait().expect_code(0);
    stage.is_copied(0);
    let warnings = outcome.json()["warnings"].to_string();
    assert!(warnings.contains(&format!("but its log ended at {kept}")), "{warnings}");
}

#[test]
fn a_loss_that_only_the_next_run_sees_ends_the_lane_with_both_offsets_and_what_to_do() {
    let stage = replicated();
    let (running, kept) = ahead_of_a_follower(&stage);
    running.signal("KILL");
    running.wait();
    stage.target.with_core(lose_the_tail);
    let outcome = stage.run().args(["--name", "m", "--take-over"]).run().expect_code(1);
    let last = outcome.stderr.lines().last().unwrap_or_default();
    assert!(last.contains(&format!("t/0: the target's log ends at {kept}, although")), "{last}");
    let look = format!("look whose records the target topic holds, from offset {kept} on above all: if nobody needs");
    assert!(last.contains(&look) && last.contains("and run with --append"), "{last}");
    assert_eq!(stage.end(0), kept);
}

#[test]
fn a_target_that_drops_stamps_is_written_to_by_count_alone_and_said() {
    let stage = Stage::new(1, 2);
    stage.target.with_core(|core| {
        core.create_topic("t", 2, &[]).expect("a topic");
        for partition in 0..2 {
            core.partition_mut("t", partition).expect("a partition").drops_stamps = true;
        }
        core.faults.add(Rule::api(ApiKey::Produce).after(4), Action::CutAfter);
        core.faults.add(Rule::api(ApiKey::Produce).after(9), Action::CutBefore);
    });
    let running = stage.slowly().args(["--name", "m"]).start();
    // As soon as anything is durable behind the first batch, it is durable that stamps are dropped.
    for partition in 0..2 {
        wait::until("the state tells that something was written", LIMIT, || {
            stage.target.with_core(|core| core.committed("kferry-m", "t", partition)?.offset.gt(&0).then_some(()))
        });
    }
    running.signal("KILL");
    running.wait();
    let (outcome, result) = stage.run().args(["--name", "m", "--take-over"]).json();
    outcome.expect_code(0);
    for partition in 0..2 {
        stage.is_copied(partition);
        assert_eq!(records_written(&result, partition as usize), BATCHES * RECORDS);
    }
    assert!(said(&result, "stamps_not_kept"), "{result:#}");
}

fn said(result: &Value, code: &str) -> bool {
    result["warnings"].as_array().is_some_and(|warnings| warnings.iter().any(|warning| warning["code"] == code))
}
