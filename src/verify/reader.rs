//! Reads one side of a partition from its start to its end.

use std::slice;

use super::extent::Extent;
use super::findings::VerifyError;
use super::sequence::{Losses, Part};
use super::walk::walk;
use crate::cluster::{Cluster, Edge, FetchedPartition, Isolation};
use crate::kafka::{ErrorCode, Offset, Side, Span};

/// How often in a row an answer may bring nothing. A broker gives a single partition that has records a whole batch,
/// however large (KIP-74).
const EMPTY_ANSWERS: u32 = 10;

/// After so many empty answers in a row that tell that the log goes on, nothing is left in front of the end: the cleaner
/// took it.
const EMPTY_FOR_GOOD: u32 = 3;

/// What a read brought.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) parts: Vec<Part>,
    /// Whether that was all.
    pub(super) ended: bool,
    /// Where the log starts now.
    pub(super) start: Offset,
}

/// The reader of one side.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    cluster: &'a Cluster,
    extent: &'a Extent,
    next: Offset,
    end: Offset,
    start: Offset,
    /// Bytes to ask for.
    bytes: usize,
    /// Bytes without which nothing comes.
    needed: usize,
    used: u16,
    empty: u32,
    /// Where the last answer was damaged. It may have happened on the way, so it is asked for once more.
    doubted: Option<Offset>,
}

impl<'a> Reader<'a> {
    /// A reader of what the log still has of the extent's offsets.
    pub(super) fn new(cluster: &'a Cluster, extent: &'a Extent, losses: Losses, bytes: usize, used: u16) -> Self {
        let span = if cluster.side() == Side::Source { extent.source } else { extent.target };
        Self {
            cluster,
            extent,
            next: span.start.max(losses.start),
            end: span.end.min(losses.end),
            start: losses.start,
            bytes,
            needed: 0,
            used,
            empty: 0,
            doubted: None,
        }
    }

    /// The next records; an answer without any where they are still to come.
    pub(super) async fn read(&mut self) -> Result<Read, VerifyError> {
        let mut parts = Vec::new();
        if self.cluster.side() == Side::Source {
            while let Some(skipped) = self.extent.skip_at(self.next) {
                self.next = skipped.end;
                parts.push(Part::Nothing(skipped));
            }
        }
        if self.next < self.end {
            let isolation = match self.cluster.side() {
                Side::Source => Isolation::ReadCommitted,
                Side::Target => Isolation::ReadUncommitted,
            };
            let bytes = self.bytes.max(self.needed);
            match self.cluster.read(&self.extent.at, self.next, bytes, isolation, self.used).await {
                Ok(fetched) => self.take(fetched, &mut parts)?,
                Err(error) if error.code() == Some(ErrorCode::OFFSET_OUT_OF_RANGE) => self.follow_the_start().await?,
                Err(error) => return Err(VerifyError::Cluster(error)),
            }
        }
        Ok(Read { parts, ended: self.next >= self.end, start: self.start })
    }

    fn take(&mut self, fetched: FetchedPartition, parts: &mut Vec<Part>) -> Result<(), VerifyError> {
        let side = self.cluster.side();
        let FetchedPartition { records, aborted, last_stable, high_watermark, .. } = fetched;
        let before = (self.next, self.needed);
        let walked = walk(side, records, aborted, Span { start: self.next, end: self.end });
        parts.extend(walked.parts);
        (self.next, self.needed) = (walked.next, walked.needed);
        // What was left out as corrupt is stepped over by the next read.
        if let Some(cause) = walked.error.filter(|_| self.extent.skip_at(self.next).is_none()) {
            let again = self.doubted.replace(self.next) == Some(self.next);
            let corrupt = || VerifyError::Corrupt { at: self.extent.at.clone(), side, cause };
            return if again { Err(corrupt()) } else { Ok(()) };
        }
        if self.next > before.0 || self.needed > before.1 {
            self.empty = 0;
            return Ok(());
        }
        self.empty = self.empty.saturating_add(1);
        // 0.11 and 1.1 do not tell the last stable offset to those who read everything.
        let stable = if side == Side::Source { last_stable.unwrap_or(high_watermark) } else { high_watermark };
        if stable >= self.end && self.empty >= EMPTY_FOR_GOOD {
            self.next = self.end;
        } else if self.empty >= EMPTY_ANSWERS {
            let at = self.extent.at.clone();
            return Err(VerifyError::NoRecords { at, side, offset: self.next, end: self.end });
        }
        Ok(())
    }

    /// Retention was faster: goes on where the log starts now, or is done where it ends in front of that.
    async fn follow_the_start(&mut self) -> Result<(), VerifyError> {
        let at = &self.extent.at;
        let mut listed = self.cluster.list_offsets(Edge::Earliest, slice::from_ref(at)).await;
        match listed.remove(at) {
            Some(Ok(listed)) if listed.offset > self.next => {
                self.start = listed.offset;
                self.next = listed.offset;
            }
            // It ends in front of what it had a moment ago: the topic was made anew, or the log was cut off.
            Some(Ok(_)) | None => self.end = self.next,
            Some(Err(error)) => return Err(VerifyError::Cluster(error)),
        }
        Ok(())
    }
}
