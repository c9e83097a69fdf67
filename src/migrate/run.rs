//! From a plan to its outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::error::MigrateError;
use super::observer::{Observer, Step};
use super::outcome::{LaneOutcome, Outcome};
use crate::batch::{AppendTime, Codec, Rules};
use crate::cluster::retry::RetryPolicy;
use crate::cluster::{Cluster, ClusterError, Configs, Edge, Use};
use crate::config::Settings;
use crate::copy::{Copied, Engine, LaneEnd, LaneSetup, Limits, Patience, Tally};
use crate::kafka::{Offset, Sequence, Span, Stamp, TopicName, TopicPartition};
use crate::plan::{LanePlan, Permit, Plan, Warning, WarningCode};
use crate::topics::{self, LeftOutBecause, Mirrored};
use crate::verify::{self, Extent};
use crate::wire::ApiKey;

/// Batches of one lane that may be in flight: as many as brokers remember of a producer.
const DEPTH: usize = 5;

/// The first version of Produce that comes with brokers that remember more than the last batch of a producer (1.0).
const REMEMBERS_FIVE: i16 = 4;

/// Brokers forget producers whose newest record is older than this, in ms (`producer.id.expiration.ms`: 24 h).
const PRODUCER_EXPIRY: i64 = 24 * 60 * 60 * 1_000;

/// What the operator chose that a plan does not fix.
#[derive(Clone, Copy, Debug)]
pub struct Choices {
    /// What the copy may use.
    pub limits: Limits,
    /// The codec in place of one that the target can't store; `None`: a partition stops in front of such a batch.
    pub recompress: Option<Codec>,
    /// Whether corrupt batches are left out instead of stopping their partition.
    pub skip_corrupt: bool,
}

impl From<&Settings> for Choices {
    fn from(settings: &Settings) -> Self {
        Self {
            limits: Limits { memory: settings.memory, rate: settings.rate.map(Into::into) },
            recompress: settings.topics.recompress.map(Codec::from),
            skip_corrupt: settings.skip_corrupt,
        }
    }
}

/// A run that may start.
#[derive(Clone, Copy, Debug)]
pub struct Migration<'a> {
    name: &'a str,
    source: &'a Cluster,
    target: &'a Cluster,
    plan: &'a Plan,
    choices: Choices,
    now_ms: i64,
}

impl<'a> Migration<'a> {
    /// A run of `plan` from the first cluster to the second; `now_ms` is the time in ms since 1970.
    ///
    /// # Errors
    ///
    /// The plan holds what a run with these permits must not do.
    pub fn new(
        name: &'a str,
        (source, target): (&'a Cluster, &'a Cluster),
        plan: &'a Plan,
        permits: &BTreeSet<Permit>,
        choices: Choices,
        now_ms: i64,
    ) -> Result<Self, MigrateError> {
        match plan.refusals(permits) {
            refusals if refusals.is_empty() => Ok(Self { name, source, target, plan, choices, now_ms }),
            refusals => Err(MigrateError::Refused(refusals)),
        }
    }

    /// The outcome before anything was moved.
    pub fn begun(&self) -> Outcome {
        let lane = |lane: &LanePlan| LaneOutcome {
            at: lane.at.clone(),
            span: lane.span,
            written: Span::new(0, 0),
            tally: Tally::default(),
            skipped: Vec::new(),
            end: LaneEnd::Stopped,
            verified: None,
            difference: None,
        };
        Outcome {
            name: self.name.to_owned(),
            source: self.plan.source().clone(),
            target: self.plan.target().clone(),
            lanes: self.plan.lanes().map(lane).collect(),
            warnings: self.plan.warnings().to_vec(),
            elapsed: Duration::ZERO,
        }
    }
}

/// Moves what the plan says. When `stop` turns true, what is under way is finished and the rest is left for another run.
///
/// # Errors
///
/// What keeps the copy from starting, or its proof from being had. A lane that fails is part of the [`Outcome`].
pub async fn run(
    migration: Migration<'_>,
    stop: watch::Receiver<bool>,
    observer: &mut dyn Observer,
) -> Result<Outcome, MigrateError> {
    let started = Instant::now();
    let begun = migration.begun();
    let mut warnings = begun.warnings;
    let created = create_topics(&migration, observer).await?;
    warnings.extend(created.iter().flat_map(refused_configs));
    let lanes = move_all(&migration, stop, observer).await?;
    warnings.extend(finish_topics(&migration, created, &lanes).await);
    Ok(Outcome { lanes, warnings, elapsed: started.elapsed(), ..begun })
}

/// Copies and proves every lane; without lanes nothing is asked of the target.
async fn move_all(
    migration: &Migration<'_>,
    stop: watch::Receiver<bool>,
    observer: &mut dyn Observer,
) -> Result<Vec<LaneOutcome>, MigrateError> {
    if migration.plan.lanes().next().is_none() {
        return Ok(Vec::new());
    }
    let lanes = prepare(migration).await?;
    let copied = copy(migration, lanes, stop, observer).await;
    observer.step(Step::Verifying);
    prove(migration, copied).await
}

async fn create_topics(migration: &Migration<'_>, observer: &mut dyn Observer) -> Result<Vec<Mirrored>, MigrateError> {
    let missing = migration.plan.create();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<_> = missing.iter().map(|topic| topic.spec.name.clone()).collect();
    observer.step(Step::Creating(&names));
    topics::create(migration.target, missing).await.map_err(MigrateError::Topics)
}

/// What the target refused of a topic's configs when it was created; the plan could not know.
fn refused_configs(topic: &Mirrored) -> impl Iterator<Item = Warning> {
    let refused = topic.left_out.iter().filter(|config| config.because == LeftOutBecause::Refused);
    refused.map(|config| {
        let message = format!("the target refused {}={}", config.name, config.value);
        Warning::new(WarningCode::ConfigLeftOut, message).topic(&topic.spec.name)
    })
}

/// Sets what created topics get once they are filled: a topic that stamps its own time would have replaced the records'.
async fn finish_topics(migration: &Migration<'_>, created: Vec<Mirrored>, lanes: &[LaneOutcome]) -> Option<Warning> {
    let filled = |topic: &Mirrored| {
        let mut own = lanes.iter().filter(|lane| lane.at.topic == topic.spec.name);
        own.all(|lane| lane.end == LaneEnd::Copied)
    };
    let filled: Vec<Mirrored> = created.into_iter().filter(filled).collect();
    let error = topics::finish(migration.target, &filled).await.err()?;
    let advice = error.advice().unwrap_or_default();
    Some(Warning::new(WarningCode::ConfigLeftOut, error.to_string()).advice(advice))
}

/// Looks up where each lane's first record must land, and gets the producer id that stamps the batches.
async fn prepare(migration: &Migration<'_>) -> Result<Vec<LaneSetup>, MigrateError> {
    let lanes: Vec<&LanePlan> = migration.plan.lanes().collect();
    let partitions: Vec<TopicPartition> = lanes.iter().map(|lane| lane.at.clone()).collect();
    let ends = target_ends(migration.target, &partitions).await;
    let (producer, epoch) = migration.target.init_producer_id().await.map_err(MigrateError::Cluster)?;
    let version = produce_version(migration.target).await;
    let Choices { recompress, skip_corrupt, .. } = migration.choices;
    let topics: BTreeSet<TopicName> = lanes.iter().map(|lane| lane.at.topic.clone()).collect();
    let configs = migration.target.topic_configs(&topics.into_iter().collect::<Vec<_>>()).await;
    let rules = |at: &TopicPartition| {
        let known = configs.get(&at.topic).and_then(|configs| configs.as_ref().ok());
        known.map_or_else(Rules::default, |configs| target_rules(configs, migration.now_ms))
    };
    let setup = |(seed, lane): (u64, &LanePlan)| {
        let target_end = end_of(&ends, &lane.at)?;
        Ok(LaneSetup {
            at: lane.at.clone(),
            span: lane.span,
            stamp: Stamp { producer, epoch, sequence: Sequence(0) },
            target_end,
            depth: if version < REMEMBERS_FIVE { 1 } else { DEPTH },
            old_before: migration.now_ms.saturating_sub(PRODUCER_EXPIRY),
            rules: Rules { codecs: migration.plan.codecs(), recompress, ..rules(&lane.at) },
            skip_corrupt,
            patience: Patience::new(RetryPolicy::default(), seed),
        })
    };
    (0..).zip(lanes).map(setup).collect()
}

/// What a target topic takes, as far as its configs tell. A topic whose configs may not be read says so by its refusals.
fn target_rules(configs: &Configs, now_ms: i64) -> Rules {
    let value = |name: &str| configs.get(name)?.value.as_deref();
    let number = |name: &str| value(name)?.parse::<i64>().ok();
    let stamps = value("message.timestamp.type") == Some("LogAppendTime");
    Rules {
        max_batch_bytes: number("max.message.bytes").and_then(|bytes| usize::try_from(bytes).ok()),
        // Brokers that stamp their own time don't mind the records' times.
        latest_timestamp: topics::timestamp_limit(number, topics::AFTER)
            .filter(|_| !stamps)
            .map(|(ms, _)| now_ms.saturating_add(ms)),
        append_time: if stamps { AppendTime::TargetStamps } else { AppendTime::Keep },
        ..Rules::default()
    }
}

/// The lowest version of Produce that the target's brokers speak with us. One that can't be reached now has no say: it
/// leads nothing.
async fn produce_version(target: &Cluster) -> i16 {
    let mut lowest = i16::MAX;
    for broker in target.brokers() {
        if let Ok(connection) = target.connection(broker.id, Use::Control(0)).await {
            lowest = lowest.min(connection.version(ApiKey::Produce).unwrap_or_default());
        }
    }
    lowest
}

type Ends = BTreeMap<TopicPartition, Result<Offset, ClusterError>>;

async fn target_ends(target: &Cluster, partitions: &[TopicPartition]) -> Ends {
    let listed = target.list_offsets(Edge::HighWatermark, partitions).await;
    listed.into_iter().map(|(at, end)| (at, end.map(|end| end.offset))).collect()
}

fn end_of(ends: &Ends, at: &TopicPartition) -> Result<Offset, MigrateError> {
    match ends.get(at) {
        Some(Ok(end)) => Ok(*end),
        Some(Err(cause)) => Err(MigrateError::TargetEnd { at: at.clone(), cause: cause.clone() }),
        None => Err(MigrateError::NoTargetEnd { at: at.clone() }),
    }
}

async fn copy(
    migration: &Migration<'_>,
    lanes: Vec<LaneSetup>,
    stop: watch::Receiver<bool>,
    observer: &mut dyn Observer,
) -> Vec<Copied> {
    let records = lanes.iter().map(|lane| lane.span.len()).sum();
    observer.step(Step::Copying { lanes: lanes.len(), records });
    let engine = Engine::new(migration.source.clone(), migration.target.clone(), migration.choices.limits, lanes);
    engine.run(stop, &mut |progress, lanes| observer.progress(progress, lanes)).await
}

/// Asks the target itself where its logs end now.
async fn prove(migration: &Migration<'_>, copied: Vec<Copied>) -> Result<Vec<LaneOutcome>, MigrateError> {
    let complete = copied.iter().filter(|lane| lane.end == LaneEnd::Copied);
    let partitions: Vec<TopicPartition> = complete.map(|lane| lane.at.clone()).collect();
    let ends = target_ends(migration.target, &partitions).await;
    copied.into_iter().map(|lane| proved(lane, &ends)).collect()
}

fn proved(lane: Copied, ends: &Ends) -> Result<LaneOutcome, MigrateError> {
    let mut outcome = LaneOutcome::from(lane);
    if outcome.end == LaneEnd::Copied {
        let LaneOutcome { at, span, written, .. } = &outcome;
        let log_end = end_of(ends, at)?;
        let extent = Extent { at: at.clone(), source: *span, target: *written, records: written.len() };
        match verify::check_offsets(&extent, log_end) {
            Ok(level) => outcome.verified = Some(level),
            Err(difference) => outcome.difference = Some(difference),
        }
    }
    Ok(outcome)
}
