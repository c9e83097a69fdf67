//! Plays the contestants, one at a time, in turns.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

use tempfile::TempDir;

use super::admin::Admin;
use super::contestants::{self, Contestant, Role, Round, Start};
use super::latency;
use super::limits;
use super::load::Load;
use super::options::Options;
use super::process::{self, Taken, Terms};
use super::record::{Extent, Machine, Record, Run, version};
use super::sets::{MANY, Scale, Set};
use super::site::{On, Site};
use super::table;
use super::watch::Watch;
use super::wires::Wires;

/// How long each contestant warms the brokers up: the slow ones would otherwise take half an hour.
const WARM_UP: Duration = Duration::from_secs(60);

/// Groups of the set `wide`.
const WIDE: usize = 10_000;

/// All that a run needs.
pub struct Stage {
    source: Site,
    target: Site,
    kferry: PathBuf,
    relay: PathBuf,
    folder: TempDir,
    arguments: Vec<String>,
    namespace: Option<PathBuf>,
    limit: Duration,
    played: usize,
}

/// A set that lies on the source.
pub struct Filled {
    /// What.
    pub set: Set,
    /// How it got there.
    pub load: Load,
}

/// Plays everything that was asked for, and shows it.
///
/// # Errors
/// What the benchmark itself could not do. A contestant that fails is part of the result.
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "for a person who waits")]
pub fn play(options: &Options) -> Result<(), String> {
    let sets = chosen_sets(options)?;
    let contestants = chosen_contestants(options)?;
    let mut stage = Stage::build(options)?;
    let mut record = Record {
        date: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
        machine: Machine::this(),
        versions: stage.versions(options),
        arguments: env::args().skip(1).collect(),
        sets: Vec::new(),
        runs: Vec::new(),
    };
    println!("{}", table::heading(&record));
    for set in sets {
        eprintln!("filling {}", set.name);
        let filled = stage.fill(set)?;
        let extent = filled.extent();
        let (runs, text) = if filled.set.name == "wide" {
            let rounds = 0..options.rounds;
            let runs = rounds.map(|round| stage.plan(&filled, round)).collect::<Result<Vec<Run>, String>>()?;
            let text = format!("wide: {WIDE} groups of {} topics\n{}", filled.set.topics.len(), table::plans(&runs));
            (runs, text)
        } else {
            let runs = stage.interleave(&filled, &contestants, options)?;
            let text = table::of(&extent, &contestants, &runs);
            (runs, text)
        };
        println!("{text}");
        record.sets.push(extent);
        record.runs.extend(runs);
        stage.clear()?;
    }
    println!("{}", table::across(&record.runs));
    if let Some(file) = &options.record {
        let text = serde_json::to_string_pretty(&record).map_err(|cause| cause.to_string())?;
        fs::write(file, text + "\n").map_err(|cause| format!("{}: {cause}", file.display()))?;
    }
    Ok(())
}

fn chosen_sets(options: &Options) -> Result<Vec<Set>, String> {
    let scale = Scale { bytes: options.size.as_u64(), batches: options.batches };
    let named = |name: &String| {
        let known = || format!("no set is named {name}: there are {}", Set::NAMES.join(", "));
        Set::named(name, scale).ok_or_else(known)
    };
    let sets = options.sets.iter().map(named).collect::<Result<Vec<Set>, String>>()?;
    if options.on == On::Real && sets.iter().any(|set| set.name == "wide") {
        return Err("the set wide needs --on embedded".to_owned());
    }
    Ok(sets)
}

fn chosen_contestants(options: &Options) -> Result<Vec<Contestant>, String> {
    let all = contestants::all();
    let named = |name: &String| {
        let names: Vec<&str> = all.iter().map(|one| one.name).collect();
        let found = all.iter().find(|one| one.name == name).copied();
        found.ok_or_else(|| format!("no contestant is named {name}: there are {}", names.join(", ")))
    };
    options.contestants.iter().map(named).collect()
}

impl Stage {
    /// Builds the binaries and starts the brokers.
    ///
    /// # Errors
    /// What failed.
    pub fn build(options: &Options) -> Result<Self, String> {
        Self::at(options, "127.0.0.1")
    }

    /// The same, with brokers that listen on `host` and kferry in another network namespace.
    ///
    /// # Errors
    /// What failed.
    pub fn far(options: &Options, host: &str, namespace: &Path) -> Result<Self, String> {
        let stage = Self::at(options, host)?;
        let arguments =
            if stage.arguments.is_empty() { vec![latency::MEMORY.to_owned()] } else { stage.arguments.clone() };
        Ok(Self { arguments, namespace: Some(namespace.to_owned()), ..stage })
    }

    fn at(options: &Options, host: &str) -> Result<Self, String> {
        let kferry = options.kferry.as_ref().map(|path| path.canonicalize());
        let kferry = match kferry {
            Some(path) => path.map_err(|cause| format!("--kferry: {cause}"))?,
            None => contestants::built("kferry", "kferry")?,
        };
        let is_alone = options.check || options.latency.is_some();
        let has_relay = !is_alone && options.contestants.iter().any(|name| name == "relay");
        let relay = if has_relay { contestants::built("protocol-tests", "relay")? } else { PathBuf::new() };
        let on = if options.check { On::Embedded } else { options.on };
        Ok(Self {
            kferry,
            relay,
            source: Site::start(on, options.release, host)?,
            target: Site::start(on, options.release, host)?,
            folder: tempfile::Builder::new().prefix("kferry-bench-").tempdir().map_err(|cause| cause.to_string())?,
            arguments: options.arguments.clone(),
            namespace: None,
            limit: Duration::from_secs(options.limit),
            played: 0,
        })
    }

    fn versions(&self, options: &Options) -> Vec<(String, String)> {
        let brokers = match options.on {
            On::Real => format!("Apache Kafka {}", options.release),
            On::Embedded => "embedded".to_owned(),
        };
        let says = |name: &str, program: &str, flag| (name.to_owned(), version(program, &[flag]));
        vec![
            ("brokers".to_owned(), brokers),
            says("kferry", &self.kferry.to_string_lossy(), "--version"),
            says("kcat", "kcat", "-V"),
            says("java", "java", "-version"),
            says("go", "go", "version"),
        ]
    }

    /// Puts a set on the source, with a group that has yet to read it.
    ///
    /// # Errors
    /// What the broker refused.
    pub fn fill(&mut self, set: Set) -> Result<Filled, String> {
        let mut source = Admin::connect(&self.source.address)?;
        source.create(&set)?;
        let load = Load::of(&set)?;
        load.send(&self.source.address)?;
        if set.name == "wide" {
            let topics: Vec<&str> = set.topics.iter().map(|topic| topic.name.as_str()).collect();
            self.source.commit(WIDE, &topics)?;
        } else {
            source.commit_start(&set)?;
        }
        self.source.settle();
        Ok(Filled { set, load })
    }

    /// Takes everything off both sides.
    ///
    /// # Errors
    /// What a broker refused.
    pub fn clear(&self) -> Result<(), String> {
        Admin::connect(&self.source.address)?.delete_all()?;
        Admin::connect(&self.target.address)?.delete_all()
    }

    #[allow(clippy::print_stderr, reason = "for a person who waits")]
    fn interleave(
        &mut self,
        filled: &Filled,
        contestants: &[Contestant],
        options: &Options,
    ) -> Result<Vec<Run>, String> {
        let mut runs = Vec::new();
        let mut order = contestants.to_vec();
        self.warm_up(filled, contestants, options)?;
        for round in 0..options.rounds {
            for contestant in &order {
                eprintln!("{} {} of {}: {}", filled.set.name, round + 1, options.rounds, contestant.name);
                runs.push(self.run(filled, contestant, round, None)?);
            }
            let turn = order.len().min(1);
            order.rotate_left(turn);
        }
        if options.syscalls {
            // One that has to be killed leaves no count.
            let processes = contestants.iter().filter(|one| one.ends && !matches!(one.start, Start::Limits));
            for contestant in processes {
                eprintln!("{}: {}, under strace", filled.set.name, contestant.name);
                let counted = self.folder.path().join("syscalls");
                let mut run = self.run(filled, contestant, options.rounds, Some(&counted))?;
                run = Run { wall: None, before: None, after: None, cpu: None, peak: None, ..run };
                match syscalls(&counted) {
                    Ok(count) => run.syscalls = Some(count / run.times),
                    Err(cause) => run.failure = run.failure.or(Some(cause)),
                }
                runs.push(run);
            }
        }
        Ok(runs)
    }

    /// Brokers that still compile what they do would make the first contestants look bad, and the ratios arbitrary: most of
    /// all those that ask for more than records, as it takes some twenty runs until nothing of that is compiled any more, and
    /// a hundred for commits.
    #[allow(clippy::print_stderr, reason = "for a person who waits")]
    fn warm_up(&mut self, filled: &Filled, contestants: &[Contestant], options: &Options) -> Result<(), String> {
        let cold = self.played == 0 && options.on == On::Real;
        let mut spent: Vec<(&Contestant, Duration)> = Vec::new();
        spent.extend(contestants.iter().filter(|one| cold && one.ends).map(|one| (one, Duration::ZERO)));
        if cold {
            self.prepare(filled, true)?;
            Admin::connect(&self.target.address)?.commit_often(&filled.set)?;
        }
        for turn in 0..if cold { options.warm_up } else { 1 } {
            eprintln!("{}: warming up, {}", filled.set.name, turn + 1);
            self.prepare(filled, true)?;
            limits::play(&self.source.address, &self.target.address, &filled.set, &filled.load)?;
            for (contestant, spent) in spent.iter_mut().filter(|(_, spent)| *spent < WARM_UP) {
                let begun = process::now();
                self.run(filled, contestant, 0, None)?;
                *spent += begun.elapsed();
            }
        }
        Ok(())
    }

    /// Makes the target as it was in the beginning, but for many topics, which stay and are emptied.
    fn prepare(&mut self, filled: &Filled, topics: bool) -> Result<(), String> {
        let mut target = Admin::connect(&self.target.address)?;
        target.forget(&filled.set.group());
        if filled.set.topics.len() >= MANY && target.has(&filled.set)? {
            target.empty(&filled.set)?;
        } else {
            target.delete_all()?;
            if topics {
                target.create(&filled.set)?;
            }
        }
        self.target.settle();
        self.source.counts()?;
        self.target.counts()?;
        Ok(())
    }

    /// Runs one contestant on a target without the set's records.
    ///
    /// # Errors
    /// What the benchmark could not do; what the contestant could not is in the run.
    pub fn run(
        &mut self,
        filled: &Filled,
        contestant: &Contestant,
        round: usize,
        strace: Option<&Path>,
    ) -> Result<Run, String> {
        self.prepare(filled, !contestant.creates)?;
        self.played += 1;
        let name = format!("bench-{}", self.played);
        let begun = Run {
            set: filled.set.name.clone(),
            contestant: contestant.name.to_owned(),
            round,
            times: 1,
            ..Run::default()
        };
        let place = Round {
            source: &self.source.address,
            target: &self.target.address,
            set: &filled.set,
            name: &name,
            kferry: &self.kferry,
            arguments: &self.arguments,
            namespace: self.namespace.as_deref(),
            folder: self.folder.path(),
        };
        let run = match contestant.start {
            Start::Limits => {
                match limits::play(&self.source.address, &self.target.address, &filled.set, &filled.load) {
                    Ok(wall) => Run { wall: Some(wall.as_secs_f64()), ..begun },
                    Err(cause) => Run { failure: Some(cause), ..begun },
                }
            }
            Start::Relay => self.relay(filled.load.bytes, strace, begun)?,
            Start::Process(start) => match start(&place) {
                Err(cause) => Run { failure: Some(cause), ..begun },
                Ok(command) => self.migrate(filled, contestant, traced(command, strace), begun)?,
            },
        };
        if contestant.role == Role::Ours {
            Admin::connect(&self.target.address)?.forget(&format!("kferry-{name}"));
        }
        Ok(Run { source: self.source.counts()?, target: self.target.counts()?, ..run })
    }

    fn terms(&self, ends: bool) -> Terms<'_> {
        Terms { folder: self.folder.path(), limit: self.limit, ends }
    }

    /// A relay is through with a small set before it can be measured: it moves the set as often as makes a GiB.
    fn relay(&self, bytes: u64, strace: Option<&Path>, begun: Run) -> Result<Run, String> {
        let times = (1_u64 << 30).div_ceil(bytes.max(1)).max(1);
        let wires = Wires::lay(bytes * times).map_err(|cause| cause.to_string())?;
        let mut command = Command::new(&self.relay);
        command.args([&wires.from, &wires.to]);
        let taken = process::run(traced(command, strace), &self.terms(true), || false)?;
        if taken.failure.is_some() {
            return Ok(took(begun, &taken, None));
        }
        let passed = wires.passed().map_err(|cause| cause.to_string())?;
        let run = took(begun, &taken, Some((passed.first, passed.last)));
        let each = |figure: Option<f64>| figure.map(|figure| figure / times as f64);
        Ok(Run { wall: each(run.wall), cpu: each(run.cpu), times, ..run })
    }

    fn migrate(&self, filled: &Filled, contestant: &Contestant, command: Command, begun: Run) -> Result<Run, String> {
        let mut watch = Watch::over(&self.target.address, &filled.set)?;
        let taken = process::run(command, &self.terms(contestant.ends), || watch.look())?;
        if let Some(folder) = self.target.logs() {
            watch.refine(&folder);
        }
        let mut run = took(begun, &taken, watch.first.zip(watch.last));
        let expected = i64::try_from(filled.load.records).unwrap_or(i64::MAX);
        let arrived = watch.arrived()?;
        if arrived != expected && run.failure.is_none() {
            run.failure = Some(format!("{arrived} records are on the target, not {expected}"));
        }
        Ok(run)
    }

    /// Plans a set, and moves nothing.
    ///
    /// # Errors
    /// What the benchmark could not do.
    pub fn plan(&self, filled: &Filled, round: usize) -> Result<Run, String> {
        let begun =
            Run { set: filled.set.name.clone(), contestant: "kferry".to_owned(), round, times: 1, ..Run::default() };
        let taken = process::run(self.planning(), &self.terms(true), || false)?;
        Ok(took(begun, &taken, Some((taken.started, taken.ended))))
    }

    /// What a plan says.
    ///
    /// # Errors
    /// What the benchmark could not do.
    pub fn plan_says(&self) -> Result<String, String> {
        let output = self.planning().args(["--output", "json"]).output().map_err(|cause| cause.to_string())?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn planning(&self) -> Command {
        let mut command = latency::within(self.namespace.as_deref(), &self.kferry);
        command.args(["plan", "--no-log", "--source", &self.source.address, "--target", &self.target.address]);
        command
    }
}

impl Filled {
    fn extent(&self) -> Extent {
        Extent {
            set: self.set.name.clone(),
            partitions: self.set.partition_count(),
            batches: self.load.batches,
            records: self.load.records,
            bytes: self.load.bytes,
        }
    }
}

fn took(begun: Run, taken: &Taken, moved: Option<(Instant, Instant)>) -> Run {
    let seconds = |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64();
    Run {
        wall: moved.map(|(first, last)| seconds(first, last)),
        before: moved.map(|(first, _)| seconds(taken.started, first)),
        after: moved.map(|(_, last)| seconds(last, taken.ended)),
        cpu: Some(taken.cpu),
        peak: Some(taken.peak),
        failure: taken.failure.clone(),
        ..begun
    }
}

/// The same command under strace, which counts into a file.
fn traced(command: Command, counted: Option<&Path>) -> Command {
    let Some(counted) = counted else { return command };
    let mut traced = Command::new("strace");
    traced.args(["-f", "-c", "--summary-columns=calls,syscall", "-o"]).arg(counted);
    traced.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    traced
}

fn syscalls(counted: &Path) -> Result<u64, String> {
    let text = fs::read_to_string(counted).map_err(|cause| format!("strace counted nothing: {cause}"))?;
    let total = text.lines().rev().find_map(|line| line.trim().strip_suffix("total"));
    let count = total.and_then(|line| line.trim().parse().ok());
    count.ok_or_else(|| format!("strace said:\n{text}"))
}
