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

/// What is remembered of the groups, if the migration has come to its end: everything is moved and verified, and they go on.
pub(super) fn ended(recorded: &Recorded) -> Option<u32> {
    recorded.values().find_map(|checkpoint| checkpoint.groups)
}

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
/// topic that is gone or was made anew. `ids` are those that the topics of the source and the target have now.
pub(super) fn changes(plan: &Plan, recorded: &Recorded, ids: &[BTreeMap<TopicName, TopicId>; 2]) -> Vec<Warning> {
    let [source_ids, target_ids] = ids;
    let missing: BTreeSet<&TopicName> = plan.create().iter().map(|topic| &topic.spec.name).collect();
    let target = |(at, checkpoint): (&TopicPartition, &Checkpoint)| {
        let now = target_ids.get(&at.topic).copied();
        let then = Some(checkpoint.target_id?);
        Some(gone(at, Gone::of(Side::Target, then, now, now.is_none() && missing.contains(&at.topic))?))
    };
    // What is left of a recorded lane is copied also where today's plan does not name it.
    let source = |(at, checkpoint): (&TopicPartition, &Checkpoint)| {
        let lane = plan.partition(at);
        let now = source_ids.get(&at.topic).copied().filter(|_| lane.is_some() || !checkpoint.is_finished());
        let anew = Gone::of(Side::Source, checkpoint.source_id, now, false);
        anew.map(|anew| gone(at, anew)).or_else(|| starts_below(lane?, checkpoint))
    };
    let sources = recorded.iter().filter_map(source);
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
    let advice = match gone.side {
        // The records of the topic before are still there, and another name must not move that partition.
        Side::Source => {
            "to begin anew, delete the group kferry-NAME on the target and run with --append and without --report: \
             everything moves once more, behind what is there"
        }
        Side::Target => "run with another --name to begin anew",
    };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{Offset, Span};
    use crate::plan::testing::Scene;

    #[test]
    fn a_recorded_lane_is_not_gone_on_with_from_another_topic_even_where_the_plan_leaves_it_out() {
        let plan = Scene::new().topic("planned", &[(0, 9)]).group("g", &[("planned", 0, 3)]).plan();
        let [then, now] = [1, 2].map(|id| TopicId([id; 16]));
        let begun = Checkpoint { source_id: Some(then), ..Checkpoint::begin(Span::new(3, 9), Offset(0)) };
        let finished = Checkpoint { next: Offset(9), ..begun.clone() };
        let words = |topic: &str, checkpoint: &Checkpoint, now: TopicId| -> Vec<String> {
            let recorded = Recorded::from([(TopicPartition::new(topic, 0), checkpoint.clone())]);
            let ids = [BTreeMap::from([(TopicName::from(topic), now)]), BTreeMap::new()];
            changes(&plan, &recorded, &ids).into_iter().map(|change| change.message).collect()
        };
        let anew = "the source's topic was deleted and made again since this migration began";
        assert_eq!(words("left-out", &begun, now), [anew]);
        assert_eq!(words("left-out", &finished, now), [""; 0], "nothing more is read of it");
        assert_eq!(words("planned", &finished, now), [anew]);
        assert_eq!(words("left-out", &begun, then), [""; 0]);
    }
}
