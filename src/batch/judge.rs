//! What becomes of a batch, decided from its header and from what the broker said about transactions.
//!
//! Everything a broker would refuse that the header shows is decided here, in front of the wire: brokers up to 1.1 answer
//! such slips by closing the connection, or store them and corrupt their offsets.

use crate::batch::aborted::Aborted;
use crate::batch::codec::{Codec, CodecSet};
use crate::batch::error::BatchError;
use crate::batch::header::BatchHeader;
use crate::batch::join::Joining;
use crate::batch::legacy::MessageSet;
use crate::batch::pieces::RawBatch;
use crate::kafka::units::Count;
use crate::kafka::{Offset, Span};
use crate::wire::fetch::AbortedTransaction;
use std::fmt;

/// What decides besides the header: what the target takes, and the choices of the run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// The target topic's max.message.bytes: the largest batch it takes, header included, in bytes. `None`: not known,
    /// the target's own refusal decides.
    pub max_batch_bytes: Option<usize>,
    /// Larger batches are split where they can be: what the target's refusals taught, in bytes. `None`: nothing yet.
    pub split_above: Option<usize>,
    /// The largest record timestamp the target takes now, in ms since 1970 (message.timestamp.after.max.ms, an hour
    /// ahead by default since 4.0). `None`: no limit, or not known.
    pub latest_timestamp: Option<i64>,
    /// The codecs the target can store.
    pub codecs: CodecSet,
    /// The codec that stands in for one that the target can't store; `None`: such a batch is not sent.
    pub recompress: Option<Codec>,
    /// What becomes of timestamps that the source's brokers set.
    pub append_time: AppendTime,
    /// The most bytes the records of one batch may take when they are decompressed.
    pub max_decoded_bytes: usize,
    /// Which neighbours become one batch.
    pub joining: Joining,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            max_batch_bytes: None,
            split_above: None,
            latest_timestamp: None,
            codecs: CodecSet::ALL,
            recompress: None,
            append_time: AppendTime::Keep,
            max_decoded_bytes: 1 << 30,
            joining: Joining::default(),
        }
    }
}

impl Rules {
    /// The largest batch to make, in bytes.
    pub(super) fn largest(&self) -> usize {
        self.max_batch_bytes.unwrap_or(usize::MAX).min(self.split_above.unwrap_or(usize::MAX))
    }

    /// The codec in which records of this one are sent; `None`: not at all.
    pub(super) fn sent_as(&self, codec: Codec) -> Option<Codec> {
        if self.codecs.contains(codec) { Some(codec) } else { self.recompress }
    }

    /// Why the target would refuse a batch with this largest timestamp.
    pub(super) fn refuses_time(&self, timestamp: i64) -> Option<UnsupportedReason> {
        let limit = self.latest_timestamp.filter(|&limit| timestamp > limit)?;
        Some(UnsupportedReason::Timestamp { timestamp, limit })
    }
}

/// What becomes of timestamps that the source's brokers set (message.timestamp.type=LogAppendTime).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AppendTime {
    /// They become the records' own: consumers of the target see what those of the source saw.
    Keep,
    /// The target topic stamps its own, so nothing is lost by not keeping them.
    TargetStamps,
}

/// What becomes of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is sent as it is, with a patched header.
    Pass,
    /// It must be opened and its records written anew.
    Rewrite(RewriteReason),
    /// Nothing of it is sent, and nothing is missing.
    Drop(DropReason),
    /// It should be sent and can't be: the lane stops in front of it.
    Unsupported(UnsupportedReason),
}

/// Why a batch must be opened.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RewriteReason {
    /// It begins before the first offset to copy, or ends behind the last.
    Boundary,
    /// Compaction took records out, and no broker takes a batch with gaps.
    Gaps,
    /// Its records carry the time of their append, which must become their own.
    AppendTime,
    /// It is larger than the target topic takes, and is split between its records.
    TooLarge,
    /// The target can't store its codec, and another one stands in for it.
    Recompress,
    /// It is a message set of a format before magic 2.
    Legacy,
    /// It is small and so are its neighbours: they become one batch.
    Join,
}

impl RewriteReason {
    /// The name in results; it stays as it is.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Boundary => "boundary",
            Self::Gaps => "gaps",
            Self::AppendTime => "append_time",
            Self::TooLarge => "too_large",
            Self::Recompress => "recompress",
            Self::Legacy => "legacy",
            Self::Join => "join",
        }
    }
}

/// Why nothing of a batch is sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum DropReason {
    /// None of its offsets are to be copied.
    Outside,
    /// It ends a transaction, or is another record for brokers only; no consumer sees it.
    Control,
    /// The log cleaner left its header and no record.
    Empty,
    /// It belongs to a transaction that was aborted; no read_committed consumer sees it.
    Aborted,
}

impl DropReason {
    /// The name in results; it stays as it is.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Outside => "outside",
            Self::Control => "control",
            Self::Empty => "empty",
            Self::Aborted => "aborted",
        }
    }
}

/// Why a batch that should be sent can't be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnsupportedReason {
    /// One of its records is larger than the target topic takes.
    RecordTooLarge {
        /// The record's offset in the source.
        offset: Offset,
        /// A batch of this record alone, in bytes.
        size: usize,
        /// The target topic's max.message.bytes.
        limit: usize,
    },
    /// Its newest record is too far in the future for the target.
    Timestamp {
        /// The newest timestamp, in ms since 1970.
        timestamp: i64,
        /// The largest one the target takes.
        limit: i64,
    },
    /// The target can't store its codec.
    Codec(Codec),
    /// Its codec bits stand for none that Kafka has.
    UnknownCodec(i16),
}

impl fmt::Display for UnsupportedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RecordTooLarge { offset, size, limit } => {
                let count = |bytes: usize| Count(i64::try_from(bytes).unwrap_or(i64::MAX));
                write!(f, "the record at offset {} makes a batch of {} bytes, ", Count(offset.0), count(*size))?;
                write!(f, "the target topic takes {}; ", count(*limit))?;
                write!(f, "raise max.message.bytes of the topic to at least {size}")
            }
            Self::Timestamp { timestamp, limit } => write!(
                f,
                "its newest record is of {timestamp} (ms since 1970), the target takes none beyond {limit}; \
                 raise the topic's message.timestamp.after.max.ms"
            ),
            Self::Codec(codec) => write!(
                f,
                "it is compressed with {codec}, which the target can't store; \
                 set topics.recompress = \"lz4\", or upgrade the target"
            ),
            Self::UnknownCodec(bits) => write!(f, "compression codec {bits} is none that Kafka has"),
        }
    }
}

/// Judges the batches of one partition of one Fetch answer, in their order. The answer must be one for read_committed,
/// which ends in front of the first open transaction and names the aborted ones.
#[derive(Clone, Debug)]
pub struct Judge {
    aborted: Aborted,
}

impl Judge {
    /// For an answer that names these aborted transactions, in any order.
    pub fn new(aborted: impl IntoIterator<Item = AbortedTransaction>) -> Self {
        Self { aborted: Aborted::new(aborted) }
    }

    /// What becomes of the answer's next batch, where the offsets of `span` are to be copied. Only of control batches
    /// more than the header is read.
    ///
    /// # Errors
    /// A control batch whose record can't be read.
    pub fn verdict(&mut self, batch: &RawBatch, span: Span, rules: &Rules) -> Result<Verdict, BatchError> {
        let aborted = self.aborted.takes(batch, rules.max_decoded_bytes)?;
        Ok(match by_header(batch.header(), span, rules) {
            drop @ Verdict::Drop(_) => drop,
            _ if aborted => Verdict::Drop(DropReason::Aborted),
            verdict => verdict,
        })
    }

    /// Whether the answer's next batch would pass, and no transaction must be followed to say so: then nobody needs to ask for
    /// its [`verdict`](Self::verdict).
    pub fn passes(&self, header: &BatchHeader, span: Span, rules: &Rules) -> bool {
        self.aborted.is_empty() && by_header(header, span, rules) == Verdict::Pass
    }

    /// What becomes of the answer's next message set, if that is what comes next. The old formats know no transactions;
    /// where the set begins is known only when it is opened.
    pub fn verdict_of_set(&self, set: &MessageSet, span: Span) -> Verdict {
        if set.last_offset() < span.start {
            return Verdict::Drop(DropReason::Outside);
        }
        Verdict::Rewrite(RewriteReason::Legacy)
    }
}

/// What becomes of a batch that belongs to no transaction, or to a committed one.
fn by_header(header: &BatchHeader, span: Span, rules: &Rules) -> Verdict {
    if header.next_offset() <= span.start || header.base_offset >= span.end {
        return Verdict::Drop(DropReason::Outside);
    }
    if header.is_control() {
        return Verdict::Drop(DropReason::Control);
    }
    if header.records == 0 {
        return Verdict::Drop(DropReason::Empty);
    }
    match header.codec() {
        Err(bits) => return Verdict::Unsupported(UnsupportedReason::UnknownCodec(bits)),
        Ok(codec) if rules.sent_as(codec).is_none() => return Verdict::Unsupported(UnsupportedReason::Codec(codec)),
        Ok(_) => {}
    }
    match rewrite(header, span, rules) {
        Some(reason) => Verdict::Rewrite(reason),
        // Only here, because `rebuild` may leave the newest record out, and asks the same of what it made. Not by `map_or`: what
        // that puts together and moves as a whole makes the processor wait, for each tiny batch.
        None => match rules.refuses_time(header.max_timestamp) {
            Some(reason) => Verdict::Unsupported(reason),
            None => Verdict::Pass,
        },
    }
}

fn rewrite(header: &BatchHeader, span: Span, rules: &Rules) -> Option<RewriteReason> {
    if header.base_offset < span.start || header.next_offset() > span.end {
        return Some(RewriteReason::Boundary);
    }
    if header.has_gaps() {
        return Some(RewriteReason::Gaps);
    }
    if header.is_append_time() && rules.append_time == AppendTime::Keep {
        return Some(RewriteReason::AppendTime);
    }
    if header.codec().is_ok_and(|codec| rules.sent_as(codec) != Some(codec)) {
        return Some(RewriteReason::Recompress);
    }
    // A single record can't be split: where it is larger than what is known to fit, opening it says so by its offset.
    let splits = header.records > 1 || rules.max_batch_bytes.is_some_and(|limit| header.size() > limit);
    (header.size() > rules.largest() && splits).then_some(RewriteReason::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::header::Attributes;
    use crate::batch::testing::{altered, batch, raw, some_models};
    use crate::kafka::ProducerId;

    /// Offsets 100 to 102.
    fn header() -> BatchHeader {
        BatchHeader::parse(&batch(&some_models(), 100, Codec::Zstd)).expect("sound")
    }

    fn flagged(bits: i16) -> BatchHeader {
        let header = header();
        BatchHeader { attributes: Attributes(header.attributes.0 | bits), ..header }
    }

    fn verdict(header: &BatchHeader, start: i64, end: i64) -> Verdict {
        by_header(header, Span::new(start, end), &Rules::default())
    }

    #[test]
    fn an_ordinary_batch_passes_up_to_both_edges() {
        assert_eq!(verdict(&header(), 100, 103), Verdict::Pass);
        assert_eq!(verdict(&header(), 0, 1_000), Verdict::Pass);
        assert_eq!(verdict(&flagged(0x40), 0, 1_000), Verdict::Pass, "the delete-horizon bit is cleared on the way");
    }

    #[test]
    fn a_batch_that_crosses_an_edge_is_rewritten_and_one_beyond_it_dropped() {
        assert_eq!(verdict(&header(), 101, 200), Verdict::Rewrite(RewriteReason::Boundary));
        assert_eq!(verdict(&header(), 0, 102), Verdict::Rewrite(RewriteReason::Boundary));
        assert_eq!(verdict(&header(), 103, 200), Verdict::Drop(DropReason::Outside));
        assert_eq!(verdict(&header(), 0, 100), Verdict::Drop(DropReason::Outside));
    }

    #[test]
    fn control_batches_and_empty_ones_are_dropped() {
        assert_eq!(verdict(&flagged(0x30), 0, 1_000), Verdict::Drop(DropReason::Control));
        let empty = BatchHeader { records: 0, ..header() };
        assert_eq!(verdict(&empty, 101, 1_000), Verdict::Drop(DropReason::Empty));
    }

    #[test]
    fn an_aborted_batch_counts_as_aborted_only_where_it_would_have_been_copied() {
        let producer = ProducerId(9);
        let batch = raw(&altered(batch(&some_models(), 100, Codec::None), |header| {
            header.attributes = Attributes(0x10);
            header.producer = producer;
        }));
        let fate = |start| {
            let mut judge = Judge::new([AbortedTransaction { producer, first_offset: Offset(100) }]);
            judge.verdict(&batch, Span::new(start, 1_000), &Rules::default())
        };
        assert_eq!(fate(102), Ok(Verdict::Drop(DropReason::Aborted)));
        assert_eq!(fate(103), Ok(Verdict::Drop(DropReason::Outside)));
        let passes = |judge: Judge| judge.passes(batch.header(), Span::new(100, 1_000), &Rules::default());
        assert!(passes(Judge::new([])));
        assert!(
            !passes(Judge::new([AbortedTransaction { producer, first_offset: Offset(500) }])),
            "it must be followed"
        );
        let committed = Judge::new([]).verdict(&batch, Span::new(100, 1_000), &Rules::default());
        assert_eq!(committed, Ok(Verdict::Pass));
    }

    #[test]
    fn the_names_in_results_stay_as_they_are() {
        use {DropReason as Drop, RewriteReason as Rewrite};
        let rewritten = [Rewrite::Boundary, Rewrite::Gaps, Rewrite::AppendTime, Rewrite::TooLarge];
        assert_eq!(rewritten.map(Rewrite::as_str), ["boundary", "gaps", "append_time", "too_large"]);
        let rewritten = [Rewrite::Recompress, Rewrite::Legacy, Rewrite::Join];
        assert_eq!(rewritten.map(Rewrite::as_str), ["recompress", "legacy", "join"]);
        let dropped = [Drop::Outside, Drop::Control, Drop::Empty, Drop::Aborted];
        assert_eq!(dropped.map(Drop::as_str), ["outside", "control", "empty", "aborted"]);
    }

    #[test]
    fn gaps_are_never_passed_on() {
        let gaps = BatchHeader { last_offset_delta: 3, ..header() };
        assert_eq!(verdict(&gaps, 0, 1_000), Verdict::Rewrite(RewriteReason::Gaps));
    }

    #[test]
    fn append_time_is_kept_unless_the_target_stamps_its_own() {
        assert_eq!(verdict(&flagged(0x08), 0, 1_000), Verdict::Rewrite(RewriteReason::AppendTime));
        let rules = Rules { append_time: AppendTime::TargetStamps, ..Rules::default() };
        assert_eq!(by_header(&flagged(0x08), Span::new(0, 1_000), &rules), Verdict::Pass);
    }

    #[test]
    fn what_the_target_would_refuse_is_known_before_it_is_sent() {
        let header = header();
        let span = Span::new(0, 1_000);
        let (size, newest) = (header.size(), header.max_timestamp);
        let limits = |bytes, timestamp| Rules {
            max_batch_bytes: Some(bytes),
            latest_timestamp: Some(timestamp),
            ..Rules::default()
        };
        assert_eq!(by_header(&header, span, &limits(size, newest)), Verdict::Pass);
        assert_eq!(by_header(&header, span, &limits(size - 1, newest)), Verdict::Rewrite(RewriteReason::TooLarge));
        assert_eq!(
            by_header(&header, span, &limits(size, newest - 1)),
            Verdict::Unsupported(UnsupportedReason::Timestamp { timestamp: newest, limit: newest - 1 })
        );
        let old = Rules { codecs: CodecSet::ALL.without(Codec::Zstd), ..Rules::default() };
        assert_eq!(by_header(&header, span, &old), Verdict::Unsupported(UnsupportedReason::Codec(Codec::Zstd)));
        assert_eq!(verdict(&flagged(0x07), 0, 1_000), Verdict::Unsupported(UnsupportedReason::UnknownCodec(7)));
    }

    #[test]
    fn a_single_record_is_opened_only_where_the_target_certainly_refuses_it() {
        let one = BatchHeader::parse(&batch(&some_models()[..1], 100, Codec::None)).expect("sound");
        let limited = |header: &BatchHeader, max_batch_bytes, split_above| {
            let rules = Rules { max_batch_bytes, split_above, ..Rules::default() };
            by_header(header, Span::new(0, 1_000), &rules)
        };
        let (size, too_large) = (one.size(), Verdict::Rewrite(RewriteReason::TooLarge));
        assert_eq!(limited(&one, None, Some(size - 1)), Verdict::Pass, "it can't be split");
        assert_eq!(limited(&one, Some(size), Some(size - 1)), Verdict::Pass);
        assert_eq!(limited(&one, Some(size - 1), None), too_large);
        assert_eq!(limited(&one, Some(size - 2), None), too_large);
        let several = header();
        assert_eq!(limited(&several, None, Some(several.size() - 1)), too_large);
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        assert_eq!(
            UnsupportedReason::RecordTooLarge { offset: Offset(91_204), size: 2_310_944, limit: 1_048_588 }.to_string(),
            "the record at offset 91,204 makes a batch of 2,310,944 bytes, the target topic takes 1,048,588; \
             raise max.message.bytes of the topic to at least 2310944"
        );
        assert_eq!(
            UnsupportedReason::Codec(Codec::Zstd).to_string(),
            "it is compressed with zstd, which the target can't store; set topics.recompress = \"lz4\", or upgrade the \
             target"
        );
    }
}
