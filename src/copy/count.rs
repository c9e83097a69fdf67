//! Counting what a copy would keep, without copying it.

use tokio::time::{Instant, sleep};

use super::error::LaneProblem;
use super::fetcher::Ask;
use super::patience::Patience;
use super::reader::Reader;
use super::requests::{Done, fetch, fetch_request};
use crate::batch::{AppendTime, Joining, Rules};
use crate::cluster::retry::RetryPolicy;
use crate::cluster::{Cluster, Edge, FetchedPartition};
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
    let mut reader = Reader::new(span, span.start, rules, false, Vec::new());
    let mut patience = Patience::new(RetryPolicy::default(), 0);
    let (begun, mut kept) = (Instant::now(), 0_i64);
    while !reader.is_done() {
        let (from, needed, beyond) = (reader.next(), reader.needed(), reader.looks_beyond());
        let cause = match ask(source, at, Ask { lane: 0, from, needed, beyond }).await {
            Ok(FetchedPartition { error: ErrorCode::NONE, records, aborted, .. }) => {
                patience.reset();
                if beyond {
                    reader.look_beyond(records);
                } else {
                    let count = |batch: crate::batch::Outgoing| kept = kept.saturating_add(i64::from(batch.records()));
                    reader.take(records, aborted, false, count);
                }
                continue;
            }
            Ok(FetchedPartition { error, .. }) => {
                if let Some(problem) = refused(source, at, from, error).await {
                    return Err(problem);
                }
                error.to_string()
            }
            Err(cause) => cause,
        };
        match patience.failed(begun.elapsed()) {
            Some(again) => sleep(again.saturating_sub(begun.elapsed())).await,
            None => return Err(LaneProblem::FetchFailed { offset: from, attempts: patience.failures(), cause }),
        }
        // A leader that has moved may be all that is wrong; what keeps it from being found shows next time.
        let _ = source.refresh_leader(at).await;
    }
    reader.problem().map_or(Ok(kept), |problem| Err(problem.clone()))
}

/// What a refusal says for good; `None` where asking again may help.
async fn refused(source: &Cluster, at: &TopicPartition, offset: Offset, code: ErrorCode) -> Option<LaneProblem> {
    if code == ErrorCode::OFFSET_OUT_OF_RANGE {
        // The answer itself says -1 for the log start.
        let start = source.list_offsets(Edge::Earliest, std::slice::from_ref(at)).await.remove(at)?.ok()?.offset;
        return (start > offset).then_some(LaneProblem::Expired { offset, log_start: start });
    }
    (code.retry() == Retry::Never).then_some(LaneProblem::FetchRefused { offset, code })
}

/// The leader's answer about the partition.
async fn ask(source: &Cluster, at: &TopicPartition, ask: Ask) -> Result<FetchedPartition, String> {
    let leader = source.leader(at).await.map_err(|error| error.to_string())?.broker;
    // Without a rack nobody names a closer replica, which may lag behind.
    let request = fetch_request(&[ask], (FETCH_BYTES, FETCH_BYTES), "", |_| at.clone());
    let Done::Fetched { answer, .. } = fetch(source.clone(), leader, vec![ask], request).await else {
        return Err("the answer is to something else".to_owned());
    };
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.error != ErrorCode::NONE {
        return Err(answer.error.to_string());
    }
    let left_out = || "the answer leaves the partition out".to_owned();
    answer.partitions.into_iter().find(|partition| partition.at == *at).ok_or_else(left_out)
}
