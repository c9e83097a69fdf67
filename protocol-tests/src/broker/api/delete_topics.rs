//! DeleteTopics. 1 throttle time; 4 flexible; 5 error message; 6 by id.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};

use crate::broker::access::Operation;
use crate::broker::call::{Call, Step, text};
use crate::broker::core::Core;

pub(crate) fn handle(core: &mut Core, call: &Call, request: DeleteTopicsRequest) -> Step {
    let named = request.topic_names.into_iter().map(|name| DeleteTopicState::default().with_name(Some(name)));
    let asked: Vec<DeleteTopicState> = request.topics.into_iter().chain(named).collect();
    let results = asked.into_iter().map(|asked| {
        let id = asked.topic_id.as_u128();
        let name = match asked.name {
            Some(name) => Ok(name.to_string()),
            None => core.topic_named(id).map(str::to_owned).ok_or(ResponseError::UnknownTopicId),
        };
        let result = DeletableTopicResult::default().with_topic_id(asked.topic_id);
        match name {
            Err(code) => result.with_error_code(code.code()),
            Ok(name) => {
                let code = delete(core, &name).err().map_or(0, |code| code.code());
                result.with_name(Some(TopicName(text(name)))).with_error_code(code)
            }
        }
    });
    let results = results.collect();
    call.reply(&DeleteTopicsResponse::default().with_responses(results))
}

fn delete(core: &mut Core, name: &str) -> Result<(), ResponseError> {
    if !core.access.may(Operation::DeleteTopic, name) {
        return Err(ResponseError::TopicAuthorizationFailed);
    }
    if core.delete_topic(name) { Ok(()) } else { Err(ResponseError::UnknownTopicOrPartition) }
}
