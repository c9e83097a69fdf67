//! What a run has to do: today's plan and what the migration remembers, put together. The recorded plan wins.

use std::collections::{BTreeMap, BTreeSet};

use crate::kafka::units::Count;
use crate::kafka::{TopicId, TopicName, TopicPartition};
use crate::plan::{LanePlan, Plan, Refusal, Warning, WarningCode, Weight};
use crate::state::Checkpoint;

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
    ///
    /// # Errors
    ///
    /// What was recorded can't be gone on with: a start that lies below the recorded one, a topic that was made anew.
    pub(super) fn new(plan: &Plan, recorded: Recorded, extend: bool) -> Result<Self, Vec<Refusal>> {
        let mut agenda = Self { recorded, ..Self::default() };
        let mut changed = Vec::new();
        for lane in plan.partitions() {
            match agenda.recorded.get_mut(&lane.at) {
                None => agenda.new.push(lane.clone()),
                Some(checkpoint) => {
                    changed.extend(changes(lane, checkpoint));
                    if extend && checkpoint.span.end < lane.span.end {
                        checkpoint.span.end = lane.span.end;
                        agenda.extended.insert(lane.at.clone());
                    }
                }
            }
        }
        if changed.is_empty() { Ok(agenda) } else { Err(refusals(changed)) }
    }

    /// Whether everything that was recorded has been moved, and nothing is new.
    pub(super) fn is_finished(&self) -> bool {
        self.new.is_empty() && self.extended.is_empty() && self.recorded.values().all(Checkpoint::is_finished)
    }

    /// Whether the migration has begun before.
    pub(super) fn is_resumed(&self) -> bool {
        !self.recorded.is_empty()
    }

    /// Refuses where a topic of the target is another one than that which was written: `ids` are those of now.
    pub(super) fn check_targets(&self, ids: &BTreeMap<TopicName, TopicId>) -> Result<(), Vec<Refusal>> {
        let other = |(at, checkpoint): (&TopicPartition, &Checkpoint)| {
            let (then, now) = (checkpoint.target_id?, *ids.get(&at.topic)?);
            (then != now).then(|| recreated(at, "target"))
        };
        let changed: Vec<Warning> = self.recorded.iter().filter_map(other).collect();
        if changed.is_empty() { Ok(()) } else { Err(refusals(changed)) }
    }
}

/// What keeps the recorded lane from going on.
fn changes(lane: &LanePlan, checkpoint: &Checkpoint) -> Option<Warning> {
    if let (Some(then), Some(now)) = (checkpoint.source_id, lane.topic_id)
        && then != now
    {
        return Some(recreated(&lane.at, "source"));
    }
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

fn recreated(at: &TopicPartition, side: &str) -> Warning {
    let message = format!("the {side}'s topic was deleted and made again since this migration began");
    let advice = "run with another --name to begin anew";
    Warning::new(WarningCode::PlanChanged, message).at(at).advice(advice).weight(Weight::Refuse)
}

fn refusals(mut changed: Vec<Warning>) -> Vec<Refusal> {
    changed.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    let others = changed.len().saturating_sub(1);
    let first = changed.into_iter().next();
    first.map(|first| Refusal { code: first.code, first, others }).into_iter().collect()
}
