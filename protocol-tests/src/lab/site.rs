//! A cluster as scenarios use it, whichever kind of broker is behind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use serde_json::{Value, json};

use super::codec::Codec;
use super::java::Java;
use super::park::JavaSlot;
use super::probe::{Client, Committed, Failure, Produce};
use super::real::Cluster;
use super::record::{Digest, Fill, Record};
use super::version::Version;

/// One cluster.
#[derive(Debug)]
pub struct Site {
    cluster: Cluster,
    java: Arc<JavaSlot>,
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Topic {
    /// The topic's name, unique in this process.
    pub name: String,
}

/// How records are written.
#[derive(Clone, Copy, Debug)]
pub struct Writing {
    /// The producer's codec.
    pub codec: Codec,
    /// The size at which a batch is closed, in bytes before compression.
    pub batch_size: usize,
    /// Whether the producer is idempotent.
    pub idempotent: bool,
}

impl Default for Writing {
    fn default() -> Self {
        Self { codec: Codec::None, batch_size: 16_384, idempotent: true }
    }
}

/// How a transaction is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Committed.
    Commit,
    /// Aborted.
    Abort,
    /// Open; [`Site::end_transaction`] ends it.
    Open,
}

/// Why a hand-made batch was not appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The broker said so.
    Code(ResponseError),
    /// The broker closed the connection.
    Closed,
}

impl Site {
    /// A site of real brokers.
    pub(crate) fn real(cluster: Cluster, java: Arc<JavaSlot>) -> Self {
        Self { cluster, java }
    }

    /// The release it is, or behaves like.
    pub fn version(&self) -> Version {
        self.cluster.version()
    }

    /// The bootstrap list.
    pub fn bootstrap(&self) -> String {
        self.cluster.bootstrap()
    }

    /// The nodes, for scenarios that kill, freeze and restart them.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Kafka's Java client.
    pub fn java(&self) -> &Java {
        self.java.usual()
    }

    /// The newest Java client, for brokers from 2.1.
    pub fn newest_java(&self) -> &Java {
        self.java.newest()
    }

    /// The tests' own client.
    pub fn client(&self) -> Client {
        Client::new(&self.bootstrap())
    }

    /// A command for the Java client.
    #[track_caller]
    pub fn ask(&self, name: &str, command: Value) -> Value {
        self.java().ask(&self.bootstrap(), name, command).unwrap_or_else(|cause| panic!("{cause}"))
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
        well(self.client().create_topic(&topic.name, partitions, 1, configs));
    }

    /// Deletes a topic.
    #[track_caller]
    pub fn delete_topic(&self, topic: &Topic) {
        well(self.client().delete_topic(&topic.name));
    }

    /// Writes records; their offsets.
    #[track_caller]
    pub fn write(&self, topic: &Topic, partition: i32, records: &[Record]) -> Vec<i64> {
        self.write_with(topic, partition, records, Writing::default())
    }

    /// Writes records in a chosen manner; their offsets.
    #[track_caller]
    pub fn write_with(&self, topic: &Topic, partition: i32, records: &[Record], how: Writing) -> Vec<i64> {
        self.produce(topic, partition, records, how, json!({}))
    }

    /// Writes records inside the transaction of `id`, which begins with its first records; their offsets.
    #[track_caller]
    pub fn write_in_transaction(
        &self,
        id: &str,
        end: End,
        topic: &Topic,
        partition: i32,
        records: &[Record],
    ) -> Vec<i64> {
        let transaction = json!({ "transaction": id, "end": end.name() });
        self.produce(topic, partition, records, Writing::default(), transaction)
    }

    /// Ends a transaction that was left open.
    #[track_caller]
    pub fn end_transaction(&self, id: &str, end: End) {
        self.ask("end_transaction", json!({ "transaction": id, "end": end.name() }));
    }

    /// Writes many made-up records.
    #[track_caller]
    pub fn fill(&self, topic: &Topic, partition: i32, fill: &Fill, how: Writing) {
        let command = json!({
            "topic": topic.name, "partition": partition, "config": how.config(),
            "count": fill.count, "size": fill.size, "seed": fill.seed, "timestamp": fill.timestamp,
        });
        self.ask("fill", command);
    }

    /// All records of a partition, as a consumer with the default isolation reads them.
    #[track_caller]
    pub fn read(&self, topic: &Topic, partition: i32) -> Vec<Record> {
        self.records(json!({ "topic": topic.name, "partition": partition }))
    }

    /// All records of a partition, as a read_committed consumer reads them.
    #[track_caller]
    pub fn read_committed(&self, topic: &Topic, partition: i32) -> Vec<Record> {
        let config = json!({ "isolation.level": "read_committed" });
        self.records(json!({ "topic": topic.name, "partition": partition, "config": config }))
    }

    /// The records from offset `from` up to but without `to`.
    #[track_caller]
    pub fn read_range(&self, topic: &Topic, partition: i32, from: i64, to: i64) -> Vec<Record> {
        self.records(json!({ "topic": topic.name, "partition": partition, "from": from, "to": to }))
    }

    /// The digest of the records from offset `from` up to but without `to`.
    #[track_caller]
    pub fn digest(&self, topic: &Topic, partition: i32, from: i64, to: i64) -> Digest {
        let range = json!({ "topic": topic.name, "partition": partition, "from": from, "to": to });
        let digest = self.ask("digest", range);
        Digest {
            count: digest["count"].as_u64().expect("a count"),
            crc: digest["crc"].as_u64().and_then(|crc| crc.try_into().ok()).expect("a CRC"),
        }
    }

    /// Log start and high watermark.
    #[track_caller]
    pub fn bounds(&self, topic: &Topic, partition: i32) -> (i64, i64) {
        let client = self.client();
        let start = well(client.list_offset(&topic.name, partition, -2, false));
        (start, well(client.end(&topic.name, partition)))
    }

    /// Moves the log start up to `offset`, as retention does.
    #[track_caller]
    pub fn delete_records(&self, topic: &Topic, partition: i32, offset: i64) {
        well(self.client().delete_records(&topic.name, partition, offset));
    }

    /// Commits one offset for a group without members.
    #[track_caller]
    pub fn commit(&self, group: &str, topic: &Topic, partition: i32, offset: i64) {
        let offset = json!({ "topic": topic.name, "partition": partition, "offset": offset });
        self.ask("commit", json!({ "group": group, "offsets": [offset] }));
    }

    /// All committed offsets of a group.
    #[track_caller]
    pub fn committed(&self, group: &str) -> BTreeMap<(String, i32), Committed> {
        let answer = self.ask("committed", json!({ "group": group }));
        let offsets = answer["offsets"].as_array().cloned().unwrap_or_default();
        let entry = |offset: &Value| {
            let at = (text(&offset["topic"]), i32::try_from(number(&offset["partition"])).expect("a partition"));
            (at, Committed { offset: number(&offset["offset"]), metadata: text(&offset["metadata"]) })
        };
        offsets.iter().map(entry).collect()
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

    /// The bytes of a partition's log from `offset` on, as the broker has them.
    #[track_caller]
    pub fn stored(&self, topic: &Topic, partition: i32, offset: i64) -> Bytes {
        let mut leader = well(self.client().leader(&topic.name, partition));
        let fetched = well(leader.fetch(&topic.name, partition, offset, false));
        fetched.result.unwrap_or_else(|refusal| panic!("fetching {} from {offset}: {refusal:?}", topic.name));
        fetched.records
    }

    #[track_caller]
    fn produce(&self, topic: &Topic, partition: i32, records: &[Record], how: Writing, mut command: Value) -> Vec<i64> {
        command["topic"] = json!(topic.name);
        command["partition"] = json!(partition);
        command["config"] = how.config();
        command["records"] = records.iter().map(Record::to_json).collect();
        let answer = self.ask("produce", command);
        answer["offsets"].as_array().expect("offsets").iter().map(number).collect()
    }

    #[track_caller]
    fn records(&self, command: Value) -> Vec<Record> {
        self.ask("read", command)["records"].as_array().expect("records").iter().map(Record::from_json).collect()
    }
}

impl Topic {
    /// A name that nothing else in this process uses.
    pub fn unique(stem: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Self { name: format!("{stem}-{}", NEXT.fetch_add(1, Ordering::Relaxed)) }
    }
}

impl Writing {
    fn config(self) -> Value {
        json!({
            "compression.type": self.codec.name(),
            "batch.size": self.batch_size.to_string(),
            "enable.idempotence": self.idempotent.to_string(),
        })
    }
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Abort => "abort",
            Self::Open => "open",
        }
    }
}

#[track_caller]
fn well<T>(result: Result<T, Failure>) -> T {
    result.unwrap_or_else(|failure| panic!("{failure}"))
}

fn number(value: &Value) -> i64 {
    value.as_i64().expect("a number")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
