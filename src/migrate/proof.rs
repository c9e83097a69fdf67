//! Asking the target itself where its logs end now.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::choices::Choices;
use super::error::MigrateError;
use super::observer::{Observer, Step};
use super::outcome::LaneOutcome;
use super::run::Migration;
use crate::cluster::Cluster;
use crate::copy::{self, LaneEnd, LogEnd};
use crate::kafka::TopicPartition;
use crate::plan::Warning;
use crate::verify::{self, Extent, Options, PARALLELISM, Tail};

/// How long replication may take to reach the end of what was copied.
const REPLICATION: Duration = Duration::from_secs(60);

/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(500);

/// Compares what each copied lane claims with what the target holds, once all of that is replicated. Says where that could
/// not be done as closely as wanted. It may be dropped at any time.
pub(super) async fn prove(
    migration: &Migration<'_>,
    lanes: &mut [LaneOutcome],
    observer: &mut dyn Observer,
) -> Result<Vec<Warning>, MigrateError> {
    let mut warnings = Vec::new();
    let copied = lanes.iter().filter(|lane| lane.end == LaneEnd::Copied);
    replicated(migration.target, copied.map(|lane| lane.at.clone()).collect()).await?;
    let (_go_on, stop) = watch::channel(false);
    for (before, tail) in [(false, Tail::Ours), (true, Tail::Open)] {
        let mut lanes: Vec<&mut LaneOutcome> =
            lanes.iter_mut().filter(|lane| lane.end == LaneEnd::Copied && lane.before == before).collect();
        let extents = lanes.iter().map(|lane| Extent::of(&lane.at, &lane.checkpoint)).collect();
        let Choices { verify: level, limits, .. } = &migration.choices;
        let options = Options { level: *level, memory: limits.memory, parallelism: PARALLELISM, tail };
        let mut tell = |progress: &verify::Progress| observer.step(Step::Compared(progress));
        let (source, target) = (migration.source, migration.target);
        let verdicts = verify::compare(source, target, extents, options, stop.clone(), &mut tell).await;
        for (lane, verdict) in lanes.iter_mut().zip(verdicts) {
            warnings.extend(verdict.warning().filter(|warning| !warnings.contains(warning)));
            if verdict.is_right() {
                lane.verified = verdict.level;
            } else {
                lane.difference = Some(Box::new(verdict));
            }
        }
    }
    Ok(warnings)
}

/// Waits until all that the leaders of partitions have is replicated.
async fn replicated(target: &Cluster, partitions: Vec<TopicPartition>) -> Result<(), MigrateError> {
    let begun = Instant::now();
    let mut left = partitions;
    loop {
        let mut again = Vec::new();
        let mut last = None;
        for (at, end) in copy::log_ends(target, &left).await {
            match end {
                Ok(LogEnd { end, high_watermark }) if high_watermark >= end => {}
                Ok(_) => {
                    last.get_or_insert((at.clone(), "its followers lag behind".to_owned()));
                    again.push(at);
                }
                Err(cause) => {
                    last.get_or_insert((at.clone(), cause));
                    again.push(at);
                }
            }
        }
        match last {
            None => return Ok(()),
            Some((at, cause)) if begun.elapsed() >= REPLICATION => return Err(MigrateError::Unproved { at, cause }),
            Some(_) => sleep(LOOK).await,
        }
        left = again;
    }
}
