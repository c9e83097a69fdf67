//! Surveys of embedded clusters: what is seen becomes the plan that a person expects, and large clusters cost a few
//! requests per broker; and topics that the target lacks are made.

#![allow(clippy::expect_used, reason = "all of this file is tests and their helpers")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use kafka_protocol::messages::ApiKey;
use kferry::cluster::{Cluster, NewTopic, Options};
use kferry::config::{Endpoint, Filter, Selection, TopicSettings, Undecided, Ungrouped};
use kferry::kafka::{ErrorCode, PartitionId, Side, Span};
use kferry::net::Tcp;
use kferry::plan::survey::{Reached, survey};
use kferry::plan::{Plan, Reason, Rules, Survey, plan};
use kferry::topics::{LeftOutBecause, Mirrored, TopicsError, create, finish};
use protocol_tests::broker::batch::attribute;
use protocol_tests::broker::faults::{Action, Rule as Fault};
use protocol_tests::broker::serve::now_ms;
use protocol_tests::broker::{Codec, Embedded, NewRecord, Operation, RecordBatchBuilder, Version};

fn start(version: Version, nodes: usize) -> Embedded {
    Embedded::start(version, nodes).expect("an embedded cluster")
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

async fn connect(side: Side, at: &Embedded) -> (Cluster, Endpoint) {
    let bootstrap: Vec<_> = at.bootstrap().iter().map(|address| address.parse().expect("an address")).collect();
    let cluster = Cluster::connect(side, Arc::new(Tcp), &bootstrap, Options::default()).await.expect("a cluster");
    (cluster, Endpoint { bootstrap })
}

/// Surveys both and plans by the defaults.
fn planned(source: &Embedded, target: &Embedded) -> (Survey, Plan) {
    planned_for(source, target, "*")
}

/// As [`planned`], for these groups alone.
fn planned_for(source: &Embedded, target: &Embedded, groups: &str) -> (Survey, Plan) {
    let filter = |pattern: &str| Filter::new(&[pattern.to_owned()], &[]).expect("a filter");
    let selection = Selection { groups: filter(groups), topics: filter("*") };
    let topics = TopicSettings { create: true, replication_factor: None, recompress: None };
    let rules = Rules {
        name: "default",
        selection: &selection,
        ungrouped: Ungrouped::Skip,
        undecided: Undecided::Earliest,
        topics: &topics,
        translate_offsets: true,
    };
    run(async {
        let (from, to) = (connect(Side::Source, source).await, connect(Side::Target, target).await);
        let from = Reached { cluster: &from.0, endpoint: &from.1 };
        let to = Reached { cluster: &to.0, endpoint: &to.1 };
        let seen = survey(from, to, &rules, now_ms()).await.expect("a survey");
        let plan = plan(&seen, &rules);
        (seen, plan)
    })
}

fn fill(cluster: &Embedded, topic: &str, partition: i32, records: usize, timestamp: i64) {
    let batch = RecordBatchBuilder::of(records, timestamp).build();
    assert!(cluster.with_core(|core| core.append(topic, partition, batch)), "{topic}/{partition}");
}

fn make(cluster: &Embedded, topic: &str, partitions: i32, configs: &[(&str, &str)]) {
    cluster.with_core(|core| core.create_topic(topic, partitions, configs)).expect("a topic");
}

fn commit(cluster: &Embedded, group: &str, topic: &str, partition: i32, offset: i64) {
    cluster.with_core(|core| core.commit(group, topic, partition, offset));
}

/// The codes, but for the one that a busy machine may add: its round trips are slow.
fn codes(plan: &Plan) -> Vec<&str> {
    let codes = plan.warnings().iter().map(|warning| warning.code.as_str());
    codes.filter(|code| *code != "small_socket_buffers").collect()
}

#[test]
fn what_is_unread_is_seen_on_either_generation_of_brokers() {
    for version in [Version::V2_8, Version::V4_1] {
        let (source, target) = (start(version, 3), start(version, 1));
        make(&source, "orders", 2, &[("retention.ms", "-1")]);
        make(&source, "trimmed", 1, &[]);
        fill(&source, "orders", 0, 100, now_ms());
        fill(&source, "orders", 1, 50, now_ms());
        fill(&source, "trimmed", 0, 20, now_ms());
        source.with_core(|core| core.set_log_start("trimmed", 0, 20));
        commit(&source, "slow", "orders", 0, 30);
        commit(&source, "fast", "orders", 0, 80);
        commit(&source, "slow", "orders", 1, 50);
        commit(&source, "slow", "trimmed", 0, 7);
        commit(&source, "slow", "deleted", 0, 7);
        let (seen, plan) = planned(&source, &target);
        let spans: Vec<_> =
            plan.partitions().iter().map(|lane| (lane.at.to_string(), lane.span, lane.reason)).collect();
        assert_eq!(
            spans,
            [
                ("orders/0".to_owned(), Span::new(30, 100), Reason::Unread),
                ("orders/1".to_owned(), Span::new(0, 50), Reason::Undecided),
                ("trimmed/0".to_owned(), Span::new(20, 20), Reason::Expired),
            ]
        );
        assert!(seen.source.groups.iter().all(|group| group.members == Some(0)), "{:?}", seen.source.groups);
        assert!(seen.source.topics.values().all(|topic| topic.configs.is_some()));
        assert!(seen.target.broker_configs.is_some());
        let codes = codes(&plan);
        for code in ["topic_missing", "expired", "undecided", "offsets_expire"] {
            assert!(codes.contains(&code), "{code} in {codes:?}");
        }
        let orders = plan.create().iter().find(|topic| topic.spec.name.as_str() == "orders").expect("to be created");
        assert_eq!(
            (orders.spec.partitions, orders.spec.configs.get("retention.ms").map(String::as_str)),
            (2, Some("-1"))
        );
    }
}

/// As real brokers of 0.10.0.1 do, where a group's coordinator forgets it with its last member, but not its offsets.
#[test]
fn a_group_that_is_named_is_found_although_no_broker_lists_it() {
    let (source, target) = (start(Version::V0_10, 1), start(Version::V4_1, 1));
    make(&source, "t", 1, &[]);
    fill(&source, "t", 0, 10, now_ms());
    commit(&source, "gone", "t", 0, 4);
    source.with_core(|core| core.lists_empty_groups = false);
    let (_, unnamed) = planned_for(&source, &target, "g*");
    assert_eq!((unnamed.partitions().len(), codes(&unnamed).contains(&"groups_hidden")), (0, true));
    let (_, named) = planned_for(&source, &target, "gone");
    assert_eq!(named.partitions()[0].span, Span::new(4, 10));
    let (seen, _) = planned_for(&source, &target, "never");
    assert!(seen.source.groups.is_empty(), "{:?}", seen.source.groups);
}

#[test]
fn the_age_of_records_is_asked_of_the_source() {
    let (source, target) = (start(Version::V4_1, 1), start(Version::V4_1, 1));
    let hour = 3_600_000;
    make(&source, "t", 1, &[]);
    make(&target, "t", 1, &[("retention.ms", "7200000")]);
    fill(&source, "t", 0, 10, now_ms() - 30 * hour);
    fill(&source, "t", 0, 10, now_ms());
    commit(&source, "g", "t", 0, 4);
    let (_, plan) = planned(&source, &target);
    let said: Vec<_> =
        plan.warnings().iter().map(|warning| (warning.code.as_str(), warning.message.as_str())).collect();
    assert!(
        said.contains(&(
            "expires_on_arrival",
            "up to 6 records are older than the 2 h the target keeps them: it would delete what arrives"
        )),
        "{said:?}"
    );
    assert!(
        said.contains(&(
            "producer_state_short",
            "up to 6 records are older than the 1 d the target remembers producers: one batch at a time"
        )),
        "{said:?}"
    );
}

#[test]
fn records_that_were_compacted_away_are_of_no_age() {
    let (source, target) = (start(Version::V4_1, 1), start(Version::V4_1, 1));
    let (now, old) = (now_ms(), now_ms() - 30 * 3_600_000);
    make(&source, "t", 4, &[("cleanup.policy", "compact")]);
    make(&target, "t", 4, &[("retention.ms", "7200000")]);
    let of = |count: usize, at: i64, base: i64| RecordBatchBuilder::of(count, at).base_offset(base);
    let left = |delta: i32, time: i64, base: i64| {
        let record = NewRecord { offset_delta: Some(delta), ..NewRecord::new(time, "k", "v") };
        RecordBatchBuilder::new().record(record).base_offset(base).last_offset_delta(4).codec(Codec::Gzip)
    };
    let empty = |base: i64| RecordBatchBuilder::new().base_offset(base).last_offset_delta(4);
    let marker = of(1, old, 15).attributes(attribute::TRANSACTIONAL | attribute::CONTROL);
    let logs = [
        // The start lies inside of a batch whose first record left is a young one.
        vec![of(5, old, 0), left(3, now, 5), of(5, now, 10)],
        // Old records lie behind an empty batch.
        vec![of(5, old, 0), empty(5), left(0, old, 10), of(4, old, 15), of(5, now, 19)],
        // What is left of the batch lies in front of the start, and a marker behind it.
        vec![of(5, old, 0), empty(5), left(0, old, 10), marker, of(5, now, 16)],
        vec![of(5, now, 0), of(5, now, 5), of(5, now, 10)],
    ];
    for ((partition, log), committed) in (0..).zip(logs).zip([6, 6, 11, 6]) {
        for batch in log {
            assert!(source.with_core(|core| core.append("t", partition, batch.build())), "{partition}");
        }
        commit(&source, "g", "t", partition, committed);
    }
    let fetched: Arc<Mutex<usize>> = Arc::default();
    let counted = Arc::clone(&fetched);
    source.with_core(|core| {
        core.faults.hook(move |call, _| {
            *counted.lock().expect("a count") += usize::from(call.api == ApiKey::Fetch);
            None
        });
    });
    let (seen, plan) = planned(&source, &target);
    let expiring = plan.warnings().iter().filter(|warning| warning.code.as_str() == "expires_on_arrival");
    let said: Vec<_> = expiring.map(|warning| (warning.partition, warning.message.as_str())).collect();
    let first = "up to 9 records are older than the 2 h the target keeps them: it would delete what arrives";
    assert_eq!(said, [(Some(PartitionId(1)), first)]);
    let gaps: Vec<_> = seen.source.topics["t"].partitions.values().map(|partition| partition.gap).collect();
    assert_eq!(gaps, [Some(Span::new(6, 8)), Some(Span::new(6, 10)), Some(Span::new(11, 16)), None]);
    assert_eq!(*fetched.lock().expect("a count"), 1 + 2 + 2, "each step is a look, and what is young costs none");
}

#[test]
fn records_that_arrive_during_the_survey_are_noticed() {
    let (source, target) = (start(Version::V4_1, 1), start(Version::V4_1, 1));
    make(&source, "t", 1, &[]);
    fill(&source, "t", 0, 10, now_ms());
    commit(&source, "g", "t", 0, 4);
    let looks = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&looks);
    source.with_core(|core| {
        core.faults.hook(move |call, _| {
            *counted.lock().expect("a count") += i32::from(call.api == ApiKey::ListOffsets);
            None
        });
    });
    let writer = std::thread::scope(|scope| {
        let surveyed = scope.spawn(|| planned(&source, &target));
        let began = std::time::Duration::from_millis(5);
        while *looks.lock().expect("a count") == 0 {
            std::thread::sleep(began);
        }
        fill(&source, "t", 0, 3, now_ms());
        surveyed.join().expect("a plan").1
    });
    assert!(codes(&writer).contains(&"moving_end"), "{:?}", writer.warnings());
    assert_eq!(writer.partitions()[0].span, Span::new(4, 13), "the end is that of the second look");
}

#[test]
fn a_thousand_groups_and_ten_thousand_partitions_take_a_few_requests_per_broker() {
    for (version, most) in [(Version::V4_1, 60), (Version::V2_8, 400)] {
        let (source, target) = (start(version, 3), start(version, 3));
        for topic in 0..10 {
            make(&source, &format!("t{topic}"), 1_000, &[]);
        }
        source.with_core(|core| {
            for group in 0..1_000 {
                core.commit(&format!("g{group:04}"), &format!("t{}", group % 10), group % 1_000, 0);
            }
        });
        let requests: Arc<Mutex<BTreeMap<(i32, String), usize>>> = Arc::default();
        for cluster in [&source, &target] {
            let requests = Arc::clone(&requests);
            cluster.with_core(|core| {
                core.faults.hook(move |call, _| {
                    *requests.lock().expect("counts").entry((call.node, format!("{:?}", call.api))).or_default() += 1;
                    None
                });
            });
        }
        let (seen, plan) = planned(&source, &target);
        assert_eq!((seen.source.groups.len(), plan.partitions().len()), (1_000, 10_000));
        let requests = requests.lock().expect("counts");
        for node in 1..=3 {
            let of_node = || requests.iter().filter(|((at, _), _)| *at == node);
            let sum: usize = of_node().map(|(_, count)| count).sum();
            // Before 3.0 each group's commits are a request of their own, many of them on their way at once.
            assert!(sum <= most, "{version:?}, node {node}: {:?}", of_node().collect::<Vec<_>>());
        }
    }
}

fn wanted(name: &str, configs: &[(&str, &str)]) -> Mirrored {
    let configs = configs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Mirrored {
        spec: NewTopic { name: name.into(), partitions: 3, replication_factor: -1, configs },
        at_end: BTreeMap::new(),
        left_out: Vec::new(),
        min_isr: None,
        factor: None,
    }
}

fn override_of(cluster: &Embedded, topic: &str, config: &str) -> Option<String> {
    cluster.with_core(|core| core.topics.get(topic)?.overrides.get(config).cloned())
}

#[test]
fn a_topic_is_made_without_what_the_target_refuses_and_finished_at_the_end() {
    let target = start(Version::V4_1, 1);
    let mut topic = wanted("t", &[("retention.ms", "5000"), ("delete.retention.ms", "soon"), ("vendor.thing", "1")]);
    topic.at_end.insert("message.timestamp.type".to_owned(), "LogAppendTime".to_owned());
    run(async {
        let (cluster, _) = connect(Side::Target, &target).await;
        let made = create(&cluster, &[topic, wanted("u", &[])]).await.expect("two topics").topics;
        let left_out: Vec<_> = made[0].left_out.iter().map(|config| (config.name.as_str(), config.because)).collect();
        assert_eq!(
            left_out,
            [("delete.retention.ms", LeftOutBecause::Refused), ("vendor.thing", LeftOutBecause::Refused)]
        );
        assert_eq!(override_of(&target, "t", "retention.ms").as_deref(), Some("5000"));
        assert_eq!(override_of(&target, "t", "message.timestamp.type"), None);
        let late = made.iter().map(|topic| (topic.spec.name.clone(), topic.at_end.clone()));
        finish(&cluster, &late.filter(|(_, configs)| !configs.is_empty()).collect()).await.expect("finished");
        assert_eq!(override_of(&target, "t", "message.timestamp.type").as_deref(), Some("LogAppendTime"));
        assert_eq!(override_of(&target, "t", "retention.ms").as_deref(), Some("5000"));
    });
}

#[test]
fn nothing_is_made_where_one_topic_is_refused() {
    let target = start(Version::V4_1, 1);
    let mut too_many = wanted("b", &[("retention.ms", "5000")]);
    too_many.spec.replication_factor = 2;
    let error = run(async {
        let (cluster, _) = connect(Side::Target, &target).await;
        create(&cluster, &[wanted("a", &[]), too_many]).await.expect_err("a refusal")
    });
    assert_eq!(target.with_core(|core| core.topics.len()), 0);
    let TopicsError::Refused { first, missing, commands, .. } = &error else { unreachable!("{error}") };
    assert_eq!(first.code(), Some(ErrorCode::INVALID_REPLICATION_FACTOR));
    assert_eq!(missing.iter().map(|topic| topic.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(commands[1].ends_with("--topic b --partitions 3 --replication-factor 2 --config retention.ms=5000"));
    assert!(error.to_string().ends_with("; no topic was created, nothing was written"), "{error}");
}

#[test]
fn a_target_that_lets_nobody_create_topics_names_the_commands() {
    let target = start(Version::V4_1, 1);
    target.with_core(|core| core.access.deny(Operation::CreateTopic, "a"));
    let error = run(async {
        let (cluster, _) = connect(Side::Target, &target).await;
        create(&cluster, &[wanted("a", &[])]).await.expect_err("a refusal")
    });
    assert!(error.advice().expect("advice").contains("--create --topic a --partitions 3"), "{error:?}");
}

#[test]
fn a_target_of_an_older_protocol_takes_no_zstd_and_single_batches_show_who_has_some() {
    let (source, target) = (start(Version::V4_1, 1), start(Version::V2_8, 1));
    for (topic, codecs) in [
        ("first", [Codec::Zstd, Codec::Lz4]),
        ("last", [Codec::None, Codec::Zstd]),
        ("neither", [Codec::Gzip, Codec::Snappy]),
        ("read", [Codec::Zstd, Codec::Lz4]),
    ] {
        make(&source, topic, 1, &[]);
        for (codec, base) in codecs.into_iter().zip([0, 10]) {
            let batch = RecordBatchBuilder::of(10, now_ms()).codec(codec).base_offset(base).build();
            assert!(source.with_core(|core| core.append(topic, 0, batch)), "{topic}");
        }
        commit(&source, "g", topic, 0, if topic == "read" { 10 } else { 4 });
    }
    let fetched: Arc<Mutex<usize>> = Arc::default();
    let counted = Arc::clone(&fetched);
    source.with_core(|core| {
        core.faults.hook(move |call, _| {
            *counted.lock().expect("a count") += usize::from(call.api == ApiKey::Fetch);
            None
        });
    });
    let refused = || -> Vec<String> {
        let (_, plan) = planned(&source, &target);
        let unsupported = plan.warnings().iter().filter(|warning| warning.code.as_str() == "codec_unsupported");
        unsupported.filter_map(|warning| Some(warning.topic.as_ref()?.to_string())).collect()
    };
    assert_eq!(refused(), [""; 0]);
    assert_eq!(*fetched.lock().expect("a count"), 0, "a target that takes all codecs costs no look");
    target.with_core(|core| core.set_broker_config("inter.broker.protocol.version", "2.0-IV1"));
    assert_eq!(refused(), ["first", "last"]);
    assert_eq!(*fetched.lock().expect("a count"), 8, "the first and the last batch of each lane");
}

#[test]
fn a_source_that_may_not_be_read_can_still_be_planned() {
    let (source, target) = (start(Version::V4_1, 1), start(Version::V4_1, 1));
    make(&source, "t", 1, &[]);
    fill(&source, "t", 0, 10, now_ms());
    let open = RecordBatchBuilder::of(3, now_ms()).producer(4_000, 2, 0).transactional().base_offset(10).build();
    assert!(source.with_core(|core| core.append("t", 0, open)));
    commit(&source, "g", "t", 0, 4);
    let said = || -> String {
        let (_, plan) = planned(&source, &target);
        assert_eq!(plan.partitions()[0].span, Span::new(4, 10));
        let open = plan.warnings().iter().find(|warning| warning.code.as_str() == "open_transaction");
        open.expect("a warning").message.clone()
    };
    let named =
        "3 offsets behind 10 are held back by an open transaction of producer id 4000, epoch 2, from offset 10 on";
    assert!(said().starts_with(named), "{}", said());
    source.with_core(|core| core.access.deny(Operation::ReadTopic, "t"));
    assert_eq!(said(), "3 offsets behind 10 are held back by an open transaction");
}

#[test]
fn what_may_not_be_read_is_said_and_not_guessed() {
    let (source, target) = (start(Version::V4_1, 1), start(Version::V4_1, 1));
    make(&source, "t", 1, &[]);
    fill(&source, "t", 0, 10, now_ms());
    commit(&source, "g", "t", 0, 4);
    source.with_core(|core| core.access.deny(Operation::DescribeConfigs, "t"));
    target.with_core(|core| core.access.deny(Operation::DescribeConfigs, "kafka-cluster"));
    let (seen, plan) = planned(&source, &target);
    assert_eq!(seen.target.broker_configs, None);
    // How long offsets live has a default that is told as such.
    assert_eq!(codes(&plan), ["configs_hidden", "configs_hidden", "offsets_expire"]);
    let life = plan.warnings().iter().find(|warning| warning.code.as_str() == "offsets_expire");
    assert!(life.is_some_and(|life| life.message.ends_with("after 7 days, by default")), "{life:?}");
    assert_eq!(plan.totals().records, 6);
}

#[test]
fn one_cluster_by_two_names_is_noticed() {
    let source = start(Version::V4_1, 1);
    let (_, plan) = planned(&source, &source);
    assert_eq!(codes(&plan), ["same_cluster"]);
}

#[test]
fn a_target_whose_brokers_do_not_create_topics_can_be_planned_for() {
    let (source, target) = (start(Version::V4_1, 1), start(Version::V4_1, 1));
    for cluster in [&source, &target] {
        make(cluster, "orders", 1, &[]);
    }
    fill(&source, "orders", 0, 5, now_ms());
    commit(&source, "billing", "orders", 0, 0);
    // In the list of versions another API stands in the place of CreateTopics.
    let create_topics = ApiKey::CreateTopics as i16;
    let hidden = Action::reply(move |answer| {
        let listed = [&create_topics.to_be_bytes()[..], &[0, 2, 0, 7]].concat();
        let at = answer.windows(listed.len()).position(|window| window == listed).expect("CreateTopics is listed");
        let mut changed = answer.to_vec();
        changed[at..at + 2].copy_from_slice(&9_999_i16.to_be_bytes());
        changed.into()
    });
    target.with_core(|core| core.faults.add(Fault::api(ApiKey::ApiVersions).times(u32::MAX), hidden));
    let (seen, plan) = planned(&source, &target);
    assert_eq!(seen.target.create_topics_version, 0);
    assert_eq!(plan.totals().records, 5);
}
