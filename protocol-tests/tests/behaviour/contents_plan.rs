//! What a plan says about the batches themselves, held against what the brokers then do.

use protocol_tests::broker::RecordBatchBuilder;
use protocol_tests::broker::batch::Header;
use protocol_tests::lab::hand::{End, Writing};
use protocol_tests::lab::kferry::Call;
use protocol_tests::lab::record::Record;
use protocol_tests::lab::wait::now_ms;
use protocol_tests::lab::{Codec, Lab, Scenario, Topic, Version};
use protocol_tests::on_a_pair;
use serde_json::Value;

use super::plan::{partition, plan_of, recent, records, warns};

const DAY_MS: i64 = 86_400_000;

pub(super) fn scenarios() -> Vec<Scenario> {
    let to_old = on_a_pair!["contents_plan":
        zstd_is_refused_before_anything_is_written_where_the_target_cannot_take_it,
        zstd_is_compressed_again_where_that_is_asked_for,
    ];
    let zstd = Version::of(2, 1, 0);
    let batches = on_a_pair!["contents_plan":
        an_open_transaction_is_named,
        a_target_that_stamps_its_own_time_says_so_in_the_result,
        records_too_old_for_the_target_are_predicted,
        records_without_a_timestamp_are_not_too_old,
    ];
    on_a_pair!["contents_plan":
        a_target_that_compresses_again_is_named,
    ]
    .into_iter()
    .chain(batches.into_iter().map(|scenario| scenario.since(super::plan::V0_11)))
    .chain(to_old.into_iter().map(|scenario| scenario.from_to(zstd, zstd)))
    .collect()
}

fn run_of(lab: &Lab<'_>, topic: &Topic) -> Call {
    lab.kferry("run").args(["--yes", "--topic", &topic.name])
}

#[track_caller]
fn planned(call: Call) -> Value {
    let (outcome, plan) = call.json();
    outcome.expect_code(0);
    plan
}

/// The words of the document's only warning with this code about a topic.
#[track_caller]
fn words(document: &Value, code: &str, topic: &Topic) -> String {
    let warnings = document["warnings"].as_array().expect("warnings");
    let about = |warning: &&Value| warning["code"] == code && warning["topic"] == topic.name.as_str();
    let found: Vec<&Value> = warnings.iter().filter(about).collect();
    assert_eq!(found.len(), 1, "{code} in {document:#}");
    found[0]["message"].as_str().expect("a message").to_owned()
}

fn an_open_transaction_is_named(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("open", 2, &[]);
    let group = Topic::unique("group").name;
    for partition in [0, 1] {
        lab.source.write(&topic, partition, &records(5));
        lab.source.commit(&group, &topic, partition, 0);
    }
    let id = Topic::unique("transaction").name;
    let offsets = lab.source.write_in_transaction(&id, End::Open, &topic, 0, &records(3));
    lab.source.write(&topic, 0, &records(2));
    let plan = planned(plan_of(lab, &[&topic]));
    assert_eq!(partition(&plan, &topic, 0)["end"], 5, "{plan:#}");
    assert_eq!(partition(&plan, &topic, 1)["end"], 5, "{plan:#}");
    let said = words(&plan, "open_transaction", &topic);
    let first = Header::read(&lab.source.stored(&topic, 0, offsets[0])).expect("a batch");
    let (producer, epoch) = (first.producer_id, first.producer_epoch);
    let begun = first.base_timestamp / 1_000;
    let named =
        format!("5 offsets behind 5 are held back by an open transaction of producer id {producer}, epoch {epoch}, ");
    assert!(said.starts_with(&named), "{said}");
    let since = said.split_once(", since ").expect("since when").1.split_once(" UTC").expect("in UTC").0;
    assert_eq!(seconds(since), begun, "{said}");
    let command = "abort --topic NAME --partition 0 --start-offset 5".replace("NAME", &topic.name);
    assert_eq!(said.contains(&command), lab.source.version() >= Version::of(3, 0, 0), "{said}");

    lab.source.end_transaction(&id, End::Commit, &topic, 0, *offsets.last().expect("an offset"));
    let plan = planned(plan_of(lab, &[&topic]));
    assert!(!warns(&plan, "open_transaction", &topic), "{plan:#}");
    assert_eq!(partition(&plan, &topic, 0)["end"], 11, "{plan:#}");
}

/// `2026-11-22 00:00:00` as seconds since 1970 (the civil-from-days rule turned round).
fn seconds(text: &str) -> i64 {
    let numbers: Vec<i64> = text.split(['-', ' ', ':']).map(|number| number.parse().expect("a number")).collect();
    let [year, month, day, hour, minute, second] = numbers[..] else { panic!("{text}") };
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    ((days * 24 + hour) * 60 + minute) * 60 + second
}

/// A topic that the producers fill in two codecs; only its last batch is zstd.
fn ending_in_zstd(lab: &Lab<'_>, configs: &[(&str, &str)]) -> Topic {
    let topic = lab.source.new_topic("zstd", 1, configs);
    for codec in [Codec::Lz4, Codec::Zstd] {
        lab.source.write_with(&topic, 0, &records(20), Writing { codec, ..Writing::default() });
    }
    lab.source.commit(&Topic::unique("group").name, &topic, 0, 3);
    topic
}

fn zstd_is_refused_before_anything_is_written_where_the_target_cannot_take_it(lab: &Lab<'_>) {
    let topic = ending_in_zstd(lab, &[]);
    assert!(warns(&planned(plan_of(lab, &[&topic])), "codec_unsupported", &topic));
    let (outcome, result) = run_of(lab, &topic).json();
    assert_eq!((outcome.code, &result["outcome"]), (1, &"failed".into()), "{outcome}");
    let last = outcome.stderr.lines().last().unwrap_or_default();
    assert!(last.contains("codec_unsupported") && last.contains("topics.recompress = \"lz4\""), "{outcome}");
    lab.target.create_topic(&topic, 1, &[]); // would fail if it had been created
}

fn zstd_is_compressed_again_where_that_is_asked_for(lab: &Lab<'_>) {
    let by_sight = ending_in_zstd(lab, &[]);
    let by_configuration = ending_in_zstd(lab, &[("compression.type", "zstd")]);
    for topic in [&by_sight, &by_configuration] {
        let plan = planned(plan_of(lab, &[topic]).env("KFERRY_TOPICS_RECOMPRESS", "lz4"));
        assert_eq!(words(&plan, "codec_recompressed", topic), "zstd batches are compressed again with lz4");
        let (outcome, result) = run_of(lab, topic).env("KFERRY_TOPICS_RECOMPRESS", "lz4").json();
        outcome.expect_code(0);
        let expected: Vec<Record> = lab.source.read_range(topic, 0, 3, 40);
        let expected: Vec<Record> = expected.into_iter().zip(0..).map(|(record, offset)| record.at(offset)).collect();
        assert_eq!(lab.target.read(topic, 0), expected);
        let rewritten = partition(&result, topic, 0)["batches"]["rewritten"].as_array().expect("reasons");
        assert!(rewritten.iter().any(|entry| entry["reason"] == "recompress"), "{result:#}");
        let last = Header::read(&lab.target.stored(topic, 0, 36)).expect("a batch");
        assert_eq!(last.codec(), Codec::Lz4.id());
    }
}

fn a_target_that_stamps_its_own_time_says_so_in_the_result(lab: &Lab<'_>) {
    let stamps = [("message.timestamp.type", "LogAppendTime")];
    let topic = lab.source.new_topic("stamped", 1, &stamps);
    lab.target.create_topic(&topic, 1, &stamps);
    lab.source.write(&topic, 0, &records(5));
    lab.source.commit(&Topic::unique("group").name, &topic, 0, 0);
    let (outcome, result) = run_of(lab, &topic).json();
    outcome.expect_code(0);
    let said = words(&result, "timestamps_replaced", &topic);
    assert!(said.starts_with("the target stamps its own time on every record, as the source did"), "{said}");
    let batches = &partition(&result, &topic, 0)["batches"];
    assert_eq!((&batches["passed"]["batches"], &batches["rewritten"]), (&1.into(), &serde_json::json!([])));
    assert!(lab.target.read(&topic, 0).iter().all(|record| record.append_time));
}

fn a_target_that_compresses_again_is_named(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("again", 1, &[]);
    lab.target.create_topic(&topic, 1, &[("compression.type", "gzip")]);
    lab.source.write_with(&topic, 0, &records(9), Writing { codec: Codec::Lz4, ..Writing::default() });
    lab.source.commit(&Topic::unique("group").name, &topic, 0, 0);
    let (outcome, result) = run_of(lab, &topic).json();
    outcome.expect_code(0);
    let said = words(&result, "codec_recompressed", &topic);
    assert!(said.starts_with("the target's brokers compress what arrives again, with gzip"), "{said}");
    let stored = Header::read(&lab.target.stored(&topic, 0, 0)).expect("a batch");
    assert_eq!(stored.codec(), Codec::Gzip.id(), "they do");
}

/// A topic on both sides; the target's takes no records older than a day.
fn limited(lab: &Lab<'_>, stem: &str, timestamp: i64) -> Topic {
    let newer = lab.target.version() >= Version::of(4, 0, 0);
    let setting = if newer { "message.timestamp.before.max.ms" } else { "message.timestamp.difference.max.ms" };
    let topic = lab.source.new_topic(stem, 1, &[]);
    lab.target.create_topic(&topic, 1, &[(setting, &DAY_MS.to_string())]);
    lab.source.append(&topic, 0, RecordBatchBuilder::of(1, timestamp).build()).expect("an old batch");
    lab.source.write(&topic, 0, &records(2));
    lab.source.commit(&Topic::unique("group").name, &topic, 0, 0);
    topic
}

fn records_too_old_for_the_target_are_predicted(lab: &Lab<'_>) {
    let topic = limited(lab, "old", now_ms() - 2 * DAY_MS);
    let plan = planned(plan_of(lab, &[&topic]));
    let said = words(&plan, "timestamp_rejected", &topic);
    assert!(said.starts_with("up to 1 records are older than the 1 d the target takes"), "{said}");
    let (outcome, _) = run_of(lab, &topic).json();
    let outcome = outcome.expect_code(1);
    assert!(outcome.stderr.lines().last().unwrap_or_default().contains("INVALID_TIMESTAMP"), "{outcome}");
    assert_eq!(lab.target.bounds(&topic, 0), (0, 0));
}

fn records_without_a_timestamp_are_not_too_old(lab: &Lab<'_>) {
    let topic = limited(lab, "untimed", -1);
    let plan = planned(plan_of(lab, &[&topic]));
    assert!(!warns(&plan, "timestamp_rejected", &topic), "{plan:#}");
    let (outcome, _) = run_of(lab, &topic).json();
    outcome.expect_code(0);
    let times: Vec<i64> = lab.target.read(&topic, 0).iter().map(|record| record.timestamp).collect();
    assert_eq!(times, [-1, recent(), recent() + 1]);
}
