//! What real brokers stored, taken through this room; `fixtures/README.md` says how the captures were made.

use crate::batch::testing::{Model, consumed, sent};
use crate::batch::{
    Codec, DropReason, Entry, HEADER_SIZE, Judge, Outgoing, Piece, RawBatch, RewriteReason, Rules, Verdict, batches,
    pass, rebuild,
};
use crate::kafka::{Offset, Span, Stamp};
use crate::kafka::{ProducerEpoch, ProducerId, Sequence};
use crate::wire::fetch::AbortedTransaction;
use bytes::Bytes;

macro_rules! capture {
    ($name:literal) => {
        cut(include_bytes!(concat!("../../fixtures/batches/", $name, ".bin")))
    };
}

fn cut(segment: &'static [u8]) -> Vec<RawBatch> {
    let pieces = batches(Bytes::from_static(segment)).map(|piece| match piece {
        Ok(Piece::Batch(batch)) => batch,
        other => panic!("a whole batch, not {other:?}"),
    });
    pieces.collect()
}

/// The batch of each codec that Kafka's Java client wrote.
fn java() -> [(Codec, Vec<RawBatch>); 5] {
    [
        (Codec::None, capture!("java-none")),
        (Codec::Gzip, capture!("java-gzip")),
        (Codec::Snappy, capture!("java-snappy")),
        (Codec::Lz4, capture!("java-lz4")),
        (Codec::Zstd, capture!("java-zstd")),
    ]
}

/// The batch of each codec that kcat wrote.
fn kcat() -> [(Codec, Vec<RawBatch>); 5] {
    [
        (Codec::None, capture!("kcat-none")),
        (Codec::Gzip, capture!("kcat-gzip")),
        (Codec::Snappy, capture!("kcat-snappy")),
        (Codec::Lz4, capture!("kcat-lz4")),
        (Codec::Zstd, capture!("kcat-zstd")),
    ]
}

/// Record i of `Write.java`.
fn written_by_java(i: i64) -> Model {
    let twice = || b"twice".to_vec();
    let headers = vec![(twice(), Some(b"a".to_vec())), (twice(), None), (Vec::new(), Some(vec![0xff, 0]))];
    Model {
        offset: i,
        timestamp: 1_700_000_000_000 - 1_000 * i,
        key: (i != 1).then(|| format!("key-{i}").into_bytes()),
        value: (i != 2).then(|| format!("value {i} {}", "payload ".repeat(8)).into_bytes()),
        headers: if i == 3 { headers } else { Vec::new() },
    }
}

fn rebuilt(batch: &RawBatch, span: Span) -> Outgoing {
    let mut made = rebuild(&[Entry::Batch(batch.clone())], span, &Rules::default()).expect("sound");
    made.pop().expect("records")
}

fn verdicts(batches: &[RawBatch], aborted: impl IntoIterator<Item = AbortedTransaction>) -> Vec<Verdict> {
    let mut judge = Judge::new(aborted);
    let verdict = |batch| judge.verdict(batch, Span::new(0, 1_000), &Rules::default()).expect("sound");
    batches.iter().map(verdict).collect()
}

#[test]
fn the_java_clients_records_are_read_bit_for_bit() {
    let written: Vec<Model> = (0..6).map(written_by_java).collect();
    for (codec, batches) in java() {
        let [batch] = &batches[..] else { panic!("one batch of {codec}") };
        assert_eq!(batch.codec(), Ok(codec));
        assert_eq!(consumed(batch), written, "{codec}");
    }
}

#[test]
fn kcats_records_are_read_bit_for_bit() {
    for (codec, batches) in kcat() {
        let [batch] = &batches[..] else { panic!("one batch of {codec}") };
        assert_eq!(batch.codec(), Ok(codec));
        let now = batch.header().base_timestamp;
        let records = consumed(batch);
        assert_eq!(records.len(), 6);
        for (i, record) in records.into_iter().enumerate() {
            assert!((now..now + 60_000).contains(&record.timestamp));
            let header = |value: &[u8]| (b"twice".to_vec(), Some(value.to_vec()));
            let expected = Model {
                offset: i as i64,
                timestamp: record.timestamp,
                key: Some(format!("key-{i}").into_bytes()),
                value: Some(format!("value {i} payload payload payload payload").into_bytes()),
                headers: vec![header(b"a"), header(b"b")],
            };
            assert_eq!(record, expected, "{codec}");
        }
    }
}

#[test]
fn both_framings_of_snappy_are_among_the_captures() {
    let framed = |batch: &RawBatch| batch.payload().starts_with(b"\x82SNAPPY\0");
    assert!(capture!("java-snappy").iter().all(framed));
    assert!(!capture!("kcat-snappy").iter().any(framed));
}

#[test]
fn a_real_batch_is_trimmed_at_any_record() {
    for (codec, batches) in java().into_iter().chain(kcat()) {
        let all = consumed(&batches[0]);
        for (start, end) in (0..6).flat_map(|start| (start + 1..=6).map(move |end| (start, end))) {
            let trimmed = sent(&rebuilt(&batches[0], Span::new(start, end)));
            let kept = all.iter().filter(|record| (start..end).contains(&record.offset));
            let kept: Vec<Model> = kept.zip(0..).map(|(kept, offset)| Model { offset, ..kept.clone() }).collect();
            assert_eq!((consumed(&trimmed), trimmed.codec()), (kept, Ok(codec)));
        }
    }
}

#[test]
fn a_real_batch_is_stamped_without_reading_its_records() {
    for (_, batches) in java().into_iter().chain(kcat()) {
        assert_eq!(verdicts(&batches, []), [Verdict::Pass]);
        let mut outgoing = pass(&batches[0]);
        outgoing.stamp(Stamp { producer: ProducerId(9), epoch: ProducerEpoch(2), sequence: Sequence(70_000) });
        let sent = sent(&outgoing);
        assert_eq!(sent.bytes()[HEADER_SIZE..], batches[0].bytes()[HEADER_SIZE..]);
    }
}

#[test]
fn what_consumers_saw_of_an_append_time_topic_becomes_the_record_time() {
    let [batch] = &capture!("append-time")[..] else { panic!("one batch") };
    let seen = batch.header().max_timestamp;
    assert_eq!(verdicts(std::slice::from_ref(batch), []), [Verdict::Rewrite(RewriteReason::AppendTime)]);
    let outgoing = rebuilt(batch, Span::new(0, 6));
    let expected: Vec<Model> = (0..6).map(|i| Model { timestamp: seen, ..written_by_java(i) }).collect();
    assert_eq!(consumed(&sent(&outgoing)), expected);
}

#[test]
fn aborted_transactions_and_markers_are_left_out_and_committed_ones_lose_their_bit() {
    let batches = capture!("transactions");
    let lost = batches[1].header().producer;
    let judged = verdicts(&batches, [AbortedTransaction { producer: lost, first_offset: Offset(1) }]);
    let (gone, marker) = (Verdict::Drop(DropReason::Aborted), Verdict::Drop(DropReason::Control));
    let kept = Verdict::Pass;
    assert_eq!(judged, [kept, gone, kept, gone, kept, marker, marker, kept, marker, kept]);
    assert_eq!(batches[7].header().producer, lost, "the next transaction of the same producer was committed");
    assert!(!pass(&batches[0]).header().is_transactional());
}

#[test]
fn what_the_cleaner_left_behind_is_stepped_over_closed_up_and_kept() {
    let batches = capture!("compacted");
    let (empty, gaps) = (Verdict::Drop(DropReason::Empty), Verdict::Rewrite(RewriteReason::Gaps));
    assert_eq!(verdicts(&batches, [])[..2], [empty, gaps]);
    assert_eq!(verdicts(&batches, [])[2..], [Verdict::Pass; 5]);
    assert_eq!(batches[0].header().next_offset(), Offset(6));

    let closed = rebuilt(&batches[1], Span::new(0, 1_000));
    assert_eq!((closed.records(), closed.source()), (2, Span::new(6, 9)));
    let seen: Vec<Model> = consumed(&batches[1]);
    assert_eq!(seen.iter().map(|record| record.offset).collect::<Vec<_>>(), [7, 8]);
    let moved: Vec<Model> = seen.into_iter().zip(0..).map(|(record, offset)| Model { offset, ..record }).collect();
    assert_eq!(consumed(&sent(&closed)), moved);

    let tombstone = &batches[5];
    assert!(tombstone.header().has_delete_horizon());
    let passed = sent(&pass(tombstone));
    assert!(!passed.header().has_delete_horizon());
    let [record] = &consumed(&passed)[..] else { panic!("one record") };
    assert_eq!((record.timestamp, &record.value), (1_700_000_000_000, &None));
}
