//! Where a partition starts and ends, and why.

use super::undecided::{doubts, is_empty};
use crate::config::Undecided;
use crate::kafka::units::Count;
use crate::kafka::{GroupId, Offset, Span, TopicId, TopicPartition};
use crate::plan::facts::SourcePartition;
use crate::plan::plan::{LanePlan, Mark, Reason};
use crate::plan::warning::{Warning, WarningCode};

/// Decides one partition. `commits` names every selected group with a commit on the topic, and its commit on this
/// partition, by group; it is empty only for a topic that is taken without any commit.
pub(super) fn bounds(
    at: &TopicPartition,
    topic_id: Option<TopicId>,
    partition: &SourcePartition,
    commits: &[(&GroupId, Option<Offset>)],
    undecided: Undecided,
    warnings: &mut Vec<Warning>,
) -> LanePlan {
    let earliest = partition.log_start;
    let end = partition.last_stable.max(earliest);
    let doubts = doubts(partition, commits);
    let usable = || {
        let here = commits.iter().filter_map(|&(group, commit)| Some((commit?, group)));
        here.filter(|(commit, _)| *commit <= partition.high_watermark)
    };
    // As in the script every submitted offset counts; one beyond the end counts as the end.
    let submitted = || commits.iter().filter_map(|&(group, commit)| Some((commit?, group)));
    // The first of the groups that are the farthest behind, as they are in order.
    let offset = |&(commit, _): &(Offset, &GroupId)| commit;
    let (smallest, from_start) = match undecided {
        Undecided::Earliest => (usable().min_by_key(offset), doubts.any() || commits.is_empty()),
        Undecided::Committed => (submitted().min_by_key(offset), commits.is_empty()),
    };
    let is_undecided = match undecided {
        Undecided::Earliest => doubts.any(),
        Undecided::Committed => smallest.is_none() && !commits.is_empty() && !is_empty(partition),
    };
    let start = match smallest {
        _ if from_start => earliest,
        Some((commit, _)) => commit.clamp(earliest, end),
        None => end,
    };
    let committed = smallest.map(|(commit, _)| commit);
    let expired = committed.map_or(0, |commit| Span { start: commit, end: earliest }.len());
    let reason = if is_undecided {
        Reason::Undecided
    } else if expired > 0 {
        Reason::Expired
    } else if earliest == end {
        Reason::Empty
    } else if start == end {
        Reason::Consumed
    } else {
        Reason::Unread
    };
    let group = smallest.filter(|_| !from_start).map(|(_, group)| group.clone());
    let span = Span { start, end };
    let mut marks: Vec<Mark> =
        usable().map(|(commit, group)| Mark { group: group.clone(), source: commit.clamp(start, end) }).collect();
    // The groups are in order already.
    marks.sort_by_key(|mark| mark.source);
    let lane = LanePlan {
        at: at.clone(),
        topic_id,
        span,
        reason,
        group,
        committed,
        earliest,
        expired,
        held_back: Span { start: end, end: partition.high_watermark }.len(),
        bytes: estimate(partition, span),
        marks,
    };
    warn(&lane, &doubts, undecided, smallest.map(|(_, group)| group), warnings);
    lane
}

/// The span's share of the log, as if all records were of one size.
fn estimate(partition: &SourcePartition, span: Span) -> Option<u64> {
    let held = Span { start: partition.log_start, end: partition.high_watermark }.len().unsigned_abs();
    let moved = span.len().unsigned_abs();
    match (partition.bytes?, held) {
        (_, 0) => Some(0),
        (bytes, held) => u64::try_from(u128::from(bytes) * u128::from(moved) / u128::from(held)).ok(),
    }
}

fn warn(
    lane: &LanePlan,
    doubts: &super::undecided::Doubts<'_>,
    undecided: Undecided,
    smallest: Option<&GroupId>,
    warnings: &mut Vec<Warning>,
) {
    let mut say = |code, message, advice: &str| warnings.push(Warning::new(code, message).at(&lane.at).advice(advice));
    if let (1.., Some(commit), Some(group)) = (lane.expired, lane.committed, smallest) {
        let message = format!(
            "{group} committed {}, but the log starts at {}: {} offsets are gone from the source",
            Count(commit.get()),
            Count(lane.earliest.get()),
            Count(lane.expired)
        );
        say(WarningCode::Expired, message, "");
    }
    let chosen = match undecided {
        Undecided::Earliest => "it moves from the log start, so that nothing can be missed",
        Undecided::Committed if lane.committed.is_none() => "nothing of it moves, as plan.undecided is `committed`",
        Undecided::Committed => "the other commits decide, as plan.undecided is `committed`",
    };
    if let Some(names) = names(&doubts.missing) {
        let message = format!("{names}: commits on the topic, but none on this partition: {chosen}");
        say(WarningCode::Undecided, message, "");
    }
    for (group, commit) in &doubts.ahead {
        let message = format!(
            "{group} committed {}, which lies beyond the log's end: {chosen}; its offset is not translated",
            Count(commit.get())
        );
        say(WarningCode::Ahead, message, "the topic was probably re-created: reset the group's offset on the source");
    }
}

/// `a`, `a and b`, `a, b and 7 more`; `None` where there is none.
fn names(groups: &[&GroupId]) -> Option<String> {
    match groups {
        [] => None,
        [one] => Some(one.to_string()),
        [one, two] => Some(format!("{one} and {two}")),
        [one, two, others @ ..] => Some(format!("{one}, {two} and {} more", others.len())),
    }
}
