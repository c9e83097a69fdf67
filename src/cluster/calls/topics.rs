//! Creating topics.

use crate::cluster::calls::offsets::Edge;
use crate::cluster::client::Cluster;
use crate::cluster::connection::{Connection, Use};
use crate::cluster::error::{ClusterError, ErrorKind, Subject};
use crate::cluster::retry::Attempts;
use crate::kafka::{BrokerId, ErrorCode, Retry, TopicName, TopicPartition};
use crate::wire::ApiKey;
use crate::wire::messages::{CreateTopics, CreatedTopic, Metadata, MetadataTopic, NewTopic};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long the controller may take for a request.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Topics that one request creates at most.
const MOST: usize = 50;

impl Cluster {
    /// Creates topics, or only checks whether they could be created. Per topic an error, or success: with
    /// `validate_only` that it could be created, otherwise that it is there and that each of its partitions has a leader
    /// that serves.
    ///
    /// A request without a clear answer is repeated; TOPIC_ALREADY_EXISTS after that counts as created by us.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> BTreeMap<TopicName, Result<(), ClusterError>> {
        let specs: BTreeMap<_, _> = topics.iter().map(|topic| (topic.name.clone(), topic)).collect();
        let unclear = Mutex::new(BTreeSet::new());
        let (specs, unclear) = (&specs, &unclear);
        let mut created = self
            .rounds(specs.keys().cloned().collect(), |left| async move {
                let mut answers = BTreeMap::new();
                for share in left.chunks(MOST) {
                    let wanted =
                        share.iter().filter_map(|name| specs.get(name).map(|topic| (*topic).clone())).collect();
                    answers.append(&mut self.ask_creation(wanted, validate_only, unclear).await);
                }
                answers
            })
            .await;
        if !validate_only {
            self.wait_until_known(specs, &mut created).await;
            self.wait_for_leaders(specs, &mut created).await;
        }
        created
    }

    async fn ask_creation(
        &self,
        topics: Vec<NewTopic>,
        validate_only: bool,
        unclear: &Mutex<BTreeSet<TopicName>>,
    ) -> BTreeMap<TopicName, Result<(), ClusterError>> {
        let names: Vec<_> = topics.iter().map(|topic| topic.name.clone()).collect();
        let mut answers = match self.ask_controller(CreateTopics { topics, timeout: TIMEOUT, validate_only }).await {
            Ok(answers) => answers,
            Err(error) => {
                names.iter().map(|name| (name.clone(), Err(error.about(Subject::Topic(name.clone()))))).collect()
            }
        };
        let mut unclear = unclear.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            let left_out = || {
                let subject = Subject::Topic(name.clone());
                Err(self.error(Some(ApiKey::CreateTopics), subject, ErrorKind::Unanswered))
            };
            let answer = answers.entry(name.clone()).or_insert_with(left_out);
            match answer {
                Err(error) if error.code() == Some(ErrorCode::TOPIC_ALREADY_EXISTS) && unclear.contains(&name) => {
                    *answer = Ok(());
                }
                Err(error) if may_exist(error) => drop(unclear.insert(name)),
                _ => {}
            }
        }
        answers
    }

    /// Asks the controller; before KRaft the others refuse, and metadata says anew who it is.
    async fn ask_controller(
        &self,
        request: CreateTopics,
    ) -> Result<BTreeMap<TopicName, Result<(), ClusterError>>, ClusterError> {
        self.metadata_of_brokers().await?;
        let controller = self.controller();
        let unknown = || self.error(Some(ApiKey::CreateTopics), Subject::Whole, ErrorKind::UnknownBroker);
        let connection = self.connection(controller.ok_or_else(unknown)?, Use::Control(0)).await?;
        let answer = connection.call(&request, Subject::Whole).await?;
        let checked = |topic: CreatedTopic| {
            let (subject, message) = (Subject::Topic(topic.name.clone()), topic.message.as_deref());
            let checked = connection.check(ApiKey::CreateTopics, subject, topic.error, message);
            (topic.name, checked)
        };
        Ok(answer.topics.into_iter().map(checked).collect())
    }

    /// Each broker hears of a new topic by itself, and a leader that has not refuses Produce, although it answers
    /// ListOffsets (seen on three nodes of 2.8.2): every broker is asked until it knows all leaders. That takes a busy one
    /// minutes for thousands of partitions: the retry policy ends it once no more of them become known. A broker that can't
    /// be reached leads nothing and is not waited for.
    async fn wait_until_known(
        &self,
        specs: &BTreeMap<TopicName, &NewTopic>,
        created: &mut BTreeMap<TopicName, Result<(), ClusterError>>,
    ) {
        let names = || created.iter().filter(|(_, made)| made.is_ok()).map(|(name, _)| name.clone());
        let keys = self.brokers().into_iter().flat_map(|broker| names().map(move |name| (broker.id, name)));
        let mut keys: Vec<(BrokerId, TopicName)> = keys.collect();
        let counts: BTreeMap<_, _> = specs.iter().map(|(name, topic)| (name.clone(), topic.partitions)).collect();
        let counts = Arc::new(counts);
        let ask = |left: Vec<(BrokerId, TopicName)>| {
            let counts = Arc::clone(&counts);
            async move {
                let subject = |(_, name): &(BrokerId, TopicName)| Subject::Topic(name.clone());
                let shares = left
                    .chunk_by(|a, b| a.0 == b.0)
                    .filter_map(|share| Some((share.first()?.0, Use::Control(0), share.to_vec())));
                let ask = move |connection: Arc<Connection>, share: Vec<(BrokerId, TopicName)>| {
                    let counts = Arc::clone(&counts);
                    async move { ask_known(&connection, share, &counts).await }
                };
                self.shares(ApiKey::Metadata, subject, shares.collect(), ask).await
            }
        };
        loop {
            let asked = keys.len();
            let known = self.rounds(std::mem::take(&mut keys), ask).await;
            let refused = known.into_iter().filter_map(|(key, known)| Some((key, known.err()?)));
            let refused: BTreeMap<_, _> = refused.filter(|(_, error)| error.code().is_some()).collect();
            if refused.is_empty() || refused.len() == asked {
                return created.extend(refused.into_iter().map(|((_, name), error)| (name, Err(error))));
            }
            keys.extend(refused.into_keys());
        }
    }

    /// A new topic may be unknown to some brokers for a while, and its leaders may refuse at first: ListOffsets is
    /// repeated until all serve, or the retry policy ends it.
    async fn wait_for_leaders(
        &self,
        specs: &BTreeMap<TopicName, &NewTopic>,
        created: &mut BTreeMap<TopicName, Result<(), ClusterError>>,
    ) {
        let is_created = |topic: &&&NewTopic| created.get(&topic.name).is_some_and(Result::is_ok);
        let partitions = |topic: &&NewTopic| {
            let name = topic.name.clone();
            (0..topic.partitions).map(move |partition| TopicPartition::new(name.clone(), partition))
        };
        let mut left: Vec<_> = specs.values().filter(is_created).flat_map(partitions).collect();
        let (begun, mut attempts) = (Instant::now(), Attempts::new(self.0.options.retry));
        loop {
            let listed = self.list_offsets(Edge::LogEnd, &left).await;
            let failed: BTreeMap<_, _> =
                listed.into_iter().filter_map(|(at, listed)| Some((at, listed.err()?))).collect();
            left = failed.keys().cloned().collect();
            let is_final = failed.values().any(|error| error.retry() == Retry::Never);
            match self.pause(&mut attempts, begun).filter(|_| !failed.is_empty() && !is_final) {
                Some(wait) => sleep(wait).await,
                None => return created.extend(failed.into_iter().map(|(at, error)| (at.topic, Err(error)))),
            }
        }
    }
}

/// Whether the broker at the other end knows each topic, which is there, with all its partitions and their leaders.
async fn ask_known(
    connection: &Connection,
    share: Vec<(BrokerId, TopicName)>,
    counts: &BTreeMap<TopicName, i32>,
) -> Result<Vec<((BrokerId, TopicName), Result<(), ClusterError>)>, ClusterError> {
    let names = share.iter().map(|(_, name)| name.clone()).collect();
    let answer = connection.call(&Metadata { topics: Some(names) }, Subject::Whole).await?;
    let topics: BTreeMap<TopicName, MetadataTopic> =
        answer.topics.into_iter().map(|topic| (topic.name.clone(), topic)).collect();
    let known = |key: (BrokerId, TopicName)| {
        let code = topics.get(&key.1).map_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, |topic| {
            let led = topic.partitions.iter().filter(|partition| partition.leader.is_some()).count();
            let whole = counts.get(&key.1).is_some_and(|count| usize::try_from(*count) == Ok(led));
            if topic.error == ErrorCode::NONE && !whole { ErrorCode::LEADER_NOT_AVAILABLE } else { topic.error }
        });
        // It was created a moment ago: the broker will hear of it.
        let code = if code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION { ErrorCode::LEADER_NOT_AVAILABLE } else { code };
        let checked = connection.check(ApiKey::Metadata, Subject::Topic(key.1.clone()), code, None);
        (key, checked)
    };
    Ok(share.into_iter().map(known).collect())
}

/// Whether the topic may have been created although the answer is an error.
fn may_exist(error: &ClusterError) -> bool {
    match error.code() {
        Some(code) => code == ErrorCode::REQUEST_TIMED_OUT,
        None => error.sent(),
    }
}
