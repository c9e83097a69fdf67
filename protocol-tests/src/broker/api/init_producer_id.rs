//! InitProducerId. 2 flexible; 3 a producer may name its id and epoch; 4 PRODUCER_FENCED; 5 transactions of version 2.
//! Without a transactional id every version answers a NEW producer id with epoch 0, whatever was named.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use crate::broker::access::Operation;
use crate::broker::call::{Call, Step};
use crate::broker::core::Core;

pub(crate) fn handle(core: &mut Core, call: &Call, request: InitProducerIdRequest) -> Step {
    let id = request.transactional_id.as_ref().map(|id| id.as_str());
    let result = match id {
        Some(id) if !core.access.may(Operation::WriteTransaction, id) => {
            Err(ResponseError::TransactionalIdAuthorizationFailed)
        }
        None if !core.access.may(Operation::IdempotentWrite, "kafka-cluster") => {
            Err(ResponseError::ClusterAuthorizationFailed)
        }
        Some(id) if core.coordinator(id) != Some(call.node) => Err(ResponseError::NotCoordinator),
        id => core.init_producer(id, i64::from(request.transaction_timeout_ms)),
    };
    let answer = InitProducerIdResponse::default();
    call.reply(&match result {
        Ok((producer_id, epoch)) => answer.with_producer_id(ProducerId(producer_id)).with_producer_epoch(epoch),
        Err(code) => answer
            .with_error_code(Core::fenced(code, call.version >= 4).code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1),
    })
}
