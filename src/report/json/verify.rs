//! The document of `kferry verify --output json`, version 1: that of a run, and per partition what was found.

use serde::Serialize;

use super::plan::WarningDoc;
use super::run::{BatchesDoc, SkippedDoc, VolumeDoc};
use crate::migrate::Ended;
use crate::report::verified::{Checked, Verified};
use crate::verify::{Mismatch, Verdict};

/// The result of a verification.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct VerifyDoc {
    /// Always 1.
    pub version: u32,
    /// The migration's name.
    pub name: String,
    /// `done`, `stopped`, `failed` or `differs`.
    pub outcome: &'static str,
    /// What stood in the way, or the first difference; absent after `done`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// One entry per partition that was moved.
    pub partitions: Vec<PartitionDoc>,
    /// Always empty: groups are not looked at.
    pub groups: Vec<serde_json::Value>,
    /// Topics whose records can't be compared any more.
    pub warnings: Vec<WarningDoc>,
    /// Wall time.
    pub seconds: f64,
    /// Always 0.
    pub bytes: u64,
}

/// One partition's part of the result. All ends are exclusive.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PartitionDoc {
    /// The topic, the same on both sides.
    pub topic: String,
    /// The partition, the same on both sides.
    pub partition: i32,
    /// The first source offset that was compared.
    pub start: i64,
    /// The source offset behind the last one that was compared.
    pub end: i64,
    /// Records that the copy counted.
    pub records_written: i64,
    /// The target offset of the first of them.
    pub target_start: i64,
    /// The target offset behind the last of them.
    pub target_end: i64,
    /// Always empty: what became of each batch is known to the run alone.
    pub batches: BatchesDoc,
    /// Source offsets that were left out although they were to be moved.
    pub skipped: Vec<SkippedDoc>,
    /// The level that was reached without a difference; below the one asked for where the source's topic is gone.
    pub verified: Option<&'static str>,
    /// Records that are the same on both sides; at level `offsets`, those that the numbers vouch for.
    pub same: i64,
    /// The first differences, at most 100.
    pub differences: Vec<DifferenceDoc>,
    /// How many differences there are.
    pub differences_total: u64,
    /// Records that one side still has and the other lost to retention or compaction.
    pub explained: i64,
    /// Records that neither side has any more, or whose source topic was deleted.
    pub unverifiable: i64,
    /// Why it could not be compared to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A difference.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DifferenceDoc {
    /// The source's record; null where it has none.
    pub source_offset: Option<i64>,
    /// The target's record, or where it should be.
    pub target_offset: Option<i64>,
    /// `missing`, `extra`, `doubled`, `order`, or what of it is another: `key`, `value`, `headers`, `timestamp`, joined
    /// by commas. Where the numbers alone do not fit, what they are; where the topic itself is gone, that.
    pub what: String,
}

impl From<&Mismatch> for DifferenceDoc {
    fn from(mismatch: &Mismatch) -> Self {
        Self {
            source_offset: mismatch.source.map(|offset| offset.get()),
            target_offset: mismatch.target.map(|offset| offset.get()),
            what: mismatch.what.to_string(),
        }
    }
}

impl From<&Checked> for PartitionDoc {
    fn from(checked: &Checked) -> Self {
        let Checked { extent, skipped, verdict } = checked;
        let Verdict { at, level, findings, error } = verdict;
        Self {
            topic: at.topic.to_string(),
            partition: at.partition.get(),
            start: extent.source.start.get(),
            end: extent.source.end.get(),
            records_written: extent.records,
            target_start: extent.target.start.get(),
            target_end: extent.target.end.get(),
            batches: BatchesDoc {
                passed: VolumeDoc { batches: 0, bytes: 0 },
                rewritten: Vec::new(),
                dropped: Vec::new(),
            },
            skipped: skipped.iter().map(SkippedDoc::from).collect(),
            verified: level.filter(|_| verdict.is_right()).map(|level| level.as_str()),
            same: findings.same,
            differences: findings.listed.iter().map(DifferenceDoc::from).collect(),
            differences_total: findings.differences(),
            explained: findings.explained,
            unverifiable: findings.unverifiable,
            error: error.as_ref().and_then(|_| verdict.problem()),
        }
    }
}

impl VerifyDoc {
    /// The result of a verification that could not begin.
    pub fn failed(name: String, error: String) -> Self {
        Self {
            version: 1,
            name,
            outcome: "failed",
            error: Some(error),
            partitions: Vec::new(),
            groups: Vec::new(),
            warnings: Vec::new(),
            seconds: 0.0,
            bytes: 0,
        }
    }
}

impl From<&Verified> for VerifyDoc {
    fn from(verified: &Verified) -> Self {
        Self {
            outcome: match verified.ended() {
                Ended::Done => "done",
                Ended::Stopped => "stopped",
                Ended::Failed => "failed",
                Ended::Differs => "differs",
            },
            error: verified.problem(),
            partitions: verified.partitions.iter().map(PartitionDoc::from).collect(),
            warnings: verified.warnings().iter().map(WarningDoc::from).collect(),
            seconds: verified.elapsed.as_secs_f64(),
            ..Self::failed(verified.name.clone(), String::new())
        }
    }
}
