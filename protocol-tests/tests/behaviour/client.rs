//! Kafka's own client against a broker: what it writes it reads, what it commits it finds. On real brokers this checks
//! the lab, on embedded ones the broker: the one check that our own reading of the protocol can't fool.

use kafka_protocol::error::ResponseError::UnknownMemberId;
use protocol_tests::broker::Codec;
use protocol_tests::lab::hand::{End, Writing};
use protocol_tests::lab::record::{Digest, Fill};
use protocol_tests::lab::{Record, Scenario, Site, Topic, Version, wait};
use protocol_tests::on_a_site;
use serde_json::json;

pub(crate) fn scenarios() -> Vec<Scenario> {
    let all = on_a_site!["client":
        records_survive_bit_for_bit,
        every_codec_is_read_back,
        many_records_have_the_digest_of_what_was_written,
        a_read_committed_consumer_skips_what_was_aborted,
        the_log_start_moves_when_records_are_deleted,
        a_group_finds_its_commits,
        a_group_goes_on_behind_its_commit,
        an_active_group_takes_no_commit_from_outside,
        configs_are_set_and_read,
        the_probe_writes_what_the_client_reads,
    ];
    let zstd = on_a_site!["client": zstd_is_read_back].into_iter().map(|scenario| scenario.since(Version::of(2, 1, 0)));
    let modern = on_a_site!["client": a_group_of_the_consumer_protocol_is_active]
        .into_iter()
        .map(|scenario| scenario.since(Version::of(4, 0, 0)));
    all.into_iter().chain(zstd).chain(modern).map(Scenario::with_java).collect()
}

fn odd_records() -> Vec<Record> {
    let now = wait::now_ms();
    let mut null_key = Record::new(now + 1, "", "value").with_header("again", Some(b"1")).with_header("again", None);
    null_key.key = None;
    let tombstone = Record { value: None, ..Record::new(now, "key", "") };
    vec![Record::new(now, [0, 0xFF, 0x80], vec![7; 5_000]), null_key, tombstone, Record::new(now - 9_999, "", "")]
}

fn records_survive_bit_for_bit(site: &Site) {
    let site = site.by_java();
    let topic = site.new_topic("bits", 2, &[]);
    let records = odd_records();
    assert_eq!(site.write(&topic, 1, &records), [0, 1, 2, 3]);
    assert_eq!(site.read(&topic, 1), numbered(&records));
    assert_eq!(site.read(&topic, 0), []);
}

/// The records at offsets from 0.
fn numbered(records: &[Record]) -> Vec<Record> {
    records.iter().cloned().zip(0..).map(|(record, offset)| record.at(offset)).collect()
}

fn every_codec_is_read_back(site: &Site) {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4] {
        codec_is_read_back(site, codec);
    }
}

fn zstd_is_read_back(site: &Site) {
    codec_is_read_back(site, Codec::Zstd);
}

fn codec_is_read_back(site: &Site, codec: Codec) {
    let topic = site.new_topic("packed", 1, &[]);
    let records = odd_records();
    site.by_java().write_with(&topic, 0, &records, Writing { codec, ..Writing::default() });
    assert_eq!(site.by_java().read(&topic, 0), numbered(&records), "{}", codec.name());
    let stored = protocol_tests::lab::batch::Batch::read_all(&site.stored(&topic, 0, 0));
    assert_eq!(stored[0].codec, codec);
}

fn many_records_have_the_digest_of_what_was_written(site: &Site) {
    let topic = site.new_topic("many", 1, &[]);
    let fill = Fill { count: 5_000, size: 100, seed: 42, timestamp: wait::now_ms() };
    site.by_java().fill(&topic, 0, &fill, Writing { codec: Codec::Lz4, ..Writing::default() });
    let expected = Digest::of(&fill.records().collect::<Vec<_>>());
    assert_eq!(site.by_java().digest(&topic, 0, 0, 5_000), expected);
    assert_eq!(site.by_java().digest(&topic, 0, 100, 200).count, 100);
}

fn a_read_committed_consumer_skips_what_was_aborted(site: &Site) {
    let site = site.by_java();
    let topic = site.new_topic("transactions", 1, &[]);
    let id = Topic::unique("txn").name;
    let write =
        |end, value: &str| site.write_in_transaction(&id, end, &topic, 0, &[Record::new(wait::now_ms(), "key", value)]);
    assert_eq!(write(End::Commit, "kept"), [0]);
    assert_eq!(write(End::Abort, "dropped"), [2]);
    assert_eq!(write(End::Open, "later"), [4]);
    let values = |records: Vec<Record>| records.into_iter().map(|record| record.value.unwrap()).collect::<Vec<_>>();
    assert_eq!(values(site.read(&topic, 0)), [&b"kept"[..], b"dropped", b"later"]);
    assert_eq!(values(site.read_committed(&topic, 0)), [b"kept"]);
    site.end_transaction(&id, End::Commit, &topic, 0, 4);
    assert_eq!(values(site.read_committed(&topic, 0)), [&b"kept"[..], b"later"]);
}

fn the_log_start_moves_when_records_are_deleted(site: &Site) {
    let site = site.by_java();
    let topic = site.new_topic("trimmed", 1, &[]);
    site.write(&topic, 0, &odd_records());
    site.java().ask("delete_records", json!({ "topic": topic.name, "partition": 0, "offset": 3 }));
    let seen = site.java().ask("offsets", json!({ "topic": topic.name, "partition": 0 }));
    assert_eq!(seen, json!({ "start": 3, "end": 4, "stable": 4 }));
    assert_eq!(site.read(&topic, 0).len(), 1);
    assert_eq!(site.bounds(&topic, 0), (3, 4));
}

fn a_group_finds_its_commits(site: &Site) {
    let site = site.by_java();
    let topic = site.new_topic("commits", 2, &[]);
    site.write(&topic, 0, &odd_records());
    let group = Topic::unique("group").name;
    site.commit_with(&group, &topic, 0, 2, "note");
    let offset = json!({ "topic": topic.name, "partition": 1, "offset": 0 });
    site.java().ask("alter_offsets", json!({ "group": group, "offsets": [offset] }));
    let found = site.committed(&group);
    let found: Vec<_> =
        found.iter().map(|((_, partition), it)| (*partition, it.offset, it.metadata.as_str())).collect();
    assert_eq!(found, [(0, 2, "note"), (1, 0, "")]);
    assert_eq!(site.client().committed(&group).unwrap(), site.committed(&group), "the probe finds the same");
    let groups = site.java().ask("list_groups", json!({}));
    assert!(groups.to_string().contains(&group), "{groups}");
}

fn a_group_goes_on_behind_its_commit(site: &Site) {
    let site = site.by_java();
    let topic = site.new_topic("goes-on", 1, &[]);
    site.write(&topic, 0, &odd_records());
    let group = Topic::unique("group").name;
    site.commit(&group, &topic, 0, 1);
    let consume = json!({ "group": group, "topics": [topic.name], "count": 2, "commit": true });
    let seen = site.java().ask("consume", consume);
    let offsets: Vec<_> = seen["records"].as_array().unwrap().iter().map(|record| record["offset"].as_i64()).collect();
    assert_eq!(offsets, [Some(1), Some(2)]);
    assert_eq!(site.committed(&group)[&(topic.name, 0)].offset, 3);
}

fn an_active_group_takes_no_commit_from_outside(site: &Site) {
    let site = site.by_java();
    let topic = site.new_topic("active", 1, &[]);
    let group = Topic::unique("group").name;
    site.commit(&group, &topic, 0, 0);
    let held = site.hold(&group, &topic);
    let refusal = site.client().commit_once(&group, &[(&topic.name, 0, 5, "")]).unwrap();
    assert_eq!(refusal, [Err(UnknownMemberId)]);
    drop(held);
    site.commit(&group, &topic, 0, 1);
    assert_eq!(site.committed(&group)[&(topic.name, 0)].offset, 1);
}

fn a_group_of_the_consumer_protocol_is_active(site: &Site) {
    let topic = site.new_topic("modern", 1, &[]);
    let group = Topic::unique("group").name;
    site.commit(&group, &topic, 0, 0);
    let member = json!({ "group": group, "member": "modern" });
    let mut join = member.clone();
    join["topics"] = json!([topic.name]);
    join["config"] = json!({ "group.protocol": "consumer" });
    site.java().ask_newest("join", join);
    let refusal = site.client().commit_once(&group, &[(&topic.name, 0, 5, "")]).unwrap();
    assert_eq!(refusal, [Err(UnknownMemberId)]);
    site.java().ask_newest("leave", member);
    site.commit(&group, &topic, 0, 1);
}

fn configs_are_set_and_read(site: &Site) {
    let java = site.java();
    let topic = Topic::unique("configs").name;
    java.ask("create_topic", json!({ "topic": topic, "partitions": 3, "configs": { "retention.ms": "86400000" } }));
    java.ask("alter_configs", json!({ "topic": topic, "configs": { "max.message.bytes": "2000" } }));
    let configs = wait::until("the configs are set", std::time::Duration::from_secs(30), || {
        let configs = java.ask("configs", json!({ "topic": topic }))["configs"].clone();
        (configs["max.message.bytes"]["value"] == "2000").then_some(configs)
    });
    assert_eq!(configs["retention.ms"], json!({ "value": "86400000", "own": true }));
    assert_eq!(configs["cleanup.policy"], json!({ "value": "delete", "own": false }));
    assert_eq!(java.ask("describe_topic", json!({ "topic": topic })), json!({ "partitions": 3 }));
    java.ask("delete_topic", json!({ "topic": topic }));
}

fn the_probe_writes_what_the_client_reads(site: &Site) {
    let probe = site.by_probe();
    let topic = site.new_topic("probe", 1, &[]);
    let records = odd_records();
    assert_eq!(probe.write(&topic, 0, &records), [0, 1, 2, 3]);
    let id = Topic::unique("probe-txn").name;
    assert_eq!(probe.write_in_transaction(&id, End::Abort, &topic, 0, &records), [4, 5, 6, 7]);
    assert_eq!(probe.write_in_transaction(&id, End::Commit, &topic, 0, &records[..1]), [9]);
    let java = site.by_java();
    assert_eq!(java.read(&topic, 0), probe.read(&topic, 0));
    let seen = java.read_committed(&topic, 0);
    assert_eq!(seen, probe.read_committed(&topic, 0));
    assert_eq!(seen.iter().map(|record| record.offset).collect::<Vec<_>>(), [0, 1, 2, 3, 9]);
    let fill = Fill { count: 1_000, size: 50, seed: 1, timestamp: wait::now_ms() };
    probe.fill(&topic, 0, &fill, Writing { codec: Codec::Snappy, ..Writing::default() });
    let digest = Digest::of(&fill.records().collect::<Vec<_>>());
    assert_eq!(java.digest(&topic, 0, 11, 1_011), digest);
    assert_eq!(probe.digest(&topic, 0, 11, 1_011), digest);
    let group = Topic::unique("group").name;
    let held = probe.hold(&group, &topic);
    assert_eq!(site.client().commit_once(&group, &[(&topic.name, 0, 5, "")]).unwrap(), [Err(UnknownMemberId)]);
    drop(held);
    probe.commit(&group, &topic, 0, 4);
    assert_eq!(java.committed(&group), probe.committed(&group));
}
