//! What a log may hold besides plain batches, each end to end: what a read_committed consumer of the source is shown is what
//! consumers of the target are shown, whatever their isolation level.

use std::time::Duration;

use protocol_tests::lab::batch::Batch;
use protocol_tests::lab::disk::{COMPACTED, SEGMENT_MS};
use protocol_tests::lab::hand::{End, Writing};
use protocol_tests::lab::kferry::{Call, Outcome};
use protocol_tests::lab::record::{Fill, Record};
use protocol_tests::lab::{Codec, Lab, Scenario, Site, Topic, Version, wait};
use protocol_tests::on_a_pair;
use serde_json::Value;

use super::plan::{V0_11, partition, recent, records, warns};

const DAY_MS: i64 = 86_400_000;

pub(super) fn scenarios() -> Vec<Scenario> {
    // Transactions came with 0.11, and with them the batches that are made by hand here.
    let since_batches = on_a_pair!["contents":
        interleaved_transactions_arrive_as_they_were_decided,
        a_transaction_that_began_before_the_start_arrives_from_there_on_or_not_at_all,
        what_lies_behind_an_open_transaction_stays_and_is_said,
        a_compacted_log_arrives_without_its_gaps,
        a_target_that_stamps_its_own_time_gets_batches_as_they_are,
        times_that_no_clock_shows_arrive,
        a_corrupt_batch_is_named_and_nothing_of_it_or_behind_it_is_written,
        a_corrupt_batch_is_copied_around_and_listed,
    ];
    let old_formats = on_a_pair!["contents": message_sets_of_old_formats_arrive];
    on_a_pair!["contents":
        the_time_of_append_stays_the_record_s_time,
        a_batch_larger_than_the_target_takes_is_split_and_keeps_its_codec,
        a_record_larger_than_the_target_takes_is_named_with_the_setting_to_raise,
    ]
    .into_iter()
    .chain(since_batches.into_iter().map(|scenario| scenario.since(V0_11)))
    .chain(old_formats.into_iter().map(|scenario| scenario.source_before(Version::of(3, 0, 0))))
    .collect()
}

/// The reason in the result for opening a batch; message sets of releases before batches are opened for what they are.
fn opened<'a>(lab: &Lab<'_>, reason: &'a str) -> Vec<&'a str> {
    vec![if lab.source.version() < V0_11 { "legacy" } else { reason }]
}

/// A run that must succeed and after which the target holds what the source shows from `start` on; its entry for
/// partition 0 in the result.
#[track_caller]
fn arrives(lab: &Lab<'_>, topic: &Topic, start: i64) -> Value {
    let [lane] = arrive(lab, topic, [start]);
    lane
}

/// The same for the first partitions.
#[track_caller]
fn arrive<const N: usize>(lab: &Lab<'_>, topic: &Topic, starts: [i64; N]) -> [Value; N] {
    let group = Topic::unique("group").name;
    for (index, start) in (0..).zip(starts) {
        lab.source.commit(&group, topic, index, start);
    }
    let (outcome, result) = run_of(lab, topic).args(["--report", "report.json"]).json();
    assert_eq!(result["outcome"], "done", "{result:#}");
    proved(lab, outcome.expect_code(0));
    let mut index = -1;
    starts.map(|start| {
        index += 1;
        let expected = shown(lab.source, topic, index, start);
        assert!(!expected.is_empty(), "nothing to be seen in {}/{index} from {start} on", topic.name);
        assert_eq!(shown(lab.target, topic, index, 0), expected, "read_committed, partition {index}");
        assert_eq!(bare(lab.target.read(topic, index)), expected, "read_uncommitted, partition {index}");
        let lane = partition(&result, topic, index);
        assert_eq!(lane["records_written"], expected.len(), "{lane:#}");
        lane.clone()
    })
}

/// What kferry itself says when it reads both sides again.
#[track_caller]
fn proved(lab: &Lab<'_>, mut earlier: Outcome) {
    for level in ["digest", "records"] {
        let call = lab.kferry("verify").args(["--level", level, "--report", "report.json"]).after(earlier);
        let (outcome, document) = call.json();
        earlier = outcome.expect_code(0);
        for lane in document["partitions"].as_array().expect("partitions") {
            assert_eq!((&lane["verified"], &lane["same"]), (&level.into(), &lane["records_written"]), "{lane:#}");
        }
    }
}

fn run_of(lab: &Lab<'_>, topic: &Topic) -> Call {
    lab.kferry("run").args(["--yes", "--topic", &topic.name, "--name", &topic.name])
}

/// A run that must fail without a fault of the program; what it said.
#[track_caller]
fn fails(call: Call) -> (Outcome, Value) {
    let (outcome, result) = call.json();
    let outcome = outcome.expect_code(1);
    assert_eq!(result["outcome"], "failed", "{result:#}");
    (outcome, result)
}

/// The records that a read_committed consumer is shown from `start` on.
fn shown(site: &Site, topic: &Topic, partition: i32, start: i64) -> Vec<Record> {
    let all = site.read_committed(topic, partition).into_iter();
    bare(all.filter(|record| record.offset >= start).collect())
}

/// The records without what a copy need not keep: their places, and who had set their time.
fn bare(records: Vec<Record>) -> Vec<Record> {
    records.into_iter().map(|record| Record { offset: 0, append_time: false, ..record }).collect()
}

/// The reasons of one of the result's lists.
fn reasons<'a>(lane: &'a Value, verdict: &str) -> Vec<&'a str> {
    let entries = lane["batches"][verdict].as_array().expect("a list");
    entries.iter().map(|entry| entry["reason"].as_str().expect("a reason")).collect()
}

/// Waits until no transaction is open in the partition: EndTxn is answered before the marker is written.
#[track_caller]
fn await_stable(site: &Site, topic: &Topic, partition: i32) {
    wait::until("the last stable offset is the end", Duration::from_secs(30), || {
        let client = site.client();
        let stable = client.list_offset(&topic.name, partition, -1, true).ok()?;
        (stable == client.list_offset(&topic.name, partition, -1, false).ok()?).then_some(())
    });
}

fn interleaved_transactions_arrive_as_they_were_decided(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("interleaved", 1, &[]);
    let [aborted, committed] = ["aborted", "committed"].map(|stem| Topic::unique(stem).name);
    let all = records(12);
    let mut next = 0;
    let mut take = |count: usize| {
        next += count;
        all[next - count..next].to_vec()
    };
    let within = |id: &str, some: &[Record]| lab.source.write_in_transaction(id, End::Open, &topic, 0, some);
    lab.source.write(&topic, 0, &take(1));
    let inside = within(&aborted, &take(2))[1];
    within(&committed, &take(2));
    let last_aborted = within(&aborted, &take(1))[0];
    lab.source.write(&topic, 0, &take(1));
    let last = within(&committed, &take(2))[1];
    lab.source.end_transaction(&aborted, End::Abort, &topic, 0, last_aborted);
    lab.source.write(&topic, 0, &take(1));
    lab.source.end_transaction(&committed, End::Commit, &topic, 0, last);
    // The same producer once more: what it aborted before must not take this along.
    let again = within(&aborted, &take(1))[0];
    lab.source.end_transaction(&aborted, End::Commit, &topic, 0, again);
    await_stable(lab.source, &topic, 0);
    let lane = arrives(lab, &topic, inside);
    assert_eq!((&lane["start"], &lane["records_written"]), (&inside.into(), &7.into()), "{lane:#}");
    assert_eq!(reasons(&lane, "dropped"), ["aborted", "control"], "{lane:#}");
}

fn a_transaction_that_began_before_the_start_arrives_from_there_on_or_not_at_all(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("before", 2, &[]);
    for (partition, end) in [(0, End::Abort), (1, End::Commit)] {
        let id = Topic::unique("transaction").name;
        let all = records(12);
        lab.source.write_in_transaction(&id, End::Open, &topic, partition, &all[..4]);
        lab.source.write(&topic, partition, &all[4..7]);
        let last = lab.source.write_in_transaction(&id, End::Open, &topic, partition, &all[7..10]);
        lab.source.write(&topic, partition, &all[10..]);
        lab.source.end_transaction(&id, end, &topic, partition, last[2]);
        await_stable(lab.source, &topic, partition);
    }
    let lanes = arrive(lab, &topic, [5, 2]);
    assert_eq!(lanes.map(|lane| lane["records_written"].as_i64()), [Some(4), Some(10)]);
}

fn what_lies_behind_an_open_transaction_stays_and_is_said(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("open", 1, &[]);
    let id = Topic::unique("transaction").name;
    let all = records(9);
    lab.source.write(&topic, 0, &all[..4]);
    let open = lab.source.write_in_transaction(&id, End::Open, &topic, 0, &all[4..6]);
    lab.source.write(&topic, 0, &all[6..]);
    lab.source.commit(&Topic::unique("group").name, &topic, 0, 1);
    let (outcome, result) = run_of(lab, &topic).json();
    assert!(outcome.stderr.contains("held back"), "{outcome}");
    outcome.expect_code(0);
    assert!(warns(&result, "open_transaction", &topic), "{result:#}");
    let lane = partition(&result, &topic, 0);
    assert_eq!((&lane["start"], &lane["end"], &lane["records_written"]), (&1.into(), &4.into(), &3.into()), "{lane:#}");
    assert_eq!(bare(lab.target.read(&topic, 0)), bare(all[1..4].to_vec()));
    lab.source.end_transaction(&id, End::Abort, &topic, 0, open[1]);
}

fn a_compacted_log_arrives_without_its_gaps(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("compacted", 1, &COMPACTED);
    let mut time = recent();
    let mut write = |keys: &[&str], how: Writing| {
        time += 5 * SEGMENT_MS;
        let value = |key: &str| (!key.starts_with('-')).then(|| format!("{key} at {time}").into_bytes());
        let record = |key: &&str| Record { value: value(key), ..Record::new(time, key.trim_start_matches('-'), "") };
        lab.source.write_with(&topic, 0, &keys.iter().map(record).collect::<Vec<_>>(), how);
    };
    let packed = Writing::in_one(Codec::Lz4);
    // In front of the start, and older than the target keeps records. From the start on there is a gap first.
    lab.source.write(&topic, 0, &[Record::new(recent() - 30 * DAY_MS, "old", "in front")]);
    write(&["a", "b", "c", "d", "e", "f"], packed);
    // A producer of its own, which writes nothing else: its batch stays when its records are gone.
    write(&["a", "c"], Writing { batch_size: 1 << 19, ..packed });
    write(&["-b", "c", "g"], Writing::in_one(Codec::None));
    // No producer id: when its record is gone, nothing is left.
    write(&["x"], Writing { idempotent: false, ..packed });
    write(&["x", "a", "g"], packed);
    write(&["-f", "h"], packed);
    write(&["a"], packed); // the last batch is never cleaned
    lab.source.compact(&topic, 0);
    let batches = lab.source.batches(&topic, 0);
    let span = |batch: &Batch| (batch.next_offset() - batch.base_offset) as usize;
    assert!(batches.iter().any(|batch| !batch.records.is_empty() && batch.records.len() < span(batch)), "{batches:#?}");
    assert!(batches.iter().any(|batch| batch.records.is_empty()), "no empty batch: {batches:#?}");
    assert!(batches.windows(2).any(|two| two[0].next_offset() < two[1].base_offset), "no hole: {batches:#?}");
    // A plain topic, so that the target's own cleaner takes no part.
    lab.target.create_topic(&topic, 1, &[]);
    let lane = arrives(lab, &topic, 2);
    assert!(reasons(&lane, "rewritten").contains(&"gaps"), "{lane:#}");
    assert_eq!(reasons(&lane, "dropped"), ["empty"], "{lane:#}");
    let tombstones = lab.target.read(&topic, 0).iter().filter(|record| record.value.is_none()).count();
    assert_eq!(tombstones, 2);
}

fn the_time_of_append_stays_the_record_s_time(lab: &Lab<'_>) {
    for codec in [Codec::None, Codec::Gzip] {
        let topic = lab.source.new_topic("append-time", 1, &[("message.timestamp.type", "LogAppendTime")]);
        for _ in 0..2 {
            lab.source.write_with(&topic, 0, &records(5), Writing::in_one(codec));
        }
        assert!(lab.source.read(&topic, 0).iter().all(|record| record.append_time && record.timestamp > recent()));
        lab.target.create_topic(&topic, 1, &[]);
        let lane = arrives(lab, &topic, 0);
        assert_eq!(reasons(&lane, "rewritten"), opened(lab, "append_time"), "{lane:#}");
        assert!(lab.target.read(&topic, 0).iter().all(|record| !record.append_time));
    }
}

fn a_target_that_stamps_its_own_time_gets_batches_as_they_are(lab: &Lab<'_>) {
    let stamping = [("message.timestamp.type", "LogAppendTime")];
    let topic = lab.source.new_topic("stamped", 1, &stamping);
    lab.source.write_with(&topic, 0, &records(5), Writing::in_one(Codec::Lz4));
    lab.source.commit(&Topic::unique("group").name, &topic, 0, 0);
    lab.target.create_topic(&topic, 1, &stamping);
    let before = wait::now_ms();
    let (outcome, result) = run_of(lab, &topic).json();
    outcome.expect_code(0);
    assert!(warns(&result, "timestamps_replaced", &topic), "{result:#}");
    let lane = partition(&result, &topic, 0);
    assert_eq!((&lane["batches"]["passed"]["batches"], reasons(lane, "rewritten")), (&1.into(), vec![]), "{lane:#}");
    let timeless = |records: Vec<Record>| bare(records).into_iter().map(|record| Record { timestamp: 0, ..record });
    let arrived = lab.target.read(&topic, 0);
    assert!(arrived.iter().all(|record| record.append_time && record.timestamp >= before), "{arrived:?}");
    assert!(timeless(arrived).eq(timeless(lab.source.read(&topic, 0))));
}

fn times_that_no_clock_shows_arrive(lab: &Lab<'_>) {
    let year = 31_556_952_000_i64;
    let times = [recent(), -1, 0, recent() - 40 * year, 1, recent() - 1, -1, recent() - 3 * year];
    // Brokers would delete what is as old as that.
    let topic = lab.source.new_topic("times", 2, &[("retention.ms", "-1")]);
    for codec in lab.codecs().into_iter().filter(|codec| *codec != Codec::Zstd) {
        let record = |(at, time): (usize, &i64)| Record::new(*time, format!("{at}"), format!("{codec:?} {time}"));
        let batch = Batch::of(times.iter().enumerate().map(record)).packed(codec);
        for partition in [0, 1] {
            lab.source.append(&topic, partition, batch.encode()).expect("brokers take any past time");
        }
    }
    let lanes = arrive(lab, &topic, [0, 1]);
    assert_eq!((reasons(&lanes[0], "rewritten"), reasons(&lanes[1], "rewritten")), (vec![], vec!["boundary"]));
    let seen: Vec<i64> = lab.target.read(&topic, 0).iter().map(|record| record.timestamp).take(times.len()).collect();
    assert_eq!(seen, times);
}

fn a_batch_larger_than_the_target_takes_is_split_and_keeps_its_codec(lab: &Lab<'_>) {
    for codec in lab.codecs() {
        let topic = lab.source.new_topic("split", 1, &[]);
        let fill = Fill { count: 300, size: 1_000, seed: 1, timestamp: recent() };
        lab.source.fill(&topic, 0, &fill, Writing { batch_size: 400_000, codec, ..Writing::default() });
        lab.target.create_topic(&topic, 1, &[("max.message.bytes", "20000")]);
        let lane = arrives(lab, &topic, 0);
        assert_eq!(reasons(&lane, "rewritten"), opened(lab, "too_large"), "{codec:?} {lane:#}");
        let batches = lab.target.batches(&topic, 0);
        assert!(batches.len() > 5 && batches.iter().all(|batch| batch.codec == codec), "{codec:?}");
    }
}

fn a_record_larger_than_the_target_takes_is_named_with_the_setting_to_raise(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("huge", 1, &[]);
    let huge = Fill { count: 1, size: 90_000, seed: 3, timestamp: recent() }.records().collect::<Vec<_>>();
    for some in [records(3), [records(2), huge].concat(), records(3)] {
        lab.source.write_with(&topic, 0, &some, Writing::in_one(Codec::Gzip));
    }
    lab.source.commit(&Topic::unique("group").name, &topic, 0, 0);
    lab.target.create_topic(&topic, 1, &[("max.message.bytes", "20000")]);
    let (outcome, _) = fails(run_of(lab, &topic));
    let said = &outcome.stderr;
    for words in [topic.name.as_str(), "offset 5", "max.message.bytes", "20,000"] {
        assert!(said.contains(words), "{words:?} is missing\n{outcome}");
    }
    assert!(said.contains(&format!("{}/0", topic.name)) || said.contains("partition 0"), "{outcome}");
    let arrived = bare(lab.target.read(&topic, 0));
    assert!(arrived.is_empty() || arrived == bare(records(3)), "{arrived:?}");
}

/// Three batches of five records, the second of them corrupt; what a consumer was shown before.
fn with_a_corrupt_batch(lab: &Lab<'_>, stem: &str, codec: Codec) -> (Topic, Vec<Record>) {
    let topic = lab.source.new_topic(stem, 1, &[]);
    for at in 0..3 {
        lab.source.write_with(&topic, 0, &records(15)[5 * at..5 * at + 5], Writing::in_one(codec));
    }
    let before = bare(lab.source.read(&topic, 0));
    lab.source.corrupt(&topic, 0, 7);
    (topic, before)
}

fn a_corrupt_batch_is_named_and_nothing_of_it_or_behind_it_is_written(lab: &Lab<'_>) {
    // From the middle of the corrupt batch on it is opened, from its beginning it would pass.
    for (start, codec) in [(0, Codec::None), (1, Codec::Lz4), (6, Codec::None), (6, Codec::Lz4)] {
        let (topic, before) = with_a_corrupt_batch(lab, "corrupt", codec);
        lab.source.commit(&Topic::unique("group").name, &topic, 0, start);
        let (outcome, result) = fails(run_of(lab, &topic));
        let lane = partition(&result, &topic, 0);
        let error = lane["error"].as_str().unwrap_or_default();
        let named = start.max(5).to_string();
        assert!(error.contains(&named), "offset {named} is not named: {lane:#}");
        assert!(outcome.stderr.contains(&format!("{}/0", topic.name)), "{outcome}");
        let good = before[..5].get(start as usize..).unwrap_or_default();
        assert_eq!(bare(lab.target.read(&topic, 0)), good, "from {start}");
        assert_eq!(lane["records_written"], good.len(), "{lane:#}");
    }
}

fn a_corrupt_batch_is_copied_around_and_listed(lab: &Lab<'_>) {
    for (start, codec, skipped) in [(0, Codec::None, 5), (6, Codec::Gzip, 6)] {
        let (topic, before) = with_a_corrupt_batch(lab, "skipped", codec);
        lab.source.commit(&Topic::unique("group").name, &topic, 0, start);
        let (outcome, result) = run_of(lab, &topic).args(["--skip-corrupt", "--report", "report.json"]).json();
        proved(lab, outcome.expect_code(0));
        let lane = partition(&result, &topic, 0);
        let expected = serde_json::json!([{ "start": skipped, "end": 10, "reason": "corrupt" }]);
        assert_eq!(lane["skipped"], expected, "{lane:#}");
        let good = [before[..5].get(start as usize..).unwrap_or_default(), &before[10..]].concat();
        assert_eq!(bare(lab.target.read(&topic, 0)), good, "from {start}");
        assert_eq!(lane["records_written"], good.len(), "{lane:#}");
    }
}

fn message_sets_of_old_formats_arrive(lab: &Lab<'_>) {
    for format in ["0.9.0", "0.10.2"] {
        let topic = lab.source.new_topic("old", 2, &[("message.format.version", format)]);
        for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4] {
            let mut some = records(7);
            some[2].key = None;
            some[3].value = None;
            for partition in [0, 1] {
                let how = Writing { idempotent: false, ..Writing::in_one(codec) };
                lab.source.write_with(&topic, partition, &some, how);
            }
        }
        // Inside of the first compressed set, and of the plain messages.
        arrive(lab, &topic, [9, 3]);
    }
}
