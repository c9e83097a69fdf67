//! CreateTopics. Version 4 knows the broker's own replication factor (-1, KIP-464), 7 answers the topic id.

use super::{owned, string, write};
use crate::kafka::{ErrorCode, TopicId, TopicName};
use crate::wire::{ApiKey, Reader, Request, Rope, WireError};
use bytes::Bytes;
use kafka_protocol::messages::CreateTopicsRequest;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use std::collections::BTreeMap;
use std::time::Duration;

/// Asks the controller to create topics.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreateTopics {
    /// The topics.
    pub topics: Vec<NewTopic>,
    /// How long the controller may take.
    pub timeout: Duration,
    /// Whether only to check if they could be created.
    pub validate_only: bool,
}

/// A topic to create.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTopic {
    /// Its name.
    pub name: TopicName,
    /// How many partitions.
    pub partitions: i32,
    /// How many replicas; -1 for the cluster's default, which brokers before 2.4 do not know.
    pub replication_factor: i16,
    /// Configs that differ from the cluster's defaults.
    pub configs: BTreeMap<String, String>,
}

/// The controller's answer to [`CreateTopics`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreateTopicsAnswer {
    /// One entry per topic.
    pub topics: Vec<CreatedTopic>,
}

/// One topic of a [`CreateTopicsAnswer`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatedTopic {
    /// Its name.
    pub name: TopicName,
    /// Its id.
    pub id: Option<TopicId>,
    /// NONE, or why it was not created.
    pub error: ErrorCode,
    /// The broker's own words about the error.
    pub message: Option<String>,
}

impl Request for CreateTopics {
    const API: ApiKey = ApiKey::CreateTopics;
    type Answer = CreateTopicsAnswer;

    fn encode(&self, version: i16) -> Result<Rope, WireError> {
        let topic = |topic: &NewTopic| {
            let configs = topic.configs.iter().map(|(name, value)| {
                CreatableTopicConfig::default().with_name(string(name)).with_value(Some(string(value)))
            });
            CreatableTopic::default()
                .with_name(string(topic.name.as_str()).into())
                .with_num_partitions(topic.partitions)
                .with_replication_factor(topic.replication_factor)
                .with_configs(configs.collect())
        };
        let request = CreateTopicsRequest::default()
            .with_topics(self.topics.iter().map(topic).collect())
            .with_timeout_ms(i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX))
            .with_validate_only(self.validate_only);
        write(&request, version)
    }

    fn decode(version: i16, body: Bytes) -> Result<CreateTopicsAnswer, WireError> {
        let mut reader = super::reader::<Self>(version, &body);
        reader.throttle()?;
        let topics = reader.array("topics", |reader| topic(version, reader))?;
        Ok(CreateTopicsAnswer { topics })
    }
}

fn topic(version: i16, reader: &mut Reader<'_>) -> Result<CreatedTopic, WireError> {
    let name = TopicName::from(reader.text("topic")?);
    let id = if version >= 7 { reader.topic_id()? } else { None };
    let error = reader.code()?;
    let message = owned(reader.nullable_text("error_message")?);
    if version >= 5 {
        reader.i32("num_partitions")?;
        reader.i16("replication_factor")?;
        reader.array("configs", |reader| {
            reader.text("config name")?;
            reader.nullable_text("config value")?;
            reader.bool("read_only")?;
            reader.i8("config_source")?;
            reader.bool("is_sensitive")?;
            reader.tags()
        })?;
    }
    reader.tags()?;
    Ok(CreatedTopic { name, id, error, message })
}
