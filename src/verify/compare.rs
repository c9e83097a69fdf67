//! Compares many partitions, several at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::comparison::{Census, Comparison, Next, Passed, Unreadable};
use super::extent::Extent;
use super::fate::{Gone, is_missing};
use super::findings::{Findings, Verdict, VerifyError, What};
use super::level::Level;
use super::offsets::{Tail, offsets_differ};
use super::reader::{Read, Reader};
use super::sequence::Losses;
use crate::cluster::{Cluster, ClusterError, Edge};
use crate::kafka::{Offset, Side, TopicId, TopicName, TopicPartition};

/// How often the caller is told how far it is.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// Passes over a partition: one, one more where the source has lost records, and some where it goes on to.
const PASSES: u32 = 4;

/// The least and the most bytes to ask a broker for at a time.
const READ: (usize, usize) = (64 << 10, 1 << 20);

/// Answers of both sides that a partition may hold: what was read last, and what is being read.
const HELD: usize = 4;

/// Connections to each broker that the partitions are spread over.
const CONNECTIONS: u16 = 4;

/// Partitions that are usually compared at a time.
pub const PARALLELISM: usize = 8;

/// How a comparison is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// How closely.
    pub level: Level,
    /// Bytes of what was read that may be held at a time; what a batch takes when it is decompressed comes on top.
    pub memory: usize,
    /// Partitions at a time.
    pub parallelism: usize,
    /// Whether others may have written behind what the copy wrote.
    pub tail: Tail,
}

/// How far a comparison is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Progress {
    /// Records that were compared, or found to be gone.
    pub done: i64,
    /// All records.
    pub total: i64,
    /// Partitions that are done.
    pub partitions_done: usize,
    /// All partitions.
    pub partitions: usize,
}

/// Compares what the source holds with what the target holds, partition by partition; a verdict for each extent, in their
/// order. When `stop` turns true, it ends at once, and what was not compared says so.
pub async fn compare(
    source: &Cluster,
    target: &Cluster,
    extents: Vec<Extent>,
    options: Options,
    mut stop: watch::Receiver<bool>,
    tell: &mut (dyn FnMut(&Progress) + Send),
) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = extents.iter().map(stopped).collect();
    let total = extents.iter().map(|extent| extent.target.len()).sum();
    let mut progress = Progress { total, partitions: extents.len(), ..Progress::default() };
    let prepared = tokio::select! {
        biased;
        Ok(_) = stop.wait_for(|stop| *stop) => return verdicts,
        prepared = prepare(source, target, extents, options) => prepared,
    };
    let mut waiting: VecDeque<(usize, Prepared)> = prepared.into_iter().enumerate().collect();
    let done = Arc::new(AtomicI64::new(0));
    let share = options.memory / options.parallelism.max(1) / HELD;
    let bytes = share.clamp(READ.0, READ.1);
    let most = options.parallelism.min(options.memory / HELD / READ.0).max(1);
    let mut tasks = JoinSet::new();
    let mut tick = tokio::time::interval(TELL_EVERY);
    loop {
        while tasks.len() < most
            && let Some((index, prepared)) = waiting.pop_front()
        {
            let used = u16::try_from(index).unwrap_or_default() % CONNECTIONS;
            let work = Work { source: source.clone(), target: target.clone(), level: options.level, bytes, used };
            let done = Arc::clone(&done);
            tasks.spawn(async move { (index, work.partition(prepared, &done).await) });
        }
        tokio::select! {
            biased;
            Ok(_) = stop.wait_for(|stop| *stop) => return verdicts,
            ended = tasks.join_next() => match ended {
                None => break,
                Some(Ok((index, verdict))) => {
                    progress.partitions_done += 1;
                    if let Some(place) = verdicts.get_mut(index) {
                        *place = verdict;
                    }
                }
                Some(Err(error)) => {
                    if let Ok(panic) = error.try_into_panic() {
                        std::panic::resume_unwind(panic);
                    }
                }
            },
            _ = tick.tick() => {}
        }
        progress.done = done.load(Ordering::Relaxed);
        tell(&progress);
    }
    verdicts
}

fn stopped(extent: &Extent) -> Verdict {
    let error = Some(VerifyError::Stopped { at: extent.at.clone() });
    Verdict { at: extent.at.clone(), level: None, findings: Findings::default(), error }
}

/// An extent and what is known of both logs.
struct Prepared {
    extent: Extent,
    /// What the numbers alone tell.
    findings: Findings,
    work: Result<Todo, ClusterError>,
}

/// What is left to compare.
enum Todo {
    /// Nothing: the target's topic is not the one that was written.
    Nothing,
    /// Nothing: the numbers are all that is wanted, or can be had.
    Numbers,
    /// Both logs, of which the source's and the target's have lost this much.
    Records([Losses; 2]),
}

type Ends = BTreeMap<TopicPartition, Result<Offset, ClusterError>>;

async fn ends(cluster: &Cluster, edge: Edge, partitions: &[TopicPartition]) -> Ends {
    let listed = cluster.list_offsets(edge, partitions).await;
    listed.into_iter().map(|(at, listed)| (at, listed.map(|listed| listed.offset))).collect()
}

/// Which topics have a cleaner. Where it may not be known, a gap in the log is enough to think so.
async fn compacted(cluster: &Cluster, topics: &[TopicName]) -> BTreeMap<TopicName, bool> {
    const POLICY: &str = "cleanup.policy";
    let configs = cluster.topic_configs(topics, Some(&[POLICY])).await;
    let policy = |configs: &crate::cluster::Configs| {
        let value = configs.get(POLICY).and_then(|entry| entry.value.as_deref());
        value.is_none_or(|policies| policies.split(',').any(|policy| policy.trim() == "compact"))
    };
    configs.into_iter().map(|(topic, configs)| (topic, configs.as_ref().map_or(true, policy))).collect()
}

async fn prepare(source: &Cluster, target: &Cluster, extents: Vec<Extent>, options: Options) -> Vec<Prepared> {
    let partitions: Vec<TopicPartition> = extents.iter().map(|extent| extent.at.clone()).collect();
    let target_ids = ids(target, &extents, |extent| extent.target_id).await;
    let mut target_ends = ends(target, Edge::HighWatermark, &partitions).await;
    let mut known = match options.level {
        Level::Offsets => None,
        Level::Digest | Level::Records => Some(Known::look(source, target, &extents, &partitions).await),
    };
    let one = |extent: Extent| {
        let mut findings = Findings::default();
        let mut look = || {
            let now = target_ids.as_ref().map_err(Clone::clone)?.get(&extent.at.topic).copied();
            let missing = is_missing(target_ends.get(&extent.at));
            if let Some(gone) = Gone::of(Side::Target, extent.target_id, now, missing) {
                findings.differs(Some(extent.source.start), Some(extent.target.start), What::Gone(gone));
                return Ok(Todo::Nothing);
            }
            let log_end = end(&mut target_ends, target, &extent.at)?;
            if let Some(what) = offsets_differ(&extent, log_end, options.tail) {
                findings.differs(None, Some(log_end), What::Offsets(what));
            }
            let Some(known) = &mut known else { return Ok(Todo::Numbers) };
            findings.source_gone = known.source_gone(&extent)?;
            if findings.source_gone.is_some() {
                findings.unverifiable = extent.target.len();
                return Ok(Todo::Numbers);
            }
            known.losses(source, target, &extent.at, log_end).map(Todo::Records)
        };
        let work = look();
        Prepared { extent, findings, work }
    };
    extents.into_iter().map(one).collect()
}

type Ids = Result<BTreeMap<TopicName, TopicId>, ClusterError>;

/// The ids that topics have now, as far as one was recorded.
async fn ids(cluster: &Cluster, extents: &[Extent], recorded: fn(&Extent) -> Option<TopicId>) -> Ids {
    let known = extents.iter().filter(|extent| recorded(extent).is_some());
    let topics: BTreeSet<TopicName> = known.map(|extent| extent.at.topic.clone()).collect();
    if topics.is_empty() { Ok(BTreeMap::new()) } else { cluster.topic_ids(&topics).await }
}

fn end(ends: &mut Ends, cluster: &Cluster, at: &TopicPartition) -> Result<Offset, ClusterError> {
    ends.remove(at).unwrap_or_else(|| Err(cluster.unanswered(at)))
}

/// What is looked up before both sides are read.
struct Known {
    source_ids: Ids,
    source_starts: Ends,
    source_ends: Ends,
    target_starts: Ends,
    source_compacted: BTreeMap<TopicName, bool>,
    target_compacted: BTreeMap<TopicName, bool>,
}

impl Known {
    async fn look(source: &Cluster, target: &Cluster, extents: &[Extent], partitions: &[TopicPartition]) -> Self {
        let topics: BTreeSet<TopicName> = partitions.iter().map(|at| at.topic.clone()).collect();
        let topics: Vec<TopicName> = topics.into_iter().collect();
        Self {
            source_ids: ids(source, extents, |extent| extent.source_id).await,
            source_starts: ends(source, Edge::Earliest, partitions).await,
            source_ends: ends(source, Edge::Latest, partitions).await,
            target_starts: ends(target, Edge::Earliest, partitions).await,
            source_compacted: compacted(source, &topics).await,
            target_compacted: compacted(target, &topics).await,
        }
    }

    fn source_gone(&self, extent: &Extent) -> Result<Option<Gone>, ClusterError> {
        let now = self.source_ids.as_ref().map_err(Clone::clone)?.get(&extent.at.topic).copied();
        let missing = is_missing(self.source_ends.get(&extent.at));
        Ok(Gone::of(Side::Source, extent.source_id, now, missing))
    }

    fn losses(
        &mut self,
        source: &Cluster,
        target: &Cluster,
        at: &TopicPartition,
        target_end: Offset,
    ) -> Result<[Losses; 2], ClusterError> {
        let is = |compacted: &BTreeMap<TopicName, bool>| compacted.get(&at.topic).copied().unwrap_or(true);
        let source = Losses {
            compacted: is(&self.source_compacted),
            start: end(&mut self.source_starts, source, at)?,
            end: end(&mut self.source_ends, source, at)?,
        };
        let target = Losses {
            compacted: is(&self.target_compacted),
            start: end(&mut self.target_starts, target, at)?,
            end: target_end,
        };
        Ok([source, target])
    }
}

/// The comparison of one partition.
struct Work {
    source: Cluster,
    target: Cluster,
    level: Level,
    bytes: usize,
    used: u16,
}

impl Work {
    async fn partition(&self, prepared: Prepared, done: &AtomicI64) -> Verdict {
        let Prepared { extent, mut findings, work } = prepared;
        let done_all = || done.fetch_add(extent.target.len(), Ordering::Relaxed);
        let (level, error) = match work {
            Err(error) => (None, Some(VerifyError::Cluster(error))),
            Ok(Todo::Nothing) => {
                done_all();
                (None, None)
            }
            Ok(Todo::Numbers) => {
                done_all();
                if findings.differences() == 0 {
                    findings.same = extent.target.len() - findings.unverifiable;
                }
                (Some(Level::Offsets), None)
            }
            Ok(Todo::Records(losses)) => match self.passes(&extent, losses, done).await {
                Err(error) => (None, Some(error)),
                Ok(mut found) => {
                    found.put_first(findings);
                    findings = found;
                    (Some(self.level), None)
                }
            },
        };
        Verdict { at: extent.at, level, findings, error }
    }

    async fn passes(&self, extent: &Extent, losses: [Losses; 2], done: &AtomicI64) -> Result<Findings, VerifyError> {
        let mut census = None;
        let mut told = 0;
        for _ in 0..PASSES {
            let tell = &mut |count: i64| {
                done.fetch_add((count - told).max(0), Ordering::Relaxed);
                told = told.max(count);
            };
            match self.pass(extent, losses, census, tell).await? {
                Passed::Compared(found) => {
                    tell(extent.target.len());
                    return Ok(found);
                }
                Passed::Counted(counted) => census = Some(counted),
            }
        }
        Err(VerifyError::Changing { at: extent.at.clone() })
    }

    async fn pass(
        &self,
        extent: &Extent,
        losses: [Losses; 2],
        census: Option<Census>,
        tell: &mut (dyn FnMut(i64) + Send),
    ) -> Result<Passed, VerifyError> {
        let mut comparison = Comparison::new(extent, self.level, losses, census);
        let mut source = Reader::new(&self.source, extent, losses[0], self.bytes, self.used);
        let mut target = Reader::new(&self.target, extent, losses[1], self.bytes, self.used);
        loop {
            let next = comparison.advance().map_err(|Unreadable { side, cause }| {
                let at = extent.at.clone();
                VerifyError::Corrupt { at, side, cause }
            })?;
            if next == Next::Done {
                return Ok(comparison.finish());
            }
            let hungry = [Side::Source, Side::Target].map(|side| comparison.is_hungry(side));
            let (from_source, from_target) =
                tokio::join!(read_if(hungry[0], &mut source), read_if(hungry[1], &mut target));
            feed(&mut comparison, Side::Source, from_source?);
            feed(&mut comparison, Side::Target, from_target?);
            tell(comparison.findings().done());
        }
    }
}

async fn read_if(wanted: bool, reader: &mut Reader<'_>) -> Result<Option<Read>, VerifyError> {
    if wanted { reader.read().await.map(Some) } else { Ok(None) }
}

fn feed(comparison: &mut Comparison, side: Side, read: Option<Read>) {
    let Some(Read { parts, ended, start }) = read else { return };
    let sequence = comparison.side(side);
    sequence.losses.start = start;
    sequence.push(parts);
    if ended {
        sequence.end();
    }
}
