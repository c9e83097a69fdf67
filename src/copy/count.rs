//! Counting what a copy would keep, without copying it.

use super::error::LaneProblem;
use super::reader::Reader;
use crate::batch::{AppendTime, Joining, Outgoing, Rules, batches};
use crate::cluster::{Cluster, ClusterError, Edge, FetchedPartition, Isolation};
use crate::kafka::{ErrorCode, Offset, Retry, Span, TopicPartition};

/// Bytes asked for at a time. Larger batches come all the same, alone.
const FETCH_BYTES: usize = 1024 * 1024;

/// How many records of these source offsets a copy keeps: all but what transactions aborted and brokers wrote for
/// themselves. One Fetch answer is held at a time.
///
/// # Errors
///
/// The source has deleted the first of the offsets, holds something damaged among them, or could not be read for longer
/// than a retry may last.
pub async fn count_kept(source: &Cluster, at: &TopicPartition, span: Span) -> Result<i64, LaneProblem> {
    // Nothing is sent, so whatever can be counted as it lies there is not opened.
    let rules = Rules { joining: Joining::NEVER, append_time: AppendTime::TargetStamps, ..Rules::default() };
    let mut reader = Reader::new(span, span.start, rules.into(), false, Vec::new());
    let mut kept = 0_i64;
    while !reader.is_done() {
        let (offset, beyond) = (reader.next(), reader.looks_beyond());
        let isolation = if beyond { Isolation::ReadUncommitted } else { Isolation::ReadCommitted };
        let fetched = source.read(at, offset, FETCH_BYTES.max(reader.needed()), isolation, 0).await;
        let FetchedPartition { records, aborted, .. } = match fetched {
            Ok(fetched) => fetched,
            Err(error) => return Err(failed(source, at, offset, &error).await),
        };
        let records = batches(records);
        if beyond {
            reader.look_beyond(records);
        } else {
            let count = |batch: Outgoing| kept = kept.saturating_add(i64::from(batch.records()));
            reader.take(records, aborted, false, count);
        }
    }
    reader.problem().map_or(Ok(kept), |problem| Err(problem.clone()))
}

/// What keeps the offset from being read.
async fn failed(source: &Cluster, at: &TopicPartition, offset: Offset, error: &ClusterError) -> LaneProblem {
    match error.code() {
        Some(code) if code.retry() == Retry::Never => {
            if code == ErrorCode::OFFSET_OUT_OF_RANGE {
                // The answer itself says -1 for the log start.
                let listed = source.list_offsets(Edge::Earliest, std::slice::from_ref(at)).await.remove(at);
                if let Some(Ok(start)) = listed
                    && start.offset > offset
                {
                    return LaneProblem::Expired { offset, log_start: start.offset };
                }
            }
            LaneProblem::FetchRefused { offset, code }
        }
        _ => LaneProblem::FetchFailed { offset, attempts: error.attempts, cause: error.to_string() },
    }
}
