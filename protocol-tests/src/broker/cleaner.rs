//! The log cleaner of compacted topics, run when a test wants it: what it takes out and what it leaves behind.
//!
//! It keeps the newest record of each key below the last stable offset and leaves the last batch alone, as a real one
//! leaves the active segment. Offsets stay: batches get gaps, and a producer's last batch stays as a header without
//! records. A batch with tombstones gets a delete horizon (KIP-534); none is old enough to be taken out.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::batch::{Header, OVERHEAD, PREFIX, Record, attribute, put_record, seal, walk};
use super::codec::Codec;
use super::log::{Aborted, Log, Stored};

/// A batch with its records unpacked.
struct Open<'a> {
    stored: &'a Stored,
    plain: Vec<u8>,
    /// The cleaner may take records out of it.
    dirty: bool,
    /// Its transaction was aborted.
    aborted: bool,
}

impl Open<'_> {
    fn records(&self) -> Vec<(i64, Record<'_>)> {
        let header = &self.stored.header;
        let records = walk(&self.plain, header.count).unwrap_or_default();
        records.into_iter().map(|record| (header.base_offset + i64::from(record.offset_delta), record)).collect()
    }
}

/// What a cleaning leaves of the log. `horizon` is from when on tombstones may go (ms), for releases that note it in the
/// batch.
pub fn clean(log: &Log, horizon: Option<i64>) -> Vec<Stored> {
    let stable = log.last_stable_offset();
    let aborted = log.aborted(0, i64::MAX);
    let last = log.batches().last().map_or(-1, |batch| batch.header.base_offset);
    let opened: Vec<Open<'_>> = log.batches().map(|stored| open(stored, stable.min(last), &aborted)).collect();
    let mut newest = BTreeMap::new();
    for batch in opened.iter().filter(|batch| batch.dirty && !batch.aborted) {
        newest.extend(batch.records().into_iter().filter_map(|(offset, record)| Some((record.key?.to_vec(), offset))));
    }
    let kept = |offset, record: &Record<'_>| record.key.and_then(|key| newest.get(key)) == Some(&offset);
    let mut left = Vec::new();
    for (at, batch) in opened.iter().enumerate() {
        let header = &batch.stored.header;
        let records = batch.records();
        let retained: Vec<&Record<'_>> = records
            .iter()
            .filter(|(offset, record)| !batch.aborted && kept(*offset, record))
            .map(|(_, record)| record)
            .collect();
        let last_of_producer = header.producer_id >= 0
            && opened.iter().skip(at + 1).all(|later| later.stored.header.producer_id != header.producer_id);
        match () {
            () if !batch.dirty || retained.len() == records.len() => left.push(batch.stored.clone()),
            () if !retained.is_empty() => left.extend(rewritten(header, &retained, horizon)),
            () if last_of_producer => left.extend(rewritten(header, &[], None)),
            () => {}
        }
    }
    left
}

fn open<'a>(stored: &'a Stored, end: i64, aborted: &[Aborted]) -> Open<'a> {
    let header = &stored.header;
    let plain = Codec::from_id(header.codec())
        .and_then(|codec| codec.decompress(stored.bytes.get(OVERHEAD..).unwrap_or_default()).ok())
        .unwrap_or_default();
    let within = |aborted: &Aborted| {
        aborted.producer_id == header.producer_id && (aborted.first..aborted.last).contains(&header.base_offset)
    };
    Open {
        stored,
        plain,
        dirty: header.magic == 2 && !header.has(attribute::CONTROL) && header.last_offset() < end,
        aborted: header.has(attribute::TRANSACTIONAL) && aborted.iter().any(within),
    }
}

/// The batch with these records alone, at the offsets they have.
fn rewritten(header: &Header, records: &[&Record<'_>], horizon: Option<i64>) -> Option<Stored> {
    let horizon = horizon.filter(|_| records.iter().any(|record| record.value.is_none()));
    let time = |record: &Record<'_>| header.base_timestamp.wrapping_add(record.timestamp_delta);
    let first = records.first().map_or(-1, |record| time(record));
    let base_timestamp = horizon.unwrap_or(first);
    let mut plain = Vec::new();
    for record in records {
        put_record(&mut plain, &Record { timestamp_delta: time(record).wrapping_sub(base_timestamp), ..**record });
    }
    let packed = if records.is_empty() { Vec::new() } else { Codec::from_id(header.codec())?.compress(&plain).ok()? };
    let newest = records.iter().map(|record| time(record)).max().unwrap_or(-1);
    let stamped = header.has(attribute::APPEND_TIME);
    let header = Header {
        length: i32::try_from(OVERHEAD - PREFIX + packed.len()).ok()?,
        attributes: header.attributes | if horizon.is_some() { attribute::DELETE_HORIZON } else { 0 },
        base_timestamp,
        max_timestamp: if stamped { header.max_timestamp } else { newest },
        count: i32::try_from(records.len()).ok()?,
        ..*header
    };
    let mut bytes = vec![0; OVERHEAD];
    bytes.extend(packed);
    seal(&mut bytes, &header);
    let header = Header::read(&bytes)?;
    Some(Stored { header, bytes: Bytes::from(bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::build::{NewRecord, RecordBatchBuilder};

    fn log(batches: &[&[(&'static str, Option<&'static str>)]]) -> Log {
        let mut log = Log::default();
        for records in batches {
            let record = |(key, value): &(&'static str, Option<&'static str>)| NewRecord {
                value: value.map(Bytes::from),
                ..NewRecord::new(1_000, *key, "")
            };
            let builder = RecordBatchBuilder::new().records(records.iter().map(record)).producer(9, 0, 0);
            let bytes = builder.base_offset(log.end()).codec(Codec::Gzip).build();
            log.append(Stored { header: Header::read(&bytes).expect("a header"), bytes });
        }
        log.set_high_watermark(log.end());
        log
    }

    #[test]
    fn the_newest_record_of_each_key_stays_where_it_was() {
        let log = log(&[
            &[("a", Some("1")), ("b", Some("1")), ("a", Some("2"))],
            &[("b", Some("2"))],
            &[("b", None), ("c", Some("1"))],
            &[("a", Some("3"))],
        ]);
        let left = clean(&log, Some(5_000));
        let shape: Vec<(i64, i64, i32)> = left
            .iter()
            .map(|stored| (stored.header.base_offset, stored.header.last_offset(), stored.header.count))
            .collect();
        assert_eq!(shape, [(0, 2, 1), (4, 5, 2), (6, 6, 1)]);
        assert!(left.iter().all(|stored| crate::broker::batch::crc_matches(&stored.bytes)));
    }

    #[test]
    fn a_producer_s_last_batch_stays_without_records_and_a_cleaned_one_gets_a_horizon() {
        let mut log = log(&[&[("a", Some("1")), ("t", Some("1")), ("t", None)]]);
        let other = RecordBatchBuilder::new().record(NewRecord::new(5, "a", "2")).base_offset(3).build();
        for bytes in [other.clone(), RecordBatchBuilder::of(1, 0).base_offset(4).build()] {
            log.append(Stored { header: Header::read(&bytes).expect("a header"), bytes });
        }
        log.set_high_watermark(5);
        let left = clean(&log, Some(5_000));
        let header = left[0].header;
        assert_eq!((header.count, header.base_timestamp, header.max_timestamp), (1, 5_000, 1_000));
        assert!(header.has(attribute::DELETE_HORIZON));
        let mut emptied = Log::default();
        let sole = RecordBatchBuilder::new().record(NewRecord::new(5, "a", "1")).producer(9, 0, 0).build();
        for (at, bytes) in (0..).zip([sole, other, RecordBatchBuilder::of(1, 0).build()]) {
            let mut bytes = bytes.to_vec();
            let header = Header { base_offset: at, ..Header::read(&bytes).expect("a header") };
            seal(&mut bytes, &header);
            emptied.append(Stored { header, bytes: bytes.into() });
        }
        emptied.set_high_watermark(3);
        let left = clean(&emptied, None);
        assert_eq!((left[0].header.count, left[0].bytes.len(), left.len()), (0, OVERHEAD, 3));
    }
}
