//! A whole migration as its user sees it, from real data to real data: written and read back by a client that shares no
//! code with kferry.

use protocol_tests::broker::Codec;
use protocol_tests::lab::hand::Writing;
use protocol_tests::lab::kferry::Call;
use protocol_tests::lab::record::Fill;
use protocol_tests::lab::{Lab, Record, Scenario, Site, Topic, Version, wait};
use protocol_tests::on_a_pair;
use serde_json::{Value, json};

use super::plan::V0_11;

pub(crate) fn scenarios() -> Vec<Scenario> {
    let zstd = on_a_pair!["migration": zstd_arrives_bit_for_bit];
    let since_zstd = zstd.into_iter().map(|scenario| scenario.since(Version::of(2, 1, 0)));
    let of_0_11 = on_a_pair!["migration":
        the_script_s_example_gives_its_numbers,
        topics_are_made_as_they_are_on_the_source,
    ];
    on_a_pair!["migration":
        every_record_arrives_once_in_order_and_bit_for_bit,
        a_range_that_cuts_batches_arrives_without_what_was_read,
        many_records_in_many_partitions_arrive,
    ]
    .into_iter()
    .chain(since_zstd)
    .chain(of_0_11.into_iter().map(|scenario| scenario.since(V0_11)))
    .collect()
}

/// `kferry COMMAND` for these topics, under a name that no other scenario has.
fn kferry(lab: &Lab<'_>, command: &str, topics: &[&Topic]) -> Call {
    let name = Topic::unique("migration").name;
    let topics = topics.iter().flat_map(|topic| ["--topic", &topic.name]);
    lab.kferry(command).args(["--name", &name]).args(topics)
}

/// A run that must succeed; its result.
#[track_caller]
fn run(lab: &Lab<'_>, topics: &[&Topic]) -> Value {
    let (outcome, result) = kferry(lab, "run", topics).args(["--yes"]).json();
    outcome.expect_code(0);
    assert_eq!(result["outcome"], "done", "{result:#}");
    result
}

/// The document's entry of one partition.
#[track_caller]
fn entry<'a>(document: &'a Value, topic: &Topic, partition: i32) -> &'a Value {
    let partitions = document["partitions"].as_array().unwrap_or_else(|| panic!("no partitions: {document:#}"));
    let found = partitions.iter().find(|entry| entry["topic"] == topic.name && entry["partition"] == partition);
    found.unwrap_or_else(|| panic!("no entry of {}/{partition}: {document:#}", topic.name))
}

/// What a consumer of the target must see of the source's records from `start` on.
fn expected(lab: &Lab<'_>, topic: &Topic, partition: i32, start: i64) -> Vec<Record> {
    let (_, end) = lab.source.bounds(topic, partition);
    let records = lab.source.read_range(topic, partition, start, end);
    records.into_iter().zip(0..).map(|(record, offset)| record.at(offset)).collect()
}

/// Records with everything in them that a client may have changed on the way and that the source can hold.
fn odd_records(source: &Site) -> Vec<Record> {
    let now = wait::now_ms();
    let mut null_key = Record { key: None, ..Record::new(now + 1, "", "value") };
    if source.version() >= V0_11 {
        null_key = null_key.with_header("again", Some(b"1")).with_header("again", None);
    }
    let tombstone = Record { value: None, ..Record::new(now, "key", "") };
    let large = (0..60_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>();
    let plain = (0..20).map(|n| Record::new(now + n, format!("key-{n}"), format!("value-{n}")));
    [Record::new(now, [0, 0xFF, 0x80], large), null_key, tombstone, Record::new(now - 9_999, "", "")]
        .into_iter()
        .chain(plain)
        .collect()
}

fn every_record_arrives_once_in_order_and_bit_for_bit(lab: &Lab<'_>) {
    arrive(lab, &[Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4]);
}

fn zstd_arrives_bit_for_bit(lab: &Lab<'_>) {
    arrive(lab, &[Codec::Zstd]);
}

fn arrive(lab: &Lab<'_>, codecs: &[Codec]) {
    let topic = lab.source.new_topic("bits", 2, &[]);
    let group = Topic::unique("group").name;
    for codec in codecs {
        for (partition, batch_size) in [(0, 16_384), (1, 200)] {
            let how = Writing { codec: *codec, batch_size, idempotent: partition == 0 };
            lab.source.write_with(&topic, partition, &odd_records(lab.source), how);
        }
    }
    for partition in [0, 1] {
        lab.source.commit(&group, &topic, partition, 0);
    }
    let result = run(lab, &[&topic]);
    for partition in [0, 1] {
        let expected = expected(lab, &topic, partition, 0);
        assert_eq!(lab.target.read(&topic, partition), expected);
        assert_eq!(lab.target.read_committed(&topic, partition), expected);
        let count = expected.len();
        assert_eq!(entry(&result, &topic, partition)["records_written"], count);
        assert_eq!(entry(&result, &topic, partition)["target_end"], count);
    }
}

fn a_range_that_cuts_batches_arrives_without_what_was_read(lab: &Lab<'_>) {
    let codecs = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4];
    let topic = lab.source.new_topic("cut", 4, &[]);
    let group = Topic::unique("group").name;
    for (partition, codec) in (0..).zip(codecs) {
        let how = Writing { codec, batch_size: 1 << 20, idempotent: true };
        lab.source.write_with(&topic, partition, &odd_records(lab.source), how);
        lab.source.write_with(&topic, partition, &odd_records(lab.source), how);
        lab.source.commit(&group, &topic, partition, 5);
    }
    let result = run(lab, &[&topic]);
    for partition in 0..4 {
        assert_eq!(lab.target.read(&topic, partition), expected(lab, &topic, partition, 5), "partition {partition}");
        assert_eq!(entry(&result, &topic, partition)["start"], 5);
    }
}

fn many_records_in_many_partitions_arrive(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("many", 8, &[]);
    let group = Topic::unique("group").name;
    for partition in 0..8_u64 {
        let fill = Fill { count: 3_000 + 500 * partition, size: 200, seed: partition, timestamp: wait::now_ms() };
        let codec = if partition % 2 == 0 { Codec::None } else { Codec::Lz4 };
        let partition = i32::try_from(partition).unwrap();
        lab.source.fill(&topic, partition, &fill, Writing { codec, ..Writing::default() });
        lab.source.commit(&group, &topic, partition, i64::from(partition) * 10);
    }
    run(lab, &[&topic]);
    for partition in 0..8 {
        let (_, end) = lab.source.bounds(&topic, partition);
        let start = i64::from(partition) * 10;
        assert_eq!(lab.target.bounds(&topic, partition), (0, end - start));
        let copied = lab.target.digest(&topic, partition, 0, end - start);
        assert_eq!(copied, lab.source.digest(&topic, partition, start, end), "partition {partition}");
    }
}

/// The example of the script that kferry comes from: two groups, four topics, one partition that has expired.
fn the_script_s_example_gives_its_numbers(lab: &Lab<'_>) {
    let [test1, test2, test3, test4] =
        ["test1", "test2", "test3", "test4"].map(|name| lab.source.new_topic(name, 1, &[]));
    let [first, second] = ["test123-group", "test34-group"].map(|name| Topic::unique(name).name);
    let fill = |topic: &Topic, count| {
        let fill = Fill { count, size: 20, seed: 1, timestamp: wait::now_ms() - 1_000_000 };
        lab.source.fill(topic, 0, &fill, Writing { codec: Codec::Lz4, batch_size: 200_000, idempotent: true });
    };
    fill(&test1, 5_226);
    lab.source.delete_records(&test1, 0, 5_226);
    fill(&test2, 1_000);
    fill(&test3, 187_800 + 76_522);
    fill(&test4, 2_000);
    lab.source.commit(&first, &test1, 0, 3_713);
    lab.source.commit(&first, &test2, 0, 1_000);
    lab.source.commit(&first, &test3, 0, 187_800);
    lab.source.commit(&second, &test3, 0, 190_000);
    lab.source.commit(&second, &test4, 0, 500);
    let topics = [&test1, &test2, &test3, &test4];

    let (outcome, plan) = kferry(lab, "plan", &topics).json();
    outcome.expect_code(0);
    let part = |topic: &Topic, keys: &[&str]| -> Vec<Value> {
        keys.iter().map(|key| entry(&plan, topic, 0)[key].clone()).collect()
    };
    let keys = ["action", "reason", "start", "end", "records", "group"];
    assert_eq!(
        part(&test3, &keys),
        [json!("migrate"), json!("unread"), 187_800.into(), 264_322.into(), 76_522.into(), json!(first)]
    );
    assert_eq!(
        part(&test1, &["action", "reason", "committed", "earliest", "end"]),
        [json!("skip"), json!("expired"), 3_713.into(), 5_226.into(), 5_226.into()]
    );
    assert_eq!(part(&test2, &["action", "reason"]), [json!("skip"), json!("consumed")]);
    assert_eq!(
        part(&test4, &keys),
        [json!("migrate"), json!("unread"), 500.into(), 2_000.into(), 1_500.into(), json!(second)]
    );

    let said = kferry(lab, "plan", &topics).run().expect_code(0);
    for words in ["Prepare to migrate", "skip migrate...", "187,800", "76,522"] {
        assert!(said.stdout.contains(words), "{words:?} is missing\n{said}");
    }

    let result = run(lab, &topics);
    assert_eq!(entry(&result, &test3, 0)["records_written"], 76_522);
    assert_eq!(lab.target.bounds(&test3, 0), (0, 76_522));
    let copied = lab.target.digest(&test3, 0, 0, 76_522);
    assert_eq!(copied, lab.source.digest(&test3, 0, 187_800, 264_322));
    assert_eq!(lab.target.bounds(&test4, 0), (0, 1_500));
}

fn topics_are_made_as_they_are_on_the_source(lab: &Lab<'_>) {
    let configs = [("retention.ms", "777000000"), ("max.message.bytes", "3000000"), ("cleanup.policy", "compact")];
    let topic = lab.source.new_topic("configs", 5, &configs);
    lab.source.write(&topic, 4, &odd_records(lab.source)[4..]);
    lab.source.commit(&Topic::unique("group").name, &topic, 4, 0);
    run(lab, &[&topic]);
    assert_eq!(lab.target.partitions(&topic), 5);
    let made = lab.target.configs(&topic);
    for (key, value) in configs {
        assert_eq!(made.get(key).map(String::as_str), Some(value), "{key}");
    }
}
