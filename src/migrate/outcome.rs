//! What a run came to.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::copy::{Copied, LaneEnd, Tally};
use crate::kafka::{Offset, Span, TopicPartition};
use crate::offsets::{self, GroupOutcome};
use crate::plan::Warning;
use crate::plan::facts::ClusterIdentity;
use crate::state::{Checkpoint, SkipReason, Skipped};
use crate::verify::{Level, Verdict};

/// How a run ended as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Everything was moved and verified, but for what the operator wanted left out.
    Done,
    /// It was told to stop; what is on the target is right.
    Stopped,
    /// Something could not be moved.
    Failed,
    /// Everything was moved, but the target tells other offsets.
    Differs,
}

/// One lane's result.
#[derive(Clone, PartialEq, Debug)]
pub struct LaneOutcome {
    /// The partition.
    pub at: TopicPartition,
    /// Where it stands: the source offsets that were to be moved, where the records lie on the target, what was left out.
    pub checkpoint: Checkpoint,
    /// Batches by verdict, of this run.
    pub tally: Tally,
    /// How the lane ended.
    pub end: LaneEnd,
    /// The level at which it was verified.
    pub verified: Option<Level>,
    /// What the verification found, where that is a difference, or what kept it from its end.
    pub difference: Option<Box<Verdict>>,
    /// Whether this run had nothing to do for it.
    pub before: bool,
    /// The source offset up to which an earlier run that came to its end has told what was lost.
    pub told: Option<Offset>,
}

impl From<Copied> for LaneOutcome {
    /// Not verified yet.
    fn from(lane: Copied) -> Self {
        let Copied { at, tally, end, checkpoint, .. } = lane;
        Self { at, checkpoint, tally, end, verified: None, difference: None, before: false, told: None }
    }
}

impl LaneOutcome {
    /// A lane that this run has not touched.
    pub(super) fn standing(at: &TopicPartition, checkpoint: &Checkpoint) -> Self {
        Self {
            at: at.clone(),
            end: if checkpoint.is_finished() { LaneEnd::Copied } else { LaneEnd::Stopped },
            checkpoint: checkpoint.clone(),
            tally: Tally::default(),
            verified: None,
            difference: None,
            before: true,
            told: None,
        }
    }

    /// Where the records lie on the target, end exclusive.
    pub const fn written(&self) -> Span {
        self.checkpoint.written()
    }

    /// The source offsets that were to be moved, end exclusive.
    pub const fn span(&self) -> Span {
        self.checkpoint.span
    }

    /// What was left out although it was to be moved.
    pub fn skipped(&self) -> &[Skipped] {
        &self.checkpoint.skipped
    }

    /// Whether verification found a difference.
    fn differs(&self) -> bool {
        self.difference.as_ref().is_some_and(|verdict| verdict.differs())
    }

    /// What the source deleted before it could be moved, and no run has told yet.
    fn lost(&self) -> Option<Span> {
        let is_news = |skipped: &&Skipped| {
            skipped.reason == SkipReason::Lost && self.told.is_none_or(|told| told < skipped.span.end)
        };
        self.skipped().iter().find(is_news).map(|skipped| skipped.span)
    }

    /// Source offsets that were left out although they were to be moved.
    pub fn skipped_offsets(&self) -> i64 {
        self.skipped().iter().map(|skipped| skipped.span.len()).sum()
    }

    /// What stood in the way, with the partition's name and, where known, what to do.
    pub fn problem(&self) -> Option<String> {
        if let LaneEnd::Failed(problem) = &self.end {
            let advice = problem.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
            return Some(format!("{}: {problem}{advice}", self.at));
        }
        if let Some(span) = self.lost() {
            return Some(format!("{}: the source deleted offsets {span} before they could be copied", self.at));
        }
        self.difference.as_ref().and_then(|verdict| verdict.problem())
    }
}

/// The result of a run that got as far as copying.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// The migration's name.
    pub name: String,
    /// The cluster that was read.
    pub source: ClusterIdentity,
    /// The cluster that was written.
    pub target: ClusterIdentity,
    /// Every lane, by topic and partition.
    pub lanes: Vec<LaneOutcome>,
    /// The partitions of which nothing moves.
    pub idle: BTreeMap<TopicPartition, Checkpoint>,
    /// What became of the groups' commits, by group and partition; empty where it did not come to that.
    pub groups: Vec<GroupOutcome>,
    /// The plan's warnings and those of the run.
    pub warnings: Vec<Warning>,
    /// Wall time from the start of the copy to the end of the verification.
    pub elapsed: Duration,
    /// Whether it was told to stop before its end.
    pub interrupted: bool,
    /// Whether there was nothing to do: everything had been done before, or there is nothing to move.
    pub nothing_to_do: bool,
}

impl Outcome {
    /// How the run ended as a whole.
    pub fn ended(&self) -> Ended {
        let any = |test: fn(&LaneOutcome) -> bool| self.lanes.iter().any(test);
        if self.nothing_to_do && !self.interrupted && !any(LaneOutcome::differs) {
            Ended::Done
        } else if any(|lane| matches!(lane.end, LaneEnd::Failed(_))) {
            Ended::Failed
        } else if self.interrupted || any(|lane| lane.end == LaneEnd::Stopped) {
            Ended::Stopped
        } else if any(LaneOutcome::differs) {
            Ended::Differs
        } else if any(|lane| lane.difference.is_some() || lane.lost().is_some())
            || self.groups.iter().any(|ended| ended.outcome.is_refusal())
        {
            Ended::Failed
        } else {
            Ended::Done
        }
    }

    /// Whether every lane came to its end and was verified, and nothing is missing.
    pub fn is_copied(&self) -> bool {
        let whole =
            |lane: &LaneOutcome| lane.end == LaneEnd::Copied && lane.verified.is_some() && lane.lost().is_none();
        self.lanes.iter().all(whole)
    }

    /// Records that are on the target.
    pub fn records(&self) -> i64 {
        self.lanes.iter().map(|lane| lane.written().len()).sum()
    }

    /// Source offsets that were left out although they were to be moved.
    pub fn skipped(&self) -> i64 {
        self.lanes.iter().map(LaneOutcome::skipped_offsets).sum()
    }

    /// The lanes that could not go on or differ.
    pub fn troubled(&self) -> impl Iterator<Item = &LaneOutcome> {
        self.lanes.iter().filter(|lane| lane.problem().is_some())
    }

    /// The first problem and how many lanes share the fate.
    pub fn problem(&self) -> Option<String> {
        let Some(first) = self.troubled().next().and_then(LaneOutcome::problem) else {
            return Some(format!("not every offset was committed: {}", offsets::problem(&self.groups)?));
        };
        match self.troubled().count() {
            0 | 1 => Some(first),
            count => Some(format!("{first} (and {} more partitions)", count - 1)),
        }
    }
}
