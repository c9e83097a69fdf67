//! Setting configs of topics: IncrementalAlterConfigs (KIP-339, from 2.3 on) changes what it names; AlterConfigs replaces
//! all that are set on the topic.

use super::{owned, string, write};
use crate::kafka::{ErrorCode, TopicName};
use crate::wire::{ApiKey, Reader, Request, Rope, WireError};
use bytes::Bytes;
use kafka_protocol::messages::{AlterConfigsRequest, IncrementalAlterConfigsRequest};
use kafka_protocol::messages::{alter_configs_request as all, incremental_alter_configs_request as some};
use std::collections::BTreeMap;

const TOPIC: i8 = 2;
const SET: i8 = 0;

/// Sets some configs of topics and leaves the others as they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IncrementalAlterConfigs {
    /// The configs to set, by topic and name.
    pub topics: BTreeMap<TopicName, BTreeMap<String, String>>,
}

/// Sets the configs of topics; what is not named falls back to its default.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlterConfigs {
    /// All configs that the topics are to have, by topic and name.
    pub topics: BTreeMap<TopicName, BTreeMap<String, String>>,
}

/// A broker's answer to both.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlterConfigsAnswer {
    /// One entry per topic.
    pub topics: Vec<AlteredTopic>,
}

/// What became of one topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlteredTopic {
    /// Its name.
    pub name: TopicName,
    /// NONE, or why nothing was set.
    pub error: ErrorCode,
    /// The broker's own words about the error.
    pub message: Option<String>,
}

impl Request for IncrementalAlterConfigs {
    const API: ApiKey = ApiKey::IncrementalAlterConfigs;
    type Answer = AlterConfigsAnswer;

    fn encode(&self, version: i16) -> Result<Rope, WireError> {
        let resource = |(name, configs): (&TopicName, &BTreeMap<String, String>)| {
            let config = |(name, value): (&String, &String)| {
                some::AlterableConfig::default()
                    .with_name(string(name))
                    .with_config_operation(SET)
                    .with_value(Some(string(value)))
            };
            some::AlterConfigsResource::default()
                .with_resource_type(TOPIC)
                .with_resource_name(string(name.as_str()))
                .with_configs(configs.iter().map(config).collect())
        };
        let resources = self.topics.iter().map(resource).collect();
        write(&IncrementalAlterConfigsRequest::default().with_resources(resources), version)
    }

    fn decode(version: i16, body: Bytes) -> Result<AlterConfigsAnswer, WireError> {
        answer(super::reader::<Self>(version, &body))
    }
}

impl Request for AlterConfigs {
    const API: ApiKey = ApiKey::AlterConfigs;
    type Answer = AlterConfigsAnswer;

    fn encode(&self, version: i16) -> Result<Rope, WireError> {
        let resource = |(name, configs): (&TopicName, &BTreeMap<String, String>)| {
            let config = |(name, value): (&String, &String)| {
                all::AlterableConfig::default().with_name(string(name)).with_value(Some(string(value)))
            };
            all::AlterConfigsResource::default()
                .with_resource_type(TOPIC)
                .with_resource_name(string(name.as_str()))
                .with_configs(configs.iter().map(config).collect())
        };
        let resources = self.topics.iter().map(resource).collect();
        write(&AlterConfigsRequest::default().with_resources(resources), version)
    }

    fn decode(version: i16, body: Bytes) -> Result<AlterConfigsAnswer, WireError> {
        answer(super::reader::<Self>(version, &body))
    }
}

fn answer(mut reader: Reader<'_>) -> Result<AlterConfigsAnswer, WireError> {
    reader.throttle()?;
    let topics = reader.array("responses", |reader| {
        let error = reader.code()?;
        let message = owned(reader.nullable_text("error_message")?);
        reader.i8("resource_type")?;
        let name = TopicName::from(reader.text("resource_name")?);
        reader.tags()?;
        Ok(AlteredTopic { name, error, message })
    })?;
    Ok(AlterConfigsAnswer { topics })
}
