//! AddOffsetsToTxn: the transaction will hold offsets of a group. 2 PRODUCER_FENCED; 3 flexible.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use crate::broker::access::Operation;
use crate::broker::call::{Call, Step};
use crate::broker::core::Core;

pub(crate) fn handle(core: &mut Core, call: &Call, request: AddOffsetsToTxnRequest) -> Step {
    let id = request.transactional_id.as_str();
    let added = if core.coordinator(id) != Some(call.node) {
        Err(ResponseError::NotCoordinator)
    } else if !core.access.may(Operation::ReadGroup, &request.group_id) {
        Err(ResponseError::GroupAuthorizationFailed)
    } else {
        core.add_to_transaction(id, request.producer_id.0, request.producer_epoch, [])
    };
    let code = added.err().map_or(0, |code| Core::fenced(code, call.version >= 2).code());
    call.reply(&AddOffsetsToTxnResponse::default().with_error_code(code))
}
