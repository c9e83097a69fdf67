//! The source side of a lane: record bytes in, batches ready to be stamped out.

use std::sync::Arc;

use super::error::LaneProblem;
use super::ledger::{Fate, Ledger};
use super::replay::{Replay, Replayed};
use super::tally::{Tally, Volume};
use super::walk::Walk;
use crate::batch::{
    self, BatchError, BatchErrorKind, Batches, Broken, DropReason, Entry, Made, MessageSet, Outgoing, Piece, RawBatch,
    RewriteReason, Rules, Verdict,
};
use crate::cluster::AbortedTransaction;
use crate::kafka::{Offset, Span};
use crate::state::{Cut, SkipReason, Skipped};

/// How often in a row the source may answer without a whole batch below the lane's end, although nothing in front of
/// the lane in the request had taken the space: a broker gives the first partition that has records a whole batch,
/// however large (KIP-74).
const EMPTY_ANSWERS: u32 = 10;

/// Walks the source's log from the span's start to its end.
#[derive(Debug)]
pub(super) struct Reader {
    span: Span,
    next: Offset,
    rules: Arc<Rules>,
    ledger: Ledger,
    /// The batches that must be cut as they were journaled.
    replay: Replay,
    /// The offset from which on they could not be.
    recut: Option<Offset>,
    skip_corrupt: bool,
    skipped: Vec<Skipped>,
    empty_answers: u32,
    starved: bool,
    /// Where the last answer was damaged. It may have happened on the way, so it is asked for once more.
    doubted: Option<Offset>,
    /// Bytes that the next batch takes, where the last answer had no room for it and said so.
    needed: usize,
    /// The size of the largest batch in the last answer that showed one.
    batch_size: usize,
    stopped: Option<Box<LaneProblem>>,
}

impl Reader {
    /// A reader at `next`; `skipped` is what was left out in front of it.
    pub(super) fn new(span: Span, next: Offset, rules: Arc<Rules>, skip_corrupt: bool, skipped: Vec<Skipped>) -> Self {
        Self {
            span,
            next,
            rules,
            ledger: Ledger::default(),
            replay: Replay::default(),
            recut: None,
            skip_corrupt,
            skipped,
            empty_answers: 0,
            starved: false,
            doubted: None,
            needed: 0,
            batch_size: 0,
            stopped: None,
        }
    }

    /// The next source offset to ask for.
    pub(super) fn next(&self) -> Offset {
        self.next
    }

    /// The first source offset of which nothing has been handed out.
    pub(super) fn unread(&self) -> Offset {
        self.replay.gathered_from().unwrap_or(self.next)
    }

    /// Bytes of what was read and waits for more.
    pub(super) fn held(&self) -> usize {
        self.replay.bytes()
    }

    /// Bytes that an answer must have room for to bring anything; 0 where that is not known.
    pub(super) fn needed(&self) -> usize {
        self.needed
    }

    /// The size of the largest batch in the last answer that showed one; 0 where none has yet.
    pub(super) fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// Whether nothing is left to ask for: the end is reached or something stands in the way.
    pub(super) fn is_done(&self) -> bool {
        self.stopped.is_some() || self.next >= self.span.end
    }

    /// What stands in the way, if the end was not reached.
    pub(super) fn problem(&self) -> Option<&LaneProblem> {
        self.stopped.as_deref()
    }

    pub(super) fn stop(&mut self, problem: LaneProblem) {
        self.stopped.get_or_insert_with(|| Box::new(problem));
    }

    /// What was read from `offset` on will not be written as it was read.
    pub(super) fn rewind(&mut self, offset: Offset) {
        self.go_to(self.next.min(offset), []);
    }

    /// Goes on at `offset`, with the batches that were journaled from there on.
    pub(super) fn go_to(&mut self, offset: Offset, cuts: impl IntoIterator<Item = Cut>) {
        self.next = offset;
        self.replay = Replay::new(cuts);
        self.ledger.rewind(offset);
    }

    /// What was left out is only certain as long as it stands between batches that are cut, the last of which ends at `end`,
    /// or in front of where the reader stands.
    pub(super) fn forget_skipped_behind(&mut self, end: Offset) {
        let end = end.max(self.next);
        self.skipped.retain_mut(|known| {
            known.span.end = known.span.end.min(end);
            !known.span.is_empty()
        });
    }

    /// The offset from which on the source no longer holds what was journaled, if that was found out.
    pub(super) fn take_recut(&mut self) -> Option<Offset> {
        self.recut.take()
    }

    /// The source's log begins at `log_start`: what lies in front of it was deleted before it could be read.
    pub(super) fn lost(&mut self, log_start: Offset) {
        let span = Span { start: self.unread(), end: log_start.min(self.span.end) };
        if !self.replay.is_active() {
            self.skip(span, SkipReason::Lost);
        } else if !self.is_known_as_lost(span) {
            // Only when nothing is owed any more is it known what was lost.
            return self.differs(span.start);
        }
        self.next = span.end;
        self.empty_answers = 0;
    }

    /// Whether the next journaled batch was cut when this had been lost already.
    fn is_known_as_lost(&self, span: Span) -> bool {
        let ends_it = |known: &Skipped| (known.reason, known.span.end) == (SkipReason::Lost, span.end);
        self.replay.gathered_from().is_none()
            && !self.replay.is_cut_off_by(span.end)
            && self.skipped.iter().any(ends_it)
    }

    /// Everything in front of `offset` is on the target, or left out for good.
    pub(super) fn settle(&mut self, offset: Offset) {
        self.ledger.settle(offset);
    }

    /// Batches larger than `bytes` are split from now on; a problem further on is met again.
    pub(super) fn split_above(&mut self, bytes: usize) {
        Arc::make_mut(&mut self.rules).split_above = Some(bytes);
        self.stopped = None;
    }

    /// What was left out although it was to be moved.
    pub(super) fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// The batches that are settled.
    pub(super) fn tally(&self) -> &Tally {
        self.ledger.tally()
    }

    /// Takes what one Fetch answer brought, with the aborted transactions that it names, and hands each batch that
    /// is to be written to `out`, in order. `crowded`: partitions in front of this one may have used up the space.
    pub(super) fn take(
        &mut self,
        records: Batches,
        aborted: Vec<AbortedTransaction>,
        crowded: bool,
        out: impl FnMut(Outgoing),
    ) {
        let before = self.next;
        self.needed = 0;
        let walk = Walk::new(aborted, records.left(), out);
        self.walk(walk, records);
        self.close();
        self.count_empty(before, crowded);
    }

    /// Journaled batches that are still owed at the span's end can't be made any more.
    fn close(&mut self) {
        if self.next >= self.span.end && self.replay.is_active() {
            self.differs(self.unread());
        }
    }

    fn walk(&mut self, mut walk: Walk<impl FnMut(Outgoing)>, mut records: Batches) {
        let mut largest = 0;
        loop {
            largest = largest.max(self.tiny(&mut walk, &mut records));
            let Some(piece) = records.next().filter(|_| !self.is_done() && self.recut.is_none()) else { break };
            let step = match piece {
                Ok(Piece::Batch(batch)) => {
                    largest = largest.max(batch.bytes().len());
                    self.batch(batch, &mut walk)
                }
                Ok(Piece::Set(set)) => self.set(set, &mut walk),
                Ok(Piece::Partial { size, .. }) => {
                    largest = largest.max(size.unwrap_or(0));
                    self.needed = size.filter(|_| walk.behind.is_none()).unwrap_or(0);
                    break;
                }
                Err(error) => Err(error),
            };
            if let Err(error) = step {
                self.flush(&mut walk);
                if self.is_done() || self.doubts(&error) {
                    break;
                }
                let end = records.next().as_ref().and_then(begins).or(error.next_offset);
                let span = Span { start: self.next, end: end.unwrap_or(self.next) };
                self.broken(Broken { span, error });
                // What follows is asked for again: if this was a transaction's end, only a new answer tells what it ended.
                break;
            }
        }
        self.flush(&mut walk);
        if largest > 0 {
            self.batch_size = largest;
        }
    }

    /// Takes the tiny batches that can be written behind those that wait, and returns the size of the largest: where there is
    /// one there are thousands, and most are through with this.
    fn tiny(&mut self, walk: &mut Walk<impl FnMut(Outgoing)>, records: &mut Batches) -> usize {
        let (mut largest, mut joined) = (0, Volume::default());
        while let Some(batch) = records.ahead() {
            let (header, size, span) = (batch.header(), batch.header().size(), batch.header().span());
            let joins = !self.replay.is_active()
                && self.rules.joining.is_tiny(header)
                && walk.judge.passes(header, self.left(), &self.rules)
                && walk.behind.is_none_or(|behind| behind <= span.start)
                && walk.run.append(&batch, &self.rules);
            if !joins {
                break;
            }
            records.pass_over(size);
            joined.add(size);
            largest = largest.max(size);
            (walk.behind, self.next) = (Some(span.end), span.end);
        }
        if joined.batches > 0 {
            // They are part of one batch of the run: nothing goes back to a place between them.
            self.ledger.add(self.next, joined, Fate::Rewritten(RewriteReason::Join));
        }
        largest
    }

    fn batch(&mut self, batch: RawBatch, walk: &mut Walk<impl FnMut(Outgoing)>) -> Result<(), BatchError> {
        let span = batch.header().span();
        walk.follow(span)?;
        if span.start >= self.span.end {
            self.next = self.span.end; // the rest of the span was compacted away
            return Ok(());
        }
        // Asked about every batch, also those in front of the span: they may begin or end a transaction.
        let verdict = walk.judge.verdict(&batch, self.left(), &self.rules)?;
        self.act(Entry::Batch(batch), verdict, walk)
    }

    fn set(&mut self, set: MessageSet, walk: &mut Walk<impl FnMut(Outgoing)>) -> Result<(), BatchError> {
        walk.follow(Span { start: set.last_offset(), end: set.next_offset() })?;
        if set.is_plain() && set.last_offset() >= self.span.end {
            self.next = self.span.end;
            return Ok(());
        }
        let verdict = walk.judge.verdict_of_set(&set, self.left());
        self.act(Entry::Set(set), verdict, walk)
    }

    fn left(&self) -> Span {
        Span { start: self.next, end: self.span.end }
    }

    fn act(&mut self, entry: Entry, verdict: Verdict, walk: &mut Walk<impl FnMut(Outgoing)>) -> Result<(), BatchError> {
        let (next, size) = (entry.next_offset(), entry.size());
        match (verdict, &entry) {
            (Verdict::Pass | Verdict::Rewrite(_), _) if self.replay.is_active() => self.replay(entry, verdict, walk),
            (Verdict::Drop(_), _) if self.replay.is_cut_off_by(next.min(self.span.end)) => self.differs(self.unread()),
            (Verdict::Pass, Entry::Batch(batch)) if !self.rules.joining.is_tiny(batch.header()) => {
                self.flush(walk);
                if !self.is_done() {
                    self.went_on(next, size, Fate::Passed);
                    (walk.out)(batch::pass(batch));
                }
            }
            (Verdict::Pass, _) => self.join(entry, None, walk),
            (Verdict::Rewrite(reason), _) => self.join(entry, Some(reason), walk),
            // A Fetch may begin before the offset that was asked for.
            (Verdict::Drop(DropReason::Outside), _) => {}
            (Verdict::Drop(reason), _) => self.went_on(next, size, Fate::Dropped(reason)),
            (Verdict::Unsupported(reason), _) => {
                return Err(BatchErrorKind::Refused(reason).of(Span { start: self.next, end: next }));
            }
        }
        Ok(())
    }

    /// Cuts an entry as it was journaled.
    fn replay(&mut self, entry: Entry, verdict: Verdict, walk: &mut Walk<impl FnMut(Outgoing)>) {
        let (next, size) = (entry.next_offset(), entry.size());
        let reason = match verdict {
            Verdict::Rewrite(reason) => Some(reason),
            _ => None,
        };
        match self.replay.take(entry, self.next, reason.is_none(), &self.rules) {
            Replayed::Differs(made, offset) => {
                made.into_iter().for_each(|outgoing| (walk.out)(outgoing));
                self.differs(offset);
            }
            Replayed::Made(made, rest) => {
                let last = made.last().map(|outgoing| outgoing.source().end);
                made.into_iter().for_each(|outgoing| (walk.out)(outgoing));
                match (rest, last) {
                    (Some(entry), Some(last)) => {
                        self.next = last;
                        self.join(entry, Some(reason.unwrap_or(RewriteReason::TooLarge)), walk);
                    }
                    _ => self.went_on(next, size, reason.map_or(Fate::Passed, Fate::Rewritten)),
                }
            }
        }
    }

    /// What was journaled can't be cut like that any more.
    fn differs(&mut self, offset: Offset) {
        tracing::warn!(%offset, "the source no longer holds the batches that were journaled; they are cut anew");
        self.go_to(offset, []);
        self.recut = Some(offset);
    }

    /// Lets an entry wait for its neighbours; without a `reason` it may pass as it is where it stays alone.
    fn join(&mut self, entry: Entry, reason: Option<RewriteReason>, walk: &mut Walk<impl FnMut(Outgoing)>) {
        let must = reason.is_some();
        if !walk.run.push(&entry, self.next, must, &self.rules) {
            self.flush(walk);
            if self.is_done() {
                return;
            }
            // An empty run takes anything.
            let _ = walk.run.push(&entry, self.next, must, &self.rules);
        }
        let (next, size) = (entry.next_offset(), entry.size());
        self.went_on(next, size, Fate::Rewritten(reason.unwrap_or(RewriteReason::Join)));
    }

    fn went_on(&mut self, next: Offset, bytes: usize, fate: Fate) {
        self.next = next.min(self.span.end);
        self.ledger.add(self.next, Volume::of(bytes), fate);
    }

    /// Hands out the batches that wait for neighbours.
    fn flush(&mut self, walk: &mut Walk<impl FnMut(Outgoing)>) {
        for made in walk.run.finish(self.span.end, &self.rules) {
            match made {
                Made::Joined(outgoing) => {
                    self.ledger.joined(outgoing.source());
                    (walk.out)(outgoing);
                }
                Made::Passed(outgoing) => {
                    self.ledger.amend(outgoing.source().end, Some(Fate::Passed));
                    (walk.out)(outgoing);
                }
                Made::Broken(broken) => {
                    let span = broken.span;
                    if !self.skips(&broken) {
                        self.rewind(span.start);
                        self.broken(broken);
                        return;
                    }
                    self.ledger.amend(span.end, None);
                    self.skip(span, SkipReason::Corrupt);
                }
            }
        }
    }

    /// Whether the bytes should be asked for once more before anything is concluded from them.
    fn doubts(&mut self, error: &BatchError) -> bool {
        let damaged = !matches!(error.kind, BatchErrorKind::Refused(_));
        damaged && self.doubted.replace(self.next) != Some(self.next)
    }

    fn skips(&self, broken: &Broken) -> bool {
        self.skip_corrupt && !broken.span.is_empty() && !matches!(broken.error.kind, BatchErrorKind::Refused(_))
    }

    /// Leaves the stretch in front of the lane out if it may, or stops there.
    fn broken(&mut self, broken: Broken) {
        let Broken { span, error } = &broken;
        if self.skips(&broken) {
            self.next = span.end.min(self.span.end);
            return self.skip(Span { start: span.start, end: self.next }, SkipReason::Corrupt);
        }
        self.stop(match &error.kind {
            BatchErrorKind::Refused(reason) => {
                let offset = error.base_offset.max(span.start);
                LaneProblem::Unsupported { offset, reason: reason.to_string() }
            }
            // Where it says that it lies may be part of the damage.
            kind => LaneProblem::Corrupt { offset: span.start, what: kind.to_string() },
        });
    }

    /// Notes what is left out, whatever was known of the same stretch before.
    fn skip(&mut self, span: Span, reason: SkipReason) {
        self.skipped.retain_mut(|known| {
            if known.span.start < span.end {
                known.span.end = known.span.end.min(span.start);
            }
            !known.span.is_empty()
        });
        let place = self.skipped.partition_point(|known| known.span.end <= span.start);
        match place.checked_sub(1).and_then(|before| self.skipped.get_mut(before)) {
            Some(before) if before.span.end == span.start && before.reason == reason => before.span.end = span.end,
            _ => self.skipped.insert(place, Skipped { span, reason }),
        }
    }

    fn count_empty(&mut self, before: Offset, crowded: bool) {
        self.starved = self.next == before && !self.is_done();
        if !self.starved {
            self.empty_answers = 0;
            return;
        }
        if crowded {
            return;
        }
        self.empty_answers = self.empty_answers.saturating_add(1);
        if self.empty_answers >= EMPTY_ANSWERS {
            let attempts = self.empty_answers;
            self.stop(LaneProblem::NoRecords { offset: self.next, end: self.span.end, attempts });
        }
    }

    /// Whether the end may be one that nothing lies in front of any more: the cleaner took what was there, and what comes
    /// next is of an open transaction, so that no answer for read_committed goes past it.
    pub(super) fn looks_beyond(&self) -> bool {
        self.empty_answers == EMPTY_ANSWERS / 2
    }

    /// Takes an answer with the records of open transactions: of these none is wanted, but where they begin is where
    /// nothing lies in front.
    pub(super) fn look_beyond(&mut self, mut records: Batches) {
        self.empty_answers = self.empty_answers.saturating_add(1);
        let behind = records.next().and_then(|piece| match &piece {
            // Whether it is sound is for its readers to find out: no answer for read_committed holds it.
            Err(error) => Some(error.base_offset),
            sound => begins(sound),
        });
        if behind.is_some_and(|behind| behind >= self.span.end) {
            self.next = self.span.end;
            self.starved = false;
            self.close();
        }
    }

    /// Whether the last answer brought nothing: such a lane is asked for first next time.
    pub(super) fn is_starved(&self) -> bool {
        self.starved
    }
}

/// Where a piece begins; `None` where that is not there to see.
fn begins(piece: &Result<Piece, BatchError>) -> Option<Offset> {
    match piece {
        Ok(Piece::Batch(batch)) => Some(batch.header().base_offset),
        Ok(Piece::Partial { base_offset, .. }) => *base_offset,
        Ok(Piece::Set(_)) | Err(_) => None,
    }
}
