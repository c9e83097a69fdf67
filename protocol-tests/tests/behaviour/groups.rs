//! Where the groups go on: their commits of the source translated and committed on the target, or why not. The target is
//! filled by hand, as a run would fill it, so that these scenarios are about the groups alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use kferry::cluster::{Cluster, Options};
use kferry::kafka::{Offset, Side, Span, TopicPartition};
use kferry::migrate::groups;
use kferry::net::Tcp;
use kferry::offsets::{GroupOutcome, Moved, Outcome, Replaces};
use kferry::plan::facts::GroupKind;
use kferry::plan::{GroupCommit, GroupPlan};
use kferry::state::Place;
use protocol_tests::lab::hand::End;
use protocol_tests::lab::{Lab, Record, Scenario, Site, Topic, Version};
use protocol_tests::{lab, on_a_pair};
use serde_json::json;

use super::plan::{V0_11, records};

pub(super) fn scenarios() -> Vec<Scenario> {
    let with_batches = on_a_pair!["groups":
        a_mark_is_exact_wherever_it_lies,
        a_commit_that_moved_is_counted,
        a_commit_whose_records_are_gone_is_uncovered_and_holds_its_group,
        a_log_that_lost_records_since_the_copy_is_not_counted,
        an_expired_commit_goes_to_the_start_and_one_at_the_end_to_the_end,
    ];
    let by_java = on_a_pair!["groups": a_group_that_kafka_s_own_client_holds_is_active];
    let modern = on_a_pair!["groups": a_group_of_the_consumer_protocol_goes_on_where_it_was];
    on_a_pair!["groups":
        a_partition_that_had_nothing_to_move_goes_on_at_the_target_s_end,
        another_commit_stays_unless_it_may_be_replaced,
        a_commit_of_an_earlier_run_goes_forward_and_never_back,
        a_group_with_members_is_active_until_they_leave,
        a_partition_that_is_not_verified_holds_its_group,
        a_group_that_takes_more_than_one_request_is_committed_whole,
        a_topic_that_is_gone_on_the_target_is_a_failure_in_its_words,
    ]
    .into_iter()
    .chain(with_batches.into_iter().map(|scenario| scenario.since(V0_11)))
    .chain(
        modern.into_iter().map(|scenario| scenario.since(Version::of(4, 0, 0))).chain(by_java).map(Scenario::with_java),
    )
    .collect()
}

/// A topic on both sides, and what its records became.
struct Stage<'a> {
    lab: &'a Lab<'a>,
    topic: Topic,
    moved: Vec<Moved>,
}

impl<'a> Stage<'a> {
    /// The same empty topic on both sides.
    fn new(lab: &'a Lab<'a>, stem: &str, partitions: i32) -> Self {
        let topic = lab.source.new_topic(stem, partitions, &[]);
        lab.target.create_topic(&topic, partitions, &[]);
        Self { lab, topic, moved: Vec::new() }
    }

    /// Moves what a consumer of the source is shown of a partition from `start` on, behind `before` records that are on
    /// the target already; `marks` are the places that the lane keeps.
    fn move_from(&mut self, partition: i32, start: i64, before: usize, marks: &[i64]) {
        let Self { lab, topic, .. } = self;
        let (log_start, end) = lab.source.bounds(topic, partition);
        let shown = lab.source.read_committed(topic, partition).into_iter();
        let shown: Vec<Record> = shown.filter(|record| record.offset >= start).collect();
        for part in [&records(before), &shown].into_iter().filter(|part| !part.is_empty()) {
            lab.target.write(topic, partition, part);
        }
        let before = i64::try_from(before).unwrap();
        let place = |mark: &i64| {
            let kept = shown.iter().filter(|record| record.offset < *mark).count();
            Place { source: Offset(*mark), target: Offset(before).plus(i64::try_from(kept).unwrap()) }
        };
        self.moved.push(Moved {
            at: TopicPartition::new(self.topic.name.as_str(), partition),
            source: Span::new(start, end),
            log_start: Offset(log_start),
            high_watermark: Offset(end),
            target_start: Offset(before),
            records: i64::try_from(shown.len()).unwrap(),
            marks: marks.iter().map(place).collect(),
            skipped: Vec::new(),
            proved: true,
        });
    }

    /// Commits on the source for a new group, with a string of its own.
    fn group(&self, commits: &[(i32, i64)]) -> String {
        let group = Topic::unique("group").name;
        for &(partition, offset) in commits {
            self.lab.source.commit_with(&group, &self.topic, partition, offset, &string(offset));
        }
        group
    }

    fn commit(&self, groups: &[&str], replaces: Replaces) -> Vec<GroupOutcome> {
        let plans: Vec<GroupPlan> = groups.iter().map(|group| plan(group, &self.topic)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (outcomes, warnings) = runtime.block_on(async {
            let source = connect(Side::Source, self.lab.source).await;
            let target = connect(Side::Target, self.lab.target).await;
            groups::commit(&source, &target, &plans, self.moved.clone(), replaces).await
        });
        assert_eq!(warnings, []);
        outcomes
    }

    /// What became of one group's commits: partition, outcome, target offset.
    fn ended(&self, group: &str, overwrite: bool) -> Vec<(i32, Outcome, Option<i64>)> {
        self.replaced(group, Replaces { own: false, others: overwrite })
    }

    fn replaced(&self, group: &str, replaces: Replaces) -> Vec<(i32, Outcome, Option<i64>)> {
        let outcomes = self.commit(&[group], replaces);
        outcomes.iter().map(|end| (end.at.partition.get(), end.outcome, end.target.map(Offset::get))).collect()
    }

    /// The group's commit on the target: offset and string.
    fn there(&self, group: &str, partition: i32) -> Option<(i64, String)> {
        let committed = self.lab.target.committed(group);
        let commit = committed.get(&(self.topic.name.clone(), partition))?;
        Some((commit.offset, commit.metadata.clone()))
    }

    /// The group is committed at the target's first record that it has not read, with its string.
    #[track_caller]
    fn goes_on(&self, group: &str, partition: i32, committed: i64) {
        let [source, target] =
            [self.lab.source, self.lab.target].map(|site| site.read_committed(&self.topic, partition));
        let (offset, metadata) = self.there(group, partition).expect("a commit");
        assert_eq!(metadata, string(committed), "{committed}");
        let unread = |records: &[Record], from: i64| -> Vec<Record> {
            let unread = records.iter().filter(|record| record.offset >= from).cloned();
            unread.map(|record| Record { append_time: false, ..record.at(0) }).collect()
        };
        assert_eq!(unread(&target, offset), unread(&source, committed), "committed at {committed}, there at {offset}");
    }
}

/// What is committed beside an offset.
fn string(offset: i64) -> String {
    format!("stream time of {offset}")
}

fn plan(group: &str, topic: &Topic) -> GroupPlan {
    let at = TopicPartition::new(topic.name.as_str(), 0);
    let commit = GroupCommit { at, committed: Offset(0), unread: 0 };
    GroupPlan { id: group.into(), kind: GroupKind::Classic, state: None, members: None, commits: vec![commit] }
}

async fn connect(side: Side, site: &Site) -> Cluster {
    let bootstrap: Vec<_> = site.bootstrap().split(',').map(|address| address.parse().expect("an address")).collect();
    Cluster::connect(side, Arc::new(Tcp), &bootstrap, Options::default()).await.expect("a cluster")
}

/// Partition 0 holds a batch (0 to 3), an aborted transaction (4 to 6) with its marker (7), a committed one (8 to 12) with
/// its marker (13), and a batch (14 to 16).
fn transactions(lab: &Lab<'_>, topic: &Topic) {
    let id = &topic.name;
    lab.source.write(topic, 0, &numbered(0..4));
    lab.source.write_in_transaction(id, End::Abort, topic, 0, &numbered(4..7));
    lab.source.write_in_transaction(id, End::Commit, topic, 0, &numbered(8..13));
    lab.source.write(topic, 0, &numbered(14..17));
    assert_eq!(lab.source.bounds(topic, 0), (0, 17));
}

/// Records that say at which offset they are to lie.
fn numbered(offsets: std::ops::Range<i64>) -> Vec<Record> {
    offsets.map(|offset| Record::new(lab::wait::now_ms(), format!("{offset}"), "value")).collect()
}

fn a_mark_is_exact_wherever_it_lies(lab: &Lab<'_>) {
    let mut stage = Stage::new(lab, "marks", 1);
    transactions(lab, &stage.topic);
    // Inside a batch, at the aborted records, inside them, at markers, inside a transaction, at the end.
    let marks = [1, 2, 4, 5, 7, 8, 10, 13, 14, 17];
    stage.move_from(0, 1, 3, &marks);
    let groups = marks.map(|mark| (stage.group(&[(0, mark)]), mark));
    let names: Vec<&str> = groups.iter().map(|(group, _)| group.as_str()).collect();
    let outcomes = stage.commit(&names, Replaces::default());
    assert_eq!(outcomes.iter().filter(|end| end.outcome == Outcome::Committed).count(), marks.len(), "{outcomes:#?}");
    for (group, mark) in &groups {
        stage.goes_on(group, 0, *mark);
    }
    // What is there already is not written again.
    assert_eq!(stage.commit(&names, Replaces { own: true, others: true }), outcomes);
}

fn a_commit_that_moved_is_counted(lab: &Lab<'_>) {
    let mut stage = Stage::new(lab, "moved", 1);
    transactions(lab, &stage.topic);
    stage.move_from(0, 1, 2, &[8]);
    // No place tells these: the stretches around them hold what was not copied.
    let commits = [2, 3, 5, 7, 9, 12, 13, 16];
    let groups = commits.map(|commit| (stage.group(&[(0, commit)]), commit));
    let names: Vec<&str> = groups.iter().map(|(group, _)| group.as_str()).collect();
    let outcomes = stage.commit(&names, Replaces::default());
    let ends: BTreeSet<Outcome> = outcomes.iter().map(|end| end.outcome).collect();
    assert_eq!(ends, [Outcome::Committed].into(), "{outcomes:#?}");
    for (group, commit) in &groups {
        stage.goes_on(group, 0, *commit);
    }
}

fn a_commit_whose_records_are_gone_is_uncovered_and_holds_its_group(lab: &Lab<'_>) {
    let mut stage = Stage::new(lab, "gone", 2);
    transactions(lab, &stage.topic);
    lab.source.write(&stage.topic, 1, &records(5));
    stage.move_from(0, 1, 0, &[8]);
    stage.move_from(1, 0, 0, &[]);
    let (counted, marked) = (stage.group(&[(0, 5), (1, 3)]), stage.group(&[(0, 8), (1, 3)]));
    lab.source.delete_records(&stage.topic, 0, 3);
    let outcomes = stage.commit(&[&counted, &marked], Replaces::default());
    let ends: Vec<_> = outcomes.iter().map(|end| (end.outcome, end.target.map(Offset::get))).collect();
    assert_eq!(
        ends,
        [
            (Outcome::Uncovered, None),
            (Outcome::Failed, Some(3)),
            (Outcome::Committed, Some(3)),
            (Outcome::Committed, Some(3))
        ],
        "{outcomes:#?}"
    );
    let why = outcomes[0].why.as_deref().unwrap_or_default();
    assert!(why.contains("source offset 1 is gone: the source's log now starts at 3"), "{why}");
    assert!(lab.target.committed(&counted).is_empty(), "never half a group");
}

/// As where the log cleaner worked between the copy and the count.
fn a_log_that_lost_records_since_the_copy_is_not_counted(lab: &Lab<'_>) {
    let mut stage = Stage::new(lab, "cleaned", 1);
    transactions(lab, &stage.topic);
    stage.move_from(0, 0, 0, &[]);
    stage.moved[0].records += 1;
    let group = stage.group(&[(0, 9)]);
    let outcomes = stage.commit(&[&group], Replaces::default());
    assert_eq!(outcomes[0].outcome, Outcome::Uncovered, "{outcomes:#?}");
    let why = outcomes[0].why.as_deref().unwrap_or_default();
    assert_eq!(why, "source offsets [0, 17) held 13 records when they were copied, and hold 12 now");
    assert!(lab.target.committed(&group).is_empty());
}

fn an_expired_commit_goes_to_the_start_and_one_at_the_end_to_the_end(lab: &Lab<'_>) {
    let mut stage = Stage::new(lab, "edges", 3);
    for partition in 0..3 {
        lab.source.write(&stage.topic, partition, &records(10));
    }
    let group = stage.group(&[(0, 2), (1, 10), (2, 11)]);
    lab.source.delete_records(&stage.topic, 0, 4);
    for partition in 0..3 {
        stage.move_from(partition, 4, 3, &[]);
    }
    let expected = [(0, Outcome::Committed, Some(3)), (1, Outcome::Committed, Some(9)), (2, Outcome::None, None)];
    assert_eq!(stage.ended(&group, false), expected);
    assert_eq!(stage.there(&group, 0), Some((3, string(2))));
    assert_eq!(stage.there(&group, 1), Some((9, string(10))));
    assert_eq!(stage.there(&group, 2), None, "the group's own policy decides");
}

fn a_partition_that_had_nothing_to_move_goes_on_at_the_target_s_end(lab: &Lab<'_>) {
    let mut stage = Stage::new(lab, "read", 3);
    lab.source.write(&stage.topic, 0, &records(6));
    lab.source.write(&stage.topic, 1, &records(6));
    stage.move_from(0, 6, 4, &[]);
    stage.move_from(1, 0, 0, &[]);
    stage.move_from(2, 0, 0, &[]); // an empty log
    let group = stage.group(&[(0, 6), (1, 2), (2, 0)]);
    let expected =
        [(0, Outcome::Committed, Some(4)), (1, Outcome::Committed, Some(2)), (2, Outcome::Committed, Some(0))];
    assert_eq!(stage.ended(&group, false), expected);
    assert_eq!(stage.there(&group, 0), Some((4, string(6))));
    assert_eq!(stage.there(&group, 2), Some((0, string(0))));
}

fn another_commit_stays_unless_it_may_be_replaced(lab: &Lab<'_>) {
    let mut stage = Stage::new(lab, "kept", 2);
    for partition in [0, 1] {
        lab.source.write(&stage.topic, partition, &records(10));
        stage.move_from(partition, 2, 5, &[]);
    }
    let group = stage.group(&[(0, 4), (1, 4)]);
    lab.target.commit(&group, &stage.topic, 0, 1);
    let expected = [(0, Outcome::Kept, Some(7)), (1, Outcome::Committed, Some(7))];
    assert_eq!(stage.ended(&group, false), expected);
    assert_eq!(stage.there(&group, 0), Some((1, String::new())));
    assert_eq!(stage.there(&group, 1), Some((7, string(4))));
    let expected = [(0, Outcome::Committed, Some(7)), (1, Outcome::Committed, Some(7))];
    assert_eq!(stage.ended(&group, true), expected);
    stage.goes_on(&group, 0, 4);
}

fn a_commit_of_an_earlier_run_goes_forward_and_never_back(lab: &Lab<'_>) {
    let mut stage = Stage::new(lab, "forward", 1);
    lab.source.write(&stage.topic, 0, &records(10));
    stage.move_from(0, 0, 3, &[]);
    let group = stage.group(&[(0, 4)]);
    assert_eq!(stage.ended(&group, false), [(0, Outcome::Committed, Some(7))]);
    lab.source.commit_with(&group, &stage.topic, 0, 9, &string(9));
    assert_eq!(stage.ended(&group, false), [(0, Outcome::Kept, Some(12))], "only for an extension");
    let extended = |others| stage.replaced(&group, Replaces { own: true, others });
    assert_eq!(extended(false), [(0, Outcome::Committed, Some(12))]);
    stage.goes_on(&group, 0, 9);
    lab.source.commit_with(&group, &stage.topic, 0, 5, &string(5));
    assert_eq!([false, true].map(extended), [[(0, Outcome::Kept, Some(8))], [(0, Outcome::Kept, Some(8))]]);
    stage.goes_on(&group, 0, 9);
    assert_eq!(stage.ended(&group, true), [(0, Outcome::Committed, Some(8))], "the operator wants it so");
    stage.goes_on(&group, 0, 5);
}

fn a_group_with_members_is_active_until_they_leave(lab: &Lab<'_>) {
    let mut stage = Stage::new(lab, "active", 2);
    for partition in [0, 1] {
        lab.source.write(&stage.topic, partition, &records(4));
        stage.move_from(partition, 0, 3, &[]);
    }
    let group = stage.group(&[(0, 1), (1, 2)]);
    // Kafka's own client does not stay in a group without offsets.
    for partition in [0, 1] {
        lab.target.commit(&group, &stage.topic, partition, 0);
    }
    let held = lab.target.hold(&group, &stage.topic);
    let expected = [(0, Outcome::Active, Some(4)), (1, Outcome::Active, Some(5))];
    assert_eq!(stage.ended(&group, true), expected);
    assert_eq!([0, 1].map(|partition| stage.there(&group, partition)), [0, 1].map(|_| Some((0, String::new()))));
    drop(held);
    let expected = [(0, Outcome::Committed, Some(4)), (1, Outcome::Committed, Some(5))];
    assert_eq!(stage.ended(&group, true), expected);
    stage.goes_on(&group, 0, 1);
    // Its consumers may work there from now on.
    let held = lab.target.hold(&group, &stage.topic);
    assert_eq!(stage.ended(&group, false), expected);
    drop(held);
}

/// By the consumer protocol (KIP-848) where the target has it.
fn a_group_that_kafka_s_own_client_holds_is_active(lab: &Lab<'_>) {
    let mut stage = Stage::new(lab, "client", 1);
    lab.source.write(&stage.topic, 0, &records(4));
    stage.move_from(0, 0, 2, &[]);
    let group = stage.group(&[(0, 3)]);
    lab.target.commit(&group, &stage.topic, 0, 0);
    let member = json!({ "group": group, "member": stage.topic.name });
    let mut join = member.clone();
    join["topics"] = json!([stage.topic.name]);
    if lab.target.version() >= Version::of(4, 0, 0) {
        join["config"] = json!({ "group.protocol": "consumer" });
    }
    let java = lab.target.java();
    java.ask_newest("join", join);
    assert_eq!(stage.ended(&group, true), [(0, Outcome::Active, Some(5))]);
    java.ask_newest("leave", member);
    assert_eq!(stage.ended(&group, true), [(0, Outcome::Committed, Some(5))]);
    stage.goes_on(&group, 0, 3);
}

/// KIP-848 on both sides: Kafka's own client reads on where it had stopped.
fn a_group_of_the_consumer_protocol_goes_on_where_it_was(lab: &Lab<'_>) {
    let mut stage = Stage::new(lab, "modern", 1);
    lab.source.write(&stage.topic, 0, &records(6));
    let group = Topic::unique("group").name;
    let name = stage.topic.name.clone();
    let config = json!({ "group.protocol": "consumer", "auto.offset.reset": "earliest" });
    let consume = |site: &Site, count: usize| -> Vec<Record> {
        let topics = [&name];
        let asked = json!({ "group": group, "topics": topics, "count": count, "commit": true, "config": config });
        let answer = site.java().ask_newest("consume", asked);
        answer["records"].as_array().expect("records").iter().map(Record::from_json).collect()
    };
    assert_eq!(consume(lab.source, 4).len(), 4);
    let left = lab.source.read_range(&stage.topic, 0, 4, 6);
    stage.move_from(0, 4, 2, &[]);
    assert_eq!(stage.ended(&group, false), [(0, Outcome::Committed, Some(2))]);
    let read: Vec<Record> = consume(lab.target, 2).into_iter().zip(4..).map(|(record, at)| record.at(at)).collect();
    assert_eq!(read, left);
}

fn a_partition_that_is_not_verified_holds_its_group(lab: &Lab<'_>) {
    let mut stage = Stage::new(lab, "unproved", 2);
    for partition in [0, 1] {
        lab.source.write(&stage.topic, partition, &records(4));
        stage.move_from(partition, 0, 0, &[]);
    }
    stage.moved[1].proved = false;
    let (both, one) = (stage.group(&[(0, 1), (1, 2)]), stage.group(&[(0, 1)]));
    assert_eq!(stage.ended(&both, false), [(0, Outcome::Failed, Some(1)), (1, Outcome::Failed, None)]);
    assert!(lab.target.committed(&both).is_empty(), "never half a group");
    assert_eq!(stage.ended(&one, false), [(0, Outcome::Committed, Some(1)), (1, Outcome::None, None)]);
}

/// Brokers refuse all of a request that takes about a megabyte in their offsets topic.
fn a_group_that_takes_more_than_one_request_is_committed_whole(lab: &Lab<'_>) {
    const PARTITIONS: i32 = 270;
    let mut stage = Stage::new(lab, "large", PARTITIONS);
    let group = Topic::unique("group").name;
    let metadata = "m".repeat(4_000);
    for partition in 0..PARTITIONS {
        lab.source.commit_with(&group, &stage.topic, partition, 0, &metadata);
        stage.moved.push(Moved {
            at: TopicPartition::new(stage.topic.name.as_str(), partition),
            source: Span::new(0, 0),
            log_start: Offset(0),
            high_watermark: Offset(0),
            target_start: Offset(i64::from(partition)),
            records: 0,
            marks: Vec::new(),
            skipped: Vec::new(),
            proved: true,
        });
    }
    let ended = stage.ended(&group, false);
    let wrong =
        ended.iter().filter(|(at, outcome, target)| (*outcome, *target) != (Outcome::Committed, Some(i64::from(*at))));
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<&(i32, Outcome, Option<i64>)>::new());
    let there = lab.target.committed(&group);
    assert_eq!(there.len(), usize::try_from(PARTITIONS).unwrap());
    assert!(there.iter().all(|((_, at), commit)| (commit.offset, &commit.metadata) == (i64::from(*at), &metadata)));
}

fn a_topic_that_is_gone_on_the_target_is_a_failure_in_its_words(lab: &Lab<'_>) {
    let mut stage = Stage::new(lab, "deleted", 1);
    lab.source.write(&stage.topic, 0, &records(4));
    stage.move_from(0, 0, 0, &[]);
    let group = stage.group(&[(0, 1)]);
    lab.target.delete_topic(&stage.topic);
    let outcomes = stage.commit(&[&group], Replaces::default());
    assert_eq!(outcomes[0].outcome, Outcome::Failed, "{outcomes:#?}");
    let why = outcomes[0].why.as_deref().unwrap_or_default();
    assert!(why.contains("UNKNOWN_TOPIC_OR_PARTITION"), "{why}");
}
