//! Runs that are disturbed and bear it: brokers that die, stand still or forget who writes, the process standing still
//! itself. Nobody helps; in the end an independent reader finds every record once, in order, and the group in its place.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use protocol_tests::broker::Version;
use protocol_tests::lab::batch::Batch;
use protocol_tests::lab::kferry::Kferry;
use protocol_tests::lab::park::{Broker, Side};
use protocol_tests::lab::{Lab, Scenario, Site, wait};
use protocol_tests::{on_a_site, on_an_own_site};
use serde_json::Value;

use super::plan::{partition, recent};
use super::slow::{PARTITIONS, Shape, Slow, is_told_alike, start};

/// A dead node is noticed sooner than by default.
const NOTICED: &[(&str, &str)] = &[
    ("zookeeper.session.timeout.ms", "6000"),
    ("broker.session.timeout.ms", "4000"),
    ("broker.heartbeat.interval.ms", "1000"),
];

/// A node that stands still for a while is not taken for dead.
const PATIENT: &[(&str, &str)] = &[("zookeeper.session.timeout.ms", "20000"), ("broker.session.timeout.ms", "20000")];

/// Producers are looked through for those to forget all the time, where the release has the setting.
const FORGETFUL: &[(&str, &str)] =
    &[("producer.id.expiration.check.interval.ms", "500"), NOTICED[0], NOTICED[1], NOTICED[2]];

pub(super) fn scenarios() -> Vec<Scenario> {
    let three = on_an_own_site!["faults", 3:
        a_run_goes_on_while_the_nodes_of_its_target_die_one_after_the_other,
        a_run_goes_on_while_the_leaders_of_its_source_die,
    ];
    let lagging = on_an_own_site!["faults", 3: a_run_waits_for_followers_of_its_target_that_stand_still];
    let one = on_an_own_site!["faults", 1:
        a_run_waits_for_its_target_s_only_broker_that_is_killed,
        a_run_that_is_told_to_stop_ends_in_time_although_its_target_stands_still,
        a_run_that_is_told_twice_to_stop_ends_at_once_and_says_what_is_known,
    ];
    let still = on_an_own_site!["faults", 1: a_run_waits_for_its_target_s_only_broker_that_stands_still];
    let forgetful = on_an_own_site!["faults", 1: a_target_that_forgets_who_writes_has_old_records_once];
    let shared = on_a_site!["faults":
        a_process_that_stood_still_goes_on_if_nobody_took_over,
        a_process_that_stood_still_while_another_took_over_writes_nothing_more,
        a_foreign_producer_stops_its_partition_and_no_other,
    ];
    let mortal = three.into_iter().chain(one).map(|scenario| scenario.with_properties(NOTICED));
    let lagging = lagging.into_iter().map(|scenario| scenario.with_properties(PATIENT));
    let forgetful = forgetful.into_iter().map(|scenario| scenario.with_properties(FORGETFUL));
    let still = still.into_iter().map(|scenario| scenario.real_only("process of its own to stop"));
    mortal.chain(lagging).chain(still).chain(forgetful).chain(shared).collect()
}

/// How long a run takes that is terminated when all has happened to it, in s.
const UNTIL_TERMINATED: i64 = 240;

/// Longer than the session of the migration's lock.
const BEYOND_THE_SESSION: Duration = Duration::from_secs(14);

/// The cluster as one side of a migration whose other side is an embedded broker.
pub(super) fn beside(side: Side, site: &Site, body: impl FnOnce(&Lab<'_>)) {
    let embedded = Broker::Embedded(Version::V4_1).start(1, &[], Arc::default()).expect("an embedded cluster");
    let kferry = Kferry::new(env!("CARGO_BIN_EXE_kferry-under-test"));
    let [source, target] = if side == Side::Source { [site, &embedded] } else { [&embedded, site] };
    body(&Lab { source, target, kferry: &kferry });
}

fn shape(records: u64) -> Shape {
    Shape { records, timestamp: recent(), replicated: None }
}

/// Waits until every partition of the topic has three replicas in sync again.
fn is_in_sync(site: &Site, slow: &Slow<'_>) {
    wait::until("all replicas are in sync", Duration::from_secs(60), || {
        let metadata = site.client().metadata(Some(&slow.topic.name)).ok()?;
        metadata.topics[0].partitions.iter().all(|partition| partition.isr_nodes.len() == 3).then_some(())
    });
}

fn a_run_goes_on_while_the_nodes_of_its_target_die_one_after_the_other(site: &Site) {
    beside(Side::Target, site, |lab| {
        let slow = Slow::new(lab, "mortal", &Shape { replicated: Some(Side::Target), ..shape(6_000) });
        let mut running = slow.taking(UNTIL_TERMINATED).start();
        slow.has_begun();
        let coordinator = site.client().coordinator_id(&slow.state_group()).expect("a coordinator");
        for node in [coordinator, coordinator % 3 + 1, (coordinator + 1) % 3 + 1] {
            assert!(running.is_alive(), "the run lasts until all nodes have died");
            site.kill(node);
            slow.goes_on();
            site.revive(node);
            is_in_sync(site, &slow);
        }
        assert!(running.is_alive(), "the run lasts until all nodes have died");
        slow.ends_soon(running);
    });
}

/// The followers stay members of the cluster: what is appended meanwhile lies behind the high watermark.
fn a_run_waits_for_followers_of_its_target_that_stand_still(site: &Site) {
    beside(Side::Target, site, |lab| {
        let slow = Slow::new(lab, "lagging", &Shape { replicated: Some(Side::Target), ..shape(900) });
        let running = slow.taking(8).start();
        slow.has_begun();
        let leader = site.client().leader_id(&slow.topic.name, 0).expect("a leader");
        let followers = [leader % 3 + 1, (leader + 1) % 3 + 1];
        followers.iter().for_each(|node| site.stop_following(*node));
        // Produce waits ten seconds for followers and is then answered as timed out, although the batch is appended.
        thread::sleep(Duration::from_secs(12));
        followers.iter().for_each(|node| site.follow(*node));
        let outcome = running.wait().expect_code(0);
        slow.is_moved(&outcome.json());
    });
}

fn a_run_goes_on_while_the_leaders_of_its_source_die(site: &Site) {
    beside(Side::Source, site, |lab| {
        let slow = Slow::new(lab, "drained", &Shape { replicated: Some(Side::Source), ..shape(6_000) });
        let mut running = slow.taking(UNTIL_TERMINATED).start();
        slow.has_begun();
        for number in PARTITIONS {
            assert!(running.is_alive(), "the run lasts until all leaders have died");
            let leader = site.client().leader_id(&slow.topic.name, number).expect("a leader");
            site.kill(leader);
            slow.goes_on();
            site.revive(leader);
            is_in_sync(site, &slow);
        }
        assert!(running.is_alive(), "the run lasts until all leaders have died");
        slow.ends_soon(running);
    });
}

fn a_run_waits_for_its_target_s_only_broker_that_is_killed(site: &Site) {
    beside(Side::Target, site, |lab| {
        let slow = Slow::new(lab, "killed", &shape(900));
        let mut running = slow.taking(8).start();
        slow.has_begun();
        for _ in 0..2 {
            assert!(running.is_alive(), "the run lasts until the broker is killed");
            site.kill(1);
            site.revive(1);
            slow.goes_on();
        }
        let outcome = running.wait().expect_code(0);
        slow.is_moved(&outcome.json());
    });
}

fn a_run_waits_for_its_target_s_only_broker_that_stands_still(site: &Site) {
    beside(Side::Target, site, |lab| {
        let slow = Slow::new(lab, "still", &shape(900));
        let mut running = slow.taking(5).start();
        slow.has_begun();
        assert!(running.is_alive(), "the run lasts until the broker stands still");
        site.freeze(1);
        thread::sleep(Duration::from_secs(12));
        site.thaw(1);
        let outcome = running.wait().expect_code(0);
        slow.is_moved(&outcome.json());
    });
}

fn a_run_that_is_told_to_stop_ends_in_time_although_its_target_stands_still(site: &Site) {
    beside(Side::Target, site, |lab| {
        let slow = Slow::new(lab, "frozen", &shape(900));
        let running = slow.taking(5).start();
        slow.has_begun();
        site.freeze(1);
        running.signal("TERM");
        let limit = wait::Deadline::after(Duration::from_secs(2));
        let outcome = running.wait().expect_code(143);
        assert!(!limit.passed(), "{outcome}");
        assert_eq!(outcome.json()["outcome"], "stopped");
        site.thaw(1);
        slow.is_moved(&slow.call().run().expect_code(0).json());
    });
}

fn a_run_that_is_told_twice_to_stop_ends_at_once_and_says_what_is_known(site: &Site) {
    beside(Side::Target, site, |lab| {
        let slow = Slow::new(lab, "abandoned", &shape(900));
        let running = slow.taking(20).args(["--report", "report.json"]).start();
        slow.is_under_way();
        site.freeze(1);
        running.signal("INT");
        running.signal("TERM");
        let outcome = running.wait().expect_code(143);
        let last = outcome.stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("error: stopped at once by SIGTERM: "), "{outcome}");
        is_told_alike(&outcome, "stopped");
        site.thaw(1);
        slow.is_moved(&slow.call().run().expect_code(0).json());
    });
}

fn a_target_that_forgets_who_writes_has_old_records_once(site: &Site) {
    beside(Side::Target, site, |lab| {
        // Older than any release remembers.
        let old = Shape { timestamp: recent() - 10 * 24 * 3_600_000, ..shape(900) };
        let slow = Slow::new(lab, "forgotten", &old);
        // Old records wait that long after every request that was lost.
        let run = |seconds| slow.taking(seconds).file("kferry.toml", "[run]\nlate_bound = \"4s\"");
        let running = run(12).start();
        slow.has_begun();
        site.kill(1);
        site.revive(1);
        slow.goes_on();
        site.restart();
        slow.goes_on();
        running.signal("KILL");
        running.wait();
        site.restart();
        let running = run(6).args(["--take-over"]).start();
        slow.goes_on();
        site.kill(1);
        site.revive(1);
        let outcome = running.wait().expect_code(0);
        slow.is_moved(&outcome.json());
    });
}

fn a_process_that_stood_still_goes_on_if_nobody_took_over(site: &Site) {
    beside(Side::Target, site, |lab| {
        let slow = Slow::new(lab, "asleep", &shape(900));
        let running = slow.taking(4).start();
        slow.has_begun();
        running.signal("STOP");
        thread::sleep(BEYOND_THE_SESSION);
        running.signal("CONT");
        let outcome = running.wait().expect_code(0);
        slow.is_moved(&outcome.json());
    });
}

fn a_process_that_stood_still_while_another_took_over_writes_nothing_more(site: &Site) {
    beside(Side::Target, site, |lab| {
        let slow = Slow::new(lab, "replaced", &shape(900));
        let first = slow.taking(6).start();
        slow.has_begun();
        first.signal("STOP");
        // Without --take-over: it waits until the session of the first one has ended.
        let second = slow.taking(6).start();
        slow.goes_on();
        first.signal("CONT");
        let replaced = first.wait().expect_code(1);
        assert_eq!(replaced.json()["outcome"], "failed");
        let last = replaced.stderr.lines().last().unwrap_or_default();
        assert!(last.contains("nothing more is written from here"), "{replaced}");
        let outcome = second.wait().expect_code(0);
        slow.is_moved(&outcome.json());
    });
}

fn a_foreign_producer_stops_its_partition_and_no_other(site: &Site) {
    beside(Side::Target, site, |lab| {
        let slow = Slow::new(lab, "shared", &shape(900));
        let running = slow.taking(5).start();
        slow.has_begun();
        let foreign = Batch::small(3, wait::now_ms());
        let at = site.append(&slow.topic, 1, foreign.encode()).expect("appended");
        let outcome = running.wait().expect_code(1);
        let last = outcome.stderr.lines().last().unwrap_or_default();
        assert!(last.contains(&format!("{}/1: ", slow.topic.name)), "{outcome}");
        assert!(last.contains("another producer writes to this partition"), "{outcome}");
        let result = outcome.json();
        assert_eq!(result["outcome"], "failed");
        for number in [0, 2] {
            let count = slow.records - start(number);
            assert_eq!(site.bounds(&slow.topic, number), (0, count));
            slow.begins_as_on_the_source(number, count);
            assert_eq!(partition(&result, &slow.topic, number)["records_written"], Value::from(count));
        }
        slow.begins_as_on_the_source(1, at);
        let theirs = || {
            let records = site.read_range(&slow.topic, 1, at, at + 3).into_iter();
            records.map(|record| record.value).collect::<Vec<_>>()
        };
        let values: Vec<_> = foreign.records.into_iter().map(|record| record.value).collect();
        assert_eq!(theirs(), values);
        assert!(!slow.group_is_committed(), "the group is not whole");
        // It can't be gone on with either.
        let again = slow.call().run().expect_code(1);
        let last = again.stderr.lines().last().unwrap_or_default();
        assert!(last.contains("another producer wrote to this partition"), "{again}");
        let look = format!("look whose records the target topic holds, from offset {at} on above all");
        assert!(last.contains(&look) && last.contains("delete the group kferry-NAME"), "{again}");
        if site.version() >= DELETES_GROUPS {
            is_moved_once_more(site, &slow);
        }
        assert_eq!(theirs(), values, "whatever is done as advised, they stay");
    });
}

/// DeleteGroups came with it.
const DELETES_GROUPS: protocol_tests::lab::Version = protocol_tests::lab::Version::of(1, 1, 0);

/// Without its state a migration begins anew behind what is there, and the group goes on in the second copy.
fn is_moved_once_more(site: &Site, slow: &Slow<'_>) {
    let ends = PARTITIONS.map(|number| site.bounds(&slow.topic, number).1).collect::<Vec<_>>();
    site.delete_group(&slow.state_group());
    slow.call().args(["--append"]).run().expect_code(0);
    let committed = site.committed(&slow.group);
    for (number, end) in PARTITIONS.zip(ends) {
        assert_eq!(site.bounds(&slow.topic, number), (0, end + slow.records - start(number)));
        assert_eq!(committed[&(slow.topic.name.clone(), number)].offset, end, "{committed:?}");
    }
}
