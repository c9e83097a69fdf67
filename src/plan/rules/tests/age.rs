use super::{refused, said};
use crate::kafka::{Offset, Span};
use crate::plan::rules::{gaps_in_question, times_needed};
use crate::plan::testing::{NOW_MS, Scene};
use crate::plan::{Permit, Plan, WarningCode};

const DAY_MS: i64 = 86_400_000;

fn waiting() -> Scene {
    Scene::new().topic("t", &[(0, 100)]).group("g", &[("t", 0, 10)]).there("t", &[(0, 0)])
}

/// Answers one of the questions: the first offset whose record is not older than `at_ms`.
fn answered(mut scene: Scene, at_ms: i64, first: Option<i64>) -> Scene {
    let asked = times_needed(&scene.survey, &scene.rules());
    assert!(asked["t"].contains(&at_ms), "{at_ms} is not asked: {asked:?}");
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
        ["t/0: up to 30 records are older than the 1 d the target keeps them: it would delete what arrives; raise \
          retention.ms of the target's topic"]
    );
    assert_eq!(refused(&old), ["expires_on_arrival"]);
    assert!(old.refusals(&[Permit::AllowExpiry].into()).is_empty());
    assert!(refused(&answered(kept("-1", "86400000"), at, Some(10)).plan()).is_empty(), "what moves is young enough");
    assert_eq!(refused(&answered(kept("-1", "86400000"), at, None).plan()), ["expires_on_arrival"], "all is older");
    assert!(refused(&kept("-1", "86400000").plan()).is_empty(), "nothing is concluded without an answer");
    let longer = kept("86400000", "604800000");
    assert!(!times_needed(&longer.survey, &longer.rules())["t"].contains(&(NOW_MS - 7 * DAY_MS)));
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
        ["t/0: up to 5 records are about as old as the 1 d the source keeps them: it may delete them first; raise \
          retention.ms of the source's topic until they have moved"]
    );
    assert!(said(&answered(scene, at, Some(10)).plan(), WarningCode::Expiring).is_empty());
}

#[test]
fn records_older_than_the_target_remembers_producers_go_one_batch_at_a_time() {
    let newer = [("producer.id.expiration.ms", "86400000"), ("transactional.id.expiration.ms", "604800000")];
    let scene = answered(waiting().broker_configs(&newer), NOW_MS - DAY_MS, None);
    assert_eq!(
        said(&scene.plan(), WarningCode::ProducerStateShort),
        ["t/0: up to 90 records are older than the 1 d the target remembers producers: one batch at a time"]
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
            "t/0: up to 2 records are older than the 1 d the target takes; raise message.timestamp.before.max.ms of the target's \
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

#[test]
fn the_setting_in_force_limits_timestamps_and_is_the_one_to_raise() {
    let no_limit = i64::MAX.to_string();
    let older = [("message.timestamp.difference.max.ms", "86400000")];
    // 3.6 to 3.9 have all three; the newer ones count where they are not at their default.
    let both =
        [older[0], ("message.timestamp.before.max.ms", &no_limit), ("message.timestamp.after.max.ms", &no_limit)];
    for configs in [&older[..], &both] {
        let scene = waiting().target_configs("t", configs);
        let plan = answered(answered(scene, NOW_MS - DAY_MS, Some(12)), NOW_MS + DAY_MS + 1, Some(77)).plan();
        let said = said(&plan, WarningCode::TimestampRejected);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(
            said.iter().all(|text| text.ends_with("raise message.timestamp.difference.max.ms of the target's topic"))
        );
    }
    let newer = [older[0], ("message.timestamp.before.max.ms", "3600000")];
    let scene = waiting().target_configs("t", &newer);
    assert!(!times_needed(&scene.survey, &scene.rules())["t"].contains(&(NOW_MS - DAY_MS)));
    assert_eq!(said(&answered(scene, NOW_MS - 3_600_000, None).plan(), WarningCode::TimestampRejected).len(), 1);
}

#[test]
fn records_without_a_timestamp_are_never_too_old() {
    let configs =
        [("message.timestamp.before.max.ms", "86400000"), ("cleanup.policy", "delete"), ("retention.ms", "1")];
    let scene = waiting().source_configs("t", &[("cleanup.policy", "compact")]).target_configs("t", &configs);
    let scene = scene.broker_configs(&[("producer.id.expiration.ms", "86400000")]);
    let scene = answered(answered(scene, NOW_MS - DAY_MS, None), NOW_MS - 1, None);
    let counted = |timed: Option<i64>| {
        let plan = answered(scene.clone(), 0, timed).plan();
        let said = [WarningCode::TimestampRejected, WarningCode::ExpiresOnArrival, WarningCode::ProducerStateShort];
        said.map(|code| said_of(&plan, code))
    };
    assert_eq!(counted(None), [None, None, Some("90".to_owned())], "none of them has one");
    assert_eq!(counted(Some(0)), ["90", "90", "90"].map(|count| Some(count.to_owned())));
    assert_eq!(counted(Some(60)), ["40", "40", "90"].map(|count| Some(count.to_owned())), "the first 50 have none");
}

/// A day's retention on the target, two for producers, and what the source says of the ages.
fn aging(kept: Option<i64>, remembered: Option<i64>) -> Scene {
    let scene = waiting()
        .source_configs("t", &[("cleanup.policy", "compact")])
        .target_configs("t", &[("cleanup.policy", "delete"), ("retention.ms", "86400000")])
        .broker_configs(&[("producer.id.expiration.ms", "172800000")]);
    answered(answered(scene, NOW_MS - DAY_MS, kept), NOW_MS - 2 * DAY_MS, remembered)
}

#[test]
fn offsets_without_a_record_are_not_too_old() {
    let counted = |gap: Option<Span>, timed: Option<i64>| {
        let mut scene = aging(Some(40), Some(30));
        scene.partition("t", 0).gap = gap;
        let plan = timed.map_or(scene.clone(), |timed| answered(scene, 0, Some(timed))).plan();
        [WarningCode::ExpiresOnArrival, WarningCode::ProducerStateShort].map(|code| said_of(&plan, code))
    };
    let count = |count: i64| Some(count.to_string());
    assert_eq!(counted(None, None), [count(30), count(20)]);
    assert_eq!(counted(Some(Span::new(10, 10)), None), [count(30), count(20)], "a record at the start");
    assert_eq!(counted(Some(Span::new(10, 30)), None), [count(10), None]);
    assert_eq!(counted(Some(Span::new(10, 40)), Some(0)), [None, None]);
    assert_eq!(counted(Some(Span::new(10, 120)), None), [None, None], "a gap beyond the end");
    assert_eq!(
        counted(Some(Span::new(10, 20)), Some(35)),
        [count(5), count(10)],
        "the first with a timestamp is at 35"
    );
}

#[test]
fn only_starts_that_seem_too_old_are_looked_at_and_first_those_that_stop_a_run() {
    let asked = |scene: &Scene| -> Vec<(String, Span)> {
        let gaps = gaps_in_question(&scene.survey, &scene.rules());
        gaps.into_iter().map(|(at, span)| (at.to_string(), span)).collect()
    };
    assert_eq!(asked(&waiting()), [], "nothing is known");
    assert_eq!(asked(&aging(Some(10), Some(3))), [], "all is young");
    let mut scene = aging(Some(40), Some(30));
    assert_eq!(asked(&scene), [("t/0".to_owned(), Span::new(10, 40))], "up to the last that any question is about");
    let timed = answered(scene.clone(), 0, Some(35));
    assert_eq!(asked(&timed), [("t/0".to_owned(), Span::new(10, 30))], "the record at 35 is there: a broker named it");
    scene = scene.topic("a", &[(0, 9)]).group("h", &[("a", 0, 2)]).there("a", &[(0, 0)]);
    scene.partition("a", 0).first_since.insert(NOW_MS - 2 * DAY_MS, None);
    let spans = [("t/0".to_owned(), Span::new(10, 40)), ("a/0".to_owned(), Span::new(2, 9))];
    assert_eq!(asked(&scene), spans);
}

/// How many records the only warning with this code is about.
fn said_of(plan: &Plan, code: WarningCode) -> Option<String> {
    let said = said(plan, code).pop()?;
    said.strip_prefix("t/0: up to ")?.split(' ').next().map(str::to_owned)
}
