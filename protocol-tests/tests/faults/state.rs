//! A state that can't be kept for a while, or at all: its coordinator moves, answers are lost or wrong, or the group is not
//! for kferry to write.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, OffsetCommitRequest};
use kafka_protocol::protocol::Decodable;
use protocol_tests::broker::access::Operation;
use protocol_tests::broker::faults::{Action, Rule};
use protocol_tests::broker::serve::now_ms;
use serde_json::Value;

use super::{Stage, large, until_counted};

#[test]
fn a_coordinator_that_moves_again_and_again_is_followed() {
    let stage = Stage::new(3, 1);
    let running = stage.slowly().args(["--name", "m"]).start();
    stage.goes_on();
    let coordinator = || stage.target.with_core(|core| core.coordinator("kferry-m"));
    let mut seen = Vec::from([coordinator()]);
    for node in [1, 2, 3] {
        stage.target.with_core(|core| core.stop_node(node));
        seen.push(coordinator());
        stage.goes_on();
        stage.target.with_core(|core| core.start_node(node));
        seen.push(coordinator());
    }
    seen.dedup();
    assert!(seen.len() > 2, "{seen:?}");
    running.wait().expect_code(0);
    stage.is_copied(0);
}

#[test]
fn commits_of_the_state_whose_answers_are_lost_late_or_garbage_are_repeated() {
    let stage = Stage::new(1, 2);
    let faults = [
        Action::Raw(Bytes::from_static(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
        Action::CutAfter,
        Action::CutBefore,
        Action::DelayRequest(2_000),
        Action::Raw(Bytes::from_static(&[0; 16])),
    ];
    stage.target.with_core(|core| {
        for fault in faults {
            core.faults.add(Rule::api(ApiKey::OffsetCommit), fault);
        }
    });
    let outcome = stage.slowly().run().expect_code(0);
    assert_eq!(stage.target.with_core(|core| core.faults.left()), 0, "{outcome}");
    stage.is_copied(0);
    stage.is_copied(1);
}

#[test]
fn a_target_whose_groups_hold_too_little_metadata_is_named_with_the_setting() {
    let stage = Stage::new(1, 1);
    stage.target.with_core(|core| core.set_broker_config("offset.metadata.max.bytes", "60"));
    let (last, _) = stage.fails();
    assert!(last.contains("cannot store the state of t/0: ") && last.contains("OFFSET_METADATA_TOO_LARGE"), "{last}");
    assert!(last.contains("set offset.metadata.max.bytes of the target's brokers to at least 4096"), "{last}");
    assert_eq!(stage.end(0), 0);
}

#[test]
fn a_group_that_may_not_be_used_is_named_with_the_right_that_is_missing() {
    for operation in [Operation::ReadGroup, Operation::DescribeGroup] {
        let stage = Stage::new(1, 1);
        stage.target.with_core(|core| core.access.deny(operation, "kferry-m"));
        let (outcome, _) = stage.run().args(["--name", "m"]).json();
        let outcome = outcome.expect_code(1);
        let last = outcome.stderr.lines().last().unwrap_or_default();
        assert!(last.contains("group kferry-m") && last.contains("GROUP_AUTHORIZATION_FAILED"), "{outcome}");
        assert!(last.contains("grant kferry's user DESCRIBE and READ on the group"), "{outcome}");
        assert_eq!(stage.end(0), 0);
    }
}

#[test]
fn a_right_that_is_taken_away_during_a_run_ends_it_and_the_next_one_goes_on() {
    let stage = Stage::new(1, 1);
    let running = stage.slowly().args(["--name", "m"]).start();
    stage.goes_on();
    stage.target.with_core(|core| core.access.deny(Operation::ReadGroup, "kferry-m"));
    let outcome = running.wait().expect_code(1);
    let last = outcome.stderr.lines().last().unwrap_or_default();
    assert!(last.contains("kferry-m") && last.contains("GROUP_AUTHORIZATION_FAILED"), "{outcome}");
    assert!(last.contains("grant kferry's user DESCRIBE and READ on the group"), "{outcome}");
    assert!(stage.end(0) < 400, "it stopped");
    stage.target.with_core(|core| core.access.allow(Operation::ReadGroup, "kferry-m"));
    stage.run().args(["--name", "m"]).run().expect_code(0);
    stage.is_copied(0);
}

#[test]
fn the_last_checkpoints_of_partitions_do_not_stand_in_front_of_the_first_journals_of_others() {
    const PARTITIONS: i32 = 300;
    let stage = Stage::new(1, 1);
    stage.source.with_core(|core| {
        core.create_topic("u", PARTITIONS, &[]).expect("a topic");
        for partition in 0..PARTITIONS {
            assert!(core.append("u", partition, large()));
            core.commit("g", "u", partition, 0);
        }
    });
    let stored = commits(&stage);
    let begun = now_ms();
    // A part of them ends before the others are read.
    stage.run().args(["--name", "m", "--memory", "8MiB"]).run().expect_code(0);
    // Every five seconds all progress is stored, with whatever is to be stored then.
    let may_be_mixed = (now_ms() - begun) / 5_000;
    let stored = stored.lock().unwrap_or_else(PoisonError::into_inner);
    let is_first = |kept: &Value| kept["records"] == 0 && kept["journal"].is_string();
    let is_last = |kept: &Value| kept["next"] == kept["span"][1] && kept["records"] != 0;
    let count = |is: &dyn Fn(&Value) -> bool| stored.iter().flatten().filter(|kept| is(kept)).count();
    assert!(count(&is_first) > PARTITIONS as usize && count(&is_last) > PARTITIONS as usize, "{stored:?}");
    let first_end = stored.iter().position(|commit| commit.iter().any(is_last));
    let journaling = stored.iter().filter(|commit| commit.iter().any(is_first));
    assert!(journaling.clone().count() > 1, "they went one after the other: {stored:?}");
    let mixed = journaling.filter(|commit| commit.iter().any(is_last)).count();
    assert!(
        mixed as i64 <= may_be_mixed,
        "{mixed} commits of first journals with last checkpoints, from {first_end:?} on"
    );
}

#[test]
fn a_run_reads_while_its_plan_is_being_stored_and_sends_nothing_before() {
    const STORING: i64 = 1_500;
    let stage = Stage::new(1, 1);
    let cut = Arc::new(AtomicU32::new(0));
    let (cuts, mut sent) = (Arc::clone(&cut), 0);
    stage.target.with_core(|core| {
        core.faults.hook(move |call, _| {
            sent += u32::from(call.api == ApiKey::Produce);
            let cut = call.api == ApiKey::Produce && sent > 1;
            cuts.fetch_add(u32::from(cut), Ordering::SeqCst);
            cut.then_some(Action::CutBefore)
        });
    });
    let killed = stage.run().args(["--name", "m"]).start();
    until_counted("all but the first batch fails", &cut, 1);
    killed.signal("KILL");
    killed.wait();
    // What comes next of the partition is journaled: that alone would let it be sent.
    let asked = Arc::new(Mutex::new(Vec::new()));
    let note = |apis: &'static [ApiKey]| {
        let asked = Arc::clone(&asked);
        move |api| {
            if apis.contains(&api) {
                asked.lock().unwrap_or_else(PoisonError::into_inner).push((api, now_ms()));
            }
        }
    };
    let (read, written) = (note(&[ApiKey::Fetch]), note(&[ApiKey::OffsetCommit, ApiKey::Produce]));
    let mut delays = vec![Action::DelayRequest(STORING)];
    stage.source.with_core(|core| {
        core.faults.hook(move |call, _| {
            read(call.api);
            None
        });
    });
    stage.target.with_core(|core| {
        core.faults.hook(move |call, _| {
            written(call.api);
            if call.api == ApiKey::OffsetCommit { delays.pop() } else { None }
        });
    });
    stage.slowly().args(["--name", "m", "--take-over"]).run().expect_code(0);
    stage.is_copied(0);
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    let first = |api| asked.iter().find(|(asked, _)| *asked == api).map(|(_, at)| *at).expect("it was asked");
    let storing = first(ApiKey::OffsetCommit)..first(ApiKey::OffsetCommit) + STORING;
    assert!(first(ApiKey::Produce) >= storing.end, "{storing:?}: {asked:?}");
    let meanwhile = asked.iter().filter(|(api, at)| *api == ApiKey::Fetch && storing.contains(at));
    assert!(meanwhile.count() > 1, "it reads on, half a megabyte a second: {storing:?}: {asked:?}");
}

/// What is stored for each partition, commit by commit, each of which takes a while.
fn commits(stage: &Stage) -> Arc<Mutex<Vec<Vec<Value>>>> {
    let stored = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&stored);
    stage.target.with_core(|core| {
        core.faults.hook(move |call, body| {
            if call.api == ApiKey::OffsetCommit {
                let request = OffsetCommitRequest::decode(&mut body.clone(), call.version).expect("an OffsetCommit");
                let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
                let texts = partitions.filter_map(|partition| partition.committed_metadata.as_deref());
                let kept = texts.filter_map(|text| serde_json::from_str(text).ok()).collect();
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
                return Some(Action::DelayRequest(100));
            }
            None
        });
    });
    stored
}
