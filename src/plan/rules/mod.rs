//! The rules that turn a survey into a plan. Each file holds one kind of question; all of them are pure.

mod activity;
mod age;
mod bounds;
mod codecs;
mod pair;
mod select;
mod target;
#[cfg(test)]
mod tests;
mod transactions;
mod undecided;

use std::collections::{BTreeMap, BTreeSet};

pub use age::{gaps_in_question, times_needed};
pub use codecs::spans_in_question;
pub use select::{Taken, select, wants_commits};

use pair::{There, pairs};

use super::facts::{Group, SourceTopic, Survey};
use super::plan::{GroupCommit, GroupPlan, LanePlan, Parts, Plan};
use super::warning::Warning;
use crate::config::{Selection, Settings, TopicSettings, Undecided, Ungrouped};
use crate::kafka::units::Count;
use crate::kafka::{GroupId, Offset, Span, TopicName, TopicPartition};

/// What the operator asked for, as far as a plan depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The migration's name.
    pub name: &'a str,
    /// The groups and topics it is about.
    pub selection: &'a Selection,
    /// What happens to topics without any commit.
    pub ungrouped: Ungrouped,
    /// Where a partition starts whose commits do not say what is unread.
    pub undecided: Undecided,
    /// How missing topics are made.
    pub topics: &'a TopicSettings,
    /// Whether the groups' offsets are committed on the target afterwards.
    pub translate_offsets: bool,
}

impl<'a> From<&'a Settings> for Rules<'a> {
    fn from(settings: &'a Settings) -> Self {
        Self {
            name: settings.name.as_str(),
            selection: &settings.selection,
            ungrouped: settings.ungrouped,
            undecided: settings.undecided,
            topics: &settings.topics,
            translate_offsets: settings.translate_offsets,
        }
    }
}

/// Makes the plan.
pub fn plan(survey: &Survey, rules: &Rules<'_>) -> Plan {
    let mut taken = select(&survey.source.groups, &survey.source.names, rules);
    let mut warnings = std::mem::take(&mut taken.warnings);
    let pairs = pairs(survey, &taken.topics, rules);
    let sources: BTreeMap<&TopicName, &SourceTopic> = pairs.iter().map(|pair| (pair.name, pair.source)).collect();
    let partitions = partitions(&sources, &taken.groups, rules.undecided, &mut warnings);
    let groups = groups(&taken.groups, &partitions);
    activity::groups(&taken, &groups, &mut warnings);
    activity::ends(survey, &partitions, &mut warnings);
    activity::hidden(survey, &taken, &mut warnings);
    activity::changelogs(survey, &taken, &mut warnings);
    transactions::open(survey, &partitions, &mut warnings);
    target::cluster(survey, rules, groups.len(), &mut warnings);
    for pair in &pairs {
        target::topic(pair, survey, rules, &partitions, &mut warnings);
        age::ages(pair, survey, &partitions, &mut warnings);
    }
    let topics = sources.iter().map(|(&name, topic)| (name.clone(), count(topic.partitions.len()))).collect();
    let missing = pairs.into_iter().filter_map(|pair| match pair.there {
        There::Missing(mirrored) => Some(mirrored),
        There::Exists(_) => None,
    });
    let create = missing.filter(|_| rules.topics.create).collect();
    Plan::new(Parts {
        at_ms: survey.at_ms,
        source: survey.source.identity.clone(),
        target: survey.target.identity.clone(),
        codecs: survey.target.codecs,
        topics,
        partitions,
        groups,
        create,
        left_out: taken.left_out,
        warnings,
    })
}

/// A topic's partition count as the protocol writes it.
fn count(partitions: usize) -> i32 {
    i32::try_from(partitions).unwrap_or(i32::MAX)
}

/// `1 member`, `2 members`.
fn many(number: usize, noun: &str) -> String {
    let shown = Count(i64::try_from(number).unwrap_or(i64::MAX));
    format!("{shown} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Every partition of the topics that are taken.
fn partitions(
    taken: &BTreeMap<&TopicName, &SourceTopic>,
    groups: &[&Group],
    undecided: Undecided,
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
            lanes.push(bounds::bounds(&at, topic.id, partition, &here, undecided, warnings));
        }
        let gone =
            on_topic.values().flat_map(BTreeMap::keys).filter(|at| !topic.partitions.contains_key(&at.partition));
        activity::gone(gone.copied().collect::<BTreeSet<_>>().into_iter(), warnings);
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
