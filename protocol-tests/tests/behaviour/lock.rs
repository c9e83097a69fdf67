//! The lock and the state of a migration, as processes that hold them see it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kferry::cluster::{Cluster, Joining, Options};
use kferry::kafka::{ErrorCode, GroupId, Offset, Side, TopicPartition};
use kferry::net::Tcp;
use kferry::state::{BootClock, Entry, Holder, News, Opening, SESSION, State, Store, StoreError, group, read};
use protocol_tests::lab::{Scenario, Site, Topic, wait};
use protocol_tests::{on_a_site, on_an_own_site};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

pub(crate) fn scenarios() -> Vec<Scenario> {
    let shared = on_a_site!["lock":
        a_second_process_is_refused_and_told_who_has_the_lock,
        a_lock_that_is_given_back_is_had_at_once,
        a_process_that_takes_over_fences_the_other,
        a_lock_whose_holder_fell_silent_is_free_after_its_session,
        a_holder_whose_session_ended_goes_on_only_where_nobody_wrote_meanwhile,
        of_two_that_join_at_once_exactly_one_has_the_lock,
        a_commit_of_an_older_generation_or_of_a_fenced_member_is_refused,
        a_new_generation_comes_behind_all_commits_of_the_one_before,
        the_state_reads_back_as_it_was_written,
        a_group_of_consumers_is_no_lock,
    ];
    let alone = on_an_own_site!["lock", 1: a_lock_survives_a_restart_of_its_only_broker];
    let moving = on_an_own_site!["lock", 3: a_lock_moves_with_its_coordinator];
    [shared, alone, moving].concat()
}

/// No scenario takes longer.
const LIMIT: Duration = Duration::from_secs(180);

#[track_caller]
pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { timeout(LIMIT, future).await.expect("it ends in time") })
}

async fn connect(site: &Site) -> Cluster {
    let bootstrap: Vec<_> = site.bootstrap().split(',').map(|address| address.parse().expect("an address")).collect();
    Cluster::connect(Side::Target, Arc::new(Tcp), &bootstrap, Options::default()).await.expect("a cluster")
}

fn holder(pid: u32) -> Holder {
    Holder { host: format!("host-{pid}"), pid }
}

fn opening(pid: u32, take_over: bool) -> Opening {
    Opening { holder: holder(pid), take_over, clock: Arc::new(BootClock) }
}

/// Opens a store through connections of its own, as another process does.
pub(super) async fn open(site: &Site, name: &str, pid: u32) -> Result<Store, StoreError> {
    Store::open(&connect(site).await, name, opening(pid, false), &mut |_| {}).await
}

async fn take_over(site: &Site, name: &str, pid: u32) -> Store {
    Store::open(&connect(site).await, name, opening(pid, true), &mut |_| {}).await.expect("taken over")
}

fn entry(topic: &Topic, partition: i32, offset: i64, metadata: &str) -> Entry {
    let at = TopicPartition::new(topic.name.as_str(), partition);
    Entry { at, offset: Offset(offset), metadata: metadata.to_owned() }
}

fn state(entries: &[Entry]) -> State {
    entries.iter().cloned().map(|entry| (entry.at, (entry.offset, entry.metadata))).collect()
}

/// A migration's name that no other scenario uses.
fn name() -> String {
    Topic::unique("lock").name
}

/// Keeps the lock while something else goes on.
pub(super) async fn keeping<T>(store: &Store, during: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        lost = store.keep() => panic!("lost: {lost}"),
        result = during => result,
    }
}

/// Waits until nobody holds the lock.
async fn free(site: &Site, name: &str) {
    let cluster = connect(site).await;
    while read(&cluster, name).await.expect("a reading").holder.is_some() {
        sleep(Duration::from_millis(200)).await;
    }
}

fn a_second_process_is_refused_and_told_who_has_the_lock(site: &Site) {
    let name = name();
    run(async {
        let first = open(site, &name, 1).await.expect("the lock");
        let cluster = connect(site).await;
        let reading = keeping(&first, read(&cluster, &name)).await.expect("a reading");
        assert_eq!((reading.holder, reading.state.len()), (Some(holder(1)), 0));
        let begun = Instant::now();
        let mut news = Vec::new();
        let mut listen = |told| news.push(told);
        let second = keeping(&first, Store::open(&cluster, &name, opening(2, false), &mut listen)).await;
        assert!(begun.elapsed() >= SESSION, "a dead holder's session would have ended by then");
        let error = second.expect_err("held");
        assert_eq!(error.to_string(), format!("migration {name} is being run by process 1 on host host-1"));
        assert!(error.advice().is_some_and(|advice| advice.contains("--take-over")));
        assert!(matches!(&news[..], [News::Waiting { holder: told, .. }] if *told == holder(1)), "{news:?}");
        assert!(first.may_write(), "the first one was not disturbed");
    });
}

fn a_lock_that_is_given_back_is_had_at_once(site: &Site) {
    let name = name();
    run(async {
        let first = Mutex::new(Some(open(site, &name, 1).await.expect("the lock")));
        let cluster = connect(site).await;
        let given_back = Notify::new();
        let mut listen = |_| given_back.notify_one();
        let begun = Instant::now();
        let closing = async {
            given_back.notified().await;
            let first = first.lock().expect("no panic").take().expect("a store");
            first.close().await;
        };
        let (second, ()) = tokio::join!(Store::open(&cluster, &name, opening(2, false), &mut listen), closing);
        assert!(begun.elapsed() < SESSION, "{:?}", begun.elapsed());
        second.expect("the lock").close().await;
        assert_eq!(read(&cluster, &name).await.expect("a reading").holder, None);
        let closed = open(site, &name, 3).await.expect("the lock");
        closed.clone().close().await;
        assert_eq!(closed.commit(Vec::new()).await, Err(StoreError::Closed { name }));
        assert!(!closed.may_write());
    });
}

fn a_process_that_takes_over_fences_the_other(site: &Site) {
    let (name, topic) = (name(), site.new_topic("fenced", 2, &[]));
    run(async {
        let first = open(site, &name, 1).await.expect("the lock");
        first.load().await.expect("a state");
        first.commit(vec![entry(&topic, 0, 5, "first")]).await.expect("stored");
        let cluster = connect(site).await;
        let mut news = Vec::new();
        let mut listen = |told| news.push(told);
        let second = Store::open(&cluster, &name, opening(2, true), &mut listen).await.expect("taken over");
        assert_eq!(news, [News::Fenced { holder: holder(1) }]);
        assert_eq!(second.load().await, Ok(state(&[entry(&topic, 0, 5, "first")])));
        second.commit(vec![entry(&topic, 1, 6, "second")]).await.expect("stored");
        let lost = StoreError::Lost { name: name.clone(), holder: holder(2) };
        assert_eq!(keeping(&second, first.commit(vec![entry(&topic, 0, 9, "late")])).await, Err(lost.clone()));
        assert_eq!(keeping(&second, first.keep()).await, lost);
        assert!(!first.may_write() && second.may_write());
        let both = state(&[entry(&topic, 0, 5, "first"), entry(&topic, 1, 6, "second")]);
        assert_eq!(second.load().await, Ok(both));
        // The heartbeat finds out too.
        let third = take_over(site, &name, 3).await;
        assert_eq!(keeping(&third, second.keep()).await, StoreError::Lost { name: name.clone(), holder: holder(3) });
    });
}

fn a_lock_whose_holder_fell_silent_is_free_after_its_session(site: &Site) {
    let name = name();
    run(async {
        let silent = open(site, &name, 1).await.expect("the lock");
        let begun = Instant::now();
        open(site, &name, 2).await.expect("the lock").close().await;
        // Brokers count from when they answered, we from when we asked.
        assert!(begun.elapsed() >= SESSION - Duration::from_millis(500), "{:?}", begun.elapsed());
        assert!(!silent.may_write(), "the silent one knows by its own clock");
    });
}

fn a_holder_whose_session_ended_goes_on_only_where_nobody_wrote_meanwhile(site: &Site) {
    let (name, topic) = (name(), site.new_topic("asleep", 1, &[]));
    run(async {
        let first = open(site, &name, 1).await.expect("the lock");
        first.load().await.expect("a state");
        first.commit(vec![entry(&topic, 0, 5, "mine")]).await.expect("stored");
        free(site, &name).await;
        first.commit(vec![entry(&topic, 0, 6, "mine too")]).await.expect("nobody else was there");
        assert!(first.may_write());
        free(site, &name).await;
        let second = open(site, &name, 2).await.expect("the lock");
        second.commit(vec![entry(&topic, 0, 7, "theirs")]).await.expect("stored");
        second.close().await;
        let changed = StoreError::Changed { group: group(&name), at: TopicPartition::new(topic.name.as_str(), 0) };
        assert_eq!(first.keep().await, changed);
        assert_eq!(first.commit(vec![entry(&topic, 0, 8, "mine")]).await, Err(changed));
        let reading = read(&connect(site).await, &name).await.expect("a reading");
        assert_eq!((reading.state, reading.holder), (state(&[entry(&topic, 0, 7, "theirs")]), None));
    });
}

fn of_two_that_join_at_once_exactly_one_has_the_lock(site: &Site) {
    run(async {
        for _ in 0..3 {
            let name = name();
            let (tell, mut told) = mpsc::unbounded_channel();
            let done = Arc::new(Notify::new());
            let mut processes = JoinSet::new();
            for pid in [1, 2] {
                let (cluster, name, tell, done) = (connect(site).await, name.clone(), tell.clone(), Arc::clone(&done));
                processes.spawn(async move {
                    let opened = Store::open(&cluster, &name, opening(pid, false), &mut |_| {}).await;
                    let store = opened.map_err(|error| drop(tell.send((pid, Some(error)))));
                    let Ok(store) = store else { return };
                    drop(tell.send((pid, None)));
                    keeping(&store, done.notified()).await;
                    assert!(store.may_write());
                    store.commit(Vec::new()).await.expect("it goes on");
                    store.close().await;
                });
            }
            let results = [told.recv().await.expect("one"), told.recv().await.expect("the other")];
            let [(winner, None), (_, Some(refusal))] = results else { panic!("{results:?}") };
            assert_eq!(refusal, StoreError::Held { name, holder: holder(winner) });
            done.notify_one();
            while let Some(ended) = processes.join_next().await {
                ended.expect("no panic");
            }
        }
    });
}

/// What the lock stands on, without it: a leader that joins again begins a new generation, and what is left of the older
/// one is refused.
fn a_commit_of_an_older_generation_or_of_a_fenced_member_is_refused(site: &Site) {
    let (group, topic) = (GroupId::from(name()), site.new_topic("older", 1, &[]));
    run(async {
        let cluster = connect(site).await;
        let joining = Joining {
            group: group.clone(),
            protocol: "kferry".to_owned(),
            metadata: bytes::Bytes::new(),
            session: SESSION,
            rebalance: SESSION,
        };
        let commit = async |member, offset| {
            let entries = [entry(&topic, 0, offset, "")];
            let stored = cluster.commit_offsets_once(&group, member, &entries).await;
            stored.into_values().next().expect("an answer").map_err(|error| error.code().expect("a code"))
        };
        let mut id = String::new();
        let first = cluster.join_group(&joining, &mut id).await.expect("joined");
        assert!(first.leads());
        assert_eq!(commit(Some(&first.member), 1).await, Err(ErrorCode::REBALANCE_IN_PROGRESS), "not synced yet");
        cluster.sync_group(&group, &first).await.expect("synced");
        assert_eq!(commit(Some(&first.member), 1).await, Ok(()));
        let again = cluster.join_group(&joining, &mut id).await.expect("joined again");
        assert_eq!((&again.member.id, again.member.generation), (&first.member.id, first.member.generation + 1));
        let same = cluster.join_group(&joining, &mut id).await.expect("joined again");
        assert_eq!(same, again, "a lost answer is repeated");
        cluster.sync_group(&group, &again).await.expect("synced");
        assert_eq!(commit(Some(&first.member), 2).await, Err(ErrorCode::ILLEGAL_GENERATION));
        assert_eq!(commit(None, 2).await, Err(ErrorCode::UNKNOWN_MEMBER_ID));
        assert_eq!(commit(Some(&again.member), 3).await, Ok(()));
        let other = connect(site).await;
        other.leave_group(&group, &again.member.id).await.expect("anyone may take a member out");
        assert_eq!(commit(Some(&again.member), 4).await, Err(ErrorCode::UNKNOWN_MEMBER_ID));
        assert_eq!(commit(None, 5).await, Ok(()), "without members anyone may");
        let beaten = cluster.heartbeat(&group, &again.member, SESSION).await.expect_err("no member");
        assert_eq!(beaten.code(), Some(ErrorCode::UNKNOWN_MEMBER_ID));
    });
}

/// Many commits are on their way when the lock is taken over: what the new holder loads is never changed by them again.
fn a_new_generation_comes_behind_all_commits_of_the_one_before(site: &Site) {
    let (name, topic) = (name(), site.new_topic("behind", 1, &[]));
    run(async {
        for round in 0..5_u32 {
            let first = take_over(site, &name, 10 + round).await;
            let mut writing = JoinSet::new();
            writing.spawn({
                let (first, topic) = (first.clone(), topic.clone());
                async move {
                    let mut offset = 0;
                    while first.commit(vec![entry(&topic, 0, offset, "first")]).await.is_ok() {
                        offset += 1;
                    }
                }
            });
            let cluster = connect(site).await;
            while load(&cluster, &name).await.is_empty() {}
            let second = take_over(site, &name, 20 + round).await;
            let loaded = second.load().await.expect("a state");
            keeping(&second, async { while writing.join_next().await.is_some() {} }).await;
            assert_eq!(second.load().await, Ok(loaded), "in round {round}");
        }
    });
}

async fn load(cluster: &Cluster, name: &str) -> State {
    read(cluster, name).await.expect("a reading").state
}

fn the_state_reads_back_as_it_was_written(site: &Site) {
    let (name, topic) = (name(), site.new_topic("large", 300, &[]));
    let wide: String = "{\"\\u00e9\\\n\t\u{7f}é€ÿ\u{10348}".chars().cycle().take(3_000).collect();
    let full = "0123456789abcdef".repeat(256);
    run(async {
        let store = open(site, &name, 1).await.expect("the lock");
        assert_eq!(store.load().await, Ok(State::new()));
        let mut entries: Vec<_> =
            (0..298).map(|partition| entry(&topic, partition, i64::from(partition), &full)).collect();
        entries.push(entry(&topic, 298, i64::MAX, &wide));
        entries.push(entry(&topic, 299, 0, ""));
        store.commit(entries.clone()).await.expect("more than a megabyte");
        assert_eq!(store.load().await, Ok(state(&entries)));
        let over = vec![entry(&topic, 7, 1, "fits"), entry(&topic, 8, 1, &format!("{full}x"))];
        let error = store.commit(over).await.expect_err("one character too many");
        assert!(
            matches!(&error, StoreError::Refused { at, cause }
            if at.partition.get() == 8 && cause.code() == Some(ErrorCode::OFFSET_METADATA_TOO_LARGE)),
            "{error}"
        );
        let missing = Topic { name: format!("{}-missing", topic.name) };
        let error = store.commit(vec![entry(&missing, 0, 1, "")]).await.expect_err("no such topic");
        assert!(error.to_string().starts_with(&format!("cannot store the state of {}/0: ", missing.name)), "{error}");
        assert!(store.may_write(), "a refusal is no loss");
        store.close().await;
        let mut left = state(&entries);
        left.extend(state(&[entry(&topic, 7, 1, "fits")]));
        assert_eq!(load(&connect(site).await, &name).await, left);
    });
}

fn a_group_of_consumers_is_no_lock(site: &Site) {
    let (name, topic) = (name(), site.new_topic("consumed", 1, &[]));
    let group = format!("kferry-{name}");
    let probe = site.by_probe();
    let held = probe.hold(&group, &topic);
    run(async {
        let error = open(site, &name, 1).await.expect_err("consumers");
        assert_eq!(
            error.to_string(),
            format!(
                "group {group} on the target has members of another kind (consumer): it can't hold the state of a migration"
            )
        );
    });
    drop(held);
    run(async { open(site, &name, 1).await.expect("it is empty now").close().await });
}

/// Runs `disturb` beside a process that keeps the lock, which then must be able to write on.
fn survives(site: &Site, topic: &Topic, name: &str, disturb: impl FnOnce() + Send) {
    let (disturbed, waiting) = std::sync::mpsc::channel();
    let done = Notify::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            run(async {
                let store = open(site, name, 1).await.expect("the lock");
                store.load().await.expect("a state");
                store.commit(vec![entry(topic, 0, 1, "before")]).await.expect("stored");
                disturbed.send(()).expect("somebody waits");
                let writing = async {
                    for offset in 2.. {
                        store.commit(vec![entry(topic, 0, offset, "during")]).await.expect("stored in the end");
                        if timeout(Duration::from_millis(50), done.notified()).await.is_ok() {
                            break;
                        }
                    }
                    store.commit(vec![entry(topic, 0, 0, "after")]).await.expect("stored");
                    while !store.may_write() {
                        sleep(Duration::from_millis(50)).await;
                    }
                };
                keeping(&store, writing).await;
                assert_eq!(store.load().await, Ok(state(&[entry(topic, 0, 0, "after")])));
                store.close().await;
            });
        });
        waiting.recv().expect("it begins");
        disturb();
        done.notify_one();
    });
}

fn a_lock_survives_a_restart_of_its_only_broker(site: &Site) {
    let topic = site.new_topic("restarted", 1, &[]);
    survives(site, &topic, &name(), || site.restart());
}

fn a_lock_moves_with_its_coordinator(site: &Site) {
    let (name, topic) = (name(), site.new_replicated_topic("moving", &[]));
    let coordinator = || site.client().coordinator_id(&format!("kferry-{name}")).ok();
    // Asking makes the offsets topic.
    wait::until("there is a coordinator", LIMIT, coordinator);
    survives(site, &topic, &name, || {
        let dead = wait::until("there is a coordinator", LIMIT, coordinator);
        site.kill(dead);
        wait::until("the coordinator moves", LIMIT, || coordinator().filter(|node| *node != dead));
        site.revive(dead);
    });
}
