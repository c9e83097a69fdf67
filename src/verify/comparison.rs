//! The records of a stretch of the source held against those of its place on the target, both read once, in order.
//!
//! The target's records were written without gaps, so an offset there tells which of the records it is. On the source the
//! k-th record that is left is the k-th that was written, as long as none was lost since: that is what the first pass
//! goes by. Where records may have been lost and the sides do not fit, the source is counted to its end; how many are
//! missing is then certain, and a second pass may leave out that many on the target, only where the source has offsets
//! without records, and where the records that follow fit best.

use super::extent::Extent;
use super::findings::{Findings, What};
use super::level::Level;
use super::sequence::{Item, Losses, Sequence, Slot};
use crate::batch::{BatchError, RawBatch};
use crate::kafka::{Offset, Side};

/// How far ahead it is looked for what fits, in records of each side.
pub(super) const WINDOW: usize = 1_024;

/// So many records in a row that are the same are no accident.
pub(super) const ALIKE: usize = 8;

/// What goes on next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// More of this side must be read.
    Read(Side),
    /// It has come to its end.
    Done,
}

/// Something on a side can't be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Unreadable {
    pub(super) side: Side,
    pub(super) cause: BatchError,
}

/// What the source holds, as a whole pass over it found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Census {
    /// Records that are left.
    pub(super) records: i64,
    /// Offsets that may have held others.
    pub(super) room: i64,
}

/// What a pass came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Passed {
    /// All there is to say.
    Compared(Findings),
    /// The source has lost records: another pass is needed, that knows how many there are.
    Counted(Census),
}

/// One pass.
#[derive(Debug)]
pub(super) struct Comparison {
    level: Level,
    pub(super) source: Sequence,
    pub(super) target: Sequence,
    /// The target offset that comes next.
    pub(super) place: Offset,
    pub(super) end: Offset,
    /// What the pass before has counted.
    census: Option<Census>,
    /// Whether the source is only counted any more.
    counting: bool,
    seen: Census,
    /// Records that the source has lost and that were not met on the target yet.
    pub(super) lost: i64,
    /// How often it may still be looked for what fits.
    pub(super) searches: u32,
    pub(super) last: Option<Item>,
    pub(super) found: Findings,
}

impl Comparison {
    pub(super) fn new(extent: &Extent, level: Level, losses: [Losses; 2], census: Option<Census>) -> Self {
        let [source, target] = losses;
        Self {
            level,
            source: Sequence::new(Side::Source, extent.source, source),
            target: Sequence::new(Side::Target, extent.target, target),
            place: extent.target.start,
            end: extent.target.end,
            census,
            counting: false,
            seen: Census { records: 0, room: 0 },
            lost: census.map_or(0, |census| extent.target.len().saturating_sub(census.records).max(0)),
            searches: 2_000,
            last: None,
            found: Findings::default(),
        }
    }

    /// One of the sides, to be given what was read.
    pub(super) fn side(&mut self, side: Side) -> &mut Sequence {
        match side {
            Side::Source => &mut self.source,
            Side::Target => &mut self.target,
        }
    }

    /// Whether a read of this side would be of use now.
    pub(super) fn is_hungry(&self, side: Side) -> bool {
        match side {
            Side::Source => self.source.is_hungry(),
            Side::Target => self.target.is_hungry() && !self.counting,
        }
    }

    /// What was found so far.
    pub(super) fn findings(&self) -> &Findings {
        &self.found
    }

    /// Compares as far as what was read goes.
    pub(super) fn advance(&mut self) -> Result<Next, Unreadable> {
        loop {
            if let Some(next) = if self.counting { self.count() } else { self.step() }? {
                return Ok(next);
            }
        }
    }

    /// What it came to, at its end.
    pub(super) fn finish(mut self) -> Passed {
        if self.counting || self.census.is_some_and(|census| census != self.seen) {
            return Passed::Counted(self.seen);
        }
        self.found.own_time = self.target.own_time;
        let ours = self.source.codecs();
        self.found.recompressed = ours != 0 && self.target.codecs() & !ours != 0;
        Passed::Compared(self.found)
    }

    /// Looks at the next record of the source.
    fn step(&mut self) -> Result<Option<Next>, Unreadable> {
        if self.level == Level::Digest {
            let between = self.source.items.is_empty() && self.target.items.is_empty();
            let hungry = [Side::Source, Side::Target].into_iter().find(|side| self.is_hungry(*side));
            if let Some(side) = hungry.filter(|_| between) {
                return Ok(Some(Next::Read(side)));
            }
            if self.skim() {
                return Ok(None);
            }
        }
        if !self.has_source(1)? {
            return Ok(Some(Next::Read(Side::Source)));
        }
        let Some(room) = self.source.items.front().map(|head| head.room) else { return self.rest() };
        let most = self.lost.min(room);
        if most > 0 {
            return self.step_where_records_were_lost(room, most);
        }
        if !self.reaches_target(self.place.plus(1))? {
            return Ok(Some(Next::Read(Side::Target)));
        }
        let fits = self.source.items.front().is_some_and(|head| match self.target.at(self.place) {
            Slot::Item(item) => head.is(item),
            Slot::Hole { explained } => explained && self.place < self.end,
            Slot::Unknown => false,
        });
        if fits {
            self.pair();
            return Ok(None);
        }
        if self.may_have_lost() {
            self.counting = true;
            return Ok(None);
        }
        self.find_again()
    }

    /// The same where the source has offsets without records in front of it, and has lost some.
    fn step_where_records_were_lost(&mut self, room: i64, most: i64) -> Result<Option<Next>, Unreadable> {
        let room_behind =
            self.census.map_or(0, |census| census.room.saturating_sub(self.seen.room).saturating_sub(room));
        if self.lost > room_behind {
            return self.leave_out();
        }
        if !self.has_source(ALIKE)? {
            return Ok(Some(Next::Read(Side::Source)));
        }
        if !self.reaches_target(self.ahead(WINDOW.saturating_mul(2)))? {
            return Ok(Some(Next::Read(Side::Target)));
        }
        match self.best_place(most) {
            Some(lost) => {
                for _ in 0..lost {
                    self.lose();
                }
                self.pair();
                Ok(None)
            }
            None => self.find_again(),
        }
    }

    /// Whether the source may have lost records and nobody has counted them yet.
    fn may_have_lost(&self) -> bool {
        let losses = &self.source.losses;
        self.census.is_none() && (losses.compacted || losses.start > self.source.start())
    }

    pub(super) fn has_source(&mut self, count: usize) -> Result<bool, Unreadable> {
        self.source.has(count).map_err(|cause| Unreadable { side: Side::Source, cause })
    }

    pub(super) fn reaches_target(&mut self, offset: Offset) -> Result<bool, Unreadable> {
        self.target.reaches(offset.min(self.end)).map_err(|cause| Unreadable { side: Side::Target, cause })
    }

    /// The target offset `count` records further on.
    pub(super) fn ahead(&self, count: usize) -> Offset {
        self.place.plus(i64::try_from(count).unwrap_or(i64::MAX)).min(self.end)
    }

    /// Takes the source's next record.
    pub(super) fn take_source(&mut self) -> Option<Item> {
        let item = self.source.items.pop_front()?;
        self.seen.records = self.seen.records.saturating_add(1);
        self.seen.room = self.seen.room.saturating_add(item.room);
        Some(item)
    }

    /// Takes the target's next place: what lies there, or whether it is explained that nothing does.
    pub(super) fn take_target(&mut self) -> Result<Item, bool> {
        let explained = match self.target.at(self.place) {
            Slot::Hole { explained } => explained,
            Slot::Item(_) | Slot::Unknown => false,
        };
        let place = self.place;
        self.place = place.plus(1);
        self.target.items.pop_front_if(|item| item.offset == place).ok_or(explained)
    }

    /// Takes a record of each side that fit each other.
    pub(super) fn pair(&mut self) {
        self.take_source();
        match self.take_target() {
            Ok(item) => {
                self.found.same = self.found.same.saturating_add(1);
                self.last = Some(item);
            }
            Err(_) => self.found.explained = self.found.explained.saturating_add(1),
        }
    }

    /// Leaves the target's next record out, once it is known.
    fn leave_out(&mut self) -> Result<Option<Next>, Unreadable> {
        if !self.reaches_target(self.place.plus(1))? {
            return Ok(Some(Next::Read(Side::Target)));
        }
        self.lose();
        Ok(None)
    }

    /// Leaves the target's next record out: the source has lost it.
    pub(super) fn lose(&mut self) {
        let left = if self.take_target().is_ok() { &mut self.found.explained } else { &mut self.found.unverifiable };
        *left = left.saturating_add(1);
        self.lost = self.lost.saturating_sub(1);
        let room = self.source.items.front_mut().map_or(&mut self.source.room, |head| &mut head.room);
        *room = room.saturating_sub(1);
        self.seen.room = self.seen.room.saturating_add(1);
    }

    /// What the target has behind the source's last record.
    fn rest(&mut self) -> Result<Option<Next>, Unreadable> {
        if self.place < self.end {
            if self.may_have_lost() {
                self.counting = true;
                return Ok(None);
            }
            if self.lost.min(self.source.room) > 0 {
                return self.leave_out();
            }
            if !self.reaches_target(self.place.plus(1))? {
                return Ok(Some(Next::Read(Side::Target)));
            }
            self.extra();
            return Ok(None);
        }
        self.seen.room = self.seen.room.saturating_add(std::mem::take(&mut self.source.room));
        Ok(Some(Next::Done))
    }

    /// Takes a record of the target that the source does not have.
    pub(super) fn extra(&mut self) {
        let place = self.place;
        match self.take_target() {
            Ok(item) => {
                let doubled = self.last.as_ref().is_some_and(|last| last.is(&item));
                self.found.differs(None, Some(place), if doubled { What::Doubled } else { What::Extra });
            }
            Err(_) => self.found.unverifiable = self.found.unverifiable.saturating_add(1),
        }
    }

    /// Counts what is left of the source.
    fn count(&mut self) -> Result<Option<Next>, Unreadable> {
        if let Some(batch) = self.source.whole_batch() {
            let (records, room) = (i64::from(batch.header().records), self.source.room_before(batch));
            self.seen.records = self.seen.records.saturating_add(records);
            self.seen.room = self.seen.room.saturating_add(room);
            self.source.pass();
            return Ok(None);
        }
        if !self.has_source(1)? {
            return Ok(Some(Next::Read(Side::Source)));
        }
        if self.take_source().is_some() {
            return Ok(None);
        }
        self.seen.room = self.seen.room.saturating_add(std::mem::take(&mut self.source.room));
        Ok(Some(Next::Done))
    }

    /// Leaves a batch of each side behind whose records are the same bytes in the same places.
    fn skim(&mut self) -> bool {
        let (Some(source), Some(target)) = (self.source.whole_batch(), self.target.whole_batch()) else { return false };
        let room = self.source.room_before(source);
        let in_place = target.header().base_offset == self.place && (self.lost == 0 || room == 0);
        if !in_place || !same_bytes(source, target) {
            return false;
        }
        let (records, next) = (i64::from(source.header().records), target.header().next_offset());
        self.place = next;
        self.seen =
            Census { records: self.seen.records.saturating_add(records), room: self.seen.room.saturating_add(room) };
        self.found.same = self.found.same.saturating_add(records);
        self.found.same_batches = self.found.same_batches.saturating_add(1);
        self.last = None;
        self.source.pass();
        self.target.pass();
        true
    }
}

/// Whether two batches hold the same records with the same times, where they are not to be unpacked. The bytes of a
/// record hold its time and offset as distances from the header's.
fn same_bytes(source: &RawBatch, target: &RawBatch) -> bool {
    let (one, two) = (source.header(), target.header());
    let times = two.is_append_time() || one.base_timestamp == two.base_timestamp;
    let alike = one.records == two.records && one.codec() == two.codec() && times && !one.is_append_time();
    alike && source.payload() == target.payload()
}
