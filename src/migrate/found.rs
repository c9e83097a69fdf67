//! Topics that the target lacked when the plan was made, and that somebody else has made meanwhile: they are looked at as
//! a plan looks at those that exist.

use std::collections::BTreeSet;

use super::error::MigrateError;
use super::prepare;
use super::run::Migration;
use crate::kafka::{GroupId, Offset, PartitionId, TopicName, TopicPartition};
use crate::plan::rules::{not_empty, other_count};
use crate::plan::{LanePlan, Warning, WarningCode, Weight};
use crate::state::{self, StoreError};

/// What keeps the new lanes from these topics, by topic and partition.
///
/// # Errors
///
/// The target can't be asked.
pub(super) async fn look(
    migration: &Migration<'_>,
    found: &BTreeSet<TopicName>,
    new: &[LanePlan],
) -> Result<Vec<Warning>, MigrateError> {
    let counts = other_counts(migration, found).await?;
    let moving = new.iter().filter(|lane| found.contains(&lane.at.topic) && !lane.span.is_empty());
    let moving: Vec<TopicPartition> = moving.map(|lane| lane.at.clone()).collect();
    let Some(first) = moving.first().filter(|_| counts.is_empty()) else { return Ok(counts) };
    if let Some(other) = rival(migration, &moving).await? {
        let message = format!("the topic was made since the plan was, and {other} may be moving records into it");
        let warning = Warning::new(WarningCode::NotEmpty, message).at(first);
        return Ok(vec![warning.advice("run again: it will have said by then what it moves").weight(Weight::Refuse)]);
    }
    let ends = prepare::target_ends(migration.target, &moving).await?;
    let held = ends.iter().filter(|(_, end)| **end > Offset(0));
    Ok(held.map(|(at, end)| not_empty(at, end.get())).collect())
}

/// Those with another number of partitions than on the source.
async fn other_counts(migration: &Migration<'_>, found: &BTreeSet<TopicName>) -> Result<Vec<Warning>, MigrateError> {
    for topic in found {
        // Brokers hear of a new topic one after the other; asking for a leader goes on until there is one.
        let first = TopicPartition { topic: topic.clone(), partition: PartitionId(0) };
        migration.target.leader(&first).await.map_err(MigrateError::Cluster)?;
    }
    let names: Vec<TopicName> = found.iter().cloned().collect();
    let there = migration.target.metadata(Some(&names)).await.map_err(MigrateError::Cluster)?;
    let count = |topic: &TopicName| usize::try_from(*migration.plan.topics().get(topic)?).ok();
    let known = there.iter().filter(|(_, topic)| !topic.partitions.is_empty());
    Ok(known.filter_map(|(name, topic)| other_count(name, count(name)?, topic.partitions.len())).collect())
}

/// Another migration that has these partitions, or that runs now and may be about to: it holds its lock before it makes a
/// topic, and remembers its partitions before it writes.
async fn rival(migration: &Migration<'_>, lanes: &[TopicPartition]) -> Result<Option<GroupId>, MigrateError> {
    let groups = migration.target.list_groups().await.map_err(MigrateError::Cluster)?.groups;
    for group in groups.into_keys() {
        let Some(name) = group.as_str().strip_prefix("kferry-").filter(|name| *name != migration.name) else {
            continue;
        };
        let reading = match state::read(migration.target, name).await {
            Err(StoreError::NotOurs { .. }) => continue,
            reading => reading.map_err(MigrateError::State)?,
        };
        let recorded = state::decode_all(&reading.state)?;
        let moves = |at: &TopicPartition| recorded.get(at).is_some_and(|checkpoint| !checkpoint.span.is_empty());
        if reading.holder.is_some() || lanes.iter().any(moves) {
            return Ok(Some(group));
        }
    }
    Ok(None)
}
