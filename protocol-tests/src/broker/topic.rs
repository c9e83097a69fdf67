//! A topic and its partitions: one log each, a leader, followers that may lag, and who is in sync.
//!
//! The log is held once, the leader's; a follower is the offset up to which it has it. That is enough for every state
//! a client can see: a high watermark behind the log end, and a new leader that has less than the old one had.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::batch::{Header, Next, next_batch};
use super::legacy;
use super::log::{Log, Stored};
use super::producers::Sequenced;
use super::validate::{Accepted, Intake, Refusal, TopicRules, accept};

/// producer.id.expiration.check.interval.ms.
pub(crate) const SWEEP_MS: i64 = 600_000;
/// replica.lag.time.max.ms: how long a follower that does not fetch stays in sync.
const LAG_MS: i64 = 30_000;

/// A topic.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its id (KIP-516).
    pub id: u128,
    /// Whether Kafka itself uses it.
    pub internal: bool,
    /// Configs set on the topic, not the defaults.
    pub overrides: BTreeMap<String, String>,
    /// What the configs, defaults included, mean for batches.
    pub rules: TopicRules,
    /// By partition number.
    pub partitions: Vec<Partition>,
}

impl Topic {
    /// The partition with that number.
    pub fn partition(&self, index: i32) -> Option<&Partition> {
        self.partitions.get(usize::try_from(index).ok()?)
    }

    /// The partition with that number.
    pub fn partition_mut(&mut self, index: i32) -> Option<&mut Partition> {
        self.partitions.get_mut(usize::try_from(index).ok()?)
    }
}

/// A copy of the partition on one node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replica {
    /// Where it is.
    pub node: i32,
    /// Up to where it has the log (exclusive).
    pub end: i64,
    /// When it stopped fetching, ms; `None` while it follows.
    pub down_since: Option<i64>,
}

/// What a Produce did to a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    /// Offset of the first record, also of a duplicate's.
    pub base_offset: i64,
    /// What the high watermark must reach for acks -1.
    pub required: i64,
    /// -1, or the time the broker stamped, or what it remembers of the duplicate (ms).
    pub log_append_time: i64,
}

/// One partition.
#[derive(Clone, Debug)]
pub struct Partition {
    /// The leader's log.
    pub log: Log,
    /// The node that serves it; `None` while there is none.
    pub leader: Option<i32>,
    /// Counts the leaders.
    pub leader_epoch: i32,
    /// In the order of assignment.
    pub replicas: Vec<Replica>,
    /// Nodes that are in sync.
    pub isr: BTreeSet<i32>,
    /// Whether it stores batches of its own making, without the producer's stamps, as some services do that only speak
    /// Kafka's protocol.
    pub drops_stamps: bool,
    /// How often producers are looked through for those to forget, ms.
    pub sweep_ms: i64,
    /// When the log was loaded or its producers were looked through, ms.
    swept_at: i64,
}

impl Partition {
    /// An empty partition, led by the first of `nodes`.
    pub fn new(now_ms: i64, nodes: &[i32]) -> Self {
        Self {
            log: Log::default(),
            leader: nodes.first().copied(),
            leader_epoch: 0,
            replicas: nodes.iter().map(|node| Replica { node: *node, end: 0, down_since: None }).collect(),
            isr: nodes.iter().copied().collect(),
            drops_stamps: false,
            sweep_ms: SWEEP_MS,
            swept_at: now_ms,
        }
    }

    /// Takes one batch of a client, or finds that it is there already.
    pub fn produce(&mut self, intake: &Intake<'_>, batch: Bytes) -> Result<Appended, Refusal> {
        let mut accepted = accept(intake, batch)?;
        if self.drops_stamps {
            accepted.unstamp();
        }
        match self.log.producers.check(&accepted.header)? {
            Sequenced::Duplicate(known) => Ok(Appended {
                base_offset: known.base_offset,
                required: known.last_offset.saturating_add(1),
                log_append_time: known.timestamp,
            }),
            Sequenced::Next => {
                let log_append_time = if intake.topic.append_time { intake.now_ms } else { -1 };
                let base_offset = self.log.end();
                self.store(accepted, intake.topic.magic)?;
                Ok(Appended { base_offset, required: self.log.end(), log_append_time })
            }
        }
    }

    fn store(&mut self, accepted: Accepted, magic: u8) -> Result<(), Refusal> {
        if magic < 2 {
            let converted = legacy::from_batch(&accepted, self.log.end(), magic)?;
            converted.into_iter().for_each(|message| self.log.append(message));
        } else {
            let (header, bytes) = accepted.place(self.log.end(), self.leader_epoch);
            self.log.append(Stored { header, bytes });
        }
        self.replicate();
        Ok(())
    }

    /// Stores batches without any check: what tests, the demo and the transaction coordinator write. A base offset
    /// beyond the log end is kept and leaves a gap, anything below is raised to the end. Message
    /// sets of old formats are stored too; a cut tail is left out.
    pub fn append_raw(&mut self, batch: Bytes) {
        let mut at = 0;
        while let Next::Batch(range) = next_batch(&batch, at) {
            at = range.end;
            let bytes = batch.slice(range);
            let end = self.log.end();
            let stored = match Header::read(&bytes).filter(|header| header.magic == 2) {
                Some(header) => {
                    let accepted = Accepted { header, bytes, changed: false };
                    let (header, bytes) = accepted.place(header.base_offset.max(end), self.leader_epoch);
                    Some(Stored { header, bytes })
                }
                None => legacy::stored(bytes, end),
            };
            stored.into_iter().for_each(|stored| self.log.append(stored));
        }
        self.replicate();
    }

    /// Lets every follower that fetches catch up, and moves the high watermark to what all in-sync replicas have.
    pub fn replicate(&mut self) {
        let Some(leader) = self.leader else { return };
        let end = self.log.end();
        for replica in &mut self.replicas {
            if replica.node == leader || replica.down_since.is_none() {
                replica.end = end;
                self.isr.insert(replica.node);
            }
        }
        let synced = self.replicas.iter().filter(|replica| self.isr.contains(&replica.node));
        let common = synced.map(|replica| replica.end).min().unwrap_or(end);
        self.log.set_high_watermark(common.max(self.log.high_watermark()));
    }

    /// Stops a follower from fetching, or lets it go on. It stays in sync for replica.lag.time.max.ms.
    pub fn set_follower_up(&mut self, now_ms: i64, node: i32, up: bool) {
        for replica in self.replicas.iter_mut().filter(|replica| replica.node == node) {
            replica.down_since = if up { None } else { replica.down_since.or(Some(now_ms)) };
        }
        self.replicate();
    }

    /// Takes a node out of the in-sync set, as the controller does for a dead broker; the last one stays.
    pub fn shrink_isr(&mut self, node: i32) {
        if self.isr.len() > 1 && self.leader != Some(node) {
            self.isr.remove(&node);
        }
        self.replicate();
    }

    /// Makes `node` the leader. What it does not have is lost: for a replica in sync that is nothing above the high
    /// watermark that was acknowledged; for any other it is an unclean election.
    pub fn elect(&mut self, node: i32) {
        let Some(replica) = self.replicas.iter().find(|replica| replica.node == node).copied() else { return };
        self.leader = Some(node);
        self.leader_epoch += 1;
        self.log.truncate(replica.end);
        if !self.isr.contains(&node) {
            self.isr = BTreeSet::from([node]);
        }
        for replica in &mut self.replicas {
            replica.end = replica.end.min(self.log.end());
        }
        self.replicate();
    }

    /// A node went away: others lead, if one of them is in sync.
    pub fn node_down(&mut self, now_ms: i64, node: i32) {
        for replica in self.replicas.iter_mut().filter(|replica| replica.node == node) {
            replica.down_since = replica.down_since.or(Some(now_ms));
        }
        if self.leader == Some(node) {
            let next = self.replicas.iter().find(|replica| {
                replica.node != node && replica.down_since.is_none() && self.isr.contains(&replica.node)
            });
            match next.map(|replica| replica.node) {
                Some(next) => {
                    self.elect(next);
                    self.shrink_isr(node);
                }
                None => self.leader = None,
            }
        } else {
            self.shrink_isr(node);
        }
    }

    /// A node came back: it leads where nobody does and it is in sync, and follows elsewhere. Its memory of producers
    /// is what a restart leaves.
    pub fn node_up(&mut self, now_ms: i64, node: i32, expiry_ms: i64) {
        for replica in self.replicas.iter_mut().filter(|replica| replica.node == node) {
            replica.down_since = None;
        }
        if self.leader.is_none() && self.isr.contains(&node) {
            self.elect(node);
            self.reload(now_ms, expiry_ms);
        }
        self.replicate();
    }

    /// Loads the log as a restart does: of producers little is remembered.
    pub fn reload(&mut self, now_ms: i64, expiry_ms: i64) {
        self.log.producers.reload(now_ms, expiry_ms);
        self.swept_at = now_ms;
    }

    /// What time alone does: producers older than `expiry_ms` are forgotten, some time after the log was loaded and
    /// then again and again; followers fall out of sync. Returns whether anything moved.
    pub fn tick(&mut self, now_ms: i64, expiry_ms: i64) -> bool {
        if now_ms.saturating_sub(self.swept_at) >= self.sweep_ms {
            self.log.producers.forget(now_ms, expiry_ms);
            self.swept_at = now_ms;
        }
        let late = self.replicas.iter().find(|replica| {
            self.isr.contains(&replica.node)
                && self.leader.is_some_and(|leader| leader != replica.node)
                && replica.down_since.is_some_and(|since| now_ms.saturating_sub(since) >= LAG_MS)
        });
        match late.map(|replica| replica.node) {
            Some(node) if self.isr.len() > 1 => {
                self.shrink_isr(node);
                true
            }
            _ => false,
        }
    }

    /// Whether `node` serves the partition; otherwise the code a client gets.
    pub fn check_leader(&self, node: i32, epoch: i32) -> Result<(), ResponseError> {
        if self.leader != Some(node) {
            Err(ResponseError::NotLeaderOrFollower)
        } else if epoch >= 0 && epoch < self.leader_epoch {
            Err(ResponseError::FencedLeaderEpoch)
        } else if epoch > self.leader_epoch {
            Err(ResponseError::UnknownLeaderEpoch)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::build::RecordBatchBuilder;

    fn filled() -> Partition {
        let mut partition = Partition::new(0, &[1, 2, 3]);
        partition.append_raw(RecordBatchBuilder::of(10, 0).build());
        partition
    }

    #[test]
    fn a_follower_that_stands_still_holds_the_high_watermark_until_it_falls_out_of_sync() {
        let mut partition = filled();
        partition.set_follower_up(1_000, 2, false);
        partition.append_raw(RecordBatchBuilder::of(10, 0).build());
        assert_eq!((partition.log.end(), partition.log.high_watermark()), (20, 10));
        assert!(!partition.tick(30_999, 1));
        assert!(partition.tick(31_000, 1));
        assert_eq!(partition.log.high_watermark(), 20);
        assert!(!partition.isr.contains(&2));
        partition.set_follower_up(32_000, 2, true);
        assert!(partition.isr.contains(&2));
    }

    #[test]
    fn a_new_leader_that_lagged_truncates_the_log() {
        let mut partition = filled();
        partition.set_follower_up(0, 2, false);
        partition.append_raw(RecordBatchBuilder::of(10, 0).build());
        partition.elect(2);
        assert_eq!((partition.log.end(), partition.log.high_watermark(), partition.leader_epoch), (10, 10, 1));
        assert_eq!(partition.check_leader(2, 0), Err(ResponseError::FencedLeaderEpoch));
        assert_eq!(partition.check_leader(1, 1), Err(ResponseError::NotLeaderOrFollower));
        assert_eq!(partition.check_leader(2, 1), Ok(()));
    }

    #[test]
    fn a_dead_leader_is_replaced_and_the_only_one_is_waited_for() {
        let mut partition = filled();
        partition.node_down(0, 1);
        assert_eq!((partition.leader, partition.leader_epoch), (Some(2), 1));
        partition.node_down(0, 2);
        partition.node_down(0, 3);
        assert_eq!(partition.leader, None);
        partition.node_up(0, 1, i64::MAX);
        assert_eq!(partition.leader, None);
        partition.node_up(0, 3, i64::MAX);
        assert_eq!(partition.leader, Some(3));
    }

    #[test]
    fn raw_batches_may_leave_gaps() {
        let mut partition = filled();
        partition.append_raw(RecordBatchBuilder::of(2, 0).base_offset(100).build());
        partition
            .append_raw([RecordBatchBuilder::of(2, 0).build(), RecordBatchBuilder::of(1, 0).build()].concat().into());
        assert_eq!((partition.log.end(), partition.log.batches().count()), (105, 4));
    }
}
