//! The requests that run beside the engine, each a task that ends in a [`Done`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::budget::Claim;
use super::fetcher::Ask;
use super::link::{Answered, LinkKey};
use crate::batch::{Outgoing, Summed};
use crate::cluster::{
    Cluster, ClusterError, Connection, Edge, FetchAnswer, FetchPartition, FetchRequest, Isolation, Partition,
    ProducePartition, ProduceRequest, Use,
};
use crate::kafka::{BrokerId, ErrorCode, Offset, PartitionId, Side, TopicName, TopicPartition};
use crate::state::{Entry, Refusals, Store, StoreError};
use crate::wire::{ApiKey, Rope};
use tokio::time::timeout;

use super::settle::Tail;
use super::tails::{tail_before, tails};

/// How long a source broker may wait for records. Everything up to a lane's end is there when the copy starts.
const MAX_WAIT: Duration = Duration::from_millis(500);

/// How long the target's leader waits for its followers before it answers REQUEST_TIMED_OUT.
const REPLICATION: Duration = Duration::from_secs(10);

/// How long a look at the ends of logs may take.
const SETTLE: Duration = Duration::from_secs(15);

/// A request that ended.
#[derive(Debug)]
pub(super) enum Done {
    Fetched { key: LinkKey, asks: Vec<Ask>, claim: Claim, answer: Result<(FetchAnswer, Summed), ClusterError> },
    Connected { key: LinkKey, connection: Result<Arc<Connection>, ClusterError> },
    Produced { key: LinkKey, number: u64, answered: Answered },
    LogStart { lane: usize, log_start: Result<Offset, String> },
    Settled { lanes: Vec<(usize, Result<Tail, String>)> },
    Stamped { lane: usize, tail: Option<Tail> },
    Stored { lanes: Vec<usize>, stored: Result<Refusals, StoreError> },
    Leaders { side: Side, lanes: Vec<usize>, found: Result<Found, ClusterError> },
}

/// What a look-up of leaders found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) leaders: BTreeMap<TopicPartition, BrokerId>,
    /// Topics that the broker does not know.
    pub(super) unknown: BTreeSet<TopicName>,
}

/// The Fetch request for these partitions: so many bytes of each, and of all of them. Larger batches come all the same when
/// their partition is first in the request.
pub(super) fn fetch_request(
    asks: &[Ask],
    (of_each, max_bytes): (usize, usize),
    rack: &str,
    at: impl Fn(usize) -> TopicPartition,
) -> FetchRequest {
    let partition = |ask: &Ask| FetchPartition {
        at: at(ask.lane),
        leader_epoch: None,
        offset: ask.from,
        max_bytes: bytes(ask.bytes(of_each.min(max_bytes))),
    };
    let isolation = match asks {
        [Ask { beyond: true, .. }] => Isolation::ReadUncommitted,
        _ => Isolation::ReadCommitted,
    };
    FetchRequest {
        max_wait: MAX_WAIT,
        min_bytes: 1,
        max_bytes: bytes(max_bytes),
        isolation,
        rack: rack.to_owned(),
        partitions: asks.iter().map(partition).collect(),
    }
}

/// A number of bytes as the protocol writes it.
fn bytes(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// The first version of Fetch that takes a limit for all partitions together (KIP-74).
const LIMITS_WHOLE: i16 = 3;

/// Gives each partition its share of the whole, and more where it is known to need more as long as there is some, for
/// brokers that know no limit but the partitions' own. With too little they cut a partition's first message.
fn share(request: &mut FetchRequest, asks: &[Ask]) {
    let count = i32::try_from(asks.len()).unwrap_or(i32::MAX).max(1);
    let share = request.max_bytes / count;
    let mut left = request.max_bytes;
    for (index, (partition, ask)) in request.partitions.iter_mut().zip(asks).enumerate() {
        let wanted = share.max(bytes(ask.needed));
        partition.max_bytes = if index == 0 { wanted } else { wanted.min(left.max(share)) };
        left = left.saturating_sub(partition.max_bytes);
    }
}

/// Asks for records.
pub(super) async fn fetch(
    cluster: Cluster,
    key: LinkKey,
    (asks, claim): (Vec<Ask>, Claim),
    mut request: FetchRequest,
) -> Done {
    let answer = match cluster.connection(key.broker, Use::Data(key.index)).await {
        Ok(connection) => {
            if connection.version(ApiKey::Fetch).is_ok_and(|version| version < LIMITS_WHOLE) {
                share(&mut request, &asks);
            }
            connection.fetch(&request).await
        }
        Err(error) => Err(error),
    };
    Done::Fetched { key, asks, claim, answer }
}

pub(super) async fn connect(cluster: Cluster, key: LinkKey) -> Done {
    Done::Connected { key, connection: cluster.connection(key.broker, Use::Data(key.index)).await }
}

/// Sends the batches, as the connection's request of this number. Requests of a connection leave in the order in which these futures are first polled, which is
/// the order in which they were spawned: the runtime has one thread and a fair queue.
pub(super) async fn produce(
    connection: Arc<Connection>,
    key: LinkKey,
    number: u64,
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
    Done::Produced { key, number, answered: Answered { lanes, answer } }
}

pub(super) async fn leaders(cluster: Cluster, side: Side, lanes: Vec<usize>, topics: Vec<TopicName>) -> Done {
    let found = cluster.metadata(Some(&topics)).await.map(|topics| {
        let mut found = Found::default();
        for (name, topic) in topics {
            if topic.error == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION {
                found.unknown.insert(name.clone());
            }
            let led = |(partition, known): (PartitionId, Partition)| {
                Some((TopicPartition { topic: name.clone(), partition }, known.leader?))
            };
            found.leaders.extend(topic.partitions.into_iter().filter_map(led));
        }
        found
    });
    Done::Leaders { side, lanes, found }
}

/// Asks where a lane's source log begins now.
pub(super) async fn log_start(source: Cluster, lane: usize, at: TopicPartition) -> Done {
    let mut listed = source.list_offsets(Edge::Earliest, std::slice::from_ref(&at)).await;
    let log_start = match listed.remove(&at) {
        Some(Ok(listed)) => Ok(listed.offset),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("the source does not say where its log begins".to_owned()),
    };
    Done::LogStart { lane, log_start }
}

/// Looks where each lane's target log ends. The leaders are looked up first: whatever was wrong, they may have changed.
pub(super) async fn settle(target: Cluster, lanes: Vec<(usize, TopicPartition)>) -> Done {
    let partitions: Vec<TopicPartition> = lanes.iter().map(|(_, at)| at.clone()).collect();
    let mut found = timeout(SETTLE, tails(&target, &partitions)).await.unwrap_or_default();
    let unanswered = || Err(format!("the target did not say within {} s where its log ends", SETTLE.as_secs()));
    let tail = |(lane, at): (usize, TopicPartition)| (lane, found.remove(&at).unwrap_or_else(unanswered));
    Done::Settled { lanes: lanes.into_iter().map(tail).collect() }
}

/// Looks at the last batch that a lane was told is on the target, in front of `end`.
pub(super) async fn stamp(target: Cluster, lane: usize, at: TopicPartition, end: Offset) -> Done {
    Done::Stamped { lane, tail: timeout(SETTLE, tail_before(&target, at, end)).await.unwrap_or_default() }
}

/// Stores what must be durable before anything is sent, all of it.
pub(super) async fn store_first(store: Store, entries: Vec<Entry>) -> Done {
    Done::Stored { lanes: Vec::new(), stored: store.commit(entries).await.map(|()| Refusals::new()) }
}

pub(super) async fn store(store: Store, lanes: Vec<usize>, entries: Vec<Entry>) -> Done {
    Done::Stored { lanes, stored: store.commit_each(entries).await }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lane_that_is_asked_for_alone_may_see_open_transactions() {
        let ask = |lane, beyond| Ask { lane, from: Offset(0), needed: 0, batch: 0, beyond };
        let isolation =
            |asks: &[Ask]| fetch_request(asks, (1, 1), "", |lane| TopicPartition::new("t", lane as i32)).isolation;
        assert_eq!(isolation(&[ask(0, true)]), Isolation::ReadUncommitted);
        assert_eq!(isolation(&[ask(0, false)]), Isolation::ReadCommitted);
        assert_eq!(isolation(&[ask(0, false), ask(1, true)]), Isolation::ReadCommitted);
    }

    #[test]
    fn brokers_that_limit_partitions_only_are_not_asked_for_more_than_the_whole() {
        let ask = |lane, needed| Ask { lane, from: Offset(0), needed, batch: 0, beyond: false };
        let asks = [ask(0, 7_000_000), ask(1, 0), ask(2, 300_000), ask(3, 0)];
        let mut request = fetch_request(&asks, (1 << 20, 1_000_000), "", |lane| TopicPartition::new("t", lane as i32));
        share(&mut request, &asks);
        let given: Vec<i32> = request.partitions.iter().map(|partition| partition.max_bytes).collect();
        assert_eq!(given, [7_000_000, 250_000, 250_000, 250_000], "the first one can't go on with less");
        let mut request =
            fetch_request(&asks[1..], (1 << 20, 1_200_000), "", |lane| TopicPartition::new("t", lane as i32));
        share(&mut request, &asks[1..]);
        let given: Vec<i32> = request.partitions.iter().map(|partition| partition.max_bytes).collect();
        assert_eq!(given, [400_000, 400_000, 400_000]);
        let asks = [ask(1, 0), ask(2, 700_000), ask(3, 0)];
        let mut request = fetch_request(&asks, (1 << 20, 1_200_000), "", |lane| TopicPartition::new("t", lane as i32));
        share(&mut request, &asks);
        let given: Vec<i32> = request.partitions.iter().map(|partition| partition.max_bytes).collect();
        assert_eq!(given, [400_000, 700_000, 400_000]);
    }
}
