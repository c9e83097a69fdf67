//! A look at single batches.

use super::cut;
use crate::batch::{Entry, Piece, batches};
use crate::cluster::client::Cluster;
use crate::cluster::connection::Connection;
use crate::cluster::error::{ClusterError, Subject};
use crate::cluster::metadata::Leader;
use crate::kafka::{Offset, TopicPartition};
use crate::wire::ApiKey;
use crate::wire::fetch::{FetchPartition, FetchRequest, Isolation};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A place in a log.
type At = (TopicPartition, Offset);

/// Brokers send the first batch of a request whole, however little is asked for (KIP-74).
const LITTLE: i32 = 1;

impl Cluster {
    /// What `read` finds in the batch or message set at each place, or in the first one behind it, also where its
    /// transaction is still open. `None` at the log's end, and where the bytes there are corrupt. Each costs a request
    /// and a batch, which is not kept.
    pub async fn peek<T: Send + 'static>(
        &self,
        places: &[At],
        read: fn(&Entry, Offset) -> Option<T>,
    ) -> BTreeMap<At, Result<Option<T>, ClusterError>> {
        self.rounds(places.to_vec(), |left| async move {
            let mut answers = BTreeMap::new();
            let mut by_leader: BTreeMap<_, Vec<_>> = BTreeMap::new();
            let partitions: Vec<TopicPartition> = left.iter().map(|(at, _)| at.clone()).collect();
            let leaders = self.leaders(&partitions).await;
            for place in left {
                match leaders.get(&place.0) {
                    Some(Ok(Leader { broker, .. })) => by_leader.entry(*broker).or_default().push(place),
                    Some(Err(error)) => drop(answers.insert(place, Err(error.clone()))),
                    None => {}
                }
            }
            let ask = move |connection: Arc<Connection>, share: Vec<At>| async move {
                let mut seen = Vec::new();
                for place in share {
                    let found = peek(&connection, &place, read).await;
                    seen.push((place, found));
                }
                Ok(seen)
            };
            let subject = |(at, _): &At| Subject::Partition(at.clone());
            // One place to a request: only its first batch comes whole.
            answers.append(&mut self.shares(ApiKey::Fetch, subject, cut(by_leader, 1), ask).await);
            answers
        })
        .await
    }
}

async fn peek<T>(
    connection: &Connection,
    (at, offset): &At,
    read: fn(&Entry, Offset) -> Option<T>,
) -> Result<Option<T>, ClusterError> {
    let partition = FetchPartition { at: at.clone(), leader_epoch: None, offset: *offset, max_bytes: LITTLE };
    let request = FetchRequest {
        max_wait: Duration::ZERO,
        min_bytes: 0,
        max_bytes: LITTLE,
        isolation: Isolation::ReadUncommitted,
        rack: String::new(),
        partitions: vec![partition],
    };
    let (answer, _) = connection.fetch(&request).await?;
    let check = |code| connection.check(ApiKey::Fetch, Subject::Partition(at.clone()), code, None);
    check(answer.error)?;
    let Some(fetched) = answer.partitions.into_iter().find(|fetched| fetched.at == *at) else { return Ok(None) };
    check(fetched.error)?;
    let entries = batches(fetched.records).map_while(|piece| match piece {
        Ok(Piece::Batch(batch)) => Some(Entry::Batch(batch)),
        Ok(Piece::Set(set)) => Some(Entry::Set(set)),
        Ok(Piece::Partial { .. }) | Err(_) => None,
    });
    // A Fetch from the middle of a log may begin with a batch in front of the place.
    let entry = { entries }.find(|entry| entry.next_offset() > *offset);
    Ok(entry.and_then(|entry| read(&entry, *offset)))
}
