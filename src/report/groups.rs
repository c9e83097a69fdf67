//! Where the groups go on, as text.

use super::columns::table;
use super::table::many;
use crate::kafka::GroupId;
use crate::kafka::units::Count;
use crate::offsets::{GroupOutcome, Outcome};

/// So many groups, and so many commits that were refused, are shown one by one.
const FEW: usize = 20;

/// One row per group, the commits that could not be written, and what to do next; no line where there are no groups.
/// `outcomes` is ordered by group.
pub fn groups(outcomes: &[GroupOutcome]) -> Vec<String> {
    let of_groups: Vec<&[GroupOutcome]> = outcomes.chunk_by(|a, b| a.group == b.group).collect();
    let told: Vec<Outcome> = Outcome::ALL.into_iter().filter(|outcome| occurs(*outcome, outcomes)).collect();
    let rows = of_groups.iter().take(FEW).filter_map(|group| row(group, &told)).collect();
    let mut lines = table(["group", " partitions", "offsets on the target"], rows);
    if let more @ 1.. = of_groups.len().saturating_sub(FEW) {
        lines.push(format!("and {}; the JSON lists all", many(more, "more group")));
    }
    let refused = || outcomes.iter().filter(|ended| ended.outcome.is_refusal());
    lines.extend(refused().take(FEW).map(line));
    if let more @ 1.. = refused().count().saturating_sub(FEW) {
        lines.push(format!("and {}; the JSON lists all", many(more, "more refused commit")));
    }
    lines.extend(told.into_iter().filter_map(next_step).map(str::to_owned));
    lines
}

fn occurs(outcome: Outcome, outcomes: &[GroupOutcome]) -> bool {
    outcomes.iter().any(|ended| ended.outcome == outcome)
}

/// `3 committed, 1 kept`.
fn row(group: &[GroupOutcome], told: &[Outcome]) -> Option<[String; 3]> {
    let id: &GroupId = &group.first()?.group;
    let count = |outcome: &Outcome| {
        let count = group.iter().filter(|ended| ended.outcome == *outcome).count();
        (count > 0).then(|| format!("{count} {}", outcome.as_str()))
    };
    let counts: Vec<String> = told.iter().filter_map(count).collect();
    Some([id.to_string(), group.len().to_string(), counts.join(", ")])
}

/// `billing on orders/3, source offset 1,000: failed: …`.
fn line(ended: &GroupOutcome) -> String {
    let offset = ended.source.map(|offset| format!(", source offset {}", Count(offset.get()))).unwrap_or_default();
    let why = ended.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("{} on {}{offset}: {}{why}", ended.group, ended.at, ended.outcome.as_str())
}

/// What to do about an outcome, where something can be done.
const fn next_step(outcome: Outcome) -> Option<&'static str> {
    Some(match outcome {
        Outcome::Committed => return None,
        Outcome::Kept => "kept: other commits were there; --overwrite-offsets replaces those outside of what was moved",
        Outcome::None => "none: no usable commit on the source; auto.offset.reset decides there, as on the source",
        Outcome::Active => "active: stop these groups' consumers on the target, then run the same command again",
        Outcome::Failed => "failed: put right what is named above, then run the same command again",
        Outcome::Uncovered => {
            "uncovered: set such a group's offset on the source to one in the plan, or to the end, and run the same \
             command again"
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{Offset, TopicPartition};

    fn ended(group: &str, partition: i32, outcome: Outcome, why: Option<&str>) -> GroupOutcome {
        let (at, why) = (TopicPartition::new("orders", partition), why.map(str::to_owned));
        let offset = Some(Offset(1_000));
        GroupOutcome { group: group.into(), at, source: offset, target: offset, outcome, why }
    }

    #[test]
    fn each_group_has_a_row_each_refusal_a_line_and_each_kind_of_outcome_a_next_step() {
        let outcomes = [
            ended("audit", 0, Outcome::Committed, None),
            ended("audit", 1, Outcome::None, None),
            ended("billing", 0, Outcome::Active, Some("the group has a member on the target")),
            ended("billing", 1, Outcome::Active, None),
        ];
        assert_eq!(
            groups(&outcomes).join("\n"),
            "\
group    partitions  offsets on the target
audit             2  1 committed, 1 none
billing           2  2 active
billing on orders/0, source offset 1,000: active: the group has a member on the target
billing on orders/1, source offset 1,000: active
none: no usable commit on the source; auto.offset.reset decides there, as on the source
active: stop these groups' consumers on the target, then run the same command again"
        );
    }

    #[test]
    fn very_many_groups_are_summed_up_and_none_need_no_line() {
        let outcomes: Vec<_> =
            (0..23).map(|number| ended(&format!("g{number:02}"), 0, Outcome::Failed, Some("denied"))).collect();
        let text = groups(&outcomes).join("\n");
        assert_eq!(text.matches("failed: denied").count(), 20, "{text}");
        assert!(text.contains("\nand 3 more groups; the JSON lists all\n"), "{text}");
        assert!(text.contains("\nand 3 more refused commits; the JSON lists all\n"), "{text}");
        assert!(groups(&[]).is_empty());
    }
}
