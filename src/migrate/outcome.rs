//! What a run came to.

use std::time::Duration;

use crate::copy::{Copied, LaneEnd, Tally};
use crate::kafka::{Span, TopicPartition};
use crate::plan::Warning;
use crate::plan::facts::ClusterIdentity;
use crate::state::Skipped;
use crate::verify::{Difference, Level};

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
    /// The source offsets that were to be moved, end exclusive.
    pub span: Span,
    /// Where the records lie on the target, end exclusive.
    pub written: Span,
    /// Batches by verdict.
    pub tally: Tally,
    /// What was left out although it was to be moved.
    pub skipped: Vec<Skipped>,
    /// How the lane ended.
    pub end: LaneEnd,
    /// The level at which it was verified.
    pub verified: Option<Level>,
    /// What the verification found.
    pub difference: Option<Box<Difference>>,
}

impl From<Copied> for LaneOutcome {
    /// Not verified yet.
    fn from(lane: Copied) -> Self {
        let Copied { at, span, written, tally, skipped, end } = lane;
        Self { at, span, written, tally, skipped, end, verified: None, difference: None }
    }
}

impl LaneOutcome {
    /// Source offsets that were left out although they were to be moved.
    pub fn skipped_offsets(&self) -> i64 {
        self.skipped.iter().map(|skipped| skipped.span.len()).sum()
    }

    /// What stood in the way, with the partition's name and, where known, what to do.
    pub fn problem(&self) -> Option<String> {
        if let LaneEnd::Failed(problem) = &self.end {
            let advice = problem.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
            return Some(format!("{}: {problem}{advice}", self.at));
        }
        self.difference.as_ref().map(ToString::to_string)
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
    /// The plan's warnings and those of the run.
    pub warnings: Vec<Warning>,
    /// Wall time from the start of the copy to the end of the verification.
    pub elapsed: Duration,
}

impl Outcome {
    /// How the run ended as a whole.
    pub fn ended(&self) -> Ended {
        let any = |test: fn(&LaneOutcome) -> bool| self.lanes.iter().any(test);
        if any(|lane| matches!(lane.end, LaneEnd::Failed(_))) {
            Ended::Failed
        } else if any(|lane| lane.end == LaneEnd::Stopped) {
            Ended::Stopped
        } else if any(|lane| lane.difference.is_some()) {
            Ended::Differs
        } else {
            Ended::Done
        }
    }

    /// Records that are on the target.
    pub fn records(&self) -> i64 {
        self.lanes.iter().map(|lane| lane.written.len()).sum()
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
        let first = self.troubled().next()?.problem()?;
        match self.troubled().count() {
            0 | 1 => Some(first),
            count => Some(format!("{first} (and {} more partitions)", count - 1)),
        }
    }
}
