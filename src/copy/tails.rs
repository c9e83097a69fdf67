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
    let mut last = target.peek(&places, header).await;
    for (at, (high_watermark, end)) in known {
        let tail = |last| Tail { end, high_watermark, last };
        let answer = match last.remove(&(at.clone(), end.plus(-1))) {
            Some(Ok(Some(header))) => Ok(tail(Some(last_batch(&header)))),
            // Retention or the cleaner took it.
            Some(Err(error)) if is_gone(&error) => Ok(tail(None)),
            Some(Err(error)) => Err(error.to_string()),
            Some(Ok(None)) | None => Ok(tail(None)),
        };
        answers.insert(at, answer);
    }
    answers
}

fn header(entry: &Entry, _: Offset) -> Option<BatchHeader> {
    match entry {
        Entry::Batch(batch) => Some(*batch.header()),
        Entry::Set(_) => None,
    }
}

fn last_batch(header: &BatchHeader) -> LastBatch {
    let BatchHeader { producer, epoch, base_sequence: sequence, .. } = *header;
    LastBatch { stamp: Stamp { producer, epoch, sequence }, records: header.last_offset_delta.saturating_add(1) }
}

fn is_gone(error: &ClusterError) -> bool {
    error.code() == Some(ErrorCode::OFFSET_OUT_OF_RANGE)
}
