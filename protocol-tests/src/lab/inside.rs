//! A hand inside the embedded broker of 0.10: the library that the probe speaks with has forgotten the versions that this
//! one knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::hand::{At, Committed, End, Hand, Reading, Writing};
use super::record::{Digest, Fill, Record};
use crate::broker::legacy::{Entry, message_set, unpack, wrap};
use crate::broker::{Codec, Core, Embedded, NewRecord, groups};

/// See the module.
pub struct InsideHand {
    embedded: Arc<Embedded>,
}

impl InsideHand {
    /// A hand inside of this broker.
    pub fn new(embedded: Arc<Embedded>) -> Self {
        Self { embedded }
    }

    /// Writes message sets of about `batch_size` bytes each; the offset of each record.
    fn send(&self, at: At<'_>, records: impl Iterator<Item = Record>, how: Writing) -> Vec<i64> {
        let mut records = records.peekable();
        let mut offsets = Vec::new();
        let mut set = Vec::new();
        let mut size = 0;
        while let Some(record) = records.next() {
            assert!(record.headers.is_empty(), "message sets hold no headers");
            size += weight(&record);
            let bytes = |field: Option<Vec<u8>>| field.map(Bytes::from);
            let (key, value) = (bytes(record.key), bytes(record.value));
            set.push(NewRecord { key, value, timestamp: record.timestamp, ..NewRecord::default() });
            if records.peek().is_none_or(|next| size + weight(next) > how.batch_size) {
                let first = self.embedded.with_core(|core| {
                    let first = end(core, at);
                    assert!(core.append(at.topic, at.partition, entries(core, at, how.codec, &set)), "no {at:?}");
                    first
                });
                offsets.extend((first..).take(set.len()));
                set.clear();
                size = 0;
            }
        }
        offsets
    }
}

/// The records as the topic keeps them: plain messages, or a compressed set.
fn entries(core: &Core, at: At<'_>, codec: Codec, records: &[NewRecord]) -> Bytes {
    let append_time = core.topics.get(at.topic).is_some_and(|topic| topic.rules.append_time);
    if !append_time {
        return message_set(1, codec, records);
    }
    // The time of the append is that of the outer messages alone.
    let written = |append_time: bool| {
        (0..).zip(records).map(move |(offset, record)| Entry {
            append_time,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            ..Entry::new(1, offset, if append_time { core.now } else { record.timestamp })
        })
    };
    if codec == Codec::None {
        return written(true).flat_map(|entry| entry.write()).collect();
    }
    let last = records.len() as i64 - 1;
    let wrapper = Entry { append_time: true, ..Entry::new(1, last, core.now) };
    wrap(&wrapper, codec, &written(false).collect::<Vec<_>>(), false)
}

fn end(core: &Core, at: At<'_>) -> i64 {
    core.partition(at.topic, at.partition).unwrap_or_else(|| panic!("no {at:?}")).log.end()
}

fn weight(record: &Record) -> usize {
    34 + [&record.key, &record.value].map(|field| field.as_ref().map_or(0, Vec::len)).iter().sum::<usize>()
}

impl Hand for InsideHand {
    fn write(&self, at: At<'_>, records: &[Record], how: Writing, transaction: Option<(&str, End)>) -> Vec<i64> {
        assert!(transaction.is_none(), "0.10 knows no transactions");
        self.send(at, records.iter().cloned(), how)
    }

    fn end_transaction(&self, _: &str, _: End) {
        panic!("0.10 knows no transactions");
    }

    fn fill(&self, at: At<'_>, fill: &Fill, how: Writing) {
        self.send(at, fill.records(), how);
    }

    fn read(&self, at: At<'_>, what: Reading) -> Vec<Record> {
        let stored: Vec<Bytes> = self.embedded.with_core(|core| {
            let partition = core.partition(at.topic, at.partition).unwrap_or_else(|| panic!("no {at:?}"));
            partition.log.batches().map(|stored| stored.bytes.clone()).collect()
        });
        let wanted =
            |record: &Record| record.offset >= what.from.unwrap_or(0) && what.to.is_none_or(|to| record.offset < to);
        let records = stored.iter().flat_map(|entry| {
            let unpacked = unpack(entry).expect("a message set");
            let record = move |(offset, record): (i64, NewRecord)| Record {
                offset,
                timestamp: record.timestamp,
                append_time: unpacked.append_time,
                key: record.key.map(|key| key.to_vec()),
                value: record.value.map(|value| value.to_vec()),
                headers: Vec::new(),
            };
            unpacked.records.into_iter().map(record)
        });
        records.filter(wanted).collect()
    }

    fn digest(&self, at: At<'_>, what: Reading) -> Digest {
        let mut digest = Digest::default();
        self.read(at, what).iter().for_each(|record| digest.add(record));
        digest
    }

    fn commit(&self, group: &str, at: At<'_>, committed: &Committed) {
        let Committed { offset, metadata } = committed.clone();
        self.embedded.with_core(|core| {
            let committed = groups::Committed { offset, leader_epoch: -1, metadata, at: core.now };
            core.groups.commit(group, at.topic, at.partition, committed);
        });
    }

    fn committed(&self, group: &str) -> BTreeMap<(String, i32), Committed> {
        self.embedded.with_core(|core| {
            let known = core.groups.get(group).into_iter().flat_map(|group| &group.offsets);
            let entry = |(at, known): (&(String, i32), &groups::Committed)| {
                (at.clone(), Committed { offset: known.offset, metadata: known.metadata.clone() })
            };
            known.map(entry).collect()
        })
    }

    fn configs(&self, _: &str) -> BTreeMap<String, String> {
        panic!("0.10 does not tell configs");
    }

    fn join(&self, group: &str, _: &str) {
        panic!("nobody has needed a member of {group} here yet");
    }

    fn leave(&self, _: &str) {}
}
