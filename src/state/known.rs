//! What this process last saw in the state, as far as it needs to know whether somebody else has written since.

use super::store::State;
use crate::cluster::CommitOffset;
use crate::kafka::{Offset, TopicPartition};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// An entry in short: its offset, and a digest of its metadata.
type Print = (Offset, u64);

/// Per partition everything that may be stored there as far as this process knows: one thing, unless a commit's answer
/// was lost. `None` is no entry.
#[derive(Debug, Default)]
pub(super) struct Known(Option<BTreeMap<TopicPartition, Vec<Option<Print>>>>);

impl Known {
    /// The whole state was read.
    pub(super) fn loaded(&mut self, state: &State) {
        let seen = state.iter().map(|(at, (offset, metadata))| (at.clone(), vec![Some(print(*offset, metadata))]));
        self.0 = Some(seen.collect());
    }

    /// These entries may be stored from now on.
    pub(super) fn sent(&mut self, entries: &[CommitOffset]) {
        for entry in entries {
            let known = self.0.get_or_insert_default().entry(entry.at.clone()).or_insert_with(|| vec![None]);
            let print = Some(print(entry.offset, &entry.metadata));
            if !known.contains(&print) {
                known.push(print);
            }
        }
    }

    /// These entries are stored.
    pub(super) fn stored<'a>(&mut self, entries: impl IntoIterator<Item = &'a CommitOffset>) {
        let known = self.0.get_or_insert_default();
        let print = |entry: &CommitOffset| (entry.at.clone(), vec![Some(print(entry.offset, &entry.metadata))]);
        known.extend(entries.into_iter().map(print));
    }

    /// The target may have dropped what was stored: it takes nothing more there.
    pub(super) fn removed(&mut self, at: &TopicPartition) {
        self.0.get_or_insert_default().entry(at.clone()).or_default().push(None);
    }

    /// A partition whose entry somebody else has written or removed, if there is one. Where nothing was read or written
    /// yet, nothing was decided by it either.
    pub(super) fn foreign(&self, state: &State) -> Option<TopicPartition> {
        let known = self.0.as_ref()?;
        let ours = |at: &&TopicPartition| {
            let found = state.get(*at).map(|(offset, metadata)| print(*offset, metadata));
            known.get(*at).map_or(found.is_none(), |known| known.contains(&found))
        };
        known.keys().chain(state.keys()).find(|at| !ours(at)).cloned()
    }
}

/// The hasher's keys are fixed, so a digest is the same whenever it is made.
fn print(offset: Offset, metadata: &str) -> Print {
    let mut hasher = DefaultHasher::new();
    metadata.hash(&mut hasher);
    (offset, hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(partition: i32, offset: i64, metadata: &str) -> CommitOffset {
        CommitOffset { at: TopicPartition::new("t", partition), offset: Offset(offset), metadata: metadata.to_owned() }
    }

    fn state(entries: &[CommitOffset]) -> State {
        entries.iter().cloned().map(|entry| (entry.at, (entry.offset, entry.metadata))).collect()
    }

    #[test]
    fn what_was_loaded_or_stored_is_ours_and_anything_else_is_not() {
        let mut known = Known::default();
        assert_eq!(known.foreign(&state(&[entry(0, 1, "")])), None, "nothing was decided by it");
        known.loaded(&state(&[entry(0, 1, "a"), entry(1, 1, "b")]));
        known.stored(&[entry(1, 2, "c"), entry(2, 0, "d")]);
        let ours = [entry(0, 1, "a"), entry(1, 2, "c"), entry(2, 0, "d")];
        assert_eq!(known.foreign(&state(&ours)), None);
        for (index, foreign) in [entry(0, 1, "x"), entry(1, 1, "b"), entry(2, 1, "d")].into_iter().enumerate() {
            let mut theirs = ours.clone();
            theirs[index] = foreign.clone();
            assert_eq!(known.foreign(&state(&theirs)), Some(foreign.at));
        }
        assert_eq!(known.foreign(&state(&ours[1..])), Some(TopicPartition::new("t", 0)), "removed");
        let more = [&ours[..], &[entry(3, 0, "")]].concat();
        assert_eq!(known.foreign(&state(&more)), Some(TopicPartition::new("t", 3)), "added");
    }

    #[test]
    fn a_commit_whose_answer_was_lost_may_be_there_or_not() {
        let mut known = Known::default();
        known.loaded(&state(&[entry(0, 1, "a")]));
        known.sent(&[entry(0, 2, "b"), entry(1, 0, "new")]);
        for (there, foreign) in [
            (vec![entry(0, 1, "a")], None),
            (vec![entry(0, 2, "b"), entry(1, 0, "new")], None),
            (vec![entry(0, 3, "b")], Some(TopicPartition::new("t", 0))),
        ] {
            assert_eq!(known.foreign(&state(&there)), foreign);
        }
        known.stored(&[entry(0, 2, "b"), entry(1, 0, "new")]);
        assert!(known.foreign(&state(&[entry(0, 1, "a"), entry(1, 0, "new")])).is_some(), "it is stored by now");
    }
}
