use super::{refused, said};
use crate::kafka::Offset;
use crate::plan::rules::times_needed;
use crate::plan::testing::{NOW_MS, Scene};
use crate::plan::{Permit, WarningCode};

const DAY_MS: i64 = 86_400_000;

fn waiting() -> Scene {
    Scene::new().topic("t", &[(0, 100)]).group("g", &[("t", 0, 10)]).there("t", &[(0, 0)])
}

/// Answers one of the questions: the first offset whose record is not older than `at_ms`.
fn answered(mut scene: Scene, at_ms: i64, first: Option<i64>) -> Scene {
    let asked = times_needed(&scene.survey, &scene.rules());
    assert!(asked[&"t".into()].contains(&at_ms), "{at_ms} is not asked: {asked:?}");
    scene.partition("t", 0).first_since.insert(at_ms, first.map(Offset));
    scene
}

#[test]
fn a_shorter_retention_of_the_target_stops_a_run_where_older_records_move() {
    let kept = |source: &str, target: &str| {
        waiting()
            .source_configs("t", &[("cleanup.policy", "delete"), ("retention.ms", source)])
            .target_configs("t", &[("cleanup.policy", "delete"), ("retention.ms", target)])
    };
    let at = NOW_MS - DAY_MS;
    let old = answered(kept("604800000", "86400000"), at, Some(40)).plan();
    assert_eq!(
        said(&old, WarningCode::ExpiresOnArrival),
        [
            "t/0: 30 records are older than the 1 d the target keeps them: it would delete what arrives; raise retention.ms \
          of the target's topic"
        ]
    );
    assert_eq!(refused(&old), ["expires_on_arrival"]);
    assert!(old.refusals(&[Permit::AllowExpiry].into()).is_empty());
    assert!(refused(&answered(kept("-1", "86400000"), at, Some(10)).plan()).is_empty(), "what moves is young enough");
    assert_eq!(refused(&answered(kept("-1", "86400000"), at, None).plan()), ["expires_on_arrival"], "all is older");
    assert!(refused(&kept("-1", "86400000").plan()).is_empty(), "nothing is concluded without an answer");
    let longer = kept("86400000", "604800000");
    assert!(!times_needed(&longer.survey, &longer.rules())[&"t".into()].contains(&(NOW_MS - 7 * DAY_MS)));
}

#[test]
fn a_topic_kept_for_ever_by_compaction_expires_on_a_target_that_deletes() {
    let scene = waiting()
        .source_configs("t", &[("cleanup.policy", "compact"), ("retention.ms", "1000")])
        .target_configs("t", &[("cleanup.policy", "compact,delete"), ("retention.ms", "86400000")]);
    assert_eq!(refused(&answered(scene, NOW_MS - DAY_MS, Some(40)).plan()), ["expires_on_arrival"]);
}

#[test]
fn records_that_the_source_deletes_within_the_hour_are_named() {
    let scene = waiting().source_configs("t", &[("cleanup.policy", "delete"), ("retention.ms", "86400000")]);
    let at = NOW_MS - DAY_MS + 3_600_000;
    assert_eq!(
        said(&answered(scene.clone(), at, Some(15)).plan(), WarningCode::Expiring),
        [
            "t/0: 5 records are about as old as the 1 d the source keeps them: it may delete them first; raise retention.ms \
          of the source's topic until they have moved"
        ]
    );
    assert!(said(&answered(scene, at, Some(10)).plan(), WarningCode::Expiring).is_empty());
}

#[test]
fn records_older_than_the_target_remembers_producers_go_one_batch_at_a_time() {
    let newer = [("producer.id.expiration.ms", "86400000"), ("transactional.id.expiration.ms", "604800000")];
    let scene = answered(waiting().broker_configs(&newer), NOW_MS - DAY_MS, None);
    assert_eq!(
        said(&scene.plan(), WarningCode::ProducerStateShort),
        ["t/0: 90 records are older than the 1 d the target remembers producers: one batch at a time"]
    );
    let older = answered(waiting().broker_configs(&newer[1..]), NOW_MS - 7 * DAY_MS, Some(11));
    assert_eq!(said(&older.plan(), WarningCode::ProducerStateShort).len(), 1);
    let stamped = scene.target_configs("t", &[("message.timestamp.type", "LogAppendTime")]);
    assert!(said(&stamped.plan(), WarningCode::ProducerStateShort).is_empty(), "its append times count");
}

#[test]
fn timestamps_outside_what_the_target_takes_are_named() {
    let limits = [("message.timestamp.before.max.ms", "86400000"), ("message.timestamp.after.max.ms", "3600000")];
    let scene = waiting().target_configs("t", &limits);
    let old = answered(scene.clone(), NOW_MS - DAY_MS, Some(12));
    assert_eq!(
        said(&old.plan(), WarningCode::TimestampRejected),
        [
            "t/0: 2 records are older than the 1 d the target takes; raise message.timestamp.before.max.ms of the target's \
          topic"
        ]
    );
    let new = answered(scene, NOW_MS + 3_600_001, Some(77));
    assert_eq!(
        said(&new.plan(), WarningCode::TimestampRejected),
        ["t/0: the record at 77 is further in the future than the 1 h the target takes; raise \
          message.timestamp.after.max.ms of the target's topic"]
    );
    assert!(said(&answered(new, NOW_MS + 3_600_001, None).plan(), WarningCode::TimestampRejected).is_empty());
}
