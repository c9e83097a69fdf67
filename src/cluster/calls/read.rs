//! Records of one partition, for readers that are in no hurry.

use bytes::Bytes;

use crate::cluster::client::Cluster;
use crate::cluster::connection::Use;
use crate::cluster::error::{ClusterError, ErrorKind, Subject};
use crate::kafka::{ErrorCode, Offset, TopicPartition};
use crate::wire::ApiKey;
use crate::wire::fetch::{FetchPartition, FetchRequest, FetchedPartition, Isolation};
use std::time::Duration;

/// How long a broker may wait for records.
const MAX_WAIT: Duration = Duration::from_millis(500);

impl Cluster {
    /// Reads about `bytes` of a partition from `offset` on, from its leader; a first batch that is larger comes whole.
    /// Moved leaders and broken connections are followed as often as the retry policy says. The records are the caller's
    /// own memory and hold no other reader's up. `used` spreads readers over connections.
    ///
    /// # Errors
    /// OFFSET_OUT_OF_RANGE where the log starts behind `offset` or ends in front of it; whatever outlasts the retries.
    pub async fn read(
        &self,
        at: &TopicPartition,
        offset: Offset,
        bytes: usize,
        isolation: Isolation,
        used: u16,
    ) -> Result<FetchedPartition, ClusterError> {
        let max_bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
        self.repeat(|| self.read_once(at, offset, max_bytes, isolation, used)).await
    }

    /// The error for a partition that an answer left out.
    pub(crate) fn unanswered(&self, at: &TopicPartition) -> ClusterError {
        self.error(None, Subject::Partition(at.clone()), ErrorKind::Unanswered)
    }

    async fn read_once(
        &self,
        at: &TopicPartition,
        offset: Offset,
        max_bytes: i32,
        isolation: Isolation,
        used: u16,
    ) -> Result<FetchedPartition, ClusterError> {
        let subject = || Subject::Partition(at.clone());
        let code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        let unknown = || self.error(Some(ApiKey::Metadata), subject(), ErrorKind::Code { code, message: None });
        let leader = self.leaders(std::slice::from_ref(at)).await.remove(at).unwrap_or_else(|| Err(unknown()))?;
        let asked = async {
            let connection = self.connection(leader.broker, Use::Data(used)).await?;
            let partition = FetchPartition { at: at.clone(), leader_epoch: None, offset, max_bytes };
            let request = FetchRequest {
                max_wait: MAX_WAIT,
                min_bytes: 1,
                max_bytes,
                isolation,
                rack: String::new(),
                partitions: vec![partition],
            };
            let (answer, _) = connection.fetch(&request).await?;
            let check = |code| connection.check(ApiKey::Fetch, subject(), code, None);
            check(answer.error)?;
            // A broker that throttles leaves the partitions out.
            let fetched = answer.partitions.into_iter().find(|fetched| fetched.at == *at);
            let unanswered = || ClusterError::new(connection.place(ApiKey::Fetch, subject()), ErrorKind::Unanswered);
            let fetched = fetched.ok_or_else(unanswered)?;
            check(fetched.error)?;
            Ok(fetched)
        };
        // Whatever goes wrong on the way, the leader is looked up again.
        let fetched = asked.await.map_err(|error: ClusterError| error.about(subject()))?;
        Ok(FetchedPartition { records: Bytes::copy_from_slice(&fetched.records), ..fetched })
    }
}
