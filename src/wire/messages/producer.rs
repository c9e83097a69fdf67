//! InitProducerId: a producer id for idempotent writes (KIP-98), never with a transactional id.

use super::write;
use crate::kafka::{ErrorCode, ProducerEpoch, ProducerId};
use crate::wire::{ApiKey, Request, Rope, WireError};
use bytes::Bytes;
use kafka_protocol::messages::InitProducerIdRequest;

/// Asks any broker for a new producer id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InitProducerId;

/// A broker's answer to [`InitProducerId`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InitProducerIdAnswer {
    /// NONE, or why there is no id.
    pub error: ErrorCode,
    /// The new id; -1 with an error.
    pub producer: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
}

impl Request for InitProducerId {
    const API: ApiKey = ApiKey::InitProducerId;
    type Answer = InitProducerIdAnswer;

    fn encode(&self, version: i16) -> Result<Rope, WireError> {
        // The library's default is an empty transactional id, which is not none.
        let request = InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(0);
        write(&request, version)
    }

    fn decode(version: i16, body: Bytes) -> Result<InitProducerIdAnswer, WireError> {
        let mut reader = super::reader::<Self>(version, &body);
        reader.throttle()?;
        let error = reader.code()?;
        let producer = ProducerId(reader.i64("producer_id")?);
        Ok(InitProducerIdAnswer { error, producer, epoch: ProducerEpoch(reader.i16("producer_epoch")?) })
    }
}
