//! Runs that end early and are run again: killed, stopped, taken over, extended; and what must not be gone on with.

use std::thread;
use std::time::Duration;

use protocol_tests::lab::hand::Writing;
use protocol_tests::lab::kferry::{Call, Outcome};
use protocol_tests::lab::record::Fill;
use protocol_tests::lab::{Lab, Scenario, Topic, Version, wait};
use protocol_tests::on_a_pair;
use serde_json::Value;

use super::plan::{TOPIC_IDS, V0_11, partition, recent, records};
use super::slow::{PARTITIONS, Shape, Slow, is_told_alike};

pub(super) fn scenarios() -> Vec<Scenario> {
    let with_deletion = on_a_pair!["resume":
        what_the_source_deletes_while_it_is_copied_is_listed_as_lost,
        a_group_inside_of_what_was_lost_goes_on_behind_it_and_the_loss_is_told_once,
    ];
    let with_topic_ids = on_a_pair!["resume":
        a_target_topic_that_is_not_the_recorded_one_is_refused_as_the_plan_has_said,
        a_source_topic_that_was_made_anew_is_refused_as_the_plan_has_said,
    ];
    // DeleteGroups came with 1.1.
    let with_groups = on_a_pair!["resume": a_state_that_is_gone_is_taken_from_the_report];
    on_a_pair!["resume":
        a_source_topic_that_is_deleted_meanwhile_is_told_soon_and_others_go_on,
        a_source_topic_that_is_gone_before_a_run_goes_on_is_told_at_once,
        a_process_that_is_killed_again_and_again_leaves_every_record_once_and_in_order,
        a_process_that_writes_old_records_and_is_killed_leaves_every_record_once_and_in_order,
        a_terminated_run_is_gone_on_with_from_another_host,
        a_run_that_is_taken_over_writes_nothing_more,
        an_extension_moves_what_came_since_and_the_groups_forward,
        a_finished_run_that_is_repeated_writes_nothing,
        a_start_below_the_recorded_one_is_refused_as_the_plan_has_said,
        a_target_topic_that_was_made_anew_is_refused_or_begun_anew,
        a_target_topic_that_is_deleted_stops_its_own_partitions_only,
        another_commit_of_a_group_stays_until_it_is_to_be_replaced,
        a_migration_is_finished_once_its_groups_are_moved_on,
    ]
    .into_iter()
    .chain(with_groups.into_iter().map(|scenario| scenario.since(Version::of(1, 1, 0))))
    .chain(with_topic_ids.into_iter().map(|scenario| scenario.since(TOPIC_IDS)))
    .chain(with_deletion.into_iter().map(|scenario| scenario.since(V0_11)))
    .collect()
}

/// A migration that takes some seconds.
fn slow<'a>(lab: &Lab<'a>, stem: &str, timestamp: i64) -> Slow<'a> {
    Slow::new(lab, stem, &Shape { records: RECORDS as u64, timestamp, replicated: None })
}

/// In each partition.
const RECORDS: i64 = 900;

fn kills() -> u32 {
    std::env::var("KFERRY_KILLS").map_or(3, |kills| kills.parse().expect("a number of kills"))
}

fn a_process_that_is_killed_again_and_again_leaves_every_record_once_and_in_order(lab: &Lab<'_>) {
    let mut seed = u64::from(std::process::id());
    let mut killed = 0;
    while killed < kills() {
        let slow = slow(lab, "killed", recent());
        for _ in 0..3 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let running = slow.taking(4).args(["--take-over"]).start();
            thread::sleep(Duration::from_millis(1_200 + seed / (1 << 33) % 1_500));
            running.signal("KILL");
            running.wait();
            killed += 1;
        }
        let outcome = slow.call().args(["--take-over"]).run().expect_code(0);
        slow.is_moved(&outcome.json());
    }
}

fn a_process_that_writes_old_records_and_is_killed_leaves_every_record_once_and_in_order(lab: &Lab<'_>) {
    let slow = slow(lab, "old", recent() - 2 * 24 * 3_600_000);
    let running = slow.taking(4).start();
    slow.has_begun();
    running.signal("KILL");
    running.wait();
    let outcome = slow.call().args(["--take-over"]).run().expect_code(0);
    slow.is_moved(&outcome.json());
}

fn a_terminated_run_is_gone_on_with_from_another_host(lab: &Lab<'_>) {
    let slow = slow(lab, "terminated", recent());
    let running = slow.taking(4).start();
    slow.has_begun();
    running.signal("TERM");
    let limit = wait::Deadline::after(Duration::from_secs(2));
    let outcome = running.wait().expect_code(143);
    assert!(!limit.passed(), "{outcome}");
    assert_eq!(outcome.json()["outcome"], "stopped");
    // A new directory, as on another host; the lock was given back, so that nothing is waited for.
    let limit = wait::Deadline::after(Duration::from_secs(9));
    let outcome = slow.call().run().expect_code(0);
    assert!(!limit.passed(), "{outcome}");
    assert!(outcome.stderr.contains("going on: "), "{outcome}");
    slow.is_moved(&outcome.json());
}

fn a_run_that_is_taken_over_writes_nothing_more(lab: &Lab<'_>) {
    let slow = slow(lab, "fenced", recent());
    let first = slow.taking(20).args(["--report", "report.json"]).start();
    slow.is_under_way();
    let outcome = slow.call().args(["--take-over"]).run().expect_code(0);
    slow.is_moved(&outcome.json());
    let fenced = first.wait().expect_code(1);
    is_told_alike(&fenced, "failed");
    let last = fenced.stderr.lines().last().unwrap_or_default();
    assert!(last.contains("taken over") || last.contains("changed by another process"), "{fenced}");
    slow.is_moved(&outcome.json());
}

fn an_extension_moves_what_came_since_and_the_groups_forward(lab: &Lab<'_>) {
    let slow = slow(lab, "extended", recent());
    slow.is_moved(&slow.call().run().expect_code(0).json());
    let fill = Fill { count: 50, size: 100, seed: 9, timestamp: recent() };
    lab.source.fill(&slow.topic, 1, &fill, Writing::default());
    lab.source.commit(&slow.group, &slow.topic, 1, 910);
    let unchanged = slow.call().run().expect_code(0).json();
    assert_eq!(partition(&unchanged, &slow.topic, 1)["records_written"], 893, "the recorded plan wins");
    let result = slow.call().args(["--extend"]).run().expect_code(0).json();
    assert_eq!(partition(&result, &slow.topic, 1)["records_written"], 943, "{result:#}");
    let [copy, original] =
        [(lab.target, 0), (lab.source, 7)].map(|(site, from)| site.digest(&slow.topic, 1, from, from + 943));
    assert_eq!(copy, original);
    let committed = lab.target.committed(&slow.group);
    assert_eq!(committed[&(slow.topic.name.clone(), 1)].offset, 903, "{committed:?}");
}

fn a_finished_run_that_is_repeated_writes_nothing(lab: &Lab<'_>) {
    let slow = slow(lab, "finished", recent());
    let first = slow.call().run().expect_code(0).json();
    slow.is_moved(&first);
    let held = lab.target.hold(&slow.group, &slow.topic);
    let outcome = slow.call().args(["--report", "report.json"]).run().expect_code(0);
    drop(held);
    is_told_alike(&outcome, "done");
    assert!(outcome.stderr.contains("Already finished: 2,679 records of 3 partitions"), "{outcome}");
    let result = outcome.json();
    assert!(first["groups"].as_array().is_some_and(|groups| groups.len() == PARTITIONS.len()), "{first:#}");
    assert_eq!(result["groups"], first["groups"], "{result:#}");
    for number in PARTITIONS {
        let (start, end) = (i64::from(number) * 7, RECORDS);
        assert_eq!(partition(&result, &slow.topic, number)["records_written"], end - start);
        assert_eq!(lab.target.bounds(&slow.topic, number), (0, end - start));
    }
}

fn a_start_below_the_recorded_one_is_refused_as_the_plan_has_said(lab: &Lab<'_>) {
    let slow = slow(lab, "changed", recent());
    slow.call().run().expect_code(0);
    assert_eq!(foreseen(lab, &slow), [] as [String; 0]);
    lab.source.commit(&slow.group, &slow.topic, 2, 3);
    let foreseen = foreseen(lab, &slow);
    assert!(foreseen[0].contains("start at 3 now") && foreseen[0].contains("start 14"), "{foreseen:?}");
    is_refused_as(&foreseen, 1, slow.call());
    assert_eq!(lab.target.bounds(&slow.topic, 2), (0, RECORDS - 14));
}

/// The words of each `plan_changed` of a plan of this migration.
#[track_caller]
fn foreseen(lab: &Lab<'_>, slow: &Slow<'_>) -> Vec<String> {
    let call = lab.kferry("plan").args(["--no-log", "--name", &slow.name, "--topic", &slow.topic.name]);
    let (outcome, plan) = call.json();
    outcome.expect_code(0);
    let warnings = plan["warnings"].as_array().expect("warnings").iter();
    let changes = warnings.filter(|warning| warning["code"] == "plan_changed");
    let words = |warning: &Value| {
        assert_eq!(warning["topic"], slow.topic.name.as_str());
        warning["message"].as_str().expect("words").to_owned()
    };
    changes.map(words).collect()
}

#[track_caller]
fn is_refused_as(foreseen: &[String], count: usize, call: Call) {
    let outcome = call.run().expect_code(1);
    let last = outcome.stderr.lines().last().unwrap_or_default();
    assert_eq!(foreseen.len(), count, "{foreseen:?}");
    assert!(last.contains("plan_changed: ") && last.contains(&foreseen[0]), "{outcome}");
}

fn a_target_topic_that_is_not_the_recorded_one_is_refused_as_the_plan_has_said(lab: &Lab<'_>) {
    let slow = slow(lab, "target-anew", recent());
    let moved = slow.call().args(["--report", "report.json"]).run().expect_code(0);
    let state = lab.target.committed(&slow.state_group());
    lab.target.delete_topic(&slow.topic);
    let refused = slow.call().after(moved).args(["--report", "report.json"]).run().expect_code(1);
    let last = refused.stderr.lines().last().unwrap_or_default();
    assert!(last.contains("plan_changed") && last.contains("the target's topic was deleted since"), "{refused}");
    lab.target.create_topic(&slow.topic, PARTITIONS.end, &[]); // would fail if the run had made it
    // Coordinators forget the offsets of a deleted topic.
    for ((_, number), commit) in &state {
        lab.target.commit_with(&slow.state_group(), &slow.topic, *number, commit.offset, &commit.metadata);
    }
    let foreseen = foreseen(lab, &slow);
    assert!(foreseen[0].contains("the target's topic was deleted and made again since"), "{foreseen:?}");
    is_refused_as(&foreseen, 3, slow.call());
    assert_eq!(lab.target.bounds(&slow.topic, 0), (0, 0));
}

fn a_source_topic_that_was_made_anew_is_refused_as_the_plan_has_said(lab: &Lab<'_>) {
    let slow = slow(lab, "source-anew", recent());
    slow.is_moved(&slow.call().run().expect_code(0).json());
    lab.source.delete_topic(&slow.topic);
    lab.source.create_topic(&slow.topic, PARTITIONS.end, &[]);
    for number in PARTITIONS {
        lab.source.write(&slow.topic, number, &records(20));
        lab.source.commit(&slow.group, &slow.topic, number, 15);
    }
    let foreseen = foreseen(lab, &slow);
    assert!(foreseen[0].contains("the source's topic was deleted and made again since"), "{foreseen:?}");
    is_refused_as(&foreseen, 3, slow.call());
    assert_eq!(lab.target.bounds(&slow.topic, 0), (0, RECORDS));
    // As the refusal says.
    lab.target.delete_group(&slow.state_group());
    slow.call().args(["--append"]).run().expect_code(0);
    assert_eq!(lab.target.bounds(&slow.topic, 0), (0, RECORDS + 5));
}

fn a_target_topic_that_was_made_anew_is_refused_or_begun_anew(lab: &Lab<'_>) {
    let slow = slow(lab, "anew", recent());
    let running = slow.taking(4).start();
    slow.has_begun();
    running.signal("KILL");
    running.wait();
    lab.target.delete_topic(&slow.topic);
    lab.target.create_topic(&slow.topic, PARTITIONS.end, &[("retention.ms", "-1")]);
    let outcome = slow.call().args(["--take-over"]).run();
    if outcome.code == 0 {
        // Coordinators forget the offsets of a deleted topic: then nothing is remembered, and that is right too.
        slow.is_moved(&outcome.json());
    } else {
        let outcome = outcome.expect_code(1);
        assert!(outcome.stderr.contains("was deleted and made again since"), "{outcome}");
        assert_eq!(lab.target.bounds(&slow.topic, 0), (0, 0));
    }
}

fn a_source_topic_that_is_deleted_meanwhile_is_told_soon_and_others_go_on(lab: &Lab<'_>) {
    let slow = slow(lab, "removed", recent());
    let other = lab.source.new_topic("stays", 1, &[]);
    lab.source.write(&other, 0, &records(200));
    lab.source.commit(&slow.group, &other, 0, 0);
    let running = slow.taking(8).args(["--topic", &other.name]).start();
    slow.has_begun();
    lab.source.delete_topic(&slow.topic);
    let limit = wait::Deadline::after(Duration::from_secs(60));
    let outcome = running.wait().expect_code(1);
    assert!(!limit.passed(), "{outcome}");
    is_gone(&slow, &outcome);
    assert_eq!(lab.target.bounds(&other, 0), (0, 200));
}

fn a_source_topic_that_is_gone_before_a_run_goes_on_is_told_at_once(lab: &Lab<'_>) {
    let slow = slow(lab, "gone", recent());
    let running = slow.taking(4).start();
    slow.has_begun();
    running.signal("TERM");
    running.wait().expect_code(143);
    lab.source.delete_topic(&slow.topic);
    let outcome = slow.call().args(["-vv"]).run().expect_code(1);
    is_gone(&slow, &outcome);
    assert!(!outcome.stderr.contains("a fetch failed"), "it was looked for again: {outcome}");
}

#[track_caller]
fn is_gone(slow: &Slow<'_>, outcome: &Outcome) {
    let last = outcome.stderr.lines().last().unwrap_or_default();
    let topic = format!("error: {}/", slow.topic.name);
    assert!(last.starts_with(&topic) && last.contains("the topic no longer exists on the source"), "{outcome}");
    let result = outcome.json();
    assert_eq!(result["outcome"], "failed", "{result:#}");
    let warnings = result["warnings"].as_array().expect("warnings");
    assert!(warnings.iter().any(|warning| warning["code"] == "topic_missing"), "{result:#}");
}

fn a_state_that_is_gone_is_taken_from_the_report(lab: &Lab<'_>) {
    let slow = slow(lab, "report", recent());
    let running = slow.taking(4).args(["--report", "report.json"]).start();
    slow.has_begun();
    running.signal("TERM");
    let stopped = running.wait().expect_code(143);
    lab.target.delete_group(&format!("kferry-{}", slow.name));
    let refused = slow.call().run().expect_code(1);
    assert!(refused.stderr.contains("not_empty"), "{refused}");
    let outcome = slow.call().after(stopped).args(["--report", "report.json"]).run().expect_code(0);
    slow.is_moved(&outcome.json());
}

fn what_the_source_deletes_while_it_is_copied_is_listed_as_lost(lab: &Lab<'_>) {
    let slow = slow(lab, "lost", recent());
    let running = slow.taking(4).start();
    slow.has_begun();
    lab.source.delete_records(&slow.topic, 0, 880);
    let outcome = running.wait().expect_code(1);
    let result = outcome.json();
    assert_eq!(result["outcome"], "failed");
    let entry = partition(&result, &slow.topic, 0);
    let lost = &entry["skipped"][0];
    assert_eq!((&lost["reason"], &lost["end"]), (&"lost".into(), &880.into()), "{result:#}");
    let start = lost["start"].as_i64().expect("an offset");
    assert_eq!(entry["records_written"], start + 20, "{result:#}");
    let [copy, original] =
        [(lab.target, start), (lab.source, 880)].map(|(site, from)| site.digest(&slow.topic, 0, from, from + 20));
    assert_eq!(copy, original);
    assert_eq!(partition(&result, &slow.topic, 2)["records_written"], RECORDS - 14);
}

fn a_group_inside_of_what_was_lost_goes_on_behind_it_and_the_loss_is_told_once(lab: &Lab<'_>) {
    let slow = slow(lab, "behind", recent());
    let late = Topic::unique("late").name;
    lab.source.commit(&late, &slow.topic, 0, 870);
    let running = slow.taking(4).start();
    slow.has_begun();
    running.signal("KILL");
    running.wait();
    lab.source.delete_records(&slow.topic, 0, 880);
    let result = slow.call().args(["--take-over"]).run().expect_code(1).json();
    let lost = &partition(&result, &slow.topic, 0)["skipped"][0];
    let start = lost["start"].as_i64().expect("an offset");
    assert!(lost["end"] == 880 && start < 870, "{result:#}");
    assert_eq!(lab.target.committed(&late)[&(slow.topic.name.clone(), 0)].offset, start, "{result:#}");
    for again in [&["--extend"][..], &[]] {
        let result = slow.call().args(again).run().expect_code(0).json();
        assert_eq!(partition(&result, &slow.topic, 0)["skipped"][0], *lost);
    }
}

fn a_target_topic_that_is_deleted_stops_its_own_partitions_only(lab: &Lab<'_>) {
    let [slow, other] = ["stays", "goes"].map(|stem| slow(lab, stem, recent()));
    let running = slow.taking(4).args(["--topic", &other.topic.name]).start();
    slow.has_begun();
    other.has_begun();
    lab.target.delete_topic(&other.topic);
    let outcome = running.wait().expect_code(1);
    let result = outcome.json();
    assert_eq!(result["outcome"], "failed", "{outcome}");
    slow.is_moved(&result);
    assert_eq!(partition(&result, &other.topic, 0)["verified"], serde_json::Value::Null, "{outcome}");
}

fn another_commit_of_a_group_stays_until_it_is_to_be_replaced(lab: &Lab<'_>) {
    let slow = slow(lab, "other", recent());
    // It lies where the migration is going to write, but the migration did not make it.
    lab.target.commit(&slow.group, &slow.topic, 0, 5);
    let there = || lab.target.committed(&slow.group)[&(slow.topic.name.clone(), 0)].offset;
    let outcomes = |result: &serde_json::Value| -> Vec<String> {
        let groups = result["groups"].as_array().expect("groups");
        groups.iter().map(|group| group["outcome"].as_str().expect("a word").to_owned()).collect()
    };
    let result = slow.call().run().expect_code(0).json();
    assert_eq!((outcomes(&result), there()), (["kept", "committed", "committed"].map(str::to_owned).into(), 5));
    let result = slow.call().args(["--overwrite-offsets"]).run().expect_code(0).json();
    assert_eq!((outcomes(&result), there()), (vec!["committed".to_owned(); 3], 0));
    slow.is_moved(&result);
}

fn a_migration_is_finished_once_its_groups_are_moved_on(lab: &Lab<'_>) {
    let slow = slow(lab, "owed", recent());
    let state = || {
        let call = lab.kferry("status").args(["--name", &slow.name, "--output", "json"]);
        call.run().expect_code(0).json()["state"].clone()
    };
    // Kafka's own client does not stay in a group without offsets.
    let late = Topic::unique("late").name;
    for partition in PARTITIONS {
        lab.source.commit(&late, &slow.topic, partition, 100);
        lab.target.commit(&late, &slow.topic, partition, 0);
    }
    let held = lab.target.hold(&late, &slow.topic);
    let call = || slow.call().args(["--overwrite-offsets"]);
    let result = call().run().expect_code(1).json();
    let of_late = |group: &&serde_json::Value| group["group"] == late.as_str();
    let outcomes: Vec<_> = result["groups"].as_array().expect("groups").iter().filter(of_late).collect();
    assert!(outcomes.len() == 3 && outcomes.iter().all(|group| group["outcome"] == "active"), "{result:#}");
    assert_eq!(state(), "stopped");
    drop(held);
    slow.is_moved(&call().run().expect_code(0).json());
    assert_eq!(state(), "finished");
}
