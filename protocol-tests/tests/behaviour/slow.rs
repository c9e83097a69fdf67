//! A migration that takes its time, so that it can be disturbed, and the independent look at what came of it.

use std::ops::Range;
use std::time::Duration;

use protocol_tests::lab::hand::Writing;
use protocol_tests::lab::kferry::{Call, Outcome, Running};
use protocol_tests::lab::park::Side;
use protocol_tests::lab::record::Fill;
use protocol_tests::lab::{Lab, Topic, wait};
use serde_json::Value;

use super::plan::partition;

pub(super) const PARTITIONS: Range<i32> = 0..3;

/// How long anything may take to happen; the machine may be busy.
const LIMIT: Duration = Duration::from_secs(120);

/// What is migrated.
pub(super) struct Shape {
    /// In each partition, of about 1 KB each.
    pub(super) records: u64,
    /// Of the first record, ms since 1970.
    pub(super) timestamp: i64,
    /// The side with three copies of each partition, of which two must be in sync.
    pub(super) replicated: Option<Side>,
}

pub(super) struct Slow<'a> {
    lab: Lab<'a>,
    pub(super) topic: Topic,
    pub(super) group: String,
    pub(super) name: String,
    /// In each partition.
    pub(super) records: i64,
}

impl<'a> Slow<'a> {
    pub(super) fn new(lab: &Lab<'a>, stem: &str, shape: &Shape) -> Self {
        let topic = Topic::unique(stem);
        for side in [Side::Source, Side::Target] {
            let site = if side == Side::Source { lab.source } else { lab.target };
            if shape.replicated == Some(side) {
                site.create_replicated_topic(&topic, PARTITIONS.end, &[RETAINED, ("min.insync.replicas", "2")]);
            } else {
                site.create_topic(&topic, PARTITIONS.end, &[RETAINED]);
            }
        }
        let group = Topic::unique("group").name;
        for partition in PARTITIONS {
            let &Shape { records: count, timestamp, .. } = shape;
            let fill = Fill { count, size: 1_000, seed: partition as u64, timestamp };
            let batch_size = [2_000, 10_000, 60_000][partition as usize];
            lab.source.fill(&topic, partition, &fill, Writing { batch_size, ..Writing::default() });
            lab.source.commit(&group, &topic, partition, start(partition));
        }
        Self { lab: *lab, name: Topic::unique("slow").name, topic, group, records: shape.records as i64 }
    }

    pub(super) fn call(&self) -> Call {
        let call = self.lab.kferry("run").args(["--yes", "--name", &self.name, "--topic", &self.topic.name]);
        call.args(["--output", "json", "--allow-expiry"])
    }

    /// A run that takes about this long if nothing disturbs it.
    pub(super) fn taking(&self, seconds: i64) -> Call {
        let rate = self.records * i64::from(PARTITIONS.end) / seconds;
        self.call().args(["-v", "--rate", &format!("{rate}kB/s")]).within(2 * LIMIT)
    }

    /// The group that the migration's state is in.
    pub(super) fn state_group(&self) -> String {
        format!("kferry-{}", self.name)
    }

    /// Waits until some of it has arrived.
    pub(super) fn has_begun(&self) {
        let arrived = || PARTITIONS.into_iter().any(|partition| self.arrived(partition) > Some(0));
        wait::until("something arrives", LIMIT, || arrived().then_some(()));
    }

    /// Waits until the run knows of something that has arrived: its second request waits for its first one's answer.
    pub(super) fn is_under_way(&self) {
        self.has_begun();
        self.goes_on();
    }

    /// Waits until more has arrived in every partition that is not there as a whole.
    pub(super) fn goes_on(&self) {
        for partition in PARTITIONS {
            let whole = self.records - start(partition);
            let before = wait::until("the target tells where it ends", LIMIT, || self.arrived(partition));
            wait::until("more arrives", LIMIT, || {
                self.arrived(partition).filter(|arrived| *arrived > before || *arrived >= whole)
            });
        }
    }

    fn arrived(&self, partition: i32) -> Option<i64> {
        self.lab.target.client().end(&self.topic.name, partition).ok()
    }

    /// Ends a run that has borne what it was to bear, and moves the rest as fast as it goes.
    #[track_caller]
    pub(super) fn ends_soon(&self, running: Running) {
        running.signal("TERM");
        running.wait().expect_code(143);
        self.is_moved(&self.call().run().expect_code(0).json());
    }

    /// Every record that was to move is there once and in order, and the group goes on with its first.
    #[track_caller]
    pub(super) fn is_moved(&self, result: &Value) {
        for number in PARTITIONS {
            let count = self.records - start(number);
            assert_eq!(self.lab.target.bounds(&self.topic, number), (0, count), "{}/{number}", self.topic.name);
            self.begins_as_on_the_source(number, count);
            let entry = partition(result, &self.topic, number);
            assert_eq!((&entry["records_written"], &entry["verified"]), (&Value::from(count), &"offsets".into()));
        }
        let committed = self.lab.target.committed(&self.group);
        for number in PARTITIONS {
            assert_eq!(committed[&(self.topic.name.clone(), number)].offset, 0, "{committed:?}");
        }
    }

    /// The first `count` records on the target are those that were to move first.
    #[track_caller]
    pub(super) fn begins_as_on_the_source(&self, number: i32, count: i64) {
        let [copy, original] = [(self.lab.target, 0), (self.lab.source, start(number))]
            .map(|(site, from)| site.digest(&self.topic, number, from, from + count));
        assert_eq!(copy, original, "{}/{number}", self.topic.name);
    }

    /// Whether the group has a place on the target.
    pub(super) fn group_is_committed(&self) -> bool {
        !self.lab.target.committed(&self.group).is_empty()
    }
}

/// A run that was ended early says so on stdout and in its report, and how far each partition is.
#[track_caller]
pub(super) fn is_told_alike(outcome: &Outcome, word: &str) {
    let text = std::fs::read(outcome.dir().join("report.json")).expect("a report");
    let [said, kept] = [outcome.json(), serde_json::from_slice(&text).expect("a report")];
    assert_eq!(said["outcome"], word, "{said:#}");
    for field in ["outcome", "error", "partitions"] {
        assert_eq!(said[field], kept[field], "{field}");
    }
    let written = PARTITIONS.filter_map(|number| said["partitions"][number as usize]["records_written"].as_i64());
    assert!(written.sum::<i64>() > 0, "{said:#}");
}

/// Records are older than the brokers' own retention in some scenarios.
const RETAINED: (&str, &str) = ("retention.ms", "-1");

/// Where the group has committed, which is where the move begins.
pub(super) fn start(partition: i32) -> i64 {
    i64::from(partition) * 7
}
