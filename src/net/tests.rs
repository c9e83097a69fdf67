//! A connection against a scripted peer: time is paused, nothing sleeps for real.

use super::*;
use crate::wire::messages::{ListGroups, ListGroupsAnswer};
use crate::wire::produce::{ProducePartition, ProduceRequest};
use crate::wire::{ApiKey, Rope, frame};
use bytes::{Buf, Bytes};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(30);

/// A connection and its other end.
fn pair() -> (Arc<Conn>, Peer) {
    pair_with(Pool::unlimited(), 1 << 20)
}

fn pair_with(pool: Pool, buffer: usize) -> (Arc<Conn>, Peer) {
    let (ours, theirs) = duplex(buffer);
    let options = ConnOptions { client_id: Arc::from("kf"), pool, cap: frame::CAP };
    (Arc::new(Conn::new(Box::new(ours), options)), Peer(theirs))
}

struct Peer(DuplexStream);

impl Peer {
    /// The next request: its API and correlation id.
    async fn request(&mut self) -> (i16, i32) {
        let length = self.0.read_u32().await.expect("a request");
        let mut request = vec![0; length as usize];
        self.0.read_exact(&mut request).await.expect("all of it");
        let mut request = request.as_slice();
        let api = request.get_i16();
        request.get_i16();
        (api, request.get_i32())
    }

    async fn answer(&mut self, correlation: i32, body: &[u8]) {
        self.0.write_all(&framed(correlation, body)).await.expect("it is read");
    }
}

fn framed(correlation: i32, body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len() + 4).expect("short");
    [&length.to_be_bytes()[..], &correlation.to_be_bytes(), body].concat()
}

/// ListGroups version 0 with one group of this name.
fn groups(name: &str) -> Vec<u8> {
    let length = [0, u8::try_from(name.len()).expect("short")];
    [&[0, 0, 0, 0, 0, 1][..], &length, name.as_bytes(), &[0, 0]].concat()
}

async fn list(conn: &Conn) -> Result<String, CallError> {
    let answer: ListGroupsAnswer = conn.call(&ListGroups, 0, PATIENCE).await?;
    Ok(answer.groups.iter().map(|group| group.id.to_string()).collect())
}

fn cause(error: &CallError) -> &Cause {
    match error {
        CallError::Lost { cause, .. } => cause,
        other => panic!("not lost: {other}"),
    }
}

fn sent(error: &CallError) -> bool {
    matches!(error, CallError::Lost { sent: true, .. })
}

#[tokio::test(start_paused = true)]
async fn requests_go_out_before_the_first_is_answered_and_answers_find_their_callers() {
    let (conn, mut peer) = pair();
    let script = async {
        let first = peer.request().await;
        let second = peer.request().await;
        peer.answer(first.1, &groups("a")).await;
        peer.answer(second.1, &groups("b")).await;
        (first.0, second.0)
    };
    let (a, b, apis) = tokio::join!(list(&conn), list(&conn), script);
    assert_eq!((a, b), (Ok("a".to_owned()), Ok("b".to_owned())));
    assert_eq!(apis, (ApiKey::ListGroups.number(), ApiKey::ListGroups.number()));
    assert!(conn.alive());
}

#[tokio::test(start_paused = true)]
async fn a_silent_broker_is_given_up_and_all_who_wait_get_the_one_cause() {
    let (conn, mut peer) = pair();
    let begun = Instant::now();
    let script = async {
        peer.request().await;
        peer.request().await;
    };
    let (a, b, ()) = tokio::join!(list(&conn), list(&conn), script);
    assert_eq!(begun.elapsed(), PATIENCE);
    let (Err(a), Err(b)) = (a, b) else { panic!("nobody answered") };
    assert_eq!(a.to_string(), "no answer to ListGroups and no progress for 30 s");
    assert!(std::ptr::eq(cause(&a), cause(&b)), "one cause for both");
    assert!(sent(&a) && sent(&b) && !conn.alive());
    let late = list(&conn).await.expect_err("the connection is dead");
    assert!(std::ptr::eq(cause(&late), cause(&a)) && !sent(&late));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_trickles_in_is_progress() {
    let (conn, mut peer) = pair();
    let script = async {
        let (_, correlation) = peer.request().await;
        for byte in framed(correlation, &groups("slow")) {
            sleep(PATIENCE / 2).await;
            peer.0.write_u8(byte).await.expect("it is read");
        }
    };
    let (answer, ()) = tokio::join!(list(&conn), script);
    assert_eq!(answer, Ok("slow".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_throttles_is_not_stuck() {
    let (conn, mut peer) = pair();
    let throttled = [&[0, 0, 0, 0][..], &60_000_i32.to_be_bytes()].concat(); // no topics, 60 s
    let script = async {
        let (_, correlation) = peer.request().await;
        peer.answer(correlation, &throttled).await;
        let (_, correlation) = peer.request().await;
        sleep(Duration::from_secs(80)).await;
        peer.answer(correlation, &groups("late")).await;
    };
    let ask = async {
        conn.call(&ProduceRequest { timeout: PATIENCE, partitions: Vec::new() }, 3, PATIENCE).await?;
        list(&conn).await
    };
    let (answer, ()) = tokio::join!(ask, script);
    assert_eq!(answer, Ok("late".to_owned()), "80 s are within 60 s of muting and 30 s of patience");
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_of_something_else_is_not_kafka() {
    let (conn, mut peer) = pair();
    let http = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    let script = async {
        peer.request().await;
        peer.0.write_all(http).await.expect("it is read");
    };
    let (answer, ()) = tokio::join!(list(&conn), script);
    let error = answer.expect_err("no answer").to_string();
    assert_eq!(error, "answered with 47 bytes that are not Kafka's protocol (a TLS or HTTP port?)");
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_nobodys_question_ends_the_connection() {
    let (conn, mut peer) = pair();
    let script = async {
        let (_, correlation) = peer.request().await;
        peer.answer(correlation, &groups("a")).await;
        peer.request().await;
        peer.answer(77, &groups("b")).await;
    };
    let ask = async {
        assert_eq!(list(&conn).await, Ok("a".to_owned()));
        list(&conn).await
    };
    let (answer, ()) = tokio::join!(ask, script);
    assert_eq!(answer.expect_err("no answer").to_string(), "answer 77 came where 2 was due");
}

#[tokio::test(start_paused = true)]
async fn an_absurd_length_later_on_is_named() {
    let (conn, mut peer) = pair();
    let script = async {
        let (_, correlation) = peer.request().await;
        peer.answer(correlation, &groups("a")).await;
        peer.request().await;
        peer.0.write_all(&[0x7f; 4]).await.expect("it is read");
    };
    let ask = async {
        assert_eq!(list(&conn).await, Ok("a".to_owned()));
        list(&conn).await
    };
    let (answer, ()) = tokio::join!(ask, script);
    let error = answer.expect_err("no answer").to_string();
    assert_eq!(error, "the answer claims 2139062143 bytes, where 4 to 104857600 are possible");
}

#[tokio::test(start_paused = true)]
async fn a_cut_answer_and_a_closed_port_are_told_apart() {
    let (conn, mut peer) = pair();
    let script = async {
        let (_, correlation) = peer.request().await;
        peer.answer(correlation, &groups("a")).await;
        let (_, correlation) = peer.request().await;
        let answer = framed(correlation, &groups("b"));
        peer.0.write_all(&answer[..9]).await.expect("it is read");
        drop(peer);
    };
    let ask = async {
        assert_eq!(list(&conn).await, Ok("a".to_owned()));
        list(&conn).await
    };
    let (answer, ()) = tokio::join!(ask, script);
    assert_eq!(cause(&answer.expect_err("cut off")), &Cause::Closed);

    let (conn, peer) = pair();
    drop(peer);
    assert_eq!(cause(&list(&conn).await.expect_err("closed")), &Cause::ClosedAtOnce);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_never_begun_is_certainly_not_sent() {
    let (conn, mut peer) = pair_with(Pool::unlimited(), 100);
    let payload = Rope::from(Bytes::from(vec![7; 10_000]));
    let at = crate::kafka::TopicPartition::new("t", 0);
    let partitions = vec![ProducePartition { at, records: payload }];
    let request = ProduceRequest { timeout: Duration::from_secs(10), partitions };
    let script = async {
        // The first request is half written, the second waits behind it.
        peer.0.read_u32().await.expect("the first request begins");
        drop(peer);
    };
    let (first, second, ()) = tokio::join!(conn.call(&request, 3, PATIENCE), conn.call(&request, 3, PATIENCE), script);
    let (Err(first), Err(second)) = (first, second) else { panic!("nobody answered") };
    assert!(sent(&first), "part of it has left");
    assert!(!sent(&second), "none of it has left");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_leaves_the_connection_in_order() {
    let (conn, mut peer) = pair();
    let script = async {
        let (_, first) = peer.request().await;
        let (_, second) = peer.request().await;
        peer.answer(first, &groups("nobody")).await;
        peer.answer(second, &groups("b")).await;
    };
    let ask = async {
        assert!(timeout(Duration::from_secs(1), list(&conn)).await.is_err());
        list(&conn).await
    };
    let (answer, ()) = tokio::join!(ask, script);
    assert_eq!(answer, Ok("b".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_our_own_memory_is_not_the_brokers_fault() {
    let pool = Pool::limited(100);
    let (conn, mut peer) = pair_with(pool.clone(), 1 << 20);
    let held = pool.lease(90).await;
    let script = async {
        let (_, correlation) = peer.request().await;
        peer.answer(correlation, &groups("a")).await;
        sleep(PATIENCE * 2).await;
        drop(held);
    };
    let (answer, ()) = tokio::join!(list(&conn), script);
    assert_eq!(answer, Ok("a".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn dropping_or_closing_a_connection_ends_it() {
    let (conn, mut peer) = pair();
    drop(conn);
    assert_eq!(peer.0.read(&mut [0; 9]).await.expect("the end"), 0);

    let (conn, mut peer) = pair();
    let script = async {
        peer.request().await;
        conn.close();
        assert!(!conn.alive());
    };
    let (answer, ()) = tokio::join!(list(&conn), script);
    assert_eq!(cause(&answer.expect_err("closed")), &Cause::Dropped);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_can_not_be_read_fails_its_caller_alone() {
    let (conn, mut peer) = pair();
    let script = async {
        let (_, first) = peer.request().await;
        let (_, second) = peer.request().await;
        peer.answer(first, &[0, 0, 0x7f, 0xff, 0xff, 0xff]).await;
        peer.answer(second, &groups("b")).await;
    };
    let (a, b, ()) = tokio::join!(list(&conn), list(&conn), script);
    assert!(matches!(a, Err(CallError::Unreadable(_))));
    assert_eq!(b, Ok("b".to_owned()));
}
