//! A partition's log on the source: batches as they are stored, transactions, and what readers are shown.

use std::fmt;

use bytes::Bytes;

use crate::broker::Codec;
use crate::lab::record::Record;

/// What is stored between two offsets.
#[derive(Clone, Debug)]
pub struct Piece {
    /// A batch of magic 2, or one entry of a message set.
    pub bytes: Bytes,
    /// Its first offset.
    pub base: i64,
    /// The offset behind its last one, which need not have a record.
    pub next: i64,
    /// The format: 0, 1 or 2.
    pub magic: u8,
    /// How its records are compressed.
    pub codec: Codec,
    /// Its records as a consumer is shown them, also those that only a read_uncommitted one is shown.
    pub records: Vec<Record>,
    /// Its transaction, by number.
    pub transaction: Option<usize>,
    /// Whether its bytes are no longer those that were written.
    pub corrupt: bool,
}

/// A transaction in this partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transaction {
    /// Whose.
    pub producer: i64,
    /// Its first offset.
    pub first: i64,
    /// The offset of its marker, and whether it was committed; `None` while it is open.
    pub end: Option<(i64, bool)>,
}

/// A log.
#[derive(Clone, Default, Debug)]
pub struct Log {
    /// What is stored, in order; offsets between two pieces were compacted away.
    pub pieces: Vec<Piece>,
    /// In the order of their first offsets.
    pub transactions: Vec<Transaction>,
    /// The log start offset.
    pub start: i64,
}

/// What a broker answers to a Fetch.
#[derive(Clone, Default, Debug)]
pub struct Answer {
    /// Batches one after the other; the last one may be cut.
    pub records: Bytes,
    /// Producer and first offset of each aborted transaction that reaches into them, in the order of their markers.
    pub aborted: Vec<(i64, i64)>,
}

impl Log {
    /// The log end offset.
    pub fn end(&self) -> i64 {
        self.pieces.last().map_or(self.start, |piece| piece.next)
    }

    /// Where a read_committed consumer stops: in front of the first open transaction.
    pub fn last_stable_offset(&self) -> i64 {
        let open = self.transactions.iter().filter(|transaction| transaction.end.is_none());
        open.map(|transaction| transaction.first).min().unwrap_or_else(|| self.end())
    }

    /// The records that a read_committed consumer is shown between two offsets, end exclusive; none from corrupt bytes.
    pub fn committed(&self, from: i64, to: i64) -> impl Iterator<Item = (&Piece, &Record)> {
        let shown = self.pieces.iter().filter(|piece| !piece.corrupt && self.is_committed(piece));
        let records = shown.flat_map(|piece| piece.records.iter().map(move |record| (piece, record)));
        records.filter(move |(_, record)| (from..to).contains(&record.offset))
    }

    /// Whether a read_committed consumer is shown the records of a piece.
    pub fn is_committed(&self, piece: &Piece) -> bool {
        piece.transaction.is_none_or(|at| matches!(self.transactions[at].end, Some((_, true))))
    }

    /// The pieces that hold some of these offsets, end exclusive.
    pub fn overlapping(&self, from: i64, to: i64) -> impl Iterator<Item = &Piece> {
        self.pieces.iter().filter(move |piece| from < to && piece.next > from && piece.base < to)
    }

    /// A read_committed Fetch at `from`: whole pieces from the one that holds the offset, or lies behind it, cut at `most`
    /// bytes, but with at least one whole piece where `whole_first`. A broker knows the end of what it sent only roughly:
    /// `further` aborted transactions that begin behind it are named too.
    pub fn fetch(&self, from: i64, most: usize, whole_first: bool, further: usize) -> Answer {
        let stable = self.last_stable_offset();
        let mut bytes = Vec::new();
        let mut reached = from;
        for piece in self.pieces.iter().filter(|piece| piece.next > from && piece.base < stable) {
            let least = if whole_first && bytes.is_empty() { piece.bytes.len() } else { 0 };
            let size = piece.bytes.len().min(most.saturating_sub(bytes.len()).max(least));
            bytes.extend_from_slice(&piece.bytes[..size]);
            reached = piece.next;
            if size < piece.bytes.len() {
                break;
            }
        }
        Answer { records: bytes.into(), aborted: self.aborted(from, reached, further) }
    }

    /// The first piece that a read_uncommitted Fetch at `from` brings.
    pub fn fetch_uncommitted(&self, from: i64) -> Answer {
        let first = self.pieces.iter().find(|piece| piece.next > from);
        Answer { records: first.map(|piece| piece.bytes.clone()).unwrap_or_default(), aborted: Vec::new() }
    }

    fn aborted(&self, from: i64, to: i64, further: usize) -> Vec<(i64, i64)> {
        let ended = |transaction: &&Transaction| match transaction.end {
            Some((marker, false)) => (marker >= from).then_some(marker),
            _ => None,
        };
        let mut named: Vec<(i64, &Transaction)> =
            (self.transactions.iter()).filter_map(|transaction| Some((ended(&transaction)?, transaction))).collect();
        let mut more = further;
        named.retain(|(_, transaction)| {
            transaction.first < to || {
                let room = more > 0;
                more = more.saturating_sub(1);
                room
            }
        });
        named.sort_by_key(|(marker, _)| *marker);
        named.iter().map(|(_, transaction)| (transaction.producer, transaction.first)).collect()
    }
}

/// One line for each piece: what a failed test shows.
impl fmt::Display for Log {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "log start {}, last stable offset {}", self.start, self.last_stable_offset())?;
        for piece in &self.pieces {
            write!(out, "[{}, {}) magic {} {}", piece.base, piece.next, piece.magic, piece.codec.name())?;
            if piece.magic == 2 {
                write!(out, " attributes {:#x}", i16::from_be_bytes([piece.bytes[21], piece.bytes[22]]))?;
            }
            write!(out, ", {} records in {} bytes", piece.records.len(), piece.bytes.len())?;
            if let Some(at) = piece.transaction {
                write!(out, ", transaction {:?}", self.transactions[at])?;
            }
            writeln!(out, "{}", if piece.corrupt { ", corrupt" } else { "" })?;
        }
        Ok(())
    }
}
