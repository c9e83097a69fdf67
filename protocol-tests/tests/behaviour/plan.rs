//! `kferry plan`: what it finds, what it decides, and that it changes nothing.

use std::sync::OnceLock;

use protocol_tests::lab::kferry::{Call, Outcome};
use protocol_tests::lab::record::Record;
use protocol_tests::lab::wait::now_ms;
use protocol_tests::lab::{Lab, Scenario, Topic, Version};
use protocol_tests::on_a_pair;
use serde_json::Value;

/// What no broker before it has: record batches with headers, idempotent producers, transactions, DeleteRecords.
pub(super) const V0_11: Version = Version::ancient(0, 11, 0, 0);

/// From here on brokers know topics by ids (KIP-516).
pub(super) const TOPIC_IDS: Version = Version::of(2, 8, 0);

pub(super) fn scenarios() -> Vec<Scenario> {
    let by_deleting = on_a_pair!["plan":
        a_commit_below_the_log_start_starts_there_and_counts_what_expired,
        what_expired_altogether_is_skipped,
    ];
    let old = on_a_pair!["plan": a_source_that_is_too_old_to_tell_configs_is_said];
    on_a_pair!["plan":
        the_smallest_commit_of_all_selected_groups_sets_the_start,
        a_partition_without_a_commit_of_a_group_on_the_topic_starts_at_its_beginning,
        only_submitted_offsets_count_where_the_configuration_says_so,
        a_commit_beyond_the_end_starts_at_the_beginning,
        consumed_and_empty_partitions_are_skipped,
        internal_and_deleted_topics_are_left_out_and_said,
        topics_and_groups_are_selected_by_name_glob_and_regular_expression,
        topics_without_commits_are_taken_where_the_configuration_says_so,
        another_partition_count_on_the_target_is_a_warning,
        records_on_the_target_are_a_warning,
        a_plan_creates_nothing_and_leaves_its_text_in_a_log,
    ]
    .into_iter()
    .chain(by_deleting.into_iter().map(|scenario| scenario.since(V0_11)))
    .chain(old)
    .collect()
}

/// An hour ago, the same at every call: brokers delete what is older than their retention.
pub(super) fn recent() -> i64 {
    static RECENT: OnceLock<i64> = OnceLock::new();
    *RECENT.get_or_init(|| now_ms() - 3_600_000)
}

/// `count` small records.
pub(super) fn records(count: usize) -> Vec<Record> {
    (0..count).map(|index| Record::new(recent() + index as i64, format!("k{index}"), "value")).collect()
}

/// A plan of these topics alone: other scenarios use the same clusters.
pub(super) fn plan_of(lab: &Lab<'_>, topics: &[&Topic]) -> Call {
    let names = topics.iter().flat_map(|topic| ["--topic".to_owned(), topic.name.clone()]);
    lab.kferry("plan").args(names)
}

fn done(call: Call) -> (Outcome, Value) {
    let (outcome, json) = call.json();
    (outcome.expect_code(0), json)
}

/// The document's entry for a partition.
pub(super) fn partition<'a>(document: &'a Value, topic: &Topic, partition: i32) -> &'a Value {
    let entries = document["partitions"].as_array().expect("partitions");
    let wanted = |entry: &&Value| entry["topic"] == topic.name.as_str() && entry["partition"] == partition;
    entries.iter().find(wanted).unwrap_or_else(|| panic!("{} {partition} is not in {document:#}", topic.name))
}

/// Whether the document warns about a topic with this code.
pub(super) fn warns(document: &Value, code: &str, topic: &Topic) -> bool {
    let warnings = document["warnings"].as_array().expect("warnings");
    warnings.iter().any(|warning| warning["code"] == code && warning["topic"] == topic.name.as_str())
}

/// Checks fields of an entry.
macro_rules! entry {
    ($document:expr, $topic:expr, $partition:expr, { $($field:ident: $value:expr),+ $(,)? }) => {
        let entry = partition(&$document, &$topic, $partition);
        $(assert_eq!(entry[stringify!($field)], serde_json::json!($value), "{} of {entry:#}", stringify!($field));)+
    };
}

fn the_smallest_commit_of_all_selected_groups_sets_the_start(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("smallest", 1, &[]);
    lab.source.write(&topic, 0, &records(20));
    let [fast, slow] = ["fast", "slow"].map(|stem| Topic::unique(stem).name);
    lab.source.commit(&fast, &topic, 0, 15);
    lab.source.commit(&slow, &topic, 0, 7);
    let (_, both) = done(plan_of(lab, &[&topic]));
    entry!(both, topic, 0, {
        group: slow, committed: 7, earliest: 0, start: 7, end: 20, records: 13, action: "migrate", reason: "unread", expired: 0,
    });
    assert_eq!(both["totals"]["records"], 13);
    let commits: Vec<&Value> = both["groups"].as_array().unwrap().iter().collect();
    assert_eq!(commits.len(), 2, "{both:#}");
    let (_, one) = done(plan_of(lab, &[&topic]).args(["--group", &fast]));
    entry!(one, topic, 0, { group: fast, start: 15, records: 5 });
}

fn a_commit_below_the_log_start_starts_there_and_counts_what_expired(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("expired", 1, &[]);
    lab.source.write(&topic, 0, &records(20));
    let group = Topic::unique("late").name;
    lab.source.commit(&group, &topic, 0, 3);
    lab.source.delete_records(&topic, 0, 8);
    let (_, plan) = done(plan_of(lab, &[&topic]));
    entry!(plan, topic, 0, {
        group: group, committed: 3, earliest: 8, start: 8, end: 20, records: 12, action: "migrate", reason: "expired", expired: 5,
    });
    assert!(warns(&plan, "expired", &topic), "{plan:#}");
}

fn what_expired_altogether_is_skipped(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("gone", 1, &[]);
    lab.source.write(&topic, 0, &records(10));
    lab.source.commit(&Topic::unique("late").name, &topic, 0, 3);
    lab.source.delete_records(&topic, 0, 10);
    let (_, plan) = done(plan_of(lab, &[&topic]));
    entry!(plan, topic, 0, {
        committed: 3, earliest: 10, start: 10, end: 10, records: 0, action: "skip", reason: "expired", expired: 7,
    });
    let text = lab.kferry("plan").args(["--topic", &topic.name]).run().expect_code(0).stdout;
    let skip = text.lines().find(|line| line.contains("skip migrate...")).expect("a skip line");
    assert!(skip.contains(&topic.name) && skip.contains("10"), "{skip}");
}

fn a_partition_without_a_commit_of_a_group_on_the_topic_starts_at_its_beginning(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("undecided", 3, &[]);
    for partition in [0, 1] {
        lab.source.write(&topic, partition, &records(10));
    }
    let group = Topic::unique("half").name;
    lab.source.commit(&group, &topic, 0, 6);
    let (_, plan) = done(plan_of(lab, &[&topic]));
    entry!(plan, topic, 0, { start: 6, reason: "unread" });
    entry!(plan, topic, 1, { group: null(), start: 0, end: 10, action: "migrate", reason: "undecided" });
    entry!(plan, topic, 2, { action: "skip", reason: "empty" });
    assert!(warns(&plan, "undecided", &topic), "{plan:#}");
}

fn only_submitted_offsets_count_where_the_configuration_says_so(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("committed", 2, &[]);
    for partition in [0, 1] {
        lab.source.write(&topic, partition, &records(10));
    }
    let [one, two] = ["one", "two"].map(|stem| Topic::unique(stem).name);
    lab.source.commit(&one, &topic, 0, 6);
    lab.source.commit(&two, &topic, 0, 8);
    let (_, plan) = done(plan_of(lab, &[&topic]).file("kferry.toml", "[plan]\nundecided = \"committed\"\n"));
    entry!(plan, topic, 0, { group: one, start: 6, reason: "unread" });
    entry!(plan, topic, 1, { action: "skip", reason: "undecided", records: 0 });
}

fn a_commit_beyond_the_end_starts_at_the_beginning(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("ahead", 1, &[]);
    lab.source.write(&topic, 0, &records(10));
    lab.source.commit(&Topic::unique("early").name, &topic, 0, 500);
    let (_, plan) = done(plan_of(lab, &[&topic]));
    entry!(plan, topic, 0, { group: null(), start: 0, end: 10, action: "migrate", reason: "undecided" });
    assert!(warns(&plan, "ahead", &topic), "{plan:#}");
}

fn consumed_and_empty_partitions_are_skipped(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("consumed", 2, &[]);
    lab.source.write(&topic, 0, &records(10));
    let group = Topic::unique("done").name;
    lab.source.commit(&group, &topic, 0, 10);
    lab.source.commit(&group, &topic, 1, 0);
    let (_, plan) = done(plan_of(lab, &[&topic]));
    entry!(plan, topic, 0, { start: 10, end: 10, action: "skip", reason: "consumed" });
    entry!(plan, topic, 1, { start: 0, end: 0, action: "skip", reason: "empty" });
    assert_eq!(plan["totals"]["partitions"], 0);
}

fn internal_and_deleted_topics_are_left_out_and_said(lab: &Lab<'_>) {
    let [kept, deleted] = ["kept", "deleted"].map(|stem| lab.source.new_topic(stem, 1, &[]));
    let hidden = Topic { name: format!("__{}", Topic::unique("hidden").name) };
    lab.source.create_topic(&hidden, 1, &[]);
    let group = Topic::unique("all").name;
    for topic in [&kept, &deleted, &hidden] {
        lab.source.write(topic, 0, &records(5));
        lab.source.commit(&group, topic, 0, 2);
    }
    lab.source.delete_topic(&deleted);
    let (_, plan) = done(lab.kferry("plan").args(["--group", &group]));
    let topics: Vec<&Value> = plan["partitions"].as_array().unwrap().iter().map(|entry| &entry["topic"]).collect();
    assert_eq!(topics, [kept.name.as_str()], "{plan:#}");
    assert!(warns(&plan, "topic_left_out", &hidden), "{plan:#}");
}

fn topics_and_groups_are_selected_by_name_glob_and_regular_expression(lab: &Lab<'_>) {
    let stem = Topic::unique("pick").name;
    let topics = ["a", "b", "c"].map(|suffix| Topic { name: format!("{stem}-{suffix}") });
    let group = Topic::unique("picker").name;
    for topic in &topics {
        lab.source.create_topic(topic, 1, &[]);
        lab.source.write(topic, 0, &records(3));
        lab.source.commit(&group, topic, 0, 1);
    }
    let planned = |arguments: &[&str]| -> Vec<String> {
        let (_, plan) = done(lab.kferry("plan").args(arguments));
        let entries = plan["partitions"].as_array().unwrap();
        entries.iter().map(|entry| entry["topic"].as_str().unwrap().trim_start_matches(&stem).to_owned()).collect()
    };
    assert_eq!(planned(&["--topic", &format!("{stem}-*")]), ["-a", "-b", "-c"]);
    assert_eq!(planned(&["--topic", &format!("/^{stem}-[bc]$/")]), ["-b", "-c"]);
    assert_eq!(planned(&["--topic", &format!("{stem}-*"), "--exclude-topic", "*-b"]), ["-a", "-c"]);
    assert_eq!(planned(&["--group", &group]), ["-a", "-b", "-c"]);
    assert!(planned(&["--group", &group, "--exclude-group", "picker-*"]).is_empty());
}

fn topics_without_commits_are_taken_where_the_configuration_says_so(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("ungrouped", 1, &[]);
    lab.source.write(&topic, 0, &records(4));
    let (_, without) = done(plan_of(lab, &[&topic]));
    assert_eq!(without["partitions"], serde_json::json!([]));
    let (_, with) = done(plan_of(lab, &[&topic]).env("KFERRY_SELECT_UNGROUPED", "earliest"));
    entry!(with, topic, 0, { group: null(), committed: null(), start: 0, end: 4, records: 4, action: "migrate" });
}

fn another_partition_count_on_the_target_is_a_warning(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("count", 2, &[]);
    lab.target.create_topic(&topic, 3, &[]);
    lab.source.write(&topic, 0, &records(4));
    lab.source.commit(&Topic::unique("g").name, &topic, 0, 1);
    let (_, plan) = done(plan_of(lab, &[&topic]));
    assert!(warns(&plan, "partition_count", &topic), "{plan:#}");
}

fn records_on_the_target_are_a_warning(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("filled", 1, &[]);
    lab.target.create_topic(&topic, 1, &[]);
    lab.source.write(&topic, 0, &records(4));
    lab.target.write(&topic, 0, &records(1));
    lab.source.commit(&Topic::unique("g").name, &topic, 0, 1);
    let (_, plan) = done(plan_of(lab, &[&topic]));
    assert!(warns(&plan, "not_empty", &topic), "{plan:#}");
}

fn a_plan_creates_nothing_and_leaves_its_text_in_a_log(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("untouched", 1, &[]);
    lab.source.write(&topic, 0, &records(4));
    let group = Topic::unique("g").name;
    lab.source.commit(&group, &topic, 0, 1);
    let outcome = lab.kferry("plan").args(["--topic", &topic.name]).run().expect_code(0);
    assert!(outcome.stdout.starts_with("Prepare to migrate\n"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains(&group), "{}", outcome.stdout);
    let logs: Vec<String> = std::fs::read_dir(outcome.dir())
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| {
            assert!(path.file_name().unwrap().to_string_lossy().starts_with("kferry-plan-"), "{path:?}");
            std::fs::read_to_string(path).unwrap()
        })
        .collect();
    assert_eq!(logs.len(), 1);
    assert!(logs[0].contains("Prepare to migrate") && logs[0].contains(&topic.name), "{}", logs[0]);
    let quiet = lab.kferry("plan").args(["--no-log", "--topic", &topic.name]).run().expect_code(0);
    assert_eq!(std::fs::read_dir(quiet.dir()).unwrap().count(), 0, "--no-log leaves no log");
    lab.target.create_topic(&topic, 1, &[]); // would fail if the plan had created it
    assert_eq!(lab.source.committed(&group)[&(topic.name.clone(), 0)].offset, 1);
}

/// Brokers before 0.11 have no DescribeConfigs.
fn a_source_that_is_too_old_to_tell_configs_is_said(lab: &Lab<'_>) {
    let topic = lab.source.new_topic("configs", 1, &[]);
    lab.source.write(&topic, 0, &records(4));
    lab.source.commit(&Topic::unique("g").name, &topic, 0, 1);
    let (_, plan) = done(plan_of(lab, &[&topic]));
    let warnings = plan["warnings"].as_array().unwrap();
    let old = warnings.iter().any(|it| it["code"] == "configs_hidden" && it["message"].to_string().contains("too old"));
    assert_eq!(old, lab.source.version() < V0_11, "{plan:#}");
}

fn null() -> Value {
    Value::Null
}
