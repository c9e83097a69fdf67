//! The programs that kferry is compared with copy what they should: figures of a copier that loses records say nothing.
#![allow(clippy::expect_used, reason = "all of this file is tests and their helpers")]

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use protocol_tests::bench::peers::{self, Job, Raw};
use protocol_tests::broker;
use protocol_tests::lab::hand::Writing;
use protocol_tests::lab::park::{Broker, JavaSlot};
use protocol_tests::lab::{Codec, Record, Site, Topic, Version, wait};

const EMBEDDED: Broker = Broker::Embedded(broker::Version::V4_1);
const REAL: Broker = Broker::Real(Version::of(4, 3, 0));

/// A JVM on a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(120);

const PARTITIONS: i32 = 3;
const RECORDS: u16 = 700;

struct Pair {
    source: Site,
    target: Site,
}

impl Pair {
    fn start(broker: Broker) -> Self {
        let java = Arc::new(JavaSlot::default());
        let [source, target] = [(); 2].map(|()| broker.start(1, &[], Arc::clone(&java)).expect("a cluster"));
        Self { source, target }
    }

    /// A topic on both sides, filled on the source.
    fn topic(&self, stem: &str, how: Writing) -> Topic {
        let topic = self.source.new_topic(stem, PARTITIONS, &[]);
        self.target.create_topic(&topic, PARTITIONS, &[]);
        for partition in 0..PARTITIONS {
            self.source.write_with(&topic, partition, &records(stem), how);
        }
        topic
    }

    fn holds_all(&self, topic: &Topic) -> bool {
        (0..PARTITIONS).all(|partition| self.target.bounds(topic, partition).1 == i64::from(RECORDS))
    }

    fn assert_copied(&self, topic: &Topic) {
        for partition in 0..PARTITIONS {
            let [old, new] =
                [&self.source, &self.target].map(|site| site.digest(topic, partition, 0, i64::from(RECORDS)));
            assert_eq!(old.count, u64::from(RECORDS), "{}/{partition} on the source", topic.name);
            assert_eq!(new, old, "{}/{partition}", topic.name);
            assert!(self.holds_all(topic), "{}: more than was asked for", topic.name);
        }
    }
}

/// Records of everything that a copier can lose: nulls, empty values, duplicate headers, times that are long
/// ago and go back.
fn records(stem: &str) -> Vec<Record> {
    let began = wait::now_ms() - 3_600_000;
    let record = |index: u16| {
        let time = began + i64::from(index) - 50 * i64::from(index % 3);
        let record = Record::new(time, format!("{stem}-{index}"), "value ".repeat(usize::from(index % 40)))
            .with_header("twice", Some(&index.to_be_bytes()))
            .with_header("twice", None);
        match index % 5 {
            0 => Record { key: None, ..record },
            1 => Record { value: None, headers: Vec::new(), ..record },
            _ => record,
        }
    };
    (0..RECORDS).map(record).collect()
}

fn run(command: Result<Command, String>) {
    let output = command.expect("a built copier").output().expect("a copier that starts");
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
}

/// Each codec and two topics at once, by franz-go.
fn franz_go_copies(pair: &Pair) {
    for codec in Codec::ALL {
        let topics = ["one", "two"].map(|stem| pair.topic(stem, Writing { codec, ..Writing::default() }));
        let [source, target] = [&pair.source, &pair.target].map(Site::bootstrap);
        let names = topics.each_ref().map(|topic| topic.name.as_str());
        run(peers::franz_go(Job { source: &source, target: &target, topics: &names, codec }));
        topics.iter().for_each(|topic| pair.assert_copied(topic));
    }
}

/// Each codec in batches of the usual size, and uncompressed ones of one record, by the raw copier.
fn raw_go_copies(pair: &Pair, how: Raw) {
    let mut topics: Vec<Topic> =
        Codec::ALL.map(|codec| pair.topic("raw", Writing { codec, ..Writing::default() })).into();
    topics.push(pair.topic("tiny", Writing { batch_size: 1, ..Writing::default() }));
    let [source, target] = [&pair.source, &pair.target].map(Site::bootstrap);
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    run(peers::raw_go(Job { source: &source, target: &target, topics: &names, codec: Codec::None }, how));
    topics.iter().for_each(|topic| pair.assert_copied(topic));
    let tiny = pair.source.stored(&topics[5], 0, 0).len();
    let copied = pair.target.stored(&topics[5], 0, 0).len();
    assert_eq!(copied < tiny, how == Raw::Joining, "{tiny} bytes became {copied}");
}

/// Kills what it holds when the test is over.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn mirror_maker_copies(pair: &Pair, folder: &Path) {
    let topics = ["one", "two"].map(|stem| pair.topic(stem, Writing { codec: Codec::Lz4, ..Writing::default() }));
    let [source, target] = [&pair.source, &pair.target].map(Site::bootstrap);
    let names = topics.each_ref().map(|topic| topic.name.as_str());
    let job = Job { source: &source, target: &target, topics: &names, codec: Codec::Lz4 };
    let mut command = peers::mirror_maker(job, folder).expect("MirrorMaker's jars");
    let log = folder.join("mirror-maker.log");
    let said = File::create(&log).expect("a log");
    command.stdin(Stdio::null()).stdout(said.try_clone().expect("the same log")).stderr(said);
    let mut running = Running(command.spawn().expect("a Java"));
    let copied = wait::attempt(PATIENCE, || match running.0.try_wait() {
        Ok(None) if topics.iter().all(|topic| pair.holds_all(topic)) => Ok(true),
        Ok(None) => Err("MirrorMaker is not done".to_owned()),
        ended => Ok(ended.is_err()),
    });
    assert_eq!(copied, Ok(true), "{}", std::fs::read_to_string(&log).unwrap_or_default());
    topics.iter().for_each(|topic| pair.assert_copied(topic));
}

#[test]
#[ignore = "needs Go, and its module proxy the first time"]
fn the_franz_go_copier_copies_every_record_between_embedded_brokers() {
    franz_go_copies(&Pair::start(EMBEDDED));
}

#[test]
#[ignore = "needs Go"]
fn the_raw_copier_copies_every_record_between_embedded_brokers() {
    for how in Raw::ALL {
        raw_go_copies(&Pair::start(EMBEDDED), how);
    }
}

#[test]
#[ignore = "needs Go, Java and Maven"]
fn every_peer_copies_every_record_between_real_brokers() {
    let folder = tempfile::tempdir().expect("a folder");
    let pair = Pair::start(REAL);
    franz_go_copies(&pair);
    for how in Raw::ALL {
        raw_go_copies(&pair, how);
    }
    mirror_maker_copies(&pair, folder.path());
}

#[test]
#[ignore = "needs Go, and its module proxy the first time"]
fn a_copier_that_can_not_copy_says_so() {
    let pair = Pair::start(EMBEDDED);
    let topic = pair.source.new_topic("absent", 1, &[]);
    let [source, target] = [&pair.source, &pair.target].map(Site::bootstrap);
    let job = Job { source: &source, target: &target, topics: &[&topic.name], codec: Codec::None };
    let output = peers::raw_go(job, Raw::Plain).expect("a built copier").output().expect("a copier that starts");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with(&format!("raw-go: metadata of {target}: {}", topic.name)), "{said}");
}
