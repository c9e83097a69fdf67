//! Who moves the records.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::latency;
use super::peers::{self, Job, Raw};
use super::sets::Set;

/// kcat needs two processes per partition, others a thread; more of them than this measure the machine's scheduler.
const PIPELINES: usize = 64;

/// What a contestant is told of a run.
pub struct Round<'a> {
    /// The source's `host:port`.
    pub source: &'a str,
    /// The target's.
    pub target: &'a str,
    /// What is to be moved.
    pub set: &'a Set,
    /// No other run has it.
    pub name: &'a str,
    /// The binary under test.
    pub kferry: &'a Path,
    /// What it is told beside what it must be.
    pub arguments: &'a [String],
    /// The network namespace it is started in, if it is another one.
    pub namespace: Option<&'a Path>,
    /// A folder for what it writes.
    pub folder: &'a Path,
}

/// One who takes part.
#[derive(Clone, Copy)]
pub struct Contestant {
    /// As the command line names it.
    pub name: &'static str,
    /// What it is compared as.
    pub role: Role,
    /// How it is started.
    pub start: Start,
    /// Whether it makes the target's topics itself.
    pub creates: bool,
    /// Whether it ends by itself; otherwise it is killed when the target is complete.
    pub ends: bool,
}

/// What a contestant is compared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// kferry.
    Ours,
    /// What people use.
    Peer,
    /// As little as a copier can do.
    Raw,
    /// The limit of the processor time, on a machine of its own.
    Relay,
    /// The limit of the processor time between brokers, for whoever takes a batch whole before it goes on.
    BrokerRelay,
    /// The limit of the time.
    Brokers,
}

/// How a contestant is started.
#[derive(Clone, Copy)]
pub enum Start {
    /// As a process. An error says why it can't take part.
    Process(fn(&Round<'_>) -> Result<Command, String>),
    /// As [`super::limits`].
    Limits,
    /// As [`super::wires`].
    Relay,
}

/// kferry.
pub fn ours() -> Contestant {
    Contestant { creates: true, ..process("kferry", Role::Ours, kferry) }
}

fn process(name: &'static str, role: Role, start: fn(&Round<'_>) -> Result<Command, String>) -> Contestant {
    Contestant { name, role, start: Start::Process(start), creates: false, ends: true }
}

/// All there are.
pub fn all() -> Vec<Contestant> {
    vec![
        ours(),
        Contestant { start: Start::Relay, ..process("relay", Role::Relay, kferry) },
        process("broker-relay", Role::BrokerRelay, broker_relay),
        Contestant { start: Start::Limits, ..process("limits", Role::Brokers, kferry) },
        process("kcat", Role::Peer, kcat),
        process("franz-go", Role::Peer, |round| with_job(round, peers::franz_go)),
        Contestant { ends: false, ..process("mirror-maker", Role::Peer, mirror_maker) },
        process("raw-go", Role::Raw, |round| with_job(round, |job| peers::raw_go(job, Raw::Plain))),
        process("raw-go-join", Role::Raw, |round| with_job(round, |job| peers::raw_go(job, Raw::Joining))),
        process("raw-go-journal", Role::Raw, |round| with_job(round, |job| peers::raw_go(job, Raw::Journaling))),
    ]
}

/// `kferry run` of all that the set's group has to read.
fn kferry(round: &Round<'_>) -> Result<Command, String> {
    let mut command = latency::within(round.namespace, round.kferry);
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("KFERRY_")) {
        command.env_remove(name);
    }
    command.args(["run", "--yes", "--no-log", "--source", round.source, "--target", round.target]);
    command.args(["--name", round.name, "--group", &round.set.group()]).args(round.arguments);
    Ok(command)
}

/// Batch by batch, unseen.
fn broker_relay(round: &Round<'_>) -> Result<Command, String> {
    if round.set.partition_count() > PIPELINES {
        return Err(format!("more than {PIPELINES} partitions would need as many threads"));
    }
    let mut command = Command::new(built("protocol-tests", "broker-relay")?);
    command.args([round.source, round.target]);
    for (topic, partition, end) in round.set.ends() {
        let topic = round.set.topics.get(topic).map_or("", |topic| topic.name.as_str());
        command.arg(format!("{topic}:{partition}:{end}"));
    }
    Ok(command)
}

/// A reading and a writing kcat per partition, as its manual shows.
fn kcat(round: &Round<'_>) -> Result<Command, String> {
    if round.set.partition_count() > PIPELINES {
        return Err(format!("more than {PIPELINES} partitions would need as many pairs of processes"));
    }
    let mut script = String::new();
    for topic in &round.set.topics {
        let (name, codec) = (&topic.name, topic.shape.codec.name());
        for partition in 0..topic.batches.len() {
            let place = format!("-t {name} -p {partition}");
            script += &format!(
                "kcat -C -b {} {place} -o beginning -e -q | kcat -P -b {} {place} -z {codec} &\n",
                round.source, round.target
            );
        }
    }
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{script}wait")]);
    Ok(command)
}

fn mirror_maker(round: &Round<'_>) -> Result<Command, String> {
    with_job(round, |job| peers::mirror_maker(job, round.folder))
}

fn with_job(round: &Round<'_>, start: impl Fn(Job<'_>) -> Result<Command, String>) -> Result<Command, String> {
    let topics: Vec<&str> = round.set.topics.iter().map(|topic| topic.name.as_str()).collect();
    let codec = round.set.topics.first().map(|topic| topic.shape.codec).unwrap_or_default();
    start(Job { source: round.source, target: round.target, topics: &topics, codec })
}

/// Builds a binary of the workspace in release mode, and says where it is.
///
/// # Errors
/// When it can't be built.
pub fn built(package: &str, binary: &str) -> Result<PathBuf, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--locked", "--package", package, "--bin", binary])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()
        .map_err(|cause| format!("cargo: {cause}"))?;
    if !built.success() {
        return Err(format!("cannot build {binary}: {built}"));
    }
    // This program lies in the same target folder, in that of its own profile.
    let own = env::current_exe().map_err(|cause| cause.to_string())?;
    let target = own.ancestors().nth(2).ok_or("a program without a folder")?;
    Ok(target.join("release").join(binary))
}
