//! `kferry verify`: compares what was moved with its source. Changes nothing on either cluster.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::args::{Common, Output, VerifyArgs};
use super::exit::{Exit, Failure};
use super::{streams, survey};
use crate::cluster::Cluster;
use crate::config::Settings;
use crate::kafka::units::Count;
use crate::kafka::{Side, TopicPartition};
use crate::migrate::{Ended, Signal, Signals};
use crate::report::json::run::{PartitionDoc, RunDoc};
use crate::report::json::verify::VerifyDoc;
use crate::report::verified::{self, Checked, Verified};
use crate::state::{self, Checkpoint, Skipped};
use crate::verify::{Extent, Level, Options, PARALLELISM, Progress, Tail, Verdict, compare};

/// How often a line says how far it is.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaimError {
    /// The target remembers nothing.
    #[error("the target knows no migration `{0}`: check --name, or hand over the run's report with --report FILE")]
    Unknown(String),
    /// The state can't be read.
    #[error("cannot read the state of migration `{name}`: {why}")]
    State {
        /// The migration.
        name: String,
        /// Why.
        why: String,
    },
    /// The report can't be read.
    #[error("cannot read the report {}: {why}", .path.display())]
    Report {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The report tells of something else.
    #[error("{} tells of other clusters: its {side} is {theirs}, this one is {ours}", .path.display())]
    OtherCluster {
        /// The file.
        path: PathBuf,
        /// Which cluster is not the same.
        side: Side,
        /// The id in the report.
        theirs: String,
        /// The cluster's own.
        ours: String,
    },
}

/// What was moved.
struct Claims {
    name: String,
    lanes: Vec<(Extent, Vec<Skipped>)>,
}

pub(super) async fn verify(
    common: &Common,
    args: &VerifyArgs,
    settings: &Settings,
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    let started = Instant::now();
    let level = Level::from(settings.verify);
    let empty = Claims { name: settings.name.to_string(), lanes: Vec::new() };
    let ready = tokio::select! {
        biased;
        ready = Box::pin(prepare(args, settings)) => ready?,
        signal = signals.next() => {
            let verified = result(empty, level, Vec::new(), started.elapsed(), true);
            return end(common, verified, Some(signal));
        }
    };
    let (source, target, claims) = ready;
    let extents = claims.lanes.iter().map(|(extent, _)| extent.clone()).collect();
    let options = Options { level, memory: settings.memory, parallelism: PARALLELISM, tail: Tail::Open };
    let mut screen = Lines { quiet: common.quiet, next: LINE_EVERY, started };
    let (stop, stopped) = watch::channel(false);
    let mut tell = |progress: &Progress| screen.tell(progress);
    let mut comparing = pin!(compare(&source, &target, extents, options, stopped, &mut tell));
    let mut caught = None;
    let verdicts = loop {
        tokio::select! {
            biased;
            verdicts = &mut comparing => break verdicts,
            signal = signals.next() => {
                caught = Some(signal);
                stop.send_replace(true);
            }
        }
    };
    end(common, result(claims, level, verdicts, started.elapsed(), caught.is_some()), caught)
}

async fn prepare(args: &VerifyArgs, settings: &Settings) -> Result<(Cluster, Cluster, Claims), Failure> {
    let (source, target) = tokio::join!(
        survey::connect(Side::Source, &settings.source, settings),
        survey::connect(Side::Target, &settings.target, settings)
    );
    let (source, target) = (source?, target?);
    let claims = extents(args.report.as_deref(), settings.name.as_str(), &source, &target).await?;
    Ok((source, target, claims))
}

fn result(claims: Claims, level: Level, verdicts: Vec<Verdict>, elapsed: Duration, stopped: bool) -> Verified {
    let checked = |((extent, skipped), verdict)| Checked { extent, skipped, verdict };
    let partitions = claims.lanes.into_iter().zip(verdicts).map(checked).collect();
    Verified { name: claims.name, level, partitions, elapsed, stopped }
}

/// Hands the result over. That of a failed comparison is printed with its failure.
fn end(common: &Common, verified: Verified, caught: Option<Signal>) -> Result<Exit, Failure> {
    match common.output {
        Output::Text => streams::result(&verified::verified(&verified))?,
        Output::Json if verified.ended() == Ended::Done => streams::document(&VerifyDoc::from(&verified))?,
        Output::Json => {}
    }
    match verified.ended() {
        Ended::Done => Ok(Exit::Done),
        _ => Err(Failure::Verified(Box::new(verified), caught)),
    }
}

/// What the migration has moved: as its report says, or as the target remembers.
async fn extents(report: Option<&Path>, name: &str, source: &Cluster, target: &Cluster) -> Result<Claims, ClaimError> {
    let Some(path) = report else { return remembered(name, target).await };
    let failed = |why: String| ClaimError::Report { path: path.to_owned(), why };
    let text = fs::read(path).map_err(|error| failed(error.to_string()))?;
    let doc: RunDoc = serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?;
    for (cluster, known) in [(source, &doc.source), (target, &doc.target)] {
        if let (Some(ours), Some(theirs)) = (cluster.id(), known.as_ref().and_then(|known| known.cluster_id.clone()))
            && ours != theirs
        {
            return Err(ClaimError::OtherCluster { path: path.to_owned(), side: cluster.side(), theirs, ours });
        }
    }
    let checkpoints = doc.recorded().map_err(|error| failed(error.to_string()))?;
    let silent = doc.partitions.iter().find(|lane| lane.state.is_null());
    if let Some(PartitionDoc { topic, partition, .. }) = silent {
        return Err(failed(format!("it does not hold what kferry remembers of {topic}/{partition}")));
    }
    Ok(claims(doc.name, checkpoints))
}

async fn remembered(name: &str, target: &Cluster) -> Result<Claims, ClaimError> {
    let failed = |why: String| ClaimError::State { name: name.to_owned(), why };
    let reading = state::read(target, name).await.map_err(|error| failed(error.to_string()))?;
    if reading.state.is_empty() {
        return Err(ClaimError::Unknown(name.to_owned()));
    }
    if let Some(holder) = reading.holder {
        streams::say(&format!(
            "warning: migration {name} is being run by {holder}: what it has moved so far is compared"
        ));
    }
    let checkpoints = state::decode_all(&reading.state).map_err(|(at, cause)| failed(format!("{at}: {cause}")))?;
    Ok(claims(name.to_owned(), checkpoints))
}

/// What checkpoints say was moved; partitions of which nothing moves say nothing.
fn claims(name: String, checkpoints: BTreeMap<TopicPartition, Checkpoint>) -> Claims {
    let moving = checkpoints.into_iter().filter(|(_, checkpoint)| !checkpoint.span.is_empty());
    let claim = |(at, checkpoint): (TopicPartition, Checkpoint)| {
        if !checkpoint.is_finished() {
            let [next, end] = [checkpoint.next, checkpoint.span.end].map(|offset| Count(offset.get()));
            streams::say(&format!("warning: {at} is moved up to source offset {next} of {end}: compared up to there"));
        }
        (Extent::of(&at, &checkpoint), checkpoint.skipped)
    };
    Claims { name, lanes: moving.map(claim).collect() }
}

/// A line now and then; on a terminal more often.
struct Lines {
    quiet: bool,
    next: Duration,
    started: Instant,
}

impl Lines {
    fn tell(&mut self, progress: &Progress) {
        let elapsed = self.started.elapsed();
        if self.quiet || elapsed < self.next {
            return;
        }
        self.next = elapsed + if io::stderr().is_terminal() { LINE_EVERY / 5 } else { LINE_EVERY };
        let Progress { done, total, partitions_done, partitions } = *progress;
        streams::say(&format!(
            "compared {} of {} records, {partitions_done} of {partitions} partitions",
            Count(done),
            Count(total)
        ));
    }
}
