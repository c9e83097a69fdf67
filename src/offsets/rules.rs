//! What becomes of each committed offset of a group.

use std::collections::{BTreeMap, BTreeSet};

use super::mark::{Places, Translation};
use crate::cluster::Committed;
use crate::kafka::units::Count;
use crate::kafka::{GroupId, Offset, Span, TopicName, TopicPartition};
use crate::plan::LanePlan;
use crate::state::{Checkpoint, Place};

/// A partition of the recorded plan, one that had nothing to move too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Moved {
    /// The partition.
    pub at: TopicPartition,
    /// The source offsets of the recorded plan, end exclusive.
    pub source: Span,
    /// The source's log start when it was surveyed.
    pub log_start: Offset,
    /// The source's high watermark when it was surveyed: a commit beyond it is ahead of the log.
    pub high_watermark: Offset,
    /// The target offset of the first record; where nothing moved the target's log end when the plan was recorded.
    pub target_start: Offset,
    /// Records that were kept and are on the target.
    pub records: i64,
    /// Places in between that are known for certain.
    pub marks: Vec<Place>,
    /// Source offsets of which nothing is on the target, although they were to be moved.
    pub skipped: Vec<Span>,
    /// Whether all of it is copied and verified.
    pub proved: bool,
}

impl Moved {
    /// A partition as its checkpoint and the survey of this run tell of it.
    pub fn new(checkpoint: &Checkpoint, surveyed: &LanePlan, proved: bool) -> Self {
        Self {
            at: surveyed.at.clone(),
            source: checkpoint.span,
            log_start: surveyed.earliest,
            high_watermark: surveyed.span.end.plus(surveyed.held_back),
            target_start: checkpoint.target_start,
            records: checkpoint.records,
            marks: checkpoint.places.clone(),
            skipped: checkpoint.skipped.iter().map(|skipped| skipped.span).collect(),
            proved: proved && checkpoint.is_finished(),
        }
    }

    /// What is known of where its offsets went.
    pub fn places(&self) -> Places {
        let places = Places::new(self.source, self.log_start, self.target_start, self.records, &self.marks);
        places.without(&self.skipped)
    }

    /// Whether the target offset is one between the ends of what this migration wrote, both included.
    fn wrote(&self, target: Offset) -> bool {
        self.target_start <= target && target <= self.target_start.plus(self.records)
    }
}

/// What is known of one group just before its offsets are committed.
#[derive(Clone, PartialEq, Debug)]
pub struct Seen {
    /// The group.
    pub group: GroupId,
    /// Its commits on the source when this run was planned.
    pub planned: BTreeMap<TopicPartition, Offset>,
    /// Its commits on the source, or why they can't be read.
    pub source: Result<Vec<Committed>, String>,
    /// Its commits on the target, and how many members it has there, or why they can't be read.
    pub target: Result<(Vec<Committed>, usize), String>,
}

impl Seen {
    /// The topics that the run is to move it on for.
    pub fn topics(&self) -> BTreeSet<&TopicName> {
        self.planned.keys().map(|at| &at.topic).collect()
    }

    /// Whether a commit says nothing, as it lies beyond the log's end: in the survey it did, or there was none to tell. One
    /// that lay in the log has only gone on with it.
    fn is_ahead(&self, commit: &Committed, high_watermark: Offset) -> bool {
        let planned = self.planned.get(&commit.at);
        commit.offset > high_watermark && planned.is_none_or(|planned| *planned > high_watermark)
    }
}

/// When another commit that the group has on the target gives way.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Replaces {
    /// One inside of what this migration wrote goes forward, never back.
    pub own: bool,
    /// Every other one is replaced.
    pub others: bool,
}

/// What became of one commit. The names are stable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Outcome {
    /// The group goes on at the translated offset: committed now, or found there.
    Committed,
    /// Another commit was there and stays.
    Kept,
    /// The source has no commit here, or one beyond its log's end: the group's own reset policy decides.
    None,
    /// The group has members on the target.
    Active,
    /// The target refused it, or one of the group's partitions is not copied and verified.
    Failed,
    /// Its place on the target can't be computed.
    Uncovered,
}

impl Outcome {
    /// Every outcome, in the order in which they are told.
    pub const ALL: [Self; 6] = [Self::Committed, Self::Kept, Self::None, Self::Active, Self::Failed, Self::Uncovered];

    /// The name in results; it stays as it is.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Kept => "kept",
            Self::None => "none",
            Self::Active => "active",
            Self::Failed => "failed",
            Self::Uncovered => "uncovered",
        }
    }

    /// Whether the run ends with exit code 1 for it, and the next one tries again.
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::Active | Self::Failed | Self::Uncovered)
    }
}

/// What became of a group's commit on one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupOutcome {
    /// The group.
    pub group: GroupId,
    /// The partition.
    pub at: TopicPartition,
    /// Its commit on the source; `None` where there is none.
    pub source: Option<Offset>,
    /// Where that lies on the target; `None` where that is not known, or means nothing.
    pub target: Option<Offset>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, where the outcome's name does not say it all.
    pub why: Option<String>,
}

/// A commit to write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// The partition.
    pub at: TopicPartition,
    /// The commit on the source.
    pub source: Offset,
    /// The offset to commit on the target.
    pub target: Offset,
    /// The string that was committed with it on the source.
    pub metadata: String,
}

impl Write {
    /// What became of it.
    pub fn ended(&self, group: &GroupId, outcome: Outcome, why: Option<String>) -> GroupOutcome {
        let (source, target) = (Some(self.source), Some(self.target));
        GroupOutcome { group: group.clone(), at: self.at.clone(), source, target, outcome, why }
    }
}

/// What is to be done for a group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Decided {
    /// What needs no write, or must not be written.
    pub settled: Vec<GroupOutcome>,
    /// What is to be written: all of it, or nothing.
    pub writes: Vec<Write>,
}

/// The offsets whose places could not be counted, and why.
pub type Uncounted = BTreeMap<(TopicPartition, Offset), String>;

/// Decides about every partition of the topics that the group had or has commits on.
pub fn decide(
    seen: &Seen,
    moved: &BTreeMap<TopicPartition, Moved>,
    uncounted: &Uncounted,
    replaces: Replaces,
) -> Decided {
    let commits = match &seen.source {
        Ok(commits) => by_partition(commits),
        Err(why) => return all_failed(seen, moved, why),
    };
    let (there, members) = match &seen.target {
        Ok((commits, members)) => (by_partition(commits), *members),
        Err(why) => return all_failed(seen, moved, why),
    };
    let mut topics = seen.topics();
    topics.extend(commits.keys().map(|at| &at.topic));
    let mut decided = Decided::default();
    for partition in moved.values().filter(|partition| topics.contains(&partition.at.topic)) {
        let commit = commits.get(&partition.at).copied();
        match translated(seen, partition, commit, uncounted) {
            Ok(write) => match there.get(&partition.at).map(|there| there.offset) {
                Some(theirs) if theirs == write.target => {
                    decided.settled.push(write.ended(&seen.group, Outcome::Committed, None));
                }
                Some(theirs) if stays(theirs, &write, partition, replaces) => {
                    let why = format!("the group has {} on the target", Count(theirs.get()));
                    decided.settled.push(write.ended(&seen.group, Outcome::Kept, Some(why)));
                }
                _ => decided.writes.push(write),
            },
            Err((outcome, why)) => decided.settled.push(GroupOutcome {
                group: seen.group.clone(),
                at: partition.at.clone(),
                source: commit.map(|commit| commit.offset),
                target: None,
                outcome,
                why,
            }),
        }
    }
    whole(decided, &seen.group, members)
}

fn by_partition(commits: &[Committed]) -> BTreeMap<&TopicPartition, &Committed> {
    commits.iter().map(|commit| (&commit.at, commit)).collect()
}

/// Nothing can be said about the group but why.
fn all_failed(seen: &Seen, moved: &BTreeMap<TopicPartition, Moved>, why: &str) -> Decided {
    let commits = seen.source.as_ref().map_or_else(|_| BTreeMap::new(), |commits| by_partition(commits));
    let failed = |partition: &Moved| GroupOutcome {
        group: seen.group.clone(),
        at: partition.at.clone(),
        source: commits.get(&partition.at).map(|commit| commit.offset),
        target: None,
        outcome: Outcome::Failed,
        why: Some(why.to_owned()),
    };
    let topics = seen.topics();
    let own = moved.values().filter(|partition| topics.contains(&partition.at.topic));
    Decided { settled: own.map(failed).collect(), writes: Vec::new() }
}

/// What the partition's commit would be on the target.
fn translated(
    seen: &Seen,
    partition: &Moved,
    commit: Option<&Committed>,
    uncounted: &Uncounted,
) -> Result<Write, (Outcome, Option<String>)> {
    let Some(commit) = commit else { return Err((Outcome::None, None)) };
    if seen.is_ahead(commit, partition.high_watermark) {
        let end = Count(partition.high_watermark.get());
        return Err((Outcome::None, Some(format!("it lies beyond the source's log end, {end}"))));
    }
    if !partition.proved {
        return Err((Outcome::Failed, Some("not copied and verified".to_owned())));
    }
    let target = match partition.places().translate(commit.offset) {
        Translation::Exact(target) => target,
        Translation::Between { .. } => {
            let why = uncounted.get(&(partition.at.clone(), commit.offset)).cloned();
            return Err((Outcome::Uncovered, why));
        }
        Translation::Outside => {
            let start = Count(partition.source.start.get());
            let why = format!("the group went back: what was moved begins at source offset {start}");
            return Err((Outcome::Uncovered, Some(why)));
        }
    };
    Ok(Write { at: partition.at.clone(), source: commit.offset, target, metadata: commit.metadata.clone() })
}

/// Whether another commit on the target stays. For an extension one inside of what this migration wrote is of an earlier
/// run, or of a group that has gone on from there.
fn stays(theirs: Offset, write: &Write, partition: &Moved, replaces: Replaces) -> bool {
    if replaces.own && partition.wrote(theirs) { theirs > write.target } else { !replaces.others }
}

/// Never half a group: one partition without a place keeps the others from being written, and so do members.
fn whole(mut decided: Decided, group: &GroupId, members: usize) -> Decided {
    let held = decided.settled.iter().find(|settled| settled.outcome.is_refusal());
    let held = held.map(|held| format!("not without {}: {}", held.at, held.why.as_deref().unwrap_or("no place")));
    let (outcome, why) = match (members, held) {
        // A group that needs nothing any more may work there: it went on from its offsets.
        (0, None) => return decided,
        (_, None) if decided.writes.is_empty() => return decided,
        (0, Some(held)) => (Outcome::Failed, held),
        (members, _) => (Outcome::Active, said(members)),
    };
    let writes = std::mem::take(&mut decided.writes);
    decided.settled.extend(writes.iter().map(|write| write.ended(group, outcome, Some(why.clone()))));
    if outcome == Outcome::Active {
        for settled in decided.settled.iter_mut().filter(|settled| settled.target.is_some()) {
            (settled.outcome, settled.why) = (outcome, Some(why.clone()));
        }
    }
    decided.settled.sort_by(|a, b| a.at.cmp(&b.at));
    decided
}

fn said(members: usize) -> String {
    match members {
        1 => "the group has a member on the target".to_owned(),
        members => format!("the group has {members} members on the target"),
    }
}

/// The first refusal and how many more there are.
pub fn problem(outcomes: &[GroupOutcome]) -> Option<String> {
    let mut refused = outcomes.iter().filter(|outcome| outcome.outcome.is_refusal());
    let first = refused.next()?;
    let why = first.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    let text = format!("group {}, {}: {}{why}", first.group, first.at, first.outcome.as_str());
    Some(match refused.count() {
        0 => text,
        more => format!("{text} (and {more} more commits)"),
    })
}
