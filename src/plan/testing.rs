//! Surveys made by hand, a line per topic and group, for the tests of the rules and of the reports.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{
    ClusterIdentity, Commit, Group, GroupKind, SourceFacts, SourcePartition, SourceTopic, Survey, TargetFacts,
    TargetPartition, TargetTopic,
};
use super::{Plan, Rules, plan};
use crate::batch::CodecSet;
use crate::cluster::{ConfigEntry, ConfigSource, Configs};
use crate::config::{Filter, Selection, TopicSettings, Undecided, Ungrouped};
use crate::kafka::{GroupId, HostPort, Offset, PartitionId, TopicName, TopicPartition};

/// 2026-11-22 00:00 UTC.
pub(crate) const NOW_MS: i64 = 1_795_305_600_000;

/// What was seen, and what was asked for; the defaults of the configuration unless changed.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) survey: Survey,
    pub(crate) selection: Selection,
    pub(crate) ungrouped: Ungrouped,
    pub(crate) undecided: Undecided,
    pub(crate) topics: TopicSettings,
}

pub(crate) fn filter(include: &[&str], exclude: &[&str]) -> Filter {
    let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    Filter::new(&owned(include), &owned(exclude)).expect("a filter")
}

pub(crate) fn configs(source: ConfigSource, entries: &[(&str, &str)]) -> Configs {
    let held = |value: &str| ConfigEntry { value: Some(value.to_owned()), source, sensitive: false };
    entries.iter().map(|&(name, value)| (name.to_owned(), held(value))).collect()
}

impl Scene {
    /// Two clusters without groups or topics; a target of three brokers at Kafka's defaults.
    pub(crate) fn new() -> Self {
        let address = |host: &str, port| HostPort { host: host.to_owned(), port };
        let identity = |id: &str, host: &str, port| ClusterIdentity {
            id: Some(id.to_owned()),
            bootstrap: vec![address(host, port)],
            brokers: (1..=3).map(|node| address(host, port + node)).collect(),
        };
        let survey = Survey {
            at_ms: NOW_MS,
            source: SourceFacts {
                identity: identity("ckafka-47bd7goz", "10.0.0.1", 9092),
                groups: Vec::new(),
                groups_hidden: None,
                list_offsets_version: 10,
                tells_configs: true,
                names: BTreeSet::new(),
                topics: BTreeMap::new(),
            },
            target: TargetFacts {
                identity: identity("ckafka-kzamzogr", "broker.example", 9094),
                broker_configs: Some(configs(ConfigSource::Default, &[])),
                known_configs: None,
                topics: BTreeMap::new(),
                moved: BTreeMap::new(),
                codecs: CodecSet::ALL,
                produce_version: 13,
                create_topics_version: 7,
                round_trip: None,
            },
        };
        let selection = Selection { groups: filter(&["*"], &[]), topics: filter(&["*"], &[]) };
        Self {
            survey,
            selection,
            ungrouped: Ungrouped::Skip,
            undecided: Undecided::Earliest,
            topics: TopicSettings { create: true, replication_factor: None, recompress: None },
        }
    }

    /// A topic of the source; per partition its log start and its end. All of it is older than no time asked about.
    pub(crate) fn topic(mut self, name: &str, partitions: &[(i64, i64)]) -> Self {
        let seen = |&(start, end): &(i64, i64)| SourcePartition {
            log_start: Offset(start),
            high_watermark: Offset(end),
            last_stable: Offset(end),
            high_watermark_before: Offset(end),
            bytes: None,
            first_since: BTreeMap::new(),
            gap: None,
            codecs: BTreeSet::new(),
            open_transaction: None,
        };
        let partitions = (0..).map(PartitionId).zip(partitions.iter().map(seen)).collect();
        let topic = SourceTopic { id: None, partitions, configs: Some(Configs::default()) };
        self.survey.source.names.insert(name.into());
        self.survey.source.topics.insert(name.into(), topic);
        self
    }

    /// An empty classic group with these commits: topic, partition, offset.
    pub(crate) fn group(mut self, id: &str, commits: &[(&str, i32, i64)]) -> Self {
        let commit = |&(topic, partition, offset): &(&str, i32, i64)| Commit {
            at: TopicPartition::new(topic, partition),
            offset: Offset(offset),
            metadata: String::new(),
        };
        let mut commits: Vec<Commit> = commits.iter().map(commit).collect();
        commits.sort_by(|a, b| a.at.cmp(&b.at));
        self.survey.source.groups.push(Group {
            id: id.into(),
            kind: GroupKind::Classic,
            protocol_type: "consumer".to_owned(),
            state: Some("Empty".to_owned()),
            members: Some(0),
            commits: Ok(commits),
        });
        self
    }

    /// A topic of the target, three replicas each; per partition its log start and its end.
    pub(crate) fn there(mut self, name: &str, partitions: &[(i64, i64)]) -> Self {
        let seen = |&(start, end): &(i64, i64)| TargetPartition {
            log_start: Offset(start),
            log_end: Offset(end),
            replicas: 3,
            in_sync: 3,
        };
        let partitions = (0..).map(PartitionId).zip(partitions.iter().map(seen)).collect();
        let topic = TargetTopic { id: None, partitions, configs: Some(Configs::default()) };
        self.survey.target.topics.insert(name.into(), topic);
        self
    }

    pub(crate) fn source(&mut self, topic: &str) -> &mut SourceTopic {
        self.survey.source.topics.get_mut(&TopicName::from(topic)).expect("a source topic")
    }

    pub(crate) fn partition(&mut self, topic: &str, partition: i32) -> &mut SourcePartition {
        self.source(topic).partitions.get_mut(&PartitionId(partition)).expect("a source partition")
    }

    pub(crate) fn target(&mut self, topic: &str) -> &mut TargetTopic {
        self.survey.target.topics.get_mut(&TopicName::from(topic)).expect("a target topic")
    }

    pub(crate) fn group_mut(&mut self, id: &str) -> &mut Group {
        let id = GroupId::from(id);
        self.survey.source.groups.iter_mut().find(|group| group.id == id).expect("a group")
    }

    /// Sets the topic's overrides on the source.
    pub(crate) fn source_configs(mut self, topic: &str, entries: &[(&str, &str)]) -> Self {
        self.source(topic).configs = Some(configs(ConfigSource::DynamicTopic, entries));
        self
    }

    /// Sets the topic's overrides on the target.
    pub(crate) fn target_configs(mut self, topic: &str, entries: &[(&str, &str)]) -> Self {
        self.target(topic).configs = Some(configs(ConfigSource::DynamicTopic, entries));
        self
    }

    /// Sets the configuration of the target's brokers.
    pub(crate) fn broker_configs(mut self, entries: &[(&str, &str)]) -> Self {
        self.survey.target.broker_configs = Some(configs(ConfigSource::StaticBroker, entries));
        self
    }

    pub(crate) fn rules(&self) -> Rules<'_> {
        Rules {
            name: "default",
            selection: &self.selection,
            ungrouped: self.ungrouped,
            undecided: self.undecided,
            topics: &self.topics,
            translate_offsets: true,
        }
    }

    pub(crate) fn plan(&self) -> Plan {
        plan(&self.survey, &self.rules())
    }
}

/// The example that the script comes with: test3 starts at the smaller of its two groups' commits, and what is unread of
/// test1's first partition has expired.
pub(crate) fn example() -> Scene {
    Scene::new()
        .topic("test1", &[(5_226, 5_226)])
        .topic("test2", &[(0, 1_000)])
        .topic("test3", &[(120_000, 264_322)])
        .topic("test4", &[(0, 0)])
        .group("test123-group", &[("test1", 0, 3_713), ("test2", 0, 1_000), ("test3", 0, 187_800)])
        .group("test34-group", &[("test3", 0, 201_000), ("test4", 0, 0)])
}
