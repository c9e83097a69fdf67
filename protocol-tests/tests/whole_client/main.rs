//! The whole client in a simulated world: connections, coordinators, the lock, the state, the engine, groups and
//! verification, over pipes and with a clock that jumps. Brokers die, connections are cut at any byte, answers come late,
//! wrong or never, and the process is killed again and again; in the end everything is there once and in order.
//!
//! `KFERRY_SEEDS=10000` runs more seeds than usual, `KFERRY_SEED=17` only one.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "all of this file is tests and their helpers"
)]

mod beside;
mod far;
mod rate;
mod wires;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use kferry::cluster::{Cluster, Options};
use kferry::config::{Endpoint, Filter, Selection, TopicSettings, Undecided, Ungrouped};
use kferry::copy::{Lanes, Limits, Progress};
use kferry::kafka::{HostPort, Side};
use kferry::migrate::{Choices, Ended, Migration, Observer, Outcome, Recorded, Step, Stop};
use kferry::plan::survey::{Reached, survey};
use kferry::plan::{Rules, plan};
use kferry::state::{Clock, Holder};
use kferry::verify::Level;
use protocol_tests::broker::batch::{OVERHEAD, walk};
use protocol_tests::broker::{Action, Codec, Core, NewRecord, Piped, RecordBatchBuilder, Rule, Version};
use protocol_tests::simulation::dice::Dice;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use wires::{Pipes, Wires};

/// Seeds that are run where nothing else is asked for.
const SEEDS: u64 = 60;
/// When the world begins, ms since 1970.
const BEGIN: i64 = 1_790_000_000_000;
const PARTITIONS: i32 = 3;
const NODES: usize = 3;
/// Slow enough that much goes wrong before the end.
const LIMITS: Limits = Limits { memory: 8 << 20, rate: Some(40_000) };

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

#[test]
fn every_record_arrives_once_and_in_order_whatever_happens_to_the_whole_client() {
    let seeds = match number("KFERRY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("KFERRY_SEEDS").unwrap_or(SEEDS),
    };
    let mut met = Met::default();
    for seed in seeds {
        met.add(&simulate(seed));
    }
    eprintln!("{met:?}");
    if number("KFERRY_SEED").is_none() {
        assert!(met.killed > 0 && met.done > 0 && met.failed > 0 && met.cut > 0, "{met:?}");
    }
}

#[test]
fn a_seed_happens_the_same_way_every_time() {
    for seed in 0..3 {
        assert_eq!(simulate(seed).trace, simulate(seed).trace, "seed {seed}");
    }
}

/// What happened in one world, or in all.
#[derive(Default)]
struct Met {
    killed: u32,
    done: u32,
    failed: u32,
    cut: u32,
    trace: Vec<String>,
}

impl fmt::Debug for Met {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { killed, done, failed, cut, .. } = self;
        write!(f, "{killed} killed, {done} done, {failed} failed, {cut} connections cut")
    }
}

impl Met {
    fn add(&mut self, other: &Self) {
        self.killed += other.killed;
        self.done += other.done;
        self.failed += other.failed;
        self.cut += other.cut;
    }

    fn note(&mut self, what: impl fmt::Display) {
        if number("KFERRY_SEED").is_some() {
            eprintln!("{what}");
        }
        self.trace.push(what.to_string());
    }
}

fn simulate(seed: u64) -> Met {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async { World::new(seed).live().await })
}

/// Both clusters and the way to them.
struct World {
    seed: u64,
    begun: Instant,
    dice: Dice,
    source: Arc<Piped>,
    target: Arc<Piped>,
    wires: Arc<Mutex<Wires>>,
    start: [i64; PARTITIONS as usize],
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let versions = [Version::V4_1, Version::V2_8];
        let mut source = named(Core::new(dice.one_of(&versions), 2, BEGIN), "source");
        let mut target = named(Core::new(dice.one_of(&versions), NODES, BEGIN), "target");
        target.set_broker_config("min.insync.replicas", "2");
        let start = fill(&mut source, &mut dice);
        Self { start, dice, ..Self::of(seed, source, target) }
    }

    /// Two clusters that were prepared before.
    fn of(seed: u64, source: Core, target: Core) -> Self {
        let wires = Wires { dice: Dice::new(seed ^ 0x5eed), cuts: 0, cut: 0, way: None, carriers: JoinSet::new() };
        Self {
            seed,
            begun: Instant::now(),
            source: Arc::new(Piped::new(source, BEGIN)),
            target: Arc::new(Piped::new(target, BEGIN)),
            wires: Arc::new(Mutex::new(wires)),
            dice: Dice::new(seed),
            start: [0; PARTITIONS as usize],
        }
    }

    /// Lets both clusters answer. The set is to be kept as long as they should.
    fn serve(&self) -> JoinSet<()> {
        let mut served = JoinSet::new();
        for cluster in [&self.source, &self.target] {
            let cluster = Arc::clone(cluster);
            served.spawn(async move { cluster.serve().await });
        }
        served
    }

    /// Runs the migration again and again while everything goes wrong, then once more in peace.
    async fn live(mut self) -> Met {
        let mut met = Met::default();
        let _served = self.serve();
        let attempts = self.dice.between(1, 5);
        self.wires.lock().unwrap_or_else(PoisonError::into_inner).cuts = self.dice.one_of(&[0, 2, 4, 10]);
        for attempt in 0..attempts {
            let kill = self.dice.one_of(&[3_000, 12_000, 60_000, 400_000]);
            let kill = self.dice.ms(500, kill);
            let mut gremlins = Gremlins::new(&self, self.seed.wrapping_mul(31).wrapping_add(attempt as u64));
            let take_over = self.dice.once_in(2);
            let ended = tokio::select! {
                biased;
                ended = Box::pin(self.run(take_over, LIMITS)) => Some(ended),
                () = sleep(kill) => None,
                () = gremlins.work() => None,
            };
            match &ended {
                None => met.killed += 1,
                Some(Ok(outcome)) if outcome.ended() == Ended::Done => met.done += 1,
                Some(_) => met.failed += 1,
            }
            met.note(format!("{:?}: {}", self.begun.elapsed(), told(ended.as_ref())));
        }
        self.peace();
        // What is late arrives, and a lock that nobody holds any more ends.
        sleep(Duration::from_secs(60)).await;
        let last = self.run(true, LIMITS).await.unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
        assert_eq!(last.ended(), Ended::Done, "seed {}: {:?}", self.seed, last.problem());
        met.note(told(Some(&Ok(last))));
        self.judge();
        met.cut = self.wires.lock().unwrap_or_else(PoisonError::into_inner).cut;
        met
    }

    /// Nothing goes wrong any more.
    fn peace(&self) {
        self.wires.lock().unwrap_or_else(PoisonError::into_inner).cuts = 0;
        for (cluster, nodes) in [(&self.source, 2), (&self.target, NODES as i32)] {
            cluster.with_core(|core| {
                core.faults.clear();
                (1..=nodes).for_each(|node| core.start_node(node));
                (1..=nodes).for_each(|node| core.set_following(node, true));
            });
        }
    }

    /// One process.
    async fn run(&self, take_over: bool, limits: Limits) -> Result<Outcome, String> {
        let (source, target) = (self.connect(Side::Source).await?, self.connect(Side::Target).await?);
        let filter = || Filter::new(&["*".to_owned()], &[]).expect("a filter");
        let selection = Selection { groups: filter(), topics: filter() };
        let topics = TopicSettings { create: true, replication_factor: None, recompress: None };
        let rules = Rules {
            name: "night",
            selection: &selection,
            ungrouped: Ungrouped::Skip,
            undecided: Undecided::Earliest,
            topics: &topics,
            translate_offsets: true,
        };
        let now = BEGIN + i64::try_from(self.begun.elapsed().as_millis()).expect("a time");
        let from = Reached { cluster: &source.0, endpoint: &source.1 };
        let to = Reached { cluster: &target.0, endpoint: &target.1 };
        let seen = survey(from, to, &rules, now).await.map_err(|error| error.to_string())?;
        let plan = plan(&seen, &rules);
        let choices = Choices {
            limits,
            recompress: None,
            skip_corrupt: false,
            late_bound: Duration::from_secs(15),
            translate_offsets: true,
            overwrite_offsets: false,
            extend: false,
            take_over,
            verify: Level::Records,
            holder: Holder { host: "simulated".to_owned(), pid: 1 },
            clock: Arc::new(Virtual(self.begun)),
        };
        let clusters = (&source.0, &target.0);
        let permits = [].into();
        let migration = Migration::new("night", clusters, &plan, &permits, (choices, Recorded::new()), now).await;
        let migration = migration.map_err(|error| error.to_string())?;
        let (_go_on, stop) = watch::channel(Stop::GoOn);
        let outcome = kferry::migrate::run(migration, stop, &mut Nobody).await;
        outcome.failure.as_ref().map(ToString::to_string).map_or(Ok(outcome), Err)
    }

    async fn connect(&self, side: Side) -> Result<(Cluster, Endpoint), String> {
        let cluster = match side {
            Side::Source => Arc::clone(&self.source),
            Side::Target => Arc::clone(&self.target),
        };
        let bootstrap = vec![
            HostPort { host: format!("{side}-1"), port: 9092 },
            HostPort { host: format!("{side}-2"), port: 9092 },
        ];
        let dial = Arc::new(Pipes { cluster, wires: Arc::clone(&self.wires) });
        let options = Options { seed: self.seed, ..Options::default() };
        let cluster = Cluster::connect(side, dial, &bootstrap, options).await.map_err(|error| error.to_string())?;
        Ok((cluster, Endpoint { bootstrap }))
    }

    /// Every record that was to move is there once and in order, and the group goes on with its first.
    fn judge(&self) {
        for (partition, start) in (0..PARTITIONS).zip(self.start) {
            let wanted: Vec<Bytes> = self.source.with_core(|core| values(core, partition)).split_off(start as usize);
            let found = self.target.with_core(|core| values(core, partition));
            assert!(
                wanted == found,
                "seed {}, partition {partition}: {} records wanted, {} found",
                self.seed,
                wanted.len(),
                found.len()
            );
            let offset = self.target.with_core(|core| core.committed("g", "t", partition).map(|commit| commit.offset));
            assert_eq!(offset, Some(0), "seed {}, partition {partition}", self.seed);
        }
    }
}

fn told(ended: Option<&Result<Outcome, String>>) -> String {
    match ended {
        None => "killed".to_owned(),
        Some(Ok(outcome)) => format!("{:?}, {} records, {:?}", outcome.ended(), outcome.records(), outcome.problem()),
        Some(Err(error)) => error.clone(),
    }
}

fn named(mut core: Core, name: &str) -> Core {
    core.cluster_id = name.to_owned();
    for (id, node) in &mut core.nodes {
        node.host = format!("{name}-{id}");
    }
    core
}

/// Writes the source's records; where the group reads on in each partition.
fn fill(core: &mut Core, dice: &mut Dice) -> [i64; PARTITIONS as usize] {
    core.create_topic("t", PARTITIONS, &[]).expect("a topic");
    let age = dice.one_of(&[60_000, 60_000, 2 * 24 * 3_600_000]);
    let mut start = [0; PARTITIONS as usize];
    for (partition, start) in (0..PARTITIONS).zip(&mut start) {
        let mut next = 0;
        for _ in 0..dice.between(5, 60) {
            let (count, size) = (dice.between(1, 30), dice.one_of(&[10, 100, 4_000]));
            let record = |offset: i64| NewRecord::new(BEGIN - age + offset, "k", value(partition, offset, size));
            let batch = RecordBatchBuilder::new().records((next..next + count).map(record)).build();
            assert!(core.append("t", partition, batch));
            next += count;
        }
        *start = dice.between(0, next);
        core.commit("g", "t", partition, *start);
    }
    start
}

fn value(partition: i32, offset: i64, size: usize) -> Vec<u8> {
    let mut value = format!("{partition}/{offset}:").into_bytes();
    value.resize(value.len() + size, b'v');
    value
}

/// The values in a partition's log, in order.
fn values(core: &Core, partition: i32) -> Vec<Bytes> {
    let log = &core.partition("t", partition).expect("a partition").log;
    let mut values = Vec::new();
    for batch in log.batches() {
        let codec = Codec::from_id(batch.header.codec()).expect("a codec");
        let payload = codec.decompress(&batch.bytes[OVERHEAD..]).expect("records");
        for record in walk(&payload, batch.header.count).expect("records") {
            values.push(Bytes::copy_from_slice(record.value.unwrap_or_default()));
        }
    }
    values
}

/// Whatever goes wrong with the clusters while a process runs.
struct Gremlins {
    dice: Dice,
    source: Arc<Piped>,
    target: Arc<Piped>,
    pace: u64,
}

const APIS: [ApiKey; 12] = [
    ApiKey::Produce,
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::OffsetCommit,
    ApiKey::OffsetCommit,
    ApiKey::Heartbeat,
    ApiKey::JoinGroup,
    ApiKey::SyncGroup,
    ApiKey::Metadata,
    ApiKey::ListOffsets,
    ApiKey::FindCoordinator,
    ApiKey::InitProducerId,
];

impl Gremlins {
    fn new(world: &World, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let pace = dice.one_of(&[300, 2_000, 10_000]);
        Self { dice, source: Arc::clone(&world.source), target: Arc::clone(&world.target), pace }
    }

    async fn work(&mut self) {
        loop {
            let pause = self.dice.ms(10, self.pace);
            sleep(pause).await;
            match self.dice.below(8) {
                0 => self.node_down().await,
                1 => self.follower_down().await,
                2 => self.leader_moves(),
                _ => self.request_fails(),
            }
        }
    }

    fn cluster(&mut self) -> (Arc<Piped>, i64) {
        if self.dice.once_in(3) { (Arc::clone(&self.source), 2) } else { (Arc::clone(&self.target), NODES as i64) }
    }

    async fn node_down(&mut self) {
        let (cluster, nodes) = self.cluster();
        let node = self.dice.between(1, nodes) as i32;
        cluster.with_core(|core| core.stop_node(node));
        let pause = self.dice.ms(100, 20_000);
        sleep(pause).await;
        cluster.with_core(|core| core.start_node(node));
    }

    async fn follower_down(&mut self) {
        let node = self.dice.between(1, NODES as i64) as i32;
        self.target.with_core(|core| core.set_following(node, false));
        let pause = self.dice.ms(100, 15_000);
        sleep(pause).await;
        self.target.with_core(|core| core.set_following(node, true));
    }

    fn leader_moves(&mut self) {
        let (cluster, nodes) = self.cluster();
        let (partition, node) =
            (self.dice.between(0, i64::from(PARTITIONS) - 1) as i32, self.dice.between(1, nodes) as i32);
        cluster.with_core(|core| {
            // A replica that is not in sync would lose what was acknowledged: that is for the other simulation.
            let in_sync = core.partition("t", partition).is_some_and(|found| found.isr.contains(&node));
            if in_sync && core.nodes[&node].up {
                core.elect("t", partition, node);
            }
        });
    }

    fn request_fails(&mut self) {
        let (cluster, _) = self.cluster();
        let api = self.dice.one_of(&APIS);
        let action = match self.dice.below(7) {
            0 => Action::CutBefore,
            1 => Action::CutAfter,
            2 => Action::DelayRequest(self.dice.between(1, 14_000)),
            3 => Action::DelayReply(self.dice.between(1, 40_000)),
            4 => Action::Raw(Bytes::from_static(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
            5 => Action::Hold,
            _ => Action::CutAfter,
        };
        let skip = self.dice.below(4) as u32;
        cluster.with_core(|core| core.faults.add(Rule::api(api).after(skip), action));
    }
}

/// The runtime's clock.
#[derive(Debug)]
struct Virtual(Instant);

impl Clock for Virtual {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Nobody watches.
struct Nobody;

impl Observer for Nobody {
    fn step(&mut self, step: Step<'_>) {
        if number("KFERRY_SEED").is_some() {
            eprintln!("    {}", format!("{step:?}").chars().take(60).collect::<String>());
        }
    }

    fn progress(&mut self, _: &Progress, _: Lanes<'_>) {}
}
