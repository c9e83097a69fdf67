//! What is done to batches, by itself: `cargo bench -p protocol-tests --bench batches`.
//!
//! Figures are per batch of the size named, and as bytes of batches per second. Records are 1 KiB of text, compressible
//! about two to one, except where tiny batches are joined.
#![allow(clippy::expect_used, reason = "what is measured is sound, or the benchmark is wrong")]

use bytes::Bytes;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use kferry::batch::{
    BatchHeader, Codec, Entry, HEADER_SIZE, Joining, Judge, Piece, RawBatch, Rules, Run, Verdict, batches, open, pass,
    rebuild,
};
use kferry::kafka::{Offset, ProducerEpoch, ProducerId, Sequence, Span, Stamp};
use protocol_tests::broker;
use protocol_tests::lab::Record;
use protocol_tests::lab::batch::Batch;
use protocol_tests::lab::record::Fill;

/// Bytes of a batch before compression: a producer's default, and what a bulk loader makes.
const SIZES: [usize; 2] = [16 << 10, 1 << 20];

const WHOLE: Span = Span { start: Offset(0), end: Offset(i64::MAX) };

const STAMP: Stamp = Stamp { producer: ProducerId(7_000), epoch: ProducerEpoch(3), sequence: Sequence(123_456) };

fn main() {
    divan::main();
}

/// A batch of 1 KiB records that is about `size` bytes large.
fn batch(size: usize) -> Batch {
    let fill = Fill { count: (size >> 10) as u64, size: 400, seed: 6, timestamp: 1_700_000_000_000 };
    let record = |record: Record| Record { value: record.value.map(|letters| text(&letters)), ..record };
    Batch::of(fill.records().map(record))
}

/// Letters at random between words that come again, as in most of what is logged.
fn text(letters: &[u8]) -> Vec<u8> {
    let words = b"\",\"customer\":{\"country\":\"none\",\"name\":\"";
    letters.chunks(25).flat_map(|letters| [letters, words].concat()).collect()
}

fn sound(batch: &Batch) -> RawBatch {
    RawBatch::parse(batch.encode()).expect("a sound batch")
}

fn raw(size: usize) -> RawBatch {
    sound(&batch(size))
}

/// Batches of one record of 100 bytes, as a producer without linger leaves them.
fn tiny(count: i64) -> Vec<RawBatch> {
    (0..count)
        .map(|offset| {
            let fill =
                Fill { count: 1, size: 100, seed: offset.cast_unsigned(), timestamp: 1_700_000_000_000 + offset };
            sound(&Batch { base_offset: offset, ..Batch::of(fill.records()) })
        })
        .collect()
}

/// The floor that patching is measured against: what it would cost to read the whole batch again.
#[divan::bench(args = SIZES)]
fn full_crc(bencher: Bencher<'_, '_>, size: usize) {
    let bytes = batch(size).encode();
    bencher.counter(BytesCount::new(bytes.len())).bench(|| kferry::batch::crc32c(black_box(&bytes)));
}

/// A library's own way to the same CRC, by matrices.
#[divan::bench(args = SIZES)]
fn crc32c_combine(bencher: Bencher<'_, '_>, size: usize) {
    bencher.bench(|| crc32c::crc32c_combine(black_box(0x1234_5678), black_box(0x8765_4321), black_box(size)));
}

/// Cut from an answer, header checked, CRC checked.
#[divan::bench(args = SIZES)]
fn cut_and_check(bencher: Bencher<'_, '_>, size: usize) {
    let bytes = batch(size).encode();
    bencher.counter(BytesCount::new(bytes.len())).bench(|| batches(black_box(bytes.clone())).next());
}

#[divan::bench]
fn parse_header(bencher: Bencher<'_, '_>) {
    let bytes = batch(SIZES[0]).encode();
    bencher.counter(BytesCount::new(HEADER_SIZE)).bench(|| BatchHeader::parse(black_box(&bytes)));
}

#[divan::bench(args = SIZES)]
fn judge(bencher: Bencher<'_, '_>, size: usize) {
    let (raw, rules) = (raw(size), Rules::default());
    let mut judge = Judge::new([]);
    bencher.counter(BytesCount::new(size)).bench_local(|| judge.verdict(black_box(&raw), WHOLE, &rules));
}

/// Header patched and stamped: all that is done to a batch that passes, behind its check.
#[divan::bench(args = SIZES)]
fn pass_and_stamp(bencher: Bencher<'_, '_>, size: usize) {
    let raw = raw(size);
    bencher.counter(BytesCount::new(size)).bench(|| {
        let mut outgoing = pass(black_box(&raw));
        outgoing.stamp(STAMP);
        outgoing
    });
}

/// Mostly the combination of one CRC: the header is written anew around it.
#[divan::bench(args = SIZES)]
fn stamp(bencher: Bencher<'_, '_>, size: usize) {
    let mut outgoing = pass(&raw(size));
    bencher.bench_local(|| black_box(&mut outgoing).stamp(black_box(STAMP)));
}

/// Every record and every header of it.
#[divan::bench(args = SIZES)]
fn walk(bencher: Bencher<'_, '_>, size: usize) {
    let opened = open(&raw(size), usize::MAX).expect("not compressed");
    let counter = BytesCount::new(size);
    bencher.counter(counter).bench(|| black_box(&opened).records().filter(|record| record.is_ok()).count());
}

/// One record in a batch of its own: what tells most where records are small.
#[divan::bench]
fn walk_tiny(bencher: Bencher<'_, '_>) {
    let batches = tiny(1_000);
    let opened: Vec<_> = batches.iter().map(|batch| open(batch, usize::MAX).expect("not compressed")).collect();
    let size: usize = batches.iter().map(|batch| batch.bytes().len()).sum();
    bencher
        .counter(BytesCount::new(size))
        .counter(ItemsCount::new(opened.len()))
        .bench(|| black_box(&opened).iter().flat_map(|batch| batch.records()).count());
}

/// An answer of batches of one record, cut and checked.
#[divan::bench]
fn cut_tiny(bencher: Bencher<'_, '_>) {
    let answer: Bytes = tiny(1_000).iter().map(|batch| batch.bytes().clone()).collect::<Vec<_>>().concat().into();
    bencher
        .counter(BytesCount::new(answer.len()))
        .counter(ItemsCount::new(1_000_usize))
        .bench(|| batches(black_box(answer.clone())).filter(|piece| matches!(piece, Ok(Piece::Batch(_)))).count());
}

/// Neighbours of one record each, from the batches to one that can be sent.
#[divan::bench(args = SIZES)]
fn join(bencher: Bencher<'_, '_>, size: usize) {
    let one = tiny(1)[0].bytes().len();
    let entries: Vec<Entry> = tiny((size / one) as i64).into_iter().map(Entry::Batch).collect();
    let rules = Rules { joining: Joining { full: 2 << 20, ..Joining::default() }, ..Rules::default() };
    bencher.counter(BytesCount::new(size)).counter(ItemsCount::new(entries.len())).bench(|| {
        let mut run = Run::of(size);
        for entry in &entries {
            assert!(run.push(black_box(entry), Offset(0), false, &rules));
        }
        run.finish(WHOLE.end, &rules)
    });
}

/// The whole way of an answer of batches of one record: cut, checked, judged, joined.
#[divan::bench]
fn take_tiny(bencher: Bencher<'_, '_>) {
    let answer: Bytes = tiny(6_000).iter().map(|batch| batch.bytes().clone()).collect::<Vec<_>>().concat().into();
    let rules = Rules::default();
    bencher.counter(BytesCount::new(answer.len())).counter(ItemsCount::new(6_000_usize)).bench(|| {
        let (mut judge, mut run, mut made) = (Judge::new([]), Run::of(answer.len()), Vec::new());
        let mut answer = batches(black_box(answer.clone()));
        loop {
            while let Some(batch) = answer.ahead() {
                let size = batch.header().size();
                if !judge.passes(batch.header(), WHOLE, &rules) || !run.append(&batch, &rules) {
                    break;
                }
                answer.pass_over(size);
            }
            let Some(Ok(Piece::Batch(batch))) = answer.next() else { break };
            let (Ok(Verdict::Pass), start) = (judge.verdict(&batch, WHOLE, &rules), batch.header().base_offset) else {
                break;
            };
            let entry = Entry::Batch(batch);
            if !run.push(&entry, start, false, &rules) {
                made.extend(run.finish(WHOLE.end, &rules));
                let _ = run.push(&entry, start, false, &rules);
            }
        }
        made.extend(run.finish(WHOLE.end, &rules));
        made
    });
}

/// A batch whose first record is behind already.
#[divan::bench(args = packed(&Codec::ALL))]
fn rebuild_all_but_one(bencher: Bencher<'_, '_>, (codec, size): (Codec, usize)) {
    let entry = [Entry::Batch(compressed(size, codec))];
    let span = Span { start: Offset(1), ..WHOLE };
    let rules = Rules::default();
    bencher.counter(BytesCount::new(size)).bench(|| rebuild(black_box(&entry), span, &rules));
}

fn packed(codecs: &[Codec]) -> Vec<(Codec, usize)> {
    codecs.iter().flat_map(|codec| SIZES.map(|size| (*codec, size))).collect()
}

fn compressed(size: usize, codec: Codec) -> RawBatch {
    sound(&batch(size).packed(match codec {
        Codec::None => broker::Codec::None,
        Codec::Gzip => broker::Codec::Gzip,
        Codec::Snappy => broker::Codec::Snappy,
        Codec::Lz4 => broker::Codec::Lz4,
        Codec::Zstd => broker::Codec::Zstd,
    }))
}

/// Counted in bytes before compression.
#[divan::bench(args = packed(&Codec::ALL[1..]))]
fn encode(bencher: Bencher<'_, '_>, (codec, size): (Codec, usize)) {
    let records = raw(size).payload();
    let inputs = bencher.counter(BytesCount::new(records.len())).with_inputs(|| records.to_vec());
    inputs.bench_values(|records| codec.encode(records));
}

/// Counted in bytes after decompression.
#[divan::bench(args = packed(&Codec::ALL[1..]))]
fn decode(bencher: Bencher<'_, '_>, (codec, size): (Codec, usize)) {
    let (records, packed) = (raw(size).payload(), compressed(size, codec).payload());
    let counter = BytesCount::new(records.len());
    bencher.counter(counter).bench(|| codec.decode(black_box(packed.clone()), usize::MAX));
}
