//! What a lane does when it does not know what is on the target, until it knows.

use super::*;

/// Where a lane stands with the question what is on the target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Settling {
    /// There is none.
    Clear,
    /// It must be asked, at this time or later.
    Due(Duration),
    Asked,
}

impl Lane {
    /// Why the first batch that waits must not go out yet: the time at which it may, or the need to settle.
    ///
    /// A broker that has forgotten the producer, because the records are old, or that keeps no stamps, would append a late
    /// request a second time. So before such a batch goes out, the log must have stood still for as long as a request may
    /// be late.
    pub(super) fn hold(&mut self, now: Duration) -> Option<Duration> {
        if self.resuming || self.writer.doubt().is_some() {
            return None;
        }
        self.disturbed?;
        let unknown = self.waiting.front().is_some_and(|batch| self.writer.goes_unrecognised(batch));
        if !unknown || !self.writer.is_silent() {
            return None;
        }
        let until = self.late_until(now);
        if until.is_none() {
            self.settling = Settling::Due(now);
        }
        until
    }

    /// Until when a lost request may still arrive.
    pub(super) fn late_until(&self, now: Duration) -> Option<Duration> {
        let until = self.disturbed?.saturating_add(self.late_bound);
        (now < until).then_some(until)
    }

    /// Asks for the end of the log at this time, and reads again from there.
    pub(super) fn reread_at(&mut self, time: Duration) {
        self.rereads = true;
        self.settling = Settling::Due(time);
    }

    /// Something went wrong with the target: settles later, or gives up.
    pub(super) fn bear(&mut self, now: Duration, cause: String) {
        match self.bearing.failed(now) {
            Some(time) => self.settling = Settling::Due(time),
            None => {
                self.settling = Settling::Clear;
                let span = match self.writer.first_unanswered() {
                    Some(_) => self.writer.doubtful(),
                    None => Span { start: self.next_source(), end: self.trail.end().next },
                };
                self.writer.fail(LaneProblem::Unclear { span, cause });
            }
        }
    }

    /// Takes the end of the target's log.
    pub(super) fn settled(&mut self, now: Duration, tail: &Tail) {
        let known = Known {
            target_start: self.base.target_start,
            acked: self.writer.acked(),
            trail: &self.trail,
            writer: self.writer.id(),
            stamped: self.writer.keeps_stamps(),
        };
        let expected = self.written().end;
        if tail.last.is_some_and(|last| last.stamp.producer == self.writer.id().producer) {
            self.writer.learn_stamps(Stamps::Kept);
        }
        match known.settle(tail) {
            Settled::Undecided => {
                let cause = format!(
                    "waiting for replication: the leader has records up to {}, its followers up to {}",
                    tail.end, tail.high_watermark
                );
                tracing::info!(at = %self.at, "{cause}");
                self.bear(now, cause);
            }
            Settled::At(boundary) => self.go_on_from(now, boundary),
            Settled::Truncated(boundary) => {
                tracing::warn!(at = %self.at, %expected, end = %tail.end, "the target lost records that it had acknowledged");
                self.truncated.push(Truncation { expected, end: tail.end });
                self.marks.back_to(boundary);
                self.forget_pending();
                self.resuming = true;
                self.go_on_from(now, boundary);
            }
            Settled::Wrong(problem) => {
                self.settling = Settling::Clear;
                self.writer.fail(problem);
            }
        }
    }

    fn go_on_from(&mut self, now: Duration, boundary: Boundary) {
        let before = self.writer.acked();
        let id = self.writer.id();
        let (landed, back) = self.writer.settled(boundary);
        if self.writer.id() != id {
            // The checkpoint that is on its way names the writer before this one.
            self.forget_pending();
        }
        if self.writer.acked() > before {
            self.bearing.reset();
        }
        landed.iter().for_each(|acked| self.marks.pass(acked));
        // A late request may have brought more than was sent from here.
        let seen = landed.last().map_or(before, |acked| acked.before.saturating_add(i64::from(acked.batch.records())));
        if self.resuming || self.rereads || seen != boundary.records {
            self.marks.jump(&self.trail, boundary);
            self.reread(boundary);
        } else {
            back.into_iter().rev().for_each(|batch| self.comes_back(batch));
        }
        self.settling = Settling::Clear;
        if self.disturbed.is_some_and(|since| now >= since.saturating_add(self.late_bound)) {
            // Something came late: whatever is behind it may come too.
            self.disturbed = (self.writer.acked() > before).then_some(now);
        }
    }

    /// Reads again from a boundary on, with the cuts that are journaled.
    fn reread(&mut self, boundary: Boundary) {
        self.resuming = false;
        self.rereads = false;
        self.waiting.clear();
        self.waiting_bytes = 0;
        let cuts: Vec<Cut> = self.trail.cuts_behind(boundary.records).collect();
        self.reader.go_to(boundary.next.max(self.base.span.start), cuts);
        self.reader.forget_skipped_behind(self.trail.end().next);
        self.overtake();
    }
}
