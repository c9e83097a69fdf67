//! Which groups count and which topics they bring along.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::walk::Walk;
use super::{Rules, by_topic};
use crate::config::Ungrouped;
use crate::kafka::TopicName;
use crate::plan::facts::{Group, GroupKind};
use crate::plan::warning::{Warning, WarningCode};

/// The groups that count and the topics to look at.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Taken<'a> {
    /// Selected groups whose commits could be read, by id; kferry's own and share groups are not among them.
    pub groups: Vec<&'a Group>,
    /// The topics that are taken.
    pub topics: BTreeSet<TopicName>,
    /// Topics with a commit of a selected group that are left out: internal or gone.
    pub left_out: BTreeSet<TopicName>,
    /// What the selection had to leave out.
    pub warnings: Vec<Warning>,
}

/// Whether the survey must ask for this group's commits.
pub fn wants_commits(group: &str, kind: &GroupKind, rules: &Rules<'_>) -> bool {
    usable(kind) && (rules.selection.groups.takes(group) || rules.ungrouped == Ungrouped::Earliest)
}

/// Selects among the source's groups and the names of its topics.
pub fn select<'a>(groups: &'a [Group], names: &BTreeSet<TopicName>, rules: &Rules<'_>) -> Taken<'a> {
    let mut taken = Taken::default();
    // By topic, whether a selected group has commits on it or only others.
    let mut there = Walk::over(names.iter().map(|name| (name, None)));
    let mut gone: BTreeMap<&TopicName, bool> = BTreeMap::new();
    for group in groups.iter().filter(|group| !is_kferry(group)) {
        let selected = rules.selection.groups.takes(group.id.as_str());
        if selected && !usable(&group.kind) {
            taken.warnings.push(unsupported(group));
            continue;
        }
        if let Err(code) = &group.commits {
            if selected {
                taken.warnings.push(unread_commits(group, &code.to_string()));
            }
            continue;
        }
        for (topic, _) in by_topic(group) {
            match there.find(topic) {
                Some(touched) => *touched.get_or_insert_default() |= selected,
                None => *gone.entry(topic).or_default() |= selected,
            }
        }
        if selected {
            taken.groups.push(group);
        }
    }
    taken.groups.sort_by(|a, b| a.id.cmp(&b.id));
    let touched = there.entries.into_iter().filter_map(|(topic, touched)| Some((topic, touched?)));
    let touched: BTreeMap<&TopicName, bool> = touched.chain(gone).collect();
    for (&topic, _) in
        touched.iter().filter(|(topic, selected)| **selected && rules.selection.topics.takes(topic.as_str()))
    {
        let note = if topic.as_str().starts_with("__") {
            let message = "internal topic, left out although a selected group has commits on it";
            Warning::new(WarningCode::TopicLeftOut, message).topic(topic)
        } else if !names.contains(topic) {
            let message = "left out: a selected group has commits on it, but the source does not show such a topic";
            Warning::new(WarningCode::TopicMissing, message)
                .topic(topic)
                .advice("it was deleted, or kferry's user may not describe it")
        } else {
            taken.topics.insert(topic.clone());
            continue;
        };
        taken.left_out.insert(topic.clone());
        taken.warnings.push(note);
    }
    if rules.ungrouped == Ungrouped::Earliest {
        let free = |name: &&TopicName| !touched.contains_key(name) && !name.as_str().starts_with("__");
        taken
            .topics
            .extend(names.iter().filter(free).filter(|name| rules.selection.topics.takes(name.as_str())).cloned());
    }
    taken
}

/// Whether a group of this kind has committed offsets in the usual sense.
const fn usable(kind: &GroupKind) -> bool {
    match kind {
        GroupKind::Classic | GroupKind::Consumer | GroupKind::Streams => true,
        GroupKind::Share | GroupKind::Unknown(_) => false,
    }
}

/// Whether the group is the state of a migration: named like one, and of kferry's protocol type or with kferry's own
/// metadata, a JSON object whose key `kferry` holds the format's number.
fn is_kferry(group: &Group) -> bool {
    let own = |metadata: &str| {
        metadata.starts_with('{')
            && serde_json::from_str::<Value>(metadata).is_ok_and(|value| value.get("kferry").is_some_and(Value::is_u64))
    };
    group.id.as_str().starts_with("kferry-")
        && (group.protocol_type == "kferry"
            || group.commits.as_ref().is_ok_and(|commits| commits.iter().any(|commit| own(&commit.metadata))))
}

fn unsupported(group: &Group) -> Warning {
    let message = match &group.kind {
        GroupKind::Share => format!("group {} is a share group and left out: it has no committed offsets", group.id),
        kind => format!("group {} is left out: groups of kind `{kind}` are not known to this kferry", group.id),
    };
    Warning::new(WarningCode::UnsupportedGroup, message)
}

fn unread_commits(group: &Group, code: &str) -> Warning {
    let message = format!("group {} is left out: its committed offsets cannot be read: {code}", group.id);
    Warning::new(WarningCode::GroupsHidden, message)
        .advice("grant Describe on the group, or leave it out with --exclude-group")
}
