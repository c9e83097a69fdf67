//! The last part of the story: the groups' offsets.

use std::collections::{BTreeMap, BTreeSet};

use crate::batch::crc32c;
use crate::cluster::Cluster;
use crate::copy::count_kept;
use crate::kafka::{Offset, Span, TopicPartition};
use crate::offsets::{self, GroupOutcome, Moved, Outcome, Replaces, Seen, Translation, Uncounted};
use crate::plan::{GroupPlan, Warning, WarningCode};
use crate::state::Place;

/// Groups that are looked at together, just before their offsets are committed: as many as one request asks for.
const TOGETHER: usize = 50;

/// Commits the place of each planned group on the target, group by group, and says what became of each commit, by group
/// and partition. `moved` are all partitions of the recorded plan. It may be dropped at any time: a group's offsets are
/// committed at once.
///
/// Nothing is an error of the whole: what could not be read or written is an outcome of the group.
pub async fn commit(
    source: &Cluster,
    target: &Cluster,
    groups: &[GroupPlan],
    moved: Vec<Moved>,
    replaces: Replaces,
) -> (Vec<GroupOutcome>, Vec<Warning>) {
    let mut moved: BTreeMap<TopicPartition, Moved> =
        moved.into_iter().map(|partition| (partition.at.clone(), partition)).collect();
    let (mut outcomes, mut warnings) = (Vec::new(), Vec::new());
    for groups in groups.chunks(TOGETHER) {
        let seen = offsets::look(source, target, groups).await;
        warnings.extend(seen.iter().filter_map(unstable));
        let uncounted = count(source, &seen, &mut moved).await;
        for seen in &seen {
            let decided = offsets::decide(seen, &moved, &uncounted, replaces);
            let mut ended = decided.settled;
            ended.extend(offsets::commit(target, &seen.group, &decided.writes).await);
            ended.sort_by(|a, b| a.at.cmp(&b.at));
            outcomes.append(&mut ended);
        }
    }
    let open = outcomes.iter().filter(|ended| ended.outcome == Outcome::Uncovered).count();
    tracing::debug!(commits = outcomes.len(), uncovered = open, "group offsets");
    (outcomes, warnings)
}

/// Says where the groups of a finished migration stand, by group and partition; nothing is written. Left out is what no
/// longer tells what became of it: a place that the source can't name any more, a commit that is gone from the target.
pub(super) async fn stand(
    source: &Cluster,
    target: &Cluster,
    groups: &[GroupPlan],
    moved: Vec<Moved>,
) -> Vec<GroupOutcome> {
    let mut moved: BTreeMap<TopicPartition, Moved> =
        moved.into_iter().map(|partition| (partition.at.clone(), partition)).collect();
    let mut outcomes = Vec::new();
    for groups in groups.chunks(TOGETHER) {
        let mut seen = offsets::look(source, target, groups).await;
        let uncounted = count(source, &seen, &mut moved).await;
        for seen in &mut seen {
            // Members would keep its offsets from being written.
            seen.target.iter_mut().for_each(|(_, members)| *members = 0);
            let settled = offsets::decide(seen, &moved, &uncounted, Replaces::default()).settled;
            outcomes.extend(settled.into_iter().filter(|ended| !ended.outcome.is_refusal()));
        }
    }
    outcomes
}

/// A checksum of the groups' names, and of whether commits of others were left in place: it tells whether these are the
/// groups whose offsets were committed.
pub(super) fn print(groups: &[GroupPlan], kept: bool) -> u32 {
    let names = groups.iter().flat_map(|group| group.id.as_str().bytes().chain([b'\n']));
    crc32c(&[u8::from(kept)].into_iter().chain(names).collect::<Vec<u8>>())
}

/// The same where none were to be committed.
pub(super) const NO_PRINT: u32 = 0;

/// A transaction may stay open for longer than anybody waits for it.
fn unstable(seen: &Seen) -> Option<Warning> {
    let topics = seen.topics();
    let mut commits = seen.source.as_ref().ok()?.iter();
    let commit = commits.find(|commit| !commit.stable && topics.contains(&commit.at.topic))?;
    let message =
        format!("group {}: an open transaction holds its next offset: the last decided one counts", seen.group);
    let advice = "end the transaction on the source, and run again to move the group on";
    Some(Warning::new(WarningCode::OpenTransaction, message).at(&commit.at).advice(advice))
}

/// Counts the places of offsets that no place tells, adds them to the partitions, and returns those that could not be.
async fn count(source: &Cluster, seen: &[Seen], moved: &mut BTreeMap<TopicPartition, Moved>) -> Uncounted {
    let mut open: BTreeMap<(TopicPartition, Place, Place), BTreeSet<Offset>> = BTreeMap::new();
    for commit in seen.iter().filter_map(|seen| seen.source.as_ref().ok()).flatten() {
        let Some(partition) = moved.get(&commit.at).filter(|partition| partition.proved) else { continue };
        if let Translation::Between { below, above } = partition.places().translate(commit.offset) {
            open.entry((commit.at.clone(), below, above)).or_default().insert(commit.offset);
        }
    }
    let mut uncounted = Uncounted::new();
    for ((at, below, above), offsets) in open {
        match count_between(source, &at, below, above, &offsets).await {
            Ok(places) => moved.entry(at).and_modify(|partition| partition.marks.extend(places)),
            Err(why) => {
                uncounted.extend(offsets.into_iter().map(|offset| ((at.clone(), offset), why.clone())));
                continue;
            }
        };
    }
    uncounted
}

/// Counts from one known place through the offsets to the next one. The sum tells whether the source still holds what was
/// copied: its log cleaner may have taken records meanwhile.
async fn count_between(
    source: &Cluster,
    at: &TopicPartition,
    below: Place,
    above: Place,
    offsets: &BTreeSet<Offset>,
) -> Result<Vec<Place>, String> {
    let (mut places, mut place) = (Vec::new(), below);
    for &next in offsets.iter().chain([&above.source]) {
        let span = Span { start: place.source, end: next };
        let kept = count_kept(source, at, span).await.map_err(|problem| problem.to_string())?;
        place = Place { source: next, target: place.target.plus(kept) };
        places.push(place);
    }
    if place != above {
        let copied = Span { start: below.target, end: above.target }.len();
        let found = Span { start: below.target, end: place.target }.len();
        return Err(format!(
            "source offsets {} held {copied} records when they were copied, and hold {found} now",
            Span { start: below.source, end: above.source }
        ));
    }
    Ok(places)
}
