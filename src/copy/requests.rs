//! The requests that run beside the engine, each a task that ends in a [`Done`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::fetcher::Ask;
use super::link::LinkKey;
use crate::batch::Outgoing;
use crate::cluster::{
    Cluster, ClusterError, Connection, FetchAnswer, FetchPartition, FetchRequest, Isolation, Partition, ProduceAnswer,
    ProducePartition, ProduceRequest, Use,
};
use crate::kafka::{BrokerId, PartitionId, Side, TopicName, TopicPartition};
use crate::wire::Rope;

/// Bytes asked of one partition. Larger batches come all the same when the partition is first in its request.
const PARTITION_BYTES: i32 = 1024 * 1024;

/// How long a source broker may wait for records. Everything up to a lane's end is there when the copy starts.
const MAX_WAIT: Duration = Duration::from_millis(500);

/// How long the target's leader waits for its followers before it answers REQUEST_TIMED_OUT.
const REPLICATION: Duration = Duration::from_secs(10);

/// A request that ended.
#[derive(Debug)]
pub(super) enum Done {
    Fetched { broker: BrokerId, asks: Vec<Ask>, answer: Result<FetchAnswer, ClusterError> },
    Connected { key: LinkKey, connection: Result<Arc<Connection>, ClusterError> },
    Produced { key: LinkKey, lanes: Vec<usize>, answer: Result<ProduceAnswer, ClusterError> },
    Leaders { side: Side, lanes: Vec<usize>, leaders: Result<BTreeMap<TopicPartition, BrokerId>, ClusterError> },
}

/// The Fetch request for these partitions.
pub(super) fn fetch_request(
    asks: &[Ask],
    max_bytes: usize,
    rack: &str,
    at: impl Fn(usize) -> TopicPartition,
) -> FetchRequest {
    let partition = |ask: &Ask| FetchPartition {
        at: at(ask.lane),
        leader_epoch: None,
        offset: ask.from,
        max_bytes: PARTITION_BYTES.min(i32::try_from(max_bytes).unwrap_or(i32::MAX)),
    };
    FetchRequest {
        max_wait: MAX_WAIT,
        min_bytes: 1,
        max_bytes: i32::try_from(max_bytes).unwrap_or(i32::MAX),
        isolation: Isolation::ReadCommitted,
        rack: rack.to_owned(),
        partitions: asks.iter().map(partition).collect(),
    }
}

pub(super) async fn fetch(cluster: Cluster, broker: BrokerId, asks: Vec<Ask>, request: FetchRequest) -> Done {
    let answer = match cluster.connection(broker, Use::Data(0)).await {
        Ok(connection) => connection.fetch(&request).await,
        Err(error) => Err(error),
    };
    Done::Fetched { broker, asks, answer }
}

pub(super) async fn connect(cluster: Cluster, key: LinkKey) -> Done {
    Done::Connected { key, connection: cluster.connection(key.broker, Use::Data(key.index)).await }
}

/// Sends the batches. Requests of a connection leave in the order in which these futures are first polled, which is
/// the order in which they were spawned: the runtime has one thread and a fair queue.
pub(super) async fn produce(
    connection: Arc<Connection>,
    key: LinkKey,
    batches: Vec<(usize, TopicPartition, Outgoing)>,
) -> Done {
    let lanes = batches.iter().map(|(lane, _, _)| *lane).collect();
    let partition = |(_, at, batch): (usize, TopicPartition, Outgoing)| {
        let (head, body) = batch.parts();
        let mut records = Rope::from(head.to_vec());
        records.push(body.clone());
        ProducePartition { at, records }
    };
    let partitions = batches.into_iter().map(partition).collect();
    let answer = connection.produce(&ProduceRequest { timeout: REPLICATION, partitions }).await;
    Done::Produced { key, lanes, answer }
}

pub(super) async fn leaders(cluster: Cluster, side: Side, lanes: Vec<usize>, topics: Vec<TopicName>) -> Done {
    let leaders = cluster.metadata(Some(&topics)).await.map(|topics| {
        let partitions = topics.into_iter().flat_map(|(name, topic)| {
            let led = move |(partition, known): (PartitionId, Partition)| {
                Some((TopicPartition { topic: name.clone(), partition }, known.leader?))
            };
            topic.partitions.into_iter().filter_map(led)
        });
        partitions.collect()
    });
    Done::Leaders { side, lanes, leaders }
}
