//! DescribeConfigs: effective values and where they come from. 1 sources and synonyms; 3 types and documentation;
//! 4 flexible. Topics (2) and brokers (4); the broker configs are the same on every node.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use super::{BROKER, TOPIC};
use crate::broker::access::Operation;
use crate::broker::call::{Call, Step, text};
use crate::broker::configs::{Kind, Source, broker_configs, effective, topic_configs};
use crate::broker::core::Core;

type Configs = Vec<DescribeConfigsResourceResult>;

pub(crate) fn handle(core: &mut Core, call: &Call, request: DescribeConfigsRequest) -> Step {
    let results = request.resources.iter().map(|resource| {
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match describe(core, resource, request.include_synonyms) {
            Ok(configs) => result.with_configs(configs),
            Err(code) => result.with_error_code(code.code()).with_error_message(Some(text(format!("{code:?}")))),
        }
    });
    call.reply(&DescribeConfigsResponse::default().with_results(results.collect()))
}

fn describe(core: &Core, resource: &DescribeConfigsResource, synonyms: bool) -> Result<Configs, ResponseError> {
    let name = resource.resource_name.as_str();
    let mut configs = match resource.resource_type {
        TOPIC if !core.access.may(Operation::DescribeConfigs, name) => {
            return Err(ResponseError::TopicAuthorizationFailed);
        }
        TOPIC => of_topic(core, name, synonyms)?,
        BROKER if !core.access.may(Operation::DescribeConfigs, "kafka-cluster") => {
            return Err(ResponseError::ClusterAuthorizationFailed);
        }
        // Asked for the cluster's defaults (no name), a broker lists what was set dynamically: nothing.
        BROKER if name.is_empty() => Vec::new(),
        BROKER => of_broker(core, name)?,
        _ => return Err(ResponseError::InvalidRequest),
    };
    if let Some(keys) = resource.configuration_keys.as_ref().filter(|keys| !keys.is_empty()) {
        configs.retain(|config| keys.contains(&config.name));
    }
    Ok(configs)
}

fn entry(name: &str, value: &str, source: Source, kind: Kind) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult::default()
        .with_name(text(name))
        .with_value(Some(text(value)))
        .with_config_source(source as i8)
        .with_config_type(kind as i8)
}

fn of_topic(core: &Core, name: &str, synonyms: bool) -> Result<Configs, ResponseError> {
    let topic = core.topics.get(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
    let entries = topic_configs(core.version).map(|config| {
        let (value, source) = effective(config, &topic.overrides, &core.broker_configs);
        let synonym = |name: &str, value: &str, source: Source| {
            DescribeConfigsSynonym::default()
                .with_name(text(name))
                .with_value(Some(StrBytes::from_string(value.to_owned())))
                .with_source(source as i8)
        };
        let own = topic.overrides.get(config.name).map(|value| synonym(config.name, value, Source::Topic));
        let broker = core.broker_configs.get(config.synonym);
        let broker = broker.map(|value| synonym(config.synonym, value, Source::StaticBroker));
        let default = (!config.synonym.is_empty()).then(|| synonym(config.synonym, config.default, Source::Default));
        let listed = own.into_iter().chain(broker).chain(default).filter(|_| synonyms).collect();
        entry(config.name, value, source, config.kind).with_synonyms(listed)
    });
    Ok(entries.collect())
}

fn of_broker(core: &Core, name: &str) -> Result<Configs, ResponseError> {
    let known = name.parse().is_ok_and(|id: i32| core.nodes.contains_key(&id));
    if !known {
        return Err(ResponseError::InvalidRequest);
    }
    let entries = broker_configs(core.version).map(|(name, default, kind)| match core.broker_configs.get(*name) {
        Some(value) => entry(name, value, Source::StaticBroker, *kind),
        None => entry(name, default, Source::Default, *kind),
    });
    let id = entry("broker.id", name, Source::StaticBroker, Kind::Int).with_read_only(true);
    Ok(entries.chain([id]).collect())
}
