//! The lock and the state when the target or the way to it fails: what is stored stays what was stored last, and nobody
//! believes in a lock that may be somebody else's.
#![allow(clippy::expect_used, clippy::panic, reason = "all of this file is tests and their helpers")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use kferry::cluster::{Cluster, Joining, Options};
use kferry::kafka::{ErrorCode, Offset, Side, TopicPartition};
use kferry::net::Tcp;
use kferry::state::{BootClock, Clock, Entry, Holder, Opening, SESSION, Store, StoreError, group};
use protocol_tests::broker::access::Operation;
use protocol_tests::broker::faults::{Action, Rule};
use protocol_tests::broker::{Embedded, Version};
use tokio::time::{Instant, sleep, timeout};

const NAME: &str = "m";

/// No test takes longer.
const LIMIT: Duration = Duration::from_secs(60);

fn run(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { timeout(LIMIT, future).await.expect("it ends in time") });
}

/// A target with a topic `t`.
struct Target(Embedded);

impl Target {
    fn new() -> Self {
        let embedded = Embedded::start(Version::V4_1, 1).expect("an embedded cluster");
        embedded.with_core(|core| core.create_topic("t", 2, &[]).expect("a topic"));
        Self(embedded)
    }

    fn fault(&self, rule: Rule, action: Action) {
        self.0.with_core(|core| core.faults.add(rule, action));
    }

    async fn connect(&self, patience: Duration) -> Cluster {
        self.connect_as("kferry", patience).await
    }

    async fn connect_as(&self, client: &str, patience: Duration) -> Cluster {
        let bootstrap: Vec<_> = self.0.bootstrap().iter().map(|it| it.parse().expect("an address")).collect();
        let options = Options { client_id: client.to_owned(), patience, ..Options::default() };
        Cluster::connect(Side::Target, Arc::new(Tcp), &bootstrap, options).await.expect("a cluster")
    }

    async fn try_open(&self, clock: Arc<dyn Clock>) -> Result<Store, StoreError> {
        let opening = Opening { holder: Holder { host: "h".to_owned(), pid: 1 }, take_over: false, clock };
        let cluster = self.connect(Duration::from_secs(1)).await;
        Store::open(&cluster, NAME, opening, &mut |_| {}).await
    }

    async fn open(&self) -> Store {
        self.try_open(Arc::new(BootClock)).await.expect("the lock")
    }

    fn generation(&self) -> i32 {
        let group = group(NAME);
        self.0.with_core(|core| core.groups.get(group.as_str()).map_or(-1, |group| group.members.generation()))
    }

    fn stored(&self) -> Option<i64> {
        self.0.with_core(|core| Some(core.committed(group(NAME).as_str(), "t", 0)?.offset))
    }
}

fn entry(offset: i64) -> Vec<Entry> {
    vec![Entry { at: TopicPartition::new("t", 0), offset: Offset(offset), metadata: format!("at {offset}") }]
}

/// Puts another code into the answer to a commit of one partition, which ends in a code and the tags of three structures.
fn answering(code: i16) -> Action {
    Action::reply(move |frame: Bytes| {
        let mut frame = BytesMut::from(&frame[..]);
        let at = frame.len() - 5;
        frame[at..at + 2].copy_from_slice(&code.to_be_bytes());
        frame.freeze()
    })
}

#[test]
fn a_commit_whose_answer_is_lost_or_unclear_is_repeated_in_a_newer_generation() {
    let target = Target::new();
    run(async {
        let store = target.open().await;
        let lost = [Action::CutAfter, Action::CutBefore, Action::Hold].map(|action| (action, 1));
        let unclear = [-1, 7, 13, 14, 15, 16].map(|code| (answering(code), 1));
        // The coordinator says for certain that nothing was stored.
        let refused = [22, 27].map(|code| (answering(code), 1));
        let clear = [(answering(0), 0), (answering(3), 0)];
        let actions = lost.into_iter().chain(unclear).chain(refused).chain(clear);
        for ((action, raised), offset) in actions.zip(1..) {
            let before = target.generation();
            let told = format!("{action:?} at {offset}");
            target.fault(Rule::api(ApiKey::OffsetCommit), action);
            store.commit(entry(offset)).await.expect(&told);
            assert_eq!((target.stored(), target.generation() - before), (Some(offset), raised), "{told}");
        }
        store.close().await;
    });
}

#[test]
fn a_commit_that_comes_late_never_lands_on_a_later_one() {
    let target = Target::new();
    run(async {
        let store = target.open().await;
        target.fault(Rule::api(ApiKey::OffsetCommit), Action::DelayRequest(4_000));
        let begun = Instant::now();
        store.commit(entry(1)).await.expect("stored by the second request");
        store.commit(entry(2)).await.expect("stored");
        assert!(begun.elapsed() < Duration::from_secs(3), "the first request is still on its way");
        while begun.elapsed() < Duration::from_secs(6) {
            assert_eq!(target.stored(), Some(2));
            sleep(Duration::from_millis(100)).await;
        }
    });
}

/// Puts UNKNOWN_MEMBER_ID into the answer to a JoinGroup, behind correlation id and throttle time.
fn not_known() -> Action {
    Action::reply(|frame: Bytes| {
        let mut frame = BytesMut::from(&frame[..]);
        frame[8..10].copy_from_slice(&25_i16.to_be_bytes());
        frame.freeze()
    })
}

/// A coordinator that stood still drops the member; then another one takes over, which has read of it in its log.
#[test]
fn a_membership_that_one_coordinator_forgot_and_the_next_one_knows_is_no_other_process() {
    let target = Target::new();
    run(async {
        let store = target.open().await;
        store.load().await.expect("a state");
        store.commit(entry(1)).await.expect("stored");
        target.fault(Rule::api(ApiKey::OffsetCommit), answering(25));
        target.fault(Rule::api(ApiKey::JoinGroup), not_known());
        store.commit(entry(2)).await.expect("stored by the member that it was");
        assert_eq!((target.stored(), store.may_write()), (Some(2), true));
        assert_eq!(target.0.with_core(|core| core.faults.left()), 0);
        store.close().await;
    });
}

#[test]
fn a_refusal_names_the_partition_and_is_not_repeated() {
    let target = Target::new();
    run(async {
        let store = target.open().await;
        let generation = target.generation();
        for code in [ErrorCode::OFFSET_METADATA_TOO_LARGE, ErrorCode::TOPIC_AUTHORIZATION_FAILED] {
            target.fault(Rule::api(ApiKey::OffsetCommit), answering(code.0));
            let error = store.commit(entry(1)).await.expect_err("refused");
            let text = error.to_string();
            assert!(
                text.starts_with("cannot store the state of t/0: cannot commit offsets of group kferry-m on "),
                "{text}"
            );
            assert!(text.ends_with(&format!("{code}: for t/0")), "{text}");
        }
        assert_eq!(target.generation(), generation);
        store.close().await;
        target.0.with_core(|core| core.access.deny(Operation::ReadGroup, "kferry-m"));
        let error = target.try_open(Arc::new(BootClock)).await.expect_err("denied");
        assert!(error.to_string().ends_with("GROUP_AUTHORIZATION_FAILED"), "{error}");
        assert!(error.advice().is_some_and(|advice| advice.contains("READ")));
    });
}

/// A clock that is set by hand.
#[derive(Debug, Default)]
struct ByHand(Mutex<Duration>);

impl ByHand {
    fn set(&self, seconds: u64) {
        *self.0.lock().expect("no panic") = Duration::from_secs(seconds);
    }
}

impl Clock for ByHand {
    fn now(&self) -> Duration {
        *self.0.lock().expect("no panic")
    }
}

#[test]
fn nothing_may_be_written_a_session_after_the_last_heartbeat_by_the_clock_that_runs_during_a_suspend() {
    let target = Target::new();
    run(async {
        let clock = Arc::new(ByHand::default());
        clock.set(100);
        let store = target.try_open(Arc::<ByHand>::clone(&clock)).await.expect("the lock");
        assert!(store.may_write());
        clock.set(109);
        assert_eq!(store.left(), Duration::from_secs(1));
        clock.set(110);
        assert!(!store.may_write());
        let beaten = async {
            while !store.may_write() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            biased;
            lost = store.keep() => panic!("{lost}"),
            () = beaten => {}
        }
        assert_eq!(store.left(), SESSION);
        store.clone().close().await;
        assert!(!store.may_write());
    });
}

#[test]
fn a_heartbeat_counts_from_when_it_was_sent() {
    let target = Target::new();
    run(async {
        let clock = Arc::new(ByHand::default());
        clock.set(100);
        let store = target.try_open(Arc::<ByHand>::clone(&clock)).await.expect("the lock");
        target.fault(Rule::api(ApiKey::Heartbeat), Action::DelayReply(500));
        let watching = async {
            clock.set(105);
            let begun = Instant::now();
            // The next one is sent three seconds after the answer.
            while begun.elapsed() < Duration::from_secs(2) {
                assert_eq!(store.left(), Duration::from_secs(5));
                sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            biased;
            lost = store.keep() => panic!("{lost}"),
            () = watching => {}
        }
    });
}

/// Keeps the lock for a while, during which it must never be in doubt.
async fn keep_without_doubt(store: &Store, span: Duration) {
    let watching = async {
        let begun = Instant::now();
        while begun.elapsed() < span {
            assert!(store.may_write(), "after {:?}", begun.elapsed());
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        biased;
        lost = store.keep() => panic!("{lost}"),
        () = watching => {}
    }
}

#[test]
fn one_heartbeat_that_is_never_answered_does_no_harm() {
    let target = Target::new();
    run(async {
        let store = target.open().await;
        target.fault(Rule::api(ApiKey::Heartbeat).after(1), Action::Hold);
        keep_without_doubt(&store, Duration::from_secs(12)).await;
    });
}

#[test]
fn heartbeats_do_not_wait_for_commits() {
    let target = Target::new();
    run(async {
        let cluster = target.connect(Duration::from_secs(30)).await;
        let opening =
            Opening { holder: Holder { host: "h".to_owned(), pid: 1 }, take_over: false, clock: Arc::new(BootClock) };
        let store = Store::open(&cluster, NAME, opening, &mut |_| {}).await.expect("the lock");
        target.fault(Rule::api(ApiKey::OffsetCommit), Action::DelayRequest(12_000));
        let committed = async { store.commit(entry(1)).await };
        let (committed, ()) = tokio::join!(committed, keep_without_doubt(&store, Duration::from_secs(13)));
        assert_eq!((committed, target.stored()), (Ok(()), Some(1)));
    });
}

#[test]
fn an_answer_to_a_join_that_is_lost_leaves_no_member_behind() {
    for skipped in 0..3 {
        let target = Target::new();
        run(async {
            let begun = Instant::now();
            let api = if skipped < 2 { ApiKey::JoinGroup } else { ApiKey::SyncGroup };
            target.fault(Rule::api(api).after(skipped % 2), Action::CutAfter);
            let store = target.open().await;
            // Only the first answer has an id in it that nobody will ever use; the coordinator waits for it.
            assert!(skipped == 0 || begun.elapsed() < SESSION / 2, "{skipped}: {:?}", begun.elapsed());
            let group = group(NAME);
            let members =
                target.0.with_core(|core| core.groups.get(group.as_str()).expect("it").members.iter().count());
            assert_eq!(members, 1);
            store.close().await;
        });
    }
}

/// On brokers before 2.2 a lost answer leaves a member behind whose id nobody knows, and it leads.
#[test]
fn a_leader_that_nobody_is_is_outlived() {
    let target = Target::new();
    run(async {
        target.fault(Rule::api(ApiKey::JoinGroup).from_client("kferry").after(1), Action::DelayRequest(1_000));
        let nobody = async {
            let joining = Joining {
                group: group(NAME),
                protocol: "kferry".to_owned(),
                metadata: Bytes::new(),
                session: SESSION,
                rebalance: SESSION,
            };
            let cluster = target.connect_as("nobody", LIMIT).await;
            cluster.join_group(&joining, &mut String::new()).await.expect("it joins")
        };
        let (store, nobody) = tokio::join!(target.open(), nobody);
        assert!(nobody.leads());
        keep_without_doubt(&store, Duration::from_secs(1)).await;
        store.commit(entry(1)).await.expect("stored");
        assert_eq!(target.stored(), Some(1));
    });
}

#[test]
fn a_fenced_process_does_not_disturb_the_one_that_took_over() {
    let target = Target::new();
    run(async {
        let first = target.open().await;
        let opening =
            Opening { holder: Holder { host: "h".to_owned(), pid: 2 }, take_over: true, clock: Arc::new(BootClock) };
        let cluster = target.connect(Duration::from_secs(1)).await;
        let second = Store::open(&cluster, NAME, opening, &mut |_| {}).await.expect("taken over");
        let generation = target.generation();
        assert!(matches!(first.keep().await, StoreError::Lost { .. }));
        assert_eq!(target.generation(), generation, "it did not join again");
        second.close().await;
    });
}

#[test]
fn giving_the_lock_back_takes_no_longer_than_a_second() {
    let target = Target::new();
    run(async {
        let store = target.open().await;
        target.fault(Rule::api(ApiKey::LeaveGroup), Action::Hold);
        let begun = Instant::now();
        store.close().await;
        assert!(begun.elapsed() < Duration::from_millis(1_500));
    });
}
