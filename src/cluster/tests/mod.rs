//! Whole calls against brokers that answer from a script. Time is paused, nothing sleeps for real.

mod calls;
mod membership;
mod script;

use super::*;
use crate::kafka::{BrokerId, ErrorCode, Offset, TopicPartition};
use crate::net::Cause;
use script::*;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// What the scripted brokers speak unless a test says otherwise.
const SPOKEN: [(i16, i16); 7] = [
    (PRODUCE, 3),
    (FETCH, 4),
    (LIST_OFFSETS, 2),
    (METADATA, 5),
    (OFFSET_FETCH, 2),
    (FIND_COORDINATOR, 0),
    (LIST_GROUPS, 0),
];

fn at(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

fn fetch_request() -> FetchRequest {
    FetchRequest {
        max_wait: Duration::from_secs(1),
        min_bytes: 1,
        max_bytes: 1,
        isolation: Isolation::ReadCommitted,
        rack: String::new(),
        partitions: Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_nobody_answers_for_names_every_address() {
    let script = Script::new(|_| Reply::Close);
    let error = script.connect_to(&[1, 2, 100]).await.expect_err("nobody answers");
    assert_eq!(
        error.to_string(),
        "cannot connect to the source: no bootstrap address answers; \
         kafka:1: 127.0.0.1:1: refused; kafka:2: 127.0.0.1:2: refused; \
         kafka:100: the connection was closed before anything was answered (a TLS port, or a proxy in between?)"
    );
    assert!(error.advice().is_some_and(|advice| advice.contains("check the source's address")));
}

#[tokio::test(start_paused = true)]
async fn brokers_are_reached_at_the_addresses_they_advertise() {
    let script = Script::new(|asked| match asked.api {
        API_VERSIONS => versions(asked, &SPOKEN),
        METADATA => metadata(&[1, 2]),
        _ => offsets(&[(0, ErrorCode::NONE, 40), (1, ErrorCode::NONE, 41)]),
    });
    let cluster = script.connect_to(&[1, 100]).await.expect("the second address answers");
    assert_eq!((cluster.id().as_deref(), cluster.controller()), (Some("cluster"), Some(BrokerId(1))));
    let listed = cluster.list_offsets(Edge::Latest, &[at(0), at(1)]).await;
    let found = |partition| listed[&at(partition)].as_ref().map(|listed| listed.offset);
    assert_eq!((found(0), found(1)), (Ok(Offset(40)), Ok(Offset(41))));
    assert_eq!((script.count(Some(101), LIST_OFFSETS), script.count(Some(102), LIST_OFFSETS)), (1, 1));
    assert_eq!(script.count(Some(100), LIST_OFFSETS), 0, "the bootstrap address is for bootstrap");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_closes_on_what_it_does_not_know_is_asked_in_version_0() {
    let script = Script::new(|asked| match (asked.api, asked.version) {
        (API_VERSIONS, 0) => versions(asked, &SPOKEN),
        (METADATA, _) => metadata(&[]),
        _ => Reply::Close,
    });
    assert_eq!(script.connect().await.brokers().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_broker_without_a_common_version_is_named_with_both_ranges() {
    let script = Script::new(|asked| match asked.api {
        API_VERSIONS => versions(asked, &[(METADATA, 5), (LIST_OFFSETS, 8)]),
        _ => metadata(&[1]),
    });
    let cluster = script.connect().await;
    let listed = cluster.list_offsets(Edge::Latest, &[at(0)]).await;
    let error = listed[&at(0)].as_ref().expect_err("version 8 alone");
    assert_eq!(
        error.to_string(),
        "cannot look up offsets of t/0 on the source's broker 1 (kafka:101): \
         ListOffsets: the broker speaks versions 8, kferry 0 to 7"
    );
}

#[tokio::test(start_paused = true)]
async fn callers_who_want_leaders_at_the_same_time_share_one_look_up() {
    let script = Script::new(|asked| match asked.api {
        API_VERSIONS => versions(asked, &SPOKEN),
        _ => metadata(&[1, 2, 1]),
    });
    let cluster = script.connect().await;
    let before = script.count(None, METADATA);
    let (a, b, c) = (at(0), at(1), at(2));
    let (a, b, c) = tokio::join!(cluster.leader(&a), cluster.leader(&b), cluster.leader(&c));
    let brokers = [a, b, c].map(|leader| leader.map(|leader| leader.broker));
    assert_eq!(brokers, [Ok(BrokerId(1)), Ok(BrokerId(2)), Ok(BrokerId(1))]);
    assert!(script.count(None, METADATA) - before <= 2, "the second look-up is for those who came during the first");
    let before = script.count(None, METADATA);
    assert!(cluster.leader(&at(0)).await.is_ok());
    assert_eq!(script.count(None, METADATA), before, "a known leader is remembered");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_doubted_is_looked_up_anew() {
    let script = Script::new(|asked| match asked.api {
        API_VERSIONS => versions(asked, &SPOKEN),
        _ => metadata(if asked.before == 0 { &[1] } else { &[2] }),
    });
    let cluster = script.connect().await;
    let remembered = || cluster.remembered_leaders(&[at(0), at(9)]);
    assert_eq!(cluster.leader(&at(0)).await.map(|leader| leader.broker), Ok(BrokerId(1)));
    assert_eq!(remembered(), [Some(BrokerId(1)), None]);
    assert_eq!(cluster.refresh_leader(&at(0)).await.map(|leader| leader.broker), Ok(BrokerId(2)));
    assert_eq!(remembered(), [Some(BrokerId(2)), None]);
}

#[tokio::test(start_paused = true)]
async fn a_moved_leader_is_followed_and_the_other_partitions_are_not_asked_again() {
    // Broker 1 has lost t/0 to broker 2, and metadata says so when it is asked again.
    let script = Script::new(|asked| match (asked.api, asked.port) {
        (API_VERSIONS, _) => versions(asked, &SPOKEN),
        (METADATA, _) => metadata(if asked.before < 1 { &[1, 1] } else { &[2, 1] }),
        (_, 101) => offsets(&[(0, ErrorCode::NOT_LEADER_OR_FOLLOWER, -1), (1, ErrorCode::NONE, 41)]),
        _ => offsets(&[(0, ErrorCode::NONE, 40)]),
    });
    let cluster = script.connect().await;
    let listed = cluster.list_offsets(Edge::Latest, &[at(0), at(1)]).await;
    assert_eq!(listed[&at(0)].as_ref().map(|listed| listed.offset), Ok(Offset(40)));
    assert_eq!(listed[&at(1)].as_ref().map(|listed| listed.offset), Ok(Offset(41)));
    assert_eq!((script.count(Some(101), LIST_OFFSETS), script.count(Some(102), LIST_OFFSETS)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_the_answer_leaves_out_fails_alone_and_in_time() {
    let script = Script::new(|asked| match asked.api {
        API_VERSIONS => versions(asked, &SPOKEN),
        METADATA => metadata(&[1, 1]),
        _ => offsets(&[(1, ErrorCode::NONE, 41)]),
    });
    let cluster = script.connect().await;
    let begun = Instant::now();
    let listed = cluster.list_offsets(Edge::Latest, &[at(0), at(1)]).await;
    assert!(begun.elapsed() <= Options::default().retry.total);
    assert!(listed[&at(1)].is_ok());
    let error = listed[&at(0)].as_ref().expect_err("never answered");
    assert_eq!((&error.kind, error.attempts), (&ErrorKind::Unanswered, Options::default().retry.attempts));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_exist_is_given_up_soon() {
    let script = Script::new(|asked| match asked.api {
        API_VERSIONS => versions(asked, &SPOKEN),
        _ => metadata(&[1]),
    });
    let cluster = script.connect().await;
    let begun = Instant::now();
    let error = cluster.leader(&at(77)).await.expect_err("there is one partition");
    assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_produce_without_an_answer_is_never_sent_again() {
    let script = Script::new(|asked| match asked.api {
        API_VERSIONS => versions(asked, &SPOKEN),
        METADATA => metadata(&[1]),
        _ => Reply::Close,
    });
    let cluster = script.connect().await;
    let connection = cluster.connection(BrokerId(1), Use::Data(0)).await.expect("it answers");
    let request = ProduceRequest { timeout: Duration::from_secs(10), partitions: Vec::new() };
    let error = connection.produce(&request).await.expect_err("closed");
    assert!(error.sent() && !connection.alive());
    assert_eq!(script.count(None, PRODUCE), 1);
    let again = connection.produce(&request).await.expect_err("still closed");
    assert!(!again.sent(), "nothing leaves on a dead connection");
    let fresh = cluster.connection(BrokerId(1), Use::Data(0)).await.expect("a new one");
    assert!(fresh.alive());
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_holds_up_nothing_else() {
    let script = Script::new(|asked| match asked.api {
        API_VERSIONS => versions(asked, &SPOKEN),
        METADATA => metadata(&[1]),
        FETCH => Reply::Silence,
        _ => offsets(&[(0, ErrorCode::NONE, 40)]),
    });
    let cluster = script.connect().await;
    let connection = cluster.connection(BrokerId(1), Use::Data(0)).await.expect("it answers");
    let request = fetch_request();
    let poll = connection.fetch(&request);
    let ask = async { timeout(Duration::from_secs(1), cluster.list_offsets(Edge::Latest, &[at(0)])).await };
    let (poll, asked) = tokio::join!(poll, ask);
    assert!(asked.is_ok_and(|listed| listed[&at(0)].is_ok()));
    let error = poll.expect_err("silence");
    let patience = Options::default().patience + request.max_wait;
    assert!(
        matches!(error.kind, ErrorKind::Lost { cause, .. } if matches!(*cause, Cause::TimedOut { waited, .. } if waited == patience))
    );
}

#[tokio::test(start_paused = true)]
async fn handles_of_one_use_share_a_connection_and_a_closed_one_is_replaced() {
    let script = Script::new(|asked| match asked.api {
        API_VERSIONS => versions(asked, &SPOKEN),
        _ => metadata(&[1]),
    });
    let cluster = script.connect().await;
    let open = || cluster.connection(BrokerId(1), Use::Data(3));
    let (a, b) = tokio::join!(open(), open());
    let (a, b) = (a.expect("one"), b.expect("the same"));
    assert!(Arc::ptr_eq(&a, &b));
    a.close();
    let c = open().await.expect("a new one");
    assert!(!Arc::ptr_eq(&a, &c) && c.alive() && !b.alive());
    let unknown = cluster.connection(BrokerId(9), Use::Data(0)).await.expect_err("no such broker");
    assert_eq!(unknown.kind, ErrorKind::UnknownBroker);
}
