//! What a run came to.

use std::time::Duration;

use crate::copy::{LaneEnd, Tally};
use crate::kafka::{Span, TopicPartition};
use crate::plan::Warning;
use crate::verify::{Difference, Level};

/// How a run ended as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Everything was moved and verified.
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
    /// How the lane ended.
    pub end: LaneEnd,
    /// The level at which it was verified.
    pub verified: Option<Level>,
    /// What the verification found.
    pub difference: Option<Box<Difference>>,
}

impl LaneOutcome {
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
    /// How it ended.
    pub ended: Ended,
    /// Every lane.
    pub lanes: Vec<LaneOutcome>,
    /// The plan's warnings and those of the run.
    pub warnings: Vec<Warning>,
    /// Wall time from the start of the copy to the end of the verification.
    pub elapsed: Duration,
}

impl Outcome {
    /// Sums the lanes up.
    pub fn new(name: String, lanes: Vec<LaneOutcome>, warnings: Vec<Warning>, elapsed: Duration) -> Self {
        let any = |test: fn(&LaneOutcome) -> bool| lanes.iter().any(test);
        let ended = if any(|lane| matches!(lane.end, LaneEnd::Failed(_))) {
            Ended::Failed
        } else if any(|lane| lane.end == LaneEnd::Stopped) {
            Ended::Stopped
        } else if any(|lane| lane.difference.is_some()) {
            Ended::Differs
        } else {
            Ended::Done
        };
        Self { name, ended, lanes, warnings, elapsed }
    }

    /// Records that are on the target.
    pub fn records(&self) -> i64 {
        self.lanes.iter().map(|lane| lane.written.len()).sum()
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
