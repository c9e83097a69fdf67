//! Looking at single batches, where offsets and configurations don't tell enough.

use std::collections::{BTreeMap, BTreeSet};

use crate::batch::{BatchError, BatchHeader, Entry, Record, open};
use crate::cluster::Cluster;
use crate::kafka::{Offset, Span, TopicPartition};
use crate::plan::facts::{OpenTransaction, SourcePartition, Survey};
use crate::plan::rules::{Rules, gaps_in_question, spans_in_question};

/// Partitions whose open transaction is looked at; each costs a batch from the source.
const TRANSACTIONS: usize = 100;

/// Partitions whose codecs are looked at; each costs two batches.
const LANES: usize = 200;

/// Lanes whose start is looked at for the first record; each costs a batch at least.
const STARTS: usize = 200;

/// So many batches without a record are stepped over, one behind the other: markers, and what the cleaner leaves of a
/// producer.
const STEPS: usize = 8;

/// The most that a batch may decompress to here, in bytes; a larger one stays unseen.
const OPENED: usize = 64 << 20;

/// Looks at the first batch of open transactions, at the first and last batch of lanes whose codec the target might not
/// take, and at the start of lanes whose first records might be too old. What can't be read stays unknown: it may take a
/// permission that a plan does not need otherwise.
pub(super) async fn look(source: &Cluster, survey: &mut Survey, rules: &Rules<'_>) {
    headers(source, survey, rules).await;
    gaps(source, survey, rules).await;
}

async fn headers(source: &Cluster, survey: &mut Survey, rules: &Rules<'_>) {
    let held: Vec<(TopicPartition, Offset)> = held_back(survey).take(TRANSACTIONS).collect();
    let spans: Vec<(TopicPartition, Span)> = spans_in_question(survey, rules).into_iter().take(LANES).collect();
    let edges = spans.iter().flat_map(|(at, span)| [(at.clone(), span.start), (at.clone(), span.end.plus(-1))]);
    let places: BTreeSet<(TopicPartition, Offset)> = held.iter().cloned().chain(edges).collect();
    let mut seen = BTreeMap::new();
    for (place, header) in source.peek(&places.into_iter().collect::<Vec<_>>(), header).await {
        match header {
            Ok(header) => drop(seen.insert(place, header)),
            Err(error) => tracing::debug!(%error, "a batch stays unseen"),
        }
    }
    let header_at = |at: &TopicPartition, offset| seen.get(&(at.clone(), offset))?.as_ref();
    for (at, offset) in &held {
        if let (Some(partition), Some(first)) = (partition(survey, at), header_at(at, *offset)) {
            partition.open_transaction = open_transaction(first, *offset);
        }
    }
    for (at, span) in &spans {
        let Some(partition) = partition(survey, at) else { continue };
        let edges = [span.start, span.end.plus(-1)].into_iter().filter_map(|offset| header_at(at, offset));
        let moved = edges.filter(|batch| batch.base_offset < span.end && !batch.is_control());
        partition.codecs.extend(moved.filter_map(|batch| batch.codec().ok()));
    }
}

/// Sets of the formats before v2 have none.
fn header(entry: &Entry, _: Offset) -> Option<BatchHeader> {
    match entry {
        Entry::Batch(batch) => Some(*batch.header()),
        Entry::Set(_) => None,
    }
}

/// Finds the first record of lanes, as far as the rules need it.
async fn gaps(source: &Cluster, survey: &mut Survey, rules: &Rules<'_>) {
    let mut left: BTreeMap<TopicPartition, Span> = gaps_in_question(survey, rules).into_iter().take(STARTS).collect();
    for _ in 0..STEPS {
        let places: Vec<_> = left.iter().map(|(at, span)| (at.clone(), span.start)).collect();
        for ((at, offset), seen) in source.peek(&places, landing).await {
            let (Some(span), Some(partition)) = (left.remove(&at), partition(survey, &at)) else { continue };
            let seen = seen.inspect_err(|error| tracing::debug!(%error, "the first record stays unseen"));
            let Ok(Some(Landing { offset: start, is_record })) = seen else { continue };
            partition.gap.get_or_insert(Span { start: offset, end: start }).end = start;
            if !is_record && start < span.end {
                left.insert(at, Span { start, ..span });
            }
        }
    }
}

/// The first record at a place of a log or behind it; where the entry there has none, the offset behind the entry.
struct Landing {
    offset: Offset,
    is_record: bool,
}

fn landing(entry: &Entry, from: Offset) -> Option<Landing> {
    let record = match entry {
        Entry::Batch(batch) if batch.header().is_control() => Ok(None),
        Entry::Batch(batch) if !batch.header().has_gaps() => Ok(Some(batch.header().base_offset.max(from))),
        Entry::Batch(batch) => open(batch, OPENED).and_then(|opened| first(opened.records(), from)),
        Entry::Set(set) => set.open(OPENED).and_then(|opened| first(opened.messages(), from)),
    };
    let record = record.ok()?;
    Some(Landing { offset: record.unwrap_or(entry.next_offset()), is_record: record.is_some() })
}

/// The offset of the first of a batch's records that is not in front of `from`.
fn first<'a>(
    mut records: impl Iterator<Item = Result<Record<'a>, BatchError>>,
    from: Offset,
) -> Result<Option<Offset>, BatchError> {
    let found = records.find(|record| record.as_ref().map_or(true, |record| record.offset >= from)).transpose()?;
    Ok(found.map(|record| record.offset))
}

/// The partitions with records behind an open transaction, and where that begins.
fn held_back(survey: &Survey) -> impl Iterator<Item = (TopicPartition, Offset)> {
    survey.source.topics.iter().flat_map(|(topic, seen)| {
        let held = seen.partitions.iter().filter(|(_, seen)| seen.last_stable < seen.high_watermark);
        held.map(|(&partition, seen)| (TopicPartition { topic: topic.clone(), partition }, seen.last_stable))
    })
}

fn partition<'a>(survey: &'a mut Survey, at: &TopicPartition) -> Option<&'a mut SourcePartition> {
    survey.source.topics.get_mut(&at.topic)?.partitions.get_mut(&at.partition)
}

/// The last stable offset is by definition the first one of the oldest open transaction. Another batch there belongs to
/// a transaction that was decided meanwhile, or to none.
fn open_transaction(first: &BatchHeader, last_stable: Offset) -> Option<OpenTransaction> {
    let opens = first.base_offset == last_stable && first.is_transactional() && !first.is_control();
    opens.then(|| OpenTransaction {
        producer: first.producer,
        epoch: first.epoch,
        offset: last_stable,
        since_ms: Some(first.timestamp(0)).filter(|&ms| ms >= 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::testing::consumed;
    use crate::batch::{Piece, batches};
    use bytes::Bytes;

    macro_rules! fixture {
        ($name:literal) => {
            include_bytes!(concat!("../../../fixtures/", $name)).as_slice()
        };
    }

    fn entries(log: &'static [u8]) -> Vec<Entry> {
        let entry = |piece| match piece {
            Ok(Piece::Batch(batch)) => Entry::Batch(batch),
            Ok(Piece::Set(set)) => Entry::Set(set),
            other => panic!("a whole entry, not {other:?}"),
        };
        batches(Bytes::from_static(log)).map(entry).collect()
    }

    /// The first record that the survey finds, and how often it looks.
    fn found(entries: &[Entry], from: Offset) -> (Option<Offset>, usize) {
        let mut at = from;
        for looks in 1.. {
            let Some(entry) = entries.iter().find(|entry| entry.next_offset() > at) else { return (None, looks) };
            let Landing { offset, is_record } = landing(entry, at).expect("a sound entry");
            if is_record {
                return (Some(offset), looks);
            }
            at = offset;
        }
        unreachable!("looks are counted without end");
    }

    fn check(name: &str, entries: &[Entry], records: &[i64]) {
        let end = entries.last().expect("an entry").next_offset().0;
        assert!(!records.is_empty() && records.len() < end as usize, "{name} has gaps");
        for from in 0..=end {
            let first = records.iter().copied().find(|&offset| offset >= from).map(Offset);
            let (seen, looks) = found(entries, Offset(from));
            assert_eq!(seen, first, "{name} from {from}");
            assert!(looks <= STEPS, "{name} from {from}: {looks} looks");
        }
    }

    #[test]
    fn the_first_record_is_found_behind_what_the_cleaner_and_transactions_leave() {
        for (name, log) in
            [("compacted", fixture!("batches/compacted.bin")), ("transactions", fixture!("batches/transactions.bin"))]
        {
            let entries = entries(log);
            let data = entries.iter().filter_map(|entry| match entry {
                Entry::Batch(batch) if !batch.header().is_control() => Some(consumed(batch)),
                _ => None,
            });
            check(name, &entries, &data.flatten().map(|model| model.offset).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_first_record_of_an_old_format_is_the_one_that_kafkas_consumer_reads_first() {
        for (name, log, read) in [
            ("v0", fixture!("legacy/v0-compacted.bin"), fixture!("legacy/v0-compacted.json")),
            ("v1", fixture!("legacy/v1-compacted.bin"), fixture!("legacy/v1-compacted.json")),
        ] {
            let read: Vec<serde_json::Value> = serde_json::from_slice(read).expect("JSON");
            let read: Vec<i64> = read.iter().map(|record| record["offset"].as_i64().expect("an offset")).collect();
            check(name, &entries(log), &read);
        }
    }
}
