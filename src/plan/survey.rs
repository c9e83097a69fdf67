//! Looking at both clusters.
//!
//! Whatever there is of a kind is asked for in one call that each broker gets its share of; calls that don't need each
//! other's answers are made at the same time. The commits are read before the ends, so that no commit can seem to lie
//! beyond its log's end only because it is the newer of the two.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::facts::{
    ClusterIdentity, Commit, Group, GroupKind, SourceFacts, SourcePartition, SourceTopic, Survey, TargetFacts,
    TargetPartition, TargetTopic,
};
use super::rules::{Rules, select, times_needed, wants_commits};
use crate::cluster::{
    Cluster, ClusterError, Configs, Edge, ErrorKind, GroupDescription, ListedOffset, Moment, Topic, Topics, Use,
};
use crate::config::Endpoint;
use crate::kafka::{BrokerId, ErrorCode, GroupId, Offset, Retry, TopicName, TopicPartition};
use crate::topics::codecs;
use crate::wire::ApiKey;

mod contents;

/// At least so long lie between the two looks at the source's ends.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// So many small requests measure the way to the target.
const ROUND_TRIPS: usize = 5;

/// A cluster and how it was named.
#[derive(Clone, Copy, Debug)]
pub struct Reached<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The addresses it was reached by.
    pub endpoint: &'a Endpoint,
}

/// Looks at both clusters; `now_ms` is the time in ms since 1970. Changes nothing.
///
/// # Errors
///
/// The first call that failed for another reason than want of permission or, on the source, its age: a plan on half of the
/// facts would be wrong. A target that can't store record batches.
pub async fn survey(
    source: Reached<'_>,
    target: Reached<'_>,
    rules: &Rules<'_>,
    now_ms: i64,
) -> Result<Survey, ClusterError> {
    let (looked, groups, facts) =
        tokio::join!(first_look(source.cluster, rules), groups(source.cluster, rules), target_facts(target));
    let (topics, first_look) = looked?;
    let (groups, groups_hidden) = groups?;
    let names: BTreeSet<TopicName> = topics.keys().cloned().collect();
    let taken = select(&groups, &names, rules).topics;
    let facts = facts?;
    let (sources, targets, tells_configs) = tokio::join!(
        source_topics(source.cluster, &topics, &taken, first_look),
        target_topics(target.cluster, &taken),
        tells_configs(source.cluster)
    );
    let (targets, known_configs) = targets?;
    let mut survey = Survey {
        at_ms: now_ms,
        source: SourceFacts {
            identity: identity(source),
            groups,
            groups_hidden,
            // It decides about words only: no reason to fail where a broker can't be reached.
            list_offsets_version: version(source.cluster, ApiKey::ListOffsets).await.unwrap_or_default(),
            tells_configs: tells_configs?,
            names,
            topics: sources?,
        },
        target: TargetFacts { topics: targets, known_configs, ..facts },
    };
    ages(source.cluster, &mut survey, rules).await;
    contents::look(source.cluster, &mut survey, rules).await;
    Ok(survey)
}

fn identity(reached: Reached<'_>) -> ClusterIdentity {
    ClusterIdentity {
        id: reached.cluster.id(),
        bootstrap: reached.endpoint.bootstrap.clone(),
        brokers: reached.cluster.brokers().into_iter().map(|broker| broker.address).collect(),
    }
}

/// The answer, or the code of a refusal that asking again does not change. A broker that does not have the API counts as
/// one that refused its version.
fn unless_refused<T>(answer: Result<T, ClusterError>) -> Result<Result<T, ErrorCode>, ClusterError> {
    match answer {
        Ok(value) => Ok(Ok(value)),
        Err(ClusterError { kind: ErrorKind::Version(_), .. }) => Ok(Err(ErrorCode::UNSUPPORTED_VERSION)),
        Err(error) => match error.code() {
            Some(code) if code.retry() == Retry::Never => Ok(Err(code)),
            _ => Err(error),
        },
    }
}

/// Whether a broker is as old as 0.10.0: the only release that has Metadata up to version 1.
async fn is_0_10_0(source: &Cluster) -> Result<bool, ClusterError> {
    Ok(needed(source, ApiKey::Metadata).await? == 1)
}

/// Whether all brokers can tell configurations.
async fn tells_configs(source: &Cluster) -> Result<bool, ClusterError> {
    match needed(source, ApiKey::DescribeConfigs).await {
        Err(ClusterError { kind: ErrorKind::Version(_), .. }) => Ok(false),
        version => version.map(|_| true),
    }
}

/// The source's groups, and why the list may lack some.
async fn groups(source: &Cluster, rules: &Rules<'_>) -> Result<(Vec<Group>, Option<String>), ClusterError> {
    let mut list = source.list_groups().await?;
    // Brokers of 0.10.0 don't list a group whose members are gone, and others hide what may not be described.
    let unlisted: BTreeSet<GroupId> = rules.selection.groups.names().map(GroupId::from).collect();
    let unlisted: BTreeSet<GroupId> = unlisted.into_iter().filter(|id| !list.groups.contains_key(id)).collect();
    list.groups.extend(unlisted.iter().map(|id| (id.clone(), unlisted_group())));
    let kinds: BTreeMap<&GroupId, GroupKind> =
        list.groups.iter().map(|(id, group)| (id, kind(group.kind.as_deref()))).collect();
    let ids = |wanted: &dyn Fn(&str, &GroupKind) -> bool| -> Vec<GroupId> {
        kinds.iter().filter(|(id, kind)| wanted(id.as_str(), kind)).map(|(id, _)| (*id).clone()).collect()
    };
    let committing = ids(&|id, kind| wants_commits(id, kind, rules));
    let described = ids(&|id, kind| wants_commits(id, kind, rules) && rules.selection.groups.takes(id));
    let (mut commits, mut described) = tokio::join!(source.committed(&committing), source.describe_groups(&described));
    let mut groups = Vec::new();
    for (id, listed) in &list.groups {
        let commits = match commits.remove(id) {
            Some(commits) => unless_refused(commits)?.map(|commits| commits.into_iter().map(commit).collect()),
            None => Ok(Vec::new()),
        };
        if unlisted.contains(id) && commits.as_ref().is_ok_and(Vec::is_empty) {
            continue; // there is no such group
        }
        let described: Option<GroupDescription> =
            described.remove(id).map(unless_refused).transpose()?.and_then(Result::ok);
        groups.push(Group {
            id: id.clone(),
            kind: kind(listed.kind.as_deref()),
            protocol_type: listed.protocol_type.clone(),
            members: described.as_ref().map(|group| group.members.len()),
            state: described.map(|group| group.state).or_else(|| listed.state.clone()),
            commits,
        });
    }
    let hidden = match list.incomplete {
        true => Some("a broker refused to list its groups".to_owned()),
        false if is_0_10_0(source).await? => {
            Some("brokers of Kafka 0.10.0 list a group only while it has members".to_owned())
        }
        false => None,
    };
    Ok((groups, hidden))
}

/// What is known of a group that is asked about although no broker lists it.
fn unlisted_group() -> crate::cluster::Group {
    crate::cluster::Group { protocol_type: String::new(), state: None, kind: None, coordinator: BrokerId(-1) }
}

/// Brokers before 3.8 do not tell the kind; those that have another one than the classic do.
fn kind(name: Option<&str>) -> GroupKind {
    match name {
        None | Some("classic" | "") => GroupKind::Classic,
        Some("consumer") => GroupKind::Consumer,
        Some("streams") => GroupKind::Streams,
        Some("share") => GroupKind::Share,
        Some(other) => GroupKind::Unknown(other.to_owned()),
    }
}

fn commit(committed: crate::cluster::Committed) -> Commit {
    Commit { at: committed.at, offset: committed.offset, metadata: committed.metadata }
}

/// The partitions of these topics.
fn partitions<'a>(topics: impl IntoIterator<Item = (&'a TopicName, &'a Topic)>) -> Vec<TopicPartition> {
    let of = |(name, topic): (&'a TopicName, &'a Topic)| {
        topic.partitions.keys().map(|&partition| TopicPartition { topic: name.clone(), partition })
    };
    topics.into_iter().flat_map(of).collect()
}

type Offsets = BTreeMap<TopicPartition, Offset>;

/// One end of each partition; the first error where one fails.
async fn ends(cluster: &Cluster, edge: Edge, partitions: &[TopicPartition]) -> Result<Offsets, ClusterError> {
    let listed = cluster.list_offsets(edge, partitions).await;
    listed.into_iter().map(|(at, listed)| Ok((at, listed?.offset))).collect()
}

/// The topics' effective configurations; `None` for one that may not be read.
async fn configs(
    cluster: &Cluster,
    topics: &[TopicName],
) -> Result<BTreeMap<TopicName, Option<Configs>>, ClusterError> {
    let answers = cluster.topic_configs(topics, None).await;
    answers.into_iter().map(|(name, configs)| Ok((name, unless_refused(configs)?.ok()))).collect()
}

/// Where logs end, and since when that is known.
struct Look {
    ends: BTreeMap<TopicPartition, Result<ListedOffset, ClusterError>>,
    at: Instant,
}

/// The source's topics, and the ends of all that may turn out to be taken: while the groups are asked, the time between the
/// two looks passes. What does not answer at once is left for later, as nobody may want it.
async fn first_look(source: &Cluster, rules: &Rules<'_>) -> Result<(Topics, Look), ClusterError> {
    let topics = source.metadata(None).await?;
    let topics: Topics = topics.into_iter().filter(|(_, topic)| !topic.partitions.is_empty()).collect();
    let may_be_taken = |name: &str| !name.starts_with("__") && rules.selection.topics.takes(name);
    let partitions = partitions(topics.iter().filter(|(name, _)| may_be_taken(name.as_str())));
    let ends = timeout(BETWEEN_LOOKS, source.list_offsets(Edge::HighWatermark, &partitions)).await;
    Ok((topics, Look { ends: ends.unwrap_or_default(), at: Instant::now() }))
}

/// The topics that are taken, with two looks at their ends.
async fn source_topics(
    source: &Cluster,
    topics: &Topics,
    taken: &BTreeSet<TopicName>,
    look: Look,
) -> Result<BTreeMap<TopicName, SourceTopic>, ClusterError> {
    let taken: BTreeMap<&TopicName, &Topic> = topics.iter().filter(|(name, _)| taken.contains(*name)).collect();
    if taken.is_empty() {
        return Ok(BTreeMap::new());
    }
    let names: Vec<TopicName> = taken.keys().map(|&name| name.clone()).collect();
    let partitions = partitions(taken.iter().map(|(&name, &topic)| (name, topic)));
    let seen = |at: &TopicPartition| Some((at.clone(), look.ends.get(at)?.as_ref().ok()?.offset));
    let (first_look, seen) = match partitions.iter().map(seen).collect::<Option<Offsets>>() {
        Some(ends) => (ends, look.at),
        None => (ends(source, Edge::HighWatermark, &partitions).await?, Instant::now()),
    };
    let mut configs = configs(source, &names).await?;
    sleep_until(seen + BETWEEN_LOOKS).await;
    let (starts, stable, ends) = tokio::try_join!(
        ends(source, Edge::Earliest, &partitions),
        ends(source, Edge::Latest, &partitions),
        ends(source, Edge::HighWatermark, &partitions)
    )?;
    let mut found: BTreeMap<TopicName, SourceTopic> = BTreeMap::new();
    for (&name, topic) in &taken {
        let configs = configs.remove(name).flatten();
        found.insert(name.clone(), SourceTopic { id: topic.id, partitions: BTreeMap::new(), configs });
    }
    for at in partitions {
        let of = |offsets: &Offsets| offsets.get(&at).copied();
        let (Some(log_start), Some(last_stable), Some(end)) = (of(&starts), of(&stable), of(&ends)) else { continue };
        // The answers of one look are not of one moment.
        let high_watermark = end.max(last_stable);
        let partition = SourcePartition {
            log_start,
            high_watermark,
            last_stable,
            high_watermark_before: of(&first_look).unwrap_or(high_watermark),
            bytes: None,
            first_since: BTreeMap::new(),
            gap: None,
            codecs: BTreeSet::new(),
            open_transaction: None,
        };
        if let Some(topic) = found.get_mut(&at.topic) {
            topic.partitions.insert(at.partition, partition);
        }
    }
    Ok(found)
}

/// What the target is, without its topics.
async fn target_facts(target: Reached<'_>) -> Result<TargetFacts, ClusterError> {
    let cluster = target.cluster;
    let (configs, moved, round_trip) = tokio::join!(cluster.broker_configs(), moved(cluster), round_trip(cluster));
    let mut broker_configs = Vec::new();
    for configs in configs.into_values() {
        broker_configs.extend(unless_refused(configs)?);
    }
    let produce_version = needed(cluster, ApiKey::Produce).await?;
    Ok(TargetFacts {
        identity: identity(target),
        codecs: codecs(produce_version, &broker_configs),
        broker_configs: broker_configs.into_iter().next().filter(|configs| !configs.is_empty()),
        known_configs: None,
        topics: BTreeMap::new(),
        moved: moved?,
        produce_version,
        create_topics_version: version(cluster, ApiKey::CreateTopics).await?,
        round_trip: round_trip?,
    })
}

/// The partitions that migrations have moved to this cluster. They remember those too of which nothing was to move.
async fn moved(target: &Cluster) -> Result<BTreeMap<TopicPartition, BTreeSet<GroupId>>, ClusterError> {
    let list = target.list_groups().await?;
    let states: Vec<GroupId> = list.groups.into_keys().filter(|id| id.as_str().starts_with("kferry-")).collect();
    let mut moved: BTreeMap<TopicPartition, BTreeSet<GroupId>> = BTreeMap::new();
    for (group, commits) in target.committed(&states).await {
        let commits = unless_refused(commits)?.unwrap_or_default();
        for commit in commits.into_iter().filter(|commit| !moves_nothing(&commit.metadata)) {
            moved.entry(commit.at).or_default().insert(group.clone());
        }
    }
    Ok(moved)
}

/// Whether a migration's metadata names a span that is empty.
fn moves_nothing(metadata: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Remembered {
        span: [i64; 2],
    }
    serde_json::from_str(metadata).is_ok_and(|Remembered { span: [start, end] }| start == end)
}

/// The newest version of an API that all brokers speak; 0 where one has none in common with kferry.
async fn version(cluster: &Cluster, api: ApiKey) -> Result<i16, ClusterError> {
    match needed(cluster, api).await {
        Err(ClusterError { kind: ErrorKind::Version(_), .. }) => Ok(0),
        version => version,
    }
}

/// The same, where nothing can be done without it: an error where one has none.
async fn needed(cluster: &Cluster, api: ApiKey) -> Result<i16, ClusterError> {
    let mut lowest = i16::MAX;
    for broker in cluster.brokers() {
        lowest = lowest.min(cluster.connection(broker.id, Use::Control(0)).await?.needed(api)?);
    }
    Ok(lowest)
}

/// The shortest time of some small requests.
async fn round_trip(target: &Cluster) -> Result<Option<Duration>, ClusterError> {
    let mut shortest = None;
    for _ in 0..ROUND_TRIPS {
        let asked = Instant::now();
        target.metadata(Some(&[])).await?;
        let took = asked.elapsed();
        shortest = Some(shortest.map_or(took, |shortest: Duration| shortest.min(took)));
    }
    Ok(shortest)
}

type TargetTopics = (BTreeMap<TopicName, TargetTopic>, Option<BTreeSet<String>>);

/// Those of the topics that exist on the target, and the names of topic configurations it knows.
async fn target_topics(target: &Cluster, taken: &BTreeSet<TopicName>) -> Result<TargetTopics, ClusterError> {
    if taken.is_empty() {
        return Ok((BTreeMap::new(), None));
    }
    // Kafka's own topic shows which configurations the target knows where none of ours is there.
    let offsets = TopicName::from("__consumer_offsets");
    let names: Vec<TopicName> = taken.iter().chain([&offsets]).cloned().collect();
    let mut there = target.metadata(Some(&names)).await?;
    let shows_configs = there.remove(&offsets).filter(|topic| topic.error == ErrorCode::NONE).map(|_| offsets);
    for (name, topic) in &there {
        if ![ErrorCode::NONE, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION].contains(&topic.error) {
            // What may not be seen is not missing; a leader's look-up says why, or that it was passing.
            target.leader(&TopicPartition::new(name.clone(), 0)).await?;
        }
    }
    there.retain(|_, topic| topic.error != ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let names: Vec<TopicName> = there.keys().cloned().collect();
    let partitions = partitions(&there);
    let (starts, ends, configs) = tokio::try_join!(
        ends(target, Edge::Earliest, &partitions),
        ends(target, Edge::LogEnd, &partitions),
        configs(target, &names)
    )?;
    let known = match configs.values().flatten().next() {
        Some(configs) => Some(configs.clone()),
        None => self::configs(target, shows_configs.as_slice()).await?.into_values().flatten().next(),
    };
    let known = known.filter(|configs| !configs.is_empty()).map(|configs| configs.into_keys().collect());
    let mut configs = configs;
    let seen = |(name, topic): (TopicName, Topic)| {
        let of = |offsets: &Offsets, at: &TopicPartition| offsets.get(at).copied();
        let partitions = topic.partitions.into_iter().filter_map(|(partition, described)| {
            let at = TopicPartition { topic: name.clone(), partition };
            let (log_start, log_end) = (of(&starts, &at)?, of(&ends, &at)?);
            let (replicas, in_sync) = (described.replicas.len(), described.in_sync.len());
            Some((partition, TargetPartition { log_start, log_end, replicas, in_sync }))
        });
        let partitions = partitions.collect();
        let configs = configs.remove(&name).flatten();
        (name, TargetTopic { id: topic.id, partitions, configs })
    };
    Ok((there.into_iter().map(seen).collect(), known))
}

/// Asks what the rules want to know about the age of records. A partition without an answer stays without one: old
/// message formats have no times.
async fn ages(source: &Cluster, survey: &mut Survey, rules: &Rules<'_>) {
    let mut asked: BTreeMap<i64, Vec<TopicPartition>> = BTreeMap::new();
    for (name, times) in times_needed(survey, rules) {
        let Some(topic) = survey.source.topics.get(&name) else { continue };
        let held = topic.partitions.iter().filter(|(_, seen)| seen.log_start < seen.last_stable);
        let held: Vec<_> = held.map(|(&partition, _)| TopicPartition { topic: name.clone(), partition }).collect();
        times.into_iter().for_each(|time| asked.entry(time).or_default().extend_from_slice(&held));
    }
    let mut tasks = JoinSet::new();
    for (time, partitions) in asked {
        let source = source.clone();
        tasks.spawn(async move { (time, source.find_offsets(Moment::From(time), &partitions).await) });
    }
    while let Some(Ok((time, found))) = tasks.join_next().await {
        for (at, answer) in found {
            let partition = survey.source.topics.get_mut(&at.topic).and_then(|t| t.partitions.get_mut(&at.partition));
            match (partition, answer) {
                (Some(partition), Ok(first)) => {
                    partition.first_since.insert(time, first.map(|ListedOffset { offset, .. }| offset));
                }
                (_, Err(error)) => tracing::debug!(%error, "the age of records stays unknown"),
                (None, Ok(_)) => {}
            }
        }
    }
}
