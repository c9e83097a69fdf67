//! Random logs of real brokers, copied and compared record by record.
//!
//!     cargo run --release -p protocol-tests --bin differential -- --minutes 10 --source 2.8.2 --target 4.3.0
//!
//! Each round makes a topic, has Kafka's own client write to it by several producers, lets the real cleaner work, runs
//! kferry, and reads both sides by Kafka's own consumer. Every round has a number that it is made up from: `--seed N
//! --rounds 1` plays it again. Needs Java 17 and Maven.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test: what goes wrong in the lab ends it"
)]

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use kferry::kafka::units::Count;
use protocol_tests::lab::hand::{At, End, Hand, Reading};
use protocol_tests::lab::kferry::Kferry;
use protocol_tests::lab::park::{Broker, JavaSlot};
use protocol_tests::lab::wait::{self, Deadline};
use protocol_tests::lab::{Codec, Digest, Lab, Record, Site, Topic, Version};
use protocol_tests::model::choices::{Choices, Seeded};
use protocol_tests::model::round::{Abilities, Round, TRANSACTIONAL, What};
use serde_json::Value;

/// Set in the processes of this program that are to be kferry.
const AS_KFERRY: &str = "DIFFERENTIAL_AS_KFERRY";

/// Bytes that a round is made up from.
const BYTES: usize = 1 << 16;

/// Record lists longer than this are compared by their digests, and read only where those differ.
const FEW: u64 = 5_000;

/// Copies random logs between real Kafka clusters and compares record by record
#[derive(Parser, Debug)]
struct Arguments {
    /// How long rounds are begun
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// How many rounds at most
    #[arg(long)]
    rounds: Option<u64>,
    /// The number of the first round; the clock's where none is given
    #[arg(long)]
    seed: Option<u64>,
    /// The release to copy from
    #[arg(long, default_value = "2.8.2")]
    source: Version,
    /// The release to copy to
    #[arg(long, default_value = "4.3.0")]
    target: Version,
    /// Some source topics keep the formats before v2 (sources before 3.0)
    #[arg(long)]
    old_formats: bool,
}

fn main() -> ExitCode {
    if env::var_os(AS_KFERRY).is_some() {
        return kferry::cli::main();
    }
    match differ(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn differ(arguments: &Arguments) -> Result<ExitCode, String> {
    let java = Arc::<JavaSlot>::default();
    let source = Broker::Real(arguments.source).start(1, &[], Arc::clone(&java))?;
    let target = Broker::Real(arguments.target).start(1, &[], java)?;
    let kferry = Kferry::new(env::current_exe().map_err(|cause| cause.to_string())?);
    let lab = Lab { source: &source, target: &target, kferry: &kferry };
    let first = arguments.seed.unwrap_or_else(|| wait::now_ms().unsigned_abs());
    let deadline = Deadline::after(Duration::from_secs(60 * arguments.minutes));
    let (mut rounds, mut records) = (0, 0);
    while !deadline.passed() && arguments.rounds.is_none_or(|most| rounds < most) {
        let seed = first + rounds;
        rounds += 1;
        match catch_unwind(AssertUnwindSafe(|| play(&lab, seed, arguments.old_formats))) {
            Ok(Ok(played)) => {
                records += played.records;
                println!("round {rounds}, seed {seed}: {}", played.line);
            }
            Ok(Err(difference)) => {
                println!("round {rounds}, seed {seed}: {difference}");
                return Ok(stopped(arguments, rounds, records, seed, 1));
            }
            // It said what went wrong when it panicked.
            Err(_) => return Ok(stopped(arguments, rounds, records, seed, 0)),
        }
    }
    println!("{rounds} rounds, {} records compared, 0 differences", count(records));
    Ok(ExitCode::SUCCESS)
}

fn stopped(arguments: &Arguments, rounds: u64, records: u64, seed: u64, differences: u32) -> ExitCode {
    println!("{rounds} rounds, {} records compared, {differences} differences", count(records));
    let (source, target) = (arguments.source, arguments.target);
    let old = if arguments.old_formats { " --old-formats" } else { "" };
    println!("play it again: --seed {seed} --rounds 1 --source {source} --target {target}{old}");
    ExitCode::FAILURE
}

fn count(records: u64) -> String {
    Count(i64::try_from(records).unwrap_or(i64::MAX)).to_string()
}

/// A round that found no difference.
struct Played {
    records: u64,
    line: String,
}

fn abilities(lab: &Lab<'_>, old_formats: bool) -> Abilities {
    let knows_zstd = |site: &Site| site.version() >= Version::of(2, 1, 0);
    let zstd = knows_zstd(lab.source) && knows_zstd(lab.target);
    let codecs = Codec::ALL.into_iter().filter(|codec| *codec != Codec::Zstd || zstd).collect();
    let old = old_formats && lab.source.version() < Version::of(3, 0, 0);
    let formats = if old { vec!["0.10.2", "0.9.0"] } else { Vec::new() };
    let now = wait::now_ms();
    // A whole hour, so that a seed gives the same round again for a while.
    Abilities { codecs, formats, now_ms: now / 3_600_000 * 3_600_000, closing_ms: now + 1_800_000 }
}

fn play(lab: &Lab<'_>, seed: u64, old_formats: bool) -> Result<Played, String> {
    let bytes = Seeded(seed).bytes(BYTES);
    let round = Round::choose(&mut Choices::new(&bytes), &abilities(lab, old_formats));
    let topic = Topic { name: format!("round-{seed}") };
    create(lab.source, &topic, &round, &round.source);
    create(lab.target, &topic, &round, &round.target);
    let open = write(lab.source, &topic, &round);
    let cleaned = if round.compacted { clean(lab.source, &topic, &round) } else { 0 };
    let group = format!("group-{seed}");
    let mut starts = Vec::new();
    for (partition, part) in (0..).zip(&round.commits) {
        let (_, end) = lab.source.bounds(&topic, partition);
        let start = part.map(|part| (end * part) >> 16);
        if let Some(start) = start {
            lab.source.commit(&group, &topic, partition, start);
        }
        starts.push(start.unwrap_or(0));
    }
    let result = run(lab, &topic)?;
    let mut records = 0;
    for (partition, start) in (0..).zip(&starts) {
        // A topic that no group has committed on is not taken.
        if round.commits.iter().any(Option::is_some) {
            let lane = lane(&result, &topic, partition);
            records += compare(lab, &topic, partition, *start, lane, round.stamps)?;
        }
    }
    for number in open {
        lab.source.java().end_transaction(&transaction(number), End::Abort);
    }
    lab.source.delete_topic(&topic);
    lab.target.delete_topic(&topic);
    Ok(Played { records, line: describe(&round, &result, records, cleaned) })
}

fn create(site: &Site, topic: &Topic, round: &Round, configs: &[(&'static str, String)]) {
    let configs: Vec<(&str, &str)> = configs.iter().map(|(key, value)| (*key, value.as_str())).collect();
    site.create_topic(topic, round.partitions, &configs);
}

fn transaction(number: usize) -> String {
    format!("differential-{number}")
}

/// Writes everything; the transactional producers whose transactions are left open.
fn write(source: &Site, topic: &Topic, round: &Round) -> Vec<usize> {
    let hand = source.java();
    let mut open = [false; TRANSACTIONAL];
    let end_all = |open: &mut [bool; TRANSACTIONAL]| {
        for (number, open) in open.iter_mut().enumerate().filter(|(_, open)| **open) {
            hand.end_transaction(&transaction(number), if number % 2 == 0 { End::Commit } else { End::Abort });
            *open = false;
        }
    };
    let closing = if round.compacted { round.partitions as usize } else { 0 };
    for (at, write) in round.writes.iter().enumerate() {
        if round.writes.len() - at == closing {
            end_all(&mut open);
        }
        let place = At { topic: &topic.name, partition: write.partition };
        match (&write.what, write.transaction) {
            (What::Fill(fill), _) => hand.fill(place, fill, write.how),
            (What::Records(records), None) => drop(hand.write(place, records, write.how, None)),
            (What::Records(records), Some((number, end))) => {
                let id = transaction(number);
                hand.write(place, records, write.how, Some((&id, end)));
                open[number] = end == End::Open;
            }
        }
    }
    // Markers are written after EndTxn is answered: without an open transaction the end is stable at last.
    if open == [false; TRANSACTIONAL] {
        (0..round.partitions).for_each(|partition| await_stable(source, topic, partition));
    }
    (0..TRANSACTIONAL).filter(|number| open[*number]).collect()
}

fn await_stable(site: &Site, topic: &Topic, partition: i32) {
    wait::until("the last stable offset is the end", Duration::from_secs(30), || {
        let client = site.client();
        let stable = client.list_offset(&topic.name, partition, -1, true).ok()?;
        (stable == client.list_offset(&topic.name, partition, -1, false).ok()?).then_some(())
    });
}

/// Waits for the cleaner; how many partitions it cleaned.
fn clean(source: &Site, topic: &Topic, round: &Round) -> usize {
    let cleaned = |partition: &i32| source.try_compact(topic, *partition, Duration::from_secs(20)).is_ok();
    (0..round.partitions).filter(cleaned).count()
}

fn run(lab: &Lab<'_>, topic: &Topic) -> Result<Value, String> {
    let call = lab.kferry("run").env(AS_KFERRY, "1").args(["--yes", "--topic", &topic.name, "--name", &topic.name]);
    let outcome = call.args(["--output", "json"]).run();
    match outcome.code {
        0 => Ok(outcome.json()),
        _ => Err(outcome.to_string()),
    }
}

fn lane<'a>(result: &'a Value, topic: &Topic, partition: i32) -> Option<&'a Value> {
    let lanes = result["partitions"].as_array().expect("partitions");
    lanes.iter().find(|lane| lane["topic"] == topic.name && lane["partition"] == partition)
}

/// Compares one partition; how many records it holds.
fn compare(
    lab: &Lab<'_>,
    topic: &Topic,
    partition: i32,
    start: i64,
    lane: Option<&Value>,
    stamps: bool,
) -> Result<u64, String> {
    let at = At { topic: &topic.name, partition };
    let stable =
        lab.source.client().list_offset(&topic.name, partition, -1, true).map_err(|cause| cause.to_string())?;
    let end = match lane {
        Some(lane) => lane["end"].as_i64().expect("an end"),
        None if start >= stable => start,
        None => return Err(format!("partition {partition} was not copied from {start} to {stable}")),
    };
    let from_source = Reading { from: Some(start), to: Some(end), committed: true };
    let (source, target) = (lab.source.java(), lab.target.java());
    let wanted = if start < end { source.digest(at, from_source) } else { Digest::default() };
    for committed in [true, false] {
        let from_target = Reading { committed, ..Reading::default() };
        let got = target.digest(at, from_target);
        if got != wanted || stamps && wanted.count <= FEW {
            let wanted = if start < end { source.read(at, from_source) } else { Vec::new() };
            let got = target.read(at, from_target);
            if let Some(difference) = difference(&wanted, &got, stamps) {
                return Err(format!(
                    "partition {partition} from {start} to {end}, committed only: {committed}\n{difference}"
                ));
            }
        }
        if got.count != wanted.count {
            return Err(format!("partition {partition}: {} records instead of {}", got.count, wanted.count));
        }
    }
    Ok(wanted.count)
}

fn difference(wanted: &[Record], got: &[Record], stamps: bool) -> Option<String> {
    let bare = |record: &Record| {
        let timestamp = if stamps { 0 } else { record.timestamp };
        Record { offset: 0, append_time: false, timestamp, ..record.clone() }
    };
    let length = wanted.len().max(got.len());
    let at = (0..length).find(|at| wanted.get(*at).map(bare) != got.get(*at).map(bare))?;
    let show = |record: Option<&Record>| {
        record.map_or_else(|| "nothing".to_owned(), |record| format!("offset {} {}", record.offset, record.to_json()))
    };
    Some(format!("record {at} of {}\nsource: {}\ntarget: {}", wanted.len(), show(wanted.get(at)), show(got.get(at))))
}

/// What the round was about, in one line.
fn describe(round: &Round, result: &Value, records: u64, cleaned: usize) -> String {
    let batches = |verdict: &str| -> i64 {
        let lanes = result["partitions"].as_array().into_iter().flatten();
        let entries = lanes.flat_map(|lane| match &lane["batches"][verdict] {
            Value::Array(entries) => entries.clone(),
            one => vec![one.clone()],
        });
        entries.filter_map(|entry| entry["batches"].as_i64()).sum()
    };
    let [passed, rewritten, dropped] = ["passed", "rewritten", "dropped"].map(batches);
    let kind = match round.compacted {
        true => format!(", {cleaned} cleaned"),
        false => String::new(),
    };
    format!(
        "{} partitions{kind}, {} records; batches passed {passed}, rewritten {rewritten}, dropped {dropped}",
        round.partitions,
        count(records)
    )
}
