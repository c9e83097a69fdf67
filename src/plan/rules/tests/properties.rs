use proptest::prelude::*;

use crate::config::{Undecided, Ungrouped};
use crate::kafka::{Offset, PartitionId};
use crate::plan::testing::{Scene, filter};
use crate::plan::{Action, LanePlan, Plan};

const GROUPS: [&str; 3] = ["a", "b", "c"];

/// A topic of up to four partitions, three groups with some commits on it, in either mode.
fn scenes() -> impl Strategy<Value = Scene> {
    let partition = (0_i64..40, 0_i64..40, 0_i64..20);
    let commits = proptest::collection::vec(proptest::option::of(-5_i64..120), 4);
    let groups = proptest::collection::vec(commits, 3);
    (proptest::collection::vec(partition, 1..=4), groups, any::<bool>(), any::<bool>()).prop_map(
        |(partitions, groups, committed, ungrouped)| {
            let logs: Vec<_> = partitions.iter().map(|&(start, stable, open)| (start, start + stable + open)).collect();
            let mut scene = Scene::new().topic("t", &logs);
            for (number, (start, stable, _)) in (0..).zip(&partitions) {
                scene.partition("t", number).last_stable = Offset(start + stable);
            }
            for (id, commits) in GROUPS.iter().zip(groups) {
                let commits: Vec<_> = (0..).zip(commits).filter_map(|(n, commit)| Some(("t", n, commit?))).collect();
                scene = scene.group(id, &commits);
            }
            scene.undecided = if committed { Undecided::Committed } else { Undecided::Earliest };
            scene.ungrouped = if ungrouped { Ungrouped::Earliest } else { Ungrouped::Skip };
            scene
        },
    )
}

fn lane(plan: &Plan, number: PartitionId) -> Option<&LanePlan> {
    plan.partitions().iter().find(|lane| lane.at.partition == number)
}

proptest! {
    #[test]
    fn every_span_lies_within_what_can_be_read(scene in scenes()) {
        let plan = scene.plan();
        for planned in plan.partitions() {
            let log = &scene.survey.source.topics[&planned.at.topic].partitions[&planned.at.partition];
            prop_assert!(log.log_start <= planned.span.start);
            prop_assert!(planned.span.start <= planned.span.end);
            prop_assert!(planned.span.end <= log.last_stable.max(log.log_start));
            prop_assert_eq!(planned.action() == Action::Migrate, planned.records() > 0);
        }
    }

    #[test]
    fn what_a_group_has_not_read_always_moves(scene in scenes()) {
        let plan = scene.plan();
        for group in &scene.survey.source.groups {
            for commit in group.commits.as_ref().expect("commits") {
                let Some(planned) = lane(&plan, commit.at.partition) else { continue };
                let log = &scene.survey.source.topics[&commit.at.topic].partitions[&commit.at.partition];
                if commit.offset.get() < 0 || commit.offset >= log.last_stable {
                    continue;
                }
                let first_unread = commit.offset.max(log.log_start);
                prop_assert!(planned.span.start <= first_unread && planned.span.end == log.last_stable);
                let mark = planned.marks.iter().find(|mark| mark.group == group.id).expect("a mark");
                prop_assert_eq!(mark.source, first_unread);
            }
        }
    }

    #[test]
    fn where_the_commits_do_not_tell_nothing_is_missed(scene in scenes()) {
        prop_assume!(scene.undecided == Undecided::Earliest);
        let plan = scene.plan();
        for planned in plan.partitions() {
            let on_topic = scene.survey.source.groups.iter().filter_map(|group| group.commits.as_deref().ok());
            let without = on_topic
                .filter(|commits| commits.iter().any(|commit| commit.offset.get() >= 0))
                .any(|commits| !commits.iter().any(|commit| commit.at == planned.at && commit.offset.get() >= 0));
            prop_assert!(!without || planned.span.start == planned.earliest);
        }
    }

    #[test]
    fn selecting_fewer_groups_never_lowers_a_start(scene in scenes(), left_out in 0..GROUPS.len()) {
        let mut fewer = scene.clone();
        fewer.selection.groups = filter(&["*"], &[GROUPS[left_out]]);
        let (all, fewer) = (scene.plan(), fewer.plan());
        for planned in fewer.partitions() {
            let before = lane(&all, planned.at.partition).expect("taken with more groups");
            prop_assert!(before.span.start <= planned.span.start);
            prop_assert_eq!(before.span.end, planned.span.end);
        }
    }

    #[test]
    fn marks_lie_within_the_span_in_order_one_for_each_group(scene in scenes()) {
        for planned in scene.plan().partitions() {
            prop_assert!(planned.marks.iter().all(|mark| planned.span.start <= mark.source && mark.source <= planned.span.end));
            prop_assert!(planned.marks.is_sorted_by_key(|mark| (mark.source, mark.group.clone())));
            let groups: std::collections::BTreeSet<_> = planned.marks.iter().map(|mark| &mark.group).collect();
            prop_assert_eq!(groups.len(), planned.marks.len());
        }
    }
}
