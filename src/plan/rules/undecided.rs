//! Where the commits do not say what is unread.

use crate::kafka::{GroupId, Offset};
use crate::plan::facts::SourcePartition;

/// The groups that leave it open what they have read of a partition.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Doubts<'a> {
    /// They have a commit on the topic but none on this partition, which holds records.
    pub(super) missing: Vec<&'a GroupId>,
    /// Their commit lies beyond the log's end. One between the last stable offset and the high watermark does not:
    /// that group has read what will become stable.
    pub(super) ahead: Vec<(&'a GroupId, Offset)>,
}

impl Doubts<'_> {
    pub(super) const fn any(&self) -> bool {
        !self.missing.is_empty() || !self.ahead.is_empty()
    }
}

/// Whether there is anything to read from the partition. The end is the last stable offset; a log start beyond it (it
/// moved between two looks) leaves nothing.
pub(super) fn is_empty(partition: &SourcePartition) -> bool {
    partition.last_stable <= partition.log_start
}

/// Collects the doubts about a partition. `commits` names every selected group with a commit on the topic.
pub(super) fn doubts<'a>(partition: &SourcePartition, commits: &[(&'a GroupId, Option<Offset>)]) -> Doubts<'a> {
    let mut doubts = Doubts::default();
    for &(group, commit) in commits {
        match commit {
            None if !is_empty(partition) => doubts.missing.push(group),
            Some(commit) if commit > partition.high_watermark => doubts.ahead.push((group, commit)),
            None | Some(_) => {}
        }
    }
    doubts
}
