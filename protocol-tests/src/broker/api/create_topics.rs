//! CreateTopics. 2 throttle time; 4 partition and replication defaults (-1); 5 flexible, configs in the answer;
//! 7 topic ids.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use uuid::Uuid;

use crate::broker::access::Operation;
use crate::broker::call::{Call, Step, text};
use crate::broker::configs::{effective, topic_configs};
use crate::broker::control::Refused;
use crate::broker::core::Core;

pub(crate) fn handle(core: &mut Core, call: &Call, request: CreateTopicsRequest) -> Step {
    let results = request.topics.iter().map(|topic| {
        let result = CreatableTopicResult::default().with_name(topic.name.clone());
        match create(core, topic, request.validate_only) {
            Ok(()) => described(core, topic, result),
            Err((code, message)) => result
                .with_error_code(code.code())
                .with_error_message(Some(text(message)))
                .with_num_partitions(-1)
                .with_replication_factor(-1),
        }
    });
    call.reply(&CreateTopicsResponse::default().with_topics(results.collect()))
}

fn create(core: &mut Core, topic: &CreatableTopic, validate_only: bool) -> Result<(), Refused> {
    let name = topic.name.as_str();
    if !core.access.may(Operation::CreateTopic, name) {
        return Err((ResponseError::TopicAuthorizationFailed, "Authorization failed.".to_owned()));
    }
    let assigned = topic.assignments.first().map(|assignment| assignment.broker_ids.len() as i16);
    let partitions = match topic.num_partitions {
        -1 if assigned.is_some() => topic.assignments.len() as i32,
        -1 => core.broker_config("num.partitions").parse().unwrap_or(1),
        count => count,
    };
    let replicas = assigned.or(Some(topic.replication_factor).filter(|factor| *factor != -1));
    let value = |value: &Option<_>| {
        value.as_ref().map_or_else(String::new, |value: &kafka_protocol::protocol::StrBytes| value.to_string())
    };
    let configs: Vec<(String, String)> =
        topic.configs.iter().map(|config| (config.name.to_string(), value(&config.value))).collect();
    let configs: Vec<(&str, &str)> = configs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let existed = core.topics.contains_key(name);
    core.create_topic_with(name, partitions, replicas, &configs)?;
    if validate_only && !existed {
        core.delete_topic(name);
    }
    Ok(())
}

fn described(core: &Core, topic: &CreatableTopic, result: CreatableTopicResult) -> CreatableTopicResult {
    let Some(made) = core.topics.get(topic.name.as_str()) else { return result };
    let configs = topic_configs(core.version).map(|config| {
        let (value, source) = effective(config, &made.overrides, &core.broker_configs);
        CreatableTopicConfigs::default()
            .with_name(text(config.name))
            .with_value(Some(text(value)))
            .with_config_source(source as i8)
    });
    let replicas = made.partitions.first().map_or(0, |partition| partition.replicas.len());
    result
        .with_topic_id(Uuid::from_u128(made.id))
        .with_num_partitions(made.partitions.len() as i32)
        .with_replication_factor(replicas as i16)
        .with_configs(Some(configs.collect()))
}
