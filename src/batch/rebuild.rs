//! Batches that must be opened: their records are written anew, with consecutive offsets and nothing else changed.

use crate::batch::codec::Codec;
use crate::batch::error::{BatchError, BatchErrorKind};
use crate::batch::judge::Rules;
use crate::batch::patch::{Outgoing, Timestamps};
use crate::batch::pieces::{RawBatch, check};
use crate::batch::records::{Record, open};
use crate::kafka::Span;
use crate::kafka::cursor::{put_varint, varint_len};

/// A batch of the records whose offset lies in `span`, in their order and of the same codec; `None` where there are none.
/// Gaps are closed, and every record carries the timestamp that consumers see, also where a broker had set it. The
/// batch's CRC is checked first: a fresh one must not vouch for bytes that had changed before.
///
/// # Errors
/// A CRC, codec or record that is wrong, records larger than `rules` allow when decompressed, and a result that the
/// target would refuse.
pub fn rebuild(batch: &RawBatch, span: Span, rules: &Rules) -> Result<Option<Outgoing>, BatchError> {
    check(batch)?;
    let header = batch.header();
    let opened = open(batch, rules.max_decoded_bytes)?;
    let mut builder = Builder::default();
    for record in opened.records() {
        let record = record?;
        if span.contains(record.offset) {
            builder.push(&record);
        }
    }
    let source = Span { start: header.base_offset.max(span.start), end: header.next_offset().min(span.end) };
    let outgoing = builder.finish(batch.codec()?, source).map_err(|kind| kind.at(header.base_offset))?;
    let refusal = outgoing.as_ref().and_then(|made| rules.refusal(made.len(), made.max_timestamp()));
    match refusal {
        Some(reason) => Err(BatchErrorKind::Refused(reason).at(header.base_offset)),
        None => Ok(outgoing),
    }
}

/// Collects records into a batch.
#[derive(Default)]
struct Builder {
    payload: Vec<u8>,
    records: i32,
    timestamps: Option<Timestamps>,
}

impl Builder {
    fn push(&mut self, record: &Record<'_>) {
        let timestamp = record.timestamp;
        let timestamps = self.timestamps.get_or_insert(Timestamps { base: timestamp, max: timestamp });
        timestamps.max = timestamps.max.max(timestamp);
        // It wraps back where a reader adds the two: no timestamp is too far away from another.
        let timestamp_delta = timestamp.wrapping_sub(timestamps.base);
        let offset_delta = i64::from(self.records);
        let length = [1, varint_len(timestamp_delta), varint_len(offset_delta), record.content.len()];
        put_varint(&mut self.payload, i64::try_from(length.iter().sum::<usize>()).unwrap_or(i64::MAX));
        self.payload.push(record.attributes.cast_unsigned());
        put_varint(&mut self.payload, timestamp_delta);
        put_varint(&mut self.payload, offset_delta);
        self.payload.extend_from_slice(record.content);
        self.records = self.records.saturating_add(1);
    }

    fn finish(self, codec: Codec, source: Span) -> Result<Option<Outgoing>, BatchErrorKind> {
        let Some(timestamps) = self.timestamps else { return Ok(None) };
        let body = codec.encode(self.payload)?;
        Ok(Some(Outgoing::new(codec, self.records, timestamps, body.into(), source)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::header::{Attributes, BatchHeader, HEADER_SIZE};
    use crate::batch::judge::UnsupportedReason;
    use crate::batch::patch::pass;
    use crate::batch::testing::{Model, altered, batch, compacted_models, consumed, models, raw, sent, some_models};
    use crate::kafka::{Offset, Stamp};
    use crate::kafka::{ProducerEpoch, ProducerId, Sequence};
    use proptest::prelude::*;

    fn rebuilt(bytes: &[u8], span: Span) -> Option<Outgoing> {
        rebuild(&raw(bytes), span, &Rules::default()).expect("sound")
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
    fn a_fresh_crc_never_vouches_for_bytes_that_had_changed() {
        let mut bytes = batch(&some_models(), 500, Codec::None);
        *bytes.last_mut().expect("bytes") ^= 1;
        let error = rebuild(&raw(&bytes), Span::new(501, 600), &Rules::default()).expect_err("corrupt");
        assert!(matches!(error.kind, BatchErrorKind::Crc { .. }), "{error}");
    }

    #[test]
    fn a_result_that_the_target_would_refuse_is_an_error() {
        let bytes = batch(&some_models(), 500, Codec::None);
        let rules = Rules { max_batch_bytes: Some(100), ..Rules::default() };
        let error = rebuild(&raw(&bytes), Span::new(501, 600), &rules).expect_err("too large");
        assert!(matches!(error.kind, BatchErrorKind::Refused(UnsupportedReason::TooLarge { limit: 100, .. })));
        let small = rebuild(&raw(&bytes), Span::new(500, 501), &rules).expect("small enough");
        assert_eq!(small.map(|outgoing| outgoing.records()), Some(1));
    }

    #[test]
    fn records_that_do_not_fill_what_the_header_counts_are_an_error() {
        let bytes = batch(&some_models(), 500, Codec::Zstd);
        let bytes = altered(bytes, |header| header.records = 2);
        let error = rebuild(&raw(&bytes), Span::new(501, 600), &Rules::default()).expect_err("one too many");
        assert!(matches!(error.kind, BatchErrorKind::Trailing { records: 2, .. }), "{error}");
    }

    proptest! {
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
                    prop_assert_eq!(check(&sent), Ok(()));
                    prop_assert_eq!(sent.header().codec(), Ok(codec));
                    prop_assert!(!sent.header().has_gaps());
                    prop_assert_eq!(sent.header().max_timestamp, expected.iter().map(|record| record.timestamp).max().unwrap_or(0));
                    prop_assert_eq!(outgoing.records() as usize, expected.len());
                    prop_assert_eq!(consumed(&sent), expected);
                }
            }
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
