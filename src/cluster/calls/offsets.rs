//! Where partitions begin and end.

use super::cut;
use crate::cluster::client::Cluster;
use crate::cluster::connection::Connection;
use crate::cluster::error::{ClusterError, ErrorKind, Subject};
use crate::cluster::metadata::Leader;
use crate::kafka::{BrokerId, CursorError, LeaderEpoch, Offset, TopicPartition};
use crate::wire::fetch::Isolation;
use crate::wire::messages::{ListOffsets, ListOffsetsPartition, ListedPartition};
use crate::wire::{ApiKey, WireError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Partitions that one request asks for at most: the answer stays within some hundred KiB.
const MOST: usize = 4_000;

/// An end of a partition's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edge {
    /// The log start: the first offset there still is.
    Earliest,
    /// The last stable offset: the end for a reader that does not want open transactions. Brokers before 0.11 answer the
    /// high watermark.
    Latest,
    /// The high watermark: the offset behind the last replicated record.
    HighWatermark,
    /// The offset behind the last record the leader has, replicated or not; Fetch shows nothing above the high watermark.
    LogEnd,
}

/// A record by its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// The first record whose timestamp is not before this one, in ms since 1970; not negative.
    From(i64),
    /// The record with the largest timestamp. Brokers from 3.0 on.
    Newest,
}

/// An offset as a leader named it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListedOffset {
    /// The offset.
    pub offset: Offset,
    /// The record's timestamp in ms since 1970, where one was asked for.
    pub timestamp: Option<i64>,
    /// The leader epoch of the record at the offset.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// What a ListOffsets request asks of each partition.
#[derive(Clone, Copy)]
struct Question {
    replica: BrokerId,
    isolation: Isolation,
    timestamp: i64,
}

const CONSUMER: BrokerId = BrokerId(-1);
/// A reader that may see beyond the high watermark.
const DEBUGGER: BrokerId = BrokerId(-2);

impl From<Edge> for Question {
    fn from(edge: Edge) -> Self {
        let (replica, isolation, timestamp) = match edge {
            Edge::Earliest => (CONSUMER, Isolation::ReadUncommitted, -2),
            Edge::Latest => (CONSUMER, Isolation::ReadCommitted, -1),
            Edge::HighWatermark => (CONSUMER, Isolation::ReadUncommitted, -1),
            Edge::LogEnd => (DEBUGGER, Isolation::ReadUncommitted, -1),
        };
        Self { replica, isolation, timestamp }
    }
}

impl From<Moment> for Question {
    fn from(moment: Moment) -> Self {
        let timestamp = match moment {
            Moment::From(time) => time.max(0),
            Moment::Newest => -3,
        };
        Self { replica: CONSUMER, isolation: Isolation::ReadUncommitted, timestamp }
    }
}

type Listed<T> = BTreeMap<TopicPartition, Result<T, ClusterError>>;

impl Cluster {
    /// One end of each partition, asked of the leaders: one request per leader and 4,000 partitions. Moved leaders are
    /// followed.
    pub async fn list_offsets(&self, edge: Edge, partitions: &[TopicPartition]) -> Listed<ListedOffset> {
        let listed = self.ask_offsets(edge.into(), partitions).await;
        let known = |(at, listed): (TopicPartition, Result<ListedPartition, ClusterError>)| {
            let listed = listed.and_then(|listed| found(&listed).ok_or_else(|| self.no_offset(&at)));
            (at, listed)
        };
        listed.into_iter().map(known).collect()
    }

    /// One record of each partition by its time; `None` where no record fits.
    pub async fn find_offsets(&self, moment: Moment, partitions: &[TopicPartition]) -> Listed<Option<ListedOffset>> {
        let listed = self.ask_offsets(moment.into(), partitions).await;
        listed.into_iter().map(|(at, listed)| (at, listed.map(|listed| found(&listed)))).collect()
    }

    async fn ask_offsets(&self, question: Question, partitions: &[TopicPartition]) -> Listed<ListedPartition> {
        self.rounds(partitions.to_vec(), |left| async move {
            let mut answers = BTreeMap::new();
            let mut by_leader: BTreeMap<_, Vec<_>> = BTreeMap::new();
            let mut epochs = BTreeMap::new();
            for (at, leader) in self.leaders(&left).await {
                match leader {
                    Ok(Leader { broker, epoch }) => {
                        epochs.insert(at.clone(), epoch);
                        by_leader.entry(broker).or_default().push(at);
                    }
                    Err(error) => drop(answers.insert(at, Err(error))),
                }
            }
            let epochs = Arc::new(epochs);
            let ask = move |connection: Arc<Connection>, share: Vec<TopicPartition>| {
                let epochs = Arc::clone(&epochs);
                async move { ask_share(&connection, question, share, &epochs).await }
            };
            let subject = |at: &TopicPartition| Subject::Partition(at.clone());
            answers.append(&mut self.shares(ApiKey::ListOffsets, subject, cut(by_leader, MOST), ask).await);
            answers
        })
        .await
    }

    fn no_offset(&self, at: &TopicPartition) -> ClusterError {
        let negative = CursorError::Absurd { what: "offset", value: -1, at: 0 };
        let kind = ErrorKind::Unreadable(WireError::Malformed(negative));
        self.error(Some(ApiKey::ListOffsets), Subject::Partition(at.clone()), kind)
    }
}

async fn ask_share(
    connection: &Connection,
    Question { replica, isolation, timestamp }: Question,
    share: Vec<TopicPartition>,
    epochs: &BTreeMap<TopicPartition, Option<LeaderEpoch>>,
) -> Result<Vec<(TopicPartition, Result<ListedPartition, ClusterError>)>, ClusterError> {
    let entry = |at: TopicPartition| {
        let leader_epoch = epochs.get(&at).copied().flatten();
        ListOffsetsPartition { at, leader_epoch, timestamp }
    };
    let request = ListOffsets { replica, isolation, partitions: share.into_iter().map(entry).collect() };
    let answer = connection.call(&request, Subject::Whole).await?;
    let checked = |listed: ListedPartition| {
        let subject = Subject::Partition(listed.at.clone());
        let checked = connection.check(ApiKey::ListOffsets, subject, listed.error, None);
        (listed.at.clone(), checked.map(|()| listed))
    };
    Ok(answer.partitions.into_iter().map(checked).collect())
}

fn found(listed: &ListedPartition) -> Option<ListedOffset> {
    let ListedPartition { offset, timestamp, leader_epoch, .. } = *listed;
    let timestamp = (timestamp >= 0).then_some(timestamp);
    (offset.0 >= 0).then_some(ListedOffset { offset, timestamp, leader_epoch })
}
