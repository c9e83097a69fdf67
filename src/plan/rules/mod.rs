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
mod walk;

use std::collections::BTreeSet;

pub use age::{gaps_in_question, times_needed};
pub use codecs::spans_in_question;
pub use select::{Taken, select, wants_commits};
pub use target::{not_empty, other_count};

use pair::{Pair, There, pairs};
use walk::Walk;

use super::facts::{Commit, Group, Survey};
use super::plan::{GroupCommit, GroupPlan, LanePlan, Parts, Plan};
use super::warning::Warning;
use crate::config::{Selection, Settings, TopicSettings, Undecided, Ungrouped};
use crate::kafka::units::Count;
use crate::kafka::{Offset, PartitionId, Span, TopicName, TopicPartition};

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
    let partitions = partitions(&pairs, &taken.groups, rules.undecided, &mut warnings);
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
    let topics = pairs.iter().map(|pair| (pair.name.clone(), count(pair.source.partitions.len()))).collect();
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
    pairs: &[Pair<'_>],
    groups: &[&Group],
    undecided: Undecided,
    warnings: &mut Vec<Warning>,
) -> Vec<LanePlan> {
    // Per topic the commits on it, group by group, as the groups are in order.
    let mut commits = Walk::over(pairs.iter().map(|pair| (pair.name, Vec::new())));
    for group in groups {
        for (topic, on_topic) in by_topic(group) {
            if let Some(of_topic) = commits.find(topic) {
                of_topic.push((&group.id, on_topic));
            }
        }
    }
    let mut lanes = Vec::new();
    for (&Pair { name, source, .. }, (_, on_topic)) in pairs.iter().zip(commits.entries) {
        for (&number, partition) in &source.partitions {
            let at = TopicPartition { topic: name.clone(), partition: number };
            let here: Vec<_> = on_topic.iter().map(|&(group, commits)| (group, commit_on(number, commits))).collect();
            lanes.push(bounds::bounds(&at, source.id, partition, &here, undecided, warnings));
        }
        let all = on_topic.iter().flat_map(|(_, commits)| commits.iter().filter(|commit| commit.counts()));
        let gone = all.map(|commit| &commit.at).filter(|at| !source.partitions.contains_key(&at.partition));
        activity::gone(gone.collect::<BTreeSet<_>>().into_iter(), warnings);
    }
    lanes
}

/// The commit on a partition, found among those of one group on the topic.
fn commit_on(partition: PartitionId, commits: &[Commit]) -> Option<Offset> {
    let place = commits.binary_search_by_key(&partition, |commit| commit.at.partition).ok()?;
    commits.get(place).filter(|commit| commit.counts()).map(|commit| commit.offset)
}

/// A group's commits by topic. Brokers store negative offsets too, which mean nothing: a topic with no others is left out.
fn by_topic(group: &Group) -> impl Iterator<Item = (&TopicName, &[Commit])> {
    let commits = group.commits.as_deref().unwrap_or_default();
    let by_topic = commits.chunk_by(|a, b| a.at.topic == b.at.topic);
    by_topic
        .filter(|on_topic| on_topic.iter().any(Commit::counts))
        .filter_map(|on_topic| Some((&on_topic.first()?.at.topic, on_topic)))
}

/// The selected groups that have a commit on one of these partitions, which are in order.
fn groups(selected: &[&Group], partitions: &[LanePlan]) -> Vec<GroupPlan> {
    let by_topic_lanes = partitions.chunk_by(|a, b| a.at.topic == b.at.topic);
    let mut lanes = Walk::over(by_topic_lanes.filter_map(|lanes| Some((&lanes.first()?.at.topic, lanes))));
    let mut on = |group: &Group| -> Vec<GroupCommit> {
        let mut commits = Vec::with_capacity(group.commits.as_ref().map_or(0, Vec::len));
        for (topic, on_topic) in by_topic(group) {
            if let Some(lanes) = lanes.find(topic) {
                commits.extend(
                    on_topic.iter().filter(|commit| commit.counts()).filter_map(|commit| group_commit(commit, lanes)),
                );
            }
        }
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

/// A commit of a group, where one of a topic's lanes is its partition.
fn group_commit(commit: &Commit, lanes: &[LanePlan]) -> Option<GroupCommit> {
    let place = lanes.binary_search_by_key(&commit.at.partition, |lane| lane.at.partition).ok()?;
    let LanePlan { at, span, .. } = lanes.get(place)?;
    let unread = Span { start: commit.offset.max(span.start), end: span.end }.len();
    // The lane's name: the commits of all groups share it.
    Some(GroupCommit { at: at.clone(), committed: commit.offset, unread })
}
