//! `kferry run`: what arrives, what it proves, and what it refuses.

use std::time::Duration;

use protocol_tests::lab::hand::{End, Writing};
use protocol_tests::lab::kferry::Call;
use protocol_tests::lab::record::{Fill, Record};
use protocol_tests::lab::wait;
use protocol_tests::lab::{Lab, Scenario, Topic, Version};
use protocol_tests::on_a_pair;
use serde_json::Value;

use super::plan::{V0_11, partition, recent, records};

pub(super) fn scenarios() -> Vec<Scenario> {
    let of_batches = on_a_pair!["run":
        a_batch_that_crosses_the_start_is_trimmed_in_every_codec,
        a_batch_larger_than_the_target_takes_is_split,
        control_batches_are_left_out,
        committed_transactions_arrive_and_aborted_ones_do_not,
    ];
    on_a_pair!["run":
        a_missing_topic_that_may_not_be_created_is_named_and_nothing_is_written,
        another_partition_count_is_refused_before_anything_is_written,
        a_filled_target_is_refused_unless_it_is_appended_to,
        without_a_terminal_a_run_needs_a_yes,
        nothing_to_move_is_done,
        an_interrupt_ends_the_run_cleanly,
        a_rate_is_kept,
    ]
    .into_iter()
    .chain(on_a_pair!["run": quotas_of_both_sides_slow_a_run_down_and_stop_nothing].into_iter().map(with_quotas))
    .chain(of_batches.into_iter().map(|scenario| scenario.since(V0_11)))
    .collect()
}

/// Nobody else reads or writes there as kferry.
fn with_quotas(scenario: Scenario) -> Scenario {
    scenario.since(Version::of(2, 6, 0)).real_only("client quotas").with_properties(&[("quota.window.num", "3")])
}

fn run_of(lab: &Lab<'_>, topics: &[&Topic]) -> Call {
    let names = topics.iter().flat_map(|topic| ["--topic".to_owned(), topic.name.clone()]);
    lab.kferry("run").args(["--yes"]).args(names)
}

/// A topic whose records a group has not read from `offset` on.
fn unread(lab: &Lab<'_>, stem: &str, written: &[Record], offset: i64) -> Topic {
    let topic = lab.source.new_topic(stem, 1, &[]);
    lab.source.write(&topic, 0, written);
    lab.source.commit(&Topic::unique("group").name, &topic, 0, offset);
    topic
}

fn moved(lab: &Lab<'_>, topics: &[&Topic]) -> Value {
    let (outcome, result) = run_of(lab, topics).json();
    outcome.expect_code(0);
    assert_eq!(result["outcome"], "done", "{result:#}");
    result
}

fn without_offsets(records: &[Record]) -> Vec<Record> {
    records.iter().map(|record| record.clone().at(0)).collect()
}

/// Everything that is easily lost on the way.
fn odd_records() -> Vec<Record> {
    let time = recent();
    let mut all = records(5);
    all.push(Record { key: None, ..Record::new(time, "", "no key") });
    all.push(Record { value: None, ..Record::new(time + 1, "tombstone", "") });
    all.push(Record::new(time - 86_400_000, "", ""));
    all.push(Record::new(time, [0_u8, 255, 0xc3, 0x28], [128_u8; 2_000]));
    all.push(
        Record::new(time, "h", "v").with_header("a", Some(b"1")).with_header("a", None).with_header("", Some(b"")),
    );
    all.push(Record::new(0, "the epoch", "v"));
    all
}

fn a_batch_that_crosses_the_start_is_trimmed_in_every_codec(lab: &Lab<'_>) {
    let written = odd_records();
    let topics: Vec<Topic> = lab
        .codecs()
        .into_iter()
        .map(|codec| {
            let topic = lab.source.new_topic(&format!("trim-{}", codec.name()), 1, &[]);
            for _ in 0..3 {
                lab.source.write_with(&topic, 0, &written, Writing { codec, ..Writing::default() });
            }
            lab.source.commit(&Topic::unique("group").name, &topic, 0, 4);
            topic
        })
        .collect();
    let result = moved(lab, &topics.iter().collect::<Vec<_>>());
    for topic in &topics {
        let expected = without_offsets(&lab.source.read_range(topic, 0, 4, 3 * written.len() as i64));
        assert_eq!(without_offsets(&lab.target.read(topic, 0)), expected, "{}", topic.name);
        let batches = &partition(&result, topic, 0)["batches"];
        assert_eq!(batches["rewritten"][0]["reason"], "boundary", "{batches:#}");
        assert_eq!(batches["rewritten"][0]["batches"], 1, "{batches:#}");
        // What follows goes as it is, or together with its neighbours where it is tiny.
        let joined = batches["rewritten"][1]["batches"].as_i64().unwrap_or(0);
        assert!(batches["passed"]["batches"].as_i64().unwrap_or(0) + joined >= 1, "{batches:#}");
    }
}

fn a_batch_larger_than_the_target_takes_is_split(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("large", 1, &[]);
    let fill = Fill { count: 300, size: 1_000, seed: 1, timestamp: recent() };
    lab.source.fill(&topic, 0, &fill, Writing { batch_size: 200_000, ..Writing::default() });
    lab.source.commit(&Topic::unique("group").name, &topic, 0, 0);
    lab.target.create_topic(&topic, 1, &[("max.message.bytes", "20000")]);
    let result = moved(lab, &[&topic]);
    let batches = &partition(&result, &topic, 0)["batches"];
    assert_eq!(batches["rewritten"][0]["reason"], "too_large", "{batches:#}");
    assert_eq!(lab.target.bounds(&topic, 0), (0, 300));
    assert_eq!(lab.target.digest(&topic, 0, 0, 300), lab.source.digest(&topic, 0, 0, 300));
}

fn control_batches_are_left_out(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("control", 1, &[]);
    lab.source.write_in_transaction(&topic.name, End::Commit, &topic, 0, &records(3));
    let marker = 3;
    lab.source.write(&topic, 0, &records(5)); // offsets 4 to 8, behind the marker
    lab.source.commit(&Topic::unique("group").name, &topic, 0, marker);
    let result = moved(lab, &[&topic]);
    let lane = partition(&result, &topic, 0);
    assert_eq!(lane["records_written"], 5, "{lane:#}");
    assert_eq!(lane["batches"]["dropped"][0]["reason"], "control", "{lane:#}");
    assert_eq!(without_offsets(&lab.target.read(&topic, 0)), records(5));
}

fn committed_transactions_arrive_and_aborted_ones_do_not(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("transactions", 1, &[]);
    let id = &topic.name;
    lab.source.write(&topic, 0, &records(4));
    lab.source.write_in_transaction(id, End::Abort, &topic, 0, &records(3));
    lab.source.write_in_transaction(id, End::Commit, &topic, 0, &records(5));
    lab.source.write(&topic, 0, &records(2));
    lab.source.commit(&Topic::unique("group").name, &topic, 0, 5); // inside the aborted transaction
    let result = moved(lab, &[&topic]);
    assert_eq!(without_offsets(&lab.target.read(&topic, 0)), [records(5), records(2)].concat());
    let lane = partition(&result, &topic, 0);
    assert_eq!(lane["records_written"], 7, "{lane:#}");
    let dropped: Vec<&Value> =
        lane["batches"]["dropped"].as_array().unwrap().iter().map(|entry| &entry["reason"]).collect();
    assert_eq!(dropped, ["aborted", "control"], "{lane:#}");
}

fn a_missing_topic_that_may_not_be_created_is_named_and_nothing_is_written(lab: &Lab<'_>) {
    let there = unread(lab, "there", &records(5), 0);
    lab.target.create_topic(&there, 1, &[]);
    let missing = unread(lab, "missing", &records(5), 0);
    let call = run_of(lab, &[&there, &missing]).env("KFERRY_TOPICS_CREATE", "false");
    let (outcome, result) = call.json();
    assert_eq!((outcome.code, &result["outcome"]), (1, &"failed".into()), "{}", outcome.stderr);
    assert!(outcome.stderr.contains(&missing.name), "{}", outcome.stderr);
    assert_eq!(lab.target.bounds(&there, 0), (0, 0));
}

fn another_partition_count_is_refused_before_anything_is_written(lab: &Lab<'_>) {
    let fine = unread(lab, "fine", &records(5), 0);
    let topic = unread(lab, "count", &records(5), 0);
    lab.target.create_topic(&fine, 1, &[]);
    lab.target.create_topic(&topic, 2, &[]);
    let (outcome, result) = run_of(lab, &[&fine, &topic]).json();
    assert_eq!((outcome.code, &result["outcome"]), (1, &"failed".into()), "{}", outcome.stderr);
    let last = outcome.stderr.lines().last().unwrap_or_default();
    assert!(last.contains("partition_count") && last.contains(&topic.name), "{last}");
    assert_eq!(lab.target.bounds(&fine, 0), (0, 0));
}

fn a_filled_target_is_refused_unless_it_is_appended_to(lab: &Lab<'_>) {
    let topic = unread(lab, "filled", &records(6), 2);
    lab.target.create_topic(&topic, 1, &[]);
    lab.target.write(&topic, 0, &records(3));
    let (outcome, _) = run_of(lab, &[&topic]).json();
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    assert!(outcome.stderr.lines().last().unwrap_or_default().contains("not_empty"), "{}", outcome.stderr);
    assert_eq!(lab.target.bounds(&topic, 0), (0, 3));
    let (outcome, result) = run_of(lab, &[&topic]).args(["--append"]).json();
    outcome.expect_code(0);
    let lane = partition(&result, &topic, 0);
    assert_eq!((&lane["target_start"], &lane["target_end"]), (&3.into(), &7.into()), "{lane:#}");
    assert_eq!(without_offsets(&lab.target.read_range(&topic, 0, 3, 7)), records(6)[2..]);
}

fn without_a_terminal_a_run_needs_a_yes(lab: &Lab<'_>) {
    let topic = unread(lab, "asked", &records(5), 0);
    let outcome = lab.kferry("run").args(["--topic", &topic.name]).typing("y\n").run();
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
    assert!(outcome.stderr.lines().last().unwrap_or_default().contains("--yes"), "{}", outcome.stderr);
    lab.target.create_topic(&topic, 1, &[]); // would fail if it had been created
    let said = lab.kferry("run").args(["--yes", "--topic", &topic.name]).run().expect_code(0);
    assert!(said.stdout.contains("Prepare to migrate"), "the plan comes first: {}", said.stdout);
    assert!(said.stdout.contains("moved and verified 5 records"), "{}", said.stdout);
}

fn nothing_to_move_is_done(lab: &Lab<'_>) {
    let topic = unread(lab, "read", &records(5), 5);
    let result = moved(lab, &[&topic]);
    assert_eq!(result["partitions"], serde_json::json!([]), "{result:#}");
}

fn an_interrupt_ends_the_run_cleanly(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("interrupted", 1, &[]);
    let fill = Fill { count: 4_000, size: 1_000, seed: 1, timestamp: recent() };
    lab.source.fill(&topic, 0, &fill, Writing { batch_size: 10_000, ..Writing::default() });
    lab.source.commit(&Topic::unique("group").name, &topic, 0, 0);
    lab.target.create_topic(&topic, 1, &[]);
    let running = run_of(lab, &[&topic]).args(["--rate", "200KB/s", "--output", "json"]).start();
    wait::until("something arrives", Duration::from_secs(60), || (lab.target.bounds(&topic, 0).1 > 0).then_some(()));
    running.signal("INT");
    let outcome = running.wait().expect_code(130);
    let result = outcome.json();
    assert_eq!(result["outcome"], "stopped", "{result:#}");
    let written = partition(&result, &topic, 0)["records_written"].as_i64().expect("a count");
    assert!((1..4_000).contains(&written), "{written}");
    assert_eq!(lab.target.bounds(&topic, 0), (0, written));
    assert_eq!(lab.target.digest(&topic, 0, 0, written), lab.source.digest(&topic, 0, 0, written));
}

fn a_rate_is_kept(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("rate", 1, &[]);
    let fill = Fill { count: 1_000, size: 1_000, seed: 1, timestamp: recent() };
    lab.source.fill(&topic, 0, &fill, Writing { batch_size: 10_000, ..Writing::default() });
    lab.source.commit(&Topic::unique("group").name, &topic, 0, 0);
    let (outcome, result) = run_of(lab, &[&topic]).args(["--rate", "500KB/s"]).json();
    outcome.expect_code(0);
    let seconds = result["seconds"].as_f64().expect("seconds");
    assert!(seconds > 1.5, "a megabyte at 500 KB/s took {seconds} s");
}

/// A broker takes what is too much, and then reads nothing more from that connection for as long as it says (KIP-219).
fn quotas_of_both_sides_slow_a_run_down_and_stop_nothing(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("quotas", 3, &[]);
    let group = Topic::unique("group").name;
    for partition in 0..3 {
        let fill = Fill { count: 6_000, size: 1_000, seed: partition as u64, timestamp: recent() };
        lab.source.fill(&topic, partition, &fill, Writing { batch_size: 100_000, ..Writing::default() });
        lab.source.commit(&group, &topic, partition, 0);
    }
    lab.source.set_quota("consumer_byte_rate", 2e6);
    lab.target.set_quota("producer_byte_rate", 1e6);
    let (outcome, result) =
        run_of(lab, &[&topic]).args(["-v", "--memory", "8MiB"]).within(Duration::from_secs(120)).json();
    let said = outcome.expect_code(0).stderr.clone();
    let seconds = result["seconds"].as_f64().expect("seconds");
    // A rate is taken over two seconds or three, and the first of them are free.
    assert!(seconds > 5.0, "18 MB at 1 MB/s took {seconds} s");
    assert!(!said.contains("failed"), "throttling is no failure: {said}");
    for partition in 0..3 {
        assert_eq!(lab.target.bounds(&topic, partition), (0, 6_000));
        assert_eq!(lab.target.digest(&topic, partition, 0, 6_000), lab.source.digest(&topic, partition, 0, 6_000));
    }
}
