//! What kferry is compared with: a copier as one writes it with franz-go, a simple raw copier in Go, and MirrorMaker 2.
//!
//! The Go programs are built from `protocol-tests/peers/`, MirrorMaker comes from Maven Central; both stay outside the
//! tree. None of the three creates topics: the target has them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::broker::Codec;
use crate::lab::real::jars;

/// What a peer copies: all of some topics.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The bootstrap address of the cluster to read.
    pub source: &'a str,
    /// The bootstrap address of the cluster to write.
    pub target: &'a str,
    /// Every partition of these, from the log start to the log end.
    pub topics: &'a [&'a str],
    /// What is written, by those peers that compress anew.
    pub codec: Codec,
}

/// What the raw copier does with batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raw {
    /// Moves them as they are.
    Plain,
    /// Makes large ones of rows of tiny ones.
    Joining,
    /// Notes on the target what it is about to write, and waits until that is stored.
    Journaling,
}

impl Raw {
    /// Each way.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Joining, Self::Journaling];
}

/// The copier that uses franz-go. It ends by itself, with 0 when all is copied, and says one line on stderr.
///
/// # Errors
/// What Go said, when it can't be run or can't build it.
pub fn franz_go(job: Job<'_>) -> Result<Command, String> {
    let mut command = copier("franz-go", job)?;
    command.args(["--compression", job.codec.name()]);
    Ok(command)
}

/// The copier of raw batches. It ends by itself, with 0 when all is copied, and says one line on stderr.
///
/// # Errors
/// What Go said, when it can't be run or can't build it.
pub fn raw_go(job: Job<'_>, how: Raw) -> Result<Command, String> {
    let mut command = copier("raw-go", job)?;
    match how {
        Raw::Plain => &mut command,
        Raw::Joining => command.arg("--join"),
        Raw::Journaling => command.arg("--journal"),
    };
    Ok(command)
}

/// MirrorMaker 2 as a process of its own, its properties written into `folder`. It never ends by itself: who runs it
/// watches the target's log ends, and kills it.
///
/// # Errors
/// When the jars can't be fetched or the properties not written.
pub fn mirror_maker(job: Job<'_>, folder: &Path) -> Result<Command, String> {
    let jars = jars::mirror_maker()?;
    let file = folder.join("mirror-maker.properties");
    fs::write(&file, properties(job)).map_err(|cause| format!("{}: {cause}", file.display()))?;
    let mut command = Command::new("java");
    // The heap that Kafka's own scripts give it.
    command
        .args(["-Xms256m", "-Xmx2g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:-UsePerfData"])
        .arg("-Djava.awt.headless=true")
        .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
        .arg("-cp")
        .arg(jars.join("*"))
        .arg("org.apache.kafka.connect.mirror.MirrorMaker")
        .arg(&file);
    Ok(command)
}

fn copier(program: &str, job: Job<'_>) -> Result<Command, String> {
    let mut command = Command::new(built(program)?);
    let topics = job.topics.join(",");
    command.args(["--source", job.source, "--target", job.target, "--topics", &topics]);
    Ok(command)
}

/// The program of that folder of `peers/`. Go itself knows whether there is anything to build.
fn built(program: &str) -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(program);
    let file = cache()?.join(program);
    let go = Command::new("go")
        .args(["build", "-buildvcs=false", "-o"])
        .args([&file, Path::new(".")])
        .env("GOFLAGS", "-mod=readonly")
        .current_dir(&folder)
        .output()
        .map_err(|cause| format!("cannot build {program}: go: {cause}"))?;
    if go.status.success() {
        return Ok(file);
    }
    Err(format!("cannot build {program}: go: {}\n{}", go.status, String::from_utf8_lossy(&go.stderr)))
}

/// Where built programs are kept: `$XDG_CACHE_HOME/kferry/bench`, or the same below `~/.cache`.
fn cache() -> Result<PathBuf, String> {
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let root = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    let cache = root.ok_or("neither XDG_CACHE_HOME nor HOME is set")?.join("kferry/bench");
    fs::create_dir_all(&cache).map_err(|cause| format!("{}: {cause}", cache.display()))?;
    Ok(cache)
}

/// A dedicated MirrorMaker that copies records and does nothing else, with the settings of a bulk copy.
fn properties(job: Job<'_>) -> String {
    let Job { source, target, codec, .. } = job;
    let topics: Vec<String> = job.topics.iter().map(|topic| topic.replace('.', "\\\\.")).collect();
    let (topics, codec) = (topics.join(","), codec.name());
    format!(
        "clusters=from,to\n\
         from.bootstrap.servers={source}\n\
         to.bootstrap.servers={target}\n\
         plugin.discovery=service_load\n\
         replication.policy.class=org.apache.kafka.connect.mirror.IdentityReplicationPolicy\n\
         replication.factor=1\n\
         config.storage.replication.factor=1\n\
         offset.storage.replication.factor=1\n\
         offset.storage.partitions=1\n\
         status.storage.replication.factor=1\n\
         status.storage.partitions=1\n\
         emit.heartbeats.enabled=false\n\
         emit.checkpoints.enabled=false\n\
         emit.offset-syncs.enabled=false\n\
         sync.topic.configs.enabled=false\n\
         sync.topic.acls.enabled=false\n\
         refresh.groups.enabled=false\n\
         to->from.enabled=false\n\
         from->to.enabled=true\n\
         from->to.topics={topics}\n\
         tasks.max=4\n\
         from->to.consumer.max.poll.records=10000\n\
         from->to.consumer.fetch.max.bytes=33554432\n\
         from->to.consumer.max.partition.fetch.bytes=8388608\n\
         from->to.consumer.receive.buffer.bytes=1048576\n\
         to.producer.compression.type={codec}\n\
         to.producer.batch.size=1000000\n\
         to.producer.linger.ms=10\n\
         to.producer.buffer.memory=134217728\n\
         to.producer.max.request.size=8388608\n"
    )
}
