//! The configs of topics and brokers.

use super::CONNECTIONS;
use crate::cluster::client::Cluster;
use crate::cluster::connection::{Connection, Use};
use crate::cluster::error::{ClusterError, ErrorKind, Subject};
use crate::kafka::{BrokerId, TopicName};
use crate::wire::ApiKey;
use crate::wire::messages::{
    AlterConfigs, AlteredTopic, ConfigEntry, DescribeConfigs, IncrementalAlterConfigs, Resource, ResourceConfigs,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Topics that one request asks for at most: their answer has some ten KiB each from brokers that explain configs.
const MOST: usize = 200;

/// The names of the configs that are asked for; `None` for all. Where a few are wanted of many topics, naming them keeps
/// the answers small: brokers explain each config that they tell.
pub type ConfigNames = Option<&'static [&'static str]>;

/// Configs by name.
pub type Configs = BTreeMap<String, ConfigEntry>;

/// Values to set, by topic and config.
pub type TopicValues = BTreeMap<TopicName, BTreeMap<String, String>>;

type Set = (TopicName, Result<(), ClusterError>);

type Share<K> = Vec<(K, Result<Configs, ClusterError>)>;

impl Cluster {
    /// The effective configs of topics, as `names` says: all, or those that the broker knows of some. A topic whose configs
    /// may not be read, or that does not exist, has its own error.
    pub async fn topic_configs(
        &self,
        topics: &[TopicName],
        names: ConfigNames,
    ) -> BTreeMap<TopicName, Result<Configs, ClusterError>> {
        self.rounds(topics.to_vec(), |left| async move {
            let subject = |topic: &TopicName| Subject::Topic(topic.clone());
            // Every broker knows the configs of all topics.
            let Some(broker) = self.reachable().await else {
                let kind = ErrorKind::UnknownBroker;
                let error = self.error(Some(ApiKey::DescribeConfigs), Subject::Whole, kind);
                return left.into_iter().map(|topic| (topic.clone(), Err(error.about(subject(&topic))))).collect();
            };
            let uses = (0..CONNECTIONS).cycle().map(Use::Control);
            let shares = left.chunks(MOST).zip(uses).map(|(share, used)| (broker, used, share.to_vec())).collect();
            let ask = move |connection: Arc<Connection>, share: Vec<TopicName>| async move {
                ask(&connection, share, names, Resource::Topic, Subject::Topic).await
            };
            self.shares(ApiKey::DescribeConfigs, subject, shares, ask).await
        })
        .await
    }

    /// Sets `changed` configs of topics. Brokers before 2.3 can only replace all configs of a topic at once: they get
    /// `whole`, which must hold the changed ones too. Setting the same again changes nothing, so it is repeated.
    pub async fn set_topic_configs(
        &self,
        changed: &TopicValues,
        whole: &TopicValues,
    ) -> BTreeMap<TopicName, Result<(), ClusterError>> {
        self.rounds(changed.keys().cloned().collect(), |left| async move {
            let subject = |topic: &TopicName| Subject::Topic(topic.clone());
            let Some(broker) = self.reachable().await else {
                let error = self.error(Some(ApiKey::AlterConfigs), Subject::Whole, ErrorKind::UnknownBroker);
                return left.into_iter().map(|topic| (topic.clone(), Err(error.about(subject(&topic))))).collect();
            };
            let of = |values: &TopicValues| -> TopicValues {
                let listed = |topic: &TopicName| Some((topic.clone(), values.get(topic)?.clone()));
                left.iter().filter_map(listed).collect()
            };
            let values = Arc::new((of(changed), of(whole)));
            let ask = move |connection: Arc<Connection>, _: Vec<TopicName>| {
                let values = Arc::clone(&values);
                async move { set(&connection, &values.0, &values.1).await }
            };
            self.shares(ApiKey::AlterConfigs, subject, vec![(broker, Use::Control(0), left)], ask).await
        })
        .await
    }

    /// The configs of each broker, asked of itself.
    pub async fn broker_configs(&self) -> BTreeMap<BrokerId, Result<Configs, ClusterError>> {
        let brokers = self.brokers().into_iter().map(|broker| broker.id).collect();
        self.rounds(brokers, |left| async move {
            let shares = left.into_iter().map(|broker| (broker, Use::Control(0), vec![broker])).collect();
            let ask = |connection: Arc<Connection>, share: Vec<BrokerId>| async move {
                ask(&connection, share, None, Resource::Broker, |_| Subject::Whole).await
            };
            self.shares(ApiKey::DescribeConfigs, |_| Subject::Whole, shares, ask).await
        })
        .await
    }
}

async fn set(connection: &Connection, changed: &TopicValues, whole: &TopicValues) -> Result<Vec<Set>, ClusterError> {
    let api = ApiKey::IncrementalAlterConfigs;
    let answer = if connection.version(api).is_ok() {
        connection.call(&IncrementalAlterConfigs { topics: changed.clone() }, Subject::Whole).await?
    } else {
        connection.call(&AlterConfigs { topics: whole.clone() }, Subject::Whole).await?
    };
    let checked = |topic: AlteredTopic| {
        let subject = Subject::Topic(topic.name.clone());
        let checked = connection.check(api, subject, topic.error, topic.message.as_deref());
        (topic.name, checked)
    };
    Ok(answer.topics.into_iter().map(checked).collect())
}

async fn ask<K: Clone + Ord>(
    connection: &Connection,
    share: Vec<K>,
    names: ConfigNames,
    resource: fn(K) -> Resource,
    subject: fn(K) -> Subject,
) -> Result<Share<K>, ClusterError> {
    let resources: Vec<_> = share.iter().cloned().map(resource).collect();
    let keys: BTreeMap<_, _> = resources.iter().cloned().zip(share).collect();
    let answer = connection.call(&DescribeConfigs { resources, names }, Subject::Whole).await?;
    let checked = |answered: ResourceConfigs| {
        let key = keys.get(&answered.resource?)?.clone();
        let message = answered.message.as_deref();
        let checked = connection.check(ApiKey::DescribeConfigs, subject(key.clone()), answered.error, message);
        Some((key, checked.map(|()| answered.entries)))
    };
    Ok(answer.resources.into_iter().filter_map(checked).collect())
}
