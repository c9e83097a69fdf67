//! A target in the midst of an upgrade: its brokers are new, the protocol between them is old. Measured on 2.8.2 with
//! inter.broker.protocol.version=2.0: Produce is offered in all its versions, and zstd answered with 76.
#![allow(clippy::expect_used, reason = "all of this file is tests and their helpers")]

use protocol_tests::broker::batch::Header;
use protocol_tests::broker::serve::now_ms;
use protocol_tests::broker::{Codec, Embedded, RecordBatchBuilder, Version};
use protocol_tests::lab::kferry::{Call, Kferry};

/// The source holds three batches of ten records in topic `t`, the last one zstd.
fn stage() -> (Embedded, Embedded) {
    let start = || Embedded::start(Version::V2_8, 1).expect("an embedded cluster");
    let (source, target) = (start(), start());
    source.with_core(|core| {
        core.create_topic("t", 1, &[]).expect("a topic");
        for (codec, base) in [(Codec::None, 0), (Codec::Lz4, 10), (Codec::Zstd, 20)] {
            let batch = RecordBatchBuilder::of(10, now_ms()).codec(codec).base_offset(base).build();
            assert!(core.append("t", 0, batch));
        }
        core.commit("g", "t", 0, 0);
    });
    target.with_core(|core| core.set_broker_config("inter.broker.protocol.version", "2.0-IV1"));
    (source, target)
}

fn kferry(command: &str, (source, target): &(Embedded, Embedded)) -> Call {
    let [source, target] = [source, target].map(|cluster| cluster.bootstrap().join(","));
    let binary = Kferry::new(env!("CARGO_BIN_EXE_kferry-under-test"));
    binary.call([command, "--source", &source, "--target", &target])
}

#[test]
fn zstd_is_refused_before_anything_is_written() {
    let clusters = stage();
    let outcome = kferry("run", &clusters).args(["--yes"]).run().expect_code(1);
    let last = outcome.stderr.lines().last().unwrap_or_default();
    assert!(last.contains("codec_unsupported") && last.contains("topics.recompress"), "{outcome}");
    assert!(clusters.1.with_core(|core| !core.topics.contains_key("t")));
}

#[test]
fn another_codec_stands_in_for_zstd_alone() {
    let clusters = stage();
    let (outcome, _) = kferry("run", &clusters).args(["--yes"]).env("KFERRY_TOPICS_RECOMPRESS", "gzip").json();
    outcome.expect_code(0);
    let codecs: Vec<i16> = clusters.1.with_core(|core| {
        let log = &core.partition("t", 0).expect("a partition").log;
        assert_eq!(log.end(), 30);
        let header = |offset| Header::read(&log.read(offset, 30, 1, true).records).expect("a batch");
        [0, 10, 20].map(|offset| header(offset).codec()).to_vec()
    });
    assert_eq!(codecs, [Codec::None, Codec::Lz4, Codec::Gzip].map(|codec| codec.id()));
}
