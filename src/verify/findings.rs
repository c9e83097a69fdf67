//! What a comparison came to.

use std::fmt;

use super::fate::Gone;
use super::level::Level;
use crate::batch::BatchError;
use crate::cluster::ClusterError;
use crate::kafka::units::Count;
use crate::kafka::{Offset, Side, TopicPartition};
use crate::plan::{Warning, WarningCode};

/// So many differences of a partition are listed; more are only counted.
const LISTED: usize = 100;

/// How a record, or a place for one, differs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// The source has it, the target does not.
    Missing,
    /// The target has it, the source does not.
    Extra,
    /// The target has it once more, right behind itself.
    Doubled,
    /// Another record lies in its place; the record itself lies nearby.
    Order,
    /// These parts of it are others: `key`, `value`, `headers`, `timestamp`.
    Altered(Vec<&'static str>),
    /// The numbers of the copy and of the target do not fit together.
    Offsets(String),
    /// The target's topic is not the one that was written.
    Gone(Gone),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Extra => f.write_str("extra"),
            Self::Doubled => f.write_str("doubled"),
            Self::Order => f.write_str("order"),
            Self::Altered(parts) => f.write_str(&parts.join(",")),
            Self::Offsets(what) => f.write_str(what),
            Self::Gone(gone) => gone.fmt(f),
        }
    }
}

/// A place where source and target differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mismatch {
    /// The source's record; `None` where it has none.
    pub source: Option<Offset>,
    /// The target's record, or where it should be.
    pub target: Option<Offset>,
    /// How they differ.
    pub what: What,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |name, offset: Option<Offset>| offset.map(|offset| format!("{name} offset {}", Count(offset.get())));
        let places = [side("source", self.source), side("target", self.target)].into_iter().flatten();
        write!(f, "{}: {}", places.collect::<Vec<_>>().join(", "), self.what)
    }
}

/// What a comparison has found so far.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Findings {
    /// The first differences, at most 100.
    pub listed: Vec<Mismatch>,
    /// Differences that are not listed any more.
    pub more: u64,
    /// Records that are the same on both sides; of level `offsets`, those that the numbers vouch for.
    pub same: i64,
    /// Batches whose records are the same byte by byte, compared without decompressing them.
    pub same_batches: u64,
    /// Records that one side still has and the other lost to retention or compaction.
    pub explained: i64,
    /// Records that neither side has any more, or whose source topic is gone.
    pub unverifiable: i64,
    /// What became of the source's topic where its records can't be compared any more.
    pub source_gone: Option<Gone>,
    /// Whether the target's brokers set timestamps themselves, which were not compared.
    pub own_time: bool,
    /// Whether the target stores a codec that the source does not.
    pub recompressed: bool,
}

impl Findings {
    pub(super) fn differs(&mut self, source: Option<Offset>, target: Option<Offset>, what: What) {
        if self.listed.len() < LISTED {
            self.listed.push(Mismatch { source, target, what });
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// Puts what was found before in front.
    pub(super) fn put_first(&mut self, before: Self) {
        self.listed.splice(0..0, before.listed);
    }

    /// How many differences there are.
    pub fn differences(&self) -> u64 {
        self.more.saturating_add(u64::try_from(self.listed.len()).unwrap_or(u64::MAX))
    }

    /// Records that need no more looking at.
    pub(super) fn done(&self) -> i64 {
        let differences = i64::try_from(self.differences()).unwrap_or(i64::MAX);
        self.same.saturating_add(self.explained).saturating_add(self.unverifiable).saturating_add(differences)
    }
}

/// Why a partition could not be compared to its end.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum VerifyError {
    /// A cluster did not answer, or refused.
    #[error("{0}")]
    Cluster(ClusterError),
    /// What a side holds can't be read.
    #[error("{at} on the {side}: {cause}")]
    Corrupt {
        /// The partition.
        at: TopicPartition,
        /// Which cluster holds it.
        side: Side,
        /// Where and what is wrong.
        cause: BatchError,
    },
    /// A side gives no records although it should have some.
    #[error("{at}: the {side} gives no records behind offset {}, although its log goes on to {}", Count(.offset.get()), Count(.end.get()))]
    NoRecords {
        /// The partition.
        at: TopicPartition,
        /// Which cluster holds it.
        side: Side,
        /// What was asked for.
        offset: Offset,
        /// Up to where there should be records.
        end: Offset,
    },
    /// Retention or compaction take records from the source faster than it can be read twice.
    #[error("{at}: the source loses records while it is compared")]
    Changing {
        /// The partition.
        at: TopicPartition,
    },
    /// The comparison was told to stop.
    #[error("{at}: not compared to its end")]
    Stopped {
        /// The partition.
        at: TopicPartition,
    },
}

impl VerifyError {
    /// What a person can do about it.
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Cluster(error) => error.advice(),
            Self::Changing { .. } => Some("verify again when its retention and its cleaner are idle".to_owned()),
            Self::Corrupt { .. } | Self::NoRecords { .. } | Self::Stopped { .. } => None,
        }
    }
}

/// What is to be said about one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// The partition.
    pub at: TopicPartition,
    /// The level that was reached, whatever it found; `None` where the comparison did not come to its end.
    pub level: Option<Level>,
    /// What was found up to where it came.
    pub findings: Findings,
    /// Why it did not come to its end.
    pub error: Option<VerifyError>,
}

impl Verdict {
    /// Whether a difference was found.
    pub fn differs(&self) -> bool {
        self.findings.differences() > 0
    }

    /// What is wrong, or keeps it from being compared; `None` where nothing does.
    pub fn problem(&self) -> Option<String> {
        if let Some(error) = &self.error {
            let advice = error.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
            return Some(format!("{error}{advice}"));
        }
        let first = self.findings.listed.first()?;
        let differences = match self.findings.differences() {
            1 => "1 difference".to_owned(),
            many => format!("{} differences", Count(i64::try_from(many).unwrap_or(i64::MAX))),
        };
        Some(format!("{}: {differences}, the first at {first}", self.at))
    }

    /// What to know although nothing is wrong: records whose source is gone were not compared.
    pub fn warning(&self) -> Option<Warning> {
        let gone = self.findings.source_gone?;
        let message = format!("{gone}: its records can't be compared any more, only the target's offsets were checked");
        Some(Warning::new(WarningCode::SourceGone, message).topic(&self.at.topic))
    }

    /// Whether it came to its end without one.
    pub fn is_right(&self) -> bool {
        self.level.is_some() && !self.differs()
    }
}
