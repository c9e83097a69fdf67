use std::collections::BTreeSet;

use super::{refused, said};
use crate::kafka::Offset;
use crate::plan::testing::{Scene, example, filter};
use crate::plan::{Permit, WarningCode};

#[test]
fn a_group_with_members_stops_a_run_until_it_is_allowed() {
    let mut scene = example();
    (scene.group_mut("test34-group").members, scene.group_mut("test34-group").state) = (Some(2), Some("Stable".into()));
    let plan = scene.plan();
    assert_eq!(refused(&plan), ["active_group"]);
    assert_eq!(
        plan.refusals(&BTreeSet::new())[0].to_string(),
        "active_group: group test34-group has 2 members (Stable); stop its consumers, so that its offsets stand still; \
         to go on all the same: --allow-active"
    );
    assert!(plan.refusals(&[Permit::AllowActive].into()).is_empty());
    scene.selection.groups = filter(&["test123-group"], &[]);
    assert!(refused(&scene.plan()).is_empty());
}

#[test]
fn a_consumer_that_has_not_committed_yet_stops_a_run_but_other_users_of_groups_do_not() {
    let mut scene = example().group("new", &[]).group("connect-cluster", &[]);
    for id in ["new", "connect-cluster"] {
        scene.group_mut(id).members = Some(1);
    }
    scene.group_mut("connect-cluster").protocol_type = "connect".into();
    let active = said(&scene.plan(), WarningCode::ActiveGroup);
    assert_eq!(active.len(), 1, "{active:?}");
    assert!(active[0].starts_with("group new has 1 member and no commit yet"), "{active:?}");
}

#[test]
fn an_end_that_moves_during_the_survey_stops_a_run_until_it_is_allowed() {
    let mut scene = example();
    scene.partition("test2", 0).high_watermark_before = Offset(990);
    let plan = scene.plan();
    assert_eq!(
        said(&plan, WarningCode::MovingEnd),
        ["test2/0: the end moved by 10 during the survey, from 990 to 1,000; stop its producers"]
    );
    assert_eq!(refused(&plan), ["moving_end"]);
    assert!(plan.refusals(&[Permit::AllowActive].into()).is_empty());
}

#[test]
fn what_could_not_be_seen_is_said() {
    let mut scene = example();
    scene.survey.source.groups_hidden = Some("kferry's user may not describe the cluster".into());
    scene.source("test3").configs = None;
    scene.survey.target.broker_configs = None;
    scene.group_mut("test34-group").members = None;
    let plan = scene.plan();
    assert_eq!(said(&plan, WarningCode::GroupsHidden).len(), 2);
    let hidden = said(&plan, WarningCode::ConfigsHidden);
    assert_eq!(hidden.len(), 2, "{hidden:?}");
    assert!(hidden[0].starts_with("the configuration of 1 topic of the source may not be read (test3)"), "{hidden:?}");
}

#[test]
fn a_source_that_is_too_old_to_tell_configs_is_no_question_of_rights() {
    let mut scene = example();
    scene.survey.source.tells_configs = false;
    let names: Vec<_> = scene.survey.source.topics.keys().cloned().collect();
    names.iter().for_each(|name| scene.source(name.as_str()).configs = None);
    let hidden = said(&scene.plan(), WarningCode::ConfigsHidden);
    assert_eq!(hidden.len(), 1, "{hidden:?}");
    assert!(hidden[0].contains("too old") && hidden[0].contains("by hand"), "{hidden:?}");
}

#[test]
fn a_changelog_that_stays_behind_is_named_with_its_application() {
    let mut scene = Scene::new().topic("in", &[(0, 9)]).group("app", &[("in", 0, 1)]).group("app-2", &[("in", 0, 1)]);
    for name in ["app-store-changelog", "app-2-store-changelog", "unrelated-changelog", "appchangelog"] {
        scene.survey.source.names.insert(name.into());
    }
    let said = said(&scene.plan(), WarningCode::StreamsState);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("streams application app-2 ") && said[1].contains("streams application app "), "{said:?}");
}
