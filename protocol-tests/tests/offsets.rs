//! Counting what a copy would keep, and committing for groups while brokers refuse, forget or change their mind.

#![allow(clippy::expect_used, reason = "all of this file is tests and their helpers")]

use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use kferry::cluster::{Cluster, Options};
use kferry::copy::{LaneProblem, count_kept};
use kferry::kafka::{Offset, Side, Span, TopicPartition};
use kferry::migrate::groups;
use kferry::net::Tcp;
use kferry::offsets::{GroupOutcome, Moved, Outcome, Replaces};
use kferry::plan::facts::GroupKind;
use kferry::plan::{GroupCommit, GroupPlan, Warning};
use protocol_tests::broker::build::control_batch;
use protocol_tests::broker::faults::{Action, Rule};
use protocol_tests::broker::groups::{self as groups_of_broker, MAX_METADATA};
use protocol_tests::broker::legacy::message_set;
use protocol_tests::broker::serve::now_ms;
use protocol_tests::broker::{Codec, Embedded, NewRecord, Operation, RecordBatchBuilder, Version};

fn start(version: Version) -> Embedded {
    Embedded::start(version, 1).expect("an embedded cluster")
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

async fn connect(side: Side, at: &Embedded) -> Cluster {
    let bootstrap: Vec<_> = at.bootstrap().iter().map(|address| address.parse().expect("an address")).collect();
    Cluster::connect(side, Arc::new(Tcp), &bootstrap, Options::default()).await.expect("a cluster")
}

fn append(cluster: &Embedded, batch: Bytes) {
    assert!(cluster.with_core(|core| core.append("t", 0, batch)));
}

fn batch(records: usize) -> RecordBatchBuilder {
    RecordBatchBuilder::of(records, now_ms())
}

/// A cluster whose partition t/0 holds what `fill` writes.
fn filled(version: Version, fill: impl FnOnce(&Embedded)) -> Embedded {
    let cluster = start(version);
    cluster.with_core(|core| core.create_topic("t", 2, &[])).expect("a topic");
    fill(&cluster);
    cluster
}

fn counted(cluster: &Embedded, span: Span) -> Result<i64, LaneProblem> {
    run(async { count_kept(&connect(Side::Source, cluster).await, &TopicPartition::new("t", 0), span).await })
}

/// Offsets 0 to 3; 4 to 6 aborted, 7 their marker; 8 and 11 left of 8 to 12, empty up to 17; 18 to 20 committed, 21 their
/// marker; 22 and 23, which are large.
fn motley(cluster: &Embedded) {
    let left = |delta: i32| NewRecord { offset_delta: Some(delta), ..NewRecord::new(now_ms(), "k", "v") };
    let large = |n: i32| NewRecord::new(now_ms(), n.to_string(), vec![b'v'; 900_000]);
    append(cluster, batch(4).build());
    append(cluster, batch(3).producer(7, 0, 0).transactional().build());
    append(cluster, control_batch(7, 0, false, now_ms()));
    append(cluster, RecordBatchBuilder::new().records([left(0), left(3)]).base_offset(8).last_offset_delta(4).build());
    append(cluster, RecordBatchBuilder::new().base_offset(13).last_offset_delta(4).build());
    append(cluster, batch(3).base_offset(18).producer(8, 0, 0).transactional().build());
    append(cluster, control_batch(8, 0, true, now_ms()));
    append(cluster, RecordBatchBuilder::new().records([large(1), large(2)]).build());
    assert_eq!(cluster.with_core(|core| core.partition("t", 0).map(|found| found.log.end())), Some(24));
}

#[test]
fn every_stretch_of_a_log_holds_the_records_that_a_copy_keeps() {
    let cluster = filled(Version::V4_1, motley);
    let kept = [0, 1, 2, 3, 8, 11, 18, 19, 20, 22, 23];
    run(async {
        let (source, at) = (connect(Side::Source, &cluster).await, TopicPartition::new("t", 0));
        for start in 0..=24 {
            for end in start..=24 {
                let expected = kept.iter().filter(|offset| (start..end).contains(*offset)).count() as i64;
                let span = Span::new(start, end);
                assert_eq!(count_kept(&source, &at, span).await, Ok(expected), "{span}");
            }
        }
    });
}

#[test]
fn message_sets_of_old_formats_are_counted() {
    let cluster = filled(Version::V0_10, |cluster| {
        let records: Vec<NewRecord> = (0..5).map(|n| NewRecord::new(now_ms(), n.to_string(), "v")).collect();
        append(cluster, message_set(1, Codec::None, &records));
        append(cluster, message_set(1, Codec::Gzip, &records));
    });
    assert_eq!(counted(&cluster, Span::new(2, 8)), Ok(6));
    assert_eq!(counted(&cluster, Span::new(0, 10)), Ok(10));
}

#[test]
fn a_count_survives_cut_connections() {
    let cluster = filled(Version::V4_1, motley);
    cluster.with_core(|core| {
        core.faults.add(Rule::api(ApiKey::Fetch).times(2), Action::CutBefore);
        core.faults.add(Rule::api(ApiKey::Fetch).times(2), Action::CutAfter);
    });
    assert_eq!(counted(&cluster, Span::new(2, 24)), Ok(9));
}

/// No answer for read_committed goes past what the log cleaner emptied in front of an open transaction.
#[test]
fn a_stretch_that_was_emptied_up_to_an_open_transaction_is_counted() {
    let cluster = filled(Version::V4_1, |cluster| {
        append(cluster, batch(4).build());
        append(cluster, batch(3).base_offset(10).producer(7, 0, 0).transactional().build());
    });
    assert_eq!(counted(&cluster, Span::new(1, 10)), Ok(3));
}

#[test]
fn what_is_gone_or_damaged_is_not_counted() {
    let cluster = filled(Version::V4_1, motley);
    cluster.with_core(|core| core.set_log_start("t", 0, 5));
    let gone = LaneProblem::Expired { offset: Offset(2), log_start: Offset(5) };
    assert_eq!(counted(&cluster, Span::new(2, 24)), Err(gone));
    let damaged = filled(Version::V4_1, |cluster| {
        append(cluster, batch(4).build());
        let mut bytes = BytesMut::from(&batch(4).build()[..]);
        *bytes.last_mut().expect("a byte") ^= 1;
        append(cluster, bytes.freeze());
    });
    assert_eq!(counted(&damaged, Span::new(0, 3)), Ok(3));
    let refused = counted(&damaged, Span::new(0, 8));
    assert!(matches!(refused, Err(LaneProblem::Corrupt { offset: Offset(4), .. })), "{refused:?}");
}

/// A partition whose ten records all went to the same offsets.
fn whole(at: TopicPartition) -> Moved {
    Moved {
        at,
        source: Span::new(0, 10),
        log_start: Offset(0),
        high_watermark: Offset(10),
        target_start: Offset(0),
        records: 10,
        marks: Vec::new(),
        skipped: Vec::new(),
        proved: true,
    }
}

/// Both partitions of `t`, ten records each, all moved to the same offsets; groups have read a part of them.
struct Stage {
    source: Embedded,
    target: Embedded,
}

impl Stage {
    fn new(groups: &[&str]) -> Self {
        let [source, target] = [(); 2].map(|()| filled(Version::V4_1, |_| {}));
        source.with_core(|core| {
            for (group, partition) in groups.iter().flat_map(|group| [(group, 0), (group, 1)]) {
                core.commit(group, "t", partition, 4 + i64::from(partition));
            }
        });
        Self { source, target }
    }

    fn both(&self) -> Vec<Moved> {
        [0, 1].map(|partition| whole(TopicPartition::new("t", partition))).to_vec()
    }

    fn commit(&self, groups: &[&str]) -> Vec<GroupOutcome> {
        let (outcomes, warnings) = self.commit_all(groups, self.both());
        assert_eq!(warnings, []);
        outcomes
    }

    fn commit_all(&self, groups: &[&str], moved: Vec<Moved>) -> (Vec<GroupOutcome>, Vec<Warning>) {
        let planned = |group: &&str| {
            let at = TopicPartition::new("t", 0);
            let commit = GroupCommit { at, committed: Offset(4), unread: 6 };
            GroupPlan {
                id: (*group).into(),
                kind: GroupKind::Classic,
                state: None,
                members: None,
                commits: vec![commit],
            }
        };
        let plans: Vec<GroupPlan> = groups.iter().map(planned).collect();
        run(async {
            let (source, target) =
                (connect(Side::Source, &self.source).await, connect(Side::Target, &self.target).await);
            groups::commit(&source, &target, &plans, moved, Replaces::default()).await
        })
    }

    /// The outcomes of both partitions and the first one's reason.
    fn ended(&self) -> (Vec<Outcome>, String) {
        let outcomes = self.commit(&["g"]);
        let why = outcomes.iter().find_map(|ended| ended.why.clone()).unwrap_or_default();
        (outcomes.iter().map(|ended| ended.outcome).collect(), why)
    }

    fn there(&self) -> Vec<i64> {
        self.target.with_core(|core| {
            let offsets = core.groups.get("g").map(|group| group.offsets.values().map(|commit| commit.offset));
            offsets.map(Iterator::collect).unwrap_or_default()
        })
    }
}

#[test]
fn an_answer_that_got_lost_is_asked_for_again() {
    let stage = Stage::new(&["g"]);
    stage.target.with_core(|core| core.faults.add(Rule::api(ApiKey::OffsetCommit), Action::CutAfter));
    assert_eq!(stage.ended(), (vec![Outcome::Committed; 2], String::new()));
    assert_eq!(stage.there(), [4, 5]);
}

#[test]
fn a_group_that_becomes_active_after_it_was_looked_at_is_told_as_such() {
    let stage = Stage::new(&["g"]);
    stage.target.with_core(|core| {
        core.commit("g", "other", 0, 0);
        // The coordinator answers the commit as it would with members: it names none of them.
        let named = Action::request(|body| {
            let mut body = BytesMut::from(&body[..]);
            body[2..6].copy_from_slice(&3_i32.to_be_bytes());
            body.freeze()
        });
        core.faults.add(Rule::api(ApiKey::OffsetCommit), named);
    });
    assert_eq!(stage.ended(), (vec![Outcome::Active; 2], "the group has just got members on the target".to_owned()));
    assert_eq!(stage.there(), [0], "the commit that was there");
}

/// A transaction whose application is gone keeps the next offset from being decided (KIP-447).
#[test]
fn a_commit_that_stays_undecided_leaves_the_one_before_and_a_warning() {
    let stage = Stage::new(&["g"]);
    stage.source.with_core(|core| {
        let pending = core.groups.entry("g").pending.entry(7).or_default();
        let (offset, leader_epoch, metadata) = (9, -1, String::new());
        let next = groups_of_broker::Committed { offset, leader_epoch, metadata, at: now_ms() };
        pending.insert(("t".to_owned(), 1), next);
    });
    let (outcomes, warnings) = stage.commit_all(&["g"], stage.both());
    assert!(outcomes.iter().all(|ended| ended.outcome == Outcome::Committed), "{outcomes:?}");
    assert_eq!(stage.there(), [4, 5]);
    let said: Vec<String> = warnings.iter().map(|warning| format!("{} {warning}", warning.code)).collect();
    assert_eq!(
        said,
        [
            "open_transaction t/1: group g: an open transaction holds its next offset: the last decided one counts; end the \
             transaction on the source, and run again to move the group on"
        ]
    );
}

#[test]
fn what_follows_a_refused_part_of_a_large_group_is_not_sent() {
    let stage = Stage::new(&["g"]);
    let large = |offset: i64| groups_of_broker::Committed {
        offset,
        leader_epoch: -1,
        metadata: "m".repeat(MAX_METADATA),
        at: now_ms(),
    };
    let partitions = 200;
    for cluster in [&stage.source, &stage.target] {
        cluster.with_core(|core| core.create_topic("u", partitions, &[])).expect("a topic");
    }
    stage.source.with_core(|core| (0..partitions).for_each(|at| core.groups.commit("g", "u", at, large(0))));
    let others = (0..partitions).map(|at| Moved {
        source: Span::new(0, 0),
        high_watermark: Offset(0),
        records: 0,
        ..whole(TopicPartition::new("u", at))
    });
    stage.target.with_core(|core| {
        core.access.deny(Operation::ReadTopic, "t");
        core.faults.add(Rule::api(ApiKey::OffsetCommit).after(1).times(u32::MAX), Action::Raw(Bytes::new()));
    });
    let (outcomes, _) = stage.commit_all(&["g"], stage.both().into_iter().chain(others).collect());
    let why = |topic: &str| -> Vec<&str> {
        let of = outcomes.iter().filter(|ended| ended.at.topic.as_str() == topic);
        of.map(|ended| ended.why.as_deref().unwrap_or_default()).collect()
    };
    assert!(why("t").iter().all(|why| why.contains("TOPIC_AUTHORIZATION_FAILED")), "{:?}", why("t"));
    let (first, rest): (Vec<&str>, Vec<&str>) = why("u").into_iter().partition(|why| why.is_empty());
    assert!((100..130).contains(&first.len()), "{} went with the first part", first.len());
    assert_eq!(first.len() + rest.len(), 200);
    assert!(rest.iter().all(|why| *why == "not sent, as others of the group were refused"), "{rest:?}");
}

#[test]
fn what_may_not_be_read_or_written_fails_with_what_to_grant() {
    for (on_source, operation, name) in [
        (true, Operation::DescribeGroup, "g"),
        (false, Operation::DescribeGroup, "g"),
        (false, Operation::ReadGroup, "g"),
        (false, Operation::ReadTopic, "t"),
    ] {
        let stage = Stage::new(&["g"]);
        let cluster = if on_source { &stage.source } else { &stage.target };
        cluster.with_core(|core| core.access.deny(operation, name));
        let (outcomes, why) = stage.ended();
        assert_eq!(outcomes, [Outcome::Failed; 2], "{operation:?}");
        assert!(why.contains("AUTHORIZATION_FAILED") && why.contains("grant kferry's user"), "{operation:?}: {why}");
        assert!(stage.there().is_empty(), "{operation:?}");
    }
}

#[test]
fn many_groups_take_one_commit_each_and_are_looked_at_together() {
    let names: Vec<String> = (0..120).map(|number| format!("g{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let stage = Stage::new(&names);
    let requests: Arc<Mutex<Vec<ApiKey>>> = Arc::default();
    for cluster in [&stage.source, &stage.target] {
        let requests = Arc::clone(&requests);
        cluster.with_core(|core| {
            core.faults.hook(move |call, _| {
                requests.lock().expect("requests").push(call.api);
                None
            });
        });
    }
    let outcomes = stage.commit(&names);
    assert_eq!(outcomes.iter().filter(|ended| ended.outcome == Outcome::Committed).count(), 240);
    let requests = requests.lock().expect("requests");
    let count = |api| requests.iter().filter(|seen| **seen == api).count();
    assert_eq!(count(ApiKey::OffsetCommit), 120);
    assert_eq!((count(ApiKey::OffsetFetch), count(ApiKey::DescribeGroups)), (6, 3));
}
