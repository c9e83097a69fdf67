//! A state that can't be kept for a while, or at all: its coordinator moves, answers are lost or wrong, or the group is not
//! for kferry to write.

use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use protocol_tests::broker::access::Operation;
use protocol_tests::broker::faults::{Action, Rule};

use super::Stage;

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
