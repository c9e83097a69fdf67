//! The rules that turn a survey into a plan. Each file holds one kind of question; all of them are pure.

mod bounds;
pub mod select;
mod undecided;

use std::collections::BTreeMap;

pub use select::{Selection, select};

use super::facts::{Group, SourceTopic, Survey};
use super::plan::{GroupCommit, GroupPlan, LanePlan, Parts, Plan};
use super::warning::{Warning, WarningCode};
use crate::kafka::{GroupId, Offset, Span, TopicName, TopicPartition};

/// Where a partition starts whose commits do not say what is unread (`plan.undecided`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Undecided {
    /// At the log start: nothing can be missed.
    #[default]
    Earliest,
    /// Only submitted offsets count.
    Committed,
}

/// What happens to topics without any commit (`select.ungrouped`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Ungrouped {
    /// They stay.
    #[default]
    Skip,
    /// They move from their log starts.
    Earliest,
}

/// What the operator asked for, as far as a plan depends on it.
pub struct Rules<'a> {
    /// The migration's name.
    pub name: &'a str,
    /// Whether a group of this id is selected.
    pub group: &'a dyn Fn(&str) -> bool,
    /// Whether a topic of this name is selected.
    pub topic: &'a dyn Fn(&str) -> bool,
    /// What happens to topics without any commit.
    pub ungrouped: Ungrouped,
    /// Where a partition starts whose commits do not say what is unread.
    pub undecided: Undecided,
    /// Whether missing topics may be created.
    pub create: bool,
    /// The replicas of created topics; -1 leaves them to the target.
    pub replication_factor: i16,
    /// Whether a codec that the target does not know may be replaced.
    pub recompress: bool,
    /// Whether the groups' offsets are committed on the target afterwards.
    pub translate: bool,
}

/// Makes the plan.
pub fn plan(survey: &Survey, rules: &Rules<'_>) -> Plan {
    let selection = select(&survey.source.groups, &survey.source.names, rules);
    let taken: BTreeMap<&TopicName, &SourceTopic> =
        survey.source.topics.iter().filter(|(name, _)| selection.topics.contains(*name)).collect();
    let mut warnings = selection.warnings;
    let partitions = partitions(&taken, &selection.groups, rules, &mut warnings);
    let groups = groups(&selection.groups, &partitions);
    Plan::new(Parts {
        at_ms: survey.at_ms,
        source: survey.source.identity.clone(),
        target: survey.target.identity.clone(),
        topics: taken.iter().map(|(&name, topic)| (name.clone(), count(topic.partitions.len()))).collect(),
        partitions,
        groups,
        create: Vec::new(),
        left_out: selection.left_out,
        warnings,
    })
}

/// A topic's partition count as the protocol writes it.
fn count(partitions: usize) -> i32 {
    i32::try_from(partitions).unwrap_or(i32::MAX)
}

/// Every partition of the topics that are taken.
fn partitions(
    taken: &BTreeMap<&TopicName, &SourceTopic>,
    groups: &[&Group],
    rules: &Rules<'_>,
    warnings: &mut Vec<Warning>,
) -> Vec<LanePlan> {
    // Per topic the groups with a commit on it, and their commits by partition.
    let mut commits: BTreeMap<&TopicName, BTreeMap<&GroupId, BTreeMap<&TopicPartition, Offset>>> = BTreeMap::new();
    for (group, commit) in groups.iter().flat_map(|group| usable_commits(group)) {
        commits.entry(&commit.at.topic).or_default().entry(group).or_default().insert(&commit.at, commit.offset);
    }
    let none = BTreeMap::new();
    let mut lanes = Vec::new();
    for (&name, topic) in taken {
        let on_topic = commits.get(name).unwrap_or(&none);
        for (&number, partition) in &topic.partitions {
            let at = TopicPartition { topic: name.clone(), partition: number };
            let here: Vec<_> = on_topic.iter().map(|(&group, by)| (group, by.get(&at).copied())).collect();
            lanes.push(bounds::bounds(&at, topic.id, partition, &here, rules.undecided, warnings));
        }
        let gone =
            on_topic.values().flat_map(BTreeMap::keys).filter(|at| !topic.partitions.contains_key(&at.partition));
        for at in gone.collect::<std::collections::BTreeSet<_>>() {
            let message = "left out: a selected group has a commit on it, but the topic has no such partition";
            warnings.push(Warning::new(WarningCode::TopicMissing, message).at(at).advice("the topic was re-created"));
        }
    }
    lanes
}

/// A group's commits; brokers store negative offsets too, which mean nothing.
fn usable_commits(group: &Group) -> impl Iterator<Item = (&GroupId, &super::facts::Commit)> {
    let commits = group.commits.as_deref().unwrap_or_default();
    commits.iter().filter(|commit| commit.offset.get() >= 0).map(|commit| (&group.id, commit))
}

/// The selected groups that have a commit on one of these partitions.
fn groups(selected: &[&Group], partitions: &[LanePlan]) -> Vec<GroupPlan> {
    let lanes: BTreeMap<&TopicPartition, &LanePlan> = partitions.iter().map(|lane| (&lane.at, lane)).collect();
    let on = |group: &Group| -> Vec<GroupCommit> {
        let mut commits: Vec<GroupCommit> = usable_commits(group)
            .filter_map(|(_, commit)| {
                let span = lanes.get(&commit.at)?.span;
                let unread = Span { start: commit.offset.max(span.start), end: span.end }.len();
                let (at, metadata) = (commit.at.clone(), commit.metadata.clone());
                Some(GroupCommit { at, committed: commit.offset, metadata, unread })
            })
            .collect();
        commits.sort_by(|a, b| a.at.cmp(&b.at));
        commits
    };
    let planned = selected.iter().map(|group| GroupPlan {
        id: group.id.clone(),
        kind: group.kind.clone(),
        state: group.state.clone(),
        members: group.members,
        commits: on(group),
    });
    planned.filter(|group| !group.commits.is_empty()).collect()
}
