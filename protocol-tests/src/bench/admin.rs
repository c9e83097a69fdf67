//! What the benchmark asks of a cluster of one node, many topics at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequest;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::{BrokerId, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::lab::probe::{Client, Probe, versions};
use crate::lab::wait;

use super::sets::{MANY, Set, Topic};

/// How long a broker may take for what it has promised.
const SETTLE: Duration = Duration::from_secs(120);
/// Partitions that are made in one request.
const AT_ONCE: usize = 1000;

/// A connection to the one broker.
pub struct Admin {
    address: String,
    probe: Probe,
}

/// Where the logs of a set end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// The sum of all ends.
    pub sum: i64,
    /// How many partitions are not there.
    pub unknown: usize,
}

impl Admin {
    /// Connects.
    ///
    /// # Errors
    /// When nothing listens there.
    pub fn connect(address: &str) -> Result<Self, String> {
        Ok(Self { address: address.to_owned(), probe: Probe::connect(address)? })
    }

    /// Makes the topics of a set and waits until they can be written.
    ///
    /// # Errors
    /// The refusal.
    pub fn create(&mut self, set: &Set) -> Result<(), String> {
        for topics in chunks(&set.topics) {
            let wanted = topics.iter().map(|topic| {
                CreatableTopic::default()
                    .with_name(name(&topic.name))
                    .with_num_partitions(topic.batches.len() as i32)
                    .with_replication_factor(1)
                    .with_configs(if set.topics.len() < MANY { Vec::new() } else { vec![small_index()] })
            });
            let request = CreateTopicsRequest::default().with_timeout_ms(30_000).with_topics(wanted.collect());
            for topic in self.probe.call(versions::CREATE_TOPICS, &request)?.topics {
                accept(topic.name.as_str(), topic.error_code)?;
            }
        }
        wait::attempt(SETTLE, || {
            let known = self.probe.call(versions::METADATA, &MetadataRequest::default().with_topics(None))?;
            let led =
                known.topics.iter().flat_map(|topic| &topic.partitions).filter(|one| one.leader_id.0 >= 0).count();
            let ends = self.ends(set)?;
            if led >= set.partition_count() && ends.unknown == 0 {
                return Ok(());
            }
            Err(format!("{} of {} partitions of {} have no leader", ends.unknown, set.partition_count(), set.name))
        })
    }

    /// Deletes all topics but the brokers' own, and waits until they are gone.
    ///
    /// # Errors
    /// The refusal.
    pub fn delete_all(&mut self) -> Result<(), String> {
        let topics = self.topics()?;
        for names in topics.chunks(AT_ONCE / 10) {
            let request = DeleteTopicsRequest::default().with_topic_names(names.to_vec()).with_timeout_ms(30_000);
            for topic in self.probe.call(versions::DELETE_TOPICS, &request)?.responses {
                accept("DeleteTopics", topic.error_code)?;
            }
        }
        wait::attempt(SETTLE, || match self.topics()?.len() {
            0 => Ok(()),
            left => Err(format!("{left} topics are still there")),
        })
    }

    /// Whether there are these topics and no others.
    ///
    /// # Errors
    /// When the broker doesn't answer.
    pub fn has(&mut self, set: &Set) -> Result<bool, String> {
        let wanted: BTreeSet<TopicName> = set.topics.iter().map(|topic| name(&topic.name)).collect();
        Ok(self.topics()?.into_iter().collect::<BTreeSet<_>>() == wanted)
    }

    /// Deletes the records of a set's topics, which stay; their offsets go on from where they were.
    ///
    /// # Errors
    /// The refusal.
    pub fn empty(&mut self, set: &Set) -> Result<(), String> {
        let all = |index| DeleteRecordsPartition::default().with_partition_index(index).with_offset(-1);
        let topics = set.topics.iter().map(|topic| {
            let partitions = (0..topic.batches.len() as i32).map(all).collect();
            DeleteRecordsTopic::default().with_name(name(&topic.name)).with_partitions(partitions)
        });
        let request = DeleteRecordsRequest::default().with_timeout_ms(30_000).with_topics(topics.collect());
        let answer = self.probe.call(versions::DELETE_RECORDS, &request)?;
        let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.try_for_each(|partition| accept("DeleteRecords", partition.error_code))
    }

    fn topics(&mut self) -> Result<Vec<TopicName>, String> {
        let known = self.probe.call(versions::METADATA, &MetadataRequest::default().with_topics(None))?;
        let names = known.topics.into_iter().filter_map(|topic| topic.name);
        Ok(names.filter(|name| !name.as_str().starts_with("__")).collect())
    }

    /// Where the logs of a set end for consumers.
    ///
    /// # Errors
    /// When the broker doesn't answer.
    pub fn ends(&mut self, set: &Set) -> Result<Ends, String> {
        let partitions = |topic: &Topic| (0..topic.batches.len() as i32).collect();
        let all: Vec<(&str, Vec<i32>)> =
            set.topics.iter().map(|topic| (topic.name.as_str(), partitions(topic))).collect();
        let mut ends = Ends::default();
        for (_, _, end) in self.ends_of(&all)? {
            match end {
                Some(end) => ends.sum += end,
                None => ends.unknown += 1,
            }
        }
        Ok(ends)
    }

    /// Topic, partition and end for consumers of each of these partitions; `None` for one that is not there.
    ///
    /// # Errors
    /// When the broker doesn't answer.
    pub fn ends_of(&mut self, partitions: &[(&str, Vec<i32>)]) -> Result<Vec<(String, i32, Option<i64>)>, String> {
        let topics = partitions.iter().map(|(topic, partitions)| {
            let latest = |index: &i32| ListOffsetsPartition::default().with_partition_index(*index).with_timestamp(-1);
            ListOffsetsTopic::default().with_name(name(topic)).with_partitions(partitions.iter().map(latest).collect())
        });
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(topics.collect());
        let answer = self.probe.call(versions::LIST_OFFSETS, &request)?;
        let mut ends = Vec::new();
        for topic in answer.topics {
            for partition in topic.partitions {
                let end = (partition.error_code == 0).then_some(partition.offset);
                ends.push((topic.name.to_string(), partition.partition_index, end));
            }
        }
        Ok(ends)
    }

    /// Commits offset 0 of every partition for the set's group: all of it is unread.
    ///
    /// # Errors
    /// The refusal.
    pub fn commit_start(&self, set: &Set) -> Result<(), String> {
        self.commit(&set.group(), &start_of(set, usize::MAX, ""), 1)
    }

    /// Commits as often as a hundred migrations do, and as much at a time, in a group of its own that is deleted then.
    ///
    /// # Errors
    /// The refusal.
    pub fn commit_often(&self, set: &Set) -> Result<(), String> {
        let group = "bench-warm-up";
        // Sets may have a thousand topics.
        let topics = start_of(set, 3, &"j".repeat(400));
        self.commit(group, topics.get(..1).unwrap_or_default(), 20_000)?;
        self.forget(group);
        Ok(())
    }

    fn commit(&self, group: &str, topics: &[OffsetCommitRequestTopic], times: usize) -> Result<(), String> {
        let request = OffsetCommitRequest::default()
            .with_group_id(StrBytes::from_string(group.to_owned()).into())
            .with_generation_id_or_member_epoch(-1)
            .with_retention_time_ms(-1)
            .with_topics(topics.to_vec());
        let mut left = times;
        wait::attempt(SETTLE, || {
            let mut coordinator = Client::new(&self.address).coordinator(group)?;
            while left > 0 {
                let answer = coordinator.call(versions::OFFSET_COMMIT, &request)?;
                let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
                partitions.try_for_each(|partition| accept("OffsetCommit", partition.error_code))?;
                left -= 1;
            }
            Ok(())
        })
    }

    /// Deletes a group, if there is one.
    pub fn forget(&self, group: &str) {
        // A run that failed early has none.
        let _ = Client::new(&self.address).delete_group(group);
    }
}

/// Offset 0 of every partition of the set's topics, of no more than the first `most` of each.
fn start_of(set: &Set, most: usize, metadata: &str) -> Vec<OffsetCommitRequestTopic> {
    let metadata = StrBytes::from_string(metadata.to_owned());
    let partition = |index| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_metadata(Some(metadata.clone()))
    };
    let topics = set.topics.iter().map(|topic| {
        let partitions = (0..topic.batches.len().min(most) as i32).map(partition).collect();
        OffsetCommitRequestTopic::default().with_name(name(&topic.name)).with_partitions(partitions)
    });
    topics.collect()
}

/// Brokers map two index files of 10 MiB for each log. A disk that reads 8 MiB ahead, as some do, fills the memory with those
/// of a few thousand logs.
fn small_index() -> CreatableTopicConfig {
    CreatableTopicConfig::default()
        .with_name(StrBytes::from_static_str("segment.index.bytes"))
        .with_value(Some(StrBytes::from_static_str("65536")))
}

fn chunks(topics: &[Topic]) -> impl Iterator<Item = &[Topic]> {
    let largest = topics.iter().map(|topic| topic.batches.len()).max().unwrap_or(1);
    topics.chunks((AT_ONCE / largest.max(1)).max(1))
}

fn name(of: &str) -> TopicName {
    StrBytes::from_string(of.to_owned()).into()
}

fn accept(what: &str, code: i16) -> Result<(), String> {
    code.err().map_or(Ok(()), |refusal| Err(format!("{what}: {refusal:?}")))
}
