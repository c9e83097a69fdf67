//! AlterConfigs: replaces ALL overrides of a topic. 2 flexible.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::TOPIC;
use crate::broker::access::Operation;
use crate::broker::call::{Call, Step, text};
use crate::broker::control::Refused;
use crate::broker::core::Core;

pub(crate) fn handle(core: &mut Core, call: &Call, request: AlterConfigsRequest) -> Step {
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
    call.reply(&AlterConfigsResponse::default().with_responses(responses))
}

fn alter(core: &mut Core, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), Refused> {
    let name = resource.resource_name.as_str();
    if resource.resource_type != TOPIC {
        return Err((ResponseError::InvalidRequest, "Unsupported resource type.".to_owned()));
    }
    if !core.access.may(Operation::AlterConfigs, name) {
        return Err((ResponseError::TopicAuthorizationFailed, "Topic authorization failed.".to_owned()));
    }
    let kept = |name: &String| resource.configs.iter().any(|config| config.name.as_str() == name);
    let overrides = core.topics.get(name).into_iter().flat_map(|topic| topic.overrides.keys());
    let removed = overrides.filter(|name| !kept(name)).map(|name| (name.clone(), None));
    let set = resource
        .configs
        .iter()
        .map(|config| (config.name.to_string(), Some(config.value.as_deref().unwrap_or_default().to_owned())));
    let changes: Vec<(String, Option<String>)> = removed.chain(set).collect();
    core.alter_topic(name, &changes, validate_only)
}
