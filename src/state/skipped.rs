//! Stretches of the source that a lane left out although they were to be moved.

use crate::kafka::Span;

/// A stretch of the source that is not on the target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Skipped {
    /// Its source offsets, end exclusive.
    pub span: Span,
    /// Why.
    pub reason: SkipReason,
}

/// Why a stretch was left out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SkipReason {
    /// Its bytes are not those that were written, and the operator wants to copy around such batches.
    Corrupt,
    /// The source deleted it before it could be read.
    Lost,
}

impl SkipReason {
    /// Every reason.
    pub const ALL: [Self; 2] = [Self::Corrupt, Self::Lost];

    /// The name in results; it stays as it is.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Corrupt => "corrupt",
            Self::Lost => "lost",
        }
    }
}
