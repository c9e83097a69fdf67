//! What happens to a partition's log behind the clients' backs: the cleaner, and disks that go bad.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use crate::broker::batch::{Header, Next, attribute, next_batch};

use super::batch::Batch;
use super::real::Cluster;
use super::site::{Brokers, Site, Topic};
use super::wait;

/// Configs of a topic whose log is cleaned as soon as there is something to clean. Segments are closed by time: a write
/// closes the one before it if its records are more than [`SEGMENT_MS`] later.
pub const COMPACTED: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("segment.ms", "1000"),
    // Real cleaners leave tombstones this long.
    ("delete.retention.ms", "86400000"),
];

/// How far apart records must be, in ms, for the later one to close the segment of the earlier one.
pub const SEGMENT_MS: i64 = 1_000;

impl Site {
    /// Cleans a partition of a topic with the configs [`COMPACTED`]: returns when every key occurs once in front of the
    /// last batch, the records of aborted transactions aside.
    ///
    /// # Panics
    /// When the cleaner does not come, with what is in the log.
    #[track_caller]
    pub fn compact(&self, topic: &Topic, partition: i32) {
        if let Err(batches) = self.try_compact(topic, partition, Duration::from_secs(90)) {
            panic!("{} is not cleaned: {batches:#?}", topic.name);
        }
    }

    /// The same where the cleaner need not come in time.
    ///
    /// # Errors
    /// What is in the log when it did not.
    #[track_caller]
    pub fn try_compact(&self, topic: &Topic, partition: i32, limit: Duration) -> Result<(), Vec<Batch>> {
        if let Brokers::Embedded(embedded, _) = &*self.brokers {
            embedded.with_core(|core| core.compact(&topic.name, partition));
        }
        wait::attempt(limit, || {
            let batches = self.batches(topic, partition);
            if is_clean(&batches) { Ok(()) } else { Err(batches) }
        })
    }

    /// All batches of a partition, of every segment, as the broker has them.
    #[track_caller]
    pub fn batches(&self, topic: &Topic, partition: i32) -> Vec<Batch> {
        let (mut next, end) = self.bounds(topic, partition);
        let mut batches: Vec<Batch> = Vec::new();
        while next < end {
            let read = Batch::read_all(&self.stored(topic, partition, next));
            let Some(last) = read.last() else { break };
            next = last.next_offset();
            batches.extend(read);
        }
        batches
    }

    /// Changes one bit of the batch that holds `offset` where it is stored; it must be replicated nowhere.
    ///
    /// # Panics
    /// When there is no such batch.
    #[track_caller]
    pub fn corrupt(&self, topic: &Topic, partition: i32, offset: i64) {
        let changed = match &*self.brokers {
            Brokers::Embedded(embedded, _) => embedded.with_core(|core| core.corrupt(&topic.name, partition, offset)),
            Brokers::Real(cluster) => segments(cluster, topic, partition).iter().any(|file| corrupt(file, offset)),
        };
        assert!(changed, "no batch of {}/{partition} holds offset {offset}", topic.name);
    }
}

/// Whether every key occurs once in front of the last batch.
fn is_clean(batches: &[Batch]) -> bool {
    let mut keys = BTreeSet::new();
    let closed = batches.split_last().map(|(_, closed)| closed).unwrap_or_default();
    let data = closed.iter().filter(|batch| batch.attributes & attribute::CONTROL == 0);
    data.flat_map(|batch| &batch.records).all(|record| keys.insert(record.key.clone()))
}

/// The files of a partition's log, oldest first.
fn segments(cluster: &Cluster, topic: &Topic, partition: i32) -> Vec<PathBuf> {
    let folder = cluster.data(0).join(format!("{}-{partition}", topic.name));
    let entries = fs::read_dir(&folder).unwrap_or_else(|cause| panic!("{}: {cause}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "log"));
    files.sort();
    files
}

fn corrupt(file: &Path, offset: i64) -> bool {
    let log = Bytes::from(fs::read(file).expect("a segment"));
    let mut at = 0;
    while let Next::Batch(range) = next_batch(&log, at) {
        at = range.end;
        let header = Header::read(&log[range.clone()]);
        // A set of the old formats is numbered by its last message.
        let last = header.map_or(-1, |header| if header.magic < 2 { header.base_offset } else { header.last_offset() });
        if last >= offset {
            let place = range.end - 1;
            let changed = File::options()
                .write(true)
                .open(file)
                .and_then(|file| file.write_at(&[log[place] ^ 0x10], place as u64));
            return changed.is_ok();
        }
    }
    false
}
