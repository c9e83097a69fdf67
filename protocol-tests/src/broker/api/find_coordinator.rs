//! FindCoordinator. 1 key types (0 group, 1 transaction); 3 flexible; 4 several keys at once; 6 share groups.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;

use crate::broker::access::Operation;
use crate::broker::call::{Call, Step, text};
use crate::broker::core::Core;

pub(crate) fn handle(core: &mut Core, call: &Call, request: FindCoordinatorRequest) -> Step {
    super::offsets_topic(core);
    if call.version >= 4 {
        let keys = request.coordinator_keys.into_iter();
        let found = keys.map(|key| find(core, request.key_type, key)).collect();
        return call.reply(&FindCoordinatorResponse::default().with_coordinators(found));
    }
    let found = find(core, request.key_type, request.key);
    call.reply(
        &FindCoordinatorResponse::default()
            .with_error_code(found.error_code)
            .with_error_message(found.error_message)
            .with_node_id(found.node_id)
            .with_host(found.host)
            .with_port(found.port),
    )
}

fn find(core: &Core, key_type: i8, key: StrBytes) -> Coordinator {
    let (operation, denied) = match key_type {
        1 => (Operation::WriteTransaction, ResponseError::TransactionalIdAuthorizationFailed),
        _ => (Operation::DescribeGroup, ResponseError::GroupAuthorizationFailed),
    };
    let found = match core.coordinator(&key) {
        _ if !core.access.may(operation, &key) => Err(denied),
        _ if !matches!(key_type, 0 | 1) => Err(ResponseError::InvalidRequest),
        None => Err(ResponseError::CoordinatorNotAvailable),
        Some(id) => core.nodes.get(&id).map(|node| (id, node)).ok_or(ResponseError::CoordinatorNotAvailable),
    };
    let answer = Coordinator::default().with_key(key);
    match found {
        Ok((id, node)) => answer.with_node_id(BrokerId(id)).with_host(text(&node.host)).with_port(i32::from(node.port)),
        Err(code) => answer.with_error_code(code.code()).with_node_id(BrokerId(-1)).with_port(-1),
    }
}
