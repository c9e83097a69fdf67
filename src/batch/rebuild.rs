//! Batches that must be opened: their records are written anew, with consecutive offsets and nothing else changed.

use crate::batch::builder::Builder;
use crate::batch::codec::Codec;
use crate::batch::entry::Entry;
use crate::batch::error::{BatchError, BatchErrorKind};
use crate::batch::header::HEADER_SIZE;
use crate::batch::judge::{Rules, UnsupportedReason};
use crate::batch::patch::Outgoing;
use crate::kafka::{Offset, Span};

/// The largest batch there can be: its length is a positive INT32.
const LARGEST: usize = 0x7fff_ffff;

/// The records whose offset lies in `span`, in their order, in one batch, or in as many as it takes for each to be no
/// larger than `rules` allow; none where no record lies in the span. The first entry's codec decides. Gaps are closed,
/// and every record carries the timestamp that consumers see, also where a broker had set it. The batches stand for the
/// source offsets that the span and the entries have in common, without holes between them.
///
/// # Errors
/// A codec or record that is wrong, records larger than `rules` allow when decompressed, a single record that is larger
/// than the target's limit, and a timestamp that the target would refuse. Then nothing of the entries may be sent.
pub fn rebuild(entries: &[Entry], span: Span, rules: &Rules) -> Result<Vec<Outgoing>, BatchError> {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(Vec::new()) };
    let start = match first {
        Entry::Batch(batch) => batch.header().base_offset.max(span.start),
        Entry::Set(_) => span.start,
    };
    let codec = first.codec()?;
    let work = Work {
        start,
        entries,
        max_decoded_bytes: rules.max_decoded_bytes,
        bytes: entries.iter().map(Entry::size).sum(),
        codec: rules.sent_as(codec).unwrap_or(codec),
        source: Span { start, end: last.next_offset().min(span.end) },
        limit: rules.largest().min(LARGEST),
        hard_limit: rules.max_batch_bytes.unwrap_or(LARGEST).min(LARGEST),
        full: if entries.len() > 1 { rules.joining.full } else { usize::MAX },
    };
    let made = work.fit()?;
    let refused = made.iter().find_map(|made| Some((made.source(), rules.refuses_time(made.max_timestamp())?)));
    match refused {
        Some((source, reason)) => Err(BatchErrorKind::Refused(reason).of(source)),
        None => Ok(made),
    }
}

struct Work<'a> {
    start: Offset,
    entries: &'a [Entry],
    /// The most an entry may decompress to.
    max_decoded_bytes: usize,
    /// All of the entries as the source stored them.
    bytes: usize,
    codec: Codec,
    source: Span,
    /// The largest batch to make, in bytes.
    limit: usize,
    /// The largest batch of a single record, in bytes.
    hard_limit: usize,
    /// Bytes of records at which a batch is full, before compression.
    full: usize,
}

/// Why an attempt to write the records ended early.
enum Stop {
    /// A batch came out larger than the limit; one of `share` bytes of records would have fitted, going by this one.
    TooLarge {
        share: usize,
    },
    Failed(BatchError),
}

impl From<BatchError> for Stop {
    fn from(error: BatchError) -> Self {
        Self::Failed(error)
    }
}

impl Work<'_> {
    /// Batches within the limit. What compression makes of records is known only afterwards: where a batch comes out too
    /// large, all are written again with fewer records each.
    fn fit(&self) -> Result<Vec<Outgoing>, BatchError> {
        let mut share = match self.codec {
            Codec::None => self.limit.saturating_sub(HEADER_SIZE).min(self.full),
            _ => self.full,
        };
        loop {
            match self.attempt(share) {
                Ok(made) => return Ok(made),
                Err(Stop::TooLarge { share: smaller }) => share = smaller,
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
    }

    /// Batches of at most `share` bytes of records each, before compression, but of at least one record. One entry is open
    /// at a time: together they may be many times as large as they lie here.
    fn attempt(&self, share: usize) -> Result<Vec<Outgoing>, Stop> {
        let mut made = Vec::new();
        let mut builder: Option<Builder> = None;
        let mut start = self.source.start;
        for entry in self.entries {
            for record in entry.open(self.max_decoded_bytes)?.records() {
                let record = record?;
                if !self.source.contains(record.offset) {
                    continue;
                }
                let anew = || Builder::new(&record, self.bytes.min(share));
                let open = builder.get_or_insert_with(anew);
                if !open.push(&record, share) {
                    let full = std::mem::replace(open, anew());
                    made.push(self.finish(full, Span { start, end: record.offset })?);
                    start = record.offset;
                    open.push(&record, share);
                }
            }
        }
        if let Some(last) = builder {
            made.push(self.finish(last, Span { start, end: self.source.end })?);
        }
        Ok(made)
    }

    fn finish(&self, builder: Builder, source: Span) -> Result<Outgoing, Stop> {
        let (plain, offset) = (builder.len(), builder.first());
        let outgoing = builder.finish(self.codec, source);
        let outgoing = outgoing.map_err(|error| BatchErrorKind::Codec(error).at(self.start))?;
        let (size, limit) = (outgoing.len(), self.limit);
        if size <= limit || (outgoing.records() == 1 && size <= self.hard_limit) {
            return Ok(outgoing);
        }
        if outgoing.records() == 1 {
            let reason = UnsupportedReason::RecordTooLarge { offset, size, limit: self.hard_limit };
            return Err(BatchErrorKind::Refused(reason).at(offset).into());
        }
        let proportional = plain.saturating_mul(limit).checked_div(size).unwrap_or_default();
        Err(Stop::TooLarge { share: proportional.saturating_sub(proportional >> 3) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::header::{Attributes, BatchHeader, HEADER_SIZE};
    use crate::batch::patch::pass;
    use crate::batch::testing::{Model, altered, batch, compacted_models, consumed, models, raw, sent, some_models};
    use crate::kafka::{ProducerEpoch, ProducerId, Sequence, Stamp};
    use proptest::prelude::*;

    /// The one batch, if any, that comes out where nothing limits its size.
    fn rebuilt(bytes: &[u8], span: Span) -> Option<Outgoing> {
        let mut made = rebuild(&[Entry::Batch(raw(bytes))], span, &Rules::default()).expect("sound");
        assert!(made.len() <= 1);
        made.pop()
    }

    /// What a consumer of the target must see: the records inside the span, at consecutive offsets from 0.
    fn expected(models: &[Model], base_offset: i64, span: Span) -> Vec<Model> {
        let kept = models.iter().filter(|model| span.contains(Offset(base_offset + model.offset)));
        (0..).zip(kept).map(|(offset, model)| Model { offset, ..model.clone() }).collect()
    }

    #[test]
    fn a_batch_that_crosses_both_edges_keeps_what_lies_between() {
        let bytes = batch(&some_models(), 500, Codec::Snappy);
        let outgoing = rebuilt(&bytes, Span::new(501, 502)).expect("one record");
        assert_eq!(outgoing.source(), Span::new(501, 502));
        assert_eq!((outgoing.records(), outgoing.max_timestamp()), (1, -1));
        assert_eq!(consumed(&sent(&outgoing)), expected(&some_models(), 500, Span::new(501, 502)));
    }

    #[test]
    fn gaps_are_closed_and_the_source_range_covers_them() {
        let mut models = some_models();
        models[2].offset = 40;
        let bytes = altered(batch(&models, 500, Codec::Gzip), |header| header.last_offset_delta = 60);
        let outgoing = rebuilt(&bytes, Span::new(0, 1_000)).expect("three records");
        assert_eq!(outgoing.source(), Span::new(500, 561));
        assert!(!outgoing.header().has_gaps());
        assert_eq!(consumed(&sent(&outgoing)), expected(&models, 500, Span::new(0, 1_000)));
    }

    #[test]
    fn a_span_that_meets_only_a_gap_leaves_nothing() {
        let mut models = some_models();
        models[2].offset = 40;
        assert_eq!(rebuilt(&batch(&models, 500, Codec::None), Span::new(510, 530)), None);
    }

    #[test]
    fn the_append_time_that_consumers_saw_becomes_the_record_time() {
        let bytes = altered(batch(&some_models(), 500, Codec::Lz4), |header| {
            header.attributes = Attributes(header.attributes.0 | 0x08);
            header.max_timestamp = 1_650_000_000_000;
        });
        let outgoing = rebuilt(&bytes, Span::new(0, 1_000)).expect("three records");
        let seen = consumed(&sent(&outgoing));
        assert_eq!(outgoing.header().attributes, Attributes::plain(Codec::Lz4));
        assert_eq!(seen.iter().map(|record| record.timestamp).collect::<Vec<_>>(), [1_650_000_000_000; 3]);
        assert_eq!(
            seen,
            consumed(&raw(&bytes))
                .into_iter()
                .zip(0..)
                .map(|(record, offset)| Model { offset, ..record })
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn the_base_timestamp_of_a_delete_horizon_does_not_move_a_record() {
        let horizon = 1_800_000_000_000;
        let mut models = some_models();
        models.insert(0, Model { timestamp: horizon, ..models[0].clone() });
        models[1].offset = 9;
        models[2].offset = 10;
        models[3].offset = 11;
        let bytes = altered(batch(&models, 0, Codec::None), |header| header.attributes = Attributes(0x40));
        let outgoing = rebuilt(&bytes, Span::new(1, 1_000)).expect("three records");
        assert_eq!(outgoing.header().attributes, Attributes(0));
        assert_eq!(consumed(&sent(&outgoing)), some_models());
    }

    #[test]
    fn a_record_that_is_too_large_alone_is_named_and_nothing_is_made() {
        let bytes = batch(&some_models(), 500, Codec::None);
        let first_two = rebuilt(&bytes, Span::new(500, 502)).expect("two records").len();
        let limit = first_two - 1;
        let rules = Rules { max_batch_bytes: Some(limit), ..Rules::default() };
        let error =
            rebuild(&[Entry::Batch(raw(&bytes))], Span::new(0, 600), &rules).expect_err("the third is too large");
        let reason = UnsupportedReason::RecordTooLarge { offset: Offset(502), size: 373, limit };
        assert_eq!(error.kind, BatchErrorKind::Refused(reason));
        let small = rebuild(&[Entry::Batch(raw(&bytes))], Span::new(500, 502), &rules).expect("small enough");
        assert_eq!(small.iter().map(Outgoing::source).collect::<Vec<_>>(), [Span::new(500, 501), Span::new(501, 502)]);
    }

    #[test]
    fn a_timestamp_that_the_target_would_refuse_is_an_error_only_where_it_is_sent() {
        let bytes = batch(&some_models(), 500, Codec::None);
        let rules = Rules { latest_timestamp: Some(1_650_000_000_000), ..Rules::default() };
        let error =
            rebuild(&[Entry::Batch(raw(&bytes))], Span::new(501, 600), &rules).expect_err("the third is too new");
        assert!(matches!(error.kind, BatchErrorKind::Refused(UnsupportedReason::Timestamp { .. })), "{error}");
        assert_eq!(rebuild(&[Entry::Batch(raw(&bytes))], Span::new(500, 502), &rules).expect("old enough").len(), 1);
    }

    #[test]
    fn records_that_do_not_fill_what_the_header_counts_are_an_error() {
        let bytes = batch(&some_models(), 500, Codec::Zstd);
        let bytes = altered(bytes, |header| header.records = 2);
        let error =
            rebuild(&[Entry::Batch(raw(&bytes))], Span::new(501, 600), &Rules::default()).expect_err("one too many");
        assert!(matches!(error.kind, BatchErrorKind::Trailing { records: 2, .. }), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_cut_of_any_batch_is_what_the_model_says(
            models in compacted_models(),
            codec in 0_usize..5,
            base_offset in 0_i64..1 << 40,
            edges: (prop::sample::Index, prop::sample::Index),
            tail in 0_i32..20,
        ) {
            let codec = Codec::ALL[codec];
            let bytes = altered(batch(&models, base_offset, codec), |header| header.last_offset_delta += tail);
            let header = BatchHeader::parse(&bytes).expect("sound");
            let length = usize::try_from(header.last_offset_delta).expect("positive") + 3;
            let edge = |index: prop::sample::Index| base_offset - 1 + index.index(length) as i64;
            let span = Span::new(edge(edges.0).min(edge(edges.1)), edge(edges.0).max(edge(edges.1)));
            let expected = expected(&models, base_offset, span);
            match rebuilt(&bytes, span) {
                None => prop_assert!(expected.is_empty()),
                Some(mut outgoing) => {
                    outgoing.stamp(Stamp { producer: ProducerId(1), epoch: ProducerEpoch(0), sequence: Sequence(9) });
                    let sent = sent(&outgoing);
                    prop_assert_eq!(sent.header().codec(), Ok(codec));
                    prop_assert!(!sent.header().has_gaps());
                    prop_assert_eq!(sent.header().max_timestamp, expected.iter().map(|record| record.timestamp).max().unwrap_or(0));
                    prop_assert_eq!(outgoing.records() as usize, expected.len());
                    prop_assert_eq!(consumed(&sent), expected);
                }
            }
        }

        #[test]
        fn a_batch_that_is_too_large_becomes_several_that_hold_the_same(
            models in compacted_models(),
            codec in 0_usize..5,
            over in 0_usize..2_000,
        ) {
            let codec = Codec::ALL[codec];
            let bytes = batch(&models, 500, codec);
            let span = Span::new(500, 501 + models.last().map_or(0, |model| model.offset));
            // Any record fits alone, and the least of these limits takes little more than the largest.
            let alone = models.iter().map(|model| batch(std::slice::from_ref(model), 0, codec).len() + 20).max();
            let limit = alone.unwrap_or(0) + over;
            let rules = Rules { max_batch_bytes: Some(limit), ..Rules::default() };
            let made = rebuild(&[Entry::Batch(raw(&bytes))], span, &rules).expect("sound");
            let mut seen = Vec::new();
            let mut next = span.start;
            for outgoing in &made {
                let sent = sent(outgoing);
                prop_assert!(outgoing.len() <= limit);
                prop_assert_eq!(sent.codec(), Ok(codec));
                prop_assert_eq!(outgoing.source().start, next);
                next = outgoing.source().end;
                let written = seen.len() as i64;
                seen.extend(consumed(&sent).into_iter().map(|model| Model { offset: model.offset + written, ..model }));
            }
            prop_assert_eq!(next, span.end);
            prop_assert_eq!(seen, expected(&models, 500, span));
            let whole = rebuilt(&bytes, span).map_or(0, |outgoing| outgoing.len());
            prop_assert_eq!(made.len() == 1, whole <= limit, "{} bytes at once", whole);
        }

        #[test]
        fn rebuilding_a_whole_batch_without_gaps_changes_no_byte_of_its_records(models in models()) {
            let bytes = batch(&models, 77, Codec::None);
            let outgoing = rebuilt(&bytes, Span::new(0, 1_000)).expect("records");
            prop_assert_eq!(&outgoing.parts().1[..], &bytes[HEADER_SIZE..]);
            prop_assert_eq!(outgoing, pass(&raw(&bytes)));
        }
    }
}
