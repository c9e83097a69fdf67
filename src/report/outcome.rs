//! What a run came to, as text.

use std::collections::BTreeMap;

use super::columns::table;
use super::groups::groups;
use super::table::many;
use crate::copy::Volume;
use crate::kafka::units::{Bytes, Count, Span};
use crate::migrate::{Ended, LaneOutcome, Outcome};
use crate::state::Skipped;
use crate::verify::Level;

/// So many partitions are shown one by one.
const FEW: usize = 20;

/// So many skipped ranges of a partition are shown one by one.
const FEW_RANGES: usize = 5;

/// The result's text; every line ends with a line feed.
pub fn outcome(outcome: &Outcome) -> String {
    let mut lines = vec![headline(outcome)];
    let sections = [topics(outcome), opened(outcome), skipped(outcome), troubled(outcome), groups(&outcome.groups)];
    for section in sections.into_iter().filter(|section| !section.is_empty()) {
        lines.push(String::new());
        lines.extend(section);
    }
    lines.join("\n") + "\n"
}

fn headline(outcome: &Outcome) -> String {
    let moved = format!(
        "{} of {} in {}",
        records(outcome.records()),
        many(outcome.lanes.len(), "partition"),
        Span(outcome.elapsed)
    );
    let moved = match outcome.skipped() {
        0 => moved,
        skipped => format!("{moved}, without {} that were skipped", offsets(skipped)),
    };
    match outcome.ended() {
        Ended::Done if outcome.lanes.is_empty() => "Nothing to move".to_owned(),
        Ended::Done if outcome.nothing_to_do => {
            let (records, lanes) = (records(outcome.records()), many(outcome.lanes.len(), "partition"));
            format!(
                "Already finished: {records} of {lanes} are on the target; nothing was written; --extend moves what the source got since"
            )
        }
        Ended::Done => format!("Done: moved and verified {moved}"),
        Ended::Stopped => format!("Stopped: moved {moved}; what is on the target is right"),
        Ended::Failed if outcome.is_copied() => format!("Not finished: moved and verified {moved}"),
        Ended::Failed => format!("Failed: moved {moved}; what is on the target is right"),
        Ended::Differs => format!("Differs: moved {moved}, but the target tells other offsets"),
    }
}

fn records(number: i64) -> String {
    format!("{} {}", Count(number), if number == 1 { "record" } else { "records" })
}

fn offsets(number: i64) -> String {
    format!("{} {}", Count(number), if number == 1 { "offset" } else { "offsets" })
}

/// One row per topic.
fn topics(outcome: &Outcome) -> Vec<String> {
    let row = |lanes: &[LaneOutcome]| {
        let topic = lanes.first()?.at.topic.to_string();
        let verified = lanes.iter().filter(|lane| lane.verified.is_some()).count();
        let level = lanes.iter().find_map(|lane| lane.verified).map_or("", Level::as_str);
        Some([
            topic,
            lanes.len().to_string(),
            Count(lanes.iter().map(|lane| lane.span().len()).sum()).to_string(),
            Count(lanes.iter().map(|lane| lane.written().len()).sum()).to_string(),
            Bytes(lanes.iter().map(|lane| lane.tally.bytes_read()).sum()).to_string(),
            format!("{verified} of {} {level}", lanes.len()).trim_end().to_owned(),
        ])
    };
    let rows = outcome.lanes.chunk_by(|a, b| a.at.topic == b.at.topic).filter_map(row).collect();
    table(["topic", " partitions", " offsets", " records", " bytes", "verified"], rows)
}

/// How many batches did not pass as they were, and why.
fn opened(outcome: &Outcome) -> Vec<String> {
    let mut passed = Volume::default();
    let mut reasons: BTreeMap<(&str, &str), Volume> = BTreeMap::new();
    for tally in outcome.lanes.iter().map(|lane| &lane.tally) {
        passed.merge(tally.passed);
        let rewritten = tally.rewritten.iter().map(|(reason, volume)| (("rewritten", *reason), volume));
        let dropped = tally.dropped.iter().map(|(reason, volume)| (("left out", *reason), volume));
        rewritten.chain(dropped).for_each(|(key, volume)| reasons.entry(key).or_default().merge(*volume));
    }
    if passed.batches == 0 && reasons.is_empty() {
        return Vec::new();
    }
    let row = |(verdict, reason): (&str, &str), volume: Volume| {
        let batches = Count(i64::try_from(volume.batches).unwrap_or(i64::MAX)).to_string();
        [verdict.to_owned(), reason.to_owned(), batches, Bytes(volume.bytes).to_string()]
    };
    let others = reasons.into_iter().map(|(key, volume)| row(key, volume));
    let rows = std::iter::once(row(("passed", ""), passed)).chain(others).collect();
    table(["batches", "reason", " count", " bytes"], rows)
}

/// The ranges of the source that were to be moved and were left out.
fn skipped(outcome: &Outcome) -> Vec<String> {
    let lanes: Vec<&LaneOutcome> = outcome.lanes.iter().filter(|lane| !lane.skipped().is_empty()).collect();
    let rows = |lane: &&LaneOutcome| {
        let at = lane.at.to_string();
        let (few, others) = lane.skipped().split_at(lane.skipped().len().min(FEW_RANGES));
        let range = |skipped: &Skipped| {
            let [start, end, len] = [skipped.span.start.get(), skipped.span.end.get(), skipped.span.len()];
            let [start, end, len] = [start, end, len].map(|number| Count(number).to_string());
            [at.clone(), start, end, len, skipped.reason.as_str().to_owned()]
        };
        let more = (!others.is_empty()).then(|| {
            let len = others.iter().map(|skipped| skipped.span.len()).sum();
            let ranges = format!("and {}", many(others.len(), "more range"));
            [at.clone(), String::new(), String::new(), Count(len).to_string(), ranges]
        });
        few.iter().map(range).chain(more).collect::<Vec<_>>()
    };
    let rows = lanes.iter().take(FEW).flat_map(rows).collect();
    let mut lines = table(["skipped", " start", " end", " offsets", "why"], rows);
    if let more @ 1.. = lanes.len().saturating_sub(FEW) {
        lines.push(format!("and {}; the JSON lists all", many(more, "more partition")));
    }
    if !lines.is_empty() {
        lines.push("What was skipped is not on the target: restore it from elsewhere, or do without it".to_owned());
    }
    lines
}

/// The partitions that could not be moved or verified.
fn troubled(outcome: &Outcome) -> Vec<String> {
    let mut lines: Vec<String> = outcome.troubled().take(FEW).filter_map(LaneOutcome::problem).collect();
    let more = outcome.troubled().count().saturating_sub(FEW);
    if more > 0 {
        lines.push(format!("and {}; the JSON lists all", many(more, "more partition")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::copy::{LaneEnd, LaneProblem, Tally};
    use crate::kafka::{Offset, Span as Offsets, TopicPartition};
    use crate::plan::facts::ClusterIdentity;
    use crate::state::{Checkpoint, SkipReason};

    fn checkpoint(span: Offsets, records: i64) -> Checkpoint {
        Checkpoint { next: span.end, records, ..Checkpoint::begin(span, Offset(0)) }
    }

    fn lane(partition: i32, end: LaneEnd) -> LaneOutcome {
        let mut tally = Tally::default();
        tally.passed.add(1_500);
        tally.rewritten.entry("boundary").or_default().add(500);
        let verified = (end == LaneEnd::Copied).then_some(Level::Offsets);
        LaneOutcome {
            at: TopicPartition::new("orders", partition),
            checkpoint: checkpoint(Offsets::new(100, 1_200), 1_000),
            tally,
            end,
            verified,
            difference: None,
            before: false,
            told: None,
        }
    }

    fn shown(lanes: Vec<LaneOutcome>) -> String {
        let identity = || ClusterIdentity { id: None, bootstrap: Vec::new(), brokers: Default::default() };
        let elapsed = Duration::from_millis(840);
        let (source, target) = (identity(), identity());
        outcome(&Outcome {
            name: "night".to_owned(),
            source,
            target,
            lanes,
            idle: BTreeMap::new(),
            groups: Vec::new(),
            warnings: Vec::new(),
            elapsed,
            interrupted: false,
            nothing_to_do: false,
        })
    }

    #[test]
    fn a_result_says_what_moved_how_and_whether_it_was_proved() {
        assert_eq!(
            shown(vec![lane(0, LaneEnd::Copied), lane(1, LaneEnd::Copied)]),
            "\
Done: moved and verified 2,000 records of 2 partitions in 0.8 s

topic   partitions  offsets  records    bytes  verified
orders           2    2,200    2,000  3.9 KiB  2 of 2 offsets

batches    reason    count    bytes
passed                   2  2.9 KiB
rewritten  boundary      2   1000 B
"
        );
    }

    #[test]
    fn a_partition_that_could_not_go_on_is_named() {
        let problem = LaneProblem::Expired { offset: Offset(7), log_start: Offset(9) };
        let text = shown(vec![lane(0, LaneEnd::Copied), lane(1, LaneEnd::Failed(problem))]);
        assert!(text.starts_with("Failed: moved 2,000 records of 2 partitions"), "{text}");
        assert!(text.ends_with("orders/1: source offset 7 is gone: the source's log now starts at 9; its retention deleted records while they were copied\n"), "{text}");
    }

    #[test]
    fn what_was_skipped_is_listed_and_said_to_be_missing() {
        let skip = |start, end| Skipped { span: Offsets::new(start, end), reason: SkipReason::Corrupt };
        let mut lanes = vec![lane(0, LaneEnd::Copied), lane(1, LaneEnd::Copied), lane(2, LaneEnd::Copied)];
        lanes[0].checkpoint.skipped = vec![skip(100, 101)];
        lanes[2].checkpoint.skipped = (0..7).map(|n| skip(1_000 * n, 1_000 * n + 10)).collect();
        let text = shown(lanes);
        assert!(
            text.starts_with(
                "Done: moved and verified 3,000 records of 3 partitions in 0.8 s, without 71 offsets that were skipped\n"
            ),
            "{text}"
        );
        let listed = "
skipped   start    end  offsets  why
orders/0    100    101        1  corrupt
orders/2      0     10       10  corrupt
orders/2  1,000  1,010       10  corrupt
orders/2  2,000  2,010       10  corrupt
orders/2  3,000  3,010       10  corrupt
orders/2  4,000  4,010       10  corrupt
orders/2                     20  and 2 more ranges
What was skipped is not on the target: restore it from elsewhere, or do without it
";
        assert!(text.contains(listed), "{text}");
    }

    #[test]
    fn skipped_ranges_of_very_many_partitions_are_summed_up() {
        let skipping = |partition| {
            let span = Offsets::new(7, 8);
            let skipped = vec![Skipped { span, reason: SkipReason::Corrupt }];
            let mut lane = lane(partition, LaneEnd::Copied);
            lane.checkpoint.skipped = skipped;
            lane
        };
        let text = shown((0..23).map(skipping).collect());
        assert_eq!(text.matches("corrupt").count(), 20);
        assert!(text.contains("\nand 3 more partitions; the JSON lists all\nWhat was skipped"), "{text}");
    }

    #[test]
    fn every_verdict_and_reason_has_its_line() {
        let mut tally = Tally::default();
        tally.passed.add(10_240);
        for reason in ["join", "legacy", "recompress", "too_large"] {
            tally.rewritten.entry(reason).or_default().add(1_024);
        }
        tally.dropped.entry("control").or_default().add(78);
        let text = shown(vec![LaneOutcome { tally, ..lane(0, LaneEnd::Copied) }]);
        let listed = "
batches    reason      count     bytes
passed                     1  10.0 KiB
left out   control         1      78 B
rewritten  join            1   1.0 KiB
rewritten  legacy          1   1.0 KiB
rewritten  recompress      1   1.0 KiB
rewritten  too_large       1   1.0 KiB
";
        assert!(text.contains(listed), "{text}");
    }

    #[test]
    fn nothing_to_move_needs_no_table() {
        assert_eq!(shown(Vec::new()), "Nothing to move\n");
    }
}
