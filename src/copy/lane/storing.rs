//! What a lane wants to be durable, and what it may do once it is.

use super::*;

impl Lane {
    /// Whether a new journal is due: the first batch waits for it, or most of what is read is not in it yet.
    pub(super) fn wants_to_store(&self) -> bool {
        if self.asked_to_store || self.pending.is_some() || self.resuming || !self.reads_on() {
            return false;
        }
        let Some(first) = self.waiting.front() else { return false };
        let end = self.trail.end().records;
        let ahead = end.saturating_sub(self.writer.journaled());
        let mostly = ahead.saturating_mul(2) > end.saturating_sub(self.writer.handed());
        self.writer.is_ahead_of_journal(first) || (mostly && self.waiting_bytes > self.read_ahead / 4)
    }

    /// What is to be made durable now; [`Event::Stored`] or [`Event::StoreFailed`] tells what came of it. Its time and host
    /// are for whoever stores it.
    pub fn checkpoint(&mut self) -> Checkpoint {
        self.asked_to_store = false;
        let records = self.writer.acked();
        let next = self.next_source();
        if !self.resuming {
            self.marks.reach(next, records);
        }
        let checkpoint = self.standing();
        let journaled =
            checkpoint.journal.cuts().iter().fold(records, |end, cut| end.saturating_add(i64::from(cut.records)));
        self.pending = Some(Pending { records, journaled: Some(journaled) });
        checkpoint
    }

    /// Where the lane stands.
    pub fn standing(&self) -> Checkpoint {
        let (records, next) = (self.writer.acked(), self.next_source());
        let journal = self.trail.journal(records, next);
        // Whoever goes on behind a journaled batch does not see again what was left out in front of it.
        let skipped = self.reader.skipped().iter().copied().filter(|skipped| skipped.span.end <= journal.end());
        Checkpoint {
            next,
            records,
            writer: Some(self.writer.id()),
            unstamped: !self.writer.keeps_stamps(),
            skipped: skipped.collect(),
            journal,
            places: self.marks.places().to_vec(),
            ..self.base.clone()
        }
    }

    /// Whether the target keeps stamps was found out. That it does not must be durable before more is sent: whoever goes on
    /// would take a batch without a stamp for somebody else's.
    pub(super) fn learn_stamps(&mut self, kept: bool) {
        let is_news = !kept && self.writer.keeps_stamps();
        self.writer.learn_stamps(if kept { Stamps::Kept } else { Stamps::Dropped });
        if is_news {
            self.writer.recut_behind(self.writer.handed());
            self.forget_pending();
        }
    }

    pub(super) fn stored(&mut self, now: Duration) {
        let Some(Pending { records, journaled }) = self.pending.take() else { return };
        self.trail.durable(now, records, self.writer.acked());
        if let Some(journaled) = journaled {
            self.writer.may_go_to(journaled);
        }
    }
}
