//! Reading the ends of target logs.

use std::collections::{BTreeMap, BTreeSet};

use super::settle::{LastBatch, Tail};
use crate::batch::{BatchHeader, Entry};
use crate::cluster::{Cluster, ClusterError, Edge};
use crate::kafka::{ErrorCode, Offset, Stamp, TopicName, TopicPartition};

/// The tails of partitions as their leaders tell them now; a partition that can't be asked has the reason.
pub async fn tails(target: &Cluster, partitions: &[TopicPartition]) -> BTreeMap<TopicPartition, Result<Tail, String>> {
    // The leaders may have changed without any of them having said so.
    let topics: BTreeSet<TopicName> = partitions.iter().map(|at| at.topic.clone()).collect();
    if let Err(error) = target.metadata(Some(&topics.into_iter().collect::<Vec<_>>())).await {
        return partitions.iter().map(|at| (at.clone(), Err(error.to_string()))).collect();
    }
    // In this order: a log end that was asked for first could lie below a high watermark that is newer.
    let mut marks = target.list_offsets(Edge::HighWatermark, partitions).await;
    let mut ends = target.list_offsets(Edge::LogEnd, partitions).await;
    let mut answers = BTreeMap::new();
    let mut known = BTreeMap::new();
    for at in partitions {
        let listed = (|| Some((marks.remove(at)?, ends.remove(at)?)))();
        match listed {
            Some((Ok(mark), Ok(end))) => drop(known.insert(at.clone(), (mark.offset, end.offset))),
            Some((Err(error), _) | (_, Err(error))) => drop(answers.insert(at.clone(), Err(error.to_string()))),
            None => {}
        }
    }
    let places = known.iter().filter(|(_, (mark, end))| mark >= end && end.get() > 0);
    let places: Vec<_> = places.map(|(at, (_, end))| (at.clone(), end.plus(-1))).collect();
    let mut last = target.peek(&places, last_batch).await;
    for (at, (high_watermark, end)) in known {
        let tail = |last| Tail { end, high_watermark, last };
        let answer = match last.remove(&(at.clone(), end.plus(-1))) {
            Some(Ok(last)) => Ok(tail(last)),
            // Retention or the cleaner took it.
            Some(Err(error)) if is_gone(&error) => Ok(tail(None)),
            Some(Err(error)) => Err(error.to_string()),
            None => Ok(tail(None)),
        };
        answers.insert(at, answer);
    }
    answers
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
