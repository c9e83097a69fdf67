//! What is known about a cluster: brokers, leaders, coordinators; and looking it up.

use super::client::Cluster;
use super::error::{ClusterError, ErrorKind, Node, Subject};
use crate::kafka::{
    BrokerId, ErrorCode, GroupId, HostPort, LeaderEpoch, PartitionId, TopicId, TopicName, TopicPartition,
};
use crate::wire::ApiKey;
use crate::wire::messages::{Metadata, MetadataAnswer, MetadataTopic};
use std::collections::{BTreeMap, BTreeSet};

/// A broker of the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broker {
    /// Its node id.
    pub id: BrokerId,
    /// Where it says that it is reached.
    pub address: HostPort,
    /// Its rack.
    pub rack: Option<String>,
}

impl Broker {
    pub(super) fn node(&self) -> Node {
        Node { id: Some(self.id), address: self.address.clone() }
    }
}

/// Topics by name.
pub type Topics = BTreeMap<TopicName, Topic>;

/// A topic as the cluster describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topic {
    /// Its id, where the brokers have one (from 2.8 on).
    pub id: Option<TopicId>,
    /// Whether Kafka itself keeps state in it.
    pub internal: bool,
    /// NONE; UNKNOWN_TOPIC_OR_PARTITION where it does not exist, TOPIC_AUTHORIZATION_FAILED where it may not be seen.
    pub error: ErrorCode,
    /// Its partitions.
    pub partitions: BTreeMap<PartitionId, Partition>,
}

/// A partition as the cluster describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partition {
    /// The leader, where there is one.
    pub leader: Option<BrokerId>,
    /// The leader's epoch, where the brokers say it (from 2.1 on).
    pub leader_epoch: Option<LeaderEpoch>,
    /// All replicas.
    pub replicas: Vec<BrokerId>,
    /// The replicas that are in sync.
    pub in_sync: Vec<BrokerId>,
    /// NONE, or LEADER_NOT_AVAILABLE and the like.
    pub error: ErrorCode,
}

/// Who leads a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leader {
    /// The broker.
    pub broker: BrokerId,
    /// Its epoch, where the brokers say it.
    pub epoch: Option<LeaderEpoch>,
}

/// What the cluster's handles remember.
#[derive(Default)]
pub(super) struct State {
    pub(super) id: Option<String>,
    pub(super) controller: Option<BrokerId>,
    pub(super) brokers: BTreeMap<BrokerId, Broker>,
    pub(super) coordinators: BTreeMap<GroupId, BrokerId>,
    leaders: BTreeMap<TopicPartition, Result<Leader, ErrorCode>>,
    /// Topics that the last look-up could not describe.
    refused: BTreeMap<TopicName, ErrorCode>,
    /// Topics whose leaders the next look-up is to ask for.
    wanted: BTreeSet<TopicName>,
}

impl State {
    pub(super) fn learn(&mut self, answer: &MetadataAnswer) {
        self.id = answer.cluster_id.clone().or(self.id.take());
        self.controller = answer.controller;
        if !answer.brokers.is_empty() {
            self.brokers.clear();
        }
        for broker in &answer.brokers {
            self.learn_broker(broker.id, &broker.host, broker.port, broker.rack.clone());
        }
        answer.topics.iter().for_each(|topic| self.learn_topic(topic));
    }

    /// Takes a broker in, unless what it advertises is no address.
    pub(super) fn learn_broker(&mut self, id: BrokerId, host: &str, port: i32, rack: Option<String>) {
        if let Ok(port @ 1..) = u16::try_from(port)
            && !host.is_empty()
        {
            let address = HostPort { host: host.to_owned(), port };
            self.brokers.insert(id, Broker { id, address, rack });
        }
    }

    fn learn_topic(&mut self, topic: &MetadataTopic) {
        self.refused.remove(&topic.name);
        if let Err(code) = topic.error.check() {
            self.refused.insert(topic.name.clone(), code);
        }
        for partition in &topic.partitions {
            let at = TopicPartition { topic: topic.name.clone(), partition: partition.id };
            let leader = match (partition.leader, partition.error.check()) {
                (Some(broker), _) => Ok(Leader { broker, epoch: partition.leader_epoch }),
                (None, Err(code)) => Err(code),
                (None, Ok(())) => Err(ErrorCode::LEADER_NOT_AVAILABLE),
            };
            self.leaders.insert(at, leader);
        }
    }
}

impl Cluster {
    /// The cluster's id, where the brokers have one (from 0.10.1 on).
    pub fn id(&self) -> Option<String> {
        self.state().id.clone()
    }

    /// The brokers that were up when last asked.
    pub fn brokers(&self) -> Vec<Broker> {
        self.state().brokers.values().cloned().collect()
    }

    /// The controller when last asked; any broker that forwards in its place counts (KRaft).
    pub fn controller(&self) -> Option<BrokerId> {
        self.state().controller
    }

    /// Describes topics by name, or all there are. A topic that does not exist, or may not be seen, has its error in
    /// [`Topic::error`]. Never creates a topic.
    pub async fn metadata(&self, topics: Option<&[TopicName]>) -> Result<Topics, ClusterError> {
        let answer = self.repeat(|| self.look_up(topics.map(<[_]>::to_vec))).await?;
        let mut found: Topics = answer.topics.into_iter().map(describe).collect();
        if let Some(topics) = topics {
            let unknown = || Topic {
                id: None,
                internal: false,
                error: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                partitions: BTreeMap::new(),
            };
            found = topics.iter().map(|name| (name.clone(), found.remove(name).unwrap_or_else(unknown))).collect();
        }
        Ok(found)
    }

    /// The ids of topics, of those that exist and where the brokers have ids.
    pub async fn topic_ids(&self, topics: &BTreeSet<TopicName>) -> Result<BTreeMap<TopicName, TopicId>, ClusterError> {
        let names: Vec<TopicName> = topics.iter().cloned().collect();
        let found = self.metadata(Some(&names)).await?;
        Ok(found.into_iter().filter_map(|(name, topic)| Some((name, topic.id?))).collect())
    }

    /// Looks up brokers and controller alone.
    pub(super) async fn metadata_of_brokers(&self) -> Result<(), ClusterError> {
        self.look_up(Some(Vec::new())).await.map(drop)
    }

    async fn look_up(&self, topics: Option<Vec<TopicName>>) -> Result<MetadataAnswer, ClusterError> {
        let subject = match topics.as_deref() {
            Some([topic]) => Subject::Topic(topic.clone()),
            _ => Subject::Whole,
        };
        let (_, answer) = self.ask_any(&Metadata { topics }, subject).await?;
        self.state().learn(&answer);
        Ok(answer)
    }

    /// The leaders of partitions as the last look-up at each told them; they may be others by now.
    pub fn remembered_leaders<'a>(&self, at: impl IntoIterator<Item = &'a TopicPartition>) -> Vec<Option<BrokerId>> {
        let state = self.state();
        let leader = |at| state.leaders.get(at).and_then(|leader| leader.as_ref().ok()).map(|leader| leader.broker);
        at.into_iter().map(leader).collect()
    }

    /// The partition's leader as remembered, or looked up where it is not.
    pub async fn leader(&self, at: &TopicPartition) -> Result<Leader, ClusterError> {
        self.repeat(|| async move {
            let mut leaders = self.leaders(std::slice::from_ref(at)).await;
            leaders.remove(at).unwrap_or_else(|| Err(self.no_leader(at, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)))
        })
        .await
    }

    /// The partition's leader, looked up anew: for callers whom a broker told that it is not, or no longer, the leader.
    pub async fn refresh_leader(&self, at: &TopicPartition) -> Result<Leader, ClusterError> {
        self.state().leaders.remove(at);
        self.leader(at).await
    }

    /// The leaders of partitions, once, with one look-up for all that are not remembered. Look-ups that callers want at
    /// the same time become one.
    pub(super) async fn leaders(
        &self,
        at: &[TopicPartition],
    ) -> BTreeMap<TopicPartition, Result<Leader, ClusterError>> {
        let unknown: BTreeSet<_> = {
            let mut state = self.state();
            let unknown: BTreeSet<_> = at
                .iter()
                .filter(|at| !matches!(state.leaders.get(at), Some(Ok(_))))
                .map(|at| at.topic.clone())
                .collect();
            state.wanted.extend(unknown.iter().cloned());
            unknown
        };
        let failed = if unknown.is_empty() { None } else { self.refresh(&unknown).await.err() };
        let state = self.state();
        let leader = |at: &TopicPartition| match (state.leaders.get(at), &failed) {
            (Some(Ok(leader)), _) => Ok(*leader),
            (_, Some(error)) => Err(error.about(Subject::Partition(at.clone()))),
            (Some(Err(code)), None) => Err(self.no_leader(at, *code)),
            (None, None) => {
                let code = state.refused.get(&at.topic).copied();
                Err(self.no_leader(at, code.unwrap_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)))
            }
        };
        at.iter().map(|at| (at.clone(), leader(at))).collect()
    }

    /// Looks up all topics that callers want by now, unless the caller in front has just done it for these.
    async fn refresh(&self, topics: &BTreeSet<TopicName>) -> Result<(), ClusterError> {
        let _turn = self.0.turn.lock().await;
        let wanted = {
            let mut state = self.state();
            if state.wanted.is_disjoint(topics) {
                return Ok(());
            }
            std::mem::take(&mut state.wanted)
        };
        self.look_up(Some(wanted.into_iter().collect())).await.map(drop)
    }

    fn no_leader(&self, at: &TopicPartition, code: ErrorCode) -> ClusterError {
        let kind = ErrorKind::Code { code, message: None };
        self.error(Some(ApiKey::Metadata), Subject::Partition(at.clone()), kind)
    }

    /// Forgets what an error makes doubtful.
    pub(super) fn forget(&self, error: &ClusterError) {
        let mut state = self.state();
        match &error.place.subject {
            Subject::Partition(at) => drop(state.leaders.remove(at)),
            Subject::Group(group) => drop(state.coordinators.remove(group)),
            Subject::Whole | Subject::Topic(_) => {}
        }
    }
}

fn describe(topic: MetadataTopic) -> (TopicName, Topic) {
    let partitions = topic.partitions.into_iter().map(|partition| {
        let described = Partition {
            leader: partition.leader,
            leader_epoch: partition.leader_epoch,
            replicas: partition.replicas,
            in_sync: partition.in_sync,
            error: partition.error,
        };
        (partition.id, described)
    });
    let partitions = partitions.collect();
    (topic.name, Topic { id: topic.id, internal: topic.internal, error: topic.error, partitions })
}
