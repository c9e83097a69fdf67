//! Layers become [`Settings`]: the only merge, and the only place where values get their meaning.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;

use super::error::{ConfigError, Problem};
use super::keys::{self, Kind};
use super::layer::{Layer, Place, Said, Value};
use super::select::{Filter, Selection};
use crate::kafka::{HostPort, Side};

/// What the user asked for, whole and checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The migration's name.
    pub name: MigrationName,
    /// The cluster that is read.
    pub source: Endpoint,
    /// The cluster that is written.
    pub target: Endpoint,
    /// The groups and topics it is about.
    pub selection: Selection,
    /// What happens to topics without any commit.
    pub ungrouped: Ungrouped,
    /// Where a partition starts when the commits do not say what is unread.
    pub undecided: Undecided,
    /// How the target's topics are made.
    pub topics: TopicSettings,
    /// Whether each group's place is committed on the target.
    pub translate_offsets: bool,
    /// Whether commits that others made on the target are replaced.
    pub overwrite_offsets: bool,
    /// Upper bound of the bytes copied in a second; `None`: as fast as both clusters allow.
    pub rate: Option<NonZeroU64>,
    /// Upper bound of the data in flight, in bytes.
    pub memory: usize,
    /// What is compared after the copy.
    pub verify: Verify,
    /// Whether a run goes on while producers or consumers of the source still run.
    pub allow_active: bool,
    /// Whether corrupt batches are left out instead of stopping their partition.
    pub skip_corrupt: bool,
    /// How long a request of a dead process may still land.
    pub late_bound: Duration,
}

/// Where a migration is remembered.
#[derive(Clone, Debug)]
pub struct Whereabouts {
    /// The migration's name.
    pub name: MigrationName,
    /// The cluster that is written.
    pub target: Endpoint,
}

/// How a cluster is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// The brokers to ask first; never empty.
    pub bootstrap: Vec<HostPort>,
}

/// A migration's name: letters, digits, `.`, `_` and `-`, at most 200 of them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct MigrationName(String);

impl MigrationName {
    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MigrationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What happens to topics without any commit (`select.ungrouped`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ungrouped {
    /// They stay.
    Skip,
    /// They move from their log's start.
    Earliest,
}

/// Where a partition starts when the commits do not say what is unread (`plan.undecided`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Undecided {
    /// At its log's start: nothing unread can be lost.
    Earliest,
    /// Where the smallest commit there is says; without any the partition stays.
    Committed,
}

/// How the target's topics are made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicSettings {
    /// Whether missing ones are created.
    pub create: bool,
    /// Copies of each partition; `None`: the target's default.
    pub replication_factor: Option<i16>,
    /// The codec in place of one that the target can't take; `None`: topics with such a codec are refused.
    pub recompress: Option<Recompress>,
}

/// A codec that every target can take (`topics.recompress`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recompress {
    /// Not compressed.
    None,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
}

/// How closely source and target are compared (`run.verify`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verify {
    /// Offsets and counts.
    Offsets,
    /// Both sides are read again; what passed as it was is compared without decompressing it.
    Digest,
    /// Every record is decoded.
    Records,
}

/// Less than this can't hold the smallest fetch of both directions.
const LEAST_MEMORY: u64 = 8 << 20;
const LEAST_RATE: u64 = 1_000;
const LATE_BOUNDS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3_600);
const LONGEST_NAME: usize = 200;

impl Settings {
    /// Merges `layers`, the strongest first; the keys' defaults stand behind them all.
    ///
    /// # Errors
    ///
    /// The first value that means nothing, is not supported yet, or is missing.
    pub fn resolve(layers: Vec<Layer>) -> Result<Self, ConfigError> {
        let merged = Merged::new(layers);
        merged.refuse_what_is_not_ready()?;
        let source = merged.endpoint(Side::Source)?;
        let target = merged.endpoint(Side::Target)?;
        if let Some(address) = source.bootstrap.iter().find(|address| target.bootstrap.contains(address)) {
            let problem = Problem::SameAddress { address: address.to_string() };
            return Err(ConfigError { place: None, problem });
        }
        Ok(Self {
            name: merged.required("name", name)?,
            source,
            target,
            selection: Selection {
                groups: merged.filter("select.groups", "select.exclude_groups")?,
                topics: merged.filter("select.topics", "select.exclude_topics")?,
            },
            ungrouped: merged.required("select.ungrouped", |text| match text {
                "skip" => Some(Ungrouped::Skip),
                "earliest" => Some(Ungrouped::Earliest),
                _ => None,
            })?,
            undecided: merged.required("plan.undecided", |text| match text {
                "earliest" => Some(Undecided::Earliest),
                "committed" => Some(Undecided::Committed),
                _ => None,
            })?,
            topics: TopicSettings {
                create: merged.flag("topics.create"),
                replication_factor: merged.replication_factor()?,
                recompress: merged.optional("topics.recompress", recompress)?,
            },
            translate_offsets: merged.flag("offsets.translate"),
            overwrite_offsets: merged.flag("offsets.overwrite"),
            rate: merged.optional("run.rate", rate)?,
            memory: merged.required("run.memory", memory)?,
            verify: merged.required("run.verify", verify)?,
            allow_active: merged.flag("run.allow_active"),
            skip_corrupt: merged.flag("run.skip_corrupt"),
            late_bound: merged.required("run.late_bound", late_bound)?,
        })
    }
}

impl Whereabouts {
    /// As [`Settings::resolve`], for a command that asks the target only.
    ///
    /// # Errors
    ///
    /// The first value that means nothing, is not supported yet, or is missing.
    pub fn resolve(layers: Vec<Layer>) -> Result<Self, ConfigError> {
        let merged = Merged::new(layers);
        merged.refuse_what_is_not_ready()?;
        Ok(Self { name: merged.required("name", name)?, target: merged.endpoint(Side::Target)? })
    }
}

/// All layers as one.
struct Merged(Vec<Layer>);

impl Merged {
    fn new(mut layers: Vec<Layer>) -> Self {
        layers.push(Layer::defaults());
        Self(layers)
    }

    fn said(&self, path: &str) -> Option<&Said> {
        self.0.iter().find_map(|layer| layer.get(path))
    }

    fn refuse_what_is_not_ready(&self) -> Result<(), ConfigError> {
        let defaults = Layer::defaults();
        for key in keys::all().filter(|key| !key.ready) {
            if let Some(said) = self.said(key.path)
                && defaults.get(key.path).map(|default| &default.value) != Some(&said.value)
            {
                return Err(refusal(said, Problem::NotYet { name: key.path.to_owned() }));
            }
        }
        Ok(())
    }

    fn flag(&self, path: &str) -> bool {
        matches!(self.said(path), Some(Said { value: Value::Flag(true), .. }))
    }

    fn list(&self, path: &str) -> &[String] {
        match self.said(path) {
            Some(Said { value: Value::List(items), .. }) => items,
            _ => &[],
        }
    }

    fn optional<T>(&self, path: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, ConfigError> {
        let Some(said) = self.said(path) else { return Ok(None) };
        let text = match &said.value {
            Value::Text(text) => text.as_str(),
            _ => "",
        };
        parse(text).map(Some).ok_or_else(|| bad_value(said, path, format!("`{text}` is not {}", meaning(path))))
    }

    fn required<T>(&self, path: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, ConfigError> {
        // Only a key without a default can be unset.
        let unset = || ConfigError { place: None, problem: bad(path, format!("it must be {}", meaning(path))) };
        self.optional(path, parse)?.ok_or_else(unset)
    }

    fn endpoint(&self, side: Side) -> Result<Endpoint, ConfigError> {
        let path = format!("{side}.bootstrap");
        let mut bootstrap: Vec<HostPort> = Vec::new();
        for text in self.list(&path) {
            match (HostPort::from_str(text), self.said(&path)) {
                (Ok(address), _) if bootstrap.contains(&address) => {}
                (Ok(address), _) => bootstrap.push(address),
                (Err(error), Some(said)) => return Err(bad_value(said, &path, error.to_string())),
                (Err(error), None) => return Err(ConfigError { place: None, problem: bad(&path, error.to_string()) }),
            }
        }
        if bootstrap.is_empty() {
            return Err(ConfigError { place: None, problem: Problem::NoAddress { side } });
        }
        Ok(Endpoint { bootstrap })
    }

    fn filter(&self, include: &str, exclude: &str) -> Result<Filter, ConfigError> {
        // Each list on its own first, so that the error names the right one.
        for path in [include, exclude] {
            if let (Err(why), Some(said)) = (Filter::new(self.list(path), &[]), self.said(path)) {
                return Err(bad_value(said, path, why));
            }
        }
        Filter::new(self.list(include), self.list(exclude))
            .map_err(|why| ConfigError { place: None, problem: bad(include, why) })
    }

    fn replication_factor(&self) -> Result<Option<i16>, ConfigError> {
        let path = "topics.replication_factor";
        match self.said(path) {
            Some(Said { value: Value::Number(-1), .. }) | None => Ok(None),
            Some(said @ Said { value: Value::Number(number), .. }) => match i16::try_from(*number) {
                Ok(factor) if factor > 0 => Ok(Some(factor)),
                _ => Err(bad_value(said, path, format!("{number} is not {}", meaning(path)))),
            },
            Some(said) => Err(bad_value(said, path, format!("it must be {}", meaning(path)))),
        }
    }
}

fn refusal(said: &Said, problem: Problem) -> ConfigError {
    ConfigError { place: (said.place != Place::Default).then(|| said.place.clone()), problem }
}

fn bad(path: &str, why: String) -> Problem {
    Problem::BadValue { name: path.to_owned(), why }
}

fn bad_value(said: &Said, path: &str, why: String) -> ConfigError {
    refusal(said, bad(path, why))
}

/// What the key's text must be; narrower than its kind where that leaves something open.
fn meaning(path: &str) -> String {
    match path {
        "name" => format!("a name of letters, digits, `.`, `_` and `-`, at most {LONGEST_NAME} long"),
        "topics.replication_factor" => "a number from 1 to 32767, or -1 for the target's default".into(),
        "run.memory" => "a size such as \"64MiB\", at least 8MiB".into(),
        "run.rate" => "a rate such as \"200MB/s\", at least 1kB/s".into(),
        "run.late_bound" => "a time such as \"15s\", from 1s to 1h".into(),
        _ => keys::find(path).map_or(Kind::Text, |key| key.kind).wanted(),
    }
}

fn name(text: &str) -> Option<MigrationName> {
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let whole = !text.is_empty() && text.len() <= LONGEST_NAME && text.chars().all(fits);
    whole.then(|| MigrationName(text.to_owned()))
}

fn recompress(text: &str) -> Option<Recompress> {
    match text {
        "none" => Some(Recompress::None),
        "gzip" => Some(Recompress::Gzip),
        "snappy" => Some(Recompress::Snappy),
        "lz4" => Some(Recompress::Lz4),
        _ => None,
    }
}

fn verify(text: &str) -> Option<Verify> {
    match text {
        "offsets" => Some(Verify::Offsets),
        "digest" => Some(Verify::Digest),
        "records" => Some(Verify::Records),
        _ => None,
    }
}

fn memory(text: &str) -> Option<usize> {
    let bytes = ByteSize::from_str(text).ok()?.as_u64();
    usize::try_from(bytes).ok().filter(|_| bytes >= LEAST_MEMORY)
}

fn rate(text: &str) -> Option<NonZeroU64> {
    let bytes = ByteSize::from_str(text.strip_suffix("/s")?).ok()?.as_u64();
    NonZeroU64::new(bytes).filter(|_| bytes >= LEAST_RATE)
}

fn late_bound(text: &str) -> Option<Duration> {
    let duration: jiff::SignedDuration = text.parse().ok()?;
    Duration::try_from(duration).ok().filter(|duration| LATE_BOUNDS.contains(duration))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{env, file};

    fn flags(said: &[(&str, &str)]) -> Layer {
        let mut layer = Layer::default();
        for (path, text) in said {
            let key = keys::find(path).expect("a key");
            layer.say(key, Value::read(key.kind, text).expect("a value"), Place::Flag("--flag"));
        }
        layer
    }

    fn addresses() -> Layer {
        flags(&[("source.bootstrap", "a:1"), ("target.bootstrap", "b:1")])
    }

    fn resolve(said: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::resolve(vec![flags(said), addresses()]).map_err(|error| error.to_string())
    }

    fn refused(path: &str, text: &str) -> String {
        resolve(&[(path, text)]).expect_err("refused")
    }

    #[test]
    fn a_flag_beats_the_environment_which_beats_the_file() {
        let file =
            || file::parse("f", "name = 'file'\nsource.bootstrap = ['f:1']\nrun.memory = '16MiB'").expect("a layer");
        let variables =
            [("KFERRY_NAME", "env"), ("KFERRY_SOURCE_BOOTSTRAP", "e:1"), ("KFERRY_TARGET_BOOTSTRAP", "t:1")];
        let env = || env::read(variables.iter().map(|(name, text)| (name.into(), text.into()))).expect("a layer");
        let settings = Settings::resolve(vec![flags(&[("name", "flag")]), env(), file()]).expect("settings");
        assert_eq!(settings.name.as_str(), "flag");
        assert_eq!(settings.source.bootstrap, [HostPort { host: "e".into(), port: 1 }]);
        assert_eq!(settings.memory, 16 << 20);
    }

    #[test]
    fn every_key_changes_the_settings_or_is_refused_by_its_name() {
        let before = format!("{:?}", resolve(&[]).expect("settings"));
        for key in keys::all() {
            let other = match key.kind {
                Kind::Text => "other",
                Kind::Flag => {
                    if key.default == Some("true") {
                        "false"
                    } else {
                        "true"
                    }
                }
                Kind::Number => "3",
                Kind::Addresses => "c:1",
                Kind::Patterns => "x*",
                Kind::Choice(words) => words.iter().find(|word| Some(**word) != key.default).expect("another word"),
                Kind::Size => "128MiB",
                Kind::Rate => "5MB/s",
                Kind::Duration => "20s",
                Kind::Table => "true",
            };
            match resolve(&[(key.path, other)]) {
                Ok(settings) => {
                    assert!(key.ready, "{} takes no effect but is not refused", key.path);
                    assert_ne!(format!("{settings:?}"), before, "{} changes nothing", key.path);
                }
                Err(error) => {
                    assert!(!key.ready, "{error}");
                    assert_eq!(
                        error,
                        format!("--flag: `{}` is not supported yet in this version of kferry: leave it out", key.path)
                    );
                }
            }
        }
    }

    #[test]
    fn sizes_rates_and_times_are_read_with_their_units() {
        let settings = resolve(&[("run.memory", "1GiB"), ("run.rate", "200MB/s"), ("run.late_bound", "1m 30s")]);
        let settings = settings.expect("settings");
        assert_eq!(settings.memory, 1 << 30);
        assert_eq!(settings.rate.map(NonZeroU64::get), Some(200_000_000));
        assert_eq!(settings.late_bound, Duration::from_secs(90));
    }

    #[test]
    fn a_value_without_meaning_is_named_with_what_is_wanted() {
        for (path, text) in [
            ("run.memory", "64 elephants"),
            ("run.memory", "1MiB"),
            ("run.memory", ""),
            ("run.rate", "200MB"),
            ("run.rate", "0MB/s"),
            ("run.late_bound", "15"),
            ("run.late_bound", "0s"),
            ("run.late_bound", "2h"),
        ] {
            let error = refused(path, text);
            assert_eq!(error, format!("--flag: `{path}`: `{text}` is not {}", meaning(path)));
        }
        assert_eq!(
            refused("select.ungrouped", "latest"),
            "--flag: `select.ungrouped`: `latest` is not \"skip\" or \"earliest\""
        );
        assert_eq!(
            refused("topics.recompress", "zstd"),
            "--flag: `topics.recompress`: `zstd` is not \"none\" or \"gzip\" or \"snappy\" or \"lz4\""
        );
        assert!(refused("topics.replication_factor", "0").contains("0 is not a number from 1 to 32767"));
        assert!(refused("name", "to cloud").contains("a name of letters"));
        assert!(
            refused("select.exclude_topics", "ok,[").starts_with("--flag: `select.exclude_topics`: `[` is neither")
        );
    }

    #[test]
    fn both_clusters_need_an_address_and_not_the_same_one() {
        let only = |layer| Settings::resolve(vec![layer]).expect_err("refused").to_string();
        assert!(only(flags(&[])).starts_with("no address of the source: pass --source host:port"));
        let error = only(flags(&[("source.bootstrap", "a:1")]));
        assert_eq!(
            error,
            "no address of the target: pass --target host:port, or set `target.bootstrap` in kferry.toml or \
             KFERRY_TARGET_BOOTSTRAP"
        );
        assert!(refused("source.bootstrap", "kafka-1").contains("`kafka-1` is not an address: write host:port"));
        assert!(refused("source.bootstrap", "x:1,b:1").starts_with("b:1 is both source and target"));
    }
}
