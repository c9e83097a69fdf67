//! The document of `kferry run --output json`, version 1.
//!
//! It can be written and read back. Field names and their meaning are stable; readers ignore fields they don't know.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::groups::GroupDoc;
use super::plan::{ClusterDoc, WarningDoc};
use crate::copy::{Tally, Volume};
use crate::kafka::TopicPartition;
use crate::migrate::{Ended, LaneOutcome, Outcome, Recorded};
use crate::plan::Plan;
use crate::plan::facts::ClusterIdentity;
use crate::state::{self, Checkpoint, MetadataError, Skipped};

/// The result of a run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RunDoc {
    /// Always 1.
    pub version: u32,
    /// The migration's name.
    pub name: String,
    /// The cluster that was read; absent where the run ended before it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ClusterDoc>,
    /// The cluster that was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ClusterDoc>,
    /// `done`, `stopped`, `failed` or `differs`.
    pub outcome: String,
    /// What stood in the way; absent after `done`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// One entry per lane.
    pub partitions: Vec<PartitionDoc>,
    /// What became of the groups' commits.
    pub groups: Vec<GroupDoc>,
    /// Partitions of which nothing moves, with what is remembered of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<IdleDoc>,
    /// The plan's warnings and those of the run.
    pub warnings: Vec<WarningDoc>,
    /// Wall time of the run.
    pub seconds: f64,
    /// Bytes of record batches that were read from the source.
    pub bytes: u64,
}

/// One partition's part of the result. All ends are exclusive.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PartitionDoc {
    /// The topic, the same on both sides.
    pub topic: String,
    /// The partition, the same on both sides.
    pub partition: i32,
    /// The first source offset to move.
    pub start: i64,
    /// The source offset behind the last one to move.
    pub end: i64,
    /// Records that are on the target.
    pub records_written: i64,
    /// The target offset of the first of them; null before anything was sent.
    pub target_start: Option<i64>,
    /// The target offset behind the last of them.
    pub target_end: Option<i64>,
    /// Batches by verdict.
    pub batches: BatchesDoc,
    /// Source offsets that were left out although they were to be moved.
    pub skipped: Vec<SkippedDoc>,
    /// The level at which the partition was verified.
    pub verified: Option<String>,
    /// Why the lane did not reach its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the migration remembers of it: for kferry itself.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub state: Value,
}

/// A partition of which nothing moves.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct IdleDoc {
    /// The topic, the same on both sides.
    pub topic: String,
    /// The partition, the same on both sides.
    pub partition: i32,
    /// What the migration remembers of it: for kferry itself.
    pub state: Value,
}

/// Batches by verdict.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BatchesDoc {
    /// Went through with a patched header.
    pub passed: VolumeDoc,
    /// Were opened.
    pub rewritten: Vec<ReasonDoc>,
    /// Were left out.
    pub dropped: Vec<ReasonDoc>,
}

/// A number of batches and their bytes on the source.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct VolumeDoc {
    /// Record batches.
    pub batches: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A volume with its reason.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ReasonDoc {
    /// The reason's stable name.
    pub reason: String,
    /// Record batches.
    pub batches: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A stretch of the source that was left out.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SkippedDoc {
    /// Its first offset.
    pub start: i64,
    /// The offset behind its last one.
    pub end: i64,
    /// Why.
    pub reason: String,
}

impl From<&Skipped> for SkippedDoc {
    fn from(skipped: &Skipped) -> Self {
        let Skipped { span, reason } = skipped;
        Self { start: span.start.get(), end: span.end.get(), reason: reason.as_str().to_owned() }
    }
}

impl From<Volume> for VolumeDoc {
    fn from(volume: Volume) -> Self {
        Self { batches: volume.batches, bytes: volume.bytes }
    }
}

impl From<&Tally> for BatchesDoc {
    fn from(tally: &Tally) -> Self {
        let reasons = |volumes: &std::collections::BTreeMap<&'static str, Volume>| {
            let doc = |(reason, volume): (&&str, &Volume)| ReasonDoc {
                reason: (*reason).to_owned(),
                batches: volume.batches,
                bytes: volume.bytes,
            };
            volumes.iter().map(doc).collect()
        };
        Self { passed: tally.passed.into(), rewritten: reasons(&tally.rewritten), dropped: reasons(&tally.dropped) }
    }
}

impl From<&LaneOutcome> for PartitionDoc {
    fn from(lane: &LaneOutcome) -> Self {
        Self {
            topic: lane.at.topic.to_string(),
            partition: lane.at.partition.get(),
            start: lane.span().start.get(),
            end: lane.span().end.get(),
            records_written: lane.written().len(),
            target_start: Some(lane.written().start.get()),
            target_end: Some(lane.written().end.get()),
            batches: (&lane.tally).into(),
            skipped: lane.skipped().iter().map(SkippedDoc::from).collect(),
            verified: lane.verified.map(|level| level.to_string()),
            error: lane.problem(),
            state: state(&lane.checkpoint),
        }
    }
}

fn state(checkpoint: &Checkpoint) -> Value {
    // It is JSON already.
    serde_json::from_str(&state::encode(checkpoint)).unwrap_or_default()
}

const fn word(ended: Ended) -> &'static str {
    match ended {
        Ended::Done => "done",
        Ended::Stopped => "stopped",
        Ended::Failed => "failed",
        Ended::Differs => "differs",
    }
}

fn idle((at, checkpoint): (&TopicPartition, &Checkpoint)) -> IdleDoc {
    IdleDoc { topic: at.topic.to_string(), partition: at.partition.get(), state: state(checkpoint) }
}

impl RunDoc {
    /// The result of a run that failed before it moved anything.
    pub fn failed(name: String, error: String) -> Self {
        Self { error: Some(error), ..Self::empty(name, Ended::Failed) }
    }

    /// The result of a run that was told to stop before it knew what to move.
    pub fn stopped(name: String) -> Self {
        Self::empty(name, Ended::Stopped)
    }

    fn empty(name: String, ended: Ended) -> Self {
        Self {
            version: 1,
            name,
            source: None,
            target: None,
            outcome: word(ended).to_owned(),
            error: None,
            partitions: Vec::new(),
            groups: Vec::new(),
            idle: Vec::new(),
            warnings: Vec::new(),
            seconds: 0.0,
            bytes: 0,
        }
    }

    /// What it remembers, by partition.
    ///
    /// # Errors
    ///
    /// A partition's state that can't be understood.
    pub fn recorded(&self) -> Result<Recorded, MetadataError> {
        let lanes = self.partitions.iter().map(|lane| (&lane.topic, lane.partition, &lane.state));
        let idle = self.idle.iter().map(|idle| (&idle.topic, idle.partition, &idle.state));
        let states = lanes.chain(idle).filter(|(.., state)| !state.is_null());
        let read = |(topic, partition, state): (&String, i32, &Value)| {
            Ok((TopicPartition::new(topic.as_str(), partition), state::decode(&state.to_string())?))
        };
        states.map(read).collect()
    }

    /// Whether it tells of the same migration: the same name, between the same clusters.
    pub fn continues(&self, name: &str, plan: &Plan) -> bool {
        let same = |ours: &Option<ClusterDoc>, theirs: &ClusterIdentity| {
            ours.as_ref().is_some_and(|ours| ours.cluster_id == theirs.id)
        };
        self.name == name && same(&self.source, plan.source()) && same(&self.target, plan.target())
    }
}

impl From<&Outcome> for RunDoc {
    fn from(outcome: &Outcome) -> Self {
        Self {
            version: 1,
            name: outcome.name.clone(),
            source: Some(ClusterDoc::from(&outcome.source)),
            target: Some(ClusterDoc::from(&outcome.target)),
            outcome: word(outcome.ended()).to_owned(),
            error: outcome.problem(),
            partitions: outcome.lanes.iter().map(PartitionDoc::from).collect(),
            groups: outcome.groups.iter().map(GroupDoc::from).collect(),
            idle: outcome.idle.iter().map(idle).collect(),
            warnings: outcome.warnings.iter().map(WarningDoc::from).collect(),
            seconds: outcome.elapsed.as_secs_f64(),
            bytes: outcome.lanes.iter().map(|lane| lane.tally.bytes_read()).sum(),
        }
    }
}
