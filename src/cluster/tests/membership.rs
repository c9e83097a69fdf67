use super::*;
use crate::kafka::GroupId;
use bytes::{BufMut, Bytes};

const OFFSET_COMMIT: i16 = 8;
const JOIN_GROUP: i16 = 11;
const HEARTBEAT: i16 = 12;

fn spoken() -> Vec<(i16, i16)> {
    [&SPOKEN[..], &[(OFFSET_COMMIT, 2), (JOIN_GROUP, 4), (HEARTBEAT, 1)]].concat()
}

/// OffsetCommit version 2: partitions of topic t, each with its error.
fn stored(partitions: &[(i32, ErrorCode)]) -> Reply {
    let mut out = Vec::new();
    out.put_i32(1);
    text(&mut out, "t");
    out.put_i32(i32::try_from(partitions.len()).expect("few"));
    for (partition, error) in partitions {
        out.put_i32(*partition);
        out.put_i16(error.0);
    }
    Reply::Body(out)
}

fn beaten(error: ErrorCode) -> Reply {
    Reply::Body([&[0; 4][..], &error.0.to_be_bytes()].concat())
}

/// JoinGroup version 4: a member whose id is `m`.
fn joined(error: ErrorCode) -> Reply {
    let mut out = vec![0; 4];
    out.put_i16(error.0);
    out.put_i32(7);
    for name in ["kferry", "leader", "m"] {
        text(&mut out, name);
    }
    out.put_i32(0);
    Reply::Body(out)
}

fn commits(partitions: &[i32]) -> Vec<CommitOffset> {
    let commit = |partition: &i32| CommitOffset { at: at(*partition), offset: Offset(7), metadata: String::new() };
    partitions.iter().map(commit).collect()
}

/// The first answer about a coordinator is outdated.
fn moving(answer: impl Fn(Asked) -> Reply + Send + Sync + 'static) -> Arc<Script> {
    Script::new(move |asked| match asked.api {
        API_VERSIONS => versions(asked, &spoken()),
        METADATA => metadata(&[]),
        FIND_COORDINATOR => coordinator(if asked.before == 0 { 1 } else { 2 }),
        _ => answer(asked),
    })
}

#[tokio::test(start_paused = true)]
async fn commits_follow_their_coordinator_and_only_what_failed_is_committed_again() {
    let script = moving(|asked| match asked.port {
        101 => stored(&[(0, ErrorCode::NONE), (1, ErrorCode::NOT_COORDINATOR)]),
        _ => stored(&[(1, ErrorCode::NONE)]),
    });
    let group = GroupId::from("g");
    let answers = script.connect().await.commit_offsets(&group, None, &commits(&[1, 0])).await;
    assert_eq!(answers.into_iter().collect::<Vec<_>>(), [(at(0), Ok(())), (at(1), Ok(()))]);
    assert_eq!((script.count(Some(101), OFFSET_COMMIT), script.count(Some(102), OFFSET_COMMIT)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_refused_commit_is_not_repeated_and_names_the_partition() {
    let script = moving(|_| stored(&[(0, ErrorCode::OFFSET_METADATA_TOO_LARGE)]));
    let mut answers = script.connect().await.commit_offsets(&GroupId::from("g"), None, &commits(&[0, 1])).await;
    let mut error = |partition| answers.remove(&at(partition)).expect("an answer").expect_err("not stored");
    assert_eq!(
        error(0).to_string(),
        "cannot commit offsets of group g on the source's broker 1 (kafka:101): OFFSET_METADATA_TOO_LARGE: for t/0"
    );
    assert_eq!(error(1).kind, ErrorKind::Unanswered);
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_once_looks_for_the_coordinator_again_the_next_time() {
    let script = moving(|asked| match (asked.port, asked.api) {
        (101, OFFSET_COMMIT) => stored(&[(0, ErrorCode::NOT_COORDINATOR)]),
        (_, OFFSET_COMMIT) => stored(&[(0, ErrorCode::NONE)]),
        _ => beaten(ErrorCode::REBALANCE_IN_PROGRESS),
    });
    let cluster = script.connect().await;
    let group = GroupId::from("g");
    let mut moved = cluster.commit_offsets_once(&group, None, &commits(&[0])).await;
    let error = moved.remove(&at(0)).expect("an answer").expect_err("moved");
    assert_eq!((error.code(), script.count(None, OFFSET_COMMIT)), (Some(ErrorCode::NOT_COORDINATOR), 1));
    assert_eq!(cluster.commit_offsets_once(&group, None, &commits(&[0])).await[&at(0)], Ok(()));
    let member = MemberOf { id: "m".to_owned(), generation: 7 };
    let beat = cluster.heartbeat(&group, &member, Duration::from_secs(1)).await.expect_err("a rebalance");
    assert_eq!(beat.code(), Some(ErrorCode::REBALANCE_IN_PROGRESS));
    assert_eq!(script.count(Some(102), HEARTBEAT), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_member_joins_with_the_id_it_is_given() {
    let script = moving(|asked| match asked.before {
        0 => joined(ErrorCode::MEMBER_ID_REQUIRED),
        _ => joined(ErrorCode::NONE),
    });
    let joining = Joining {
        group: GroupId::from("g"),
        protocol: "kferry".to_owned(),
        metadata: Bytes::new(),
        session: Duration::from_secs(10),
        rebalance: Duration::from_secs(10),
    };
    let mut id = String::new();
    let joined = script.connect().await.join_group(&joining, &mut id).await.expect("it joins");
    assert_eq!((joined.member.id.as_str(), joined.member.generation, joined.leads()), ("m", 7, false));
    assert_eq!((id.as_str(), script.count(None, JOIN_GROUP)), ("m", 2));
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_waits_only_as_long_as_it_is_told() {
    let script = moving(|_| Reply::Silence);
    let cluster = script.connect().await;
    let begun = Instant::now();
    let member = MemberOf { id: "m".to_owned(), generation: 7 };
    let error = cluster.heartbeat(&GroupId::from("g"), &member, Duration::from_secs(4)).await.expect_err("silence");
    assert!(matches!(error.kind, ErrorKind::Lost { .. }) && begun.elapsed() == Duration::from_secs(4), "{error}");
}
