//! From a plan to its outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::agenda::{self, Agenda, Recorded};
use super::choices::Choices;
use super::error::MigrateError;
use super::observer::{Observer, Step};
use super::outcome::{LaneOutcome, Outcome};
use super::signals::Stop;
use super::{found, groups, prepare, proof};
use crate::cluster::Cluster;
use crate::copy::{Books, Copies, Engine, LaneEnd, LaneProblem, LaneSetup};
use crate::kafka::{Offset, Span, TopicName, TopicPartition};
use crate::offsets::{Moved, Outcome as GroupOutcome, Replaces};
use crate::plan::{Permit, Plan, Warning, WarningCode};
use crate::state::{self, Entry, Opening, Store};
use crate::topics::{self, LeftOutBecause, Made, Mirrored};

/// A run that may start.
#[derive(Clone, Debug)]
pub struct Migration<'a> {
    pub(super) name: &'a str,
    pub(super) source: &'a Cluster,
    pub(super) target: &'a Cluster,
    pub(super) plan: &'a Plan,
    pub(super) choices: Choices,
    pub(super) now_ms: i64,
    /// What the target remembered when it was looked at, without the lock.
    recorded: Recorded,
    /// What a report remembers.
    fallback: Recorded,
    finished: bool,
}

impl<'a> Migration<'a> {
    /// A run of `plan` from the first cluster to the second; `now_ms` is the time in ms since 1970. `fallback` is used where
    /// the target remembers nothing.
    ///
    /// # Errors
    ///
    /// The state can't be read, or the plan holds what a run with these permits must not do. A migration that is finished
    /// has nothing more to be refused.
    pub async fn new(
        name: &'a str,
        (source, target): (&'a Cluster, &'a Cluster),
        plan: &'a Plan,
        permits: &BTreeSet<Permit>,
        (choices, fallback): (Choices, Recorded),
        now_ms: i64,
    ) -> Result<Self, MigrateError> {
        let reading = state::read(target, name).await.map_err(MigrateError::State)?;
        let recorded = recall(&reading.state, &fallback)?;
        agenda::refuse(prepare::changes(plan, (source, target), &recorded).await?)?;
        let agenda = Agenda::new(plan, recorded.clone(), choices.extend);
        // An extension looks at the groups again: they may have read on where nothing came in.
        let done = agenda.is_finished() && groups_are_done(&agenda.recorded, plan, &choices);
        let finished = done && !choices.extend;
        match plan.refusals_besides(permits, |at| recorded.contains_key(at)) {
            refusals if refusals.is_empty() || finished => {
                Ok(Self { name, source, target, plan, choices, now_ms, recorded, fallback, finished })
            }
            refusals => Err(MigrateError::Refused(refusals)),
        }
    }

    /// Whether there is nothing to do: neither to move, nor to remember.
    pub fn is_idle(&self) -> bool {
        self.finished || (self.recorded.is_empty() && self.plan.partitions().is_empty())
    }

    /// The outcome before anything was moved by this run.
    pub fn begun(&self) -> Outcome {
        let planned = self.plan.partitions().iter().filter(|lane| !self.recorded.contains_key(&lane.at));
        let planned = planned.map(|lane| {
            let nowhere = crate::kafka::Offset(0);
            (lane.at.clone(), prepare::begun(lane, nowhere, None, &BTreeMap::new()))
        });
        let mut checkpoints = self.recorded.clone();
        checkpoints.extend(planned);
        Outcome { lanes: lanes_of(&checkpoints), idle: idle_of(&checkpoints), ..self.outcome() }
    }

    /// An outcome without any partition.
    fn outcome(&self) -> Outcome {
        Outcome {
            name: self.name.to_owned(),
            source: self.plan.source().clone(),
            target: self.plan.target().clone(),
            lanes: Vec::new(),
            idle: Recorded::new(),
            groups: Vec::new(),
            warnings: self.plan.warnings().to_vec(),
            elapsed: Duration::ZERO,
            interrupted: false,
            failure: None,
            nothing_to_do: self.is_idle(),
        }
    }
}

/// The lanes among the checkpoints.
fn lanes_of(checkpoints: &Recorded) -> Vec<LaneOutcome> {
    let moves = |checkpoint: &state::Checkpoint| !checkpoint.span.is_empty();
    let lanes = checkpoints.iter().filter(|(_, checkpoint)| moves(checkpoint));
    lanes.map(|(at, checkpoint)| LaneOutcome::standing(at, checkpoint)).collect()
}

/// The partitions of which nothing moves.
fn idle_of(checkpoints: &Recorded) -> Recorded {
    let idle = checkpoints.iter().filter(|(_, checkpoint)| checkpoint.span.is_empty());
    idle.map(|(at, checkpoint)| (at.clone(), checkpoint.clone())).collect()
}

/// Reads what the target remembers, and of partitions that it has forgotten what a report does.
fn recall(stored: &state::State, fallback: &Recorded) -> Result<Recorded, MigrateError> {
    let mut recorded = fallback.clone();
    recorded.extend(state::decode_all(stored)?);
    Ok(recorded)
}

/// Whether the migration came to its end with the offsets of all groups of the plan, and without commits in place that are
/// to be replaced now.
fn groups_are_done(recorded: &Recorded, plan: &Plan, choices: &Choices) -> bool {
    let with = |kept| groups::print(plan.groups(), kept);
    let done = |print| print == with(false) || (print == with(true) && !choices.overwrite_offsets);
    agenda::ended(recorded).is_some_and(|print| !choices.translate_offsets || done(print))
}

/// Moves what the plan says, as far as `stop` lets it. Whatever keeps it from its end is part of the [`Outcome`], with what
/// is known of every lane.
pub async fn run(migration: Migration<'_>, stop: watch::Receiver<Stop>, observer: &mut dyn Observer) -> Outcome {
    let started = Instant::now();
    let mut outcome = migration.begun();
    outcome.failure = work(&migration, stop, observer, &mut outcome).await.err();
    Outcome { elapsed: started.elapsed(), ..outcome }
}

async fn work(
    migration: &Migration<'_>,
    stop: watch::Receiver<Stop>,
    observer: &mut dyn Observer,
    outcome: &mut Outcome,
) -> Result<(), MigrateError> {
    if migration.is_idle() {
        tokio::select! {
            biased;
            () = stopped(stop) => outcome.interrupted = true,
            proved = repeat(migration, observer, outcome) => proved?,
        }
        return Ok(());
    }
    let opening = Opening {
        holder: migration.choices.holder.clone(),
        take_over: migration.choices.take_over,
        clock: Arc::clone(&migration.choices.clock),
    };
    let mut news = |news: state::News| observer.step(Step::Lock(&news));
    let opened = tokio::select! {
        biased;
        () = stopped(stop.clone()) => {
            outcome.interrupted = true;
            return Ok(());
        }
        opened = Store::open(migration.target, migration.name, opening, &mut news) => opened,
    };
    let store = opened.map_err(MigrateError::State)?;
    let told = locked(migration, &store, stop, observer, outcome).await;
    store.close().await;
    told
}

/// Looks at what an earlier run has done, and writes nothing.
async fn repeat(
    migration: &Migration<'_>,
    observer: &mut dyn Observer,
    outcome: &mut Outcome,
) -> Result<(), MigrateError> {
    outcome.warnings.extend(proof::prove(migration, &mut outcome.lanes, observer).await?);
    if migration.choices.translate_offsets {
        let moved = moved(migration, &migration.recorded, &outcome.lanes);
        outcome.groups = groups::stand(migration.source, migration.target, migration.plan.groups(), moved).await;
    }
    Ok(())
}

/// Ends when the run is to stop.
async fn stopped<T: PartialOrd + Default>(mut stop: watch::Receiver<T>) {
    if stop.wait_for(|stop| *stop > T::default()).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Tells the story for as long as the lock is held and nobody stops it. Even then it tells what became of the lanes.
async fn locked(
    migration: &Migration<'_>,
    store: &Store,
    mut stop: watch::Receiver<Stop>,
    observer: &mut dyn Observer,
    outcome: &mut Outcome,
) -> Result<(), MigrateError> {
    let (halt, halted) = watch::channel(false);
    let mut story = pin!(story(migration, store, halted, observer, outcome));
    let mut keep = pin!(store.keep());
    let (mut asked, mut lost) = (Stop::GoOn, None);
    loop {
        tokio::select! {
            biased;
            error = &mut keep, if lost.is_none() && asked < Stop::AtOnce => lost = Some(error),
            Ok(()) = async { stop.wait_for(|stop| *stop > asked).await.map(|stop| asked = *stop) } => {
                if asked == Stop::AtOnce {
                    store.abandon();
                }
            }
            told = &mut story => return lost.map_or(told, |lost| Err(MigrateError::State(lost))),
        }
        halt.send_replace(true);
    }
}

/// The story, told with the lock held.
async fn story(
    migration: &Migration<'_>,
    store: &Store,
    stop: watch::Receiver<bool>,
    observer: &mut dyn Observer,
    outcome: &mut Outcome,
) -> Result<(), MigrateError> {
    let prepared = tokio::select! {
        biased;
        () = stopped(stop.clone()) => {
            outcome.interrupted = true;
            return Ok(());
        }
        prepared = prepare(migration, store, observer) => prepared?,
    };
    let Prepared { mut checkpoints, resumed, first, told, warnings } = prepared;
    // The lanes know better from now on, and ten thousand of them need the memory.
    (outcome.lanes, outcome.idle) = (Vec::new(), Recorded::new());
    let copies = copy(migration, (store, first), &mut checkpoints, &resumed, stop.clone(), observer).await;
    outcome.warnings.extend(warnings);
    outcome.warnings.extend(copy_warnings(&copies));
    for lane in &copies.lanes {
        checkpoints.insert(lane.at.clone(), lane.checkpoint.clone());
    }
    let mut copied: BTreeMap<TopicPartition, LaneOutcome> =
        copies.lanes.into_iter().map(|lane| (lane.at.clone(), LaneOutcome::from(lane))).collect();
    let lane = |lane: LaneOutcome| copied.remove(&lane.at).unwrap_or(lane);
    outcome.lanes = lanes_of(&checkpoints).into_iter().map(lane).collect();
    for lane in &mut outcome.lanes {
        lane.told = told.get(&lane.at).copied();
    }
    outcome.idle = idle_of(&checkpoints);
    if let Some(error) = copies.unstored {
        return Err(MigrateError::State(error));
    }
    outcome.interrupted = *stop.borrow() || outcome.lanes.iter().any(|lane| lane.end == LaneEnd::Stopped);
    if outcome.interrupted {
        return Ok(());
    }
    tokio::select! {
        biased;
        () = stopped(stop) => outcome.interrupted = true,
        ended = conclude(migration, store, observer, outcome, checkpoints) => ended?,
    }
    Ok(())
}

/// What is known before the copy begins.
struct Prepared {
    checkpoints: Recorded,
    resumed: BTreeSet<TopicPartition>,
    /// What must be durable before anything is sent.
    first: Vec<Entry>,
    /// The source offsets up to which a run that came to its end has told what was lost.
    told: BTreeMap<TopicPartition, Offset>,
    warnings: Vec<Warning>,
}

/// Takes up what the migration remembers, makes the topics, and says what is to be durable before anything is sent.
async fn prepare(
    migration: &Migration<'_>,
    store: &Store,
    observer: &mut dyn Observer,
) -> Result<Prepared, MigrateError> {
    let stored = store.load().await.map_err(MigrateError::State)?;
    let recorded = recall(&stored, &migration.fallback)?;
    let from_report: Vec<TopicPartition> = recorded.keys().filter(|at| !stored.contains_key(at)).cloned().collect();
    agenda::refuse(prepare::changes(migration.plan, (migration.source, migration.target), &recorded).await?)?;
    let agenda = Agenda::new(migration.plan, recorded, migration.choices.extend);
    if agenda.is_resumed() {
        observer.step(Step::Resuming(&agenda.recorded));
    }
    let Made { topics: made, found } = create_topics(migration, observer).await?;
    agenda::refuse(found::look(migration, &found, &agenda.new).await?)?;
    let warnings = made.iter().flat_map(refused_configs).collect();
    let created = prepare::created(&made);
    let new: Vec<TopicPartition> = agenda.new.iter().map(|lane| lane.at.clone()).collect();
    let topics: BTreeSet<TopicName> = new.iter().chain(agenda.recorded.keys()).map(|at| at.topic.clone()).collect();
    let ids = prepare::ids(migration.target, &topics).await?;
    let ends = prepare::target_ends(migration.target, &new).await?;
    let resumed: BTreeSet<TopicPartition> = agenda.recorded.keys().cloned().collect();
    let mut changed = agenda.extended;
    let mut checkpoints = agenda.recorded;
    changed.extend(from_report);
    let mut told = BTreeMap::new();
    if agenda::ended(&checkpoints).is_some() {
        told.extend(checkpoints.iter().map(|(at, checkpoint)| (at.clone(), checkpoint.next)));
    }
    // From here on the end is ahead again.
    let first = checkpoints.iter_mut().filter_map(|(at, checkpoint)| checkpoint.groups.take().map(|_| at.clone()));
    changed.extend(first);
    for lane in &agenda.new {
        let end = *ends.get(&lane.at).ok_or_else(|| MigrateError::NoTargetEnd { at: lane.at.clone() })?;
        let id = ids.get(&lane.at.topic).copied();
        checkpoints.insert(lane.at.clone(), prepare::begun(lane, end, id, &created));
        changed.insert(lane.at.clone());
    }
    let first = prepare::first_entries(migration, &mut checkpoints, &changed).await?;
    Ok(Prepared { checkpoints, resumed, first, told, warnings })
}

async fn create_topics(migration: &Migration<'_>, observer: &mut dyn Observer) -> Result<Made, MigrateError> {
    let missing = migration.plan.create();
    if missing.is_empty() {
        return Ok(Made::default());
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

/// Copies all lanes. Their checkpoints are theirs meanwhile, and come back with the result.
async fn copy(
    migration: &Migration<'_>,
    (store, first): (&Store, Vec<Entry>),
    checkpoints: &mut Recorded,
    resumed: &BTreeSet<TopicPartition>,
    stop: watch::Receiver<bool>,
    observer: &mut dyn Observer,
) -> Copies {
    let lanes = prepare::lanes(migration, checkpoints, resumed).await;
    let left = |lane: &LaneSetup| Span { start: lane.checkpoint.next, end: lane.checkpoint.span.end }.len();
    let records = lanes.iter().map(left).sum();
    observer.step(Step::Copying { lanes: lanes.len(), records });
    for lane in &lanes {
        checkpoints.remove(&lane.at);
    }
    let books = Books {
        store: store.clone(),
        first,
        others: checkpoints.iter().map(|(at, checkpoint)| (at.clone(), checkpoint.clone())).collect(),
        began_ms: migration.now_ms,
        host: migration.choices.holder.host.clone(),
    };
    let (source, target) = (migration.source.clone(), migration.target.clone());
    let engine = Engine::new(source, target, migration.choices.limits, books, lanes);
    engine.run(stop, &mut |progress, lanes| observer.progress(progress, lanes)).await
}

/// What happened on the way that the operator should know.
fn copy_warnings(copies: &Copies) -> Vec<Warning> {
    let truncated = copies.lanes.iter().flat_map(|lane| {
        lane.truncated.iter().map(|truncation| {
            let message = format!(
                "the target had acknowledged records up to {}, but its log ended at {}: what was lost was written again",
                truncation.expected, truncation.end
            );
            let advice = "look for an unclean leader election on the target";
            Warning::new(WarningCode::Truncated, message).at(&lane.at).advice(advice)
        })
    });
    let recut = copies.lanes.iter().flat_map(|lane| {
        lane.recut.iter().map(|offset| {
            let message = format!("from source offset {offset} on, batches could not be cut as they were journaled: the source has deleted or compacted some meanwhile");
            Warning::new(WarningCode::PlanChanged, message).at(&lane.at)
        })
    });
    let gone = copies.lanes.iter().filter_map(|lane| match &lane.end {
        LaneEnd::Failed(problem @ LaneProblem::NoTopic { .. }) => {
            Some(Warning::new(WarningCode::TopicMissing, problem.to_string()).at(&lane.at))
        }
        _ => None,
    });
    let unstamped = (copies.stamps_kept == Some(false)).then(|| {
        let message =
            "the target drops the producer's stamps: batches went one at a time, and only offsets tell what is there";
        Warning::new(WarningCode::StampsNotKept, message)
    });
    truncated.chain(recut).chain(gone).chain(unstamped).collect()
}

/// Proves what was copied, lets the groups go on, and finishes the topics.
async fn conclude(
    migration: &Migration<'_>,
    store: &Store,
    observer: &mut dyn Observer,
    outcome: &mut Outcome,
    checkpoints: Recorded,
) -> Result<(), MigrateError> {
    observer.step(Step::Verifying(migration.choices.verify));
    outcome.warnings.extend(proof::prove(migration, &mut outcome.lanes, observer).await?);
    outcome.warnings.extend(finish_topics(migration, &checkpoints, &outcome.lanes).await);
    if !migration.choices.translate_offsets {
        return end(migration, store, outcome, checkpoints, groups::NO_PRINT).await;
    }
    observer.step(Step::Groups(migration.plan.groups().len()));
    let (ended, warnings) = groups::commit(
        migration.source,
        migration.target,
        migration.plan.groups(),
        moved(migration, &checkpoints, &outcome.lanes),
        Replaces { own: migration.choices.extend, others: migration.choices.overwrite_offsets },
    )
    .await;
    outcome.warnings.extend(warnings);
    outcome.groups = ended;
    let kept = outcome.groups.iter().any(|ended| ended.outcome == GroupOutcome::Kept);
    end(migration, store, outcome, checkpoints, groups::print(migration.plan.groups(), kept)).await
}

/// Remembers that nothing is left to do, if that is so.
async fn end(
    migration: &Migration<'_>,
    store: &Store,
    outcome: &Outcome,
    mut checkpoints: Recorded,
    print: u32,
) -> Result<(), MigrateError> {
    let done = outcome.lanes.iter().all(|lane| lane.verified.is_some())
        && outcome.groups.iter().all(|ended| !ended.outcome.is_refusal());
    if done && let Some((at, first)) = checkpoints.iter_mut().next() {
        first.groups = Some(print);
        let entry = first.entry(at, migration.now_ms, &migration.choices.holder.host);
        store.commit(vec![entry]).await.map_err(MigrateError::State)?;
    }
    Ok(())
}

/// The partitions that groups may go on in.
fn moved(migration: &Migration<'_>, checkpoints: &Recorded, lanes: &[LaneOutcome]) -> Vec<Moved> {
    let proved: BTreeSet<&TopicPartition> =
        lanes.iter().filter(|lane| lane.verified.is_some()).map(|lane| &lane.at).collect();
    let moved = migration.plan.partitions().iter().filter_map(|lane| {
        let checkpoint = checkpoints.get(&lane.at)?;
        Some(Moved::new(checkpoint, lane, checkpoint.span.is_empty() || proved.contains(&lane.at)))
    });
    moved.collect()
}

/// Sets what created topics get once they are filled: a topic that stamps its own time would have replaced the records'.
async fn finish_topics(migration: &Migration<'_>, checkpoints: &Recorded, lanes: &[LaneOutcome]) -> Option<Warning> {
    let filled = |topic: &TopicName| {
        let mut own = lanes.iter().filter(|lane| lane.at.topic == *topic);
        own.all(|lane| lane.end == LaneEnd::Copied)
    };
    let created = checkpoints.iter().filter_map(|(at, checkpoint)| Some((&at.topic, checkpoint.created.as_ref()?)));
    let late = created.filter(|(topic, created)| !created.finish.is_empty() && filled(topic));
    let late: BTreeMap<_, _> = late.map(|(topic, created)| (topic.clone(), created.finish.clone())).collect();
    let error = topics::finish(migration.target, &late).await.err()?;
    let advice = error.advice().unwrap_or_default();
    Some(Warning::new(WarningCode::ConfigLeftOut, error.to_string()).advice(advice))
}
