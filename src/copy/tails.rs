//! Reading the ends of target logs.

use std::collections::{BTreeMap, BTreeSet};

use super::settle::{LastBatch, Tail};
use crate::batch::{BatchHeader, Entry};
use crate::cluster::{Cluster, ClusterError, Edge};
use crate::kafka::{ErrorCode, Offset, Stamp, TopicName, TopicPartition};

/// Where the log of a partition ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogEnd {
    /// The offset behind the last record that the leader has.
    pub end: Offset,
    /// The offset behind the last record that all in-sync replicas have.
    pub high_watermark: Offset,
}

/// Where logs end, as the partitions' leaders tell it now; a partition that can't be asked has the reason.
pub async fn log_ends(
    target: &Cluster,
    partitions: &[TopicPartition],
) -> BTreeMap<TopicPartition, Result<LogEnd, String>> {
    // The leaders may have changed without any of them having said so.
    let topics: BTreeSet<TopicName> = partitions.iter().map(|at| at.topic.clone()).collect();
    if let Err(error) = target.metadata(Some(&topics.into_iter().collect::<Vec<_>>())).await {
        return partitions.iter().map(|at| (at.clone(), Err(error.to_string()))).collect();
    }
    // In this order: a log end that was asked for first could lie below a high watermark that is newer.
    let mut marks = target.list_offsets(Edge::HighWatermark, partitions).await;
    let mut ends = target.list_offsets(Edge::LogEnd, partitions).await;
    let both = |at: &TopicPartition| {
        let end = match (marks.remove(at)?, ends.remove(at)?) {
            (Ok(mark), Ok(end)) => Ok(LogEnd { end: end.offset, high_watermark: mark.offset }),
            (Err(error), _) | (_, Err(error)) => Err(error.to_string()),
        };
        Some((at.clone(), end))
    };
    partitions.iter().filter_map(both).collect()
}

/// The tails of partitions, each with its last batch: that costs a Fetch, and a batch, per partition.
pub(super) async fn tails(
    target: &Cluster,
    partitions: &[TopicPartition],
) -> BTreeMap<TopicPartition, Result<Tail, String>> {
    let ends = log_ends(target, partitions).await;
    let whole = |(at, end): (&TopicPartition, &Result<LogEnd, String>)| {
        let LogEnd { end, high_watermark } = *end.as_ref().ok()?;
        (high_watermark >= end && end.get() > 0).then(|| (at.clone(), end.plus(-1)))
    };
    let places: Vec<_> = ends.iter().filter_map(whole).collect();
    let mut last = target.peek(&places, last_batch).await;
    let tail = |(at, end): (TopicPartition, Result<LogEnd, String>)| {
        let tail = end.and_then(|LogEnd { end, high_watermark }| {
            let last = match last.remove(&(at.clone(), end.plus(-1))) {
                Some(Ok(last)) => last,
                // Retention or the cleaner took it.
                Some(Err(error)) if is_gone(&error) => None,
                Some(Err(error)) => return Err(error.to_string()),
                None => None,
            };
            Ok(Tail { end, high_watermark, last })
        });
        (at, tail)
    };
    ends.into_iter().map(tail).collect()
}

/// The tail of a partition whose log is known to have reached `end`; `None` where the batch in front of it can't be seen.
pub(super) async fn tail_before(target: &Cluster, at: TopicPartition, end: Offset) -> Option<Tail> {
    let place = (at, end.plus(-1));
    let last = target.peek(std::slice::from_ref(&place), last_batch).await.remove(&place)?.ok()?;
    last.map(|last| Tail { end, high_watermark: end, last: Some(last) })
}

fn last_batch(entry: &Entry, _: Offset) -> Option<LastBatch> {
    let Entry::Batch(batch) = entry else { return None };
    let BatchHeader { producer, epoch, base_sequence: sequence, last_offset_delta, .. } = *batch.header();
    Some(LastBatch { stamp: Stamp { producer, epoch, sequence }, records: last_offset_delta.saturating_add(1) })
}

fn is_gone(error: &ClusterError) -> bool {
    error.code() == Some(ErrorCode::OFFSET_OUT_OF_RANGE)
}
