//! A producer id.

use crate::cluster::client::Cluster;
use crate::cluster::error::{ClusterError, Subject};
use crate::kafka::{ProducerEpoch, ProducerId};
use crate::wire::ApiKey;
use crate::wire::messages::InitProducerId;

impl Cluster {
    /// A new producer id and its epoch, from any broker. An id that is lost on the way is never used by anyone.
    pub async fn init_producer_id(&self) -> Result<(ProducerId, ProducerEpoch), ClusterError> {
        self.repeat(|| async move {
            let (connection, answer) = self.ask_any(&InitProducerId, Subject::Whole).await?;
            connection.check(ApiKey::InitProducerId, Subject::Whole, answer.error, None)?;
            Ok((answer.producer, answer.epoch))
        })
        .await
    }
}
