//! The command line: what clap parses, and the layer of settings that its flags say.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::config::{Layer, Place, Value, keys};

const EXAMPLES: &str = "\
EXAMPLES
  What would be moved, and why; changes nothing:
    kferry plan --source old-1:9092,old-2:9092 --target new-1:9092

  Move it, after showing the plan and asking:
    kferry run --source old-1:9092 --target new-1:9092

  It was interrupted (kill -9, Ctrl-C, a host that died): the same command goes on, from any host:
    kferry run --source old-1:9092 --target new-1:9092

  How far is it?
    kferry status --target new-1:9092

  The bulk while producers still run; once they and the consumers have stopped, the rest:
    kferry run --allow-active --source old-1:9092 --target new-1:9092
    kferry run --extend --source old-1:9092 --target new-1:9092

  Compare what was moved with its source, every record of it:
    kferry verify --level records --source old-1:9092 --target new-1:9092

  The plan of two groups' topics as JSON, the settings in ./kferry.toml:
    kferry plan --group billing --group 'audit-*' --output json

EXIT STATUS
  0 done    1 failed, refused or declined    2 usage or configuration
  3 verification found a difference    130, 143 interrupted by SIGINT, SIGTERM";

/// Moves what the consumers of a Kafka cluster have not read yet to another cluster.
#[derive(Parser, Debug)]
#[command(name = "kferry", version, after_help = EXAMPLES, max_term_width = 100, disable_help_subcommand = true)]
pub(super) struct CommandLine {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Show what would be moved and why; changes nothing
    Plan(PlanArgs),
    /// Move it, after showing the plan and asking
    Run(RunArgs),
    /// Compare what was moved with its source; changes nothing
    Verify(VerifyArgs),
    /// Show how far a migration is; needs only the target
    Status,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Common options")]
pub(super) struct Common {
    /// Configuration file [default: kferry.toml in the current directory, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Brokers of the cluster to read
    #[arg(long, global = true, value_name = "HOST:PORT", value_delimiter = ',', action = ArgAction::Append)]
    source: Vec<String>,
    /// Brokers of the cluster to write
    #[arg(long, global = true, value_name = "HOST:PORT", value_delimiter = ',', action = ArgAction::Append)]
    target: Vec<String>,
    /// The migration's name [default: default]
    #[arg(long, global = true)]
    name: Option<String>,
    /// What stdout carries
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub(super) output: Output,
    /// Log more on stderr; twice for even more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// Log errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// How log lines are written
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: Output,
    /// Color on stderr; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(super) color: Color,
}

/// A form for people or for programs.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub(super) enum Output {
    Text,
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Selection")]
struct Select {
    /// Topics that move: a name, a glob or '/regex/'; may be repeated
    #[arg(long, value_name = "PATTERN")]
    topic: Vec<String>,
    /// Topics that stay
    #[arg(long, value_name = "PATTERN")]
    exclude_topic: Vec<String>,
    /// Groups whose unread records move
    #[arg(long, value_name = "PATTERN")]
    group: Vec<String>,
    /// Groups that do not count
    #[arg(long, value_name = "PATTERN")]
    exclude_group: Vec<String>,
}

#[derive(Args, Debug)]
pub(super) struct PlanArgs {
    /// Do not write kferry-plan-<UTC time>.log in the current directory
    #[arg(long)]
    pub(super) no_log: bool,
    #[command(flatten)]
    select: Select,
}

#[derive(Args, Debug)]
pub(super) struct RunArgs {
    /// Do not ask whether to proceed; needed where there is no terminal
    #[arg(short, long)]
    pub(super) yes: bool,
    /// Keep the result in FILE as JSON, from the start on; go on from it where the target has lost its state
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Copy at most so much a second, such as 200MB/s
    #[arg(long)]
    rate: Option<String>,
    /// What to compare after the copy: offsets, digest or records, as in verify [default: offsets]
    #[arg(long, value_name = "LEVEL")]
    verify: Option<String>,
    /// Hold at most so much data in flight [default: 64MiB]
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// Write behind records of others that target partitions hold already; what an earlier run wrote would be doubled
    #[arg(long)]
    pub(super) append: bool,
    /// Move on to where the source ends today, in a migration that has begun or is finished
    #[arg(long)]
    pub(super) extend: bool,
    /// Stop another process that runs this migration, and go on here
    #[arg(long)]
    pub(super) take_over: bool,
    /// Go on while producers or consumers of the source still run
    #[arg(long)]
    allow_active: bool,
    /// Go on where the target would delete records that the source still keeps
    #[arg(long)]
    pub(super) allow_expiry: bool,
    /// Replace offsets that others committed on the target for the groups
    #[arg(long)]
    overwrite_offsets: bool,
    /// Copy around corrupt batches instead of stopping their partition; what is left out is listed
    #[arg(long)]
    skip_corrupt: bool,
    /// Do not write kferry-run-<UTC time>.log in the current directory
    #[arg(long)]
    pub(super) no_log: bool,
    #[command(flatten)]
    select: Select,
}

#[derive(Args, Debug)]
pub(super) struct VerifyArgs {
    /// How closely: offsets (the copy's counts against the target's offsets), digest (both sides are read), or records
    /// (every record is decoded) [default: offsets]
    #[arg(long, value_name = "LEVEL")]
    level: Option<String>,
    /// Take what was moved from this report of the run, not from the state on the target
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
}

impl CommandLine {
    /// What the flags say, as the strongest layer of the settings.
    pub(super) fn layer(&self) -> Layer {
        let mut flags = Flags(Layer::default());
        flags.list("source.bootstrap", "--source", &self.common.source);
        flags.list("target.bootstrap", "--target", &self.common.target);
        flags.text("name", "--name", self.common.name.as_ref());
        match &self.command {
            Command::Plan(plan) => plan.select.say(&mut flags),
            Command::Run(run) => run.say(&mut flags),
            Command::Verify(verify) => flags.text("run.verify", "--level", verify.level.as_ref()),
            Command::Status => {}
        }
        flags.0
    }
}

impl RunArgs {
    fn say(&self, flags: &mut Flags) {
        self.select.say(flags);
        flags.text("run.rate", "--rate", self.rate.as_ref());
        flags.text("run.verify", "--verify", self.verify.as_ref());
        flags.text("run.memory", "--memory", self.memory.as_ref());
        flags.say("run.allow_active", "--allow-active", self.allow_active.then_some(Value::Flag(true)));
        flags.say("offsets.overwrite", "--overwrite-offsets", self.overwrite_offsets.then_some(Value::Flag(true)));
        flags.say("run.skip_corrupt", "--skip-corrupt", self.skip_corrupt.then_some(Value::Flag(true)));
    }
}

impl Select {
    fn say(&self, flags: &mut Flags) {
        flags.list("select.topics", "--topic", &self.topic);
        flags.list("select.exclude_topics", "--exclude-topic", &self.exclude_topic);
        flags.list("select.groups", "--group", &self.group);
        flags.list("select.exclude_groups", "--exclude-group", &self.exclude_group);
    }
}

/// The layer under construction: a flag that was not given says nothing.
struct Flags(Layer);

impl Flags {
    fn say(&mut self, path: &str, flag: &'static str, value: Option<Value>) {
        if let (Some(key), Some(value)) = (keys::find(path), value) {
            self.0.say(key, value, Place::Flag(flag));
        }
    }

    fn text(&mut self, path: &str, flag: &'static str, text: Option<&String>) {
        self.say(path, flag, text.map(|text| Value::Text(text.clone())));
    }

    fn list(&mut self, path: &str, flag: &'static str, items: &[String]) {
        self.say(path, flag, (!items.is_empty()).then(|| Value::List(items.to_vec())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Settings, Verify};
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_flag_reaches_the_settings() {
        let typed = "kferry run --source a:1,b:2 --source c:3 --target d:4 --name x --topic t --exclude-topic u \
                     --group g --exclude-group h --rate 5MB/s --memory 128MiB --verify digest --allow-active --overwrite-offsets \
                     --skip-corrupt";
        let line = CommandLine::try_parse_from(typed.split_whitespace()).expect("a command line");
        let settings = Settings::resolve(vec![line.layer()]).expect("settings");
        let addresses: Vec<String> = settings.source.bootstrap.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["a:1", "b:2", "c:3"]);
        assert_eq!(settings.target.bootstrap[0].to_string(), "d:4");
        assert_eq!(settings.name.as_str(), "x");
        assert!(settings.selection.topics.takes("t") && !settings.selection.topics.takes("v"));
        assert!(settings.selection.groups.takes("g") && !settings.selection.groups.takes("i"));
        assert_eq!(settings.rate.map(|rate| rate.get()), Some(5_000_000));
        assert_eq!(settings.memory, 128 << 20);
        assert_eq!(settings.verify, Verify::Digest);
        assert!(settings.allow_active && settings.overwrite_offsets && settings.skip_corrupt);
        for (exclude, excluded) in [("--exclude-topic", "t"), ("--exclude-group", "g")] {
            let typed = ["kferry", "plan", "--source", "a:1", "--target", "d:4", exclude, excluded];
            let line = CommandLine::try_parse_from(typed).expect("a command line");
            let selection = Settings::resolve(vec![line.layer()]).expect("settings").selection;
            assert_eq!(selection.topics.takes("t"), exclude != "--exclude-topic");
            assert_eq!(selection.groups.takes("g"), exclude != "--exclude-group");
        }
    }
}
