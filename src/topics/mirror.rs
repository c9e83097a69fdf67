//! What a topic that the target lacks must look like there: the source's shape, in words that the target knows.

use std::collections::{BTreeMap, BTreeSet};

use super::Effective;
use crate::batch::{Codec, CodecSet};
use crate::cluster::{Configs, NewTopic};
use crate::kafka::{HostPort, TopicName};

const TIMESTAMP_TYPE: &str = "message.timestamp.type";
const CREATE_TIME: &str = "CreateTime";
const MIN_ISR: &str = "min.insync.replicas";

/// Kept at the source's effective value, as records are lost or refused where the target's differs.
const EFFECTIVE: [&str; 4] = ["retention.ms", "retention.bytes", "max.message.bytes", "cleanup.policy"];

/// The command that creates a topic by hand.
pub fn command(topic: &NewTopic, bootstrap: &HostPort) -> String {
    let mut command = format!(
        "kafka-topics.sh --bootstrap-server {bootstrap} --create --topic {} --partitions {}",
        topic.name, topic.partitions
    );
    if topic.replication_factor > 0 {
        command.push_str(&format!(" --replication-factor {}", topic.replication_factor));
    }
    for (name, value) in &topic.configs {
        command.push_str(&format!(" --config {}", quoted(&format!("{name}={value}"))));
    }
    command
}

/// The word as a shell reads it back.
fn quoted(word: &str) -> String {
    if word.chars().all(|c| c.is_ascii_alphanumeric() || "._-=,:/@%+".contains(c)) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// What was seen of the target, as far as new topics are concerned.
#[derive(Clone, Copy, Debug)]
pub struct Defaults<'a> {
    /// A broker's effective configuration; `None` where it may not be read.
    pub broker: Option<&'a Configs>,
    /// The names of topic configurations that the target knows; `None` where no topic shows them.
    pub known: Option<&'a BTreeSet<String>>,
    /// Whether `CreateTopics` takes -1 for the target's own replication factor.
    pub takes_default_factor: bool,
    /// The codecs that it can store.
    pub codecs: CodecSet,
}

/// Why a configuration is not carried over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeftOutBecause {
    /// It names brokers of the source.
    Placement,
    /// It throttles replicas of the source.
    Throttling,
    /// It is about the source's tiered storage.
    TieredStorage,
    /// The target stores format v2, whatever the source stores.
    MessageFormat,
    /// The target can't store this codec.
    Codec,
    /// The target does not know the name.
    Unknown,
    /// The target refused the value.
    Refused,
}

impl LeftOutBecause {
    /// The reason in a few words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Placement => "it places replicas on the source's brokers",
            Self::Throttling => "it throttles the source's replication",
            Self::TieredStorage => "it belongs to the source's tiered storage",
            Self::MessageFormat => "records arrive in message format v2",
            Self::Codec => "the target can't store this codec",
            Self::Unknown => "the target does not know it",
            Self::Refused => "the target refused it",
        }
    }
}

/// A configuration that is not carried over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigLeftOut {
    /// Its name.
    pub name: String,
    /// The source's value.
    pub value: String,
    /// Why.
    pub because: LeftOutBecause,
}

/// A topic to create, and what it will lack or get later.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mirrored {
    /// What to create before the copy.
    pub spec: NewTopic,
    /// What to set once the copy is done: a topic that stamps its own time would replace the records' times.
    pub at_end: BTreeMap<String, String>,
    /// What the topic will lack.
    pub left_out: Vec<ConfigLeftOut>,
    /// The replicas that an append will wait for; `None` where that is not known.
    pub min_isr: Option<i64>,
    /// The replicas it will have; `None` where the target decides and does not tell.
    pub factor: Option<i64>,
}

/// Works out what to create for a topic of the source with this effective configuration (`None` where it may not be
/// read: the target's defaults apply then). A `factor` of -1 leaves the number of replicas to the target.
pub fn mirror(
    name: &TopicName,
    partitions: i32,
    source: Option<&Configs>,
    factor: i16,
    target: &Defaults<'_>,
) -> Mirrored {
    let mut configs = BTreeMap::new();
    let mut left_out = Vec::new();
    let mut at_end = BTreeMap::new();
    if let Some(source) = source {
        for (name, value) in source.overrides() {
            match refusal(name, value, target) {
                Some(because) => left_out.push(ConfigLeftOut { name: name.into(), value: value.into(), because }),
                None => _ = configs.insert(name.to_owned(), value.to_owned()),
            }
        }
        for name in EFFECTIVE {
            let wanted = source.effective(name);
            if let Some(wanted) = wanted.filter(|_| wanted != target.of(name).as_deref()) {
                configs.insert(name.to_owned(), wanted.to_owned());
            }
        }
        if let Some(wanted) = source.effective(TIMESTAMP_TYPE).filter(|wanted| *wanted != CREATE_TIME) {
            at_end.insert(TIMESTAMP_TYPE.to_owned(), wanted.to_owned());
        }
    }
    if target.of(TIMESTAMP_TYPE).as_deref() == Some(CREATE_TIME) {
        configs.remove(TIMESTAMP_TYPE);
    } else {
        configs.insert(TIMESTAMP_TYPE.to_owned(), CREATE_TIME.to_owned());
    }
    let min_isr = configs.get(MIN_ISR).cloned().or_else(|| target.of(MIN_ISR)).and_then(|value| value.parse().ok());
    let default_factor = target.broker.and_then(|broker| broker.number("default.replication.factor"));
    let known_factor = if factor > 0 { Some(i64::from(factor)) } else { default_factor };
    let asked = known_factor.filter(|_| factor > 0 || !target.takes_default_factor);
    let replication_factor = asked.and_then(|factor| i16::try_from(factor).ok()).unwrap_or(-1);
    Mirrored {
        spec: NewTopic { name: name.clone(), partitions, replication_factor, configs },
        at_end,
        left_out,
        min_isr,
        factor: known_factor,
    }
}

/// Why an override stays behind; `None` where it is carried over.
fn refusal(name: &str, value: &str, target: &Defaults<'_>) -> Option<LeftOutBecause> {
    if name.ends_with(".replication.throttled.replicas") {
        Some(LeftOutBecause::Throttling)
    } else if name.contains("placement") {
        Some(LeftOutBecause::Placement)
    } else if ["remote.storage.", "local.retention.", "remote.log."].iter().any(|prefix| name.starts_with(prefix)) {
        Some(LeftOutBecause::TieredStorage)
    } else if name == "message.format.version" {
        Some(LeftOutBecause::MessageFormat)
    } else if target.known.is_some_and(|known| !known.contains(name)) {
        Some(LeftOutBecause::Unknown)
    } else if (name, value) == ("compression.type", "zstd") && !target.codecs.contains(Codec::Zstd) {
        // Older brokers refuse the value; newer ones of an older protocol take it, and then refuse every batch.
        Some(LeftOutBecause::Codec)
    } else {
        None
    }
}

impl Defaults<'_> {
    /// The value that a topic without an override of this name has; `None` where that is not known.
    pub fn of(&self, topic_config: &str) -> Option<String> {
        let broker = self.broker?;
        let plain = |name: &str| broker.effective(name).map(str::to_owned);
        match topic_config {
            "retention.ms" => plain("log.retention.ms")
                .or_else(|| in_ms(broker, "log.retention.minutes", 60_000))
                .or_else(|| in_ms(broker, "log.retention.hours", 3_600_000)),
            "max.message.bytes" => plain("message.max.bytes"),
            MIN_ISR | "compression.type" => plain(topic_config),
            other => plain(&format!("log.{other}")),
        }
    }
}

fn in_ms(broker: &Configs, name: &str, unit: i64) -> Option<String> {
    let number = broker.number(name)?;
    Some(if number < 0 { -1 } else { number.saturating_mul(unit) }.to_string())
}

#[cfg(test)]
mod tests;
