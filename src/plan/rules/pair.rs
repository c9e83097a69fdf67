//! A topic on both sides, as the rules about the target look at it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::{Rules, count};
use crate::kafka::TopicName;
use crate::plan::facts::{SourceTopic, Survey, TargetTopic};
use crate::plan::plan::{Action, LanePlan};
use crate::topics::{Defaults, Effective, Mirrored, mirror};

/// From this version on `CreateTopics` takes -1 for the target's own replication factor (Kafka 2.4).
const DEFAULT_FACTOR_VERSION: i16 = 4;

/// What stands on the target, or will.
pub(super) enum There<'a> {
    Exists(&'a TargetTopic),
    Missing(Mirrored),
}

/// A topic that is taken, on both sides.
pub(super) struct Pair<'a> {
    pub(super) name: &'a TopicName,
    pub(super) source: &'a SourceTopic,
    pub(super) there: There<'a>,
    defaults: Defaults<'a>,
}

/// The topics that are taken, by name.
pub(super) fn pairs<'a>(survey: &'a Survey, taken: &BTreeSet<TopicName>, rules: &Rules<'_>) -> Vec<Pair<'a>> {
    let target = &survey.target;
    let defaults = Defaults {
        broker: target.broker_configs.as_ref(),
        known: target.known_configs.as_ref(),
        takes_default_factor: target.create_topics_version >= DEFAULT_FACTOR_VERSION,
        codecs: target.codecs,
    };
    let factor = rules.topics.replication_factor.unwrap_or(-1);
    let topics = survey.source.topics.iter().filter(|(name, _)| taken.contains(*name));
    let pair = |(name, source): (&'a TopicName, &'a SourceTopic)| {
        let there = match target.topics.get(name) {
            Some(topic) => There::Exists(topic),
            None => {
                let partitions = count(source.partitions.len());
                There::Missing(mirror(name, partitions, source.configs.as_ref(), factor, &defaults))
            }
        };
        Pair { name, source, there, defaults }
    };
    topics.map(pair).collect()
}

impl<'a> Pair<'a> {
    /// The source's value in effect; `None` where it is not known.
    pub(super) fn source_value(&self, name: &str) -> Option<&'a str> {
        self.source.configs.as_ref()?.effective(name)
    }

    /// The value that is, or will be, in effect on the target while it is filled; `None` where it is not known.
    pub(super) fn target_value(&self, name: &str) -> Option<Cow<'_, str>> {
        match &self.there {
            There::Exists(topic) => topic.configs.as_ref()?.effective(name).map(Cow::Borrowed),
            There::Missing(mirrored) => match mirrored.spec.configs.get(name) {
                Some(value) => Some(Cow::Borrowed(value)),
                None => self.defaults.of(name).map(Cow::Owned),
            },
        }
    }

    /// As [`Self::target_value`], where it is a whole number.
    pub(super) fn target_number(&self, name: &str) -> Option<i64> {
        self.target_value(name)?.trim().parse().ok()
    }

    /// As [`Self::source_value`], where it is a whole number.
    pub(super) fn source_number(&self, name: &str) -> Option<i64> {
        self.source.configs.as_ref()?.number(name)
    }

    /// The topic as it stands on the target.
    pub(super) const fn existing(&self) -> Option<&'a TargetTopic> {
        match &self.there {
            There::Exists(topic) => Some(*topic),
            There::Missing(_) => None,
        }
    }

    /// Its lanes among the plan's partitions.
    pub(super) fn lanes<'p>(&self, partitions: &'p [LanePlan]) -> impl Iterator<Item = &'p LanePlan> {
        let from = partitions.partition_point(|lane| lane.at.topic < *self.name);
        let name = self.name.clone();
        let here = partitions.get(from..).unwrap_or_default().iter().take_while(move |lane| lane.at.topic == name);
        here.filter(|lane| lane.action() == Action::Migrate)
    }
}
