//! Signs that the source is still in use, and that something of it could not be seen.

use super::many;
use super::select::Taken;
use crate::kafka::units::Count;
use crate::kafka::{TopicName, TopicPartition};
use crate::plan::facts::{Group, GroupKind, Survey};
use crate::plan::plan::{GroupPlan, LanePlan};
use crate::plan::warning::{Permit, Warning, WarningCode, Weight};

/// Selected groups with members: those of the plan, and consumers that have not committed anything yet, as nobody knows
/// what they read.
pub(super) fn groups(taken: &Taken<'_>, planned: &[GroupPlan], warnings: &mut Vec<Warning>) {
    let silent = |group: &Group| {
        let consumes = match group.kind {
            GroupKind::Classic => group.protocol_type == "consumer",
            GroupKind::Consumer | GroupKind::Streams => true,
            GroupKind::Share | GroupKind::Unknown(_) => false,
        };
        consumes && group.commits.as_ref().is_ok_and(Vec::is_empty)
    };
    for group in &taken.groups {
        let planned = planned.binary_search_by(|plan| plan.id.cmp(&group.id)).is_ok();
        let Some(members) = group.members.filter(|&members| members > 0 && (planned || silent(group))) else {
            continue;
        };
        let state = group.state.as_deref().unwrap_or("active");
        let hint = if planned { "" } else { " and no commit yet" };
        let message = format!("group {} has {}{hint} ({state})", group.id, many(members, "member"));
        let warning = Warning::new(WarningCode::ActiveGroup, message).weight(Weight::Unless(Permit::AllowActive));
        warnings.push(warning.advice("stop its consumers, so that its offsets stand still"));
    }
}

/// Partitions whose end moved between the survey's two looks.
pub(super) fn ends(survey: &Survey, partitions: &[LanePlan], warnings: &mut Vec<Warning>) {
    for lane in partitions {
        let topic = survey.source.topics.get(&lane.at.topic);
        let Some(seen) = topic.and_then(|topic| topic.partitions.get(&lane.at.partition)) else { continue };
        let moved = seen.high_watermark.get().saturating_sub(seen.high_watermark_before.get());
        if moved != 0 {
            let message = format!(
                "the end moved by {} during the survey, from {} to {}",
                Count(moved),
                Count(seen.high_watermark_before.get()),
                Count(seen.high_watermark.get())
            );
            let warning = Warning::new(WarningCode::MovingEnd, message).weight(Weight::Unless(Permit::AllowActive));
            warnings.push(warning.at(&lane.at).advice("stop its producers"));
        }
    }
}

/// What of the source could not be seen.
pub(super) fn hidden(survey: &Survey, taken: &Taken<'_>, warnings: &mut Vec<Warning>) {
    if let Some(why) = &survey.source.groups_hidden {
        let message = format!("the list of groups may lack some: {why}");
        let advice = "grant Describe on the cluster, or name the groups with --group";
        warnings.push(Warning::new(WarningCode::GroupsHidden, message).advice(advice));
    }
    for group in taken.groups.iter().filter(|group| group.members.is_none()) {
        let message = format!("group {} may not be described: whether it has members is not known", group.id);
        warnings.push(Warning::new(WarningCode::GroupsHidden, message).advice("grant Describe on the group"));
    }
    let hidden: Vec<&TopicName> = taken
        .topics
        .iter()
        .filter(|name| survey.source.topics.get(*name).is_some_and(|t| t.configs.is_none()))
        .collect();
    let Some(first) = hidden.first() else { return };
    let (message, advice) = if survey.source.tells_configs {
        let message = format!(
            "the configuration of {} of the source may not be read ({first}{}): new topics get the target's defaults",
            many(hidden.len(), "topic"),
            if hidden.len() > 1 { ", …" } else { "" }
        );
        (message, "grant DescribeConfigs on the topics to keep their settings")
    } else {
        let message = "the source's brokers are too old to tell how topics are configured (Kafka 0.11 does): new topics \
                       get the target's defaults, and what retention or compaction will remove is not predicted";
        (message.into(), "create topics that need other settings on the target by hand")
    };
    warnings.push(Warning::new(WarningCode::ConfigsHidden, message).advice(advice));
}

/// Changelog topics of a selected streams application that stay behind. Kafka Streams names them
/// `<application id>-<store>-changelog`, and the application id is the group's.
pub(super) fn changelogs(survey: &Survey, taken: &Taken<'_>, warnings: &mut Vec<Warning>) {
    let owner = |name: &TopicName| {
        let rest = name.as_str().strip_suffix("-changelog")?;
        let owns = |group: &&&Group| rest.strip_prefix(group.id.as_str()).is_some_and(|store| store.starts_with('-'));
        taken.groups.iter().filter(owns).max_by_key(|group| group.id.as_str().len())
    };
    for name in survey.source.names.iter().filter(|name| !taken.topics.contains(*name)) {
        if let Some(group) = owner(name) {
            let message = format!("a changelog of the streams application {} that is not moved", group.id);
            let advice = "its state would be lost: reset the application, or take topics without commits as well \
                          (select.ungrouped = \"earliest\")";
            warnings.push(Warning::new(WarningCode::StreamsState, message).topic(name).advice(advice));
        }
    }
}

/// Commits on partitions that the topic does not have.
pub(super) fn gone<'a>(at: impl Iterator<Item = &'a TopicPartition>, warnings: &mut Vec<Warning>) {
    for at in at {
        let message = "left out: a selected group has a commit on it, but the topic has no such partition";
        warnings.push(Warning::new(WarningCode::TopicMissing, message).at(at).advice("the topic was re-created"));
    }
}
