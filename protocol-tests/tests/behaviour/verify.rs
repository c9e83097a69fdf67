//! `kferry verify`: what was moved right is found right however it is stored now, and what is wrong is found where it is.

use kferry::kafka::{Offset, Span};
use kferry::state::{Checkpoint, Journal, encode};
use protocol_tests::lab::disk::{COMPACTED, SEGMENT_MS};
use protocol_tests::lab::hand::{End, Writing};
use protocol_tests::lab::kferry::{Call, Outcome};
use protocol_tests::lab::record::{Fill, Record};
use protocol_tests::lab::{Codec, Lab, Scenario, Topic};
use protocol_tests::on_a_pair;
use serde_json::{Value, json};

use super::plan::{TOPIC_IDS, V0_11, partition, recent, records, warns};

const LEVELS: [&str; 3] = ["offsets", "digest", "records"];
const REPORT: &str = "report.json";

pub(super) fn scenarios() -> Vec<Scenario> {
    let since_batches = on_a_pair!["verify":
        a_copy_is_verified_at_every_level_whatever_it_holds,
        transactions_are_compared_as_their_consumers_see_them,
        every_damage_is_found_with_both_offsets,
        a_target_that_compresses_otherwise_is_no_difference,
        a_target_that_stamps_its_own_time_is_no_difference,
        what_retention_took_from_either_side_is_explained,
        a_source_that_is_compacted_after_the_run_is_explained,
        what_others_write_behind_the_copy_is_no_difference,
        the_state_on_the_target_says_what_was_moved,
        a_run_leaves_on_the_target_what_a_verification_needs,
        a_target_that_was_deleted_or_made_anew_is_a_difference,
        a_source_that_was_deleted_or_made_anew_leaves_nothing_to_compare,
    ];
    let old = on_a_pair!["verify": a_copy_of_message_sets_is_verified];
    old.into_iter().chain(since_batches.into_iter().map(|scenario| scenario.since(V0_11))).collect()
}

/// A run of these topics that keeps its report; must succeed.
#[track_caller]
fn moved(lab: &Lab<'_>, topics: &[&Topic], more: &[&str]) -> Outcome {
    for topic in topics {
        if lab.source.committed(&topic.name).is_empty() {
            lab.source.commit(&topic.name, topic, 0, 0);
        }
    }
    let names = topics.iter().flat_map(|topic| ["--topic", &topic.name]);
    let call = lab.kferry("run").args(["--yes", "--no-log", "--report", REPORT, "--name", &topics[0].name]);
    call.args(names).args(more).run().expect_code(0)
}

/// A verification by the report that an earlier call left.
fn verify_after(lab: &Lab<'_>, earlier: Outcome, level: &str) -> Call {
    lab.kferry("verify").args(["--level", level, "--report", REPORT]).after(earlier)
}

/// Every level, one after the other, must find nothing; the last one's document.
#[track_caller]
fn is_right(lab: &Lab<'_>, mut earlier: Outcome) -> Value {
    let mut last = Value::Null;
    for level in LEVELS {
        let (outcome, document) = verify_after(lab, earlier, level).json();
        earlier = outcome.expect_code(0);
        assert_eq!(document["outcome"], "done", "{document:#}");
        for lane in document["partitions"].as_array().expect("partitions") {
            assert_eq!(lane["verified"], level, "{lane:#}");
            let [records, same, explained, unverifiable] = ["records_written", "same", "explained", "unverifiable"]
                .map(|count| lane[count].as_i64().expect("a count"));
            assert_eq!(records, same + explained + unverifiable, "{lane:#}");
            assert_eq!(lane["differences"], json!([]), "{lane:#}");
        }
        last = document;
    }
    last
}

/// Everything that is easily lost on the way.
fn odd_records() -> Vec<Record> {
    let time = recent();
    let mut all = records(5);
    all.push(Record { key: None, ..Record::new(time, "", "no key") });
    all.push(Record { value: None, ..Record::new(time + 1, "tombstone", "") });
    all.push(Record::new(time, [0_u8, 255, 0xc3, 0x28], [128_u8; 2_000]));
    all.push(
        Record::new(time, "h", "v").with_header("a", Some(b"1")).with_header("a", None).with_header("", Some(b"")),
    );
    all
}

fn a_copy_is_verified_at_every_level_whatever_it_holds(lab: &Lab<'_>) {
    let topics: Vec<Topic> = lab
        .codecs()
        .into_iter()
        .map(|codec| {
            let topic = lab.source.new_topic(&format!("verified-{}", codec.name()), 1, &[]);
            for _ in 0..3 {
                lab.source.write_with(&topic, 0, &odd_records(), Writing::in_one(codec));
            }
            let fill = Fill { count: 2_000, size: 200, seed: 1, timestamp: recent() };
            lab.source.fill(&topic, 0, &fill, Writing { codec, batch_size: 20_000, ..Writing::default() });
            // Inside of a batch.
            lab.source.commit(&topic.name, &topic, 0, 4);
            topic
        })
        .collect();
    let document = is_right(lab, moved(lab, &topics.iter().collect::<Vec<_>>(), &[]));
    assert_eq!(document["partitions"].as_array().expect("partitions").len(), topics.len());
    for topic in &topics {
        assert_eq!(partition(&document, topic, 0)["same"], 2_000 + 3 * odd_records().len() - 4);
    }
}

fn a_copy_of_message_sets_is_verified(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("verified-sets", 1, &[]);
    for codec in [Codec::None, Codec::Gzip, Codec::Snappy] {
        lab.source.write_with(&topic, 0, &records(30), Writing { idempotent: false, ..Writing::in_one(codec) });
    }
    is_right(lab, moved(lab, &[&topic], &[]));
}

fn transactions_are_compared_as_their_consumers_see_them(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("verified-transactions", 1, &[]);
    let id = &topic.name;
    lab.source.write(&topic, 0, &records(4));
    lab.source.write_in_transaction(id, End::Abort, &topic, 0, &records(3));
    lab.source.write_in_transaction(id, End::Commit, &topic, 0, &records(5));
    lab.source.write_in_transaction(id, End::Abort, &topic, 0, &records(2));
    lab.source.write(&topic, 0, &records(2));
    let document = is_right(lab, moved(lab, &[&topic], &[]));
    assert_eq!(partition(&document, &topic, 0)["same"], 11, "{document:#}");
}

/// What a migration remembers that has moved `records` records from a source's offsets in front of `next`.
fn remembers(span: Span, next: i64, target_start: i64, records: usize) -> String {
    let next = Offset(next);
    let begun = Checkpoint::begin(span, Offset(target_start));
    encode(&Checkpoint { next, records: records as i64, journal: Journal::new(next), ..begun })
}

/// A report of a run that moved `records` records from the source's start to the target's.
fn report(topic: &Topic, end: i64, records: usize) -> String {
    let state: Value = serde_json::from_str(&remembers(Span::new(0, end), end, 0, records)).expect("JSON");
    let lane = json!({
        "topic": topic.name, "partition": 0, "start": 0, "end": end, "records_written": records,
        "target_start": 0, "target_end": records, "skipped": [], "verified": "offsets", "state": state,
        "batches": { "passed": { "batches": 0, "bytes": 0 }, "rewritten": [], "dropped": [] },
    });
    let document = json!({
        "version": 1, "name": topic.name, "outcome": "done", "partitions": [lane], "groups": [], "warnings": [],
        "seconds": 1.0, "bytes": 0,
    });
    document.to_string()
}

/// A change of a copy, and its differences: source offset, target offset, what.
type Damage = (fn(&mut Vec<Record>), Value);

fn every_damage_is_found_with_both_offsets(lab: &Lab<'_>) {
    let damages: [Damage; 8] = [
        (|copy| drop(copy.remove(20)), json!([[20, 20, "missing"]])),
        (|copy| copy.insert(20, copy[19].clone()), json!([[null, 20, "doubled"], [39, 40, "missing"]])),
        (
            |copy| copy.insert(20, Record::new(recent(), "foreign", "")),
            json!([[null, 20, "extra"], [39, 40, "missing"]]),
        ),
        (|copy| copy.swap(20, 21), json!([[20, 20, "order"], [21, 21, "order"]])),
        (|copy| copy[20].key = None, json!([[20, 20, "key"]])),
        (|copy| copy[20].value = Some(b"valuf".to_vec()), json!([[20, 20, "value"]])),
        (|copy| copy[20].headers.reverse(), json!([[20, 20, "headers"]])),
        (|copy| copy[20].timestamp += 1, json!([[20, 20, "timestamp"]])),
    ];
    let with_headers =
        |record: Record| record.with_header("a", Some(b"1")).with_header("b", None).with_header("a", Some(b"2"));
    let written: Vec<Record> = records(40).into_iter().map(with_headers).collect();
    for (index, (damage, expected)) in damages.into_iter().enumerate() {
        let topic = lab.source.new_topic(&format!("damaged-{index}"), 1, &[]);
        let how = Writing { codec: Codec::Gzip, batch_size: 400, ..Writing::default() };
        lab.source.write_with(&topic, 0, &written, how);
        let mut copy = written.clone();
        damage(&mut copy);
        lab.target.create_topic(&topic, 1, &[]);
        lab.target.write_with(&topic, 0, &copy, how);
        for level in ["digest", "records"] {
            let call = lab.kferry("verify").file(REPORT, &report(&topic, 40, copy.len().min(40)));
            let (outcome, document) = call.args(["--level", level, "--report", REPORT]).json();
            let outcome = outcome.expect_code(3);
            assert_eq!(document["outcome"], "differs", "{document:#}");
            let lane = partition(&document, &topic, 0);
            // Behind a batch that was not unpacked nobody knows its last record.
            let word =
                |what: &Value| if level == "digest" && what == "doubled" { json!("extra") } else { what.clone() };
            let found: Vec<Value> = (lane["differences"].as_array().expect("a list").iter())
                .map(|found| json!([found["source_offset"], found["target_offset"], word(&found["what"])]))
                .collect();
            let expected: Vec<Value> = (expected.as_array().expect("a list").iter())
                .map(|wanted| json!([wanted[0], wanted[1], word(&wanted[2])]))
                .collect();
            assert_eq!(found, expected, "{level} {index}: {lane:#}");
            assert_eq!((&lane["verified"], &lane["explained"]), (&Value::Null, &json!(0)), "{lane:#}");
            assert!(outcome.stderr.contains(&topic.name) && outcome.stderr.contains("offset 20"), "{outcome}");
        }
    }
}

fn a_target_that_compresses_otherwise_is_no_difference(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("recompressed", 1, &[]);
    let fill = Fill { count: 3_000, size: 100, seed: 1, timestamp: recent() };
    lab.source.fill(&topic, 0, &fill, Writing { codec: Codec::Lz4, batch_size: 20_000, ..Writing::default() });
    lab.target.create_topic(&topic, 1, &[("compression.type", "gzip")]);
    let document = is_right(lab, moved(lab, &[&topic], &[]));
    assert_eq!(partition(&document, &topic, 0)["same"], 3_000);
    let batches = lab.target.batches(&topic, 0);
    assert!(batches.iter().all(|batch| batch.codec == Codec::Gzip), "the broker compresses anew");
}

fn a_target_that_stamps_its_own_time_is_no_difference(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("verified-stamps", 1, &[]);
    lab.source.write_with(&topic, 0, &odd_records(), Writing::in_one(Codec::Lz4));
    lab.target.create_topic(&topic, 1, &[("message.timestamp.type", "LogAppendTime")]);
    let earlier = moved(lab, &[&topic], &[]);
    let said = verify_after(lab, earlier, "records").run().expect_code(0);
    assert!(said.stdout.contains("timestamps of 1 partition are the target's own"), "{said}");
    is_right(lab, said);
}

fn what_retention_took_from_either_side_is_explained(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("expired", 1, &[]);
    lab.source.write_with(&topic, 0, &records(100), Writing { batch_size: 300, ..Writing::default() });
    let earlier = moved(lab, &[&topic], &[]);
    let counts = |document: &Value| {
        let lane = partition(document, &topic, 0);
        ["same", "explained", "unverifiable"].map(|count| lane[count].as_i64().expect("a count"))
    };
    lab.source.delete_records(&topic, 0, 30);
    let (outcome, document) = verify_after(lab, earlier, "digest").json();
    assert_eq!(counts(&document), [70, 30, 0], "{document:#}");
    lab.target.delete_records(&topic, 0, 45);
    let document = is_right(lab, outcome.expect_code(0));
    assert_eq!(counts(&document), [55, 15, 30], "{document:#}");
}

fn a_source_that_is_compacted_after_the_run_is_explained(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("cleaned", 1, &COMPACTED);
    let mut time = recent();
    let mut write = |keys: &[&str]| {
        time += 2 * SEGMENT_MS;
        let record = |(index, key): (usize, &&str)| Record::new(time, key, format!("{time}-{index}"));
        lab.source.write_with(
            &topic,
            0,
            &keys.iter().enumerate().map(record).collect::<Vec<_>>(),
            Writing::in_one(Codec::Lz4),
        );
    };
    write(&["a", "b", "c", "d", "a"]);
    write(&["e", "b"]);
    write(&["f", "c", "g"]);
    lab.target.create_topic(&topic, 1, &[]);
    let earlier = moved(lab, &[&topic], &[]);
    // Later records have the cleaner take a, b and c.
    write(&["a", "b", "c", "h"]);
    write(&["last"]);
    lab.source.compact(&topic, 0);
    let document = is_right(lab, earlier);
    let lane = partition(&document, &topic, 0);
    let left = lab.source.read(&topic, 0).iter().filter(|record| record.offset < 10).count();
    // A real cleaner may have come in front of the run already.
    let written = lane["records_written"].as_u64().expect("a count") as usize;
    assert!(left < written, "the cleaner took nothing since: {lane:#}");
    assert_eq!((&lane["same"], &lane["explained"]), (&json!(left), &json!(written - left)), "{lane:#}");
    assert_eq!(lane["unverifiable"], 0, "{lane:#}");
}

fn a_run_leaves_on_the_target_what_a_verification_needs(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("from-anywhere", 1, &[]);
    lab.source.write_with(&topic, 0, &odd_records(), Writing::in_one(Codec::Lz4));
    moved(lab, &[&topic], &[]);
    // In another directory, without the report.
    for level in LEVELS {
        let (outcome, document) = lab.kferry("verify").args(["--name", &topic.name, "--level", level]).json();
        outcome.expect_code(0);
        let lane = partition(&document, &topic, 0);
        assert_eq!((&lane["verified"], &lane["same"]), (&level.into(), &odd_records().len().into()), "{lane:#}");
    }
}

fn what_others_write_behind_the_copy_is_no_difference(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("followed", 1, &[]);
    lab.source.write(&topic, 0, &records(10));
    let earlier = moved(lab, &[&topic], &[]);
    lab.target.write(&topic, 0, &records(5));
    lab.source.write(&topic, 0, &records(7));
    is_right(lab, earlier);
}

fn the_state_on_the_target_says_what_was_moved(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("remembered", 1, &[]);
    lab.source.write(&topic, 0, &records(10));
    lab.target.create_topic(&topic, 1, &[]);
    lab.target.write(&topic, 0, &records(10)[..8]);
    let verify = |level: &str| lab.kferry("verify").args(["--name", &topic.name, "--level", level]);
    let said = verify("records").run().expect_code(1);
    assert!(said.stderr.contains(&format!("the target knows no migration `{}`", topic.name)), "{said}");
    let group = format!("kferry-{}", topic.name);
    let span = Span::new(2, 10);
    lab.target.commit_with(&group, &topic, 0, 8, &remembers(span, 8, 2, 6));
    for level in LEVELS {
        let (outcome, document) = verify(level).json();
        let outcome = outcome.expect_code(0);
        assert!(outcome.stderr.contains("is moved up to source offset 8 of 10"), "{outcome}");
        assert_eq!(partition(&document, &topic, 0)["same"], 6, "{document:#}");
    }
    // One record less than the source has in that range.
    lab.target.commit_with(&group, &topic, 0, 8, &remembers(span, 8, 3, 5));
    let (outcome, document) = verify("digest").json();
    outcome.expect_code(3);
    let expected = json!([{ "source_offset": 2, "target_offset": 3, "what": "missing" }]);
    assert_eq!(partition(&document, &topic, 0)["differences"], expected, "{document:#}");
}

fn a_target_that_was_deleted_or_made_anew_is_a_difference(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("target-anew", 1, &[]);
    lab.source.write(&topic, 0, &records(10));
    let differs = |earlier: Outcome, level: &str, said: &str| {
        let (outcome, document) = verify_after(lab, earlier, level).json();
        let outcome = outcome.expect_code(3);
        let lane = partition(&document, &topic, 0);
        let expected = json!([{ "source_offset": 0, "target_offset": 0, "what": said }]);
        assert_eq!((&document["outcome"], &lane["differences"]), (&json!("differs"), &expected), "{document:#}");
        assert_eq!((&lane["verified"], &lane["same"]), (&Value::Null, &json!(0)), "{document:#}");
        assert!(outcome.stderr.lines().last().unwrap_or_default().contains(said), "{outcome}");
        outcome
    };
    let mut earlier = moved(lab, &[&topic], &[]);
    lab.target.delete_topic(&topic);
    for level in LEVELS {
        earlier = differs(earlier, level, "the target's topic was deleted since this migration began");
    }
    lab.target.create_topic(&topic, 1, &[]);
    lab.target.write(&topic, 0, &records(10));
    if lab.target.version() < TOPIC_IDS {
        is_right(lab, earlier);
        return;
    }
    for level in LEVELS {
        earlier = differs(earlier, level, "the target's topic was deleted and made again since this migration began");
    }
}

fn a_source_that_was_deleted_or_made_anew_leaves_nothing_to_compare(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("source-anew", 1, &[]);
    lab.source.write(&topic, 0, &records(10));
    let can_not_be_compared = |earlier: Outcome, level: &str, said: &str| {
        let (outcome, document) = verify_after(lab, earlier, level).json();
        let lane = partition(&document, &topic, 0);
        assert_eq!((&lane["verified"], &lane["differences"]), (&json!("offsets"), &json!([])), "{document:#}");
        assert_eq!((&lane["same"], &lane["unverifiable"]), (&json!(0), &json!(10)), "{document:#}");
        assert!(warns(&document, "source_gone", &topic), "{document:#}");
        assert!(document["warnings"][0]["message"].as_str().is_some_and(|text| text.contains(said)), "{document:#}");
        let shown = verify_after(lab, outcome.expect_code(0), level).run().expect_code(0);
        assert!(shown.stdout.starts_with("Verified by offsets: 0 records") && shown.stdout.contains(said), "{shown}");
        shown
    };
    let mut earlier = moved(lab, &[&topic], &[]);
    lab.source.delete_topic(&topic);
    for level in ["digest", "records"] {
        earlier = can_not_be_compared(earlier, level, "the source's topic was deleted since this migration began");
    }
    lab.source.create_topic(&topic, 1, &[]);
    lab.source.write(&topic, 0, &records(20)[10..]);
    if lab.source.version() >= TOPIC_IDS {
        for level in ["digest", "records"] {
            let said = "the source's topic was deleted and made again since this migration began";
            earlier = can_not_be_compared(earlier, level, said);
        }
    }
    let (_, document) = verify_after(lab, earlier, "offsets").json();
    let lane = partition(&document, &topic, 0);
    assert_eq!((&lane["verified"], &lane["same"]), (&json!("offsets"), &json!(10)), "the target alone tells that");
}
