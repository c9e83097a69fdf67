//! A cluster as scenarios use it, whichever kind of broker is behind.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use serde_json::json;

use crate::broker::faults::Action;
use crate::broker::{Core, Embedded};

use super::hand::{At, Committed, End, Hand, JavaHand, ProbeHand, Reading, Writing};
use super::inside::InsideHand;
use super::park::JavaSlot;
use super::probe::{Client, Failure, Produce};
use super::real::Cluster;
use super::record::{Digest, Fill, Record};
use super::version::Version;
use super::wait;

/// One cluster.
pub struct Site {
    pub(super) brokers: Arc<Brokers>,
    hand: Box<dyn Hand>,
    java: Arc<JavaSlot>,
}

/// What is behind a site.
pub(super) enum Brokers {
    Embedded(Arc<Embedded>, Version),
    Real(Cluster),
}

/// A topic, unique in this process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Topic {
    /// Its name.
    pub name: String,
}

/// Why a hand-made batch was not appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The broker said so.
    Code(ResponseError),
    /// The broker closed the connection.
    Closed,
}

/// A group that is held active; it is left when this value is dropped.
pub struct Held<'a> {
    site: &'a Site,
    group: String,
}

impl Site {
    /// A site of real brokers: data goes in and out by Kafka's own client.
    pub(crate) fn real(cluster: Cluster, java: Arc<JavaSlot>) -> Self {
        let hand = Box::new(JavaHand::new(Arc::clone(&java), cluster.bootstrap()));
        Self { brokers: Arc::new(Brokers::Real(cluster)), hand, java }
    }

    /// A site of embedded brokers: data goes in and out by the probe, or inside of those that it can't speak to.
    pub(crate) fn embedded(embedded: Embedded, version: Version, java: Arc<JavaSlot>) -> Self {
        let embedded = Arc::new(embedded);
        let hand: Box<dyn Hand> = if version.has_batches() {
            Box::new(ProbeHand::new(&embedded.bootstrap().join(",")))
        } else {
            Box::new(InsideHand::new(Arc::clone(&embedded)))
        };
        Self { brokers: Arc::new(Brokers::Embedded(embedded, version)), hand, java }
    }

    /// The release it is, or behaves like.
    pub fn version(&self) -> Version {
        match &*self.brokers {
            Brokers::Embedded(_, version) => *version,
            Brokers::Real(cluster) => cluster.version(),
        }
    }

    /// The bootstrap list.
    pub fn bootstrap(&self) -> String {
        match &*self.brokers {
            Brokers::Embedded(embedded, _) => embedded.bootstrap().join(","),
            Brokers::Real(cluster) => cluster.bootstrap(),
        }
    }

    /// The real brokers, for scenarios that declare to need them.
    ///
    /// # Panics
    /// When there are none.
    pub fn cluster(&self) -> &Cluster {
        match &*self.brokers {
            Brokers::Real(cluster) => cluster,
            Brokers::Embedded(..) => panic!("this scenario needs real brokers"),
        }
    }

    /// The embedded brokers, for scenarios that declare to need them.
    ///
    /// # Panics
    /// When there are none.
    pub fn embedded_brokers(&self) -> &Embedded {
        match &*self.brokers {
            Brokers::Embedded(embedded, _) => embedded,
            Brokers::Real(_) => panic!("this scenario needs embedded brokers"),
        }
    }

    /// Stops a node from following other leaders, and tells nobody. (A real one then stands still altogether.)
    pub fn stop_following(&self, node: i32) {
        match &*self.brokers {
            Brokers::Embedded(embedded, _) => embedded.with_core(|core| core.set_following(node, false)),
            Brokers::Real(cluster) => cluster.freeze(index(node)),
        }
    }

    /// Lets a node follow again.
    pub fn follow(&self, node: i32) {
        match &*self.brokers {
            Brokers::Embedded(embedded, _) => embedded.with_core(|core| core.set_following(node, true)),
            Brokers::Real(cluster) => cluster.thaw(index(node)),
        }
    }

    /// Lets a node stand still: its connections stay open, and nothing is answered.
    pub fn freeze(&self, node: i32) {
        match &*self.brokers {
            Brokers::Embedded(embedded, _) => embedded.with_core(|core| {
                core.faults.hook(move |call, _| (call.node == node).then_some(Action::Hold));
            }),
            Brokers::Real(cluster) => cluster.freeze(index(node)),
        }
    }

    /// Lets a node go on that stood still. (What an embedded one was asked meanwhile is never answered.)
    pub fn thaw(&self, node: i32) {
        match &*self.brokers {
            Brokers::Embedded(embedded, _) => embedded.with_core(|core| core.faults.clear()),
            Brokers::Real(cluster) => cluster.thaw(index(node)),
        }
    }

    /// Kills a node as a power cut would.
    pub fn kill(&self, node: i32) {
        match &*self.brokers {
            Brokers::Embedded(embedded, _) => embedded.with_core(|core| core.stop_node(node)),
            Brokers::Real(cluster) => cluster.kill(index(node)),
        }
    }

    /// Starts a node again that was killed.
    pub fn revive(&self, node: i32) {
        match &*self.brokers {
            Brokers::Embedded(embedded, _) => embedded.with_core(|core| core.start_node(node)),
            Brokers::Real(cluster) => cluster.restart(index(node)),
        }
    }

    /// Stops and starts every broker in order.
    pub fn restart(&self) {
        match &*self.brokers {
            Brokers::Embedded(embedded, _) => embedded.with_core(Core::restart),
            Brokers::Real(cluster) => cluster.restart_all(),
        }
    }

    /// Kafka's own client, whatever kind of broker this is.
    pub fn java(&self) -> JavaHand {
        JavaHand::new(Arc::clone(&self.java), self.bootstrap())
    }

    /// The same cluster with Kafka's own client as the hand.
    #[must_use]
    pub fn by_java(&self) -> Self {
        Self { brokers: Arc::clone(&self.brokers), hand: Box::new(self.java()), java: Arc::clone(&self.java) }
    }

    /// The same cluster with the probe as the hand.
    #[must_use]
    pub fn by_probe(&self) -> Self {
        let hand = Box::new(ProbeHand::new(&self.bootstrap()));
        Self { brokers: Arc::clone(&self.brokers), hand, java: Arc::clone(&self.java) }
    }

    /// The tests' own client.
    pub fn client(&self) -> Client {
        Client::new(&self.bootstrap())
    }

    /// Creates a topic with one copy under a name that begins with `stem` and is unique in this process.
    #[track_caller]
    pub fn new_topic(&self, stem: &str, partitions: i32, configs: &[(&str, &str)]) -> Topic {
        let topic = Topic::unique(stem);
        self.create_topic(&topic, partitions, configs);
        topic
    }

    /// Creates a topic with one copy.
    #[track_caller]
    pub fn create_topic(&self, topic: &Topic, partitions: i32, configs: &[(&str, &str)]) {
        if self.version().has_batches() {
            return well(self.client().create_topic(&topic.name, partitions, 1, configs));
        }
        if let Brokers::Embedded(embedded, _) = &*self.brokers {
            let created = embedded.with_core(|core| core.create_topic(&topic.name, partitions, configs));
            return created.unwrap_or_else(|refused| panic!("creating {}: {refused:?}", topic.name));
        }
        let configs: BTreeMap<&str, &str> = configs.iter().copied().collect();
        let command = json!({ "topic": topic.name, "partitions": partitions, "configs": configs });
        self.java().ask("create_topic", command);
        well(self.client().await_topic(&topic.name, partitions));
    }

    /// Creates a topic under a new name with a copy on each of three nodes.
    #[track_caller]
    pub fn new_replicated_topic(&self, stem: &str, configs: &[(&str, &str)]) -> Topic {
        let topic = Topic::unique(stem);
        self.create_replicated_topic(&topic, 1, configs);
        topic
    }

    /// Creates a topic with a copy of each partition on each of three nodes.
    #[track_caller]
    pub fn create_replicated_topic(&self, topic: &Topic, partitions: i32, configs: &[(&str, &str)]) {
        well(self.client().create_topic(&topic.name, partitions, 3, configs));
    }

    /// Deletes a topic.
    #[track_caller]
    pub fn delete_topic(&self, topic: &Topic) {
        if self.version().has_batches() {
            return well(self.client().delete_topic(&topic.name));
        }
        if let Brokers::Embedded(embedded, _) = &*self.brokers {
            assert!(embedded.with_core(|core| core.delete_topic(&topic.name)), "no topic {}", topic.name);
            return;
        }
        self.java().ask("delete_topic", json!({ "topic": topic.name }));
    }

    /// Limits what kferry may write (`producer_byte_rate`) or read (`consumer_byte_rate`), in bytes per second.
    #[track_caller]
    pub fn set_quota(&self, key: &str, rate: f64) {
        well(self.client().set_quota("kferry", key, rate));
    }

    /// Deletes a group without members, with its offsets.
    #[track_caller]
    pub fn delete_group(&self, group: &str) {
        well(self.client().delete_group(group));
    }

    /// Writes records; their offsets.
    #[track_caller]
    pub fn write(&self, topic: &Topic, partition: i32, records: &[Record]) -> Vec<i64> {
        self.write_with(topic, partition, records, Writing::default())
    }

    /// Writes records in a chosen manner; their offsets.
    #[track_caller]
    pub fn write_with(&self, topic: &Topic, partition: i32, records: &[Record], how: Writing) -> Vec<i64> {
        self.hand.write(topic.at(partition), records, self.possible(how), None)
    }

    /// Writes records inside the transaction of `id`, which begins with its first records; their offsets. When a
    /// transaction has been ended, its marker is in the log.
    #[track_caller]
    pub fn write_in_transaction(
        &self,
        id: &str,
        end: End,
        topic: &Topic,
        partition: i32,
        records: &[Record],
    ) -> Vec<i64> {
        let offsets = self.hand.write(topic.at(partition), records, Writing::default(), Some((id, end)));
        if end != End::Open {
            self.await_marker(topic, partition, offsets.last().copied().unwrap_or(-1));
        }
        offsets
    }

    /// Ends a transaction that was left open, whose last record in this partition is at `last`.
    #[track_caller]
    pub fn end_transaction(&self, id: &str, end: End, topic: &Topic, partition: i32, last: i64) {
        self.hand.end_transaction(id, end);
        self.await_marker(topic, partition, last);
    }

    /// Writes many made-up records.
    #[track_caller]
    pub fn fill(&self, topic: &Topic, partition: i32, fill: &Fill, how: Writing) {
        self.hand.fill(topic.at(partition), fill, self.possible(how));
    }

    /// Brokers before 0.11 know no idempotent producers.
    fn possible(&self, how: Writing) -> Writing {
        Writing { idempotent: how.idempotent && self.version().has_batches(), ..how }
    }

    /// All records of a partition, as a consumer with the default isolation reads them.
    #[track_caller]
    pub fn read(&self, topic: &Topic, partition: i32) -> Vec<Record> {
        self.hand.read(topic.at(partition), Reading::default())
    }

    /// All records of a partition, as a read_committed consumer reads them. Releases before transactions have nothing else.
    #[track_caller]
    pub fn read_committed(&self, topic: &Topic, partition: i32) -> Vec<Record> {
        let committed = self.version() >= Version::ancient(0, 11, 0, 0);
        self.hand.read(topic.at(partition), Reading { committed, ..Reading::default() })
    }

    /// The records from offset `from` up to but without `to`.
    #[track_caller]
    pub fn read_range(&self, topic: &Topic, partition: i32, from: i64, to: i64) -> Vec<Record> {
        self.hand.read(topic.at(partition), Reading { from: Some(from), to: Some(to), committed: false })
    }

    /// The digest of the records from offset `from` up to but without `to`.
    #[track_caller]
    pub fn digest(&self, topic: &Topic, partition: i32, from: i64, to: i64) -> Digest {
        self.hand.digest(topic.at(partition), Reading { from: Some(from), to: Some(to), committed: false })
    }

    /// Log start and high watermark.
    #[track_caller]
    pub fn bounds(&self, topic: &Topic, partition: i32) -> (i64, i64) {
        if let (Brokers::Embedded(embedded, _), false) = (&*self.brokers, self.version().has_batches()) {
            return embedded.with_core(|core| {
                let partition = core.partition(&topic.name, partition).expect("a partition");
                (partition.log.start(), partition.log.high_watermark())
            });
        }
        let client = self.client();
        let start = well(client.list_offset(&topic.name, partition, -2, false));
        (start, well(client.end(&topic.name, partition)))
    }

    /// How many partitions a topic has.
    #[track_caller]
    pub fn partitions(&self, topic: &Topic) -> usize {
        well(self.client().metadata(Some(&topic.name))).topics[0].partitions.len()
    }

    /// The configs of a topic that have a value, its own and inherited ones.
    #[track_caller]
    pub fn configs(&self, topic: &Topic) -> BTreeMap<String, String> {
        self.hand.configs(&topic.name)
    }

    /// Moves the log start up to `offset`, as retention does.
    #[track_caller]
    pub fn delete_records(&self, topic: &Topic, partition: i32, offset: i64) {
        well(self.client().delete_records(&topic.name, partition, offset));
    }

    /// Commits one offset for a group without members.
    #[track_caller]
    pub fn commit(&self, group: &str, topic: &Topic, partition: i32, offset: i64) {
        self.commit_with(group, topic, partition, offset, "");
    }

    /// Commits one offset with metadata for a group without members.
    #[track_caller]
    pub fn commit_with(&self, group: &str, topic: &Topic, partition: i32, offset: i64, metadata: &str) {
        self.hand.commit(group, topic.at(partition), &Committed { offset, metadata: metadata.to_owned() });
    }

    /// All committed offsets of a group.
    #[track_caller]
    pub fn committed(&self, group: &str) -> BTreeMap<(String, i32), Committed> {
        self.hand.committed(group)
    }

    /// Joins a group as a consumer of the topic and stays until the answer is dropped.
    #[track_caller]
    pub fn hold(&self, group: &str, topic: &Topic) -> Held<'_> {
        self.hand.join(group, &topic.name);
        Held { site: self, group: group.to_owned() }
    }

    /// Sends one batch made by hand; its base offset.
    ///
    /// # Errors
    /// The broker's refusal.
    #[track_caller]
    pub fn append(&self, topic: &Topic, partition: i32, records: Bytes) -> Result<i64, Refusal> {
        self.append_by(&Produce::new(&topic.name, partition, records))
    }

    /// Sends a Produce request with one entry; the base offset.
    ///
    /// # Errors
    /// The broker's refusal.
    #[track_caller]
    pub fn append_by(&self, request: &Produce) -> Result<i64, Refusal> {
        let partition = request.entries[0].0;
        let mut leader = well(self.client().leader(&request.topic, partition));
        match leader.produce(request) {
            Ok(appended) => appended[0].result.map_err(Refusal::Code),
            Err(Failure::Closed) => Err(Refusal::Closed),
            Err(failure) => panic!("{failure}"),
        }
    }

    /// The bytes of a partition's log from `offset` on, as the broker has them; no more than one segment.
    #[track_caller]
    pub fn stored(&self, topic: &Topic, partition: i32, offset: i64) -> Bytes {
        let mut leader = well(self.client().leader(&topic.name, partition));
        let fetched = well(leader.fetch(&topic.name, partition, offset, false));
        fetched.result.unwrap_or_else(|refusal| panic!("fetching {} from {offset}: {refusal:?}", topic.name));
        fetched.records
    }

    /// EndTxn is answered before the marker is written.
    #[track_caller]
    fn await_marker(&self, topic: &Topic, partition: i32, last: i64) {
        wait::until("the transaction's marker is in the log", Duration::from_secs(30), || {
            (well(self.client().end(&topic.name, partition)) > last + 1).then_some(())
        });
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Site").field("bootstrap", &self.bootstrap()).finish_non_exhaustive()
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // A panic here during another would hide that one.
        if !std::thread::panicking() {
            self.site.hand.leave(&self.group);
        }
    }
}

impl Topic {
    /// A name that nothing else in this process uses.
    pub fn unique(stem: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Self { name: format!("{stem}-{}", NEXT.fetch_add(1, Ordering::Relaxed)) }
    }

    fn at(&self, partition: i32) -> At<'_> {
        At { topic: &self.name, partition }
    }
}

/// Real nodes are numbered from 1.
fn index(node: i32) -> usize {
    usize::try_from(node - 1).expect("a node id")
}

#[track_caller]
fn well<T>(result: Result<T, Failure>) -> T {
    result.unwrap_or_else(|failure| panic!("{failure}"))
}
