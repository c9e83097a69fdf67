//! What must be known before the copy begins, and what must be durable before the first record is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::agenda::{self, Recorded};
use super::error::MigrateError;
use super::run::Migration;
use crate::batch::{AppendTime, Rules};
use crate::cluster::retry::RetryPolicy;
use crate::cluster::{Cluster, Configs, Edge, Use};
use crate::copy::{LaneSetup, Patience};
use crate::kafka::{Offset, TopicId, TopicName, TopicPartition};
use crate::plan::{LanePlan, Plan, Warning};
use crate::state::{self, Checkpoint, Created, Entry, Writer};
use crate::topics::{self, Mirrored};
use crate::wire::ApiKey;

/// Batches of one lane that may be in flight: as many as brokers remember of a producer.
const DEPTH: usize = 5;

/// The first version of Produce that comes with brokers that remember more than the last batch of a producer (1.0).
const REMEMBERS_FIVE: i16 = 4;

/// Brokers forget producers whose newest record is older than 24 hours (`producer.id.expiration.ms`). An hour before that
/// a record counts as old, in ms: whatever is open about its batch must be settled while the producer is still known.
const PRODUCER_EXPIRY: i64 = 23 * 60 * 60 * 1000;

/// How long a lane bears with a cluster that does not serve it: a broker that died may take a minute to come back.
const BEARS: std::time::Duration = std::time::Duration::from_secs(120);

/// What will keep a run of `plan` from going on with what the target remembers of a migration: the words that it will be
/// refused with.
///
/// # Errors
///
/// The target can't be asked, or what it remembers can't be understood.
pub async fn foresee(plan: &Plan, clusters: (&Cluster, &Cluster), name: &str) -> Result<Vec<Warning>, MigrateError> {
    // Asking for the coordinator of a group that is not there would have a new cluster make its topic of offsets.
    let groups = clusters.1.list_groups().await.map_err(MigrateError::Cluster)?.groups;
    if !groups.contains_key(&state::group(name)) {
        return Ok(Vec::new());
    }
    let reading = state::read(clusters.1, name).await.map_err(MigrateError::State)?;
    changes(plan, clusters, &state::decode_all(&reading.state)?).await
}

/// What of the recorded can't be gone on with.
pub(super) async fn changes(
    plan: &Plan,
    (source, target): (&Cluster, &Cluster),
    recorded: &Recorded,
) -> Result<Vec<Warning>, MigrateError> {
    let known = |id: fn(&Checkpoint) -> Option<TopicId>| {
        let known = recorded.iter().filter(move |(_, checkpoint)| id(checkpoint).is_some());
        known.map(|(at, _)| at.topic.clone()).collect::<BTreeSet<_>>()
    };
    let (on_source, on_target) = (known(|checkpoint| checkpoint.source_id), known(|checkpoint| checkpoint.target_id));
    let (on_source, on_target) = tokio::try_join!(ids(source, &on_source), ids(target, &on_target))?;
    Ok(agenda::changes(plan, recorded, &[on_source, on_target]))
}

/// The ids of topics, where the brokers have ids.
pub(super) async fn ids(
    cluster: &Cluster,
    topics: &BTreeSet<TopicName>,
) -> Result<BTreeMap<TopicName, TopicId>, MigrateError> {
    if topics.is_empty() {
        return Ok(BTreeMap::new());
    }
    cluster.topic_ids(topics).await.map_err(MigrateError::Cluster)
}

/// Where the logs of partitions end that nothing was written to yet.
pub(super) async fn target_ends(
    target: &Cluster,
    partitions: &[TopicPartition],
) -> Result<BTreeMap<TopicPartition, Offset>, MigrateError> {
    let listed = target.list_offsets(Edge::LogEnd, partitions).await;
    let end = |(at, end): (TopicPartition, Result<crate::cluster::ListedOffset, _>)| match end {
        Ok(end) => Ok((at, end.offset)),
        Err(cause) => Err(MigrateError::TargetEnd { at, cause }),
    };
    listed.into_iter().map(end).collect()
}

/// The checkpoint of a partition that the migration has not met before; its writer is still missing.
pub(super) fn begun(
    lane: &LanePlan,
    target_start: Offset,
    target_id: Option<TopicId>,
    created: &BTreeMap<TopicName, Created>,
) -> Checkpoint {
    Checkpoint {
        source_id: lane.topic_id,
        target_id,
        created: created.get(&lane.at.topic).filter(|_| lane.at.partition.get() == 0).cloned(),
        ..Checkpoint::begin(lane.span, target_start)
    }
}

/// What is kept of the topics that were made.
pub(super) fn created(made: &[Mirrored]) -> BTreeMap<TopicName, Created> {
    made.iter().map(|topic| (topic.spec.name.clone(), Created { finish: topic.at_end.clone() })).collect()
}

/// Everything that must be durable before a batch is sent: the plan, and who writes.
pub(super) async fn first_entries(
    migration: &Migration<'_>,
    checkpoints: &mut Recorded,
    changed: &BTreeSet<TopicPartition>,
) -> Result<Vec<Entry>, MigrateError> {
    let lacks_writer = |checkpoint: &Checkpoint| checkpoint.writer.is_none() && !checkpoint.is_finished();
    let mut changed = changed.clone();
    // Also what has not changed: a process that comes to itself after its session has ended must see that another one had
    // the lock, before that one sends anything.
    let open = checkpoints.iter().filter(|(_, checkpoint)| !checkpoint.is_finished());
    changed.extend(open.map(|(at, _)| at.clone()));
    if checkpoints.values().any(lacks_writer) {
        let (producer, epoch) = migration.target.init_producer_id().await.map_err(MigrateError::Cluster)?;
        for checkpoint in checkpoints.values_mut().filter(|checkpoint| lacks_writer(checkpoint)) {
            checkpoint.writer = Some(Writer { producer, epoch, origin: checkpoint.records });
        }
    }
    let entry =
        |at: &TopicPartition| Some(checkpoints.get(at)?.entry(at, migration.now_ms, &migration.choices.holder.host));
    Ok(changed.iter().filter_map(entry).collect())
}

/// The lanes that are to be served.
pub(super) async fn lanes(
    migration: &Migration<'_>,
    checkpoints: &Recorded,
    resumed: &BTreeSet<TopicPartition>,
) -> Vec<LaneSetup> {
    let version = produce_version(migration.target).await;
    let open = || checkpoints.iter().filter(|(_, checkpoint)| !checkpoint.is_finished());
    let topics: BTreeSet<&TopicName> = open().map(|(at, _)| &at.topic).collect();
    let topics: Vec<TopicName> = topics.into_iter().cloned().collect();
    let configs = migration.target.topic_configs(&topics, Some(&RULING)).await;
    let rules = |topic: &TopicName| {
        let known = configs.get(topic).and_then(|configs| configs.as_ref().ok());
        let rules = known.map_or_else(Rules::default, |configs| target_rules(configs, migration.now_ms));
        Arc::new(Rules { codecs: migration.plan.codecs(), recompress: migration.choices.recompress, ..rules })
    };
    let rules: BTreeMap<&TopicName, Arc<Rules>> = topics.iter().map(|topic| (topic, rules(topic))).collect();
    let marks = |at: &TopicPartition| -> Vec<Offset> {
        let planned = migration.plan.partition(at);
        let marks: BTreeSet<Offset> =
            planned.into_iter().flat_map(|lane| &lane.marks).map(|mark| mark.source).collect();
        marks.into_iter().collect()
    };
    let patience = Arc::new(RetryPolicy { total: BEARS, attempts: 60, ..RetryPolicy::default() });
    let setup = |(seed, (at, checkpoint)): (u64, (&TopicPartition, &Checkpoint))| {
        Some(LaneSetup {
            at: at.clone(),
            writer: checkpoint.writer?,
            checkpoint: Checkpoint {
                since: Some((migration.now_ms, checkpoint.next)),
                at_ms: migration.now_ms,
                host: migration.choices.holder.host.clone(),
                ..checkpoint.clone()
            },
            surveyed: migration.plan.partition(at).is_some(),
            resumed: resumed.contains(at),
            marks: marks(at),
            depth: if version < REMEMBERS_FIVE { 1 } else { DEPTH },
            old_before: migration.now_ms.saturating_sub(PRODUCER_EXPIRY),
            late_bound: migration.choices.late_bound,
            rules: Arc::clone(rules.get(&at.topic)?),
            skip_corrupt: migration.choices.skip_corrupt,
            patience: Patience::new(Arc::clone(&patience), seed),
        })
    };
    (0..).zip(open()).filter_map(setup).collect()
}

const MAX_BATCH_BYTES: &str = "max.message.bytes";
const TIMESTAMP_TYPE: &str = "message.timestamp.type";

/// The configs that [`target_rules`] reads.
const RULING: [&str; 4] = [MAX_BATCH_BYTES, TIMESTAMP_TYPE, topics::AFTER, topics::DIFFERENCE];

/// What a target topic takes, as far as its configs tell. A topic whose configs may not be read says so by its refusals.
fn target_rules(configs: &Configs, now_ms: i64) -> Rules {
    let value = |name: &str| configs.get(name)?.value.as_deref();
    let number = |name: &str| value(name)?.parse::<i64>().ok();
    let stamps = value(TIMESTAMP_TYPE) == Some("LogAppendTime");
    Rules {
        max_batch_bytes: number(MAX_BATCH_BYTES).and_then(|bytes| usize::try_from(bytes).ok()),
        // Brokers that stamp their own time don't mind the records' times.
        latest_timestamp: topics::timestamp_limit(number, topics::AFTER)
            .filter(|_| !stamps)
            .map(|(ms, _)| now_ms.saturating_add(ms)),
        append_time: if stamps { AppendTime::TargetStamps } else { AppendTime::Keep },
        ..Rules::default()
    }
}

/// The lowest version of Produce that the target's brokers speak with us. One that can't be reached now has no say: it
/// leads nothing.
async fn produce_version(target: &Cluster) -> i16 {
    let mut lowest = i16::MAX;
    for broker in target.brokers() {
        if let Ok(connection) = target.connection(broker.id, Use::Control(0)).await {
            lowest = lowest.min(connection.version(ApiKey::Produce).unwrap_or_default());
        }
    }
    lowest
}
