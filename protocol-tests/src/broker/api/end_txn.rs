//! EndTxn. 2 PRODUCER_FENCED; 3 flexible; 5 the answer carries the epoch of the next transaction (KIP-890).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{EndTxnRequest, EndTxnResponse, ProducerId};

use crate::broker::call::{Call, Step};
use crate::broker::core::Core;

pub(crate) fn handle(core: &mut Core, call: &Call, request: EndTxnRequest) -> Step {
    let id = request.transactional_id.as_str();
    let ended = if core.coordinator(id) == Some(call.node) {
        let bump = call.version >= 5;
        core.end_transaction(id, request.producer_id.0, request.producer_epoch, request.committed, bump)
    } else {
        Err(ResponseError::NotCoordinator)
    };
    let answer = EndTxnResponse::default();
    call.reply(&match ended {
        Ok((producer, epoch)) if call.version >= 5 => {
            answer.with_producer_id(ProducerId(producer)).with_producer_epoch(epoch)
        }
        Ok(_) => answer,
        Err(code) => answer.with_error_code(Core::fenced(code, call.version >= 2).code()),
    })
}
