//! Message sets of magic 0 and 1 as old brokers and clients left them on disk.

use bytes::Bytes;

use crate::broker::Codec;
use crate::broker::legacy::{Entry, wrap};
use crate::lab::record::Record;

use super::choices::Choices;

/// One entry of a message set, with the records a consumer is shown of it.
#[derive(Clone, Debug)]
pub struct Set {
    /// The entry as it is stored.
    pub bytes: Bytes,
    /// Its records, with their offsets.
    pub records: Vec<Record>,
}

/// Turns records at rising offsets into entries of the old format: one each, or one that wraps all of them. Headers are
/// lost, and times in magic 0. `stamp` is the broker's time where it set them (magic 1).
pub fn sets(choices: &mut Choices<'_>, magic: u8, codec: Codec, stamp: Option<i64>, records: Vec<Record>) -> Vec<Set> {
    let stamp = stamp.filter(|_| magic == 1);
    let shown = |record: Record| Record {
        timestamp: if magic == 0 { -1 } else { stamp.unwrap_or(record.timestamp) },
        append_time: stamp.is_some(),
        headers: Vec::new(),
        ..record
    };
    let written: Vec<Record> = records.iter().map(|record| Record { headers: Vec::new(), ..record.clone() }).collect();
    if codec == Codec::None {
        let plain = |record: &Record| {
            let entry = entry(magic, record.offset, stamp.unwrap_or(record.timestamp), record);
            Entry { append_time: stamp.is_some(), ..entry }.write()
        };
        return (written.iter().zip(records))
            .map(|(written, record)| Set { bytes: plain(written), records: vec![shown(record)] })
            .collect();
    }
    let Some((first, last)) = written.first().zip(written.last()) else { return Vec::new() };
    // Magic 1 counts from the first message; what the cleaner took out in front shifts nothing, because readers count
    // back from the last one, whose offset is the wrapper's (KIP-31).
    let zero = match magic {
        0 => 0,
        _ => first.offset - choices.below(3) as i64,
    };
    let entries: Vec<Entry<'_>> =
        written.iter().map(|record| entry(magic, record.offset - zero, record.timestamp, record)).collect();
    let newest = written.iter().map(|record| record.timestamp).max().unwrap_or(-1);
    let wrapper = Entry { append_time: stamp.is_some(), ..Entry::new(magic, last.offset, stamp.unwrap_or(newest)) };
    let broken_lz4 = magic == 0 && choices.once_in(2);
    let bytes = wrap(&wrapper, codec, &entries, broken_lz4);
    vec![Set { bytes, records: records.into_iter().map(shown).collect() }]
}

fn entry(magic: u8, offset: i64, timestamp: i64, record: &Record) -> Entry<'_> {
    Entry { key: record.key.as_deref(), value: record.value.as_deref(), ..Entry::new(magic, offset, timestamp) }
}
