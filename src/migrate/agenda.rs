//! What a run has to do: today's plan and what the migration remembers, put together. The recorded plan wins.

use std::collections::{BTreeMap, BTreeSet};

use super::error::MigrateError;
use crate::kafka::units::Count;
use crate::kafka::{Side, TopicId, TopicName, TopicPartition};
use crate::plan::{LanePlan, Plan, Refusal, Warning, WarningCode, Weight};
use crate::state::Checkpoint;
use crate::verify::Gone;

/// The checkpoints that a migration goes on from, by partition.
pub type Recorded = BTreeMap<TopicPartition, Checkpoint>;

/// What there is to do.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Agenda {
    /// Partitions that the migration remembers, with the ends that count now.
    pub(super) recorded: Recorded,
    /// Those of them whose ends are others than what is stored.
    pub(super) extended: BTreeSet<TopicPartition>,
    /// Partitions that are new in today's plan.
    pub(super) new: Vec<LanePlan>,
}

impl Agenda {
    /// Puts them together; `extend`: recorded ends give way to today's.
    pub(super) fn new(plan: &Plan, recorded: Recorded, extend: bool) -> Self {
        let mut agenda = Self { recorded, ..Self::default() };
        for lane in plan.partitions() {
            match agenda.recorded.get_mut(&lane.at) {
                None => agenda.new.push(lane.clone()),
                Some(checkpoint) if extend && checkpoint.span.end < lane.span.end => {
                    checkpoint.span.end = lane.span.end;
                    agenda.extended.insert(lane.at.clone());
                }
                Some(_) => {}
            }
        }
        agenda
    }

    /// Whether everything that was recorded has been moved, and nothing is new.
    pub(super) fn is_finished(&self) -> bool {
        self.new.is_empty() && self.extended.is_empty() && self.recorded.values().all(Checkpoint::is_finished)
    }

    /// Whether the migration has begun before.
    pub(super) fn is_resumed(&self) -> bool {
        !self.recorded.is_empty()
    }
}

/// What can't be gone on with of what was recorded, by topic and partition: a start that lies below the recorded one, a
/// topic that is gone or was made anew. `ids` are those that the target's topics have now.
pub(super) fn changes(plan: &Plan, recorded: &Recorded, ids: &BTreeMap<TopicName, TopicId>) -> Vec<Warning> {
    let missing: BTreeSet<&TopicName> = plan.create().iter().map(|topic| &topic.spec.name).collect();
    let target = |(at, checkpoint): (&TopicPartition, &Checkpoint)| {
        let now = ids.get(&at.topic).copied();
        let then = Some(checkpoint.target_id?);
        Some(gone(at, Gone::of(Side::Target, then, now, now.is_none() && missing.contains(&at.topic))?))
    };
    let source = |lane: &LanePlan| {
        let checkpoint = recorded.get(&lane.at)?;
        let anew = Gone::of(Side::Source, checkpoint.source_id, lane.topic_id, false);
        anew.map(|anew| gone(&lane.at, anew)).or_else(|| starts_below(lane, checkpoint))
    };
    let sources = plan.partitions().iter().filter_map(source);
    let mut changes: Vec<Warning> = sources.chain(recorded.iter().filter_map(target)).collect();
    changes.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    changes
}

fn starts_below(lane: &LanePlan, checkpoint: &Checkpoint) -> Option<Warning> {
    if lane.span.is_empty() || lane.span.start >= checkpoint.span.start {
        return None;
    }
    let message = format!(
        "the plan would start at {} now, but the migration was recorded with start {}: what lies in between can't be \
         put in front of what is on the target",
        Count(lane.span.start.get()),
        Count(checkpoint.span.start.get())
    );
    let advice = "leave out the group that was added or reset (--exclude-group), or migrate to other topics";
    Some(Warning::new(WarningCode::PlanChanged, message).at(&lane.at).advice(advice).weight(Weight::Refuse))
}

fn gone(at: &TopicPartition, gone: Gone) -> Warning {
    let advice = "run with another --name to begin anew";
    Warning::new(WarningCode::PlanChanged, gone.to_string()).at(at).advice(advice).weight(Weight::Refuse)
}

/// Refuses because of the first of these, which are of one kind.
pub(super) fn refuse(because: Vec<Warning>) -> Result<(), MigrateError> {
    let others = because.len().saturating_sub(1);
    match because.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(MigrateError::Refused(vec![Refusal { code: first.code, first, others }])),
    }
}
