//! Topics that somebody else makes between a run's plan and its creating them.

use std::time::Duration;

use kferry::state::Store;
use protocol_tests::lab::kferry::Outcome;
use protocol_tests::lab::park::Side;
use protocol_tests::lab::{Lab, Scenario, Site, Topic};
use protocol_tests::{on_a_pair, on_an_own_site};
use tokio::time::sleep;

use super::faults::beside;
use super::lock::{keeping, open, run};
use super::plan::records;

pub(super) fn scenarios() -> Vec<Scenario> {
    // Beside other migrations nobody knows who made a topic.
    let alone = on_an_own_site!["creation", 1: a_topic_that_was_made_meanwhile_is_filled_all_the_same];
    let shared = on_a_pair!["creation":
        a_topic_that_was_made_meanwhile_with_another_partition_count_is_refused,
        a_topic_that_was_made_meanwhile_while_another_migration_runs_is_refused,
    ];
    alone.into_iter().chain(shared).collect()
}

/// An unread topic that the target lacks.
fn missing(lab: &Lab<'_>) -> Topic {
    let topic = lab.source.new_topic("meanwhile", 1, &[("cleanup.policy", "compact")]);
    lab.source.write(&topic, 0, &records(7));
    lab.source.commit(&topic.name, &topic, 0, 2);
    topic
}

/// A run of a topic; what happens meanwhile happens behind its plan, while another process has the migration's lock.
#[track_caller]
fn run_while(lab: &Lab<'_>, topic: &Topic, meanwhile: impl AsyncFnOnce()) -> Outcome {
    let dir = tempfile::tempdir().expect("a directory");
    let report = dir.path().join("report.json");
    let call = lab.kferry("run").args(["--yes", "--no-log", "--name", &topic.name, "--topic", &topic.name]);
    let call = call.args(["--report", &report.to_string_lossy()]);
    let running = run(async {
        let store: Store = open(lab.target, &topic.name, 1).await.expect("the lock");
        let running = call.start();
        // It is written when the plan is made, and before the lock is taken.
        let planned = async {
            while !report.exists() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        keeping(&store, planned).await;
        meanwhile().await;
        store.close().await;
        running
    });
    running.wait()
}

fn a_topic_that_was_made_meanwhile_is_filled_all_the_same(site: &Site) {
    beside(Side::Target, site, |lab| {
        let topic = missing(lab);
        run_while(lab, &topic, async || lab.target.create_topic(&topic, 1, &[])).expect_code(0);
        assert_eq!(lab.target.bounds(&topic, 0), (0, 5));
        assert_eq!(lab.target.committed(&topic.name)[&(topic.name.clone(), 0)].offset, 0);
        let policy = lab.target.configs(&topic).remove("cleanup.policy");
        assert_ne!(policy.as_deref(), Some("compact"), "it is not kferry's to set up");
        // What lies in it since is as much a reason as if it had been there before.
        let topic = missing(lab);
        let filled = async || {
            lab.target.create_topic(&topic, 1, &[]);
            lab.target.write(&topic, 0, &records(3));
        };
        let refused = run_while(lab, &topic, filled).expect_code(1);
        let last = refused.stderr.lines().last().unwrap_or_default();
        assert!(last.contains("not_empty: ") && last.contains("the target holds 3 records already"), "{refused}");
        assert_eq!(lab.target.bounds(&topic, 0), (0, 3));
    });
}

fn a_topic_that_was_made_meanwhile_with_another_partition_count_is_refused(lab: &Lab<'_>) {
    let topic = missing(lab);
    let refused = run_while(lab, &topic, async || lab.target.create_topic(&topic, 2, &[])).expect_code(1);
    let last = refused.stderr.lines().last().unwrap_or_default();
    assert!(last.contains("partition_count: ") && last.contains("1 partitions on the source, 2 on"), "{refused}");
    assert_eq!(lab.target.bounds(&topic, 0), (0, 0));
}

/// No two may move the same partition, and the one that makes the topic may not have said yet which it moves.
fn a_topic_that_was_made_meanwhile_while_another_migration_runs_is_refused(lab: &Lab<'_>) {
    let topic = missing(lab);
    let mut other = None;
    let made = async || {
        other = Some(open(lab.target, &Topic::unique("rival").name, 2).await.expect("a lock"));
        lab.target.create_topic(&topic, 1, &[]);
    };
    let refused = run_while(lab, &topic, made).expect_code(1);
    let last = refused.stderr.lines().last().unwrap_or_default();
    assert!(last.contains("not_empty: ") && last.contains("may be moving records into it"), "{refused}");
    assert_eq!(lab.target.bounds(&topic, 0), (0, 0));
    // By then the other one would have told what it moves.
    let again = lab.kferry("run").args(["--yes", "--no-log", "--name", &topic.name, "--topic", &topic.name]);
    again.run().expect_code(0);
    assert_eq!(lab.target.bounds(&topic, 0), (0, 5));
    run(other.expect("the other one").close());
}
