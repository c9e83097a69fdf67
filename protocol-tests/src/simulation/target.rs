//! A target partition: the embedded broker's own, with what else clients of older releases and of services meet.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kferry::copy::{LastBatch, Tail};
use kferry::kafka::{Offset, ProducerEpoch, ProducerId, Sequence, Stamp};

use super::dice::Dice;
use super::source::Content;
use crate::broker::Version;
use crate::broker::batch::{Header, OVERHEAD, seal, walk};
use crate::broker::build::RecordBatchBuilder;
use crate::broker::topic::{Appended, Partition};
use crate::broker::validate::{Intake, TopicRules};

/// What a foreign producer writes.
const FOREIGN: &str = "foreign";

/// How a target judges producers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Era {
    /// 0.11: remembers one batch of a producer; one that it does not know must begin with sequence 0 (else 45).
    V0_11,
    /// 1.0 to 2.3: remembers five; one that it does not know must begin with sequence 0 (else 59).
    V1_1,
    /// 2.5 to 3.3: takes any sequence of a producer that it does not know; forgets after seven days.
    V2_8,
    /// Later: forgets after a day.
    V4_1,
}

impl Era {
    const fn expiry_ms(self) -> i64 {
        match self {
            Self::V4_1 => 86_400_000,
            _ => 7 * 86_400_000,
        }
    }

    /// How many batches may be in flight: as many as the broker remembers.
    pub const fn depth(self) -> usize {
        if matches!(self, Self::V0_11) { 1 } else { 5 }
    }

    /// The code for a producer that is not known and does not begin with sequence 0.
    const fn unknown_producer(self) -> Option<ResponseError> {
        match self {
            Self::V0_11 => Some(ResponseError::OutOfOrderSequenceNumber),
            Self::V1_1 => Some(ResponseError::UnknownProducerId),
            Self::V2_8 | Self::V4_1 => None,
        }
    }
}

/// A batch on the target, as the judge reads it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// Its offset.
    pub offset: i64,
    /// The source offset that its value names; `None` for somebody else's.
    pub source: Option<i64>,
    /// What it holds.
    pub content: Content,
}

/// A target partition.
#[derive(Debug)]
pub struct Target {
    /// Its log, replicas and leader.
    pub partition: Partition,
    era: Era,
    /// It re-encodes what it stores: no stamps, no memory of producers.
    pub drops_stamps: bool,
    rules: TopicRules,
    /// Where the first record of the copy goes.
    pub start: Offset,
    /// Somebody else has written.
    pub foreign: bool,
    /// It lost what it had acknowledged.
    pub truncated: bool,
    /// And nobody has asked for the end of the log or written since.
    pub unseen: bool,
}

impl Target {
    /// A partition on `nodes` brokers that holds a few records of somebody else's.
    pub fn new(dice: &mut Dice, now_ms: i64, era: Era, nodes: i32, drops_stamps: bool) -> Self {
        let nodes: Vec<i32> = (1..=nodes).collect();
        let rules = TopicRules {
            compression: "producer".to_owned(),
            max_message_bytes: if dice.once_in(4) { 61 + dice.between(120, 400) as usize } else { usize::MAX },
            segment_bytes: usize::MAX,
            append_time: false,
            after_max_ms: i64::MAX,
            before_max_ms: i64::MAX,
            compacted: false,
            magic: 2,
            min_insync_replicas: if nodes.len() > 1 { 2 } else { 1 },
            takes_zstd: true,
        };
        let mut partition = Partition::new(now_ms, &nodes);
        if dice.once_in(2) {
            partition.append_raw(RecordBatchBuilder::of(dice.between(1, 9) as usize, now_ms).build());
        }
        let start = Offset(partition.log.end());
        Self { partition, era, drops_stamps, rules, start, foreign: false, truncated: false, unseen: false }
    }

    /// Takes a batch that reached `node`, or answers with a code.
    pub fn produce(&mut self, now_ms: i64, node: i32, batch: Bytes) -> Result<Appended, i16> {
        self.tick(now_ms);
        self.partition.check_leader(node, -1).map_err(|code| code.code())?;
        if self.partition.isr.len() < self.rules.min_insync_replicas {
            return Err(ResponseError::NotEnoughReplicas.code());
        }
        let batch = if self.drops_stamps { without_stamp(&batch) } else { batch };
        if let Some(code) = self.refuses_sequence(&batch) {
            return Err(code.code());
        }
        let intake = Intake { version: Version::V2_8, topic: &self.rules, now_ms, produce: 7 };
        self.partition.produce(&intake, batch).map_err(|refusal| refusal.code.code())
    }

    /// What releases before 2.5 refuse although the embedded broker would not.
    fn refuses_sequence(&self, batch: &[u8]) -> Option<ResponseError> {
        let header = Header::read(batch)?;
        if header.producer_id < 0 || batch.len() > self.rules.max_message_bytes {
            return None;
        }
        let mut producers = self.partition.log.producers.iter();
        let Some((_, known)) = producers.find(|(id, _)| *id == header.producer_id) else {
            return self.era.unknown_producer().filter(|_| header.base_sequence != 0);
        };
        let duplicate = known
            .batches
            .iter()
            .rposition(|batch| (known.epoch, batch.first_sequence) == (header.producer_epoch, header.base_sequence))?;
        let forgotten = self.era == Era::V0_11 && duplicate + 1 < known.batches.len();
        forgotten.then_some(ResponseError::OutOfOrderSequenceNumber)
    }

    /// What time alone does.
    pub fn tick(&mut self, now_ms: i64) {
        self.partition.tick(now_ms, self.era.expiry_ms());
    }

    /// How a batch that was appended, and must be replicated up to `required`, is answered; `None` while that is open.
    pub fn replicated(&self, node: i32, required: i64, expired: bool) -> Option<i16> {
        if self.partition.leader != Some(node) {
            return Some(ResponseError::NotLeaderOrFollower.code());
        }
        if self.partition.log.high_watermark() >= required {
            let enough = self.partition.isr.len() >= self.rules.min_insync_replicas;
            return Some(if enough { 0 } else { ResponseError::NotEnoughReplicasAfterAppend.code() });
        }
        expired.then(|| ResponseError::RequestTimedOut.code())
    }

    /// The last batch in front of `end`, as a Fetch of that leader tells it.
    pub fn tail(&self, high_watermark: i64, end: i64) -> Tail {
        let last = self.partition.log.batches().find(|batch| {
            let offsets = batch.header.base_offset..=batch.header.last_offset();
            high_watermark >= end && offsets.contains(&(end - 1)) && self.partition.log.high_watermark() >= end
        });
        let last =
            last.map(|batch| LastBatch { stamp: stamp(&batch.header), records: batch.header.last_offset_delta + 1 });
        Tail { end: Offset(end), high_watermark: Offset(high_watermark), last }
    }

    /// The check for producers to be forgotten runs.
    pub fn sweep(&mut self, now_ms: i64) {
        self.partition.log.producers.forget(now_ms, self.era.expiry_ms());
    }

    /// The leader's process ends.
    pub fn node_down(&mut self, now_ms: i64, node: i32) {
        self.partition.node_down(now_ms, node);
    }

    /// And starts again.
    pub fn node_up(&mut self, now_ms: i64, node: i32) {
        self.partition.node_up(now_ms, node, self.era.expiry_ms());
    }

    /// A replica that is not in sync becomes the leader: the last batches are lost, acknowledged or not.
    pub fn elect_unclean(&mut self, batches: usize) -> bool {
        let log = &self.partition.log;
        let bases: Vec<i64> = log.batches().map(|batch| batch.header.base_offset).collect();
        let cut = bases.get(bases.len().saturating_sub(batches)).copied().filter(|base| *base >= self.start.get());
        let Some(cut) = cut else { return false };
        if cut < log.high_watermark() {
            (self.truncated, self.unseen) = (true, true);
        }
        self.partition.leader_epoch += 1;
        self.partition.log.truncate(cut);
        self.partition.replicas.iter_mut().for_each(|replica| replica.end = replica.end.min(cut));
        self.partition.replicate();
        true
    }

    /// Somebody else writes.
    pub fn write_foreign(&mut self, records: usize, now_ms: i64) {
        let record = crate::broker::NewRecord::new(now_ms, "k", FOREIGN);
        self.partition.append_raw(RecordBatchBuilder::new().records(vec![record; records]).build());
        self.foreign = true;
    }

    /// From now on batches may have at most so many bytes.
    pub fn limit(&mut self, bytes: usize) {
        self.rules.max_message_bytes = self.rules.max_message_bytes.min(bytes);
    }

    /// Everything behind the first record of the copy.
    pub fn written(&self) -> Vec<Written> {
        let batches = self.partition.log.batches().filter(|batch| batch.header.base_offset >= self.start.get());
        batches.flat_map(|batch| records(&batch.header, &batch.bytes)).collect()
    }
}

fn records(header: &Header, bytes: &[u8]) -> Vec<Written> {
    let records = walk(bytes.get(OVERHEAD..).unwrap_or_default(), header.count).unwrap_or_default();
    let read = |record: &crate::broker::batch::Record<'_>| {
        let owned = |bytes: Option<&[u8]>| Bytes::copy_from_slice(bytes.unwrap_or_default());
        let content = Content {
            key: owned(record.key),
            value: owned(record.value),
            timestamp: header.base_timestamp + record.timestamp_delta,
        };
        let text = std::str::from_utf8(&content.value).unwrap_or_default();
        let source = text.split_once(':').and_then(|(offset, _)| offset.parse().ok());
        Written { offset: header.base_offset + i64::from(record.offset_delta), source, content }
    };
    records.iter().map(read).collect()
}

fn stamp(header: &Header) -> Stamp {
    Stamp {
        producer: ProducerId(header.producer_id),
        epoch: ProducerEpoch(header.producer_epoch),
        sequence: Sequence(header.base_sequence),
    }
}

fn without_stamp(batch: &[u8]) -> Bytes {
    let mut bytes = batch.to_vec();
    if let Some(header) = Header::read(batch) {
        seal(&mut bytes, &Header { producer_id: -1, producer_epoch: -1, base_sequence: -1, ..header });
    }
    bytes.into()
}
