use super::*;
use crate::batch::testing::{batch, some_models};
use crate::batch::{BatchHeader, Codec, Entry};
use crate::kafka::GroupId;
use bytes::BufMut;
use std::collections::BTreeMap;

fn groups(ids: &[&str]) -> Vec<GroupId> {
    ids.iter().map(|id| GroupId::from(*id)).collect()
}

fn is_send<T: Send>(value: T) -> T {
    value
}

/// Callers run these in tasks of their own.
#[tokio::test(start_paused = true)]
async fn every_call_can_move_between_threads() {
    let script = Script::new(|asked| match asked.api {
        API_VERSIONS => versions(asked, &SPOKEN),
        _ => metadata(&[]),
    });
    let cluster = script.connect().await;
    drop(is_send(cluster.metadata(None)));
    drop(is_send(cluster.leader(&at(0))));
    drop(is_send(cluster.list_groups()));
    drop(is_send(cluster.describe_groups(&[])));
    drop(is_send(cluster.committed(&[])));
    drop(is_send(cluster.list_offsets(Edge::Latest, &[])));
    drop(is_send(cluster.find_offsets(Moment::Newest, &[])));
    drop(is_send(cluster.peek(&[], header)));
    drop(is_send(cluster.topic_configs(&[], None)));
    drop(is_send(cluster.broker_configs()));
    drop(is_send(cluster.create_topics(&[], true)));
    drop(is_send(cluster.init_producer_id()));
    let (group, member) = (GroupId::from("g"), MemberOf { id: String::new(), generation: 1 });
    drop(is_send(cluster.commit_offsets(&group, None, &[])));
    drop(is_send(cluster.heartbeat(&group, &member, Duration::ZERO)));
}

#[tokio::test(start_paused = true)]
async fn a_moved_coordinator_is_followed() {
    let script = Script::new(|asked| match (asked.api, asked.port) {
        (API_VERSIONS, _) => versions(asked, &SPOKEN),
        (METADATA, _) => metadata(&[]),
        (FIND_COORDINATOR, _) => coordinator(if asked.before == 0 { 1 } else { 2 }),
        (_, 101) => commit(ErrorCode::NONE, ErrorCode::NOT_COORDINATOR),
        _ => commit(ErrorCode::NONE, ErrorCode::NONE),
    });
    let commits = script.connect().await.committed(&groups(&["g"])).await;
    let expected =
        Committed { at: at(0), offset: Offset(7), leader_epoch: None, metadata: String::new(), stable: true };
    assert_eq!(commits[&GroupId::from("g")], Ok(vec![expected]));
    assert_eq!((script.count(Some(101), OFFSET_FETCH), script.count(Some(102), OFFSET_FETCH)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn many_groups_are_asked_for_without_waiting_for_each_other() {
    let script = Script::new(|asked| match asked.api {
        API_VERSIONS => versions(asked, &SPOKEN),
        METADATA => metadata(&[]),
        FIND_COORDINATOR => coordinator(1),
        _ => commit(ErrorCode::NONE, ErrorCode::NONE),
    });
    let cluster = script.connect().await;
    let ids: Vec<_> = (0..1_000).map(|id| GroupId::from(format!("g{id}"))).collect();
    let commits = cluster.committed(&ids).await;
    assert_eq!(commits.values().filter(|commits| commits.as_ref().is_ok_and(|list| list.len() == 1)).count(), 1_000);
    assert_eq!(script.count(None, OFFSET_FETCH), 1_000, "one group per request in version 2");
}

#[tokio::test(start_paused = true)]
async fn a_group_that_may_not_be_read_fails_alone() {
    let script = Script::new(|asked| match asked.api {
        API_VERSIONS => versions(asked, &SPOKEN),
        METADATA => metadata(&[]),
        FIND_COORDINATOR => coordinator(1),
        _ if asked.before == 0 => commit(ErrorCode::NONE, ErrorCode::GROUP_AUTHORIZATION_FAILED),
        _ => commit(ErrorCode::NONE, ErrorCode::NONE),
    });
    let commits = script.connect().await.committed(&groups(&["a", "b"])).await;
    let error = commits[&GroupId::from("a")].as_ref().expect_err("denied");
    assert_eq!(
        error.to_string(),
        "cannot read the committed offsets of group a from the source's broker 1 (kafka:101): GROUP_AUTHORIZATION_FAILED"
    );
    assert!(commits[&GroupId::from("b")].is_ok());
}

/// Metadata version 1 as brokers of 0.10.0 have it: broker 1, and topic t of so many partitions.
fn old_metadata(partitions: i32) -> Reply {
    let mut out = Vec::new();
    out.put_i32(1);
    out.put_i32(1);
    text(&mut out, "kafka");
    out.put_i32(101);
    out.put_i16(-1);
    out.put_i32(1);
    out.put_i32(1);
    out.put_i16(0);
    text(&mut out, "t");
    out.put_u8(0);
    out.put_i32(partitions);
    for partition in 0..partitions {
        out.put_i16(0);
        out.put_i32(partition);
        out.put_i32(1);
        out.put_slice(&[0; 8]); // no replicas
    }
    Reply::Body(out)
}

/// OffsetFetch version 1: a commit at 7 on the first partition of so many, none on the second, the third may not be seen.
fn old_commits() -> Reply {
    let mut out = Vec::new();
    out.put_i32(1);
    text(&mut out, "t");
    out.put_i32(3);
    let none = ErrorCode::NONE;
    for (partition, offset, error) in [(0, 7, none), (1, -1, none), (2, -1, ErrorCode::TOPIC_AUTHORIZATION_FAILED)] {
        out.put_i32(partition);
        out.put_i64(offset);
        text(&mut out, "");
        out.put_i16(error.0);
    }
    Reply::Body(out)
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_must_be_told_the_partitions_is_asked_about_all_of_them() {
    const OLD: [(i16, i16); 3] = [(METADATA, 1), (OFFSET_FETCH, 1), (FIND_COORDINATOR, 0)];
    let script = Script::new(|asked| match asked.api {
        API_VERSIONS => versions(asked, &OLD),
        METADATA => old_metadata(9_000),
        FIND_COORDINATOR => coordinator(1),
        _ => old_commits(),
    });
    let commits = script.connect().await.committed(&groups(&["g"])).await;
    let list = commits[&GroupId::from("g")].as_ref().expect("commits");
    assert!(list.iter().all(|commit| (commit.at.partition.0, commit.offset) == (0, Offset(7))), "{list:?}");
    assert_eq!(script.count(None, OFFSET_FETCH), 3, "4,000 partitions in a request");
}

/// OffsetFetch version 7: t/0 with an error, or a commit at 7; t/1 with a commit at 8.
fn stable_commit(error: ErrorCode) -> Reply {
    let mut out = vec![0]; // the header's tags
    out.put_i32(0);
    out.put_slice(&[2, 2, b't', 3]);
    for (partition, error, offset) in [(0, error, 7), (1, ErrorCode::NONE, 8)] {
        out.put_i32(partition);
        out.put_i64(if error == ErrorCode::NONE { offset } else { -1 });
        out.put_i32(-1);
        out.put_u8(0);
        out.put_i16(error.0);
        out.put_u8(0);
    }
    out.put_u8(0);
    out.put_i16(0);
    out.put_u8(0);
    Reply::Body(out)
}

#[tokio::test(start_paused = true)]
async fn a_commit_of_a_transaction_that_stays_open_is_waited_for_then_marked() {
    let spoken = SPOKEN.map(|(api, version)| (api, if api == OFFSET_FETCH { 7 } else { version }));
    let script = Script::new(move |asked| match asked.api {
        API_VERSIONS => versions(asked, &spoken),
        METADATA => metadata(&[]),
        FIND_COORDINATOR => coordinator(1),
        _ if asked.before < 10 => stable_commit(ErrorCode::UNSTABLE_OFFSET_COMMIT),
        _ => stable_commit(ErrorCode::NONE),
    });
    let cluster = script.connect().await;
    let begun = Instant::now();
    let commits = cluster.committed(&groups(&["g"])).await;
    assert!(begun.elapsed() >= Duration::from_secs(5) && begun.elapsed() <= Duration::from_secs(10));
    let list = commits[&GroupId::from("g")].as_ref().expect("the decided commits");
    let seen: Vec<_> = list.iter().map(|commit| (commit.at.partition.0, commit.offset, commit.stable)).collect();
    assert_eq!(seen, [(0, Offset(7), false), (1, Offset(8), true)]);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_refuses_its_list_makes_it_incomplete() {
    let script = Script::new(|asked| match (asked.api, asked.port) {
        (API_VERSIONS, _) => versions(asked, &SPOKEN),
        (METADATA, _) => metadata(&[]),
        (_, 101) => Reply::Body(vec![0, 31, 0, 0, 0, 0]),
        _ => Reply::Body(vec![0, 0, 0, 0, 0, 1, 0, 1, b'g', 0, 0]),
    });
    let list = script.connect().await.list_groups().await.expect("a list");
    assert!(list.incomplete);
    let group = Group { protocol_type: String::new(), state: None, kind: None, coordinator: BrokerId(2) };
    assert_eq!(list.groups, BTreeMap::from([(GroupId::from("g"), group)]));
}

/// CreateTopics version 2: topic t.
fn created(error: ErrorCode) -> Reply {
    let mut out = Vec::new();
    out.put_i32(0);
    out.put_i32(1);
    text(&mut out, "t");
    out.put_i16(error.0);
    out.put_i16(-1);
    Reply::Body(out)
}

fn creation(answers: &'static [Option<ErrorCode>]) -> Arc<Script> {
    let spoken = [&SPOKEN[..], &[(CREATE_TOPICS, 2)]].concat();
    Script::new(move |asked| match asked.api {
        API_VERSIONS => versions(asked, &spoken),
        METADATA => metadata(&[1]),
        CREATE_TOPICS => answers[asked.before].map_or(Reply::Close, created),
        _ if asked.before < 3 => offsets(&[(0, ErrorCode::NOT_LEADER_OR_FOLLOWER, -1)]),
        _ => offsets(&[(0, ErrorCode::NONE, 0)]),
    })
}

async fn create(script: &Arc<Script>) -> Result<(), ClusterError> {
    let topic = NewTopic { name: "t".into(), partitions: 1, replication_factor: 1, configs: BTreeMap::new() };
    script.connect().await.create_topics(&[topic], false).await.remove("t").expect("an answer")
}

#[tokio::test(start_paused = true)]
async fn a_created_topic_is_there_when_its_leaders_serve() {
    let script = creation(&[Some(ErrorCode::NONE)]);
    assert_eq!(create(&script).await, Ok(()));
    assert_eq!(script.count(None, LIST_OFFSETS), 4, "refused three times, then served");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_has_not_heard_of_a_created_topic_is_asked_longer_than_about_one_that_may_not_be_there() {
    let spoken = [&SPOKEN[..], &[(CREATE_TOPICS, 2)]].concat();
    let heard = |after| {
        let spoken = spoken.clone();
        Script::new(move |asked| match asked.api {
            API_VERSIONS => versions(asked, &spoken),
            METADATA if asked.before < after => metadata_of(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, &[]),
            METADATA => metadata(&[1]),
            CREATE_TOPICS => created(ErrorCode::NONE),
            _ => offsets(&[(0, ErrorCode::NONE, 0)]),
        })
    };
    assert_eq!(create(&heard(18)).await, Ok(()));
    let error = create(&heard(1_000)).await.expect_err("it ends some time");
    assert_eq!(error.code(), Some(ErrorCode::LEADER_NOT_AVAILABLE));
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_exists_after_an_unclear_answer_is_ours() {
    assert_eq!(create(&creation(&[None, Some(ErrorCode::TOPIC_ALREADY_EXISTS)])).await, Ok(()));
    let error = create(&creation(&[Some(ErrorCode::TOPIC_ALREADY_EXISTS)])).await.expect_err("somebody else's");
    assert_eq!(error.code(), Some(ErrorCode::TOPIC_ALREADY_EXISTS));
}

fn header(entry: &Entry, _: Offset) -> Option<BatchHeader> {
    match entry {
        Entry::Batch(batch) => Some(*batch.header()),
        Entry::Set(_) => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_at_single_batches_follows_the_leader_and_finds_what_lies_at_the_place_or_behind_it() {
    let script = Script::new(|asked| match (asked.api, asked.port) {
        (API_VERSIONS, _) => versions(asked, &SPOKEN),
        (METADATA, _) => metadata(if asked.before == 0 { &[1] } else { &[2] }),
        (_, 101) => fetched(ErrorCode::NOT_LEADER_OR_FOLLOWER, &[]),
        _ => {
            let batch = |base| batch(&some_models(), base, Codec::Zstd);
            fetched(ErrorCode::NONE, &[batch(10), batch(13)].concat())
        }
    });
    let cluster = script.connect().await;
    let seen = cluster.peek(&[(at(0), Offset(12)), (at(0), Offset(13)), (at(0), Offset(16))], header).await;
    let found = |offset| {
        let header = seen[&(at(0), Offset(offset))].as_ref().expect("an answer").as_ref();
        header.map(|header| (header.base_offset, header.codec()))
    };
    assert_eq!(found(12), Some((Offset(10), Ok(Codec::Zstd))));
    assert_eq!(found(13), Some((Offset(13), Ok(Codec::Zstd))), "a batch in front of the place is stepped over");
    assert_eq!(found(16), None, "the log's end");
    assert_eq!((script.count(Some(101), FETCH), script.count(Some(102), FETCH)), (3, 3), "each is a request");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_gone_or_broken_has_nothing_to_show() {
    let script = Script::new(|asked| match (asked.api, asked.before) {
        (API_VERSIONS, _) => versions(asked, &SPOKEN),
        (METADATA, _) => metadata(&[1]),
        (_, 0) => fetched(ErrorCode::OFFSET_OUT_OF_RANGE, &[]),
        _ => fetched(ErrorCode::NONE, &[&[0; 11][..], &[14, 0, 0, 0, 0, 1], &[0; 9]].concat()),
    });
    let cluster = script.connect().await;
    let place = [(at(0), Offset(0))];
    let gone = cluster.peek(&place, header).await;
    let error = gone[&place[0]].as_ref().expect_err("it is gone");
    assert_eq!(error.code(), Some(ErrorCode::OFFSET_OUT_OF_RANGE));
    assert_eq!(cluster.peek(&place, header).await[&place[0]], Ok(None), "a message of magic 1 with a wrong CRC");
}
