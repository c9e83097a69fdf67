//! Time, and what happens in it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use kferry::batch::{Joining, Rules};
use kferry::copy::{Event, Lane, LaneEnd, LaneSetup, Patience, Tail};
use kferry::kafka::{Offset, ProducerEpoch, ProducerId};
use kferry::state::{Checkpoint, Writer, encode};

use super::books::{Fate, at};
use super::client::{EVERY, Process, Slot, Stamps, patience};
use super::coverage::Coverage;
use super::dice::Dice;
use super::faults::Plan;
use super::judge::{is_final, judge};
use super::source::{Age, Source};
use super::target::{Era, Target};
use super::wires::Wire;

/// How late a request of a closed connection may still reach the log.
pub(super) const LATE_BOUND: Duration = Duration::from_secs(15);
/// When the simulation begins, ms since 1970.
const BEGIN_MS: i64 = 1_760_000_000_000;
/// Records older than this count as old: the program's figure, ms.
const PRODUCER_EXPIRY: i64 = 23 * 60 * 60 * 1000;
/// More events than any seed needs.
const EVENTS: usize = 50_000;
/// More processes than any seed needs.
const RUNS: u32 = 40;

/// What happens at a time.
#[derive(Debug)]
pub(super) enum What {
    Start,
    Wake { run: u32, lane: usize },
    Progress { run: u32 },
    GiveUp { run: u32 },
    Fetch { run: u32, lane: usize, from: Offset, beyond: bool },
    Tell { run: u32, lane: usize, event: Event },
    Leader { run: u32, lane: usize },
    Connected { run: u32, lane: usize },
    Deadline { run: u32, lane: usize, request: u64 },
    LookMark { run: u32, lane: usize, settles: bool },
    LookEnd { run: u32, lane: usize, settles: bool, mark: i64 },
    LookLast { run: u32, lane: usize, settles: bool, mark: i64, end: i64 },
    Looked { run: u32, lane: usize, settles: bool, tail: Option<Tail> },
    Commit { run: u32 },
    Committed { run: u32, fails: bool },
    Arrives { wire: u64 },
    Late { lane: usize, node: i32, batch: Bytes },
    Answer { wire: u64, code: i16, base: i64 },
    Broke { wire: u64 },
    Poll,
    FollowersUp { lane: usize },
    Elect { lane: usize },
    NodeUp { lane: usize, node: i32 },
}

impl What {
    /// The process whose business it is; `None` for what happens whether one runs or not.
    const fn run(&self) -> Option<u32> {
        match self {
            Self::Wake { run, .. }
            | Self::Progress { run }
            | Self::GiveUp { run }
            | Self::Fetch { run, .. }
            | Self::Tell { run, .. }
            | Self::Leader { run, .. }
            | Self::Connected { run, .. }
            | Self::Deadline { run, .. }
            | Self::LookMark { run, .. }
            | Self::LookEnd { run, .. }
            | Self::LookLast { run, .. }
            | Self::Looked { run, .. }
            | Self::Commit { run }
            | Self::Committed { run, .. } => Some(*run),
            _ => None,
        }
    }
}

/// What a seed decides once for all.
#[derive(Debug)]
pub(super) struct Setup {
    era: Era,
    joining: Joining,
    pub(super) fetch_bytes: usize,
    /// The longest that anything takes when all is well, ms.
    slow: u64,
}

/// Both sides of a lane.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) source: Source,
    pub(super) target: Target,
}

/// A source, a target, a state, and at most one process at a time that copies.
#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Duration,
    queue: BTreeMap<(Duration, u64), What>,
    serial: u64,
    pub(super) dice: Dice,
    pub(super) setup: Setup,
    pub(super) plan: Plan,
    pub(super) sides: Vec<Side>,
    pub(super) wires: BTreeMap<u64, Wire>,
    /// Brokers that stand still, by lane and node, and until when.
    pub(super) stuck: BTreeMap<(usize, i32), Duration>,
    /// The state, as it is durable.
    pub(super) stored: Vec<String>,
    pub(super) fate: Fate,
    pub(super) process: Option<Process>,
    runs: u32,
    /// How each lane ended when it last did.
    pub(super) ends: Vec<Option<LaneEnd>>,
    pub(super) ready: BTreeSet<usize>,
    pub(super) coverage: Coverage,
    pub(super) violation: Option<String>,
    trace: Option<Vec<String>>,
}

impl World {
    /// The world of a seed, in which nothing has happened yet.
    pub(super) fn new(seed: u64, traced: bool) -> Self {
        let mut dice = Dice::new(seed);
        let era = dice.one_of(&[Era::V0_11, Era::V1_1, Era::V2_8, Era::V4_1, Era::V4_1]);
        let nodes = dice.one_of(&[1, 3, 3]);
        let drops_stamps = dice.once_in(16);
        let small = Joining { tiny: 150, tiny_compressed: 0, largest: 400, full: 600 };
        let setup = Setup {
            era,
            joining: dice.one_of(&[Joining::NEVER, small, Joining::default()]),
            fetch_bytes: dice.one_of(&[200, 600, 3_000]),
            slow: dice.one_of(&[5, 50, 1_000]),
        };
        let plan = Plan::new(&mut dice, drops_stamps);
        let age = dice.one_of(&[Age::Recent, Age::Recent, Age::Old, Age::Mixed, Age::Verge]);
        let side = |dice: &mut Dice| Side {
            source: Source::new(dice, BEGIN_MS, age),
            target: Target::new(dice, BEGIN_MS, era, nodes, drops_stamps),
        };
        let sides: Vec<Side> = (0..dice.between(1, 2)).map(|_| side(&mut dice)).collect();
        // The plan, and who writes, are durable before anything is sent.
        let writer = Writer { producer: ProducerId(7_000), epoch: ProducerEpoch(0), origin: 0 };
        let begun = |side: &Side| {
            encode(&Checkpoint { writer: Some(writer), ..Checkpoint::begin(side.source.span, side.target.start) })
        };
        let mut world = Self {
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            serial: 0,
            dice,
            setup,
            plan,
            stored: sides.iter().map(begun).collect(),
            ends: vec![None; sides.len()],
            sides,
            wires: BTreeMap::new(),
            stuck: BTreeMap::new(),
            fate: Fate::Taken,
            process: None,
            runs: 0,
            ready: BTreeSet::new(),
            coverage: Coverage::default(),
            violation: None,
            trace: traced.then(Vec::new),
        };
        world.note(|| format!("{era:?}, {age:?} records, {nodes} nodes, drops stamps: {drops_stamps}"));
        world.at(Duration::ZERO, What::Start);
        world
    }

    /// Lets everything happen, and judges it.
    pub(super) fn run_all(mut self) -> super::Report {
        let mut events = 0;
        while let Some(((time, _), what)) = self.queue.pop_first() {
            self.now = time;
            let now_ms = self.now_ms();
            self.sides.iter_mut().for_each(|side| side.target.tick(now_ms));
            let concerns = what.run().is_none_or(|run| self.process.as_ref().is_some_and(|process| process.run == run));
            if concerns {
                self.happens(what);
                self.serve_all();
                self.something_goes_wrong();
                self.serve_all();
                self.carry_on();
                self.end_process_if_over();
            }
            events += 1;
            if events > EVENTS {
                self.fail(format!("no end after {EVENTS} events"));
            }
            if self.violation.is_some() {
                break;
            }
        }
        for lane in 0..self.sides.len() {
            if self.violation.is_none() {
                self.violation = judge(&self, lane).err();
            }
        }
        super::Report { coverage: self.coverage, violation: self.violation, trace: self.trace.unwrap_or_default() }
    }

    fn happens(&mut self, what: What) {
        match what {
            What::Start => self.start(),
            What::Wake { lane, .. } => drop(self.ready.insert(lane)),
            What::Progress { .. } => self.progress(),
            What::GiveUp { .. } => self.end_process(),
            What::Fetch { run, lane, from, beyond } => self.fetch(run, lane, from, beyond),
            What::Tell { lane, event, .. } => self.tell(lane, event),
            What::Leader { lane, .. } => self.leader(lane),
            What::Connected { lane, .. } => self.connected(lane),
            What::Deadline { lane, request, .. } => self.deadline(lane, request),
            What::LookMark { run, lane, settles } => self.look_mark(run, lane, settles),
            What::LookEnd { run, lane, settles, mark } => self.look_end(run, lane, settles, mark),
            What::LookLast { run, lane, settles, mark, end } => self.look_last(run, lane, settles, mark, end),
            What::Looked { lane, settles, tail, .. } => self.looked(lane, settles, tail),
            What::Commit { .. } => self.commit(),
            What::Committed { fails, .. } => self.committed(fails),
            What::Arrives { wire } => self.arrives(wire),
            What::Late { lane, node, batch } => self.late(lane, node, batch),
            What::Answer { wire, code, base } => self.answer(wire, code, base),
            What::Broke { wire } => self.broke(wire),
            What::Poll => {}
            What::FollowersUp { lane } => self.followers_up(lane),
            What::Elect { lane } => self.elect(lane),
            What::NodeUp { lane, node } => {
                let now_ms = self.now_ms();
                self.sides[lane].target.node_up(now_ms, node);
            }
        }
    }

    /// A process starts: it reads the state and goes on.
    fn start(&mut self) {
        self.runs += 1;
        let run = self.runs;
        if run > RUNS {
            return self.fail(format!("not copied after {RUNS} runs"));
        }
        self.note(|| format!("--- run {run}"));
        let mut slots = Vec::new();
        for lane in 0..self.sides.len() {
            match self.durable(lane) {
                Ok(checkpoint) => slots.push((!checkpoint.is_finished()).then(|| self.begin(lane, checkpoint))),
                Err(error) => return self.fail(error),
            }
        }
        let open = |(_, slot): &(usize, &Option<Slot>)| slot.is_some();
        for (lane, _) in slots.iter().enumerate().filter(open) {
            self.ends[lane] = None;
            self.ready.insert(lane);
        }
        self.process = Some(Process {
            run,
            began: self.now,
            slots,
            wanted: BTreeSet::new(),
            commit: None,
            stamps: Stamps::Open,
            stopping: false,
            state_failed: false,
        });
        self.at(EVERY, What::Progress { run });
    }

    fn begin(&mut self, lane: usize, checkpoint: Checkpoint) -> Slot {
        let resumed = self.runs > 1;
        let inherited = checkpoint.journal.cuts().iter().map(|cut| i64::from(cut.records)).sum();
        let inherited = checkpoint.target_end().plus(inherited);
        let setup = LaneSetup {
            at: at(lane),
            writer: checkpoint.writer.unwrap_or(Writer { producer: ProducerId(0), epoch: ProducerEpoch(0), origin: 0 }),
            checkpoint,
            surveyed: true,
            resumed,
            marks: self.sides[lane].source.marks.clone(),
            depth: self.setup.era.depth(),
            old_before: self.now_ms() - PRODUCER_EXPIRY,
            late_bound: LATE_BOUND,
            rules: Rules { joining: self.setup.joining, ..Rules::default() }.into(),
            skip_corrupt: false,
            patience: Patience::new(patience(), lane as u64),
        };
        Slot::new(Lane::new(setup), resumed, inherited)
    }

    /// The process dies: what is on its way may still arrive.
    pub(super) fn crash(&mut self) {
        if self.dice.once_in(2) {
            self.take_commit();
        }
        self.end_process();
    }

    fn end_process_if_over(&mut self) {
        let Some(process) = &self.process else { return };
        let ended = process.slots.iter().flatten().all(|slot| slot.end.is_some());
        let stored = process.commit.is_none() && (process.wanted.is_empty() || process.state_failed);
        if ended && stored {
            self.end_process();
        }
    }

    fn end_process(&mut self) {
        let Some(process) = self.process.take() else { return };
        for (lane, slot) in process.slots.into_iter().enumerate() {
            if let Some(slot) = slot {
                self.note(|| format!("lane {lane}: ends {:?}", slot.end));
                self.ends[lane] = slot.end;
            }
        }
        self.ready.clear();
        self.fate = Fate::Taken;
        let open: Vec<u64> = self.wires.keys().copied().collect();
        open.into_iter().for_each(|id| self.close(id, false));
        let finished = |lane: usize| self.durable(lane).is_ok_and(|checkpoint| checkpoint.is_finished());
        let over = (0..self.sides.len()).all(|lane| finished(lane) || is_final(self.ends[lane].as_ref()));
        if over {
            self.note(|| "--- over".to_owned());
            return self.plan.end();
        }
        let pause = self.dice.one_of(&[0, 0, 1_000, 20_000]);
        self.at(Duration::from_millis(pause), What::Start);
    }

    /// The number of the process that runs.
    pub(super) fn run(&self) -> u32 {
        self.process.as_ref().map_or(0, |process| process.run)
    }

    /// The time in ms since 1970.
    pub(super) fn now_ms(&self) -> i64 {
        BEGIN_MS + self.now.as_millis() as i64
    }

    /// How long something takes that takes no long.
    pub(super) fn delay(&mut self) -> Duration {
        let slow = self.setup.slow;
        self.dice.ms(0, slow)
    }

    /// Something happens in a while.
    pub(super) fn at(&mut self, wait: Duration, what: What) {
        self.at_time(self.now + wait, what);
    }

    /// Something happens at a time.
    pub(super) fn at_time(&mut self, time: Duration, what: What) {
        let number = self.number();
        self.queue.insert((time, number), what);
    }

    /// A number that nothing else has.
    pub(super) fn number(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Writes the trace, if there is one.
    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>9.3} {}", self.now.as_secs_f64(), line()));
        }
    }

    /// What must not happen has happened.
    pub(super) fn fail(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }
}
