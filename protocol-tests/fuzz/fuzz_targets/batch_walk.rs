//! Record bytes cut into batches, opened and walked. Whatever kferry reads, the broker of the tests reads the same.
#![no_main]

use bytes::Bytes;
use kferry::batch::{HEADER_SIZE, Opened, Piece, RawBatch, batches, open, pass};
use kferry_fuzz::items::{Formats, answers};
use kferry_fuzz::memory::{multiple, within};
use libfuzzer_sys::fuzz_target;
use protocol_tests::broker::batch::{self, Header, Next, crc_matches, next_batch};

/// What the records of one batch may take when they are decompressed.
const CAP: usize = 1 << 20;

fuzz_target!(|data: &[u8]| {
    for records in answers(data, Formats::Any) {
        let pieces: Vec<_> = within(multiple(records.len(), 16), || batches(records.clone()).collect());
        let mut at = 0;
        for piece in pieces {
            match (next_batch(&records, at), &piece) {
                (Next::Batch(range), Ok(Piece::Batch(batch))) => {
                    at = range.end;
                    assert_eq!(batch.bytes(), &records.slice(range));
                    walked(batch);
                }
                (Next::Batch(range), Ok(Piece::Set(set))) => {
                    assert_eq!(set.size(), range.len());
                    at = range.end;
                }
                (Next::Batch(range), Err(_)) => at = range.end,
                (Next::End, Ok(Piece::Partial { size, .. })) => {
                    assert!(size.is_none_or(|size| size > records.len() - at));
                    at = records.len();
                }
                // The broker of the tests stops at a strange magic, kferry steps over it.
                (Next::Corrupt, _) => return,
                (broker, ours) => panic!("{broker:?} is {ours:?} to kferry"),
            }
        }
        assert_eq!(at, records.len(), "bytes that nobody looked at");
    }
});

fn walked(batch: &RawBatch) {
    let header = Header::read(batch.bytes()).expect("a whole batch has a header");
    assert_eq!(batch.header().encode(), header.write());
    assert!(crc_matches(batch.bytes()), "bytes that changed are taken for a batch");
    let (head, body) = (*pass(batch).parts().0, batch.payload());
    assert!(crc_matches(&[&head[..], &body].concat()), "a patched header has another checksum than its bytes");
    let opened = within(multiple(batch.bytes().len(), 4) + 8 * CAP, || open(batch, CAP));
    let Ok(opened) = opened else { return };
    let held = within(64 << 10, || opened.records().filter(|record| record.is_ok()).count());
    assert!(held <= header.count as usize);
    same(batch, &header, &opened);
}

/// Where kferry finds no fault with the records, neither does the broker, and they are the same.
fn same(batch: &RawBatch, header: &Header, opened: &Opened) {
    let Ok(ours) = opened.records().collect::<Result<Vec<_>, _>>() else { return };
    let payload = batch.codec().expect("it was opened").decode(batch.bytes().slice(HEADER_SIZE..), CAP);
    let plain: Bytes = payload.expect("it was opened");
    let theirs = batch::walk(&plain, header.count).expect("kferry walked it");
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        let timestamp = match header.has(batch::attribute::APPEND_TIME) {
            true => header.max_timestamp,
            false => header.base_timestamp.wrapping_add(theirs.timestamp_delta),
        };
        assert_eq!(ours.attributes.cast_unsigned(), theirs.attributes);
        assert_eq!(ours.offset.0, header.base_offset + i64::from(theirs.offset_delta));
        assert_eq!((ours.timestamp, ours.key, ours.value), (timestamp, theirs.key, theirs.value));
        assert_eq!(ours.headers.clone().collect::<Vec<_>>(), theirs.each_header().expect("kferry read them"));
    }
}
