//! IncrementalAlterConfigs: sets (0) or deletes (1) single configs, appends to (2) or takes from (3) lists. 1 flexible.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::{BROKER, TOPIC};
use crate::broker::access::Operation;
use crate::broker::call::{Call, Step, text};
use crate::broker::configs::{effective, topic_configs};
use crate::broker::control::Refused;
use crate::broker::core::Core;

pub(crate) fn handle(core: &mut Core, call: &Call, request: IncrementalAlterConfigsRequest) -> Step {
    let validate_only = request.validate_only;
    let responses = request.resources.into_iter().map(|resource| {
        let result = alter(core, &resource, validate_only);
        let answer = AlterConfigsResourceResponse::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name);
        match result {
            Ok(()) => answer.with_error_message(None),
            Err((code, message)) => answer.with_error_code(code.code()).with_error_message(Some(text(message))),
        }
    });
    let responses = responses.collect();
    call.reply(&IncrementalAlterConfigsResponse::default().with_responses(responses))
}

fn alter(core: &mut Core, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), Refused> {
    let name = resource.resource_name.as_str();
    match resource.resource_type {
        TOPIC if !core.access.may(Operation::AlterConfigs, name) => {
            Err((ResponseError::TopicAuthorizationFailed, "Topic authorization failed.".to_owned()))
        }
        TOPIC => {
            let changes: Result<Vec<_>, Refused> =
                resource.configs.iter().map(|config| change(core, name, config)).collect();
            core.alter_topic(name, &changes?, validate_only)
        }
        BROKER if !core.access.may(Operation::AlterConfigs, "kafka-cluster") => {
            Err((ResponseError::ClusterAuthorizationFailed, "Cluster authorization failed.".to_owned()))
        }
        BROKER => {
            for config in resource.configs.iter().filter(|_| !validate_only) {
                core.set_broker_config(&config.name, config.value.as_deref().unwrap_or_default());
            }
            Ok(())
        }
        _ => Err((ResponseError::InvalidRequest, "Unsupported resource type.".to_owned())),
    }
}

/// What a config becomes; `None` is the default again.
fn change(core: &Core, topic: &str, config: &AlterableConfig) -> Result<(String, Option<String>), Refused> {
    let name = config.name.to_string();
    let given = config.value.as_deref().unwrap_or_default();
    let now = || {
        let known = topic_configs(core.version).find(|known| known.name == name);
        let topic = core.topics.get(topic);
        let value =
            known.zip(topic).map_or("", |(known, topic)| effective(known, &topic.overrides, &core.broker_configs).0);
        value.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<String>>()
    };
    let value = match config.config_operation {
        0 => Some(given.to_owned()),
        1 => None,
        2 => Some(now().into_iter().chain(given.split(',').map(str::to_owned)).collect::<Vec<_>>().join(",")),
        3 => Some(
            now().into_iter().filter(|word| !given.split(',').any(|gone| gone == word)).collect::<Vec<_>>().join(","),
        ),
        _ => return Err((ResponseError::InvalidRequest, "Unknown operation.".to_owned())),
    };
    Ok((name, value))
}
