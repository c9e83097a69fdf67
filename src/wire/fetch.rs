//! Fetch, versions 2 to 11, by hand: the records of an answer are slices of its frame.
//!
//! Topics go by name and there is no fetch session (session id 0, epoch -1, KIP-227). Version 2 is that of 0.10.0 and has
//! no bound for all partitions together; 3 added it (KIP-74), 4 transactions (KIP-98), 5 the log start, 7 the session, 9
//! the leader epoch (KIP-320), 11 the rack and the preferred read replica (KIP-392).

use super::{ApiKey, Reader, Request, Rope, WireError};
use crate::kafka::{BrokerId, ErrorCode, LeaderEpoch, Offset, PartitionId, ProducerId, TopicName, TopicPartition};
use bytes::{BufMut, Bytes};
use std::time::Duration;

/// Whether records of open and aborted transactions are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Isolation {
    /// Everything up to the high watermark.
    ReadUncommitted,
    /// Everything up to the last stable offset, with a list of aborted transactions.
    ReadCommitted,
}

impl Isolation {
    /// Its number on the wire.
    pub const fn number(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

/// Asks one broker for record batches of several partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchRequest {
    /// How long the broker may wait for `min_bytes`.
    pub max_wait: Duration,
    /// The broker answers at once when it has this many bytes.
    pub min_bytes: i32,
    /// Bytes of all partitions together; a first batch that is larger comes all the same. Version 2 can't say it: there
    /// only the partitions' own limits count, and a first message that is larger comes cut.
    pub max_bytes: i32,
    /// Up to where records are wanted. Not sent before version 4: those brokers know no transactions.
    pub isolation: Isolation,
    /// The reader's rack, so that the leader may name a closer replica; empty for none. Not sent before version 11.
    pub rack: String,
    /// The partitions, asked in this order: brokers fill `max_bytes` from the first one on.
    pub partitions: Vec<FetchPartition>,
}

/// One partition of a [`FetchRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchPartition {
    /// Which one.
    pub at: TopicPartition,
    /// The leader epoch the caller believes in: the broker refuses an older or newer one. Not sent before version 9.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The first offset wanted; the first batch may start before it.
    pub offset: Offset,
    /// Bytes of this partition; must exceed the largest batch, or other partitions starve. Before version 3 this one too.
    pub max_bytes: i32,
}

/// A broker's answer to [`FetchRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchAnswer {
    /// For how long the broker will not read from the connection.
    pub throttle: Duration,
    /// An error of the whole request; brokers before version 7 have none.
    pub error: ErrorCode,
    /// One entry per partition, in the broker's order.
    pub partitions: Vec<FetchedPartition>,
}

/// One partition of a [`FetchAnswer`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedPartition {
    /// Which one.
    pub at: TopicPartition,
    /// This partition's error.
    pub error: ErrorCode,
    /// The offset behind the last record that is replicated; -1 with an error.
    pub high_watermark: Offset,
    /// The offset behind the last record whose transaction is decided. Not known before version 4; 0.11 and 1.1 do not
    /// know it in read_uncommitted.
    pub last_stable: Option<Offset>,
    /// The first offset the log still has. Not known before version 5.
    pub log_start: Option<Offset>,
    /// Aborted transactions that may have records here. Only with [`Isolation::ReadCommitted`].
    pub aborted: Vec<AbortedTransaction>,
    /// The replica that the leader wants to be asked instead.
    pub preferred_replica: Option<BrokerId>,
    /// Record batches one after the other; the last may be cut off. A slice of the answer's frame: while it is held, so
    /// is the frame.
    pub records: Bytes,
}

/// A transaction that was aborted: its producer's records from `first_offset` up to its abort marker do not count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AbortedTransaction {
    /// The producer.
    pub producer: ProducerId,
    /// The transaction's first offset in this partition.
    pub first_offset: Offset,
}

impl Request for FetchRequest {
    const API: ApiKey = ApiKey::Fetch;
    type Answer = FetchAnswer;

    fn encode(&self, version: i16) -> Result<Rope, WireError> {
        let mut out = Vec::with_capacity(self.partitions.len().saturating_mul(48).saturating_add(64));
        out.put_i32(-1); // replica_id: a consumer
        out.put_i32(i32::try_from(self.max_wait.as_millis()).unwrap_or(i32::MAX));
        out.put_i32(self.min_bytes);
        if version >= 3 {
            out.put_i32(self.max_bytes);
        }
        if version >= 4 {
            out.put_i8(self.isolation.number());
        }
        if version >= 7 {
            out.put_i32(0); // session_id
            out.put_i32(-1); // session_epoch: no session
        }
        put_topics(
            &mut out,
            &self.partitions,
            |entry| &entry.at,
            |out, entry| {
                out.put_i32(entry.at.partition.0);
                if version >= 9 {
                    out.put_i32(entry.leader_epoch.map_or(-1, LeaderEpoch::get));
                }
                out.put_i64(entry.offset.0);
                if version >= 5 {
                    out.put_i64(-1); // log_start_offset: only followers have one
                }
                out.put_i32(entry.max_bytes);
            },
        )?;
        if version >= 7 {
            out.put_i32(0); // forgotten_topics_data
        }
        if version >= 11 {
            put_string(&mut out, "rack_id", &self.rack)?;
        }
        Ok(Rope::from(out))
    }

    fn decode(version: i16, body: Bytes) -> Result<FetchAnswer, WireError> {
        let mut reader = Reader::new(&body, false);
        let throttle = reader.throttle()?;
        let error = if version >= 7 { reader.code()? } else { ErrorCode::NONE };
        if version >= 7 {
            reader.i32("session_id")?;
        }
        let topics = reader.array("topics", |reader| {
            let topic = TopicName::from(reader.text("topic")?);
            reader.array("partitions", |reader| partition(version, &topic, reader, &body))
        })?;
        Ok(FetchAnswer { throttle, error, partitions: topics.into_iter().flatten().collect() })
    }
}

fn partition(
    version: i16,
    topic: &TopicName,
    reader: &mut Reader<'_>,
    body: &Bytes,
) -> Result<FetchedPartition, WireError> {
    let partition = PartitionId(reader.i32("partition")?);
    let at = TopicPartition { topic: topic.clone(), partition };
    let error = reader.code()?;
    let high_watermark = Offset(reader.i64("high_watermark")?);
    let last_stable = if version >= 4 { known(reader.i64("last_stable_offset")?) } else { None };
    let log_start = if version >= 5 { known(reader.i64("log_start_offset")?) } else { None };
    let aborted = if version >= 4 { reader.array("aborted_transactions", aborted)? } else { Vec::new() };
    let preferred = if version >= 11 { reader.i32("preferred_read_replica")? } else { -1 };
    let preferred_replica = (preferred >= 0).then_some(BrokerId(preferred));
    // `slice_ref` takes what lies inside `body`, as all that the reader hands out does.
    let records = reader.nullable_bytes("records")?.map_or_else(Bytes::new, |records| body.slice_ref(records));
    Ok(FetchedPartition { at, error, high_watermark, last_stable, log_start, aborted, preferred_replica, records })
}

fn aborted(reader: &mut Reader<'_>) -> Result<AbortedTransaction, WireError> {
    let producer = ProducerId(reader.i64("producer_id")?);
    Ok(AbortedTransaction { producer, first_offset: Offset(reader.i64("first_offset")?) })
}

fn known(offset: i64) -> Option<Offset> {
    (offset >= 0).then_some(Offset(offset))
}

/// Writes entries in their order as `[topic [partition]]`: neighbours of one topic share its name.
pub(super) fn put_topics<T>(
    out: &mut Vec<u8>,
    entries: &[T],
    at: impl Fn(&T) -> &TopicPartition,
    mut put: impl FnMut(&mut Vec<u8>, &T),
) -> Result<(), WireError> {
    let groups = || entries.chunk_by(|left, right| at(left).topic == at(right).topic);
    put_count(out, groups().count())?;
    for group in groups() {
        let Some(first) = group.first() else { continue };
        put_string(out, "topic", at(first).topic.as_str())?;
        put_count(out, group.len())?;
        group.iter().for_each(|entry| put(out, entry));
    }
    Ok(())
}

/// INT32 count in front of an array.
pub(super) fn put_count(out: &mut Vec<u8>, count: usize) -> Result<(), WireError> {
    let count = i32::try_from(count).map_err(|_| WireError::Unwritable { reason: format!("{count} entries") })?;
    out.put_i32(count);
    Ok(())
}

/// STRING in the classic encoding.
pub(super) fn put_string(out: &mut Vec<u8>, what: &str, text: &str) -> Result<(), WireError> {
    let length = i16::try_from(text.len())
        .map_err(|_| WireError::Unwritable { reason: format!("{what} has {} bytes", text.len()) })?;
    out.put_i16(length);
    out.put_slice(text.as_bytes());
    Ok(())
}
