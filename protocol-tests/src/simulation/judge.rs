//! What must hold when all is over.

use std::collections::BTreeSet;

use kferry::copy::{LaneEnd, LaneProblem};
use kferry::state::Checkpoint;

use super::coverage::Fault;
use super::target::Written;
use super::world::World;

/// Whether a lane that ended like this would end like this again.
pub(super) fn is_final(end: Option<&LaneEnd>) -> bool {
    let soft = |problem: &LaneProblem| {
        matches!(
            problem,
            LaneProblem::Unclear { .. }
                | LaneProblem::NoLeader { .. }
                | LaneProblem::FetchFailed { .. }
                | LaneProblem::State { .. }
        )
    };
    matches!(end, Some(LaneEnd::Failed(problem)) if !soft(problem))
}

/// Compares a lane's log on the target with what was to be moved.
///
/// # Errors
///
/// What is wrong.
pub(super) fn judge(world: &World, lane: usize) -> Result<(), String> {
    let wrong = |what: String| Err(format!("lane {lane}: {what}"));
    let side = &world.sides[lane];
    let written = side.target.written();
    let ours: Vec<&Written> = written.iter().filter(|written| written.source.is_some()).collect();
    for record in &ours {
        let source = record.source.unwrap_or_default();
        match side.source.records.get(&source) {
            None => return wrong(format!("source offset {source} should not have been moved")),
            Some(content) if *content != record.content => return wrong(format!("source offset {source} has changed")),
            Some(_) => {}
        }
    }
    if let Some(pair) = ours.windows(2).find(|pair| pair[0].source >= pair[1].source) {
        let [first, second] = [pair[0], pair[1]].map(|record| (record.source.unwrap_or_default(), record.offset));
        return wrong(format!("source offset {} at {} is followed by {} at {}", first.0, first.1, second.0, second.1));
    }
    let checkpoint = world.durable(lane)?;
    // A log that lost its end and can't be gone on with keeps no promise, and what happens to it after the last look is for
    // the verification to find.
    if !side.target.unseen && (checkpoint.is_finished() || !side.target.truncated) {
        places_are_exact(&checkpoint, &written).or_else(wrong)?;
    }
    match (&world.ends[lane], checkpoint.is_finished()) {
        (_, true) => {
            marks_are_known(world, lane, &checkpoint).or_else(wrong)?;
            complete(world, lane, &checkpoint, &ours).or_else(wrong)
        }
        (Some(LaneEnd::Failed(problem)), _) if is_justified(world, lane, problem) => Ok(()),
        (end, _) => wrong(format!("ended without being copied: {end:?}")),
    }
}

/// Where nothing went wrong every place that is wanted is known.
fn marks_are_known(world: &World, lane: usize, checkpoint: &Checkpoint) -> Result<(), String> {
    let known = |mark: &kferry::kafka::Offset| checkpoint.places.iter().any(|place| place.source == *mark);
    let missing = world.sides[lane].source.marks.iter().find(|mark| !known(mark));
    match missing.filter(|_| world.plan.happened.is_empty()) {
        Some(mark) => Err(format!("nobody knows where {mark} lies")),
        None => Ok(()),
    }
}

/// All that was to be moved is there, and only that.
fn complete(world: &World, lane: usize, checkpoint: &Checkpoint, ours: &[&Written]) -> Result<(), String> {
    let side = &world.sides[lane];
    // So is what somebody else wrote where the log had lost as much.
    if side.target.unseen || (side.target.truncated && side.target.foreign) {
        return Ok(());
    }
    let moved: BTreeSet<i64> = ours.iter().filter_map(|record| record.source).collect();
    let lost =
        |offset: i64| checkpoint.skipped.iter().any(|skipped| skipped.span.contains(kferry::kafka::Offset(offset)));
    for offset in side.source.records.keys().copied().filter(|offset| !moved.contains(offset)) {
        let gone = side.source.gone.contains(&offset);
        let told = lost(offset) || !side.source.expired.contains(&offset);
        // What both sides lost after it was copied can't be owed.
        let owed = side.source.owed.contains(&offset) && !side.target.truncated;
        if !gone || !told || owed {
            return Err(format!("source offset {offset} is missing (gone: {gone}, told: {told})"));
        }
    }
    if let Some(offset) = moved.iter().find(|offset| lost(**offset)) {
        return Err(format!("source offset {offset} is on the target and told to be lost"));
    }
    let end = side.target.start.plus(moved.len() as i64);
    if checkpoint.target_end() != end {
        return Err(format!("the log ends at {end}, the checkpoint at {}", checkpoint.target_end()));
    }
    if let Some(record) = ours.last().filter(|record| record.offset + 1 != end.get()) {
        return Err(format!("the last record lies at {} instead of in front of {end}", record.offset));
    }
    Ok(())
}

/// Each place splits the log where it says.
fn places_are_exact(checkpoint: &Checkpoint, written: &[Written]) -> Result<(), String> {
    for place in &checkpoint.places {
        let wrong = written.iter().find(|record| {
            let Some(source) = record.source else { return false };
            (source < place.source.get()) != (record.offset < place.target.get())
        });
        if let Some(record) = wrong {
            let (source, offset) = (record.source.unwrap_or_default(), record.offset);
            return Err(format!(
                "source offset {} is said to lie at {}, but {source} lies at {offset}",
                place.source, place.target
            ));
        }
    }
    Ok(())
}

/// Whether something happened that a lane may end for.
fn is_justified(world: &World, lane: usize, problem: &LaneProblem) -> bool {
    let target = &world.sides[lane].target;
    match problem {
        // Before it was seen that a target drops stamps, batches without them are somebody else's.
        LaneProblem::ForeignTail { .. } if target.drops_stamps => true,
        LaneProblem::Foreign { .. } | LaneProblem::ForeignTail { .. } => target.foreign || target.truncated,
        LaneProblem::Truncated { .. } => target.truncated,
        LaneProblem::Unclear { .. } | LaneProblem::NoLeader { .. } => world.plan.has_happened(&[
            Fault::Stuck,
            Fault::LeaderMove,
            Fault::FollowersDown,
            Fault::TooFewInSync,
            Fault::Restart,
        ]),
        _ => false,
    }
}
