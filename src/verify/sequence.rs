//! One side of a comparison: entries of its log in, records in their order out.

use std::collections::VecDeque;

use super::content::Content;
use crate::batch::{BatchError, Codec, Entry, RawBatch};
use crate::kafka::{Offset, Side, Span};

/// The most bytes that the records of one batch may take when they are decompressed.
const MOST_DECODED: usize = 1 << 30;

/// What was read of a log, in its order.
#[derive(Debug)]
pub(super) enum Part {
    /// Records.
    Entry(Entry),
    /// Offsets that hold nothing of what is compared: aborted, for brokers only, or left out on purpose.
    Nothing(Span),
}

/// A record in its place.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) offset: Offset,
    /// Offsets in front of it, back to the item before, that may have held records once.
    pub(super) room: i64,
    /// `None` for what is no record, where one should be.
    pub(super) content: Option<Content>,
}

impl Item {
    pub(super) fn is(&self, other: &Self) -> bool {
        matches!((&self.content, &other.content), (Some(one), Some(two)) if one.is(two))
    }
}

/// How a log loses records that once were in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Losses {
    /// Whether a cleaner may take any record that is not among the newest.
    pub(super) compacted: bool,
    /// Where the log starts now: what lies in front of it was there.
    pub(super) start: Offset,
    /// Where the log ends now.
    pub(super) end: Offset,
}

impl Losses {
    /// Whether a record that should be at `offset` and is not there may have been there once.
    pub(super) fn explain(&self, offset: Offset) -> bool {
        offset < self.start || (self.compacted && offset < self.end)
    }

    /// How many records there may have been once in a range without any.
    fn room(&self, range: Span) -> i64 {
        let end = if self.compacted { range.end.min(self.end) } else { range.end.min(self.start) };
        Span { start: range.start, end }.len()
    }
}

/// What lies in a place of a log.
#[derive(Clone, Copy, Debug)]
pub(super) enum Slot<'a> {
    Item(&'a Item),
    Hole {
        explained: bool,
    },
    /// Not read yet, or beyond the end.
    Unknown,
}

/// One side.
#[derive(Debug)]
pub(super) struct Sequence {
    span: Span,
    pub(super) losses: Losses,
    parts: VecDeque<Part>,
    pub(super) items: VecDeque<Item>,
    /// Whether no more parts will come.
    ended: bool,
    /// What lies in front of it is in `items`, or was.
    known: Offset,
    /// Behind the last item, and what held nothing.
    cursor: Offset,
    /// The room since the last item.
    pub(super) room: i64,
    codecs: u8,
    /// Which of the two it is: what the source's brokers stamped is what its consumers see and must arrive; what the
    /// target's brokers stamped themselves is compared with nothing.
    side: Side,
    pub(super) own_time: bool,
}

impl Sequence {
    pub(super) fn new(side: Side, span: Span, losses: Losses) -> Self {
        Self {
            side,
            span,
            losses,
            parts: VecDeque::new(),
            items: VecDeque::new(),
            ended: false,
            known: span.start,
            cursor: span.start,
            room: 0,
            codecs: 0,
            own_time: false,
        }
    }

    /// Where it begins.
    pub(super) fn start(&self) -> Offset {
        self.span.start
    }

    pub(super) fn push(&mut self, parts: impl IntoIterator<Item = Part>) {
        self.parts.extend(parts);
    }

    /// No more parts will come.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Whether a read would be of use now.
    pub(super) fn is_hungry(&self) -> bool {
        self.parts.is_empty() && !self.ended
    }

    /// Whether all that there is has become items.
    pub(super) fn is_whole(&self) -> bool {
        self.parts.is_empty() && self.ended
    }

    /// The codecs that its batches had, a bit for each.
    pub(super) fn codecs(&self) -> u8 {
        self.codecs
    }

    /// Takes parts apart until there are `count` items; `false` where more must be read for that.
    pub(super) fn has(&mut self, count: usize) -> Result<bool, BatchError> {
        while self.items.len() < count {
            if !self.take_apart()? {
                return Ok(self.ended);
            }
        }
        Ok(true)
    }

    /// Takes parts apart until all in front of `offset` is known; `false` where more must be read for that.
    pub(super) fn reaches(&mut self, offset: Offset) -> Result<bool, BatchError> {
        while self.known < offset {
            if !self.take_apart()? {
                return Ok(self.ended);
            }
        }
        Ok(true)
    }

    /// What lies at `offset`.
    pub(super) fn at(&self, offset: Offset) -> Slot<'_> {
        if offset >= self.known {
            return Slot::Unknown;
        }
        match self.items.binary_search_by_key(&offset, |item| item.offset).ok().and_then(|index| self.items.get(index))
        {
            Some(item) => Slot::Item(item),
            None => Slot::Hole { explained: self.losses.explain(offset) },
        }
    }

    /// The next batch, if all of its records belong to the span and none of what was taken apart is left.
    pub(super) fn whole_batch(&self) -> Option<&RawBatch> {
        let Some(Part::Entry(Entry::Batch(batch))) = self.parts.front().filter(|_| self.items.is_empty()) else {
            return None;
        };
        let header = batch.header();
        let inside = header.base_offset >= self.cursor.max(self.losses.start) && header.next_offset() <= self.span.end;
        (inside && !header.has_gaps() && !header.is_control()).then_some(batch)
    }

    /// Offsets in front of the next batch that may have held records once.
    pub(super) fn room_before(&self, batch: &RawBatch) -> i64 {
        self.room.saturating_add(self.losses.room(Span { start: self.cursor, end: batch.header().base_offset }))
    }

    /// Leaves the batch that [`Self::whole_batch`] gave behind.
    pub(super) fn pass(&mut self) {
        if let Some(Part::Entry(entry)) = self.parts.pop_front() {
            self.note(&entry);
            (self.known, self.cursor, self.room) = (entry.next_offset(), entry.next_offset(), 0);
        }
    }

    fn note(&mut self, entry: &Entry) {
        if let Ok(codec) = entry.codec() {
            self.codecs |= bit(codec);
        }
        self.own_time |= self.has_own_time(entry);
    }

    fn has_own_time(&self, entry: &Entry) -> bool {
        self.side == Side::Target && matches!(entry, Entry::Batch(batch) if batch.header().is_append_time())
    }

    fn skip_to(&mut self, offset: Offset) {
        let gap = Span { start: self.cursor, end: offset.min(self.span.end) };
        self.room = self.room.saturating_add(self.losses.room(gap));
        self.cursor = self.cursor.max(gap.end);
    }

    /// Makes items of the next part; `false` where there is none.
    fn take_apart(&mut self) -> Result<bool, BatchError> {
        match self.parts.pop_front() {
            Some(Part::Nothing(span)) => {
                self.skip_to(span.start);
                self.cursor = self.cursor.max(span.end);
                self.known = self.known.max(span.end);
            }
            Some(Part::Entry(entry)) => {
                self.note(&entry);
                self.open(&entry)?;
                self.known = self.known.max(entry.next_offset());
            }
            None if self.ended && self.known < self.span.end => {
                self.skip_to(self.span.end);
                self.known = self.span.end;
            }
            None => return Ok(false),
        }
        Ok(true)
    }

    fn open(&mut self, entry: &Entry) -> Result<(), BatchError> {
        let control = matches!(entry, Entry::Batch(batch) if batch.header().is_control());
        let own_time = self.has_own_time(entry);
        let mut items = std::mem::take(&mut self.items);
        // What lies in front of the log's start no consumer sees any more, although its batch is still there.
        let start = self.losses.start;
        let opened = entry.visit(MOST_DECODED, |record| {
            // What lies in front of the cursor is outside of the span, or was left out on purpose.
            if record.offset >= self.cursor.max(start) && self.span.contains(record.offset) {
                self.skip_to(record.offset);
                let content = (!control).then(|| Content::of(record, own_time));
                items.push_back(Item { offset: record.offset, room: std::mem::take(&mut self.room), content });
                self.cursor = record.offset.plus(1);
            }
        });
        self.items = items;
        opened
    }
}

fn bit(codec: Codec) -> u8 {
    1 << codec.bits()
}
