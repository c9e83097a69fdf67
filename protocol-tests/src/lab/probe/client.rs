//! What a scenario needs of a whole cluster, by way of probes.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::add_partitions_to_txn_request::{AddPartitionsToTxnRequest, AddPartitionsToTxnTopic};
use kafka_protocol::messages::alter_client_quotas_request::{AlterClientQuotasRequest, EntityData, EntryData, OpData};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use kafka_protocol::messages::delete_groups_request::DeleteGroupsRequest;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use kafka_protocol::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use kafka_protocol::messages::end_txn_request::EndTxnRequest;
use kafka_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use kafka_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use kafka_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kafka_protocol::messages::metadata_response::MetadataResponse;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequest;
use kafka_protocol::messages::{BrokerId, ProducerId};
use kafka_protocol::protocol::Request;
use uuid::Uuid;

use super::super::hand::Committed;
use super::super::site::Topic;
use super::super::wait;
use super::connection::{Failure, Probe};
use super::{group_id, text, topic_name, transactional_id, versions};

/// What DescribeConfigs calls a topic.
const TOPIC: i8 = 2;

/// How long a broker may answer "not yet".
const SETTLE: Duration = Duration::from_secs(60);

/// A cluster, known by its bootstrap list. Every call opens connections of its own.
#[derive(Clone, Debug)]
pub struct Client {
    bootstrap: String,
}

impl Client {
    /// A client of the cluster behind `bootstrap` (`host:port`, comma-separated).
    pub fn new(bootstrap: &str) -> Self {
        Self { bootstrap: bootstrap.to_owned() }
    }

    /// The answer of the first broker of the list that gives one.
    ///
    /// # Errors
    /// When none does.
    pub fn ask<R: Request>(&self, version: i16, request: &R) -> Result<R::Response, Failure> {
        let mut last = Failure::Broken("an empty bootstrap list".into());
        for address in self.bootstrap.split(',') {
            match Probe::connect(address).and_then(|mut broker| broker.call(version, request)) {
                Ok(answer) => return Ok(answer),
                Err(cause) => last = cause,
            }
        }
        Err(last)
    }

    /// Metadata of one topic, or of all.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn metadata(&self, topic: Option<&str>) -> Result<MetadataResponse, Failure> {
        let all = || MetadataRequest::default().with_topics(None);
        self.ask(versions::METADATA, &topic.map_or_else(all, of_topic))
    }

    /// A topic's id, which brokers have from 2.8 on.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn topic_id(&self, name: &str) -> Result<Uuid, Failure> {
        let answer = self.ask(10, &of_topic(name))?;
        let found = answer.topics.first().ok_or_else(|| Failure::Broken(format!("no metadata of {name}")))?;
        Ok(found.topic_id)
    }

    /// A connection to the leader of a partition.
    ///
    /// # Errors
    /// When there is none.
    pub fn leader(&self, topic: &str, partition: i32) -> Result<Probe, Failure> {
        let metadata = self.metadata(Some(topic))?;
        connect(&metadata, leader(&metadata, topic, partition)?)
    }

    /// The node id of a partition's leader.
    ///
    /// # Errors
    /// When there is none.
    pub fn leader_id(&self, topic: &str, partition: i32) -> Result<i32, Failure> {
        Ok(leader(&self.metadata(Some(topic))?, topic, partition)?.0)
    }

    /// A connection to the coordinator of a group.
    ///
    /// # Errors
    /// When none is found in time.
    pub fn coordinator(&self, group: &str) -> Result<Probe, Failure> {
        self.find_coordinator(group, 0)
    }

    /// The node id of a group's coordinator, as any node says.
    ///
    /// # Errors
    /// When there is none.
    pub fn coordinator_id(&self, group: &str) -> Result<i32, Failure> {
        let request = FindCoordinatorRequest::default().with_key(text(group));
        let answer = self.ask(versions::FIND_COORDINATOR, &request)?;
        accept("FindCoordinator", answer.error_code)?;
        Ok(answer.node_id.0)
    }

    /// Creates a topic and waits until every partition of it has a leader that serves.
    ///
    /// # Errors
    /// The refusal.
    pub fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        copies: i16,
        configs: &[(&str, &str)],
    ) -> Result<(), Failure> {
        let configs = configs
            .iter()
            .map(|(key, value)| CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value))));
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(copies)
            .with_configs(configs.collect());
        self.create(CreateTopicsRequest::default().with_topics(vec![topic]))?;
        self.await_topic(name, partitions)
    }

    fn create(&self, request: CreateTopicsRequest) -> Result<(), Failure> {
        let answer = self.controller()?.call(versions::CREATE_TOPICS, &request.with_timeout_ms(30_000))?;
        answer.topics.iter().try_for_each(|topic| {
            let said = topic.error_message.as_deref().unwrap_or_default();
            accept(&format!("CreateTopics of {}: {said}", topic.name.as_str()), topic.error_code)
        })
    }

    /// Waits until every partition of a topic has a leader that serves.
    pub(crate) fn await_topic(&self, name: &str, partitions: i32) -> Result<(), Failure> {
        wait::attempt(SETTLE, || {
            self.is_known_everywhere(name, partitions)?;
            (0..partitions).try_for_each(|partition| self.end(name, partition).map(drop))
        })
    }

    /// Whether every broker has heard of all partitions: a leader refuses a Produce until it has, although it answers
    /// ListOffsets before.
    fn is_known_everywhere(&self, topic: &str, partitions: i32) -> Result<(), Failure> {
        let request = of_topic(topic);
        let seen = self.ask(versions::METADATA, &request)?;
        seen.brokers.iter().try_for_each(|broker| {
            let known = connect(&seen, broker.node_id)?.call(versions::METADATA, &request)?;
            (0..partitions).try_for_each(|partition| leader(&known, topic, partition).map(drop))
        })
    }

    /// Whether the cluster is far enough up to create a topic; the attempt leaves none.
    pub(crate) fn can_create_topics(&self) -> Result<(), Failure> {
        let name = Topic::unique("ready").name;
        self.create_topic(&name, 1, 1, &[])?;
        self.delete_topic(&name)
    }

    /// Whether the cluster has a controller.
    pub(crate) fn has_controller(&self) -> Result<(), Failure> {
        self.controller().map(drop)
    }

    /// Deletes a topic, and waits until its name is free: brokers of 1.1 answer before it is.
    ///
    /// # Errors
    /// The refusal.
    pub fn delete_topic(&self, name: &str) -> Result<(), Failure> {
        let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name(name)]).with_timeout_ms(30_000);
        let answer = self.controller()?.call(versions::DELETE_TOPICS, &request)?;
        answer.responses.iter().try_for_each(|topic| accept("DeleteTopics", topic.error_code))?;
        let again =
            CreatableTopic::default().with_name(topic_name(name)).with_num_partitions(1).with_replication_factor(1);
        let only_asked = CreateTopicsRequest::default().with_topics(vec![again]).with_validate_only(true);
        wait::attempt(SETTLE, || self.create(only_asked.clone()))
    }

    /// Deletes a group without members, with its offsets.
    ///
    /// # Errors
    /// The refusal.
    pub fn delete_group(&self, group: &str) -> Result<(), Failure> {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![group_id(group)]);
        let answer = self.coordinator(group)?.call(versions::DELETE_GROUPS, &request)?;
        answer.results.iter().try_for_each(|group| accept("DeleteGroups", group.error_code))
    }

    /// Limits what clients with an id may write or read, in bytes per second (`producer_byte_rate`, `consumer_byte_rate`);
    /// from 2.6 on.
    ///
    /// # Errors
    /// The refusal.
    pub fn set_quota(&self, client_id: &str, key: &str, rate: f64) -> Result<(), Failure> {
        let entity = EntityData::default().with_entity_type(text("client-id")).with_entity_name(Some(text(client_id)));
        let op = OpData::default().with_key(text(key)).with_value(rate);
        let entry = EntryData::default().with_entity(vec![entity]).with_ops(vec![op]);
        let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
        let answer = self.controller()?.call(versions::ALTER_CLIENT_QUOTAS, &request)?;
        answer.entries.iter().try_for_each(|entry| accept("AlterClientQuotas", entry.error_code))
    }

    /// The log start (-2), the end for consumers (-1), or the first offset at or after a time.
    ///
    /// # Errors
    /// The refusal.
    pub fn list_offset(&self, topic: &str, partition: i32, timestamp: i64, committed: bool) -> Result<i64, Failure> {
        self.leader(topic, partition)?.list_offset(topic, partition, timestamp, committed)
    }

    /// The log end, which may lie behind the high watermark while followers lag.
    ///
    /// # Errors
    /// The refusal.
    pub fn log_end(&self, topic: &str, partition: i32) -> Result<i64, Failure> {
        self.leader(topic, partition)?.log_end(topic, partition)
    }

    /// The high watermark.
    ///
    /// # Errors
    /// The refusal.
    pub fn end(&self, topic: &str, partition: i32) -> Result<i64, Failure> {
        self.list_offset(topic, partition, -1, false)
    }

    /// Moves the log start up to `offset`.
    ///
    /// # Errors
    /// The refusal.
    pub fn delete_records(&self, topic: &str, partition: i32, offset: i64) -> Result<(), Failure> {
        let wanted = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(offset);
        let request = DeleteRecordsRequest::default().with_timeout_ms(30_000).with_topics(vec![
            DeleteRecordsTopic::default().with_name(topic_name(topic)).with_partitions(vec![wanted]),
        ]);
        let answer = self.leader(topic, partition)?.call(versions::DELETE_RECORDS, &request)?;
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.into_iter().try_for_each(|partition| accept("DeleteRecords", partition.error_code))
    }

    /// Commits offsets as a consumer does that assigns its partitions itself.
    ///
    /// # Errors
    /// The refusal.
    pub fn commit(&self, group: &str, offsets: &[(&str, i32, i64, &str)]) -> Result<(), Failure> {
        wait::attempt(SETTLE, || {
            let refusals = self.commit_once(group, offsets)?.into_iter().find_map(Result::err);
            refusals.map_or(Ok(()), |code| accept("OffsetCommit", code.code()))
        })
    }

    /// As [`Client::commit`], without patience; what the coordinator said of each partition.
    ///
    /// # Errors
    /// When the coordinator doesn't answer.
    pub fn commit_once(
        &self,
        group: &str,
        offsets: &[(&str, i32, i64, &str)],
    ) -> Result<Vec<Result<(), ResponseError>>, Failure> {
        let topics = offsets.iter().map(|(topic, partition, offset, metadata)| {
            let partition = OffsetCommitRequestPartition::default()
                .with_partition_index(*partition)
                .with_committed_offset(*offset)
                .with_committed_metadata(Some(text(metadata)));
            OffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition])
        });
        let request = OffsetCommitRequest::default()
            .with_group_id(group_id(group))
            .with_generation_id_or_member_epoch(-1)
            .with_retention_time_ms(-1)
            .with_topics(topics.collect());
        let answer = self.coordinator(group)?.call(versions::OFFSET_COMMIT, &request)?;
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        Ok(partitions.map(|partition| partition.error_code.err().map_or(Ok(()), Err)).collect())
    }

    /// All committed offsets of a group.
    ///
    /// # Errors
    /// The refusal.
    pub fn committed(&self, group: &str) -> Result<BTreeMap<(String, i32), Committed>, Failure> {
        wait::attempt(SETTLE, || {
            let request = OffsetFetchRequest::default().with_group_id(group_id(group)).with_topics(None);
            let answer = self.coordinator(group)?.call(versions::OFFSET_FETCH, &request)?;
            accept("OffsetFetch", answer.error_code)?;
            let mut found = BTreeMap::new();
            for topic in answer.topics {
                for partition in topic.partitions {
                    accept("OffsetFetch", partition.error_code)?;
                    let metadata = partition.metadata.as_deref().unwrap_or_default().to_owned();
                    let committed = Committed { offset: partition.committed_offset, metadata };
                    found.insert((topic.name.to_string(), partition.partition_index), committed);
                }
            }
            Ok(found)
        })
    }

    /// The configs of a topic that have a value. Brokers before 1.1 don't speak this version.
    ///
    /// # Errors
    /// The refusal.
    pub fn configs(&self, topic: &str) -> Result<BTreeMap<String, String>, Failure> {
        let resource = DescribeConfigsResource::default().with_resource_type(TOPIC).with_resource_name(text(topic));
        let request = DescribeConfigsRequest::default().with_resources(vec![resource.with_configuration_keys(None)]);
        let answer = self.ask(versions::DESCRIBE_CONFIGS, &request)?;
        let mut found = BTreeMap::new();
        for result in answer.results {
            accept("DescribeConfigs", result.error_code)?;
            let configs = result.configs.into_iter();
            found.extend(configs.filter_map(|config| Some((config.name.to_string(), config.value?.to_string()))));
        }
        Ok(found)
    }

    /// A producer id of its own for an idempotent producer.
    ///
    /// # Errors
    /// The refusal.
    pub fn producer_id(&self) -> Result<i64, Failure> {
        wait::attempt(SETTLE, || {
            let answer = self.ask(versions::INIT_PRODUCER_ID, &init_producer_id(None))?;
            accept("InitProducerId", answer.error_code)?;
            Ok(answer.producer_id.0)
        })
    }

    /// Producer id and epoch of a transactional id; earlier owners are fenced and their transaction is aborted.
    ///
    /// # Errors
    /// The refusal.
    pub fn transactional_producer(&self, id: &str) -> Result<(i64, i16), Failure> {
        wait::attempt(SETTLE, || {
            let request = init_producer_id(Some(id));
            let answer = self.transaction_coordinator(id)?.call(versions::INIT_PRODUCER_ID, &request)?;
            accept("InitProducerId", answer.error_code)?;
            Ok((answer.producer_id.0, answer.producer_epoch))
        })
    }

    /// Makes a partition part of a transaction.
    ///
    /// # Errors
    /// The refusal.
    pub fn add_to_transaction(
        &self,
        id: &str,
        producer: (i64, i16),
        topic: &str,
        partition: i32,
    ) -> Result<(), Failure> {
        let topic = AddPartitionsToTxnTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(transactional_id(id))
            .with_v3_and_below_producer_id(ProducerId(producer.0))
            .with_v3_and_below_producer_epoch(producer.1)
            .with_v3_and_below_topics(vec![topic]);
        wait::attempt(SETTLE, || {
            let answer = self.transaction_coordinator(id)?.call(versions::ADD_PARTITIONS_TO_TXN, &request)?;
            let topics = answer.results_by_topic_v3_and_below.iter();
            let mut partitions = topics.flat_map(|topic| &topic.results_by_partition);
            partitions.try_for_each(|partition| accept("AddPartitionsToTxn", partition.partition_error_code))
        })
    }

    /// Commits or aborts a transaction. The markers may reach the logs after this returns.
    ///
    /// # Errors
    /// The refusal.
    pub fn end_transaction(&self, id: &str, producer: (i64, i16), commit: bool) -> Result<(), Failure> {
        let request = EndTxnRequest::default()
            .with_transactional_id(transactional_id(id))
            .with_producer_id(ProducerId(producer.0))
            .with_producer_epoch(producer.1)
            .with_committed(commit);
        wait::attempt(SETTLE, || {
            accept("EndTxn", self.transaction_coordinator(id)?.call(versions::END_TXN, &request)?.error_code)
        })
    }

    fn transaction_coordinator(&self, id: &str) -> Result<Probe, Failure> {
        self.find_coordinator(id, 1)
    }

    fn find_coordinator(&self, key: &str, kind: i8) -> Result<Probe, Failure> {
        wait::attempt(SETTLE, || {
            let request = FindCoordinatorRequest::default().with_key(text(key)).with_key_type(kind);
            let answer = self.ask(versions::FIND_COORDINATOR.max(kind.into()), &request)?;
            accept("FindCoordinator", answer.error_code)?;
            Probe::connect(&format!("{}:{}", &*answer.host, answer.port))
        })
    }

    fn controller(&self) -> Result<Probe, Failure> {
        let metadata = self.metadata(Some("no-topic"))?;
        connect(&metadata, metadata.controller_id)
    }
}

fn of_topic(name: &str) -> MetadataRequest {
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    MetadataRequest::default().with_topics(Some(vec![topic]))
}

fn leader(metadata: &MetadataResponse, topic: &str, partition: i32) -> Result<BrokerId, Failure> {
    let mut partitions = metadata.topics.iter().flat_map(|topic| &topic.partitions);
    partitions
        .find(|candidate| candidate.partition_index == partition && candidate.leader_id.0 >= 0)
        .map(|found| found.leader_id)
        .ok_or_else(|| Failure::Broken(format!("{topic}/{partition} has no leader")))
}

fn init_producer_id(id: Option<&str>) -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(id.map(transactional_id))
        .with_transaction_timeout_ms(60_000)
        .with_producer_id(ProducerId(-1))
}

fn connect(metadata: &MetadataResponse, node: BrokerId) -> Result<Probe, Failure> {
    let broker = metadata.brokers.iter().find(|broker| broker.node_id == node);
    let broker = broker.ok_or_else(|| Failure::Broken(format!("no address of broker {}", node.0)))?;
    Probe::connect(&format!("{}:{}", &*broker.host, broker.port))
}

pub(super) fn accept(what: &str, code: i16) -> Result<(), Failure> {
    match code.err() {
        None => Ok(()),
        Some(refusal) => Err(Failure::Broken(format!("{what}: {}", name(refusal)))),
    }
}

fn name(refusal: ResponseError) -> String {
    format!("{refusal:?} ({})", refusal.code())
}
