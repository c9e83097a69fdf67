use super::{refused, said};
use crate::batch::{Codec, CodecSet};
use crate::config::Recompress;
use crate::kafka::Span;
use crate::plan::WarningCode;
use crate::plan::rules::spans_in_question;
use crate::plan::testing::Scene;

/// A lane of 90 records that a topic of the target waits for.
fn waiting() -> Scene {
    Scene::new().topic("t", &[(0, 100)]).group("g", &[("t", 0, 10)]).there("t", &[(0, 0)])
}

fn without_zstd(mut scene: Scene) -> Scene {
    scene.survey.target.codecs = CodecSet::ALL.without(Codec::Zstd);
    scene
}

fn seen(mut scene: Scene, codec: Codec) -> Scene {
    scene.partition("t", 0).codecs.insert(codec);
    scene
}

#[test]
fn zstd_stops_a_run_towards_a_target_that_cannot_take_it() {
    let by_configuration = waiting().source_configs("t", &[("compression.type", "zstd")]);
    let by_sight = seen(waiting(), Codec::Zstd);
    for scene in [by_configuration, by_sight] {
        assert!(refused(&scene.plan()).is_empty());
        let plan = without_zstd(scene).plan();
        assert_eq!(refused(&plan), ["codec_unsupported"]);
        assert_eq!(
            said(&plan, WarningCode::CodecUnsupported),
            [
                "t: the source holds zstd batches, which the target can't take; set topics.recompress = \"lz4\", or upgrade \
              the target: zstd needs Kafka 2.1 and an inter.broker.protocol.version of at least 2.1"
            ]
        );
    }
    assert!(refused(&without_zstd(seen(waiting(), Codec::Lz4)).plan()).is_empty());
    let consumed = Scene::new().topic("t", &[(0, 9)]).group("g", &[("t", 0, 9)]).there("t", &[(0, 0)]);
    let consumed = consumed.source_configs("t", &[("compression.type", "zstd")]);
    assert!(refused(&without_zstd(consumed).plan()).is_empty(), "nothing would be written there");
}

#[test]
fn another_codec_may_stand_in_for_one_that_the_target_cannot_take() {
    let mut scene = without_zstd(seen(waiting(), Codec::Zstd));
    for (choice, text) in [
        (Recompress::Lz4, "t: zstd batches are compressed again with lz4"),
        (Recompress::None, "t: zstd batches are decompressed, as topics.recompress is `none`"),
    ] {
        scene.topics.recompress = Some(choice);
        let plan = scene.plan();
        assert!(refused(&plan).is_empty());
        assert_eq!(said(&plan, WarningCode::CodecRecompressed), [text]);
    }
    scene.survey.target.codecs = CodecSet::ALL;
    assert!(said(&scene.plan(), WarningCode::CodecRecompressed).is_empty(), "only where it must");
}

#[test]
fn a_new_topic_does_not_ask_for_a_codec_that_the_target_lacks() {
    let scene = Scene::new().topic("t", &[(0, 9)]).group("g", &[("t", 0, 4)]);
    let scene = without_zstd(scene.source_configs("t", &[("compression.type", "zstd")]));
    assert_eq!(
        said(&scene.plan(), WarningCode::ConfigLeftOut),
        ["t: created without compression.type (the target can't store this codec)"]
    );
}

#[test]
fn a_topic_that_asks_its_own_brokers_for_too_much_is_refused() {
    let scene = without_zstd(waiting().target_configs("t", &[("compression.type", "zstd")]));
    let plan = scene.plan();
    assert_eq!(refused(&plan), ["codec_unsupported"]);
    assert_eq!(
        said(&plan, WarningCode::CodecUnsupported),
        [
            "t: the target's topic has compression.type=zstd, which its brokers can't store; set compression.type=producer \
          there"
        ]
    );
}

#[test]
fn a_target_that_compresses_again_on_arrival_is_named() {
    let stored = |source: &str, target: &str| {
        let scene = waiting().source_configs("t", &[("compression.type", source)]);
        let plan = scene.target_configs("t", &[("compression.type", target), ("max.message.bytes", "1048576")]).plan();
        (said(&plan, WarningCode::CodecRecompressed), said(&plan, WarningCode::BatchTooLarge))
    };
    for same in [("producer", "producer"), ("lz4", "producer"), ("lz4", "lz4"), ("uncompressed", "uncompressed")] {
        assert_eq!(stored(same.0, same.1), (vec![], vec![]), "{same:?}");
    }
    for other in ["producer", "gzip", "uncompressed"] {
        assert_eq!(
            stored(other, "lz4"),
            (
                vec![
                    "t: the target's brokers compress what arrives again, with lz4; set compression.type=producer on the \
                     target's topic to keep the batches as they are"
                        .to_owned()
                ],
                vec![]
            )
        );
    }
    let (recompressed, too_large) = stored("producer", "uncompressed");
    assert_eq!(recompressed.len(), 1);
    assert_eq!(
        too_large,
        [
            "t: the target stores batches uncompressed: the limit (1.0 MiB) holds for their size when decompressed; raise \
          max.message.bytes of the target's topic, or set compression.type=producer there"
        ]
    );
}

#[test]
fn lanes_are_looked_into_only_where_the_target_lacks_a_codec() {
    let scene = Scene::new()
        .topic("a", &[(0, 9), (0, 9)])
        .topic("b", &[(5, 9), (0, 0)])
        .topic("told", &[(0, 9)])
        .group("g", &[("a", 0, 4), ("a", 1, 4), ("b", 0, 2), ("b", 1, 0), ("told", 0, 1)])
        .source_configs("told", &[("compression.type", "zstd")]);
    assert!(spans_in_question(&scene.survey, &scene.rules()).is_empty());
    let scene = without_zstd(scene);
    let asked: Vec<_> =
        spans_in_question(&scene.survey, &scene.rules()).into_iter().map(|(at, span)| (at.to_string(), span)).collect();
    let expected = [("a/0", Span::new(4, 9)), ("b/0", Span::new(5, 9)), ("a/1", Span::new(4, 9))];
    assert_eq!(asked, expected.map(|(at, span)| (at.to_owned(), span)), "every topic's first partition comes first");
}
