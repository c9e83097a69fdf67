use std::collections::BTreeSet;
use std::time::Duration;

use super::{refused, said};
use crate::kafka::TopicId;
use crate::plan::testing::{Scene, example, filter};
use crate::plan::{Permit, WarningCode};

/// A lane of 90 records that a topic of the target waits for.
fn waiting() -> Scene {
    Scene::new().topic("t", &[(0, 100)]).group("g", &[("t", 0, 10)]).there("t", &[(0, 0)])
}

#[test]
fn a_missing_topic_is_created_with_the_sources_partition_count() {
    let plan = example().there("test3", &[(0, 0)]).plan();
    let created: Vec<_> = plan.create().iter().map(|topic| (topic.spec.name.as_str(), topic.spec.partitions)).collect();
    assert_eq!(created, [("test1", 1), ("test2", 1), ("test4", 1)]);
    assert!(refused(&plan).is_empty());
}

#[test]
fn a_missing_topic_that_may_not_be_created_stops_a_run_and_names_the_command() {
    let mut scene = Scene::new().topic("t", &[(0, 9), (0, 9)]).group("g", &[("t", 0, 4)]);
    scene = scene.source_configs("t", &[("retention.ms", "1000")]);
    scene.topics.create = false;
    let plan = scene.plan();
    assert!(plan.create().is_empty());
    assert_eq!(refused(&plan), ["topic_missing"]);
    assert_eq!(
        said(&plan, WarningCode::TopicMissing),
        ["t: the target has no such topic (2 partitions), and topics.create is false; create it: kafka-topics.sh \
          --bootstrap-server broker.example:9094 --create --topic t --partitions 2 --config \
          message.timestamp.type=CreateTime --config retention.ms=1000"]
    );
}

#[test]
fn another_partition_count_always_stops_a_run() {
    let all: BTreeSet<Permit> = [Permit::Append, Permit::AllowActive, Permit::AllowExpiry].into();
    let fewer =
        Scene::new().topic("t", &[(0, 9), (0, 9)]).group("g", &[("t", 0, 9), ("t", 1, 9)]).there("t", &[(0, 0)]);
    let refusals = fewer.plan().refusals(&all);
    assert_eq!(
        refusals[0].to_string(),
        "partition_count: t: 2 partitions on the source, 1 on the target; add partitions there, as kferry keeps their \
         numbers: kafka-topics.sh --alter --partitions 2"
    );
    let more = waiting().there("t", &[(0, 0), (0, 0)]);
    assert_eq!(more.plan().refusals(&all)[0].code, WarningCode::PartitionCount);
}

#[test]
fn records_that_are_there_already_stop_a_run_until_appending_is_allowed() {
    let scene = waiting().there("t", &[(5, 17)]);
    let plan = scene.plan();
    assert_eq!(
        said(&plan, WarningCode::NotEmpty),
        ["t/0: the target holds 12 records already; if an earlier run wrote them, use its --report FILE, not --append"]
    );
    assert_eq!(refused(&plan), ["not_empty"]);
    assert!(plan.refusals(&[Permit::Append].into()).is_empty());
    assert!(refused(&waiting().there("t", &[(17, 17)]).plan()).is_empty(), "what was deleted is not there");
    let skipped = Scene::new().topic("t", &[(0, 9)]).group("g", &[("t", 0, 9)]).there("t", &[(0, 4)]);
    assert!(refused(&skipped.plan()).is_empty(), "nothing would be written there");
}

#[test]
fn nothing_is_appended_where_another_migration_has_been_but_this_one_goes_on() {
    let mut scene = waiting().there("t", &[(0, 17)]);
    let at = crate::kafka::TopicPartition::new("t", 0);
    scene.survey.target.moved.insert(at.clone(), ["kferry-other".into()].into());
    let plan = scene.plan();
    assert_eq!(
        said(&plan, WarningCode::NotEmpty),
        ["t/0: the target holds 17 records, and kferry-other has moved this partition; go on with --name other"]
    );
    assert_eq!(plan.refusals(&[Permit::Append].into()).len(), 1);
    scene.survey.target.moved.insert(at, ["kferry-default".into()].into());
    assert!(refused(&scene.plan()).is_empty());
}

#[test]
fn too_few_replicas_for_an_append_are_predicted() {
    let mut created = Scene::new().topic("t", &[(0, 9)]).group("g", &[("t", 0, 4)]);
    created = created.source_configs("t", &[("min.insync.replicas", "2")]);
    assert!(refused(&created.plan()).is_empty(), "the target's factor is not known");
    created = created.broker_configs(&[("default.replication.factor", "1")]);
    assert_eq!(refused(&created.plan()), ["min_isr"]);
    assert_eq!(
        said(&created.plan(), WarningCode::MinIsr),
        [
            "t: min.insync.replicas of the new topic is 2, its replication factor only 1; set topics.replication_factor to 2"
        ]
    );
    let mut alone = created.clone();
    alone.survey.target.identity.brokers.pop_first();
    alone.survey.target.identity.brokers.pop_first();
    assert_eq!(
        said(&alone.plan(), WarningCode::MinIsr),
        [
            "t: min.insync.replicas of the new topic is 2, its replication factor only 1; the target has 1 broker, so create \
          it by hand: kafka-topics.sh --bootstrap-server broker.example:9094 --create --topic t --partitions 1 --config \
          message.timestamp.type=CreateTime --config min.insync.replicas=1"
        ]
    );
    let mut consumed = created.clone().group("g2", &[("t", 0, 9)]);
    consumed.selection.groups = filter(&["g2"], &[]);
    assert!(refused(&consumed.plan()).is_empty(), "nothing would be written there");
    created.topics.replication_factor = Some(2);
    assert!(refused(&created.plan()).is_empty());
    created.topics.replication_factor = Some(4);
    assert_eq!(refused(&created.plan()), ["create_refused"], "there are three brokers");

    let mut scene = waiting().target_configs("t", &[("min.insync.replicas", "2")]);
    assert!(refused(&scene.plan()).is_empty());
    scene.target("t").partitions.values_mut().for_each(|partition| partition.in_sync = 1);
    assert_eq!(
        said(&scene.plan(), WarningCode::MinIsr),
        [
            "t: min.insync.replicas is 2, but 1 of 3 replicas are in sync, in 1 partition; bring the target's brokers up, or \
          lower min.insync.replicas"
        ]
    );
}

#[test]
fn an_old_target_that_hides_its_replication_factor_cannot_create_by_default() {
    let mut scene = Scene::new().topic("t", &[(0, 9)]).group("g", &[("t", 0, 4)]);
    scene.survey.target.create_topics_version = 3;
    assert_eq!(refused(&scene.plan()), ["create_refused"]);
    scene = scene.broker_configs(&[("default.replication.factor", "2")]);
    let plan = scene.plan();
    assert!(refused(&plan).is_empty());
    assert_eq!(plan.create()[0].spec.replication_factor, 2);
}

#[test]
fn a_smaller_batch_limit_and_a_target_that_stamps_its_own_time_are_notes() {
    let scene = waiting()
        .source_configs("t", &[("max.message.bytes", "2097152"), ("cleanup.policy", "delete")])
        .target_configs(
            "t",
            &[
                ("max.message.bytes", "1048588"),
                ("message.timestamp.type", "LogAppendTime"),
                ("cleanup.policy", "compact"),
            ],
        );
    let plan = scene.plan();
    assert_eq!(
        said(&plan, WarningCode::BatchTooLarge),
        [
            "t: the source takes batches up to 2.0 MiB, the target up to 1.0 MiB: larger ones are split, a larger record is \
          refused; raise max.message.bytes of the target's topic to 2097152"
        ]
    );
    assert_eq!(said(&plan, WarningCode::TimestampsReplaced).len(), 1);
    assert_eq!(said(&plan, WarningCode::CompactedNullKey).len(), 1);
    assert!(refused(&plan).is_empty());
}

#[test]
fn an_old_message_format_stops_a_run_where_the_broker_heeds_it() {
    let configs = [("message.format.version", "0.10.2-IV0")];
    let broker = |protocol| {
        waiting().target_configs("t", &configs).broker_configs(&[("inter.broker.protocol.version", protocol)])
    };
    assert_eq!(refused(&broker("2.8-IV1").plan()), ["target_format"]);
    assert!(refused(&broker("3.9-IV0").plan()).is_empty(), "from 3.0 on it is ignored");
    assert!(refused(&waiting().target_configs("t", &configs).plan()).is_empty(), "nothing is concluded from nothing");
}

#[test]
fn the_life_of_offsets_and_small_buffers_are_told_where_they_are_known() {
    let mut scene =
        waiting().broker_configs(&[("offsets.retention.minutes", "10080"), ("socket.receive.buffer.bytes", "102400")]);
    assert!(said(&scene.plan(), WarningCode::SmallSocketBuffers).is_empty());
    scene.survey.target.round_trip = Some(Duration::from_millis(50));
    let plan = scene.plan();
    assert_eq!(
        said(&plan, WarningCode::OffsetsExpire),
        [
            "the target forgets the committed offsets of a group without consumers after 7 days; start the consumers there \
          before, or raise offsets.retention.minutes"
        ]
    );
    assert_eq!(
        said(&plan, WarningCode::SmallSocketBuffers),
        [
            "the target's socket.receive.buffer.bytes of 102,400 allows about 2.0 MB/s per connection at 50 ms; set it to -1 \
          on the target's brokers to let the operating system grow it"
        ]
    );
    scene.survey.target.round_trip = Some(Duration::from_micros(300));
    assert!(said(&scene.plan(), WarningCode::SmallSocketBuffers).is_empty());
}

#[test]
fn the_life_of_offsets_is_the_default_where_it_may_not_be_read() {
    for (produce_version, life) in [(13, "7 days"), (6, "7 days"), (5, "1 day")] {
        let mut scene = waiting();
        (scene.survey.target.broker_configs, scene.survey.target.produce_version) = (None, produce_version);
        let told = said(&scene.plan(), WarningCode::OffsetsExpire);
        assert!(told[0].contains(&format!("after {life}, by default;")), "Produce {produce_version}: {told:?}");
    }
}

#[test]
fn a_configuration_that_stays_behind_is_named() {
    let mut scene = Scene::new().topic("t", &[(0, 9)]).group("g", &[("t", 0, 4)]);
    scene = scene.source_configs("t", &[("remote.storage.enable", "true"), ("vendor.thing", "1")]);
    scene.survey.target.known_configs = Some(["retention.ms".to_owned()].into());
    assert_eq!(
        said(&scene.plan(), WarningCode::ConfigLeftOut),
        [
            "t: created without remote.storage.enable (it belongs to the source's tiered storage), vendor.thing (the target \
          does not know it)"
        ]
    );
}

#[test]
fn refusals_are_counted_by_code() {
    let scene = Scene::new()
        .topic("t", &[(0, 9), (0, 9), (0, 9)])
        .group("g", &[("t", 0, 1), ("t", 1, 1), ("t", 2, 1)])
        .there("t", &[(0, 4), (0, 5), (0, 6)]);
    let refusals = scene.plan().refusals(&BTreeSet::new());
    assert_eq!(
        refusals[0].to_string(),
        "not_empty: t/0: the target holds 4 records already; if an earlier run wrote them, use its --report FILE, \
         not --append (and 2 more); to go on all the same: --append"
    );
}

#[test]
fn a_cluster_is_not_copied_onto_itself() {
    let mut scene = example().there("test3", &[(0, 0)]);
    scene.survey.target.identity.id = scene.survey.source.identity.id.clone();
    assert!(refused(&scene.plan()).is_empty(), "an id is soon copied with a configuration file");

    let mut by_topic = scene.clone();
    (by_topic.source("test3").id, by_topic.target("test3").id) = (Some(TopicId([7; 16])), Some(TopicId([7; 16])));
    assert_eq!(refused(&by_topic.plan()), ["same_cluster"]);

    scene.survey.target.identity.brokers = scene.survey.source.identity.brokers.clone();
    assert_eq!(refused(&scene.plan()), ["same_cluster"]);
    (scene.survey.target.identity.id, scene.survey.source.identity.id) = (None, None);
    assert_eq!(refused(&scene.plan()), ["same_cluster"], "old brokers tell no id");
    scene.survey.target.identity.id = Some("another".to_owned());
    assert!(refused(&scene.plan()).is_empty());
}
