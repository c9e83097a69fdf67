use super::{lane, said, taken};
use crate::config::Ungrouped;
use crate::kafka::{ErrorCode, Span};
use crate::plan::WarningCode;
use crate::plan::facts::GroupKind;
use crate::plan::testing::{Scene, example, filter};

#[test]
fn a_topic_is_taken_when_a_selected_group_has_a_commit_on_it() {
    let mut scene = example().topic("other", &[(0, 5)]);
    assert_eq!(taken(&scene.plan()), ["test1", "test2", "test3", "test4"]);
    scene.selection.groups = filter(&["*"], &["test123*"]);
    let plan = scene.plan();
    assert_eq!(taken(&plan), ["test3", "test4"]);
    assert_eq!(lane(&plan, "test3").span, Span::new(201_000, 264_322));
    scene.selection.topics = filter(&["test4"], &[]);
    assert_eq!(taken(&scene.plan()), ["test4"]);
}

#[test]
fn classic_consumer_and_streams_groups_count_and_share_groups_are_named() {
    for (kind, counts) in [
        (GroupKind::Classic, true),
        (GroupKind::Consumer, true),
        (GroupKind::Streams, true),
        (GroupKind::Share, false),
        (GroupKind::Unknown("next".into()), false),
    ] {
        let mut scene = Scene::new().topic("t", &[(0, 9)]).group("g", &[("t", 0, 4)]);
        scene.group_mut("g").kind = kind.clone();
        let plan = scene.plan();
        assert_eq!(plan.topics().len(), usize::from(counts), "{kind}");
        assert_eq!(said(&plan, WarningCode::UnsupportedGroup).len(), usize::from(!counts), "{kind}");
    }
    let mut scene = Scene::new().group("shared", &[]);
    scene.group_mut("shared").kind = GroupKind::Share;
    assert_eq!(
        said(&scene.plan(), WarningCode::UnsupportedGroup),
        ["group shared is a share group and left out: it has no committed offsets"]
    );
    scene.selection.groups = filter(&["*"], &["shared"]);
    assert!(said(&scene.plan(), WarningCode::UnsupportedGroup).is_empty(), "it was not asked for");
}

#[test]
fn the_state_of_a_migration_is_never_a_source() {
    let base = Scene::new().topic("t", &[(0, 9)]).group("kferry-x", &[("t", 0, 4)]);
    assert_eq!(taken(&base.plan()), ["t"], "a group of that name alone is like any other");

    let mut by_protocol = base.clone();
    by_protocol.group_mut("kferry-x").protocol_type = "kferry".into();
    assert!(by_protocol.plan().topics().is_empty());

    let mut by_metadata = base;
    by_metadata.group_mut("kferry-x").commits.as_mut().expect("commits")[0].metadata =
        r#"{"kferry":1,"next":4}"#.into();
    assert!(by_metadata.plan().topics().is_empty());
    by_metadata.ungrouped = Ungrouped::Earliest;
    assert_eq!(taken(&by_metadata.plan()), ["t"], "its commits are no reading");
}

#[test]
fn internal_and_deleted_topics_are_left_out_and_named() {
    let mut scene = example().topic("__internal", &[(0, 5)]).group("g", &[("__internal", 0, 1), ("gone", 0, 1)]);
    let plan = scene.plan();
    assert_eq!(taken(&plan), ["test1", "test2", "test3", "test4"]);
    let left_out: Vec<_> = plan.left_out().iter().map(ToString::to_string).collect();
    assert_eq!(left_out, ["__internal", "gone"]);
    assert_eq!(said(&plan, WarningCode::TopicLeftOut).len(), 1);
    assert_eq!(
        said(&plan, WarningCode::TopicMissing),
        [
            "gone: left out: a selected group has commits on it, but the source does not show such a topic; it was deleted, \
          or kferry's user may not describe it"
        ]
    );
    assert!(plan.refusals(&std::collections::BTreeSet::new()).is_empty());

    scene.selection.topics = filter(&["*"], &["gone", "__*"]);
    assert!(scene.plan().left_out().is_empty(), "what was not asked for is not missed");
}

#[test]
fn a_commit_on_a_partition_that_the_topic_lacks_is_named() {
    let plan = Scene::new().topic("t", &[(0, 9)]).group("a", &[("t", 0, 4), ("t", 7, 4)]).plan();
    assert_eq!(plan.partitions().len(), 1);
    assert_eq!(
        said(&plan, WarningCode::TopicMissing),
        [
            "t/7: left out: a selected group has a commit on it, but the topic has no such partition; the topic was re-created"
        ]
    );
}

#[test]
fn a_topic_that_only_a_group_not_selected_reads_is_not_without_commits() {
    let mut scene = example().topic("free", &[(0, 5)]).topic("__internal", &[(0, 5)]);
    scene.ungrouped = Ungrouped::Earliest;
    scene.selection.groups = filter(&["test34-group"], &[]);
    assert_eq!(taken(&scene.plan()), ["free", "test3", "test4"]);
}

#[test]
fn a_group_whose_commits_may_not_be_read_is_named() {
    let mut scene = example();
    scene.group_mut("test34-group").commits = Err(ErrorCode::GROUP_AUTHORIZATION_FAILED);
    let plan = scene.plan();
    assert_eq!(taken(&plan), ["test1", "test2", "test3"]);
    assert_eq!(
        said(&plan, WarningCode::GroupsHidden),
        ["group test34-group is left out: its committed offsets cannot be read: GROUP_AUTHORIZATION_FAILED; grant \
          Describe on the group, or leave it out with --exclude-group"]
    );
}
